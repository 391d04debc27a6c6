"""Claim: the report on a grid of 1,000 points × 200 layers takes less than 20 s and 5 MB.

    python bench/report.py

The grid (4 widths, 10 k, 25 σ_w, with bias) is simulated first. The numbers on the page are
compared with those of the file before anything is timed; then whole commands are, as a user starts
them.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from harness import save, timed

import simcore
from simcore.execution.execute import execute
from simcore.runs.run import Run


def grid(depth: int) -> Run:
    return Run(
        depth=depth,
        width=(256, 384, 512, 768),
        ensemble="correlated",
        k=tuple(np.linspace(0.0, 2.0, 10)),
        sigma_w=tuple(np.linspace(1.2, 1.6, 25)),
        sigma_b=(0.1,),
        trials=64,
    )


def command(run: Path, page: Path) -> None:
    words = [sys.executable, "-m", "simcore.cli.main", "report", str(run), "-o", str(page)]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


def verified(run: Path, page: Path) -> bool:
    """Whether the page has every point's last layer, and every layer it shows, as the file has."""
    found = re.search(r'id="page-data">(.*?)</script>', page.read_text("utf-8"), re.DOTALL)
    assert found is not None
    data, dataset = json.loads(found[1]), simcore.open_run(run)
    last = dataset.correlation.isel(layer=-1).to_numpy().ravel()
    whole = np.allclose(data["rows"]["correlation"], last, rtol=1e-7)
    point = data["points"][0]
    first = dataset.correlation.isel(width=0, k=0, sigma_w=0).sel(layer=point["layers"])
    return bool(whole and np.allclose(point["lines"]["correlation"]["mean"], first, rtol=1e-7))


def processor_seconds() -> float:
    """Return what the commands so far have used: on a shared machine it says more than the time."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--depth", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    run = grid(arguments.depth)
    with tempfile.TemporaryDirectory() as folder:
        file, page = Path(folder, "grid.h5"), Path(folder, "grid.html")
        execute(run, output=file)
        command(file, page)
        assert verified(file, page)
        before = processor_seconds()
        seconds = [timed(lambda: command(file, page)) for _ in range(arguments.rounds)]
        processor = (processor_seconds() - before) / arguments.rounds
        opened = [timed(lambda: simcore.open_run(file)) for _ in range(arguments.rounds)]
        save(
            "report",
            {
                "points": len(run.points),
                "layers": run.depth,
                "file_bytes": file.stat().st_size,
                "page_bytes": page.stat().st_size,
                "seconds": {"median": statistics.median(seconds), "all": seconds},
                "processor_seconds": processor,
                "open_run_seconds": {"median": statistics.median(opened), "all": opened},
            },
        )


if __name__ == "__main__":
    main()

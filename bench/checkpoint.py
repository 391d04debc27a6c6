"""Claim: a grid of 1,000 points × 200 layers checkpoints in at most 3 s and 1 GB of memory.

    python bench/checkpoint.py

Its final file, all extras in, takes at most 60 s. The statistics are those of a real run, of narrow
networks to have it soon; every part of them is read back and compared before anything is timed.
Linux only: peak memory is reset and read through /proc.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from harness import save, timed

from simcore.execution.execute import execute
from simcore.files.run_file import read_state, write_run
from simcore.files.run_results import RunResults
from simcore.runs.run import Run
from simcore.statistics.tree import PointStatistics


def grid(side: int, depth: int, width: int) -> Run:
    return Run(
        depth=depth,
        width=(width,),
        ensemble="correlated",
        k=tuple(np.linspace(-0.5, 4.0, side)),
        sigma_w=tuple(np.linspace(1.2, 1.6, side)),
        correlation=tuple(np.linspace(0.0, 0.9, side)),
    )


# --- right before fast ----------------------------------------------------------------------------


def arrays(point: PointStatistics, *, partial: bool) -> Iterable[npt.NDArray[np.generic]]:
    for _, _, moments in point.tree.ordered():
        yield from moments
    yield from (point.histogram, point.trajectories)
    assert point.bins is not None
    yield from point.bins
    if partial:
        assert point.partial is not None
        assert point.partial_histogram is not None
        yield from (*point.partial, point.partial_histogram)


def verified(run: Run, points: Sequence[PointStatistics], path: Path) -> bool:
    """Whether what is read back has the bytes of what was written.

    Another process looks, whose memory is not counted.
    """
    child = multiprocessing.get_context("fork").Process(target=verify, args=(run, points, path))
    child.start()
    child.join()
    return child.exitcode == 0


def verify(run: Run, points: Sequence[PointStatistics], path: Path) -> None:
    for complete in (False, True):
        write_run(path, RunResults(run, points, complete=complete), provenance={})
        again, back = read_state(path)
        assert again == run
        for one, other in zip(points, back, strict=True):
            assert one.tree.nodes.keys() == other.tree.nodes.keys()
            for a, b in zip(
                arrays(one, partial=complete), arrays(other, partial=complete), strict=True
            ):
                assert a.shape == b.shape
                assert a.tobytes() == b.tobytes()


# --- measuring ------------------------------------------------------------------------------------


def megabytes(name: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024 / 1e6


def plain_write(path: Path, size: int) -> float:
    """Return the seconds that as many bytes take to the disk."""
    block = memoryview(os.urandom(2**24))

    def work() -> None:
        with path.open("wb", buffering=0) as file:
            for first in range(0, size, len(block)):
                file.write(block[: size - first])
            os.fsync(file.fileno())

    return timed(work)


def measure(
    run: Run, points: Sequence[PointStatistics], path: Path, *, complete: bool, rounds: int
) -> dict[str, object]:
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        before, used = megabytes("VmRSS"), time.process_time()
        seconds = timed(
            lambda: write_run(path, RunResults(run, points, complete=complete), provenance={})
        )
        used = time.process_time() - used
        peak, size = megabytes("VmHWM"), path.stat().st_size
        values = {
            "seconds": seconds,
            "cpu_seconds": used,
            "plain_write_seconds": plain_write(path.with_name("plain"), size),
            "file_MB": size / 1e6,
            "added_MB": peak - before,
            "peak_MB": peak,
        }
        for name, value in values.items():
            found.setdefault(name, []).append(value)
    kinds = {"median": statistics.median, "min": min, "max": max}
    return {
        name: {kind: round(reduce(values), 3) for kind, reduce in kinds.items()}
        for name, values in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=10, help="the grid has the cube of it")
    parser.add_argument("--depth", type=int, default=200)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", default=None, help="where to write; a temporary one")
    options = parser.parse_args()
    run = grid(options.side, options.depth, options.width)
    points = execute(run).points
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "run.h5"
        assert verified(run, points, path)
        result = {
            "options": vars(options),
            "points": len(points),
            "trials": run.trials,
            "checkpoint": measure(run, points, path, complete=False, rounds=options.rounds),
            "final": measure(run, points, path, complete=True, rounds=options.rounds // 2),
        }
    save("checkpoint", result)


if __name__ == "__main__":
    main()

"""Claim: wall time and peak memory of whole commands, as a user starts them.

    python bench/commands.py

Each command runs in a process of its own; the first run ever gets an empty kernel cache.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import save

SIMULATE = str(Path(sys.executable).with_name("simulate"))
MAIN = ["--width", "4096", "--depth", "200", "--overwrite", "-o", "run.h5"]
COMMANDS = {
    "help": ["--help"],
    "main job": MAIN,
    "wide": [
        *("--width", "1e7", "--depth", "10", "--trials", "2"),
        *("--overwrite", "-o", "wide.h5"),
    ],
}


def run(arguments: list[str], folder: str, cache: str) -> tuple[float, float]:
    """Return wall seconds and peak memory in MB of one run."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
    before = time.perf_counter()
    process = subprocess.Popen(
        [SIMULATE, *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - before
    if os.waitstatus_to_exitcode(status) != 0:
        message = f"simulate {' '.join(arguments)} failed"
        raise RuntimeError(message)
    per_unit = 1024 if sys.platform.startswith("linux") else 1
    return seconds, usage.ru_maxrss * per_unit / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY
    result: dict[str, object] = {"options": vars(options)}
    with tempfile.TemporaryDirectory() as folder:
        cache = str(Path(folder) / "cache")
        seconds, megabytes = run(MAIN, folder, cache)
        result["first run ever"] = {"seconds": seconds, "peak_MB": megabytes}
        measured = {name: [] for name in COMMANDS}
        for _ in range(options.rounds):
            for name, arguments in COMMANDS.items():
                measured[name].append(run(arguments, folder, cache))
    for name, values in measured.items():
        result[name] = {
            "seconds": statistics.median(v[0] for v in values),
            "seconds_max": max(v[0] for v in values),
            "peak_MB": max(v[1] for v in values),
        }
    save("commands", result)


if __name__ == "__main__":
    main()

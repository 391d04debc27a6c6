"""Claim: the cost is linear in width, depth and trials: fitted exponents within 0.05 of 1.

python bench/scaling.py
"""

from __future__ import annotations

import argparse
import statistics

from harness import interleaved, save

from simcore.numerics.compiling import prefer_wide_vectors

prefer_wide_vectors()

import numpy as np  # noqa: E402 - the entry points set Numba up before it is imported

from simcore.execution.execute import execute  # noqa: E402
from simcore.runs.run import Run  # noqa: E402

NODES = 4e8
"""Node updates of a measurement, so that fixed costs of a run do not show."""


def run_of(width: int, depth: int) -> Run:
    trials = 128 * max(1, round(NODES / (128 * width * depth)))
    return Run(depth=depth, width=(width,), trials=trials, keep=0)


SWEEPS = {
    "width": [run_of(n, 25) for n in (256, 1024, 4096, 16384, 65536, 262144, 1000000)],
    "depth": [run_of(1024, n) for n in (10, 40, 160, 640)],
    "trials": [Run(depth=100, width=(1024,), trials=n, keep=0) for n in (1024, 4096, 16384)],
}


def cost(run: Run, name: str, threads: int) -> float:
    """Seconds per trial; of the whole run where the trials are swept."""
    seconds = execute(run, threads=threads).seconds
    return seconds if name == "trials" else seconds / run.trials


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    execute(Run(depth=2, width=(16,), trials=128), threads=options.threads)
    result = {"options": vars(options)}
    for name, runs in SWEEPS.items():
        sizes = [{"width": r.width[0], "depth": r.depth, "trials": r.trials}[name] for r in runs]
        work = {
            str(size): lambda run=run, name=name: cost(run, name, options.threads)
            for size, run in zip(sizes, runs, strict=True)
        }
        times = interleaved(work, options.rounds)
        medians = [statistics.median(times[str(size)]) for size in sizes]
        slope = np.polyfit(np.log(sizes), np.log(medians), 1)[0]
        result[name] = {"exponent": float(slope), "seconds": dict(zip(sizes, medians, strict=True))}
    save("scaling", result)


if __name__ == "__main__":
    main()

"""Claim: the pair sampler of `rai` has at least half the node rate of that of `he`.

    python bench/asymmetric.py

Both through the same loop, on the same threads, interleaved in the same rounds.
"""

from __future__ import annotations

import argparse
import statistics

from harness import interleaved, ratio, save

from simcore.numerics.compiling import prefer_wide_vectors

prefer_wide_vectors()

from simcore.execution.execute import execute  # noqa: E402
from simcore.runs.run import Run  # noqa: E402 - the entry points set Numba up before it is imported


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=4096)
    parser.add_argument("--depth", type=int, default=100)
    parser.add_argument("--trials", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    runs = {
        name: Run(
            depth=options.depth,
            width=(options.width,),
            ensemble=name,
            k=(1.0 if name == "raai" else 0.0,),
            trials=options.trials,
            keep=0,
        )
        for name in ("he", "rai", "raai")
    }
    for run in runs.values():
        one, two = (execute(run, threads=n).points[0].published() for n in (1, options.threads))
        assert all(a.tobytes() == b.tobytes() for a, b in zip(one, two, strict=True))
    work = {
        name: lambda run=run: execute(run, threads=options.threads).seconds
        for name, run in runs.items()
    }
    times = interleaved(work, options.rounds)
    nodes = options.width * options.depth * options.trials
    result = {
        "options": vars(options),
        "node_updates_per_second": {n: nodes / statistics.median(t) for n, t in times.items()},
        "rai_over_he": ratio(times, "he", "rai"),
        "raai_over_he": ratio(times, "he", "raai"),
    }
    save("asymmetric", result)


if __name__ == "__main__":
    main()

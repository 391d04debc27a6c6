"""Claims: the exact law of a batch is cheaper than explicit weights where `auto` says so.

    python bench/auto.py

Seconds per layer of both samplers over a table of (N, M), one thread, interleaved; what `auto`
would choose, and how much dearer that is than the better one. And at N = 4096, M = 256 the ratio of
the two.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics

from harness import interleaved, ratio, save, timed

from simcore.numerics.compiling import prefer_wide_vectors

prefer_wide_vectors()

import numpy as np  # noqa: E402 - the entry points set Numba up before it is imported

from simcore.runs.costs import sampler_costs  # noqa: E402
from simcore.runs.run import Run  # noqa: E402
from simcore.sampling.batch.cpu import BatchSampler  # noqa: E402
from simcore.sampling.contract import Signals  # noqa: E402
from simcore.statistics.blocks import Task  # noqa: E402


def layers(run, sampler):
    """Return work that takes one network through all layers."""
    made = BatchSampler(dataclasses.replace(run, sampler=sampler))
    made.prepare()
    task = Task(0, 0, 1, run.trials)
    return lambda: timed(lambda: made.run(task, None, Signals.sharing(np.zeros(1, np.int64))))


def compare(width, inputs, depth, rounds):
    """Time both samplers of a batch of random pairs."""
    run = Run(
        depth=depth,
        width=(width,),
        shared_network=True,
        pairs=inputs // 2,
        trials=max(1, 200_000 // (width * inputs)),
        keep=0,
    )
    times = interleaved({name: layers(run, name) for name in ("gram", "dense")}, rounds)
    seconds = {
        name: statistics.median(values) / depth / run.trials for name, values in times.items()
    }
    costs = sampler_costs(run)
    chosen = min(costs, key=lambda name: costs[name])
    return {
        "width": width,
        "inputs": inputs,
        "seconds_per_layer": seconds,
        "estimated": {name: cost / depth for name, cost in costs.items()},
        "chosen": chosen,
        "dearer_than_the_better": seconds[chosen] / min(seconds.values()),
        "dense_over_gram": ratio(times, "dense", "gram"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 256, 1024, 4096])
    parser.add_argument("--inputs", type=int, nargs="+", default=[2, 8, 32, 128, 512])
    options = parser.parse_args()
    table = [
        compare(width, inputs, 4, options.rounds)
        for width in options.widths
        for inputs in options.inputs
    ]
    save("auto", {"options": vars(options), "table": table})


if __name__ == "__main__":
    main()

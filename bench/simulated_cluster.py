"""Claim: a cluster is at least 95 % of linear up to 64 workers.

    python bench/simulated_cluster.py            # needs distributed

The workers sleep for a task's time and send back a result of the real size, 200 layers
(`sleeping_workers.py`); scheduler, engine, loop and folding are the real ones, all on this machine:
the client, a scheduler process, and up to six processes of workers. *Efficiency* is the time that
the workers slept, divided by their number and by `Outcome.seconds`. Verifies every result.
"""

from __future__ import annotations

import argparse
import statistics
from typing import Any

from harness import save
from quiet import undisturbed
from sleeping_cluster import Cluster, cluster, on_cluster, run_of

from simcore.statistics.blocks import BLOCK

WORKERS = (1, 4, 16, 32, 64)
LENGTHS = {0.5: 40, 1.0: 40, 2.5: 24}
"""Seconds of a task, and how many of them every worker gets."""

TASK_BLOCKS = 8
FREE_SECONDS = 20.0
"""Every worker's share of a run in which the engine chooses the length of the tasks."""


def efficiency(
    where: Cluster, block: int, blocks: int, forced: int | None, patience: float
) -> dict[str, float]:
    """Run so many blocks of so many milliseconds."""
    run = run_of(200, block, blocks)
    (outcome, tasks), others = undisturbed(lambda: on_cluster(where, run, forced), patience)
    asleep = run.trials // BLOCK * block / 1000
    return {
        "efficiency": asleep / where.workers / outcome.seconds,
        "seconds": outcome.seconds,
        "seconds_per_task": asleep / tasks,
        "tasks_per_second": tasks / outcome.seconds,
        "share_of_others": others,
    }


def sweep(where: Cluster, patience: float) -> dict[str, dict[str, float]]:
    """Return the efficiency at every length of tasks, at the cluster's size."""
    found = {}
    for seconds, tasks in LENGTHS.items():
        block = round(1000 * seconds / TASK_BLOCKS)
        blocks = TASK_BLOCKS * tasks * where.workers
        found[f"{seconds:g} s"] = efficiency(where, block, blocks, TASK_BLOCKS, patience)
    blocks = round(FREE_SECONDS / 0.1 * where.workers)
    found["engine's choice"] = efficiency(where, 100, blocks, None, patience)
    return found


def spread(rounds: list[dict[str, float]]) -> dict[str, Any]:
    """Return the median of every figure, with its extremes, over rounds."""
    found = {}
    for name in rounds[0]:
        own = [one[name] for one in rounds]
        found[name] = {"median": statistics.median(own), "min": min(own), "max": max(own)}
    return found


def table(found: dict[str, dict[str, Any]]) -> None:
    print("workers, tasks                s a task  tasks a second  efficiency (spread)   others")
    for name, own in found.items():
        rate = own["efficiency"]
        print(
            f"{name:<28} {own['seconds_per_task']['median']:>9.2f}"
            f" {own['tasks_per_second']['median']:>15.1f}"
            f" {rate['median']:>11.3f} ({rate['min']:.2f}-{rate['max']:.2f})"
            f" {own['share_of_others']['median']:>6.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="*", default=WORKERS)
    parser.add_argument("--patience", type=float, default=60.0, help="seconds to wait for quiet")
    options = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {}
    for _ in range(options.rounds):
        with cluster() as where:
            for count in options.workers:
                where.grow(count)
                for name, own in sweep(where, options.patience).items():
                    print(count, name, own, flush=True)
                    found.setdefault(f"{count} workers, {name}", []).append(own)
    result = {name: spread(own) for name, own in found.items()}
    save("simulated_cluster", {"options": vars(options), "efficiency": result})
    table(result)


if __name__ == "__main__":
    main()

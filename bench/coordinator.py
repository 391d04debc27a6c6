"""Measured: how many tasks and bytes a second the coordinator takes, and what a task costs it.

    python bench/coordinator.py            # needs distributed

Tasks of a millisecond, each sending a result of the real size, on the simulated cluster of
`sleeping_cluster.py`. *Folded* is a whole run; *received* ends where the results are in the client.
A rate with everything on one machine is a lower bound, so the processor time of a task is given for
the client, the scheduler and the workers apart. What the scheduler pays for more workers, and for
tasks that ask for a GPU, is that time without what it takes idle. Verifies every folded result.
"""

from __future__ import annotations

import argparse
import pickle
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

from events import Events
from harness import save
from quiet import undisturbed
from simulated_cluster import spread
from sleeping_cluster import Cluster, cluster, on_cluster, run_of
from sleeping_workers import TRIALS, result_of_a_task

from simcore.execution.dask.cluster import ClusterEngine
from simcore.execution.dask.worker import _narrow
from simcore.statistics.blocks import BLOCK, Task

DEPTHS = {10: 4000, 200: 2000, 1000: 500}
"""Layers, and how many tasks measure the limit."""

LIMIT_WORKERS = 32
COST_WORKERS = (8, 64, 256)
COST_TASKS = 1500
IDLE_SECONDS = 10.0

Way = Callable[[Cluster, int, int], float]


def folded(where: Cluster, depth: int, tasks: int) -> float:
    """Seconds of a run of so many tasks."""
    return on_cluster(where, run_of(depth, 1, tasks), 1)[0].seconds


def received(
    where: Cluster, depth: int, tasks: int, resources: dict[str, int] | None = None
) -> float:
    """Seconds until so many results are in this process, and nothing is done with them."""
    engine = ClusterEngine(run_of(depth, 1, tasks), where.address, 1, Events(), lambda _: None)
    bins = result_of_a_task(depth).bins
    try:
        with mock.patch.object(engine, "_resources", resources):
            engine.prepare(lambda: False)
            before = time.perf_counter()
            engine.plan(tasks)
            sent = done = 0
            while done < tasks:
                while sent < tasks and engine.accepts(task := Task(0, sent, 1, BLOCK)):
                    engine.submit(task, bins if sent else None)
                    sent += 1
                done += len(engine.poll(0.1))
            return time.perf_counter() - before
    finally:
        engine.close()


def measured(where: Cluster, work: Callable[[], float]) -> tuple[float, dict[str, float]]:
    """Return the seconds of some work, and the processor seconds meanwhile."""
    before = where.processor_seconds()
    seconds = work()
    return seconds, {name: own - before[name] for name, own in where.processor_seconds().items()}


def limit(where: Cluster, way: Way, depth: int, tasks: int, patience: float) -> dict[str, float]:
    def work() -> tuple[float, dict[str, float]]:
        return measured(where, lambda: way(where, depth, tasks))

    (seconds, used), others = undisturbed(work, patience)
    return {
        "tasks_per_second": tasks / seconds,
        "megabytes_per_second": tasks * size_of_a_result(depth) / seconds / 1e6,
        **{f"{name}_ms_per_task": 1e3 * own / tasks for name, own in used.items()},
        "share_of_others": others,
    }


def size_of_a_result(depth: int) -> int:
    return len(pickle.dumps(_narrow(result_of_a_task(depth))))


def limits(rounds: int, patience: float) -> dict[str, dict[str, Any]]:
    found: dict[str, list[dict[str, float]]] = {}
    with cluster() as where:
        where.grow(LIMIT_WORKERS)
        for i in range(rounds + 1):
            for depth, tasks in DEPTHS.items():
                for way in (folded, received):
                    own = limit(where, way, depth, tasks, patience)
                    print(depth, way.__name__, own, flush=True)
                    if i:
                        found.setdefault(f"{depth} layers, {way.__name__}", []).append(own)
    return {name: spread(own) for name, own in found.items()}


def idle_share(where: Cluster) -> float:
    """Return the share of a processor that the scheduler takes with nothing to do."""

    def wait() -> float:
        time.sleep(IDLE_SECONDS)
        return IDLE_SECONDS

    wait()
    return measured(where, wait)[1]["scheduler"] / IDLE_SECONDS


def costs(rounds: int) -> dict[str, dict[str, Any]]:
    """Return the scheduler's milliseconds for a task, by workers and by what tasks ask for."""
    found: dict[str, list[dict[str, float]]] = {}
    with cluster() as where:
        for count in COST_WORKERS:
            where.grow(count)
            idle = idle_share(where)
            for i in range(rounds + 1):
                for name, asked in {"anywhere": None, "on a GPU": {"GPU": 1}}.items():
                    seconds, used = measured(
                        where, lambda asked=asked: received(where, 200, COST_TASKS, asked)
                    )
                    busy = used["scheduler"] - idle * seconds
                    own = {"scheduler_ms_per_task": 1e3 * busy / COST_TASKS, "idle_share": idle}
                    print(count, name, own, flush=True)
                    if i:
                        found.setdefault(f"{count} workers, tasks {name}", []).append(own)
    return {name: spread(own) for name, own in found.items()}


def table(found: dict[str, dict[str, Any]]) -> None:
    for name, figures in found.items():
        print(name)
        for figure, own in figures.items():
            print(f"{figure:>28} {own['median']:>8.4g} ({own['min']:.4g}-{own['max']:.4g})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--patience", type=float, default=60.0, help="seconds to wait for quiet")
    options = parser.parse_args()
    result = {
        "options": vars(options),
        "trials_in_a_result": TRIALS,
        "bytes_of_a_result": {depth: size_of_a_result(depth) for depth in DEPTHS},
        "limits": limits(options.rounds, options.patience),
        "scheduler": costs(options.rounds),
    }
    save("coordinator", result)
    table(result["limits"])
    table(result["scheduler"])


if __name__ == "__main__":
    main()

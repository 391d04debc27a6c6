"""Claim: `local:2` reaches at least 85 % of the rate of two threads, for tasks of 0.2 s or more.

    python bench/cluster.py            # needs distributed

The client is this process for both; every run of the cluster starts its own scheduler (in this
process) and its own workers. A rate is node updates over `Outcome.seconds`, from the first task to
the end of the last and the end of the engine; starting and compiling are not in it. Task lengths
are given in blocks; what they took is reported. Verifies equal bytes before it times.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any
from unittest import mock

from events import Events
from harness import interleaved, ratio, save
from quiet import undisturbed

from simcore.numerics.compiling import prefer_wide_vectors

prefer_wide_vectors()

import numpy as np  # noqa: E402 - the entry points set Numba up before it is imported

from simcore.execution.dask.cluster import ClusterEngine  # noqa: E402
from simcore.execution.execute import Outcome, execute  # noqa: E402
from simcore.runs.run import Run  # noqa: E402
from simcore.statistics.blocks import BLOCK  # noqa: E402

THREADS = 2
CLUSTER = f"local:{THREADS}"
LENGTHS = (2, 4, 8, 16)
"""Blocks of a task where its length is forced; the engine's own choice is timed beside them."""


def run_of(seconds: float, seconds_per_block: float) -> Run:
    """Return a run of the default size that two threads do in about so many seconds."""
    blocks = max(1, round(seconds * THREADS / seconds_per_block))
    return Run(depth=200, width=(4096,), trials=BLOCK * blocks)


def on_cluster(run: Run, seconds: list[float], blocks: int | None = None) -> Outcome:
    """Run on two processes, and note the seconds of every task.

    With `blocks`, tasks have so many; else as many as the engine chooses.
    """
    events = Events()
    forced = mock.patch.object(ClusterEngine, "task_blocks", return_value=blocks)
    with forced if blocks else nullcontext():
        outcome = execute(run, threads=THREADS, scheduler=CLUSTER, log=events)
    most = max(task["blocks"] for task in events.tasks())
    seconds += [task["seconds"] for task in events.tasks() if task["blocks"] == most]
    return outcome


def verify() -> None:
    run = Run(depth=20, width=(4096,), trials=64 * BLOCK + 7)
    one = execute(run, threads=THREADS).points[0]
    two = on_cluster(run, []).points[0]
    moments = zip(one.published() or (), two.published() or (), strict=True)
    assert all(a.tobytes() == b.tobytes() for a, b in moments)
    assert np.array_equal(one.published_histogram(), two.published_histogram())


def compare(run: Run, lengths: tuple[int, ...], rounds: int, patience: float) -> dict[str, Any]:
    tasks: dict[str, list[float]] = {}
    shares: dict[str, list[float]] = {}

    def seconds_of(name: str, way: Callable[[], Outcome]) -> float:
        outcome, others = undisturbed(way, patience)
        shares.setdefault(name, []).append(others)
        print(f"{name:>16} {outcome.seconds:7.2f} s, others {others:.2f}", flush=True)
        return float(outcome.seconds)

    work = {"threads": partial(seconds_of, "threads", lambda: execute(run, threads=THREADS))}
    for blocks in (None, *lengths):
        name = f"{blocks} blocks" if blocks else "engine's choice"
        tasks[name] = []
        work[name] = partial(seconds_of, name, partial(on_cluster, run, tasks[name], blocks))
    times = interleaved(work, rounds)
    threads = statistics.median(times["threads"])
    found = {
        name: {
            "seconds_per_task": statistics.median(tasks[name]),
            "rate_over_threads": ratio(times, "threads", name),
            "rate_over_threads_of_medians": threads / statistics.median(times[name]),
        }
        for name in tasks
    }
    others = {name: own[1:] for name, own in shares.items()}
    return {"trials": run.trials, "rates": found, "seconds": times, "share_of_others": others}


def table(runs: dict[str, dict[str, Any]]) -> None:
    print("   run            tasks  s a task  rate over threads (spread)  of medians")
    for size, own in runs.items():
        for name, found in own["rates"].items():
            rates = found["rate_over_threads"]
            print(
                f"{size:>6} {name:>16} {found['seconds_per_task']:>9.2f}"
                f" {rates['median']:>18.3f} ({rates['min']:.2f}-{rates['max']:.2f})"
                f" {found['rate_over_threads_of_medians']:>10.3f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, nargs="+", default=[8.0, 4.0, 24.0])
    parser.add_argument("--patience", type=float, default=60.0, help="seconds to wait for quiet")
    options = parser.parse_args()
    verify()
    calibration = Run(depth=200, width=(4096,), trials=32 * BLOCK)
    execute(calibration, threads=THREADS)
    outcome, _ = undisturbed(lambda: execute(calibration, threads=THREADS), options.patience)
    runs = {}
    for i, seconds in enumerate(options.seconds):
        run = run_of(seconds, outcome.seconds * THREADS / 32)
        lengths = LENGTHS if i == 0 else ()
        runs[f"{seconds:g} s"] = compare(run, lengths, options.rounds, options.patience)
    save("cluster", {"options": vars(options), "runs": runs})
    table(runs)


if __name__ == "__main__":
    main()

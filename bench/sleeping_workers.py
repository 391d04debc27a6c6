"""Workers of a simulated cluster: they sleep for a task's time and send back a real result.

    python bench/sleeping_workers.py ADDRESS COUNT

All of `simcore.execution.dask.worker` runs but the sampler. A run's width is a block's time in
milliseconds. Every task sends the statistics of the same 512 trials, so what the client must end
with is known.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import replace
from functools import lru_cache

from simcore.numerics.compiling import prefer_wide_vectors

prefer_wide_vectors()

import numpy as np  # noqa: E402 - the entry points set Numba up before it is imported

from simcore.execution.dask import worker as simcore_worker  # noqa: E402
from simcore.runs.run import Run  # noqa: E402
from simcore.sampling.choose import sampler_for  # noqa: E402
from simcore.sampling.contract import Signals, TaskResult  # noqa: E402
from simcore.statistics.blocks import BLOCK, Task  # noqa: E402
from simcore.statistics.moments import Bins  # noqa: E402

TRIALS = 8 * BLOCK


@lru_cache
def result_of_a_task(depth: int) -> TaskResult:
    """Return the result that every task of a run of this depth sends."""
    run = Run(depth=depth, width=(16,), trials=TRIALS, keep=0)
    sampler = sampler_for(run)
    sampler.prepare()
    signals = Signals.sharing(np.zeros(1, dtype=np.int64))
    return sampler.run(Task(0, 0, TRIALS // BLOCK, TRIALS), None, signals)


class Sleeper:
    """A sampler (`simcore.sampling.contract.Sampler`) that sleeps."""

    def __init__(self, run: Run) -> None:
        self._result = result_of_a_task(run.depth)
        self._block = run.width[0] / 1000.0

    def blocks_per_task(self, point: int) -> int:
        del point
        return 2**20

    def seconds_per_block(self, point: int) -> float:
        del point
        return self._block

    def run(self, task: Task, bins: Bins | None, signals: Signals) -> TaskResult:
        del bins, signals
        time.sleep(task.blocks * self._block)
        return replace(self._result, task=task)


async def work(address: str, count: int) -> None:
    from distributed import Worker

    options = {"nthreads": 1, "memory_limit": 0, "resources": {"GPU": 1}}
    workers = [Worker(address, **options) for _ in range(count)]
    await asyncio.gather(*workers)
    await asyncio.gather(*(worker.finished() for worker in workers))


if __name__ == "__main__":
    simcore_worker._made = lru_cache(
        lambda job: Sleeper(Run.from_config(json.loads(job.config_json)))
    )
    asyncio.run(work(sys.argv[1], int(sys.argv[2])))

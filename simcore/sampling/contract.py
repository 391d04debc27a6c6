"""What a sampler is: it takes a task and gives back the statistics of its trials."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from simcore.statistics.blocks import Task
from simcore.statistics.moments import Bins, Moments

__all__ = ["Sampler", "Signals", "TaskResult"]

Counter = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Signals:
    """How a running task is watched and stopped, without locks.

    Parameters
    ----------
    stop
        Shape (1,); not 0 once the task should return, its result being worthless then.
    progress
        Shape (1,); grows by the node updates done.
    """

    stop: Counter
    progress: Counter

    @classmethod
    def sharing(cls, stop: Counter) -> Signals:
        """Return a counter of its own beside a stop flag shared by all tasks.

        With a cache line to itself, since it is written at every layer.
        """
        return cls(stop, np.zeros(16, dtype=np.int64)[8:9])


@dataclass(frozen=True)
class TaskResult:
    """Statistics of a task.

    Parameters
    ----------
    task
        What was run.
    moments
        One node of the tree of moments (or the moments of a partial last block).
    histogram
        Counts, shape (layer, histogram, bins + 2).
    bins
        The bins used: those given, or those that block 0 has fixed.
    kept
        Trajectories of the task's first trials, shape (trial, layer, kept observable).
    """

    task: Task
    moments: Moments
    histogram: npt.NDArray[np.uint32]
    bins: Bins
    kept: npt.NDArray[np.float64]


class Sampler(Protocol):
    """A sampler for one run. The bytes of a result depend on the task's trials and nothing else."""

    def prepare(self) -> None:
        """Compile or load the kernels."""
        ...

    def blocks_per_task(self, point: int) -> int:
        """Return a good size of the tasks of a point, a power of two."""
        ...

    def seconds_per_block(self, point: int) -> float:
        """Return a rough estimate of one thread's time for a block."""
        ...

    def run(self, task: Task, bins: Bins | None, signals: Signals) -> TaskResult:
        """Run a task in the calling thread, which may be one of many; releases the GIL.

        `bins` is None for the block 0 of a point only.
        """
        ...

    def run_shared(
        self, task: Task, bins: Bins | None, signals: Signals, pool: Executor, threads: int
    ) -> TaskResult:
        """Run a task of one block with all threads of a pool; the same bytes as `run`."""
        ...

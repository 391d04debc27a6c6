"""Contract of a sampler: it takes a task and returns the statistics of its trials."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from simcore.statistics.blocks import Task
from simcore.statistics.moments import Bins, Moments

Counter = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Signals:
    """Progress and stop flag of a running task, shape (1,) each, without locks.

    The task returns once stop[0] is not 0, and its result is discarded; progress[0] counts node
    updates.
    """

    stop: Counter
    progress: Counter

    @classmethod
    def sharing(cls, stop: Counter | None = None) -> Signals:
        """Return a new counter beside a stop flag that all tasks share, or one of its own.

        The counter has a cache line to itself, since it is written at every layer.
        """
        own = np.zeros(1, dtype=np.int64)
        return cls(own if stop is None else stop, np.zeros(16, dtype=np.int64)[8:9])


@dataclass(frozen=True)
class TaskResult:
    """Statistics of a task.

    `moments` is one node of the tree of moments (or of a partial last block); `histogram` has
    counts, shape (layer, histogram, bins + 2); `bins` are those given, or those fixed by block 0;
    `kept` has the trajectories of the first trials, (trial, layer, kept observable).
    """

    task: Task
    moments: Moments
    histogram: npt.NDArray[np.uint32]
    bins: Bins
    kept: npt.NDArray[np.float64]


class Sampler(Protocol):
    """A sampler of one run. The bytes of a result depend on the trials of the task alone."""

    def prepare(self) -> None:
        """Compile or load the kernels."""

    def blocks_per_task(self, point: int) -> int:
        """Return the best number of blocks in a task of a point, a power of two."""

    def seconds_per_block(self, point: int) -> float:
        """Return a rough estimate of the time of one thread for a block."""

    def run(self, task: Task, bins: Bins | None, signals: Signals) -> TaskResult:
        """Run a task in the calling thread, one of many perhaps; releases the GIL.

        `bins` is None for block 0 of a point only.
        """

    def run_tasks(
        self, tasks: Sequence[tuple[Task, Bins | None]], signals: Signals
    ) -> list[TaskResult]:
        """Run tasks, each with the bins of its point; a GPU takes them together."""

    def release(self) -> None:
        """Free what tasks have left for the next ones; in the thread that ran them."""

    def twin(self) -> Sampler | None:
        """Return a sampler with room of its own, for a second thread of a GPU; None if useless."""

    def run_shared(
        self, task: Task, bins: Bins | None, signals: Signals, pool: Executor, threads: int
    ) -> TaskResult:
        """Run a task of one block with all threads of a pool; the same bytes as `run`."""

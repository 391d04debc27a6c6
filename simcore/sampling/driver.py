"""Driver of all samplers on the CPU: it cuts tasks into blocks and trials, and collects statistics.

Each sampler defines how trials go through layers (`advance`), and what that costs. Samplers on a
CUDA device have the same sizes and statistics (`TaskSampler`).
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, wait
from typing import Any

import numpy as np
import numpy.typing as npt

from simcore.physics.slopes import RELU
from simcore.runs.grid import has_slopes
from simcore.runs.run import Run
from simcore.statistics import moments as statistics
from simcore.statistics.blocks import BLOCK, Task
from simcore.statistics.moments import Bins, Chosen, Collector, Moments

from .contract import Signals, TaskResult
from .control import follow
from .control.of_run import RunControls

Floats = npt.NDArray[np.float64]

TASK_SECONDS = 0.2
TASK_BYTES = 8 * 2**20
SEGMENT_BYTES = 4 * 2**20
"""Memory for the rows of the layers of a segment, per thread."""

LOOK_SECONDS = 0.1


class TaskSampler(abc.ABC):
    """The part of a sampler (`contract.Sampler`) that no device changes: sizes and statistics."""

    node_seconds, layer_seconds = 0.0, 0.0
    """Rough costs of a node and of a layer of a trial; they size tasks and touch no result."""

    def __init__(self, run: Run) -> None:
        self.run_plan = run
        self.widths = [point.layer_widths(run.depth) for point in run.points]
        self.fan_ins = [point.fan_ins(run.depth) for point in run.points]
        self.layers = np.array(run.covariance_layers, dtype=np.int64) - 1
        self.chosen = Chosen.of(run.columns)
        self.controls = RunControls(run)

    def seconds_per_block(self, point: int) -> float:
        """Return a rough estimate of the time of one thread for a block of 64 trials.

        On a full device it is the time for a block among many others.
        """
        widths = self.widths[point]
        return BLOCK * (float(widths.sum()) * self.node_seconds + widths.size * self.layer_seconds)

    def nodes(self, point: int) -> int:
        """Return the width of the widest layer, inputs included."""
        return int(max(self.widths[point].max(), self.fan_ins[point].max()))

    @abc.abstractmethod
    def carried_bytes(self, point: int) -> int:
        """Return the bytes of the state of one trial."""

    @abc.abstractmethod
    def prepare(self) -> None:
        """Compile the kernels, or load them from the cache."""

    def collector(self, task: Task, bins: Bins | None, nodes: int | None = None) -> Collector:
        """Return empty statistics for a task, of its blocks or of so many nodes."""
        run = self.run_plan
        one = statistics.empty_moments(run.depth, self.layers.size, run.columns)
        moments = Moments(*(np.zeros((nodes or task.blocks, *array.shape)) for array in one))
        first = bins is None
        if bins is None:
            shape = (run.depth, self.chosen.histogram.size)
            bins = Bins(np.zeros(shape), np.zeros(shape))
        return Collector(
            moments=moments,
            bins=bins,
            histogram=statistics.zero_histogram(run.depth, run.bins, run.columns),
            first=first,
            kept=np.full((self.keeps(task), run.depth, self.chosen.kept.size), np.nan),
            layers=self.layers,
            values=np.full((self.chosen.covariance.size, BLOCK, self.layers.size), np.nan),
            chosen=self.chosen,
        )

    def keeps(self, task: Task) -> int:
        """Return how many trials of a task, its first ones, have trajectories that are kept."""
        run = self.run_plan
        return max(0, min(task.trials, run.first_trial + run.kept - task.first_block * BLOCK))

    @abc.abstractmethod
    def run(self, task: Task, bins: Bins | None, signals: Signals) -> TaskResult:
        """Run a task in the calling thread."""

    def release(self) -> None:
        """Free what tasks have left for the next ones; in the thread that ran them."""
        return

    def twin(self) -> Any:
        """Return a sampler with room of its own, for a second thread of a GPU; None if useless."""
        return None

    def run_tasks(
        self, tasks: Sequence[tuple[Task, Bins | None]], signals: Signals
    ) -> list[TaskResult]:
        """Run tasks, each with the bins of its point."""
        return [self.run(task, bins, signals) for task, bins in tasks]

    def result(self, task: Task, collector: Collector) -> TaskResult:
        """Return the statistics of a finished collector."""
        moments = Moments(*(array[0].copy() for array in collector.moments))
        return TaskResult(task, moments, collector.histogram, collector.bins, collector.kept)


class BlockSampler(TaskSampler):
    """A sampler on the CPU, which takes trials through layers a segment at a time."""

    # --- what each sampler defines ---------------------------------------------------------------

    def carry(self, point: int, trials: int) -> Any:
        """Return room for the states of trials between layers: a sequence, one item for each.

        By default float64 of shape (trial, numbers).
        """
        return np.empty((trials, self.carried_bytes(point) // 8))

    @abc.abstractmethod
    def advance(
        self,
        point: int,
        first_trial: int,
        layer0: int,
        carried: Any,
        rows: Floats,
        signals: Signals,
    ) -> None:
        """Take consecutive trials through consecutive layers, releasing the GIL.

        `layer0` counts from 0. `carried` is from `carry`: a state for every trial; or a single
        one, where the trials go through all layers in this call, one after the other. `rows` is
        written: shape (trial, layer, column), NaN where undefined. The call returns early once
        `signals.stop` is set; its results are then discarded.
        """

    # --- tasks -----------------------------------------------------------------------------------

    def blocks_per_task(self, point: int) -> int:
        """Return a power of two, for tasks of about 0.2 s that need at most 8 MiB."""
        by_time = TASK_SECONDS / self.seconds_per_block(point)
        by_memory = TASK_BYTES / (self.run_plan.depth * self.run_plan.columns.count * 24)
        return 1 << max(0, int(np.log2(max(1.0, min(by_time, by_memory)))))

    def run(self, task: Task, bins: Bins | None, signals: Signals) -> TaskResult:
        """Run a task in the calling thread."""
        collector = self.collector(task, bins)
        controls, widths = self.controls.of(task.point), self.widths[task.point]
        for block in range(task.blocks):
            trials = min(BLOCK, task.trials - block * BLOCK)
            first = (task.first_block + block) * BLOCK
            carried = self.carry(task.point, self.places(task.point, trials))
            follow.start(controls)
            for layer0, rows in self._segments(task.point, trials):
                self.advance(task.point, first, layer0, carried, rows, signals)
                if signals.stop[0]:
                    return self.result(task, collector)
                if self.controls.pairs:  # else it need not even be compiled
                    follow.follow(controls, widths, layer0, rows)
                statistics.collect(collector, block, layer0, rows)
            statistics.finish_block(collector, block, trials)
        statistics.join_blocks(collector, task.blocks)
        return self.result(task, collector)

    def run_shared(
        self, task: Task, bins: Bins | None, signals: Signals, pool: Executor, threads: int
    ) -> TaskResult:
        """Run a task of one block with all threads, each with some of its trials."""
        collector = self.collector(task, bins)
        controls, widths = self.controls.of(task.point), self.widths[task.point]
        follow.start(controls)
        places = self.places(task.point, task.trials)
        carried = self.carry(task.point, places if places > 1 else min(threads, task.trials))
        for layer0, rows in self._segments(task.point, task.trials):
            self.share_trials(task, layer0, carried, rows, signals, pool, threads)
            if signals.stop[0]:
                return self.result(task, collector)
            if self.controls.pairs:
                follow.follow(controls, widths, layer0, rows)
            statistics.collect(collector, 0, layer0, rows)
        statistics.finish_block(collector, 0, task.trials)
        return self.result(task, collector)

    def share_trials(
        self,
        task: Task,
        layer0: int,
        carried: Any,
        rows: Floats,
        signals: Signals,
        pool: Executor,
        threads: int,
    ) -> None:
        """Take the trials of a block through a segment, shared by the threads."""
        first, before = task.first_block * BLOCK, int(signals.progress[0])
        parts = np.array_split(np.arange(task.trials), min(threads, task.trials))
        places = parts if len(carried) == task.trials else [np.array([i]) for i in range(threads)]
        counters = [Signals.sharing(signals.stop) for _ in parts]
        futures = [
            pool.submit(
                self.advance,
                task.point,
                first + int(part[0]),
                layer0,
                carried[place[0] : place[-1] + 1],
                rows[part[0] : part[-1] + 1],
                counter,
            )
            for part, place, counter in zip(parts, places, counters, strict=False)
        ]
        running = True
        while running:
            running = bool(wait(futures, timeout=LOOK_SECONDS).not_done)
            signals.progress[0] = before + sum(int(c.progress[0]) for c in counters)
        for future in futures:
            future.result()

    def places(self, point: int, trials: int) -> int:
        """Return the number of states to carry for a block: one for each trial, or a single one.

        One is enough where a segment holds all layers.
        """
        return 1 if self._segment(point, trials) == self.run_plan.depth else trials

    def _segment(self, point: int, trials: int) -> int:
        """Return the number of layers of a segment, so that rows and states stay small."""
        per_layer = trials * self.run_plan.columns.count * 8
        if per_layer * self.run_plan.depth <= max(
            SEGMENT_BYTES, trials * self.carried_bytes(point)
        ):
            return self.run_plan.depth
        return max(1, SEGMENT_BYTES // per_layer)

    def _segments(self, point: int, trials: int) -> Iterator[tuple[int, Floats]]:
        """Yield the first layer of each segment and an array for its rows."""
        depth, segment = self.run_plan.depth, self._segment(point, trials)
        for layer0 in range(0, depth, segment):
            layers = min(segment, depth - layer0)
            yield layer0, np.empty((trials, layers, self.run_plan.columns.count))


def activations(run: Run) -> list[str | None]:
    """Return slopes for each type of kernel that a run needs: of ReLU, and of all others."""
    relu = any(point.slopes == RELU for point in run.points)
    return [None] * relu + ["1,0.5"] * has_slopes(run)

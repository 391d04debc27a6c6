"""Driver of the pair sampler on the CPU: allocates, launches, shares a block between threads."""

from __future__ import annotations

import itertools
from concurrent.futures import Executor, ThreadPoolExecutor, wait

import numpy as np
import numpy.typing as npt

from ..moments import (
    Bins,
    Collector,
    Moments,
    collect,
    empty_moments,
    finish_block,
    zero_histogram,
)
from ..observables import COVARIANCE, HISTOGRAMMED, NAMES
from ..plan import BLOCK, KEPT, Run, Task
from . import pair
from .contract import Signals, TaskResult

__all__ = ["PairSampler"]

NODE_SECONDS, LAYER_SECONDS = 3.5e-9, 5e-7
"""Rough costs of a node and of a layer on one core; they size tasks and touch no result."""

TASK_SECONDS = 0.2
TASK_BYTES = 8 * 2**20
SEGMENT_SECONDS = 0.25
MAX_SEGMENT = 32
"""Layers taken at a time: 64 trials of them stay in the second-level cache."""

SHARED_WIDTH = 2**17
"""From this width on, threads may share each layer of a block, and not its trials."""

FEW_TRIALS = 4
"""They do where a thread would get fewer trials than this: else some would wait for others."""


class PairSampler:
    """The pair sampler on the CPU (`contract.Sampler`).

    Parameters
    ----------
    run
        The run to sample.
    """

    def __init__(self, run: Run) -> None:
        self.run_plan = run
        self.widths = [point.layer_widths(run.depth) for point in run.points]
        self.physics = [pair.Physics.of(point) for point in run.points]
        self.layers = np.array(run.covariance_layers, dtype=np.int64) - 1

    def prepare(self) -> None:
        """Compile the kernels, or load them from the cache, by running one trial every way."""
        signals = Signals.sharing(np.zeros(1, dtype=np.int64))
        with ThreadPoolExecutor(1) as pool:
            for width in (1, SHARED_WIDTH):
                tiny = PairSampler(Run(depth=1, width=(width,), trials=1, keep=0, bins=1))
                task = Task(0, 0, 1, 1)
                tiny.run_shared(task, None, signals, pool, 1)
        tiny.run(task, None, signals)

    def seconds_per_block(self, point: int) -> float:
        """Return a rough estimate of one thread's time for a block of 64 trials."""
        widths = self.widths[point]
        return BLOCK * (float(widths.sum()) * NODE_SECONDS + widths.size * LAYER_SECONDS)

    def blocks_per_task(self, point: int) -> int:
        """Return a power of two: tasks of about 0.2 s that need at most 8 MiB."""
        by_time = TASK_SECONDS / self.seconds_per_block(point)
        by_memory = TASK_BYTES / (self.run_plan.depth * len(NAMES) * 24)
        return 1 << max(0, int(np.log2(max(1.0, min(by_time, by_memory)))))

    def run(self, task: Task, bins: Bins | None, signals: Signals) -> TaskResult:
        """Run a task in the calling thread."""
        collector = self._collector(task, bins)
        pair.run_blocks(
            self.physics[task.point],
            self.widths[task.point],
            task.first_block * BLOCK,
            task.trials,
            MAX_SEGMENT,
            collector,
            signals.stop,
            signals.progress,
        )
        return self._result(task, collector)

    def run_shared(
        self, task: Task, bins: Bins | None, signals: Signals, pool: Executor, threads: int
    ) -> TaskResult:
        """Run one block with all threads: each takes some trials, or a part of each wide layer."""
        collector = self._collector(task, bins)
        states = np.empty((task.trials, pair.STATE))
        pair.start(self.physics[task.point], states)
        widths = self.widths[task.point]
        segment = self._segment(task, threads)
        for layer0 in range(0, widths.size, segment):
            rows = np.empty((task.trials, min(segment, widths.size - layer0), len(NAMES)))
            wide = widths[layer0 : layer0 + rows.shape[1]].min() >= SHARED_WIDTH
            if wide and task.trials < FEW_TRIALS * threads:
                self._share_layers(task, layer0, states, rows, signals, pool, threads)
            else:
                self._share_trials(task, layer0, states, rows, signals, pool, threads)
            if signals.stop[0]:
                break
            collect(collector, 0, layer0, rows)
        else:
            finish_block(collector, 0, task.trials)
        return self._result(task, collector)

    def _segment(self, task: Task, threads: int) -> int:
        """Return how many layers to take between looks at the clock."""
        per_layer = self.seconds_per_block(task.point) / (self.run_plan.depth * threads)
        return max(1, min(MAX_SEGMENT, int(SEGMENT_SECONDS / per_layer)))

    def _share_trials(
        self,
        task: Task,
        layer0: int,
        states: npt.NDArray[np.float64],
        rows: npt.NDArray[np.float64],
        signals: Signals,
        pool: Executor,
        threads: int,
    ) -> None:
        first = task.first_block * BLOCK
        parts = np.array_split(np.arange(task.trials), min(threads, task.trials))
        counters = [np.zeros(1, dtype=np.int64) for _ in parts]
        futures = [
            pool.submit(
                pair.advance,
                self.physics[task.point],
                self.widths[task.point],
                first + int(part[0]),
                layer0,
                states[part[0] : part[-1] + 1],
                rows[part[0] : part[-1] + 1],
                signals.stop,
                counter,
            )
            for part, counter in zip(parts, counters, strict=True)
        ]
        wait(futures)
        for future, counter in zip(futures, counters, strict=True):
            future.result()
            signals.progress[0] += counter[0]

    def _share_layers(
        self,
        task: Task,
        layer0: int,
        states: npt.NDArray[np.float64],
        rows: npt.NDArray[np.float64],
        signals: Signals,
        pool: Executor,
        threads: int,
    ) -> None:
        physics, widths = self.physics[task.point], self.widths[task.point]
        totals = np.empty(pair.TOTALS)
        for t in range(task.trials):
            trial = task.first_block * BLOCK + t
            for j in range(rows.shape[1]):
                width = widths[layer0 + j]
                chunks = -(-int(width) // pair.CHUNK)
                sums = np.empty((chunks, pair.SUMS * pair.LANES), dtype=np.float32)
                flags = np.empty((chunks, pair.LANES), dtype=np.int32)
                bounds = np.linspace(0, chunks, threads + 1).astype(int)
                futures = [
                    pool.submit(
                        pair.chunk_range,
                        physics,
                        trial,
                        layer0 + j + 1,
                        width,
                        int(low),
                        states[t],
                        sums[low:high],
                        flags[low:high],
                        signals.stop,
                    )
                    for low, high in itertools.pairwise(bounds)
                ]
                wait(futures)
                for future in futures:
                    future.result()
                if signals.stop[0]:
                    return
                pair.fold_range(sums, flags, totals)
                pair.finish_layer(physics, width, totals, states[t], rows[t, j])
                signals.progress[0] += width

    def _collector(self, task: Task, bins: Bins | None) -> Collector:
        run = self.run_plan
        one = empty_moments(run.depth, self.layers.size)
        moments = Moments(*(np.zeros((task.blocks, *array.shape)) for array in one))
        first = bins is None
        if bins is None:
            shape = (run.depth, len(HISTOGRAMMED))
            bins = Bins(np.zeros(shape), np.zeros(shape))
        kept = max(0, min(task.trials, run.first_trial + run.kept - task.first_block * BLOCK))
        return Collector(
            moments=moments,
            bins=bins,
            histogram=zero_histogram(run.depth, run.bins),
            first=first,
            kept=np.full((kept, run.depth, len(KEPT)), np.nan),
            layers=self.layers,
            values=np.full((len(COVARIANCE), BLOCK, self.layers.size), np.nan),
        )

    def _result(self, task: Task, collector: Collector) -> TaskResult:
        moments = Moments(*(array[0].copy() for array in collector.moments))
        return TaskResult(task, moments, collector.histogram, collector.bins, collector.kept)

"""Driver of the pair sampler on the CPU: allocates, launches, shares a block between threads."""

from __future__ import annotations

import itertools
from concurrent.futures import Executor, ThreadPoolExecutor, wait

import numpy as np

from simcore.numerics.lanes import LANES
from simcore.runs.run import Run
from simcore.sampling.contract import Signals, TaskResult
from simcore.sampling.control.way_back import GradientControls
from simcore.sampling.driver import BlockSampler, Floats, activations
from simcore.statistics.blocks import BLOCK, Task
from simcore.statistics.moments import Bins

from . import cpu_back_kernels as back
from . import cpu_kernels as pair
from . import physics as of_pairs
from .sums import CHUNK, SUMS, TOTALS

SEGMENT = 32
"""Layers taken at a time in one thread: 64 trials of them stay in the second-level cache."""

LONG_BLOCK = 0.1
"""Seconds of a block from which on Python may loop over segments: one kernel less to compile."""

SHARED_WIDTH = 2**17
"""From this width on, threads may share each layer of a block, and not its trials."""

FEW_TRIALS = 4
"""They do where a thread would get fewer trials than this: else some would wait for others."""


class PairSampler(BlockSampler):
    """The pair sampler of Gaussian ensembles on the CPU (`contract.Sampler`)."""

    node_seconds, layer_seconds = 3.5e-9, 5e-7

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.physics = [of_pairs.Physics.of(point) for point in run.points]

    def prepare(self) -> None:
        """Compile the kernels, or load them from the cache, by running one trial every way."""
        for slopes in activations(self.run_plan):
            self._prepare(slopes)

    def _prepare(self, slopes: str | None) -> None:
        signals = Signals.sharing()
        task = Task(0, 0, 1, 1)
        tiny = _tiny(1, slopes)
        state = np.empty((1, of_pairs.STATE))
        tiny.advance(0, 0, 0, state, np.empty((1, 1, tiny.run_plan.columns.count)), signals)
        with ThreadPoolExecutor(1) as pool:
            tiny.run_shared(task, None, signals, pool, 1)
            if max(int(widths.max()) for widths in self.widths) >= SHARED_WIDTH:
                _tiny(SHARED_WIDTH, slopes).run_shared(task, None, signals, pool, 1)
        self.controls.coefficients(0)  # `beside` has compiled what they need in the meantime
        if any(self._is_long(point) for point in range(len(self.widths))):
            BlockSampler.run(tiny, task, None, signals)
        if not all(self._is_long(point) for point in range(len(self.widths))):
            tiny.run(task, None, signals)

    def _is_long(self, point: int) -> bool:
        return self.seconds_per_block(point) >= LONG_BLOCK

    def _segment(self, point: int, trials: int) -> int:
        """Return a number of layers that stay in the second-level cache."""
        return min(SEGMENT, super()._segment(point, trials))

    def places(self, point: int, trials: int) -> int:
        """Carry all trials: their states are small."""
        return trials

    def carried_bytes(self, point: int) -> int:
        """Return the size of a state."""
        return 8 * of_pairs.STATE

    def advance(
        self,
        point: int,
        first_trial: int,
        layer0: int,
        carried: Floats,
        rows: Floats,
        signals: Signals,
    ) -> None:
        """Take trials through layers, with a state for each."""
        physics, widths = self.physics[point], self.widths[point]
        if layer0 == 0:
            of_pairs.start(physics, carried)
        stop, progress = signals.stop, signals.progress
        pair.advance(physics, widths, first_trial, layer0, carried, rows, stop, progress)

    def run(self, task: Task, bins: Bins | None, signals: Signals) -> TaskResult:
        """Run a task in the calling thread: all in one compiled call, where blocks are short."""
        if self._is_long(task.point):
            return super().run(task, bins, signals)
        collector = self.collector(task, bins)
        physics, widths = self.physics[task.point], self.widths[task.point]
        trials = task.first_block * BLOCK, task.trials
        controls = self.controls.of(task.point)
        watched = signals.stop, signals.progress
        pair.run_blocks(physics, widths, *trials, SEGMENT, controls, collector, watched)
        return self.result(task, collector)

    def share_trials(
        self,
        task: Task,
        layer0: int,
        carried: Floats,
        rows: Floats,
        signals: Signals,
        pool: Executor,
        threads: int,
    ) -> None:
        """Give each thread some trials; or a part of each layer, if layers are wide, trials few."""
        widths = self.widths[task.point][layer0 : layer0 + rows.shape[1]]
        if widths.min() >= SHARED_WIDTH and task.trials < FEW_TRIALS * threads:
            self._share_layers(task, layer0, carried, rows, signals, pool, threads)
        else:
            super().share_trials(task, layer0, carried, rows, signals, pool, threads)

    def _share_layers(
        self,
        task: Task,
        layer0: int,
        states: Floats,
        rows: Floats,
        signals: Signals,
        pool: Executor,
        threads: int,
    ) -> None:
        physics, widths = self.physics[task.point], self.widths[task.point]
        if layer0 == 0:
            of_pairs.start(physics, states)
        totals = np.empty(TOTALS)
        for t in range(task.trials):
            trial = task.first_block * BLOCK + t
            for j in range(rows.shape[1]):
                width = widths[layer0 + j]
                chunks = -(-int(width) // CHUNK)
                sums = np.empty((chunks, SUMS * LANES), dtype=np.float32)
                flags = np.empty((chunks, LANES), dtype=np.int32)
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
                of_pairs.finish_layer(physics, width, totals, states[t], rows[t, j])
                signals.progress[0] += width


class PairGradientSampler(PairSampler):
    """The pair sampler of Gaussian ensembles on the CPU, forward and back (`--gradients`).

    A segment holds all layers, and a trial goes through them in one thread.
    """

    node_seconds, layer_seconds = 3.5 * PairSampler.node_seconds, 3.5 * PairSampler.layer_seconds

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.variates = GradientControls(run)

    def prepare(self) -> None:
        """Compile the kernels, or load them from the cache, by running one trial."""
        depth, columns = 2, self.run_plan.columns
        state, rows = np.empty((1, of_pairs.STATE)), np.empty((1, depth, columns.count))
        for slopes in activations(self.run_plan):
            run = Run(depth=depth, width=(1,), trials=1, keep=0, gradients=True, slopes=slopes)
            PairGradientSampler(run).advance(0, 0, 0, state, rows, Signals.sharing())
        self.controls.coefficients(0)

    def _segment(self, point: int, trials: int) -> int:
        """Return all layers."""
        return self.run_plan.depth

    def advance(
        self,
        point: int,
        first_trial: int,
        layer0: int,
        carried: Floats,
        rows: Floats,
        signals: Signals,
    ) -> None:
        """Take trials through all layers and back."""
        physics, widths = self.physics[point], self.widths[point]
        of_pairs.start(physics, carried)
        variates, forward = self.variates.coefficients(point), len(self.run_plan.columns.forward)
        given = physics, widths, first_trial, variates
        back.there_and_back(*given, carried, rows, forward, signals.stop, signals.progress)

    def run(self, task: Task, bins: Bins | None, signals: Signals) -> TaskResult:
        """Run a task in the calling thread."""
        return BlockSampler.run(self, task, bins, signals)

    def share_trials(
        self,
        task: Task,
        layer0: int,
        carried: Floats,
        rows: Floats,
        signals: Signals,
        pool: Executor,
        threads: int,
    ) -> None:
        """Give each thread some trials."""
        BlockSampler.share_trials(self, task, layer0, carried, rows, signals, pool, threads)


def _tiny(width: int, slopes: str | None) -> PairSampler:
    return PairSampler(Run(depth=1, width=(width,), trials=1, keep=0, bins=1, slopes=slopes))

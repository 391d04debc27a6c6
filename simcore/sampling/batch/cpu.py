"""Driver of the batch samplers on the CPU: many inputs through one network, layer by layer.

``gram`` draws each layer from its exact law, ``dense`` draws every weight. The rest of a layer is
common to both.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from simcore.numerics.kernels import njit
from simcore.numerics.rng import ROOM
from simcore.physics.activation import Sent
from simcore.runs.costs import BACK_COSTS, sampler_costs
from simcore.runs.run import Run
from simcore.sampling.contract import Signals
from simcore.sampling.driver import BlockSampler, activations
from simcore.sampling.pair.way_back import add_up
from simcore.statistics.blocks import BLOCK, Task

from . import cpu_kernels as kernels
from . import dense, gram, way_back
from .common import BatchFacts
from .cpu_kernels import Batch, Floats, Trial
from .cpu_observe import finish_layer

LAYER_SECONDS = 3e-5
"""Rough overhead of a layer."""


class _SingleThreadedBlas:
    """Limits BLAS to one thread while a task uses it, since tasks have threads of their own.

    threadpoolctl lets a single thread of the process set OpenBLAS and silently ignores all others,
    so that its claim is cleared before each setting.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self.before: list[int] = []

    @cached_property
    def libraries(self) -> list[Any]:
        """Every BLAS of the process, SciPy's included."""
        import scipy.linalg.cython_lapack  # noqa: F401 - loads its library

        return list(ThreadpoolController().select(user_api="blas").lib_controllers)

    def _set(self, threads: list[int]) -> None:
        for library, number in zip(self.libraries, threads, strict=True):
            if hasattr(library, "clear_controlling_thread"):
                library.clear_controlling_thread(force=True)
            library.set_num_threads(number)

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self.lock:
            self.users += 1
            if self.users == 1:
                self.before = [library.num_threads for library in self.libraries]
                self._set([1] * len(self.before))
        try:
            yield
        finally:
            with self.lock:
                self.users -= 1
                if self.users == 0:
                    self._set(self.before)


_single_threaded_blas = _SingleThreadedBlas()


@njit(nogil=True, cache=True)
def _fused_layers(trial, slopes, layer0, rows, stop, progress):
    """Take a trial of few columns through layers of explicit weights, all in compiled code."""
    for k in range(rows.shape[0]):
        layer = kernels.open_layer(trial, layer0 + k)
        kernels.layer_factor(layer)
        dense.fused_layer(layer, stop)
        if stop[0]:
            return
        finish_layer(layer, slopes, rows[k])
        progress[0] += layer.h.shape[1]


class BatchSampler(BatchFacts, BlockSampler):
    """Inputs of one network through its layers together (`contract.Sampler`).

    For a shared network, or a single pair with explicit weights.
    """

    def __init__(self, run: Run) -> None:
        BlockSampler.__init__(self, run)
        BatchFacts.__init__(self, run)
        self.fused = run.sampler == "dense" and self.columns <= dense.FUSED_COLUMNS
        self.step: Callable[[kernels.Layer, Signals], gram.Factors | None] = gram.gram_layer
        if run.sampler == "dense":
            self.step = dense.dense_layer

    def prepare(self) -> None:
        """Load the inputs; compile the kernels, or load them from the cache, with a small trial."""
        if self.inputs is not None:
            ones = np.ones((2, 3))
            kernels.start_inputs(ones, ones[:1], ones[0, :1], Batch.room(3, 1, 3))
        for slopes in activations(self.run_plan):
            small = self.small_run(1 if self.fused else dense.FUSED_COLUMNS, slopes)
            BatchSampler(small).run(Task(0, 0, 1, 1), None, Signals.sharing())

    def seconds_per_block(self, point: int) -> float:
        """Return a rough estimate of the time of one thread for a block of 64 trials."""
        run = self.run_plan
        seconds = sampler_costs(run)[run.sampler] + run.depth * LAYER_SECONDS
        return BLOCK * seconds * (1.0 + BACK_COSTS[run.sampler] * run.gradients)

    def carry(self, point: int, trials: int) -> list[Batch]:
        """Return room for the signals of trials."""
        return [Batch.room(self.columns, self.pairs, self.nodes(point)) for _ in range(trials)]

    def carried_bytes(self, point: int) -> int:
        """Return the bytes of the state of one trial."""
        return 8 * (self.columns * (2 * self.nodes(point) + 2) + 6 * self.pairs)

    def advance(
        self,
        point: int,
        first_trial: int,
        layer0: int,
        carried: Sequence[Batch],
        rows: Floats,
        signals: Signals,
    ) -> None:
        """Take trials through layers, one trial after the other."""
        words = np.empty((4, ROOM), dtype=np.uint32)
        room = np.empty(self.columns * (self.nodes(point) + 1))
        sizes = self.fan_ins[point], self.widths[point]
        with _single_threaded_blas():
            for t in range(rows.shape[0]):
                batch, number = carried[t % len(carried)], first_trial + t
                if layer0 == 0:
                    self._start(point, number, batch, words)
                trial = Trial(self.laws[point], self.pairing, batch, *sizes, number, room, words)
                slopes = self.slopes[point]
                if self.fused:
                    _fused_layers(trial, slopes, layer0, rows[t], signals.stop, signals.progress)
                else:
                    self._layers(trial, slopes, layer0, rows[t], signals)
                if signals.stop[0]:
                    return

    def _start(self, point: int, trial: int, batch: Batch, words: npt.NDArray[np.uint32]) -> None:
        """Set a trial to its inputs."""
        if self.inputs is not None:
            kernels.start_inputs(*self.inputs, batch)
            return
        p, law = self.run_plan.points[point], self.laws[point]
        distances = np.array(p.distances)
        kernels.start_pairs(law, p.inputs_n, p.q0, distances, trial, batch, words)

    def _layers(
        self, trial: Trial, slopes: Sent, layer0: int, rows: Floats, signals: Signals
    ) -> None:
        """Take a trial through layers, with BLAS between the kernels."""
        for k in range(rows.shape[0]):
            layer = kernels.opened(trial, layer0 + k)
            kernels.layer_factor(layer)
            self.step(layer, signals)
            if signals.stop[0]:
                return
            finish_layer(layer, slopes, rows[k])
            signals.progress[0] += layer.h.shape[1]


class BatchGradientSampler(BatchSampler):
    """Inputs of one network through its layers and back (`--gradients`).

    A segment holds all layers; what `way_back.Kept` has of them stays in memory for one network.
    """

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        if self.fused:
            self.fused, self.step = False, _fused_step

    def prepare(self) -> None:
        """Load the inputs; compile the kernels, or load them from the cache, with a small trial."""
        super().prepare()
        pairs = 1 if self.step is _fused_step else dense.FUSED_COLUMNS
        for slopes in activations(self.run_plan):
            small = self.small_run(pairs, slopes, gradients=True)
            BatchGradientSampler(small).run(Task(0, 0, 1, 1), None, Signals.sharing())

    def _segment(self, point: int, trials: int) -> int:
        """Return all layers."""
        return self.run_plan.depth

    def _layers(
        self, trial: Trial, slopes: Sent, layer0: int, rows: Floats, signals: Signals
    ) -> None:
        """Take a trial through all layers and back."""
        kept: list[way_back.Kept] = []
        forward = np.empty((len(rows), self.forward.size))
        reads = np.ones((self.pairing.inputs, trial.fan_ins[0]), np.bool_)
        for k in range(len(rows)):
            layer = kernels.opened(trial, k)
            lengths = way_back.lengths(layer, slopes, self.second, reads)
            kernels.layer_factor(layer)
            factors = self.step(layer, signals)
            if signals.stop[0]:
                return
            if factors is not None:
                factors.keep()
            reads = way_back.active_nodes(layer)
            kept.append(way_back.Kept(layer, reads, lengths, factors))
            finish_layer(layer, slopes, forward[k])
            signals.progress[0] += layer.h.shape[1]
        rows[:, self.forward] = forward
        back = np.empty((len(rows), *self.back.shape))
        way_back.go_back(kept, slopes, self.second, back, signals)
        for p, columns in enumerate(self.back):
            of_pair = np.ascontiguousarray(back[:, p])
            add_up(of_pair)
            rows[:, columns] = of_pair


def _fused_step(layer: kernels.Layer, signals: Signals) -> None:
    """Take a layer of few columns through explicit weights."""
    dense.fused_layer(layer, signals.stop)

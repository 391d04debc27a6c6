"""Driver of the batch samplers on a CUDA device: many trials at once, layer by layer.

Random numbers come from `cuda_kernels`, products and factorisations from cuBLAS and cuSOLVER
through CuPy; the rest is the array code of `arrays` and `draws`. The random numbers have the bytes
of the CPU, results agree with those of the CPU to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from simcore.numerics.rng import Stream
from simcore.runs.costs import BACK_COSTS
from simcore.runs.run import Run
from simcore.sampling.contract import Signals
from simcore.sampling.cuda.device import DeviceArray
from simcore.sampling.cuda.driver import CudaBlockSampler, Device
from simcore.statistics.blocks import BLOCK, Task

from . import arrays_back
from . import draws as batch_draws
from .array_death import add_hazards
from .array_observe import finish_layer
from .arrays import (
    Array,
    Group,
    Pairs,
    leaks,
    sigma_b_of,
    start_inputs,
    start_pairs,
)
from .common import BatchFacts
from .physics import Law, tie_bound

WEIGHT_SECONDS, PRODUCT_SECONDS, FACTOR_SECONDS = 5e-12, 5e-14, 5e-13
"""Rough costs on a full device of a variate, an operation of a product and one of a factorisation;
they size tasks only."""

FACTOR_START_SECONDS, NUMBER_SECONDS = 2e-4, 2e-10
"""Rough costs of starting a factorisation, and of a number of a signal in all other steps of a
layer."""

COPIES = 16
"""Largest number of arrays of the size of the signals at one time: 11 with NumPy, the rest for
workspaces of libraries."""

TILE_SHARE = 0.25
"""Largest share of free device memory for a tile of variates."""

TILE_BYTES = 2**31
"""Largest tile of variates, enough to fill any device."""

DEFAULT_MATH = 0
"""cuBLAS's mode (cublasMath_t) in which products of float32 matrices round as IEEE's do."""


class ArrayDevice(Device):
    """A device that runs array code, too: through CuPy and Numba, both on its default stream."""

    def __init__(self) -> None:
        super().__init__()
        import cupy

        self.xp: Any = cupy

    def as_array(self, array: Any) -> Array:
        """Return the CuPy array in the memory of an array for kernels."""
        return self.xp.asarray(array)

    def for_kernel(self, array: Array) -> Any:
        """Return the array in the memory of a contiguous CuPy array, for a kernel.

        There is no need to wait: CuPy's stream and that of the thread wait for each other.
        """
        return DeviceArray(array, array.data.ptr, array.shape, array.dtype)

    @contextmanager
    def multiplying(self) -> Iterator[None]:
        """Keep products of float32 in IEEE arithmetic meanwhile, whatever CUPY_TF32 says."""
        cuda = self.xp.cuda
        handle = cuda.device.get_cublas_handle()
        before = cuda.cublas.getMathMode(handle)
        cuda.cublas.setMathMode(handle, DEFAULT_MATH)
        try:
            yield
        finally:
            cuda.cublas.setMathMode(handle, before)

    def room(self, shape: tuple[int, ...], kind: npt.DTypeLike = np.float64) -> Any:
        """Return an array on the device; CuPy frees its pool first where the array is large."""
        if 2 * math.prod(shape) * np.dtype(kind).itemsize > super().free_bytes():
            self.xp.get_default_memory_pool().free_all_blocks()
        return super().room(shape, kind)

    def free_bytes(self) -> int:
        """Return the free memory of the device in bytes, the pool of CuPy included."""
        return super().free_bytes() + int(self.xp.get_default_memory_pool().free_bytes())


@dataclass(frozen=True)
class KernelSource:
    """Draws of consecutive trials by the kernels (`arrays.Source`)."""

    device: ArrayDevice
    law: Law
    first_trial: int
    trials: int

    def variates(
        self, law: int, parameter: float, stream: int, rows: range, columns: int, layer: int
    ) -> Array:
        """Return standardised variates, float32, shape (B, rows, columns)."""
        from . import cuda_kernels as kernels

        xp = self.device.xp
        out = xp.empty((self.trials, len(rows), columns), dtype=xp.float32)
        threads = kernels.threads_of_rows(len(rows), columns, law)
        draw = kernels.Draw.of(law, parameter, stream, layer, self._key)
        self._launch(kernels.fill, threads, draw, rows.start, self.first_trial, out)
        return out

    def choices(self, nodes: int, n: int, layer: int) -> tuple[Array, Array]:
        """Return replaced indices and the weights in their place, shape (B, nodes)."""
        from . import cuda_kernels as kernels

        xp, shape = self.device.xp, (self.trials, nodes)
        index, beta = xp.empty(shape, dtype=xp.int64), xp.empty(shape, dtype=xp.float64)
        threads = kernels.threads_of_choices(nodes)
        draw = kernels.Draw.of(0, 0.0, int(Stream.REPLACEMENT), layer, self._key)
        self._launch(kernels.choose, threads, draw, n, self.first_trial, index, beta)
        return index, beta

    @property
    def _key(self) -> tuple[np.uint64, np.uint64]:
        return self.law.key0, self.law.key1

    def _launch(self, kernel: Any, threads: int, draw: Any, *arguments: Any) -> None:
        from . import cuda_kernels as kernels

        blocks = kernels.blocks_of(self.trials, threads)
        numbers = [a for a in arguments if isinstance(a, int)]
        arrays = [self.device.for_kernel(a) for a in arguments if not isinstance(a, int)]
        self.device.launch(kernel, blocks, kernels.THREADS, draw, *numbers, *arrays)


@dataclass
class Carried:
    """State of trials on the device, between calls of `make_rows`."""

    group: Group


class BatchCudaSampler(BatchFacts, CudaBlockSampler):
    """Inputs of one network through its layers together, on a CUDA device (`contract.Sampler`).

    For a shared network, or a single pair with explicit weights.
    """

    held = (*CudaBlockSampler.held, "_pairs", "_inputs")

    def __init__(self, run: Run, device: ArrayDevice | None = None) -> None:
        CudaBlockSampler.__init__(self, run, device)
        BatchFacts.__init__(self, run)
        explicit = run.sampler == "dense"
        self.step = batch_draws.dense_layer if explicit else batch_draws.gram_layer

    @property
    def device(self) -> ArrayDevice:
        """The device; looking at it for the first time may start CUDA."""
        if self._given is None:
            self._given = ArrayDevice()
        given: Any = self._given
        return given  # type: ignore[no-any-return]

    @cached_property
    def _pairs(self) -> Pairs:
        return Pairs(self.device.xp.asarray(self.pairing.first), *self.pairing[1:])

    @cached_property
    def _inputs(self) -> tuple[Array, ...]:
        """The inputs of a file, the residuals of the pairs and their κ, on the device."""
        return tuple(self.device.xp.asarray(array) for array in self.inputs or ())

    def prepare(self) -> None:
        """Compile the kernels, or load them from the caches, with a small trial."""
        small = self.small_run(1, None)
        signals = Signals.sharing()
        BatchCudaSampler(small, self.device).run(Task(0, 0, 1, 1), None, signals)

    def twin(self) -> None:
        """Return None: all work of CuPy is in the default stream, for which all others wait."""

    def seconds_per_block(self, point: int) -> float:
        """Return a rough estimate of the time for a block of 64 trials, with many others."""
        n, width = self.fan_ins[point].astype(float), self.widths[point].astype(float)
        rank = np.minimum(n + 1, self.columns)
        seconds = NUMBER_SECONDS * self.columns * (n + width)
        if self.run_plan.sampler == "gram":
            seconds += FACTOR_START_SECONDS + FACTOR_SECONDS * 2 * n * self.columns * rank
            drawn = rank * width
        else:
            drawn = n * width
        seconds += drawn * (WEIGHT_SECONDS + 2 * self.columns * PRODUCT_SECONDS)
        return float(BLOCK * seconds.sum())

    def carried_bytes(self, point: int) -> int:
        """Return an estimate of the memory of a trial, in bytes."""
        return 8 * COPIES * self.columns * (self.nodes(point) + 1)

    def start(self, point: int, first_trial: int, trials: int) -> Carried:
        """Return trials at their inputs."""
        xp, run = self.device.xp, self.run_plan
        if run.inputs is not None:
            return Carried(start_inputs(xp, trials, *self._inputs))
        p = run.points[point]
        source = KernelSource(self.device, self.laws[point], first_trial, trials)
        distances = xp.asarray(np.array(p.distances))
        return Carried(start_pairs(xp, source, trials, p.inputs_n, p.q0, distances))

    def make_rows(
        self, point: int, first_trial: int, layer0: int, carried: Carried, rows: Any
    ) -> None:
        """Take trials through layers together."""
        xp, law = self.device.xp, self.laws[point]
        shown = self.device.as_array(rows)
        trials, layers, _ = shown.shape
        source = KernelSource(self.device, law, first_trial, trials)
        group, room = carried.group, self._tile_bytes() // trials
        with self.device.multiplying():
            for j in range(layers):
                drawn = self._drawn(point, layer0 + j, room)
                group, h, _ = self.step(xp, law, self._pairs, group, source, *drawn, xp.float32)
                group, shown[:, j, :] = self._finished(point, group, h, *drawn)
        carried.group = group

    def _finished(
        self, point: int, group: Group, h: Array, layer: int, width: int, _: int
    ) -> tuple[Group, Array]:
        """Return the group after a layer, from its pre-activations, and the layer's observables."""
        xp, columns = self.device.xp, self.run_plan.columns
        law, slopes = self.laws[point], self.slopes[point]
        if columns.hazards and not leaks(slopes):
            group = add_hazards(xp, law, self._pairs, group, layer, width)
        return finish_layer(xp, slopes, self._pairs, group, h, columns)

    def _drawn(self, point: int, layer: int, room: int) -> tuple[int, int, int]:
        """Return a layer's number from 1, its width, and its nodes drawn at a time."""
        n, width = int(self.fan_ins[point][layer]), int(self.widths[point][layer])
        return layer + 1, width, self._tile(self.laws[point], room, n, width)

    def _tile_bytes(self) -> int:
        """Return the memory for the variates of all trials at a time, in bytes."""
        return int(min(TILE_BYTES, TILE_SHARE * self.device.free_bytes()))

    def _tile(self, law: Law, room: int, n: int, width: int) -> int:
        """Return the number of nodes whose variates are drawn at a time."""
        drawn = n if self.run_plan.sampler == "dense" else min(n + 1, self.columns)
        replaced = self.run_plan.sampler == "gram" and law.asymmetric
        ties = tie_bound(law, sigma_b_of(law, n)) > 0.0
        moved = self.run_plan.gradients and law.asymmetric
        each = drawn * (4 + (40 if replaced else 0) + (8 if ties else 0) + (24 if moved else 0))
        return max(1, min(width, room // each))


class BatchGradientCudaSampler(BatchCudaSampler):
    """Inputs of one network through its layers and back, on a CUDA device (`--gradients`)."""

    whole = True
    held = (*BatchCudaSampler.held, "_places")

    @cached_property
    def _places(self) -> tuple[Array, Array, Array]:
        """Second inputs of the pairs, columns of the way forward and of the way back."""
        places = self.second, self.forward, self.back
        one, two, three = (self.device.xp.asarray(each) for each in places)
        return one, two, three

    def prepare(self) -> None:
        """Compile the kernels, or load them from the caches, with a small trial."""
        small = self.small_run(1, None, gradients=True)
        sampler = BatchGradientCudaSampler(small, self.device)
        sampler.run(Task(0, 0, 1, 1), None, Signals.sharing())

    def seconds_per_block(self, point: int) -> float:
        """Return a rough estimate of the time for a block of 64 trials, with many others."""
        return super().seconds_per_block(point) * (1.0 + BACK_COSTS[self.run_plan.sampler])

    def carried_bytes(self, point: int) -> int:
        """Return an estimate of the memory of a trial and of all its layers, in bytes."""
        nodes = self.nodes(point)
        masks, lengths = self.pairing.inputs * nodes, 5 * 8 * self.pairs
        factors = 8 * self.columns * (nodes + 2) if self.run_plan.sampler == "gram" else 0
        return super().carried_bytes(point) + self.run_plan.depth * (masks + lengths + factors)

    def make_rows(
        self, point: int, first_trial: int, layer0: int, carried: Carried, rows: Any
    ) -> None:
        """Take trials through all layers together, and back."""
        xp, law, pairs = self.device.xp, self.laws[point], self._pairs
        slopes = self.slopes[point]
        second, forward, back = self._places
        shown = self.device.as_array(rows)
        trials, layers, _ = shown.shape
        source = KernelSource(self.device, law, first_trial, trials)
        group, room, kept = carried.group, self._tile_bytes() // trials, []
        active = None
        with self.device.multiplying():
            for j in range(layers):
                number, _, tile = drawn = self._drawn(point, j, room)
                reads = arrays_back.lengths(xp, slopes, pairs, second, group, active)
                group, h, factors = self.step(xp, law, pairs, group, source, *drawn, xp.float32)
                active = arrays_back.active_nodes(xp, pairs, group, h)
                fan_in = int(self.fan_ins[point][j])
                kept.append(arrays_back.Kept(number, fan_in, tile, active, reads, factors))
                group, shown[:, j, forward] = self._finished(point, group, h, *drawn)
            found = arrays_back.go_back(xp, law, slopes, pairs, source, kept, second, xp.float32)
        shown[:, :, back] = found

"""What the drivers of all samplers on a CUDA device share: it allocates, launches, copies.

A launch takes a whole number of blocks of trials through some layers; the rows of observables come
back to the host, where the statistics are those of the CPU samplers. While the device works on one
launch, the host takes in the rows of the one before. A sampler of its own says how its trials start
(`start`), how rows are made of them (`make_rows`) and what that costs.
"""

from __future__ import annotations

import abc
import warnings
from collections.abc import Iterator
from concurrent.futures import Executor
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from ..errors import DeviceError
from ..moments import Bins, Collector, collect, finish_block, join_blocks
from ..plan import BLOCK, Run, Task
from .blocks import BlockSampler, Floats
from .contract import Signals, TaskResult

__all__ = ["CudaBlockSampler", "CudaDevice", "Device", "Piece"]

TASK_SECONDS = 0.2
ROWS_BYTES = 256 * 2**20
"""Room for the rows of a launch, on the device and on the host."""

SHARE = 0.25
"""Of the free memory of the device, rows and what trials carry take at most so much."""


class Device(Protocol):
    """What a driver needs of a device. Its arrays have a shape and can be sliced, as NumPy's."""

    def put(self, array: npt.NDArray[Any]) -> Any:
        """Return a copy of an array on the device."""
        ...

    def room(self, shape: tuple[int, ...]) -> Any:
        """Return an array of float64 on the device, not initialised."""
        ...

    def get(self, array: Any, into: npt.NDArray[Any]) -> None:
        """Copy from the device to an array, after what was launched before."""
        ...

    def launch(self, kernel: Any, blocks: int, threads: int, *arguments: Any) -> None:
        """Start a kernel, what `cuda.jit` has made, after those before; it may return at once."""
        ...

    def free_bytes(self) -> int:
        """Return how much memory of the device is free."""
        ...


class CudaDevice:
    """The current CUDA device, through Numba."""

    def __init__(self) -> None:
        from numba import cuda
        from numba.cuda.core.errors import NumbaPerformanceWarning

        self._cuda: Any = cuda
        self._too_few_blocks: type[Warning] = NumbaPerformanceWarning

    def put(self, array: npt.NDArray[Any]) -> Any:
        """Return a copy of an array on the device."""
        return self._cuda.to_device(array)

    def room(self, shape: tuple[int, ...]) -> Any:
        """Return an array of float64 on the device, not initialised."""
        return self._cuda.device_array(shape, np.float64)

    def get(self, array: Any, into: npt.NDArray[Any]) -> None:
        """Copy from the device to an array, after what was launched before."""
        array.copy_to_host(into)

    def launch(self, kernel: Any, blocks: int, threads: int, *arguments: Any) -> None:
        """Start a kernel; it returns at once."""
        with warnings.catch_warnings():
            # Numba thinks a few blocks a mistake, and a run may have no more trials.
            warnings.simplefilter("ignore", self._too_few_blocks)
            configured = kernel[blocks, threads]
        configured(*arguments)

    def free_bytes(self) -> int:
        """Return how much memory of the device is free."""
        return int(self._cuda.current_context().get_memory_info().free)


class Piece(NamedTuple):
    """What one launch does: trials of a task from its block `block` on, layers from `layer0` on.

    `places` of the trials go through the layers at a time: all of them, unless what they carry
    leaves room for fewer.
    """

    block: int
    trials: int
    layer0: int
    layers: int
    places: int


class CudaBlockSampler(BlockSampler):
    """A sampler (`contract.Sampler`) whose trials go through their layers on a CUDA device.

    Parameters
    ----------
    run
        The run to sample.
    device
        Where to run the kernels; None is the current CUDA device.

    Raises
    ------
    DeviceError
        If a launch needs more memory than the device has free.
    """

    def __init__(self, run: Run, device: Device | None = None) -> None:
        super().__init__(run)
        self._given = device

    @property
    def device(self) -> Device:
        """The device; looking at it for the first time may start CUDA."""
        if self._given is None:
            self._given = CudaDevice()
        return self._given

    # --- what a sampler says of itself -----------------------------------------------------------

    def start(self, point: int, first_trial: int, trials: int) -> Any:
        """Return what trials carry before their first layer, shape (trial, numbers), on the device.

        Room that is not initialised, unless a sampler does otherwise.
        """
        return self.device.room((trials, self.carried_bytes(point) // 8))

    @abc.abstractmethod
    def make_rows(self, point: int, first_trial: int, layer0: int, carried: Any, rows: Any) -> None:
        """Launch what takes consecutive trials through consecutive layers; it need not wait.

        Parameters
        ----------
        point
            Number of the point.
        first_trial, layer0
            Number of the first trial, and of the first layer from 0.
        carried
            On the device: from `start`, and then as the layers before have left it.
        rows
            On the device, written: shape (trial, layer, column), NaN where undefined.
        """

    # --- tasks -----------------------------------------------------------------------------------

    def blocks_per_task(self, point: int) -> int:
        """Return a power of two: tasks of about 0.2 s that need one launch."""
        by_time = TASK_SECONDS / self.seconds_per_block(point)
        by_memory = ROWS_BYTES / (BLOCK * self.run_plan.depth * self._row_bytes)
        return 1 << max(0, int(np.log2(max(1.0, min(by_time, by_memory)))))

    def run(self, task: Task, bins: Bins | None, signals: Signals) -> TaskResult:
        """Run a task; the calling thread drives the device."""
        collector = self.collector(task, bins)
        before: tuple[Piece, Floats] | None = None
        for piece, rows in self._launched(task, signals):
            if before is not None:
                self._take_in(collector, *before)
            if signals.stop[0]:
                return self.result(task, collector)
            host = np.empty(rows.shape)
            self.device.get(rows, host)
            before = (piece, host)
        if before is not None:
            self._take_in(collector, *before)
        join_blocks(collector, task.blocks)
        return self.result(task, collector)

    def run_shared(
        self, task: Task, bins: Bins | None, signals: Signals, pool: Executor, threads: int
    ) -> TaskResult:
        """Run a task; more threads are of no use to a device."""
        return self.run(task, bins, signals)

    def _launched(self, task: Task, signals: Signals) -> Iterator[tuple[Piece, Any]]:
        """Start the launches of a task one after the other, and yield the rows of each."""
        widths = self.widths[task.point]
        carried = rows = None
        for piece in self._pieces(task):
            first = (task.first_block + piece.block) * BLOCK
            if rows is None or rows.shape[:2] != (piece.trials, piece.layers):
                rows = self.device.room((piece.trials, piece.layers, self.run_plan.columns.count))
            for t in range(0, piece.trials, piece.places):
                part = rows[t : t + piece.places]
                if piece.layer0 == 0:
                    carried = self.start(task.point, first + t, part.shape[0])
                self.make_rows(task.point, first + t, piece.layer0, carried, part)
            yield piece, rows
            taken = widths[piece.layer0 : piece.layer0 + piece.layers]
            signals.progress[0] += piece.trials * int(taken.sum())

    def _take_in(self, collector: Collector, piece: Piece, rows: Floats) -> None:
        """Add the rows of a launch to the statistics, block by block."""
        last = piece.layer0 + piece.layers == self.run_plan.depth
        for i in range(0, piece.trials, BLOCK):
            part = rows[i : i + BLOCK]
            collect(collector, piece.block + i // BLOCK, piece.layer0, part)
            if last:
                finish_block(collector, piece.block + i // BLOCK, part.shape[0])

    # --- cutting tasks into launches -------------------------------------------------------------

    @property
    def _row_bytes(self) -> int:
        """Size of the columns of a layer of a trial."""
        return 8 * self.run_plan.columns.count

    def _pieces(self, task: Task) -> Iterator[Piece]:
        """Cut a task into launches: many blocks and all layers, or one block and some layers."""
        blocks, layers, places = self._cut(task.point, min(BLOCK, task.trials))
        depth = self.run_plan.depth
        for block in range(0, task.blocks, blocks):
            trials = min(blocks * BLOCK, task.trials - block * BLOCK)
            for layer0 in range(0, depth, layers):
                yield Piece(block, trials, layer0, min(layers, depth - layer0), places)

    def _cut(self, point: int, trials: int) -> tuple[int, int, int]:
        """Return how many blocks, a power of two, layers and places of trials to take at a time.

        `trials` is how many a block has. Where what they carry fits for some of them only, these go
        through all layers before the next begin.
        """
        free, depth = self.device.free_bytes(), self.run_plan.depth
        room, carried, row = int(SHARE * free), self.carried_bytes(point), self._row_bytes
        blocks = min(ROWS_BYTES // (BLOCK * depth * row), room // (BLOCK * (depth * row + carried)))
        if blocks:
            blocks = 1 << (blocks.bit_length() - 1)
            return blocks, depth, blocks * BLOCK
        layers = min(ROWS_BYTES, room - trials * carried) // (trials * row)
        if layers > 0:
            return 1, min(layers, depth), trials
        places = (room - trials * depth * row) // carried
        if places > 0:
            return 1, depth, places
        raise DeviceError(
            "device",
            "cuda",
            f"has {free / 2**20:.3g} MiB of memory free, too little for one layer of a block",
            "End other programs on it, choose another with CUDA_VISIBLE_DEVICES,"
            " or use --device cpu.",
        )

    # --- the contract of BlockSampler ------------------------------------------------------------

    def advance(
        self,
        point: int,
        first_trial: int,
        layer0: int,
        carried: Floats,
        rows: Floats,
        signals: Signals,
    ) -> None:
        """Take trials through layers, what they carry and their rows on the host."""
        begins = layer0 == 0
        there = self.start(point, first_trial, len(carried)) if begins else self.device.put(carried)
        made = self.device.room(rows.shape)
        self.make_rows(point, first_trial, layer0, there, made)
        self.device.get(made, rows)
        self.device.get(there, carried)

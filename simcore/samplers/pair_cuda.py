"""Driver of the pair sampler on a CUDA device: allocates, launches, copies.

A launch takes a whole number of blocks of trials through some layers (`pair_kernels.advance`); the
rows of observables come back to the host, where the statistics are those of the CPU sampler. While
the device works on one launch, the host takes in the rows of the one before.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from concurrent.futures import Executor
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from ..ensembles import ASYMMETRIC
from ..errors import DeviceError
from ..moments import Bins, Collector, collect, finish_block, join_blocks
from ..plan import BLOCK, Run, Task
from . import pair
from .blocks import BlockSampler, Floats
from .contract import Signals, TaskResult
from .observe import COLUMNS

__all__ = ["CudaDevice", "Device", "PairCudaSampler"]

NODE_SECONDS, LAYER_SECONDS = 1e-11, 2e-9
"""Rough costs of a node and of a trial's layer on a device that is full; they size tasks only."""

TASK_SECONDS = 0.2
ROWS_BYTES = 256 * 2**20
"""Room for the rows of a launch, on the device and on the host."""

SHARE = 0.25
"""Of the free memory of the device the rows take at most so much."""


class Device(Protocol):
    """What the driver needs of a device."""

    def put(self, array: npt.NDArray[Any]) -> Any:
        """Return a copy of an array on the device."""
        ...

    def room(self, shape: tuple[int, ...]) -> Any:
        """Return an array of float64 on the device, not initialised."""
        ...

    def get(self, array: Any, into: Floats) -> None:
        """Copy from the device to an array, after what was launched before."""
        ...

    def launch(self, trials: int, *arguments: Any) -> None:
        """Start `pair_kernels.advance` for so many trials; it may return at once."""
        ...

    def free_bytes(self) -> int:
        """Return how much memory of the device is free."""
        ...


class CudaDevice:
    """The current CUDA device, through Numba."""

    def __init__(self) -> None:
        from numba import cuda
        from numba.cuda.core.errors import NumbaPerformanceWarning

        from . import pair_kernels

        self._cuda: Any = cuda
        self._too_few_blocks: type[Warning] = NumbaPerformanceWarning
        self._kernels: Any = pair_kernels

    def put(self, array: npt.NDArray[Any]) -> Any:
        """Return a copy of an array on the device."""
        return self._cuda.to_device(array)

    def room(self, shape: tuple[int, ...]) -> Any:
        """Return an array of float64 on the device, not initialised."""
        return self._cuda.device_array(shape, np.float64)

    def get(self, array: Any, into: Floats) -> None:
        """Copy from the device to an array, after what was launched before."""
        array.copy_to_host(into)

    def launch(self, trials: int, *arguments: Any) -> None:
        """Start the kernel; it returns at once."""
        with warnings.catch_warnings():
            # Numba thinks a few blocks a mistake, and a run may have no more trials.
            warnings.simplefilter("ignore", self._too_few_blocks)
            configured = self._kernels.advance[trials, self._kernels.THREADS]
        configured(*arguments)

    def free_bytes(self) -> int:
        """Return how much memory of the device is free."""
        return int(self._cuda.current_context().get_memory_info().free)


class Piece(NamedTuple):
    """What one launch does: trials of a task from its block `block` on, layers from `layer0` on."""

    block: int
    trials: int
    layer0: int
    layers: int


class PairCudaSampler(BlockSampler):
    """The pair sampler of Gaussian ensembles on a CUDA device (`contract.Sampler`).

    Its bytes are those of `pair_cpu.PairSampler`.

    Parameters
    ----------
    run
        The run to sample.
    device
        Where to run the kernel; None is the current CUDA device.

    Raises
    ------
    DeviceError
        If the run is of another kind, or a launch needs more memory than the device has free.
    """

    def __init__(self, run: Run, device: Device | None = None) -> None:
        super().__init__(run)
        if run.ensemble in ASYMMETRIC or run.shared or run.sampler == "dense":
            kind = run.ensemble if run.ensemble in ASYMMETRIC else run.sampler
            raise DeviceError(
                "device",
                "cuda",
                f"samples he and correlated pairs in networks of their own, not {kind}",
                "Use --device cpu.",
            )
        self.physics = [pair.Physics.of(point) for point in run.points]
        self._given = device

    @property
    def device(self) -> Device:
        """The device; looking at it for the first time may start CUDA."""
        if self._given is None:
            self._given = CudaDevice()
        return self._given

    def prepare(self) -> None:
        """Compile the kernel and those of the statistics, by running one trial."""
        tiny = PairCudaSampler(Run(depth=1, width=(1,), trials=1, keep=0, bins=1), self.device)
        tiny.run(Task(0, 0, 1, 1), None, Signals.sharing(np.zeros(1, dtype=np.int64)))

    def seconds_per_block(self, point: int) -> float:
        """Return a rough estimate of the time for a block of 64 trials, with many others."""
        widths = self.widths[point]
        return BLOCK * (float(widths.sum()) * NODE_SECONDS + widths.size * LAYER_SECONDS)

    def blocks_per_task(self, point: int) -> int:
        """Return a power of two: tasks of about 0.2 s that need one launch."""
        by_time = TASK_SECONDS / self.seconds_per_block(point)
        by_memory = ROWS_BYTES / (BLOCK * self.run_plan.depth * COLUMNS * 8)
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
            host = np.empty((piece.trials, piece.layers, COLUMNS))
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
        on_device = self.device.put(widths)
        states = rows = None
        for piece in self._pieces(task):
            if piece.layer0 == 0:
                host = np.empty((piece.trials, pair.STATE))
                pair.start(self.physics[task.point], host)
                states = self.device.put(host)
            if rows is None or rows.shape[:2] != (piece.trials, piece.layers):
                rows = self.device.room((piece.trials, piece.layers, COLUMNS))
            self.device.launch(
                piece.trials,
                self.physics[task.point],
                on_device,
                (task.first_block + piece.block) * BLOCK,
                piece.layer0,
                states,
                rows,
            )
            yield piece, rows
            taken = widths[piece.layer0 : piece.layer0 + piece.layers]
            signals.progress[0] += piece.trials * int(taken.sum())

    def _pieces(self, task: Task) -> Iterator[Piece]:
        """Cut a task into launches: many blocks and all layers, or one block and some layers."""
        depth, room = self.run_plan.depth, self._rows_of_trials()
        blocks = max(1, room // (BLOCK * depth))
        layers = min(depth, room // BLOCK)
        for block in range(0, task.blocks, blocks):
            trials = min(blocks * BLOCK, task.trials - block * BLOCK)
            for layer0 in range(0, depth, layers):
                yield Piece(block, trials, layer0, min(layers, depth - layer0))

    def _rows_of_trials(self) -> int:
        """Return for how many layers of one trial there is room, at least one of a block."""
        free = self.device.free_bytes()
        room = int(min(ROWS_BYTES, SHARE * free)) // (8 * COLUMNS)
        if room < BLOCK:
            raise DeviceError(
                "device",
                "cuda",
                f"has {free / 2**20:.3g} MiB of memory free, too little for one layer of a block",
                "End other programs on it, choose another with CUDA_VISIBLE_DEVICES,"
                " or use --device cpu.",
            )
        return room

    def _take_in(self, collector: Collector, piece: Piece, rows: Floats) -> None:
        """Add the rows of a launch to the statistics, block by block."""
        last = piece.layer0 + piece.layers == self.run_plan.depth
        for i in range(0, piece.trials, BLOCK):
            part = rows[i : i + BLOCK]
            collect(collector, piece.block + i // BLOCK, piece.layer0, part)
            if last:
                finish_block(collector, piece.block + i // BLOCK, part.shape[0])

    # --- the contract of BlockSampler ------------------------------------------------------------

    def carry(self, point: int, trials: int) -> Floats:
        """Return the states of trials, shape (trial, STATE)."""
        return np.empty((trials, pair.STATE))

    def carried_bytes(self, point: int) -> int:
        """Return the size of one."""
        return 8 * pair.STATE

    def advance(
        self,
        point: int,
        first_trial: int,
        layer0: int,
        carried: Floats,
        rows: Floats,
        signals: Signals,
    ) -> None:
        """Take trials through layers, their states and rows on the host."""
        if layer0 == 0:
            pair.start(self.physics[point], carried)
        states, made = self.device.put(carried), self.device.room(rows.shape)
        widths = self.device.put(self.widths[point])
        self.device.launch(
            carried.shape[0], self.physics[point], widths, first_trial, layer0, states, made
        )
        self.device.get(made, rows)
        self.device.get(states, carried)

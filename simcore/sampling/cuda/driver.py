"""Driver of all samplers on a CUDA device: it cuts tasks into launches.

A launch takes a whole number of blocks of trials through some layers; `statistics` reduces the rows
of observables where they are. Each sampler defines how its trials start (`start`), how rows are
made of them (`make_rows`), and what that costs.
"""

from __future__ import annotations

import abc
from collections.abc import Collection, Iterator
from concurrent.futures import Executor
from typing import Any

import numpy as np

from simcore.errors import DeviceError
from simcore.runs.run import Run
from simcore.sampling.contract import Signals, TaskResult
from simcore.sampling.driver import TaskSampler
from simcore.statistics.blocks import BLOCK, Task
from simcore.statistics.moments import Bins, join_blocks

from .controls import DeviceControls, carried_bytes, coefficient_bytes
from .device import Device
from .statistics import DeviceStatistics, Piece

__all__ = ["CudaBlockSampler", "Device"]

TASK_SECONDS = 0.2
"""Of a task, and roughly of a launch; a run can stop between launches only."""

ROWS_BYTES = 256 * 2**20
"""Room for the rows of a launch, on the device."""

SHARE = 0.25
"""The largest share of free device memory that rows, states and controls of trials may take."""


class CudaBlockSampler(TaskSampler):
    """A sampler (`contract.Sampler`) whose trials go through their layers on a CUDA device.

    Without a device given it is the current one. Running raises DeviceError if a launch needs more
    memory than the device has free.
    """

    whole = False
    """Whether trials have to go through all layers in one launch."""

    def __init__(self, run: Run, device: Device | None = None) -> None:
        super().__init__(run)
        self._given = device

    @property
    def device(self) -> Device:
        """The device; looking at it for the first time may start CUDA."""
        if self._given is None:
            self._given = Device()
        return self._given

    def only_pairs(self, ensembles: Collection[str]) -> None:
        """Raise DeviceError unless the run has such pairs in networks of their own."""
        run = self.run_plan
        fits = run.ensemble in ensembles
        if not fits or run.shared or run.sampler == "dense":
            other = run.sampler if fits else run.ensemble
            rule = f"samples {' and '.join(ensembles)} pairs in networks of their own, not {other}"
            raise DeviceError("device", "cuda", rule, "Use --device cpu.")

    # --- what each sampler defines ---------------------------------------------------------------

    def start(self, point: int, first_trial: int, trials: int) -> Any:
        """Return the states of trials before their first layer, (trial, numbers), on the device.

        Not initialised by default.
        """
        return self.device.room((trials, self.carried_bytes(point) // 8))

    @abc.abstractmethod
    def make_rows(self, point: int, first_trial: int, layer0: int, carried: Any, rows: Any) -> None:
        """Launch the kernels that take trials through layers, which are then on their way.

        `layer0` counts from 0. On the device: `carried`, from `start`, then changed by each layer;
        and `rows`, written, shape (trial, layer, column), NaN where undefined.
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
        statistics = DeviceStatistics(self.device, collector)
        widths, rows, carried = self.widths[task.point], None, None
        coefficients = self.controls.coefficients(task.point)
        pair = len(self.run_plan.columns.of_pair)
        controls = DeviceControls(self.device, coefficients, widths, pair)
        pieces = 0
        for piece in self._pieces(task):
            if signals.stop[0]:
                return self.result(task, collector)
            shape = (piece.trials, piece.layers, self.run_plan.columns.count)
            if rows is None or rows.shape != shape:
                rows = self.device.room(shape)
            carried = self._launch(task, piece, carried, rows)
            pieces += piece.layer0 == 0
            controls.take(piece, rows)
            statistics.take(piece, rows, pieces - 1)
            taken = widths[piece.layer0 : piece.layer0 + piece.layers]
            signals.progress[0] += piece.trials * int(taken.sum())
        join_blocks(collector, pieces)
        return self.result(task, collector)

    def run_shared(
        self, task: Task, bins: Bins | None, signals: Signals, pool: Executor, threads: int
    ) -> TaskResult:
        """Run a task in the calling thread: a device has no use for more."""
        return self.run(task, bins, signals)

    def _launch(self, task: Task, piece: Piece, carried: Any, rows: Any) -> Any:
        """Launch the kernels for the rows of a piece; return the states of its trials."""
        first = (task.first_block + piece.block) * BLOCK
        for t in range(0, piece.trials, piece.places):
            part = rows[t : t + piece.places]
            if piece.layer0 == 0:
                carried = self.start(task.point, first + t, part.shape[0])
            self.make_rows(task.point, first + t, piece.layer0, carried, part)
        return carried

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
        """Return the blocks (a power of two), layers and places of trials of a launch.

        A block has `trials` trials. Where only some of their states fit, these go through all
        layers before the next begin.
        """
        free, depth = self.device.free_bytes(), self.run_plan.depth
        carried, row, pairs = self.carried_bytes(point), self._row_bytes, self.controls.pairs
        room, controls = int(SHARE * free) - coefficient_bytes(pairs, depth), carried_bytes(pairs)
        trial = depth * row + controls
        blocks = min(ROWS_BYTES // (BLOCK * depth * row), room // (BLOCK * (trial + carried)))
        in_time = max(1, int(depth * TASK_SECONDS / self.seconds_per_block(point)))
        if blocks > 0 and (self.whole or in_time >= depth):
            blocks = 1 << (blocks.bit_length() - 1)
            return blocks, depth, blocks * BLOCK
        layers = min(ROWS_BYTES, room - trials * (carried + controls)) // (trials * row)
        if layers > 0 and not self.whole:
            return 1, min(layers, depth, in_time), trials
        places = (room - trials * trial) // carried
        if places > 0:
            return 1, depth, places
        least = "one network and back" if self.whole else "one layer of a block"
        raise DeviceError(
            "device",
            "cuda",
            f"has {free / 2**20:.3g} MiB of memory free, too little for {least}",
            "End other programs on it, choose another with CUDA_VISIBLE_DEVICES,"
            " or use --device cpu.",
        )

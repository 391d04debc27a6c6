"""Driver of all samplers on a CUDA device: it puts tasks into launches.

A launch takes whole tasks, of one or several points, through all layers; or, where a task has no
room, some of its blocks, or a block through some of the layers. `statistics` reduces the rows of
observables where they are. Each sampler defines how its trials start (`start`), how rows are made
of them (`make_rows`), and what that costs.
"""

from __future__ import annotations

import abc
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Executor
from functools import cache, cached_property
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from simcore.errors import DeviceError
from simcore.physics.slopes import RELU
from simcore.runs.run import Run
from simcore.sampling.contract import Signals, TaskResult
from simcore.sampling.driver import TaskSampler
from simcore.statistics.blocks import BLOCK, Task
from simcore.statistics.moments import Bins

from .controls import DeviceControls, carried_bytes, coefficient_bytes
from .device import Device, Rooms
from .pieces import Gathered, Part, Piece
from .statistics import DeviceStatistics

__all__ = ["CudaBlockSampler", "Device"]

TASK_SECONDS = 0.2
"""Of a task, and roughly of a launch; a run can stop between launches only."""

ROWS_BYTES = 2**31
"""Room for the rows of a launch, on the device."""

SHARE = 0.25
"""The largest share of free device memory that rows, states and controls of trials may take."""


class Cut(NamedTuple):
    """Launches of a point: of so many blocks (a power of two), layers and places of trials.

    `most`: how many blocks would fit, 0 where not all layers of one do. `share`: that of what
    belongs to a further point.
    """

    blocks: int
    layers: int
    places: int
    most: float
    share: float = 0.0


class CudaBlockSampler(TaskSampler):
    """A sampler (`contract.Sampler`) whose trials go through their layers on a CUDA device.

    Without a device given it is the current one. Running raises DeviceError if a launch needs more
    memory than the device has free.
    """

    whole = False
    """Whether trials have to go through all layers in one launch."""

    held: tuple[str, ...] = ("rooms", "_statistics", "_controls")
    """Cached properties that have arrays on the device."""

    def __init__(self, run: Run, device: Device | None = None) -> None:
        super().__init__(run)
        self._given = device
        self._alone = Lock()  # threads of a worker would write to the same arrays

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

    def twin(self) -> CudaBlockSampler | None:
        """Return a sampler of the run with room of its own on the device, for a second thread."""
        other = type(self)(self.run_plan, self._given)
        other.controls = self.controls
        return other

    # --- tasks -----------------------------------------------------------------------------------

    def blocks_per_task(self, point: int) -> int:
        """Return a power of two: tasks of about 0.2 s that need one launch."""
        by_time = TASK_SECONDS / self.seconds_per_block(point)
        by_memory = ROWS_BYTES / (BLOCK * self.run_plan.depth * self._row_bytes)
        return 1 << max(0, int(np.log2(max(1.0, min(by_time, by_memory)))))

    def run(self, task: Task, bins: Bins | None, signals: Signals) -> TaskResult:
        """Run a task; the calling thread drives the device, and holds nothing on it afterwards."""
        with self._alone:
            try:
                return self.run_tasks([(task, bins)], signals)[0]
            finally:
                self.release()

    def run_tasks(
        self, tasks: Sequence[tuple[Task, Bins | None]], signals: Signals
    ) -> list[TaskResult]:
        """Run tasks, each with the bins of its point, in as few launches as there is room for."""
        cut = cache(self._cut)
        ours = []
        for task, bins in tasks:
            launches = cut(task.point, min(BLOCK, task.trials))
            nodes = -(-task.blocks // launches.blocks)
            ours.append((Gathered(self, task, bins, nodes), launches))
        carried = None
        for piece in self._pieces(ours):
            if signals.stop[0]:
                break
            carried = self._take(piece, carried)
            for part in piece.parts:
                taken = self.widths[part.point][piece.of_layers]
                signals.progress[0] += part.trials * int(taken.sum())
        return [gathered.result() for gathered, _ in ours]

    def release(self) -> None:
        """Free all arrays on the device, for which CUDA needs the thread that has its context."""
        for name in self.held:
            self.__dict__.pop(name, None)

    def run_shared(
        self, task: Task, bins: Bins | None, signals: Signals, pool: Executor, threads: int
    ) -> TaskResult:
        """Run a task in the calling thread: a device has no use for more."""
        return self.run(task, bins, signals)

    def _take(self, piece: Piece, carried: Any) -> Any:
        """Take the trials of a piece through its layers, into its collectors; return their states.

        `carried` has the states after the piece before, where it is of the same trials.
        """
        sent = self._statistics.send(piece)
        blocks, rows = sent.there["blocks"], sent.there["rows"]
        carried = self._launch(piece, blocks, carried, rows)
        if self.controls.pairs:
            points = {part.point for part in piece.parts}
            self._controls.take(points, blocks, piece.layer0, rows)
        self._statistics.take(piece, sent)
        return carried

    def _launch(self, piece: Piece, blocks: Any, carried: Any, rows: Any) -> Any:
        """Launch the kernels for the rows of a piece; return the states of its trials.

        `blocks` is its table (`pieces`) on the device.
        """
        for s in piece.stretches():
            for t in range(0, s.trials, piece.places):
                part = rows[s.row + t : s.row + min(t + piece.places, s.trials)]
                if piece.layer0 == 0:
                    carried = self.start(s.point, s.first_trial + t, part.shape[0])
                self.make_rows(s.point, s.first_trial + t, piece.layer0, carried, part)
        return carried

    @cached_property
    def rooms(self) -> Rooms:
        """Arrays on the device that launches use again."""
        return Rooms(self.device)

    @cached_property
    def _controls(self) -> DeviceControls:
        of_pair = len(self.run_plan.columns.of_pair)
        return DeviceControls(self.device, self.rooms, self.controls, self.widths, of_pair)

    @cached_property
    def _statistics(self) -> DeviceStatistics:
        run = self.run_plan
        shape = run.depth, run.columns.count, run.bins
        return DeviceStatistics(self.device, self.rooms, self.chosen, self.layers, shape)

    # --- cutting tasks into launches -------------------------------------------------------------

    @property
    def _row_bytes(self) -> int:
        """Size of the columns of a layer of a trial."""
        return 8 * self.run_plan.columns.count

    def _pieces(self, tasks: Sequence[tuple[Gathered, Cut]]) -> Iterator[Piece]:
        """Put tasks into launches: many blocks and all layers, or one block and some layers."""
        depth, together, share = self.run_plan.depth, list[Part](), 0.0
        for gathered, cut in tasks:
            task = gathered.task
            for node, block in enumerate(range(0, task.blocks, cut.blocks)):
                trials = min(cut.blocks * BLOCK, task.trials - block * BLOCK)
                part = Part(gathered, node, task.first_block + block, block, trials)
                own = part.blocks / cut.most if cut.most else 1.0
                others = [part.point for part in together]
                further = cut.share if others and part.point not in others else 0.0
                if together and (share + own + further > 1.0 or not self._alike(part, together[0])):
                    yield Piece.of(together, depth)
                    together, share, further = [], 0.0, 0.0
                if cut.most:
                    together, share = [*together, part], share + own + further
                    continue
                for layer0 in range(0, depth, cut.layers):
                    layers = min(cut.layers, depth - layer0)
                    yield Piece([part], layer0, layers, cut.places)
        if together:
            yield Piece.of(together, depth)

    def _alike(self, *parts: Part) -> bool:
        """Return whether the points of parts have the same types of kernels: all ReLU, or none."""
        return len({self.run_plan.points[part.point].slopes == RELU for part in parts}) == 1

    def _cut(self, point: int, trials: int) -> Cut:
        """Return the launches of a point.

        A block has `trials` trials. Where only some of their states fit, these go through all
        layers before the next begin.
        """
        free, depth = self.device.free_bytes() + self.rooms.bytes, self.run_plan.depth
        carried, row, pairs = self.carried_bytes(point), self._row_bytes, self.controls.pairs
        room, controls = int(SHARE * free) - coefficient_bytes(pairs, depth), carried_bytes(pairs)
        trial = depth * row + controls
        most = min(ROWS_BYTES / (BLOCK * depth * row), room / (BLOCK * (trial + carried)))
        in_time = max(1, int(depth * TASK_SECONDS / self.seconds_per_block(point)))
        if most >= 1.0 and (self.whole or in_time >= depth):
            blocks = 1 << (int(most).bit_length() - 1)
            return Cut(blocks, depth, blocks * BLOCK, most, coefficient_bytes(pairs, depth) / room)
        layers = min(ROWS_BYTES, room - trials * (carried + controls)) // (trials * row)
        if layers > 0 and not self.whole:
            return Cut(1, min(layers, depth, in_time), trials, 0)
        places = (room - trials * trial) // carried
        if places > 0:
            return Cut(1, depth, places, 0)
        least = "one network and back" if self.whole else "one layer of a block"
        raise DeviceError(
            "device",
            "cuda",
            f"has {free / 2**20:.3g} MiB of memory free, too little for {least}",
            "End other programs on it, choose another with CUDA_VISIBLE_DEVICES,"
            " or use --device cpu.",
        )

"""Driver of the pair sampler on a CUDA device: how trials start, and what is launched for them.

One thread block takes a trial through its layers, all of them in one launch. Where trials are too
few for that to fill the device and a layer is wide, many blocks sum the layer of each trial.
"""

from __future__ import annotations

import itertools
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from simcore.numerics.lanes import LANES
from simcore.runs.run import Run
from simcore.sampling.contract import Signals
from simcore.sampling.control.way_back import GradientControls
from simcore.sampling.cuda.device import put_all
from simcore.sampling.cuda.driver import CudaBlockSampler, Device
from simcore.sampling.cuda.pieces import Piece, table_of
from simcore.sampling.driver import activations
from simcore.statistics.blocks import BLOCK, Task

from . import physics as of_pairs
from .sums import CHUNK, SLOTS, SUMS, TOTALS
from .way_back import TRACE

WIDE = 2**18
"""From this width on, several blocks may share a trial's layer: its three launches then pay."""

FILL = 4
"""They do where each multiprocessor would get at most so many trials, half of what it can hold."""

SUMS_BYTES = 64 * 2**20
"""Room for the sums of chunks; trials take turns where they are more, or one has more by itself."""


class Room(NamedTuple):
    """Sums of a layer on the device, in the order of `cuda_wide_kernels`."""

    sums: Any
    counts: Any
    totals: Any


class PairCudaSampler(CudaBlockSampler):
    """The pair sampler of Gaussian ensembles on a CUDA device: the bytes of `cpu.PairSampler`.

    Raises DeviceError if the run is of another kind.
    """

    node_seconds, layer_seconds = 4.3e-12, 2.5e-9
    held = (*CudaBlockSampler.held, "_points")

    def __init__(self, run: Run, device: Device | None = None) -> None:
        super().__init__(run, device)
        self.only_pairs(("he", "correlated"))
        self.physics = [of_pairs.Physics.of(point) for point in run.points]

    def prepare(self) -> None:
        """Compile the kernels by running two blocks of 64 nodes, and a wide layer if one is."""
        signals = Signals.sharing()
        tasks = [(Task(0, 0, 2, 2 * BLOCK), 64)]
        if max(int(widths.max()) for widths in self.widths) >= WIDE:
            tasks.append((Task(0, 0, 1, 1), WIDE))
        for slopes, (task, width) in itertools.product(activations(self.run_plan), tasks):
            run = Run(
                depth=1,
                width=(width,),
                trials=task.trials,
                keep=0,
                bins=1,
                device="cuda",
                slopes=slopes,
                controls=self.controls.pairs > 0,
            )
            PairCudaSampler(run, self.device).run(task, None, signals)

    def carried_bytes(self, point: int) -> int:
        """Return the size of a state."""
        return 8 * of_pairs.STATE

    def start(self, point: int, first_trial: int, trials: int) -> Any:
        """Return the states of trials before their first layer, on the device."""
        states = np.empty((trials, of_pairs.STATE))
        of_pairs.start(self.physics[point], states)
        return self.device.put(states)

    def make_rows(self, point: int, first_trial: int, layer0: int, carried: Any, rows: Any) -> None:
        """Launch a thread block for each trial, or many for a wide layer of few trials."""
        layers = rows.shape[1]
        widths = self.widths[point][layer0 : layer0 + layers]
        shared = self._shared(point, layer0, rows)
        room = self._room(int(widths[shared].max()), rows.shape[0]) if shared else None
        blocks, at = self.device.put(table_of(point, first_trial, rows.shape[0])), 0
        for j in [*shared, layers]:
            if j > at:
                self._advance(point, blocks, (layer0, at, j), carried, rows)
            if room is not None and j < layers:
                self._share(point, (first_trial, layer0, j), carried, rows, room)
            at = j + 1

    def _launch(self, piece: Piece, blocks: Any, carried: Any, rows: Any) -> Any:
        """Launch one kernel for all trials, where they need no turns and share no layers."""
        points = {part.point for part in piece.parts}
        turns = piece.layers < self.run_plan.depth or piece.places < piece.rows
        if turns or any(self._shared(p, 0, rows) for p in points):
            return super()._launch(piece, blocks, carried, rows)
        states = self.rooms.get("states", (piece.rows, of_pairs.STATE))
        self._advance(piece.parts[0].point, blocks, (0, 0, piece.layers), states, rows)
        return states

    def _shared(self, point: int, layer0: int, rows: Any) -> list[int]:
        """Return which layers of rows many thread blocks share."""
        if rows.shape[0] > FILL * self.device.multiprocessors():
            return []
        return [j for j in range(rows.shape[1]) if self.widths[point][layer0 + j] >= WIDE]

    @cached_property
    def _points(self) -> dict[str, Any]:
        """Scalars, keys, first states and widths of all points on the device."""
        scalars = np.zeros((len(self.physics), 7))
        starts = np.empty((len(self.physics), of_pairs.STATE))
        for i, physics in enumerate(self.physics):
            scalars[i, :5], scalars[i, 5 : 5 + len(physics.slopes)] = physics[:5], physics.slopes
            of_pairs.start(physics, starts[i : i + 1])
        keys = np.array([physics[5:7] for physics in self.physics], dtype=np.uint64)
        widths = np.stack(self.widths)
        return put_all(self.device, scalars=scalars, keys=keys, starts=starts, widths=widths)

    def _advance(
        self, point: int, blocks: Any, layers: tuple[int, int, int], states: Any, rows: Any
    ) -> None:
        """Launch a thread block for each trial of a table, of points that are like this one."""
        from . import cuda_kernels as kernels

        there = self._points
        scalars, keys, starts = (there[name] for name in ("scalars", "keys", "starts"))
        points = kernels.Points(scalars, keys, starts, self.physics[point].slopes)
        given = (points, there["widths"], blocks, *layers, states, rows)
        self.device.launch(kernels.advance, rows.shape[0], kernels.THREADS, *given)

    def _room(self, width: int, trials: int) -> Room:
        """Return room for the sums of a layer, of as many trials at a time as there are to be."""
        room, chunks = self.device.room, -(-width // CHUNK)
        of_trial = 4 * chunks * LANES * (SUMS + 1)
        together = min(trials, max(1, SUMS_BYTES // of_trial))
        return Room(
            room((together, chunks, SUMS * LANES), np.float32),
            room((together, chunks, LANES), np.int32),
            room((together, TOTALS)),
        )

    def _share(
        self, point: int, place: tuple[int, int, int], states: Any, rows: Any, room: Room
    ) -> None:
        """Launch many thread blocks for a layer of each trial, some trials at a time."""
        from . import cuda_wide_kernels as wide
        from .cuda_kernels import THREADS

        first_trial, layer0, j = place
        layer, physics = layer0 + j, self.physics[point]
        width = int(self.widths[point][layer])
        blocks = -(-width // (CHUNK * SLOTS))
        sums, counts, totals = room
        for t in range(0, rows.shape[0], totals.shape[0]):
            of, to = (array[t : t + totals.shape[0]] for array in (states, rows))
            trials, first = to.shape[0], first_trial + t
            drawn = (physics, width, first, layer, of, sums, counts)
            self.device.launch(wide.sum_chunks, trials * blocks, THREADS, *drawn)
            folded = (width, *room)
            self.device.launch(wide.fold_chunks, trials * TOTALS, THREADS, *folded)
            ended = (physics, width, j, of, totals, to)
            self.device.launch(wide.finish_wide, trials, THREADS, *ended)


class PairGradientCudaSampler(PairCudaSampler):
    """The pair sampler with gradients on a CUDA device: the bytes of `cpu.PairGradientSampler`."""

    node_seconds, layer_seconds = (
        6 * PairCudaSampler.node_seconds,
        6 * PairCudaSampler.layer_seconds,
    )
    whole = True

    def __init__(self, run: Run, device: Device | None = None) -> None:
        super().__init__(run, device)
        self.variates = GradientControls(run)

    def prepare(self) -> None:
        """Compile the kernels by running two blocks of a narrow network."""
        task = Task(0, 0, 2, 2 * BLOCK)
        for slopes in activations(self.run_plan):
            run = Run(
                depth=2,
                width=(64,),
                trials=2 * BLOCK,
                keep=0,
                bins=1,
                device="cuda",
                gradients=True,
                slopes=slopes,
            )
            PairGradientCudaSampler(run, self.device).run(task, None, Signals.sharing())

    def carried_bytes(self, point: int) -> int:
        """Return the size of a state, and of what is kept of each layer."""
        return 8 * (of_pairs.STATE + self.run_plan.depth * TRACE)

    def _launch(self, piece: Piece, blocks: Any, carried: Any, rows: Any) -> Any:
        """Launch the kernels of each point."""
        return CudaBlockSampler._launch(self, piece, blocks, carried, rows)

    def make_rows(self, point: int, first_trial: int, layer0: int, carried: Any, rows: Any) -> None:
        """Launch a thread block for each trial, forward and then back."""
        from . import cuda_back_kernels as back
        from .cuda_kernels import THREADS

        trials, forward = rows.shape[0], len(self.run_plan.columns.forward)
        traces = self.device.room((trials, self.run_plan.depth, TRACE))
        place = (self.physics[point], self.device.put(self.widths[point]), first_trial, forward)
        variates = self.device.put(self.variates.coefficients(point))
        self.device.launch(back.there, trials, THREADS, *place, carried, traces, rows)
        self.device.launch(back.and_back, trials, THREADS, *place, variates, traces, rows)

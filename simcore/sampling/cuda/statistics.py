"""Statistics of tasks on a CUDA device; the host receives one set of moments per part of a launch.

Rows stay on the device, where `statistics_kernels` reduce them and join the blocks of each part by
the tree of `moments.join_blocks`. A launch of some of the layers gives the statistics of these
layers; the values behind covariances wait on the device for the last layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simcore.statistics.blocks import BLOCK
from simcore.statistics.moments import Bins, Chosen, Collector, Moments

from .device import Device, Rooms

Integers = npt.NDArray[np.int64]


class Part(NamedTuple):
    """Blocks of a task in a launch: 2^m of them, or one that may be partial.

    They begin with block `first` of the point and block `block` of the task, whose statistics
    `collector` has; they become its node `node`.
    """

    collector: Collector
    node: int
    point: int
    first: int
    block: int
    trials: int

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return -(-self.trials // BLOCK)

    @property
    def kept(self) -> npt.NDArray[np.float64]:
        """Place for the trajectories on the host, (trial, layer, observable)."""
        begin = self.block * BLOCK
        return self.collector.kept[begin : begin + self.trials]


class Piece(NamedTuple):
    """One launch: the trials of some parts, in their order, layers from `layer0` on.

    `places` of the trials go through the layers at a time: all of them, or as many as have room
    for their states. A launch of some of the layers has a single part.
    """

    parts: Sequence[Part]
    layer0: int
    layers: int
    places: int

    @classmethod
    def of(cls, parts: Sequence[Part], depth: int) -> Piece:
        """Return a launch of all trials through all layers."""
        return cls(parts, 0, depth, sum(part.trials for part in parts))

    @property
    def trials(self) -> int:
        """Number of trials."""
        return sum(part.trials for part in self.parts)


class Reduced(NamedTuple):
    """Statistics of a launch on the device: as in `moments.Collector`, for its layers."""

    moments: Moments
    bins: Bins
    histogram: Any
    kept: Any


class DeviceStatistics:
    """Takes the launches of tasks of a run, one after the other, into collectors on the host.

    Parameters
    ----------
    device
        The device.
    rooms
        Its arrays, which launches of the same shape use again.
    chosen
        Columns with a histogram, a covariance, a kept trajectory.
    layers
        Layers whose covariance is kept, from 0.
    shape
        Layers and columns of the run.
    """

    def __init__(
        self,
        device: Device,
        rooms: Rooms,
        chosen: Chosen,
        layers: Integers,
        shape: tuple[int, int],
    ) -> None:
        from . import statistics_kernels

        self._kernels: Any = statistics_kernels
        self._device, self._rooms, self._chosen = device, rooms, chosen
        self._depth, columns = shape
        self._histogrammed = device.put(chosen.histogram)
        self._places = [device.put(_places(each, columns)) for each in chosen]
        self._layers, self._layer_places = layers, _places(layers, self._depth)
        self._layers_there: tuple[int, int, Any] | None = None
        self._values: Any = None

    def take(self, piece: Piece, rows: Any) -> None:
        """Reduce the rows of a launch, (trial, layer, column), and bring the result to the host.

        Layers of the same blocks come in order.
        """
        kernels, parts = self._kernels, len(piece.parts)
        table, joins = _tables(piece, kernels)
        blocks, depth_of_tree = len(table), max(part.blocks for part in piece.parts)
        if piece.layer0 == 0:
            shape = (blocks, self._chosen.covariance.size, BLOCK, self._layers.size)
            self._values = self._rooms.get("values", shape)
        there, of_parts = self._device.put(table), self._device.put(joins)
        reduced = self._reduce(piece, rows, there, blocks)
        moments = reduced.moments
        last = piece.layer0 + piece.layers == self._depth
        if last:
            observables = self._values.shape[1]
            finish = kernels.finish_blocks
            self._launch(finish, blocks * observables, self._values, there, moments)
            step = 1
            while step < depth_of_tree:
                pairs = depth_of_tree // (2 * step)
                grid = parts * pairs * observables
                self._launch(kernels.join_covariances, grid, of_parts, pairs, step, moments)
                step *= 2
        if depth_of_tree > 1:
            grid = parts * self._tiles(piece.layers * rows.shape[2])
            self._launch(kernels.join_moments, grid, of_parts, moments)
        self._bring(piece, reduced, last=last)

    def _reduce(self, piece: Piece, rows: Any, blocks: Any, many: int) -> Reduced:
        """Launch the kernels for the moments of each block, and for the histograms."""
        collector, kernels, room = piece.parts[0].collector, self._kernels, self._rooms.get
        layers, columns, parts = _layers(piece), rows.shape[2], len(piece.parts)
        of_layers, of_task = Moments._fields[:3], Moments._fields[3:]
        kept = sum(len(part.kept) for part in piece.parts)
        histogram = (parts, *collector.histogram[layers].shape)
        reduced = Reduced(
            Moments(
                *(room(name, (many, piece.layers, columns)) for name in of_layers),
                *(
                    room(name, (many, *getattr(collector.moments, name).shape[1:]))
                    for name in of_task
                ),
            ),
            self._bins(piece),
            room("histogram", histogram, np.uint32),
            room("kept", (kept, piece.layers, self._chosen.kept.size)),
        )
        there = kernels.Places(*self._places, self._places_of(piece))
        moments, bins, counts, trajectories = reduced
        written = moments, bins, counts, self._values, trajectories
        grid = many * self._tiles(piece.layers * columns)
        self._launch(kernels.collect, grid, rows, blocks, there, *written)
        grid = many * self._tiles(piece.layers * self._chosen.histogram.size)
        self._launch(kernels.count_bins, grid, rows, blocks, self._histogrammed, bins, counts)
        return reduced

    def _bins(self, piece: Piece) -> Bins:
        """Return the bins of the parts on the device, (part, layer, histogram)."""
        layers = _layers(piece)
        of_parts = [part.collector.bins for part in piece.parts]
        return Bins(
            *(
                self._device.put(np.stack([edges[i][layers] for edges in of_parts]))
                for i in range(2)
            )
        )

    def _places_of(self, piece: Piece) -> Any:
        """Return the places of the layers of a launch among those with covariances."""
        if self._layers_there is None or self._layers_there[:2] != (piece.layer0, piece.layers):
            there = self._device.put(self._layer_places[_layers(piece)])
            self._layers_there = piece.layer0, piece.layers, there
        return self._layers_there[2]

    def _launch(self, kernel: Any, grid: int, *arguments: Any) -> None:
        self._device.launch(kernel, grid, self._kernels.THREADS, *arguments)

    def _bring(self, piece: Piece, reduced: Reduced, *, last: bool) -> None:
        """Copy the statistics of the parts of a launch to the host."""
        layers, parts = _layers(piece), len(piece.parts)
        arrays = 6 if last else 3
        moments = [self._got(there[:parts]) for there in reduced.moments[:arrays]]
        histogram = self._got(reduced.histogram)
        lays = [_lays_bins(part) for part in piece.parts]
        bins = [self._got(there) for there in reduced.bins] if any(lays) else []
        kept = self._got(reduced.kept) if reduced.kept.shape[0] else None
        at = 0
        for i, part in enumerate(piece.parts):
            collector = part.collector
            for here, there in zip(collector.moments[:3], moments[:3], strict=True):
                here[part.node, layers] = there[i]
            for here, there in zip(collector.moments[3:arrays], moments[3:], strict=True):
                here[part.node] = there[i]
            collector.histogram[layers] += histogram[i]
            if lays[i]:
                for here, there in zip(collector.bins, bins, strict=True):
                    here[layers] = there[i]
            if kept is not None and len(part.kept):
                part.kept[:, layers] = kept[at : at + len(part.kept)]
                at += len(part.kept)

    def _got(self, there: Any) -> npt.NDArray[Any]:
        here = np.empty(there.shape, there.dtype)
        self._device.get(there, here)
        return here

    def _tiles(self, numbers: int) -> int:
        """Return the number of thread blocks for the numbers of a block of trials."""
        return -(-numbers // int(self._kernels.THREADS))


def _layers(piece: Piece) -> slice:
    return slice(piece.layer0, piece.layer0 + piece.layers)


def _lays_bins(part: Part) -> bool:
    """Return whether a part has the block that lays the bins of its point."""
    return part.collector.first and part.block == 0


def _places(chosen: Integers, many: int) -> Integers:
    """Return for each of 0 … many − 1 its index among the chosen ones, −1 for the others."""
    places = np.full(many, -1, dtype=np.int64)
    places[chosen] = np.arange(chosen.size)
    return places


def _tables(piece: Piece, kernels: Any) -> tuple[Integers, Integers]:
    """Return what `statistics_kernels` says of the blocks, and of the parts, of a launch."""
    blocks = sum(part.blocks for part in piece.parts)
    table = np.zeros((blocks, kernels.BLOCK_NUMBERS), dtype=np.int64)
    joins = np.zeros((len(piece.parts), kernels.PART_NUMBERS), dtype=np.int64)
    at = row = kept = 0
    rest = len(piece.parts) - 1
    for i, part in enumerate(piece.parts):
        number = np.arange(part.blocks)
        own, first = table[at : at + part.blocks], BLOCK * number
        own[:, kernels.FIRST_ROW] = row + first
        own[:, kernels.TRIALS] = np.minimum(BLOCK, part.trials - first)
        own[:, kernels.PART] = i
        own[:, kernels.OPENS] = number == 0
        own[:, kernels.LAYS] = _lays_bins(part)
        own[:, kernels.PLACE] = np.where(number == 0, i, rest + number)
        own[:, kernels.FIRST_KEPT] = kept + first
        own[:, kernels.KEEPS] = np.clip(len(part.kept) - first, 0, own[:, kernels.TRIALS])
        joins[i] = part.blocks, rest
        at, row, kept = at + part.blocks, row + part.trials, kept + len(part.kept)
        rest += part.blocks - 1
    return table, joins

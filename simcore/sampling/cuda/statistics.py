"""Statistics of a task on a CUDA device; the host receives one set of moments per launch.

Rows stay on the device, where `statistics_kernels` reduce them and join the blocks of a launch by
the tree of `moments.join_blocks`. A launch of some of the layers gives the statistics of these
layers; the values behind covariances wait on the device for the last layer.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simcore.statistics.blocks import BLOCK
from simcore.statistics.moments import Bins, Collector, Moments

from .device import Device

Integers = npt.NDArray[np.int64]


class Piece(NamedTuple):
    """One launch: trials of a task from its block `block` on, layers from `layer0` on.

    `places` of the trials go through the layers at a time: all of them, or as many as have room
    for their states.
    """

    block: int
    trials: int
    layer0: int
    layers: int
    places: int


class Reduced(NamedTuple):
    """Statistics of a launch on the device: as in `moments.Collector`, for its layers."""

    moments: Moments
    bins: Bins
    histogram: Any
    kept: Any


class DeviceStatistics:
    """Takes the launches of a task, one after the other, into a `moments.Collector` on the host."""

    def __init__(self, device: Device, collector: Collector) -> None:
        from . import statistics_kernels

        self._kernels: Any = statistics_kernels
        self._device, self._collector = device, collector
        self._depth, columns = collector.moments.count.shape[1:]
        self._histogrammed = device.put(collector.chosen.histogram)
        self._places = [device.put(_places(chosen, columns)) for chosen in collector.chosen]
        self._layer_places = _places(collector.layers, self._depth)
        self._values: Any = None

    def take(self, piece: Piece, rows: Any, number: int) -> None:
        """Reduce the rows of a launch, (trial, layer, column), and bring the result to the host.

        Layers of the same blocks come in order. Block `number` of the collector's moments stands
        for the blocks of the launch.
        """
        blocks = -(-piece.trials // BLOCK)
        if piece.layer0 == 0:
            covariance, layers = self._collector.chosen.covariance, self._collector.layers
            self._values = self._device.room((blocks, covariance.size, BLOCK, layers.size))
        reduced = self._reduce(piece, rows, blocks)
        moments, kernels = reduced.moments, self._kernels
        last = piece.layer0 + piece.layers == self._depth
        if last:
            observables = self._values.shape[1]
            finish = kernels.finish_blocks
            self._launch(finish, blocks * observables, self._values, piece.trials, moments)
            self._join(kernels.join_covariances, blocks, observables, moments)
        self._join(kernels.join_moments, blocks, self._tiles(piece.layers * rows.shape[2]), moments)
        self._bring(piece, reduced, number, last=last)

    def _reduce(self, piece: Piece, rows: Any, blocks: int) -> Reduced:
        """Launch the kernels for the moments of each block, and for the histograms."""
        device, collector, kernels = self._device, self._collector, self._kernels
        layers, columns, room = _layers(piece), rows.shape[2], device.room
        of_layers, of_task = collector.moments[:3], collector.moments[3:]
        reduced = Reduced(
            Moments(
                *(room((blocks, piece.layers, columns)) for _ in of_layers),
                *(room((blocks, *array.shape[1:])) for array in of_task),
            ),
            Bins(*(device.put(edges[layers]) for edges in collector.bins)),
            room(collector.histogram[layers].shape, np.uint32),
            room(self._kept(piece).shape),
        )
        there = kernels.Places(*self._places, device.put(self._layer_places[layers]))
        first = int(collector.first and piece.block == 0)
        moments, bins, histogram, kept = reduced
        written = moments, bins, histogram, self._values, kept
        grid = blocks * self._tiles(piece.layers * columns)
        self._launch(kernels.collect, grid, rows, there, first, *written)
        grid = blocks * self._tiles(piece.layers * collector.chosen.histogram.size)
        self._launch(kernels.count_bins, grid, rows, self._histogrammed, bins, histogram)
        return reduced

    def _join(self, kernel: Any, blocks: int, grid: int, moments: Moments) -> None:
        """Launch a kernel for each level of the tree of blocks, `grid` blocks for each pair."""
        for step, pairs in _levels(blocks):
            self._launch(kernel, pairs * grid, moments, step)

    def _launch(self, kernel: Any, grid: int, *arguments: Any) -> None:
        self._device.launch(kernel, grid, self._kernels.THREADS, *arguments)

    def _bring(self, piece: Piece, reduced: Reduced, number: int, *, last: bool) -> None:
        """Copy the statistics of a launch to the host."""
        collector, layers = self._collector, _layers(piece)
        for there, here in zip(reduced.moments[:3], collector.moments[:3], strict=True):
            here[number, layers] = self._got(there[0])
        if last:
            for there, here in zip(reduced.moments[3:], collector.moments[3:], strict=True):
                here[number] = self._got(there[0])
        if collector.first and piece.block == 0:
            for there, here in zip(reduced.bins, collector.bins, strict=True):
                here[layers] = self._got(there)
        collector.histogram[layers] += self._got(reduced.histogram)
        kept = self._kept(piece)
        if kept.size:
            kept[:] = self._got(reduced.kept)

    def _kept(self, piece: Piece) -> npt.NDArray[np.float64]:
        """Return where a launch's trajectories go on the host."""
        begin = piece.block * BLOCK
        return self._collector.kept[begin : begin + piece.trials, _layers(piece)]

    def _got(self, there: Any) -> npt.NDArray[Any]:
        here = np.empty(there.shape, there.dtype)
        self._device.get(there, here)
        return here

    def _tiles(self, numbers: int) -> int:
        """Return the number of thread blocks for the numbers of a block of trials."""
        return -(-numbers // int(self._kernels.THREADS))


def _layers(piece: Piece) -> slice:
    return slice(piece.layer0, piece.layer0 + piece.layers)


def _places(chosen: Integers, many: int) -> Integers:
    """Return for each of 0 … many − 1 its index among the chosen ones, −1 for the others."""
    places = np.full(many, -1, dtype=np.int64)
    places[chosen] = np.arange(chosen.size)
    return places


def _levels(blocks: int) -> list[tuple[int, int]]:
    """Return the distance between siblings and the number of pairs, for each level of the tree."""
    return [(1 << i, blocks >> (i + 1)) for i in range(blocks.bit_length() - 1)]

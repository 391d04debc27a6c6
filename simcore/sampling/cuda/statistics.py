"""Statistics of a task on a CUDA device: what comes to the host is one set of moments of a launch.

The kernels are those of `moment_kernels`. Rows stay where they were made; the blocks of a launch
are joined there too, by the tree of `moments.join_blocks`. Where a launch takes some of the layers
only, its statistics are those of these layers, and the values that covariances are of wait on the
device for the last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simcore.statistics.blocks import BLOCK
from simcore.statistics.moments import Bins, Collector, Moments

from .device import Device

if TYPE_CHECKING:
    from .driver import Piece

__all__ = ["DeviceStatistics"]

Integers = npt.NDArray[np.int64]


class Reduced(NamedTuple):
    """What a launch's rows are reduced to, on the device: as in `moments.Collector`, its layers."""

    moments: Moments
    bins: Bins
    histogram: Any
    kept: Any


class DeviceStatistics:
    """Takes the launches of a task, one after the other, into its `moments.Collector`.

    Parameters
    ----------
    device
        Where the rows are.
    collector
        Where the statistics go on the host.
    """

    def __init__(self, device: Device, collector: Collector) -> None:
        from . import statistics_kernels as moment_kernels

        self._kernels: Any = moment_kernels
        self._device, self._collector = device, collector
        self._depth, columns = collector.moments.count.shape[1:]
        self._histogrammed = device.put(collector.chosen.histogram)
        self._places = [device.put(_places(chosen, columns)) for chosen in collector.chosen]
        self._layer_places = _places(collector.layers, self._depth)
        self._values: Any = None

    def take(self, piece: Piece, rows: Any, number: int) -> None:
        """Reduce the rows of a launch, and wait for what comes of them.

        Parameters
        ----------
        piece
            What the launch did; of the same blocks, the layers come in order.
        rows
            Its rows on the device, shape (trial, layer, column).
        number
            Which block of the collector's moments stands for the launch's blocks.
        """
        blocks = -(-piece.trials // BLOCK)
        if piece.layer0 == 0:
            covariance, layers = self._collector.chosen.covariance, self._collector.layers
            self._values = self._device.room((blocks, covariance.size, BLOCK, layers.size))
        reduced = self._reduce(piece, rows, blocks)
        last = piece.layer0 + piece.layers == self._depth
        if last:
            self._finish(piece.trials, reduced.moments, blocks)
        self._join(reduced.moments, blocks)
        self._bring(piece, reduced, number, last=last)

    def _reduce(self, piece: Piece, rows: Any, blocks: int) -> Reduced:
        """Launch what finds the moments of each block, and what counts."""
        device, collector, kernels = self._device, self._collector, self._kernels
        layers, columns = _layers(piece), rows.shape[2]
        reduced = Reduced(
            self._room_for_moments(blocks, piece.layers, columns),
            Bins(*(device.put(edges[layers]) for edges in collector.bins)),
            device.room(collector.histogram[layers].shape, np.uint32),
            device.room(self._kept(piece).shape),
        )
        there = kernels.Places(*self._places, device.put(self._layer_places[layers]))
        device.launch(
            kernels.collect,
            blocks * self._tiles(piece.layers * columns),
            kernels.THREADS,
            rows,
            there,
            int(collector.first and piece.block == 0),
            reduced.moments,
            reduced.bins,
            reduced.histogram,
            self._values,
            reduced.kept,
        )
        device.launch(
            kernels.count_bins,
            blocks * self._tiles(piece.layers * collector.chosen.histogram.size),
            kernels.THREADS,
            rows,
            self._histogrammed,
            reduced.bins,
            reduced.histogram,
        )
        return reduced

    def _room_for_moments(self, blocks: int, layers: int, columns: int) -> Moments:
        room, shape = self._device.room, (blocks, layers, columns)
        _, covariances, _, chosen = self._values.shape
        return Moments(
            room(shape),
            room(shape),
            room(shape),
            room((blocks, covariances)),
            room((blocks, covariances, chosen)),
            room((blocks, covariances, chosen, chosen)),
        )

    def _finish(self, trials: int, moments: Moments, blocks: int) -> None:
        """Launch what finds the covariances of each block, and joins those of all."""
        device, kernels = self._device, self._kernels
        observables = self._values.shape[1]
        grid, threads = blocks * observables, kernels.THREADS
        device.launch(kernels.finish_blocks, grid, threads, self._values, trials, moments)
        for step, pairs in _levels(blocks):
            device.launch(kernels.join_covariances, pairs * observables, threads, moments, step)

    def _join(self, moments: Moments, blocks: int) -> None:
        """Launch what joins the moments of all blocks but for the covariances."""
        _, layers, columns = moments.count.shape
        tiles, kernels = self._tiles(layers * columns), self._kernels
        for step, pairs in _levels(blocks):
            grid = pairs * tiles
            self._device.launch(kernels.join_moments, grid, kernels.THREADS, moments, step)

    def _bring(self, piece: Piece, reduced: Reduced, number: int, *, last: bool) -> None:
        """Copy to the host what the launch's rows were reduced to."""
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
        """Return how many thread blocks find so many numbers of a block."""
        return -(-numbers // int(self._kernels.THREADS))


def _layers(piece: Piece) -> slice:
    return slice(piece.layer0, piece.layer0 + piece.layers)


def _places(chosen: Integers, many: int) -> Integers:
    """Return for each of so many things its number among the chosen ones, −1 for the others."""
    places = np.full(many, -1, dtype=np.int64)
    places[chosen] = np.arange(chosen.size)
    return places


def _levels(blocks: int) -> list[tuple[int, int]]:
    """Return the distance between siblings and the number of pairs, for each level of the tree."""
    return [(1 << i, blocks >> (i + 1)) for i in range(blocks.bit_length() - 1)]

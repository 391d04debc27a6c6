"""Statistics of tasks on a CUDA device; the host receives one set of moments per part of a launch.

Rows stay on the device, where `statistics_kernels` reduce them and join the blocks of each part by
the tree of `moments.join_blocks`. A launch of some of the layers gives the statistics of these
layers; the values behind covariances wait on the device for the last layer.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simcore.sampling.contract import TaskResult
from simcore.statistics.blocks import BLOCK
from simcore.statistics.moments import Bins, Chosen, Moments, moment_shapes

from .device import Device, Pack, Rooms, put_all
from .pieces import BLOCK_NUMBERS, PART_NUMBERS, Part, Piece

FLOAT, INTEGER = np.dtype(np.float64), np.dtype(np.int64)
Integers = npt.NDArray[np.int64]


class Sent(NamedTuple):
    """A launch on the device: the tables of its blocks and parts, and room for its statistics.

    `there` has the arrays that `pack` has places for in `memory`. `values` come first, since they
    stay from launch to launch of the layers of a block; then what the host sends, then what it
    fetches, with bins in between; then scratch, which has the rows.
    """

    pack: Pack
    memory: Any
    there: dict[str, Any]
    record: Any


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
        Layers and columns of the run, and bins of a histogram.
    """

    def __init__(
        self,
        device: Device,
        rooms: Rooms,
        chosen: Chosen,
        layers: Integers,
        shape: tuple[int, int, int],
    ) -> None:
        from . import statistics_kernels

        self._kernels: Any = statistics_kernels
        self._device, self._rooms, self._chosen = device, rooms, chosen
        self._depth, columns, bins = shape
        named = zip(Chosen._fields, chosen, strict=True)
        places = {name: _places(each, columns) for name, each in named}
        self._there = put_all(device, **places, histogrammed=chosen.histogram)
        self._layers, self._layer_places = layers, _places(layers, self._depth)
        self._columns, self._bins = columns, bins

    def send(self, piece: Piece) -> Sent:
        """Tell the device of a launch, by one copy."""
        table, joins = piece.tables()
        pack, record = self._pack(piece)
        begin = pack.begins["blocks"]
        memory = np.empty(pack.begins["histogram"] - begin, np.uint8)
        here = pack.here(memory, begin)
        here["blocks"][:], here["parts"][:] = table, joins
        here["layers"][:] = self._layer_places[piece.of_layers]
        for i, part in enumerate(piece.parts):
            bins = part.gathered.bins
            if bins is None and part.block > 0:
                bins = part.gathered.collector.bins
            if bins is not None:
                here["lower"][i] = bins.lower[piece.of_layers]
                here["width"][i] = bins.width[piece.of_layers]
        there = self._rooms.memory("launch", pack.bytes)
        self._device.send(memory, there, begin)
        return Sent(pack, there, pack.there(self._device, there), record)

    def _pack(self, piece: Piece) -> tuple[Pack, Any]:
        """Return the places of all arrays of a launch, and of the moments of a block."""
        parts, blocks, layers = len(piece.parts), piece.blocks, piece.layers
        observables, chosen = self._chosen.covariance.size, self._layers.size
        record = self._kernels.Record(layers * self._columns, observables, chosen)
        bins = parts, layers, self._chosen.histogram.size
        kept = sum(part.keeps for part in piece.parts), layers, self._chosen.kept.size
        pack = Pack(
            {
                "values": ((blocks, observables, BLOCK, chosen), FLOAT),
                "blocks": ((blocks, BLOCK_NUMBERS), INTEGER),
                "parts": ((parts, PART_NUMBERS), INTEGER),
                "layers": ((layers,), INTEGER),
                "lower": (bins, FLOAT),
                "width": (bins, FLOAT),
                "histogram": ((*bins, self._bins + 2), np.dtype(np.uint32)),
                "kept": (kept, FLOAT),
                "moments": ((blocks, record.size), FLOAT),
                "rows": ((piece.rows, layers, self._columns), FLOAT),
            }
        )
        return pack, record

    def take(self, piece: Piece, sent: Sent) -> None:
        """Reduce the rows of a launch, (row, layer, column), and bring the result to the host.

        Layers of the same blocks come in order.
        """
        kernels, there, record = self._kernels, sent.there, sent.record
        parts, blocks, moments = there["parts"], there["blocks"], there["moments"]
        self._reduce(piece, sent)
        depth_of_tree = max(part.blocks for part in piece.parts)
        last = piece.layer0 + piece.layers == self._depth
        if last:
            grid = piece.blocks * record.observables
            self._launch(kernels.finish_blocks, grid, there["values"], blocks, record, moments)
            step = 1
            while step < depth_of_tree:
                pairs = depth_of_tree // (2 * step)
                grid = len(piece.parts) * pairs * record.observables
                self._launch(kernels.join_covariances, grid, parts, pairs, step, record, moments)
                step *= 2
        if depth_of_tree > 1:
            grid = len(piece.parts) * self._tiles(record.numbers)
            self._launch(kernels.join_moments, grid, parts, record, moments)
        self._bring(piece, sent, last=last)

    def _reduce(self, piece: Piece, sent: Sent) -> None:
        """Launch the kernels for the moments of each block, and for the histograms."""
        kernels, there, own = self._kernels, sent.there, self._there
        rows, blocks, values = (there[name] for name in ("rows", "blocks", "values"))
        bins, histogram = Bins(there["lower"], there["width"]), there["histogram"]
        places = kernels.Places(*(own[name] for name in Chosen._fields), there["layers"])
        written = there["moments"], bins, histogram, values, there["kept"]
        grid = piece.blocks * self._tiles(sent.record.numbers)
        self._launch(kernels.collect, grid, rows, blocks, places, *written)
        grid = piece.blocks * self._tiles(piece.layers * self._chosen.histogram.size)
        counted = rows, blocks, own["histogrammed"], bins, histogram
        self._launch(kernels.count_bins, grid, *counted)

    def _launch(self, kernel: Any, grid: int, *arguments: Any) -> None:
        self._device.launch(kernel, grid, self._kernels.THREADS, *arguments)

    def _bring(self, piece: Piece, sent: Sent, *, last: bool) -> None:
        """Copy the statistics of the parts of a launch to the host, all at once."""
        pack, size = sent.pack, sent.record.size
        lays = any(part.lays_bins for part in piece.parts)
        begin = pack.begins["lower" if lays else "histogram"]
        end = pack.begins["moments"] + 8 * size * len(piece.parts)
        brought = np.empty(end - begin, np.uint8)
        there = self._device.view(sent.memory, begin, brought.shape, brought.dtype)
        self._device.get(there, brought)
        here = pack.here(brought, begin)
        records = brought[pack.begins["moments"] - begin :].view(np.float64).reshape(-1, size)
        at = 0
        for i, part in enumerate(piece.parts):
            gathered, kept = part.gathered, here["kept"][at : at + part.keeps]
            at += part.keeps
            moments, histogram = self._moments(records[i], piece.layers), here["histogram"][i]
            bins = gathered.bins
            if part.lays_bins:
                bins = Bins(here["lower"][i].copy(), here["width"][i].copy())
            if bins is not None and gathered.nodes == 1 and piece.layers == self._depth:
                # A partial block's counts stay, and would keep all that was brought.
                counts = histogram.copy() if gathered.task.partial else histogram
                gathered.whole = TaskResult(gathered.task, moments, counts, bins, kept)
            else:
                brought_now = moments, histogram, bins if part.lays_bins else None, kept
                self._put(part, piece.of_layers, *brought_now, last=last)

    def _put(
        self,
        part: Part,
        layers: slice,
        moments: Moments,
        histogram: npt.NDArray[np.uint32],
        bins: Bins | None,
        kept: npt.NDArray[np.float64],
        *,
        last: bool,
    ) -> None:
        """Put what a launch of some of a task has brought into its collector."""
        collector = part.gathered.collector
        for into, found in zip(collector.moments[:3], moments[:3], strict=True):
            into[part.node, layers] = found
        if last:
            for into, found in zip(collector.moments[3:], moments[3:], strict=True):
                into[part.node] = found
        collector.histogram[layers] += histogram
        for edges, laid in zip(collector.bins, bins or (), strict=False):
            edges[layers] = laid
        begin = part.block * BLOCK
        collector.kept[begin : begin + len(kept), layers] = kept

    def _moments(self, record: npt.NDArray[np.float64], layers: int) -> Moments:
        """Return a copy of the moments of a part."""
        observables, chosen = self._chosen.covariance.size, self._layers.size
        record, found, at = record.copy(), [], 0
        for shape in moment_shapes(layers, self._columns, observables, chosen):
            size = math.prod(shape)
            found.append(record[at : at + size].reshape(shape))
            at += size
        return Moments(*found)

    def _tiles(self, numbers: int) -> int:
        """Return the number of thread blocks for the numbers of a block of trials."""
        return -(-numbers // int(self._kernels.THREADS))


def _places(chosen: Integers, many: int) -> Integers:
    """Return for each of 0 … many − 1 its index among the chosen ones, −1 for the others."""
    places = np.full(many, -1, dtype=np.int64)
    places[chosen] = np.arange(chosen.size)
    return places

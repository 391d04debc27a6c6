"""State from which a run is resumed, /entry/state of its file: blocks as arrays, and back.

The nodes of all points' trees lie one after the other along the dimension `node`; in a last write
a point's partial block follows its nodes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from simcore.physics.observables import BY_NAME, KEPT, NETWORK_NAMES
from simcore.runs.run import Run
from simcore.statistics.blocks import BLOCK
from simcore.statistics.moments import Bins, Moments
from simcore.statistics.tree import MomentTree, PointStatistics

from .layout import (
    Array,
    Field,
    base,
    columns_of,
    coordinates,
    dims_of,
    shape_of,
    sizes,
    squared,
)
from .writer import Stacked

Numbers = npt.NDArray[Any]
Read = Callable[[str, tuple[int, ...], str], Numbers]
"""Reads an array by its path below /entry, its shape and its type."""

_BASIC = Moments._fields[:3]
PARTIAL = -1
"""Level of the node of a partial block, whose index is the number of the block."""


def state_fields(run: Run) -> Iterator[Field]:
    """Yield every array of /entry/state, coordinates apart."""

    def field(name: str, dims: str, dtype: str, meaning: str, units: str = "1") -> Field:
        return Field(f"state/{name}", "", tuple(dims.split()), dtype, meaning, units)

    yield field("point_key", "point", "u8", "Philox key of the point")
    yield field("trials_done", "point", "i8", "trials done, a partial last block included")
    yield field("trajectories_done", "point", "i8", "first trials whose trajectory is held")
    if run.until_stderr is not None:
        meaning = "trials after which the point is judged next, or was last; 0: not known yet"
        yield field("look", "point", "i8", meaning)
    yield field("node_point", "node", "i8", "point that the node belongs to")
    yield field("node_level", "node", "i8", "level j of the node: 2^j blocks; -1: a partial one")
    yield field("node_index", "node", "i8", "index i of the node: from block i 2^j on")
    for column in names_of(run):
        o = BY_NAME[base(column)]
        square = squared(o.units)

        def own(name: str, dims: str, *rest: str, of: str = column) -> Field:
            return field(f"{of}/{name}", " ".join(dims_of(run, of, dims.split())), *rest)

        yield own("node_count", "node layer", "f8", "trials with a value")
        yield own("node_mean", "node layer", "f8", "mean over trials", o.units)
        yield own("node_m2", "node layer", "f8", "sum of squared deviations", square)
        if column in run.columns.histogrammed:
            yield own("histogram", "point layer bin", "u4", "trials per bin")
            yield own("bin_lower", "point layer", "f8", "lower edge of bin 1", o.units)
            yield own("bin_width", "point layer", "f8", "width of the bins", o.units)
        if column in run.columns.covariance:
            one, two = "node covariance_layer", "node covariance_layer covariance_layer_2"
            meaning = "sum of products of deviations"
            yield own("node_cov_count", "node", "f8", "trials defined at all layers")
            yield own("node_cov_mean", one, "f8", "mean over those trials", o.units)
            yield own("node_cov_m2", two, "f8", meaning, square)


def names_of(run: Run) -> tuple[str, ...]:
    """Return the names of a run's columns: those of a pair, then those of its network."""
    return run.columns.of_pair + NETWORK_NAMES * run.shared


def state_coordinates(run: Run, nodes: int) -> dict[str, Array]:
    """Return the coordinates of the state by name; `node` only where there is one."""
    names = ("layer", "bin", "covariance_layer", "covariance_layer_2", "pair", "rate")
    found = {name: array for name, array in coordinates(run).items() if name in names}
    points = np.arange(math.prod(run.shape))
    found["point"] = Array(("point",), points, "number of the point, last dimension fastest")
    if nodes:
        found["node"] = Array(("node",), np.arange(nodes), "number of the node")
    return found


# --- writing -------------------------------------------------------------------------------------


def node_count(points: Sequence[PointStatistics], *, complete: bool) -> int:
    """Return how many nodes the state of these points has."""
    partial = sum(point.partial is not None for point in points) if complete else 0
    return partial + sum(len(point.tree.nodes) for point in points)


def state_arrays(
    run: Run, points: Sequence[PointStatistics], *, complete: bool
) -> Iterator[tuple[Field, Numbers | Stacked]]:
    """Yield the arrays of the state with their values; those over nodes only where there is one.

    If `complete`, partial blocks are among the nodes: a run that continues simulates them again.
    """
    cut = _Cuts(run, points, complete=complete)
    # One kind of array after the other: one pass over the nodes for each kind.
    size = {**sizes(run), "node": len(cut.nodes)}
    for field in sorted(state_fields(run), key=lambda field: field.path.rpartition("/")[2]):
        if "node" not in field.dims or cut.nodes:
            values = cut.values(field.path.removeprefix("state/"))
            if not isinstance(values, Stacked):
                values = values.reshape(shape_of(field.dims, size)).astype(field.dtype, copy=False)
            yield field, values


_TURNED = 8
"""Columns of a single pair that are transposed at a time, in one pass over all nodes, and with
memory for so many."""


class _Cuts:
    """Cuts arrays from the moments of all nodes and the histograms of all points.

    Moments hold all observables of a layer together: some columns of one kind are transposed at
    a time, and kept until others are needed.
    """

    def __init__(self, run: Run, points: Sequence[PointStatistics], *, complete: bool) -> None:
        self.nodes: list[Moments] = []
        places = []
        for number, point in enumerate(points):
            for level, index, moments in point.tree.ordered():
                places.append((number, level, index))
                self.nodes.append(moments)
            if complete and point.partial is not None:
                places.append((number, PARTIAL, run.end_trial // BLOCK))
                self.nodes.append(point.partial)
        place = np.array(places, dtype=np.int64).reshape(-1, 3)
        self._known: dict[str, Numbers] = {
            "point_key": np.array([point.key for point in run.points], dtype=np.uint64),
            "trials_done": np.array([point.trials() for point in points]),
            "trajectories_done": np.array([point.kept for point in points]),
            "look": np.array([point.look for point in points]),
            "node_point": place[:, 0],
            "node_level": place[:, 1],
            "node_index": place[:, 2],
        }
        self._run = run
        self._points = points
        self._kind = "", slice(None)
        self._held: Numbers = np.empty(0)

    def values(self, path: str) -> Numbers | Stacked:
        """Return the values at a path below /entry/state: points or nodes, pairs, layers, …."""
        if path in self._known:
            return self._known[path]
        observable, _, name = path.partition("/")
        if name == "histogram":
            own = _every(self._run.columns.histogrammed, observable)
            return self._stacked([point.histogram[:, own].swapaxes(0, 1) for point in self._points])
        if name.startswith("bin_"):
            own = _every(self._run.columns.histogrammed, observable)
            return self._turned(name, slice(None))[own].swapaxes(0, 1)
        kind = name.removeprefix("node_")
        if kind.startswith("cov_"):
            own = _every(self._run.columns.covariance, observable)
            return self._stacked([getattr(node, kind)[own] for node in self.nodes])
        own, group = columns_of(self._run, observable), slice(0, self._run.columns.count)
        if not self._run.shared:
            first = own.start // _TURNED * _TURNED
            own, group = slice(own.start - first, own.stop - first), slice(first, first + _TURNED)
        values = self._turned(kind, group)[own]
        return np.moveaxis(values, 0, -1 if observable in NETWORK_NAMES else 1)

    def _stacked(self, parts: list[Numbers]) -> Stacked:
        """Put the arrays of points or nodes, shape (pair, …), one after the other."""
        return Stacked(parts if self._run.shared else [part[0] for part in parts])

    def _turned(self, kind: str, group: slice) -> Numbers:
        """Return values with the points or nodes second, shape (column, …, layer)."""
        if (kind, group) != self._kind:
            # Released before more memory is taken.
            self._held = np.empty(0)
            self._kind = kind, group
            self._held = self._bins(kind) if kind.startswith("bin_") else self._moments(kind, group)
        return self._held

    def _moments(self, kind: str, group: slice) -> Numbers:
        columns = len(range(*group.indices(self._run.columns.count)))
        values = np.empty((columns, len(self.nodes), self._run.depth))
        for i, node in enumerate(self.nodes):
            values[:, i] = getattr(node, kind)[:, group].T
        return values

    def _bins(self, name: str) -> Numbers:
        edge = name.removeprefix("bin_")
        columns = len(self._run.columns.histogrammed) * self._run.columns.pairs
        values = np.full((columns, len(self._points), self._run.depth), np.nan)
        for i, point in enumerate(self._points):
            # A run that ends inside block 0 has other bins than one that is extended.
            if point.bins is not None and self._run.end_trial >= BLOCK:
                values[:, i] = getattr(point.bins, edge).T
        return values


def _every(names: Sequence[str], name: str) -> slice:
    """Return the places of an observable where these are held, all of one pair after the other."""
    return slice(names.index(name), None, len(names))


# --- reading -------------------------------------------------------------------------------------


def state_points(run: Run, read: Read, nodes: int, *, complete: bool) -> list[PointStatistics]:
    """Put the statistics of all points together from the arrays of the state.

    `read` reads an array of the file; `nodes` counts those of all points, partial blocks included,
    which only a last write has (`complete`).

    Raises
    ------
    ValueError
        If the arrays do not belong to this run, or not to each other.
    """
    size = {**sizes(run), "node": nodes}
    state = {}
    for field in state_fields(run):
        name = field.path.removeprefix("state/")
        if "node" not in field.dims or nodes:
            state[name] = read(field.path, shape_of(field.dims, size), field.dtype)
    _check_points(run, state)
    histogram = _together(
        run, state, run.columns.histogrammed, "histogram", run.depth, run.bins + 2
    )
    histogram = np.moveaxis(histogram, -1, 2)
    trajectories = _trajectories(run, read)
    points = [
        PointStatistics(
            MomentTree(), np.ascontiguousarray(histogram[i]), trajectories[i], kept=int(kept)
        )
        for i, kept in enumerate(state["trajectories_done"])
    ]
    for point, look in zip(points, state.get("look", []), strict=False):
        point.look = int(look)
    if nodes:
        _add_nodes(run, state, points, complete=complete)
    lower = _together(run, state, run.columns.histogrammed, "bin_lower", run.depth)
    width = _together(run, state, run.columns.histogrammed, "bin_width", run.depth)
    for i, statistics in enumerate(points):
        defined = not (np.isnan(lower[i]).any() or np.isnan(width[i]).any())
        if statistics.tree.nodes and not defined:
            raise ValueError("bins are missing")
        if defined:
            statistics.bins = _bins(lower[i], width[i])
    _add_partial_histograms(run, read, points)
    _check_trials(run, state["trials_done"].tolist(), points)
    return points


def _check_points(run: Run, state: Mapping[str, Numbers]) -> None:
    if state["point_key"].tolist() != [point.key for point in run.points]:
        raise ValueError("the keys of its points are not those of its configuration")
    kept = state["trajectories_done"]
    if kept.min() < 0 or kept.max() > run.kept:
        raise ValueError("more trajectories are done than are kept")
    looks = state.get("look", np.zeros(1, np.int64))
    if looks.min() < 0 or (looks % BLOCK).any():
        raise ValueError("a point is judged in the middle of a block")


def _together(
    run: Run, state: dict[str, Numbers], names: Sequence[str], kind: str, *axes: int
) -> Numbers:
    """Put observables side by side, all of one pair after the other, along the last axis."""
    parts = [state.pop(f"{name}/{kind}") for name in names]
    split = [part.reshape(len(part), run.columns.pairs, *axes) for part in parts]
    joined = np.moveaxis(np.stack(split, axis=2), (1, 2), (-2, -1))
    return joined.reshape(*joined.shape[:-2], -1)


def _add_nodes(
    run: Run, state: dict[str, Numbers], points: Sequence[PointStatistics], *, complete: bool
) -> None:
    """Give every point its nodes and its partial block."""
    columns = ("node_point", "node_level", "node_index")
    places = list(zip(*(state[name].tolist() for name in columns), strict=True))
    _check_places(run, places, complete=complete)
    chosen = len(run.covariance_layers)
    names = run.columns.of_pair
    kinds = [_together(run, state, names, f"node_{kind}", run.depth) for kind in _BASIC]
    for i, kind in enumerate(_BASIC if run.shared else ()):
        of_network = [state.pop(f"{name}/node_{kind}") for name in NETWORK_NAMES]
        shaped = [part.reshape(len(places), run.depth, -1) for part in of_network]
        kinds[i] = np.concatenate([kinds[i], *shaped], axis=2)
    for kind, axes in (("count", ()), ("mean", (chosen,)), ("m2", (chosen, chosen))):
        values = _together(run, state, run.columns.covariance, f"node_cov_{kind}", *axes)
        kinds.append(np.moveaxis(values, -1, 1))
    for i, (point, level, index) in enumerate(places):
        moments = Moments(*(np.ascontiguousarray(kind[i]) for kind in kinds))
        partial = level == PARTIAL
        if moments.count.max() != (run.end_trial % BLOCK if partial else BLOCK << level):
            raise ValueError("a node has other trials than its blocks")
        if partial:
            points[point].partial = moments
        else:
            points[point].tree.nodes[level, index] = moments


def _check_places(run: Run, places: Sequence[tuple[int, int, int]], *, complete: bool) -> None:
    """Raise ValueError unless these nodes can be the maximal ones of this run, in order."""
    last = run.end_trial // BLOCK
    known = set(places)
    point, free = 0, run.first_trial // BLOCK
    for number, level, index in places:
        if number != point:
            point, free = number if number > point else len(run.points), run.first_trial // BLOCK
        if level == PARTIAL:
            begin, end = index, index + 1
            fits = complete and begin == last and run.end_trial % BLOCK > 0
        else:
            fits = 0 <= level <= last.bit_length() and (number, level, index ^ 1) not in known
            begin, end = (index << level, index + 1 << level) if fits else (0, 0)
            fits = fits and end <= last
        if not fits or begin < free or point >= len(run.points):
            raise ValueError("its nodes are not those of a run")
        free = end


def _add_partial_histograms(run: Run, read: Read, points: Sequence[PointStatistics]) -> None:
    """Give partial blocks their counts: the published ones less those of whole blocks."""
    if all(point.partial is None for point in points):
        return
    shape = (*run.shape, *(run.columns.pairs,) * run.shared, run.depth)

    def published(kind: str, dtype: str, *axes: int) -> Numbers:
        found = {
            f"{name}/{kind}": read(f"{name}/{kind}", (*shape, *axes), dtype)
            for name in run.columns.histogrammed
        }
        by_point = {path: part.reshape(len(points), -1) for path, part in found.items()}
        return _together(run, by_point, run.columns.histogrammed, kind, run.depth, *axes)

    histogram = np.moveaxis(published("histogram", "u4", run.bins + 2), -1, 2)
    lower, width = published("bin_lower", "f8"), published("bin_width", "f8")
    for i, point in enumerate(points):
        if point.partial is not None:
            # Damaged counts wrap round here, and then have other sums.
            point.partial_histogram = np.ascontiguousarray(histogram[i]) - point.histogram
            point.bins = point.bins or _bins(lower[i], width[i])


def _bins(lower: Numbers, width: Numbers) -> Bins:
    return Bins(np.ascontiguousarray(lower), np.ascontiguousarray(width))


def _check_trials(run: Run, done: Sequence[int], points: Sequence[PointStatistics]) -> None:
    """Raise ValueError where the parts of a point are not about the same trials."""
    own = run.columns.of_pairs(run.columns.histogrammed)
    for trials, point in zip(done, points, strict=True):
        # Checkpoints, and all files of format 1.0, count a partial block that they do not hold.
        rest = 0 if point.partial is not None else run.end_trial % BLOCK
        if trials - point.trials() not in (0, rest):
            raise ValueError("other trials are said to be done than there are")
        counted = sum(node.count[:, own] for node in point.tree.nodes.values())
        held = [(point.histogram, counted)]
        if point.partial is not None and point.partial_histogram is not None:
            held.append((point.partial_histogram, point.partial.count[:, own]))
        if any((histogram.sum(axis=2) != count).any() for histogram, count in held):
            raise ValueError("its histograms count other trials than its moments")


def _trajectories(run: Run, read: Read) -> Numbers:
    """Kept trajectories of all points, shape (point, kept, layer, pair and observable)."""
    pairs = run.columns.pairs
    values = np.empty((math.prod(run.shape), run.kept, run.depth, pairs * len(KEPT)))
    if run.kept:
        shape = (*run.shape, *(pairs,) * run.shared, run.kept, run.depth)
        for i, name in enumerate(KEPT):
            part = read(f"trajectories/{name}", shape, "f8")
            part = part.reshape(len(values), pairs, run.kept, run.depth)
            values[..., i :: len(KEPT)] = np.moveaxis(part, 1, -1)
    return values

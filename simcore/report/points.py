"""Points and layers that a page shows in full, and their names."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from simcore.figures.style import plain_number
from simcore.numerics.spacing import evenly, logarithmically
from simcore.physics.parameters import PARAMETERS

from .sources import Source

if TYPE_CHECKING:
    import xarray as xr


Floats = npt.NDArray[np.float64]

MOST_POINTS = 60
"""Points whose layers are shown."""

MOST_LAYERS = 48
"""Layers that are shown of each."""


@dataclass(frozen=True)
class Point:
    """One point of run number `source`, at `place` of its grid.

    `values` are those of all parameters that have one there, by name; ``file`` is `source`. `file`
    is the name of the run's file, without its ending.
    """

    source: int
    place: tuple[int, ...]
    values: Mapping[str, float]
    file: str = ""


def chosen_layers(layers: Sequence[int], most: int = MOST_LAYERS) -> list[int]:
    """Return the indices of up to `most` layers, evenly spaced in the logarithm, both ends in."""
    return logarithmically(len(layers), most)


def all_points(sources: Sequence[Source]) -> list[Point]:
    """Return every point of every run, in the order of the grids."""
    found = []
    for number, source in enumerate(sources):
        places = np.ndindex(*(source.dataset.sizes[d] for d in source.swept))
        found += _points(source, number, places)
    return found


def chosen_points(sources: Sequence[Source], most: int = MOST_POINTS) -> list[Point]:
    """Return the points that are shown in full.

    The room is shared evenly among the runs. In each, the values of the longest dimension are
    thinned, evenly and with both ends kept, until the grid of what is left fits.
    """
    shown = sources[:most]
    found = []
    for number, source in enumerate(shown):
        axes = _thinned([source.dataset.sizes[d] for d in source.swept], most // len(shown))
        found += _points(source, number, itertools.product(*axes))
    return found


def _thinned(sizes: Sequence[int], most: int) -> list[list[int]]:
    counts = list(sizes)
    while math.prod(counts) > most:
        longest = max(range(len(counts)), key=lambda i: counts[i])
        counts[longest] -= 1
    return [evenly(size, count) for size, count in zip(sizes, counts, strict=True)]


def _points(source: Source, number: int, places: Iterable[tuple[int, ...]]) -> list[Point]:
    values = parameters(source.dataset)
    swept, file = source.swept, source.path.stem
    found = []
    for place in places:
        own = values_at(values, dict(zip(swept, place, strict=True)))
        found.append(Point(number, place, {"file": float(number), **own}, file))
    return found


def parameters(dataset: xr.Dataset) -> dict[str, tuple[tuple[str, ...], Floats]]:
    """Return the dimensions and values of the parameters that do not differ by layer."""
    return {
        name: (tuple(map(str, dataset[name].dims)), np.asarray(dataset[name].values, dtype=float))
        for name in PARAMETERS
        if name in dataset.coords and "layer" not in dataset[name].dims
    }


def values_at(
    values: Mapping[str, tuple[tuple[str, ...], Floats]], place: Mapping[str, int]
) -> dict[str, float]:
    """Return the parameters (as from `parameters`) that have one value at a place of the grid."""
    return {
        name: float(array[tuple(place[d] for d in dims)])
        for name, (dims, array) in values.items()
        if set(dims) <= place.keys()
    }


def parameter_label(name: str) -> str:
    """Return the symbol of a parameter."""
    return PARAMETERS[name].symbol if name in PARAMETERS else name


def point_label(point: Point, varied: Sequence[str]) -> str:
    """Return the varied parameters of a point, as "k = 0, N = 256"; "" without any."""
    return ", ".join(_named(point, name) for name in varied if name in point.values)


def _named(point: Point, name: str) -> str:
    value = plain_number(point.values[name])
    if name == "file":
        return point.file
    if name != "pair":
        return f"{parameter_label(name)} = {value}"
    overlap = point.values.get("overlap", math.nan)
    return (
        f"pair {value}" if math.isnan(overlap) else f"pair {value} (c₀ = {plain_number(overlap)})"
    )


def group_key(values: Mapping[str, float], varied: Sequence[str]) -> str:
    """Return a name for all points that differ in width only."""
    return "|".join(f"{name}={values[name]:.12g}" for name in varied if name in values)

"""Looks of the lines of a figure: a hue for one parameter, a shade and a marker for the others."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from simcore.numerics.spacing import evenly
from simcore.physics.observables import BY_NAME
from simcore.physics.parameters import PARAMETERS
from simcore.results.points import swept_of

from .style import COLOURS, GREY, plain_number

if TYPE_CHECKING:
    import xarray as xr

MOST_HUES = 4
"""Values of a parameter that are told apart by hue; more have the colours of a scale."""

MOST_LINES = 12
"""Lines of two parameters that a reader tells apart."""

MOST_OF_ONE = 8
"""Lines of one parameter."""

MARKERS = "osD^vP*X"

OBSERVABLE = "observable"
"""Name of the axis of several observables beside those of the parameters."""


class Look(NamedTuple):
    """Colour and marker; no marker in a legend where the colour alone tells."""

    colour: str
    marker: str = "o"


class Line(NamedTuple):
    """A point of the grid and an observable, its look, and its name in full."""

    place: dict[str, int]
    observable: str
    look: Look
    label: str


Key = tuple[str, Look]


class Looks(NamedTuple):
    """Lines of a figure, names and looks of hues and of shades, and how many points there are."""

    lines: tuple[Line, ...]
    hues: tuple[Key, ...]
    shades: tuple[Key, ...]
    points: int
    shown: int


class _Value(NamedTuple):
    """A value of an axis: its name, and its places along dimensions."""

    name: str
    at: Mapping[str, int]


def looks_of(
    values: xr.DataArray, observables: Sequence[str], known: xr.DataArray | None = None
) -> Looks:
    """Return the lines of a figure: of all points if they are few, else spread over the grid.

    `values` is one array along points, and layers or not; `known` tells the points that count.
    """
    axes = [
        (dim, [_Value(_named(dim, x), {dim: i}) for i, x in enumerate(values[dim].to_numpy())])
        for dim in swept_of(values)
    ]
    points = [dict(at) for at in _places(axes) if _counts(known, at)]
    axes = [(dim, [v for v in every if _used(v, points)]) for dim, every in axes]
    if len(observables) > 1:
        names = [
            _Value(BY_NAME[name].tex_label, {OBSERVABLE: i}) for i, name in enumerate(observables)
        ]
        axes.append((OBSERVABLE, names))
    hues, shades = _chosen(axes)
    lines = []
    for (i, first), (j, second) in itertools.product(enumerate(hues), enumerate(shades)):
        at = {**first.at, **second.at}
        place = {dim: where for dim, where in at.items() if dim != OBSERVABLE}
        if place in points:
            look = Look(shade(hue(i, len(hues)), j, len(shades)), MARKERS[j % len(MARKERS)])
            label = ", ".join(value.name for value in (first, second) if value.name)
            lines.append(Line(place, observables[at.get(OBSERVABLE, 0)], look, label))
    # A hue has a marker of its own only where it has a single shade.
    marker = MARKERS[0] if len(shades) == 1 else ""
    of_hues = [(v.name, Look(hue(i, len(hues)), marker)) for i, v in enumerate(hues) if v.name]
    greys = [Look(shade(GREY, j, len(shades)), MARKERS[j]) for j in range(len(shades))]
    of_shades = [(v.name, look) for v, look in zip(shades, greys, strict=True) if v.name]
    shown = len({tuple(line.place.items()) for line in lines})
    return Looks(tuple(lines), tuple(of_hues), tuple(of_shades), len(points), shown)


def _chosen(axes: Sequence[tuple[str, list[_Value]]]) -> tuple[list[_Value], list[_Value]]:
    """Return the values that hues stand for, and those of shades: of all other axes."""
    if not axes:
        return [_Value("", {})], [_Value("", {})]
    if len(axes) == 1:
        return _thinned(axes[0][1], MOST_OF_ONE), [_Value("", {})]
    # The shortest axis has the hues; k before the others.
    first = min(axes, key=lambda axis: (len(axis[1]), axis[0] != "k"))
    hues = _thinned(first[1], MOST_HUES)
    rest = [every for name, every in axes if name != first[0]]
    together = [
        _Value(", ".join(v.name for v in each), {d: i for v in each for d, i in v.at.items()})
        for each in itertools.product(*rest)
    ]
    return hues, _thinned(together, min(MOST_LINES // len(hues), len(MARKERS)))


def _thinned(values: list[_Value], most: int) -> list[_Value]:
    return [values[i] for i in evenly(len(values), most)]


def _named(dim: str, value: float) -> str:
    return f"{PARAMETERS[dim].tex} = {plain_number(value)}"


def _places(axes: Sequence[tuple[str, list[_Value]]]) -> list[dict[str, int]]:
    every = itertools.product(*(values for _, values in axes))
    return [{dim: i for value in each for dim, i in value.at.items()} for each in every]


def _counts(known: xr.DataArray | None, place: Mapping[str, int]) -> bool:
    return known is None or bool(known.isel(place))


def _used(value: _Value, points: Sequence[Mapping[str, int]]) -> bool:
    return any(value.at.items() <= point.items() for point in points)


# --- colours --------------------------------------------------------------------------------------


def hue(place: int, count: int) -> str:
    """Return a colour of its own for each of few values, and one of a scale for many."""
    if count <= MOST_HUES:
        return COLOURS[place]
    import matplotlib as mpl
    from matplotlib.colors import to_hex

    return str(to_hex(mpl.colormaps["viridis"](0.9 * place / (count - 1))))


def shade(colour: str, place: int, count: int) -> str:
    """Return a colour from darker to lighter."""
    if count == 1:
        return colour
    from matplotlib.colors import to_hex, to_rgb

    share = place / (count - 1)
    light = 0.55 * share
    dark = 1.0 - 0.4 * (1.0 - share)
    rgb: Any = [dark * x * (1.0 - light) + light for x in to_rgb(colour)]
    return str(to_hex(rgb))

"""Data of the page's figures for the chosen points: plain lists, layer by layer."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from simcore.figures.deviation import OBSERVABLES
from simcore.physics.observables import CONTROL, COUNTED, SHARES
from simcore.results.intervals import ends, reach

from .points import Point, chosen_layers
from .sources import Source

LINES = (
    "correlation",
    "distance",
    "log_distance",
    "log_q1",
    "log_q2",
    "inactive1",
    "inactive2",
    "inactive_both",
    "dead_network1",
    "dead_network2",
    "log_gradient1",
    "log_gradient2",
    "gradient_correlation",
    "tangent11",
    "tangent12",
    "tangent22",
)
"""Observables that are drawn along the layers."""

NETWORK_LINES = ("dead", "dead_inputs", "dead_network_all")
"""Observables of networks that several inputs share, drawn along the layers."""

PARTS = {
    "mean": "",
    "error": "_stderr",
    "reach": "_count",
    "theory": "_theory",
    "theory_error": "_theory_stderr",
    "first": "_theory_1n",
    "first_std": "_theory_1n_std",
}
"""Numbers of an observable at a layer, and the endings of their variables.

``reach`` is half of an interval in standard errors (`intervals.reach`), by the networks.
"""

DEVIATIONS = tuple(name for name in LINES if name in OBSERVABLES)
"""Observables whose deviation from theory is shown, where they have controlled means."""

DISTRIBUTIONS = (
    *("correlation", "log_distance", "log_q1", "inactive1", "inactive_both"),
    *("log_gradient1", "tangent11", "tangent12"),
)
"""Observables whose distribution over networks is shown."""

MOMENTS = {"mean": "", "theory": "_theory", "first": "_theory_1n", "first_std": "_theory_1n_std"}
"""Numbers drawn over a distribution."""

DISTRIBUTION_LAYERS = 10
SINGLE = ("correlation", "log_distance")
SINGLE_NETWORKS = 8
"""Networks that are drawn one by one."""

SINGLE_DIGITS = 4
ALL_DIGITS = 17

DIGITS = 8
CONTROLLED_DIGITS = 12
"""Of means with control variates, whose errors are far smaller, and of what they are compared with.
"""
FEWER_DIGITS = {"error": 3, "theory_error": 3, "first_std": 4, "reach": 4}
"""Significant digits of numbers on the page, by part where they are fewer."""


Reader = Callable[[str, Mapping[str, Sequence[int] | slice]], npt.NDArray[np.float64] | None]
"""A function of a variable and of the indices wanted: its values at the chosen points."""


def numbers(values: Iterable[float], digits: int = DIGITS) -> list[float | None]:
    """Return numbers for JSON, with so many digits; None if they are not finite."""
    return [
        float(f"{x:.{digits}g}") if math.isfinite(x) else None
        for x in np.asarray(values, dtype=np.float64).tolist()
    ]


def series_of(source: Source, points: Sequence[Point]) -> list[dict[str, Any]]:
    """Return the data of the figures for some points of a run, a dict for each.

    It has ``layers``, ``lines`` (by observable and part), ``deviations`` from theory (likewise, of
    means with control variates), ``single`` (the first networks, one by one) and
    ``distributions`` (by observable, at a few layers).
    """
    read = functools.partial(_of_places, source, [point.place for point in points])
    layers = chosen_layers(source.layers)
    few = chosen_layers(source.layers, DISTRIBUTION_LAYERS)
    found: list[dict[str, Any]] = [
        {
            "layers": [source.layers[i] for i in layers],
            "lines": {},
            "deviations": {},
            "single": {},
            "distributions": {"layers": [source.layers[i] for i in few], "observables": {}},
        }
        for _ in points
    ]
    _add_lines(read, layers, found)
    _add_deviations(read, layers, found)
    _add_single(read, layers, found)
    _add_distributions(read, few, found)
    return found


def _add_lines(read: Reader, layers: Sequence[int], found: Sequence[dict[str, Any]]) -> None:
    for name in LINES + NETWORK_LINES:
        usual = CONTROLLED_DIGITS if read(name + CONTROL, {"layer": layers}) is not None else DIGITS
        for part, suffix in PARTS.items():
            values = read(name + suffix, {"layer": layers})
            finer = read(name + CONTROL + suffix, {"layer": layers})
            if values is not None and finer is not None:
                values = np.where(np.isnan(finer), values, finer)
            if values is not None and part == "reach":
                values = reach(values)
            if values is None or np.isnan(values).all():
                continue
            for row, one in zip(values, found, strict=True):
                digits = FEWER_DIGITS.get(part, usual)
                one["lines"].setdefault(name, {})[part] = numbers(row, digits)
        if name in SHARES:
            _add_ends(read, layers, name, found)


def _add_ends(
    read: Reader, layers: Sequence[int], name: str, found: Sequence[dict[str, Any]]
) -> None:
    """Add the ends of the intervals of a share, which are not symmetric."""
    mean, error, count = (read(name + end, {"layer": layers}) for end in ("", "_stderr", "_count"))
    if mean is None or error is None or count is None:
        return
    low, high = ends(name, mean, error, count)
    finer = [read(name + CONTROL + end, {"layer": layers}) for end in ("", "_stderr")]
    if finer[0] is not None and finer[1] is not None:
        known = np.isfinite(finer[1])
        ours = ends(name, finer[0], finer[1], count, counted=False)
        low, high = np.where(known, ours[0], low), np.where(known, ours[1], high)
    for i, one in enumerate(found):
        if name in one["lines"]:
            one["lines"][name] |= {"low": numbers(low[i], 4), "high": numbers(high[i], 4)}
            one["lines"][name]["counted"] = name in COUNTED and finer[0] is None


def _add_deviations(read: Reader, layers: Sequence[int], found: Sequence[dict[str, Any]]) -> None:
    """Add means less theory, formed here: the page's digits would not do."""
    widths = read("width", {})
    if widths is None:
        return
    inverse = (1.0 / widths).reshape(len(found), -1).mean(axis=1)
    scale = inverse[:, np.newaxis] ** -2.0
    for name in DEVIATIONS:
        endings = ("", "_stderr", CONTROL, f"{CONTROL}_stderr", "_theory", "_theory_1n")
        values = [read(name + ending, {"layer": layers}) for ending in endings]
        plain, plain_error, mean, error, theory, first = values
        if plain is None or plain_error is None or mean is None or error is None or theory is None:
            continue
        parts = {"mean": mean - theory, "error": error}
        parts |= {"plain": plain - theory, "plain_error": plain_error}
        if first is not None:
            parts |= {"first": first - theory}
            parts |= {"left": (mean - first) * scale, "left_error": error * scale}
        for i, one in enumerate(found):
            if np.isfinite(parts["mean"][i]).any():
                one["deviations"][name] = {part: numbers(x[i]) for part, x in parts.items()}


def _add_single(read: Reader, layers: Sequence[int], found: Sequence[dict[str, Any]]) -> None:
    for name in SINGLE:
        values = read(f"{name}_trajectories", {"trial": slice(SINGLE_NETWORKS), "layer": layers})
        if values is None:
            continue
        for rows, one in zip(values, found, strict=True):
            one["single"][name] = [
                numbers(row, SINGLE_DIGITS) for row in rows if np.isfinite(row).any()
            ]


def _add_distributions(
    read: Reader, layers: Sequence[int], found: Sequence[dict[str, Any]]
) -> None:
    for name in DISTRIBUTIONS:
        chosen = {"layer": layers}
        parts = ("histogram", "bin_lower", "bin_width")
        counts, lower, width = (read(f"{name}_{part}", chosen) for part in parts)
        if counts is None or lower is None or width is None:
            continue
        moments = {part: read(name + suffix, chosen) for part, suffix in MOMENTS.items()}
        for i, one in enumerate(found):
            one["distributions"]["observables"][name] = {
                "lower": numbers(lower[i], ALL_DIGITS),
                "width": numbers(width[i]),
                "counts": [_trimmed(row) for row in counts[i].astype(int)],
                **{part: numbers(x[i]) for part, x in moments.items() if x is not None},
            }


def _trimmed(counts: npt.NDArray[np.int64]) -> list[Any]:
    """Return the first bin that is not empty and the counts from there to the last such one."""
    filled = np.flatnonzero(counts)
    if not filled.size:
        return [0, []]
    return [int(filled[0]), counts[filled[0] : filled[-1] + 1].tolist()]


def _of_places(
    source: Source,
    places: Sequence[tuple[int, ...]],
    variable: str,
    chosen: Mapping[str, Sequence[int] | slice],
) -> npt.NDArray[np.float64] | None:
    """Return a variable at some places of the grid, places first; None if there is none."""
    if variable not in source.dataset:  # `get` would search for similar names, which takes long
        return None
    array = source.dataset[variable]
    along = zip(source.swept, zip(*places, strict=True), strict=True)
    at: dict[str, Any] = {d: xr.DataArray(list(i), dims="point") for d, i in along}
    at |= chosen
    part = array.isel({d: i for d, i in at.items() if d in array.dims})
    if "point" not in part.dims:
        part = part.expand_dims(point=len(places))
    return np.asarray(part.transpose("point", ...).values, dtype=np.float64)

"""The phase diagram: the correlation at depth over the correlation and scale of the weights."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from simcore.physics.slopes import Slopes, mean_square, unevenness

from .series import numbers

CURVE_POINTS = 121
MARGIN = 0.06
"""Share of the range that is added at both ends."""


def phase_data(
    columns: Mapping[str, list[Any]], varied: Sequence[str], *, asymmetric: bool
) -> dict[str, Any] | None:
    """Return the data of the phase diagram, None if neither k nor σ_w is swept.

    `columns` is the table of all points at the last layer; asymmetric ensembles have no closed form
    of c*. ``x`` and ``y`` are the names of the columns on the axes (y is c of the last layer where
    only one parameter is swept); ``curves`` those of c* by σ_b; or there are the cells of the map
    and, where they have a closed form, the borders of the phases, ``preserving`` and ``two``.
    """
    slopes = set(columns["slopes_all"])
    closed = not asymmetric and len(slopes) == 1
    swept = [name for name in ("k", "sigma_w") if name in varied]
    if not swept:
        return None
    k_axis = "g" if "k" in varied and np.isinf(columns["k"]).any() else "k"
    if len(swept) == 2:
        borders = _borders(columns, k_axis, slopes.pop()) if closed else {}
        return _map(columns, k_axis) | borders | {"asymmetric": asymmetric}
    axis = k_axis if swept == ["k"] else "sigma_w"
    curves = _curves(columns, axis, slopes.pop()) if closed else {}
    return {"x": axis, "y": "correlation", "curves": curves, "asymmetric": asymmetric}


def _range(values: Sequence[float], low: float, high: float) -> tuple[float, float]:
    finite = [x for x in values if math.isfinite(x)]
    margin = MARGIN * (max(finite) - min(finite))
    return max(low, min(finite) - margin), min(high, max(finite) + margin)


def _curves(columns: Mapping[str, list[Any]], axis: str, slopes: Slopes) -> dict[str, Any]:
    """Return c* along the axis for each σ_b (and the σ_w, or k, that is fixed)."""
    from simcore.theory import fixed_point

    star = partial(fixed_point, slopes=slopes)
    curves = {}
    for scale in sorted(set(columns["sigma_b_all"])):
        if axis == "sigma_w":
            low, high = _range(columns["sigma_w"], 1e-6, math.inf)
            xs = np.linspace(low, high, CURVE_POINTS).tolist()
            k = columns["k_all"][0]
            stars = [star(k=k, sigma_w=x, sigma_b=scale).correlation for x in xs]
        else:
            low, high = _range(columns[axis], -0.999 if axis == "k" else -99.0, _highest(axis))
            xs = np.linspace(low, high, CURVE_POINTS).tolist()
            fixed = _fixed_scale(columns)
            ks = [_k_of(x) if axis == "g" else x for x in xs]
            stars = [star(k=k, sigma_w=fixed, sigma_b=scale).correlation for k in ks]
        curves[f"{scale:.12g}"] = {"x": numbers(xs), "y": numbers(stars)}
    return curves


def _highest(axis: str) -> float:
    return 1.0 if axis == "g" else math.inf


def _k_of(g: float) -> float:
    return math.inf if g >= 1.0 else g / (1.0 - g)


def _fixed_scale(columns: Mapping[str, list[Any]]) -> float | None:
    """Return the σ_w of all points, None where it follows k."""
    scales = set(columns["sigma_w_all"])
    return scales.pop() if len(scales) == 1 else None


def _map(columns: Mapping[str, list[Any]], axis: str) -> dict[str, Any]:
    """Return the axes and cells of the (σ_w, k) plane."""
    xs, ys = (sorted(set(columns[name])) for name in ("sigma_w", axis))
    return {
        "x": "sigma_w",
        "y": axis,
        "x_cells": _cells(columns["sigma_w"], xs),
        "y_cells": _cells(columns[axis], ys),
    }


def _borders(columns: Mapping[str, list[Any]], axis: str, slopes: Slopes) -> dict[str, Any]:
    """Return the lines between the phases of `he` and `correlated`, theory.md 4."""
    xs, ys = (_edges(sorted(set(columns[name]))) for name in ("sigma_w", axis))
    low, high = ys[0], ys[-1]
    if axis == "g":
        high = min(high, 1.0)
    grid = np.linspace(max(low, -0.99 if axis == "k" else low), high, CURVE_POINTS)
    g = grid if axis == "g" else grid / (1.0 + grid)
    square = mean_square(slopes)
    line = 1.0 / math.sqrt(square)
    preserving = np.sqrt(1.0 / (square * (1.0 - unevenness(slopes) * g / math.pi)))
    inside = (preserving >= xs[0]) & (preserving <= xs[-1])
    biased = any(scale > 0.0 for scale in columns["sigma_b_all"])
    return {
        "preserving": {"x": numbers(preserving[inside]), "y": numbers(grid[inside])},
        "two": {"x": [line, line], "y": [low, high]} if biased else {"x": [], "y": []},
    }


def _cells(values: Sequence[float], distinct: Sequence[float]) -> list[list[float]]:
    """Return the ends of the cell of each value."""
    edges = _edges(distinct)
    return [[edges[i], edges[i + 1]] for i in np.searchsorted(distinct, values).tolist()]


def _edges(values: Sequence[float]) -> list[float]:
    """Return the borders of cells around values: midpoints, and as far beyond the ends."""
    if len(values) == 1:
        return [values[0] - 0.5, values[0] + 0.5]
    middle = [0.5 * (a + b) for a, b in itertools.pairwise(values)]
    return [2.0 * values[0] - middle[0], *middle, 2.0 * values[-1] - middle[-1]]

"""Distributions over networks at one layer, a panel for each point of a grid."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from simcore.errors import InputError
from simcore.physics.observables import BY_NAME

from .lines import title_of
from .looks import Line, looks_of
from .place import Place
from .style import COLOURS, FIRST_ORDER, THEORY

if TYPE_CHECKING:
    import xarray as xr

    from .drawings import Kind

BARS: dict[str, Any] = {"color": COLOURS[0], "fill": True, "alpha": 0.35, "lw": 0.0}

NARROWEST = 1e-9
"""Width of a bin, relative to its place, below which digits of the values are lost."""


def draw_distribution(place: Place, dataset: xr.Dataset, kind: Kind, layer: int) -> None:
    """Draw histograms over networks at one layer as densities, and theory's normal law.

    Each point has its own panel and scale.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    (name,) = kind.observables
    own = dataset.sel(layer=layer)
    looks = looks_of(own[name], kind.observables, _has_bins(own, name))
    if not looks.lines:
        rule = f"can't be drawn at layer {layer}: all networks are within rounding of one value"
        raise InputError(
            "kind", "distribution", rule, "Choose a layer, or --observable log_distance."
        )
    panels = place.multiples(len(looks.lines))
    first = False
    for axes, line in zip(panels, looks.lines, strict=False):
        first |= _draw(axes, own.isel(line.place), line)
    columns = panels[0].get_subplotspec().get_gridspec().ncols if place.given is None else 1
    for i, axes in enumerate(panels):
        last = i + columns >= len(panels)
        axes.set(xlabel=f"{BY_NAME[name].tex} at layer {layer}" if last else "")
        axes.set(ylabel="density" if i % columns == 0 else "")
        axes.set_ylim(bottom=0.0)
        _tick(axes, 6 if len(panels) == 1 else 3)
    entries: list[Any] = [
        Patch(**BARS, label="networks"),
        Line2D([], [], **THEORY, label="mean field"),
    ]
    if first:
        entries.append(Line2D([], [], **FIRST_ORDER, label="normal law of first order in $1/N$"))
    place.legend([[entry] for entry in entries], title_of(dataset, looks, ""))


def _has_bins(own: xr.Dataset, name: str) -> xr.DataArray:
    step, place = own[f"{name}_bin_width"], abs(own[f"{name}_bin_lower"])
    return (step > NARROWEST * place) & (own[f"{name}_histogram"].sum("bin") > 0)


def _draw(axes: Any, point: xr.Dataset, line: Line) -> bool:
    """Draw one point; return whether it has first order in 1/N."""
    name = line.observable
    count = point[f"{name}_histogram"].to_numpy().astype(float)
    step, lower = float(point[f"{name}_bin_width"]), float(point[f"{name}_bin_lower"])
    edges = lower + step * np.arange(len(count) - 1)
    axes.stairs(count[1:-1] / count.sum() / step, edges, **BARS)
    if line.label:
        axes.set_title(line.label, fontsize="medium")
    if f"{name}_theory" in point:
        axes.axvline(float(point[f"{name}_theory"]), **THEORY)
    first = f"{name}_theory_1n" in point
    mean = float(point[f"{name}_theory_1n"]) if first else math.nan
    std = float(point[f"{name}_theory_1n_std"]) if first else 0.0
    x = np.linspace(*_frame(axes, count[1:-1], edges, mean, std), 400)
    if std > 0.0:
        normal = np.exp(-0.5 * ((x - mean) / std) ** 2) / (std * np.sqrt(2.0 * np.pi))
        axes.plot(x, normal, **FIRST_ORDER)
    return std > 0.0


def _frame(axes: Any, count: Any, edges: Any, mean: float, std: float) -> tuple[float, float]:
    """Let the axis hold the networks and three deviations of the normal law; return its ends."""
    filled = np.flatnonzero(count)
    low, high = edges[filled[0]], edges[filled[-1] + 1]
    if std > 0.0:
        low, high = min(low, mean - 3.0 * std), max(high, mean + 3.0 * std)
    margin = 0.05 * (high - low)
    axes.set_xlim(low - margin, high + margin)
    return low - margin, high + margin


def _tick(axes: Any, most: int) -> None:
    from matplotlib.ticker import MaxNLocator

    steps = [1, 2, 5, 10]
    axes.xaxis.set_major_locator(MaxNLocator(most, steps=steps, min_n_ticks=2))
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=steps))

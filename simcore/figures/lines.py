"""What figures of means share: their intervals, the networks behind them, and what they need."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from simcore.physics.observables import CONTROL
from simcore.results.intervals import ends

from .looks import Looks
from .style import plain_number

if TYPE_CHECKING:
    import xarray as xr

THEORIES = ("theory", "theory_1n")
"""Endings of mean field and of first order in 1/N."""


def needed(dataset: xr.Dataset, observables: Iterable[str]) -> xr.Dataset:
    """Return what figures of means need, so that nothing else is read."""
    controlled = (CONTROL, f"{CONTROL}_stderr")
    theories = [f"_{theory}" for theory in THEORIES]
    endings = ("", "_stderr", "_count", *controlled, *theories)
    names = [observable + ending for observable in observables for ending in endings]
    return dataset[[name for name in names if name in dataset]]


def ends_of(point: xr.Dataset, observable: str, ending: str = "") -> tuple[Any, Any, Any]:
    """Return means and the ends of their intervals; `ending` is that of their name."""
    mean = point[observable + ending].to_numpy()
    error = point[f"{observable}{ending}_stderr"].to_numpy()
    low, high = ends(observable, mean, error, point[f"{observable}_count"].to_numpy())
    return mean, low, high


def title_of(dataset: xr.Dataset, looks: Looks, bars: str = "bars: 95 %") -> str:
    """Return what a legend says of all lines: width, networks, meaning of bars, points left out."""
    told = [text for text in (width_text(dataset), networks_text(dataset, looks), bars) if text]
    if looks.shown < looks.points:
        told.append(f"{looks.shown} of {looks.points:,} points")
    return "; ".join(told)


def width_text(dataset: xr.Dataset) -> str:
    """Return the width of all networks, "" if it is swept."""
    if "width" not in dataset.coords or "width" in dataset.dims:
        return ""
    widths = np.unique(dataset["width"].to_numpy())
    if len(widths) == 1:
        return f"$N$ = {plain_number(float(widths[0]))}"
    return f"$N$ = {widths[0]:g} to {widths[-1]:g}"


def networks_text(dataset: xr.Dataset, looks: Looks) -> str:
    """Return the number of networks behind the lines."""
    counts = [
        float(dataset[f"{line.observable}_count"].isel(line.place).max()) for line in looks.lines
    ]
    least, most = (f"{int(f(counts)):,}" for f in (min, max)) if counts else ("0", "0")
    number = most if least == most else f"{least} to {most}"
    return f"{number} network{'s' if number != '1' else ''}"

"""The deviation from mean field, estimated with control variates, and what first order leaves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from simcore.errors import InputError
from simcore.physics.observables import BY_NAME, CONTROL, CONTROLLED
from simcore.physics.observables import FIRST_ORDER as PREDICTED
from simcore.runs.controls import no_controls
from simcore.runs.run import Run

from .lines import along, interval, legend, shown_points
from .style import COLOURS, FIRST_ORDER, THEORY

if TYPE_CHECKING:
    import xarray as xr

OBSERVABLES = tuple(name for name in PREDICTED if name in CONTROLLED)
"""Observables with a controlled mean that first order in 1/N predicts."""

PLAIN: dict[str, Any] = {"facecolor": "0.92", "edgecolor": "0.75", "lw": 0.5}
"""Look of the intervals of plain means."""

FRAME: dict[str, Any] = {"frameon": True, "framealpha": 0.85, "edgecolor": "none"}
"""Look of a legend that may stand on them."""


def check_controls(dataset: xr.Dataset, kind: str, observable: str) -> None:
    """Raise InputError, with the reason, if a run has no controlled mean of an observable."""
    if observable + CONTROL in dataset:
        return
    config = dataset.attrs.get("config_json")
    why = no_controls(Run.from_config(json.loads(config))) if config else ""
    rule = "needs means estimated with control variates, and this run has none"
    remedy = "Simulate it again with this version, without --controls off."
    if why:
        rule, remedy = f"{rule}: {why}", "Plot correlation or z."
    raise InputError("kind", kind, rule, remedy)


def draw_deviation(panels: Any, dataset: xr.Dataset, observable: str) -> None:
    """Draw mean less mean field by layer; below, where theory has it, mean less first order · N².

    `panels` are the axes, one or two. Points of a grid without controlled means are left out.
    """
    upper, *lower = np.atleast_1d(panels)
    layer = dataset["layer"].to_numpy()
    known = dataset[observable + CONTROL].notnull() & dataset[f"{observable}_theory"].notnull()
    shown, total = shown_points(known, known.any("layer"))
    for (label, place), colour in zip(shown, COLOURS, strict=False):
        point = dataset.isel(place)
        mean, reach = point[observable + CONTROL], interval(point, observable, CONTROL)
        theory = point[f"{observable}_theory"]
        name = label or "mean, with control variates"
        _band(upper, layer, mean - theory, reach, color=colour, label=name)
        if not lower:
            continue
        first = point[f"{observable}_theory_1n"]
        upper.plot(layer, first - theory, **FIRST_ORDER)
        scale = _width(point) ** 2
        _band(lower[0], layer, (mean - first) * scale, reach * scale, color=colour)
    upper.axhline(0.0, **THEORY)
    limits = upper.get_ylim()
    for _, place in shown:
        point = dataset.isel(place)
        gap = (point[observable] - point[f"{observable}_theory"]).to_numpy()
        reach = interval(point, observable)
        upper.fill_between(layer, gap - reach, gap + reach, zorder=0, **PLAIN)
    upper.set_ylim(limits)
    upper.plot([], [], **THEORY, label="mean field")
    if lower:
        upper.plot([], [], **FIRST_ORDER, label="first order in $1/N$")
    upper.fill_between([], [], **PLAIN, label="plain mean of the same networks")
    symbol = BY_NAME[observable].tex
    upper.set(ylabel=f"{symbol} − mean field", xscale="log")
    if lower:
        lower[0].axhline(0.0, **FIRST_ORDER)
        lower[0].set(ylabel=f"$N^2$ ({symbol} − first order)")
    (lower or [upper])[-1].set(xlabel="layer")
    upper.xaxis.set_major_formatter("{x:g}")
    along(upper, layer)
    legend(upper, len(shown), total, **FRAME)


def _band(axes: Any, layer: Any, middle: Any, reach: Any, *, color: str, label: str = "") -> None:
    low, high = middle - reach, middle + reach
    axes.fill_between(layer, low, high, color=color, alpha=0.3, lw=0)
    axes.plot(layer, middle, color=color, lw=1.0, label=label or None)


def _width(point: xr.Dataset) -> float:
    """Return the width of a network; of layers of several the harmonic mean."""
    return float(1.0 / (1.0 / point["width"]).mean())

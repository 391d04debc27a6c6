"""The deviation from mean field, estimated with control variates, and what first order leaves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from simcore.errors import InputError
from simcore.physics.observables import (
    BY_NAME,
    CONTROL,
    CONTROLLED,
    GRADIENT_CONTROLLED,
    GRADIENT_FIRST_ORDER,
)
from simcore.physics.observables import FIRST_ORDER as PREDICTED
from simcore.runs.controls import no_controls, no_gradient_controls
from simcore.runs.run import Run

from .along import tick_sparsely
from .lines import ends_of, title_of
from .looks import Line, Looks, looks_of
from .place import Place, Places, along, draw_points, entries_of, theory_look
from .style import FIRST_ORDER, THEORY

if TYPE_CHECKING:
    import xarray as xr

    from .drawings import Kind

OBSERVABLES = (
    *(name for name in PREDICTED if name in CONTROLLED),
    *(name for name in GRADIENT_FIRST_ORDER if name in GRADIENT_CONTROLLED),
)
"""Observables with a controlled mean that first order in 1/N predicts."""

PLAIN: dict[str, Any] = {"facecolor": "0.92", "edgecolor": "0.75", "lw": 0.5}
"""Look of the intervals of plain means."""


def check_controls(dataset: xr.Dataset, kind: str, observable: str) -> None:
    """Raise InputError, with the reason, if a run has no controlled mean of an observable."""
    if observable + CONTROL in dataset:
        return
    config = dataset.attrs.get("config_json")
    reason = no_gradient_controls if observable in GRADIENT_CONTROLLED else no_controls
    why = reason(Run.from_config(json.loads(config))) if config else ""
    rule = "needs means estimated with control variates, and this run has none"
    remedy = "Simulate it again with this version, without --controls off."
    if why:
        rule, remedy = f"{rule}: {why}", "Plot correlation or z."
    raise InputError("kind", kind, rule, remedy)


def draw_deviation(place: Place, dataset: xr.Dataset, kind: Kind, _: int) -> None:
    """Draw mean less mean field by layer; below, where theory has it, mean less first order · N².

    Points of a grid without controlled means are left out. A single point has the intervals of its
    plain means, too.
    """
    from matplotlib.patches import Patch

    (name,) = kind.observables
    known = dataset[name + CONTROL].notnull() & dataset[f"{name}_theory"].notnull()
    looks = looks_of(known, (name,), known.any("layer"))
    has_first = f"{name}_theory_1n" in dataset
    upper, *lower = place.stack(1.0, 0.7) if has_first else place.stack(1.0)
    layer = dataset["layer"].to_numpy()
    places = place.points(layer, len(looks.lines))
    upper.axhline(0.0, **THEORY)
    for line, at in zip(looks.lines, places, strict=True):
        _draw_deviation(upper, dataset.isel(line.place), line, looks, at)
    entries = entries_of(
        looks, "mean, with control variates", ["theory", "theory_1n"][: 1 + has_first]
    )
    if len(looks.lines) == 1:
        _draw_plain(upper, dataset.isel(looks.lines[0].place), name)
        entries[-1].append(Patch(**PLAIN, label="plain mean of the same networks"))
    symbol = BY_NAME[name].tex
    along(upper, layer)
    upper.set(ylabel=f"{symbol} − mean field")
    tick_sparsely(upper)
    for axes in lower:
        upper.set(xlabel="")
        axes.axhline(0.0, **FIRST_ORDER)
        for line, at in zip(looks.lines, places, strict=True):
            _draw_left(axes, dataset.isel(line.place), line, at)
        axes.set(ylabel=f"$N^2$ ({symbol} − first order)", xlabel="layer")
        tick_sparsely(axes)
    place.legend(entries, title_of(dataset, looks))


def _draw_deviation(axes: Any, point: xr.Dataset, line: Line, looks: Looks, at: Places) -> None:
    name, layer = line.observable, point["layer"].to_numpy()
    field = point[f"{name}_theory"].to_numpy()
    ends = [(part - field)[at] for part in ends_of(point, name, CONTROL)]
    draw_points(axes, layer[at], ends, line.look.colour, line.look.marker)
    if f"{name}_theory_1n" in point:
        first = point[f"{name}_theory_1n"].to_numpy()
        axes.plot(layer, first - field, **theory_look(looks, line.look.colour, FIRST_ORDER))


def _draw_left(axes: Any, point: xr.Dataset, line: Line, at: Places) -> None:
    name, layer = line.observable, point["layer"].to_numpy()
    first = point[f"{name}_theory_1n"].to_numpy()
    scale = _width(point) ** 2
    ends = [((part - first) * scale)[at] for part in ends_of(point, name, CONTROL)]
    draw_points(axes, layer[at], ends, line.look.colour, line.look.marker)


def _draw_plain(axes: Any, point: xr.Dataset, name: str) -> None:
    """Draw the intervals of plain means, which may reach beyond the panel."""
    limits = axes.get_ylim()
    _, low, high = ends_of(point, name)
    field = point[f"{name}_theory"].to_numpy()
    axes.fill_between(point["layer"].to_numpy(), low - field, high - field, zorder=0, **PLAIN)
    axes.set_ylim(limits)


def _width(point: xr.Dataset) -> float:
    """Return the width of a network; of layers of several the harmonic mean."""
    return float(1.0 / (1.0 / point["width"]).mean())

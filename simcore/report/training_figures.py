"""The figures about training, with their data: curves, learning rates, dead units.

A glyph's tags are the role of its colour and its ensemble, which the page's script shows or hides.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from bokeh.models import ColumnDataSource, FixedTicker

from simcore.training.statistics import curves, dead_units, trained

from .figures import draw, empty_figure, hover
from .series import numbers

if TYPE_CHECKING:
    import xarray as xr


FEW = 7
"""Colours of things side by side in the style sheet: few0, few1, …"""

MARKERS = ("circle", "diamond", "square", "triangle", "inverted_triangle", "star", "hex")


def training_figures(dataset: xr.Dataset) -> dict[str, Any]:
    """Return the figures of a file by name: ``loss``, ``accuracy`` of classes, ``rates``, ``dead``.

    Empty while no ensemble is trained to the end.
    """
    dataset = dataset.sel(ensemble=trained(dataset))
    if not dataset.sizes["ensemble"]:
        return {}
    found = curves(dataset)
    found = found.sel(step=found["step"] > 0)
    made = {"loss": _curves(found, "loss", "test loss", "log")}
    if "accuracy" in found:
        made["accuracy"] = _curves(found, "accuracy", "accuracy", "linear")
    made["rates"] = _rates(dataset)
    made["dead"] = _dead(dead_units(dataset))
    return made


def _styles(dataset: xr.Dataset) -> Iterator[tuple[str, list[str], str]]:
    """Yield name, tags and marker of every ensemble."""
    for i, name in enumerate(map(str, dataset["ensemble"].to_numpy())):
        yield name, [f"few{i % FEW}", name], MARKERS[i % len(MARKERS)]


def _decades(axis: Any, values: Any) -> None:
    """Put ticks at 1, 2 and 5, since Bokeh's own are linear where there are few decades."""
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known) & (known > 0.0)]
    if not known.size:
        return
    low, high = np.log10(known.min()), np.log10(known.max())
    mantissas = (1.0, 2.0, 5.0) if high - low < 2.5 else (1.0,)
    powers = range(math.floor(low), math.ceil(high) + 1)
    ticks = [float(f"{m * 10.0**p:.3g}") for p in powers for m in mantissas]
    axis.ticker = FixedTicker(ticks=ticks)
    axis.major_label_overrides = {tick: f"{tick:g}" for tick in ticks}


def _curves(found: xr.Dataset, variable: str, label: str, scale: str) -> Any:
    made = empty_figure("step", label, x_axis_type="log", y_axis_type=scale)
    step = found["step"].to_numpy()
    values = found[variable].to_numpy()
    top = 1.1 * float(np.max(values[np.isfinite(values)], initial=0.0))
    for name, tags, marker in _styles(found):
        low, middle, high = found[variable].sel(ensemble=name).to_numpy()
        train = found["train_loss"].sel(ensemble=name, level=0.5).to_numpy()
        columns: dict[str, Any] = {
            "x": step.tolist(),
            "low": numbers(np.minimum(low, top)),
            "high": numbers(np.minimum(high, top)),
            "y": numbers(middle),
            "train": numbers(train),
            "text": [_quantiles(*row) for row in zip(low, middle, high, strict=True)],
        }
        source = ColumnDataSource(data=columns)
        draw(made, "varea", tags, "x", "low", "high", source=source, fill_alpha=0.18)
        draw(made, "line", tags, "x", "y", source=source, line_width=2)
        if variable == "loss":
            draw(made, "line", tags, "x", "train", source=source, line_dash="dotted")
        points = draw(made, "scatter", tags, "x", "y", source=source, marker=marker, size=5)
        hover(made, [points], [("step", "@x"), (name, "@text")])
    _decades(made.xaxis, step)
    if scale == "log":
        _decades(made.yaxis, values)
    return made


def _quantiles(low: float, middle: float, high: float) -> str:
    shown = [f"{x:.3g}" if np.isfinite(x) else "∞" for x in (low, middle, high)]
    return f"{shown[1]} ({shown[0]} to {shown[2]})"


def _rates(dataset: xr.Dataset) -> Any:
    """Draw the losses of the pilots at each learning rate; the chosen rates stand out."""
    made = empty_figure(
        "learning rate", "validation loss of pilots", x_axis_type="log", y_axis_type="log"
    )
    rate = dataset["rate"].to_numpy()
    for name, tags, marker in _styles(dataset):
        own = dataset.sel(ensemble=name)
        loss, chosen = own["pilot_loss"].to_numpy(), float(own["learning_rate"])
        known = np.isfinite(loss)
        text = [f"{y:.3g} at {x:g}" for x, y in zip(rate[known], loss[known], strict=True)]
        columns: dict[str, Any] = {
            "x": rate[known].tolist(),
            "y": loss[known].tolist(),
            "text": text,
            "size": [13 if x == chosen else 6 for x in rate[known]],
        }
        source = ColumnDataSource(data=columns)
        draw(made, "line", tags, "x", "y", source=source, line_width=1.2)
        points = draw(made, "scatter", tags, "x", "y", source=source, marker=marker, size="size")
        hover(made, [points], [(name, "@text")])
    _decades(made.xaxis, rate)
    _decades(made.yaxis, dataset["pilot_loss"].to_numpy())
    return made


def _dead(found: xr.Dataset) -> Any:
    made = empty_figure("hidden layer", "share of dead units")
    layer = found["layer"].to_numpy()
    made.xaxis.ticker.desired_num_ticks = min(8, len(layer))
    made.xaxis.ticker.min_interval = 1
    made.y_range.start = 0
    for name, tags, marker in _styles(found):
        own = found.sel(ensemble=name)
        for when, dash in (("before", "dotted"), ("after", "solid")):
            mean, error = own[when].to_numpy(), own[f"{when}_stderr"].to_numpy()
            columns: dict[str, Any] = {
                "x": layer.tolist(),
                "y": numbers(mean),
                "text": [f"{m:.4f} ± {e:.4f}" for m, e in zip(mean, error, strict=True)],
            }
            source = ColumnDataSource(data=columns)
            draw(made, "line", tags, "x", "y", source=source, line_width=1.8, line_dash=dash)
            alpha = 0.35 if when == "before" else 1.0
            look = {"marker": marker, "size": 6, "fill_alpha": alpha}
            points = draw(made, "scatter", tags, "x", "y", source=source, **look)
            tips = [("layer", "@x"), (f"{name}, {when} training", "@text")]
            hover(made, [points], tips)
    return made

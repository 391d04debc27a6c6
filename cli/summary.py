"""Rows of a result: chosen layers of one point, or the last layer of every point."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from simcore.api import BY_NAME, logarithmically
from simcore.results.intervals import FEW

from .numbers import NOTHING, plain, with_error
from .show import json_value

if TYPE_CHECKING:
    import xarray as xr

    from simcore import Run
    from simcore.api import RunResults


LAYERS = 12
MOST_ROWS = 20
"""Points of a grid that are printed."""

OBSERVABLES = ("correlation", "log_distance", "inactive1", "inactive_both", "dead_network1")
SUFFIXES = ("", "_stderr", "_theory")
VARIABLES = tuple(name + suffix for name in OBSERVABLES for suffix in SUFFIXES)
NETWORK = ("dead", "dead_inputs")
NETWORK_VARIABLES = (
    *(name + suffix for name in NETWORK for suffix in SUFFIXES[:2]),
    f"{NETWORK[0]}_theory",
)
"""Variables of a network that many inputs share."""

LEGEND = (
    "c: correlation, (12): its standard error in the last digits; theory: mean field of c;",
    "z: (c - theory)/error; inactive: share of nodes, for signal 1 and for both signals;",
    "dead: share of networks that are dead for signal 1",
)
FEW_LEGEND = (
    f"With fewer than {FEW} networks the error of c is too small, and z too large: with 3 to 10",
    "networks c +- 2 errors holds the true mean in about 80 instead of 95 of 100 cases. Simulate",
    "more networks (--trials), or compare ln q and ln(1 - c), which are less skewed.",
)
NETWORK_LEGEND = (
    "dead nodes: share of nodes inactive for all inputs, and its mean field; dead inputs: share of",
    "inputs that died;",
    "the other columns are those of pair 0, the file holds all pairs",
)


@dataclass(frozen=True)
class Row:
    """One layer of one point.

    `point` has the swept parameters, `values` mean, ``_stderr`` and ``_theory`` of each observable,
    NaN where undefined.
    """

    point: dict[str, float]
    layer: int
    values: dict[str, float]

    @property
    def z(self) -> float:
        """Deviation of the mean correlation from mean field, in standard errors."""
        error = self.values["correlation_stderr"]
        if not error > 0.0:
            return math.nan
        return (self.values["correlation"] - self.values["correlation_theory"]) / error


def chosen_layers(depth: int, count: int = LAYERS) -> list[int]:
    """Return up to `count` layers of 1 … depth, evenly spaced in the logarithm, both ends in."""
    return [1 + place for place in logarithmically(depth, count)]


def rows(run: Run, dataset: xr.Dataset) -> list[Row]:
    """Return the rows of a run's dataset (`simcore.open_run`)."""
    layers = _layers(run)
    columns = {name: _column(dataset, name, run, layers) for name in _variables(run)}
    return _rows(run, columns, layers)


def rows_of_results(results: RunResults) -> list[Row]:
    """Return the same rows from memory, without xarray, whose import takes half a second."""
    run = results.run
    layers = _layers(run)
    places = np.array(layers) - 1
    columns = {}
    for field, array in results.arrays(_variables(run)):
        values = array.values[..., 0, :] if "pair" in array.dims else array.values
        columns[field.variable] = values[..., places]
    return _rows(run, columns, layers)


def _variables(run: Run) -> tuple[str, ...]:
    return VARIABLES + NETWORK_VARIABLES * run.shared


def _layers(run: Run) -> list[int]:
    return [run.depth] if run.dimensions else chosen_layers(run.depth)


def _rows(run: Run, columns: Mapping[str, Any], layers: list[int]) -> list[Row]:
    result = []
    for place in np.ndindex(run.shape):
        swept = zip(run.dimensions.items(), place, strict=True)
        point = {name: values[i] for (name, values), i in swept}
        for i, layer in enumerate(layers):
            values = {name: float(column[(*place, i)]) for name, column in columns.items()}
            result.append(Row(point, layer, values))
    return result


def _column(dataset: xr.Dataset, name: str, run: Run, layers: list[int]) -> Any:
    """Return a variable as an array of shape (*grid, chosen layer); NaN if the file lacks it."""
    shape = (*run.shape, len(layers))
    if name not in dataset:
        return np.full(shape, np.nan)
    variable = dataset[name].isel(layer=[layer - 1 for layer in layers])
    if "pair" in variable.dims:
        variable = variable.isel(pair=0)
    grid = zip(run.dimensions, run.shape, strict=True)
    absent = {dimension: size for dimension, size in grid if dimension not in variable.dims}
    return variable.expand_dims(absent).transpose(*run.dimensions, "layer").to_numpy()


def json_rows(result: list[Row]) -> list[object]:
    """Return rows as plain objects."""
    return [
        json_value({**row.point, "layer": row.layer, **row.values, "z": row.z}) for row in result
    ]


def table(result: list[Row], networks: int) -> tuple[list[str], list[list[str]], list[str]]:
    """Return headings, cells and the lines below them, as for `show_table`.

    `networks` is the least number of networks behind a row.
    """
    swept = list(result[0].point)
    first, *others = (BY_NAME[name].column for name in OBSERVABLES)
    headings = [*(name.replace("_", "-") for name in swept), "layer", first, "theory", "z"]
    headings += others
    cells = [_cells(row) for row in result[:MOST_ROWS]]
    below = list(LEGEND)
    if NETWORK[0] in result[0].values:
        nodes, inputs = (BY_NAME[name].column for name in NETWORK)
        headings += [nodes, "theory", inputs]
        below += NETWORK_LEGEND
    if networks < FEW:
        below += FEW_LEGEND
    if len(result) > MOST_ROWS:
        below.insert(0, f"... and {len(result) - MOST_ROWS} more points, all in the file")
    return headings, cells, below


def _cells(row: Row) -> list[str]:
    def measured(name: str) -> str:
        return with_error(row.values[name], row.values[f"{name}_stderr"])

    z = row.z
    return [
        *(plain(value, 12) for value in row.point.values()),
        str(row.layer),
        measured("correlation"),
        plain(row.values["correlation_theory"]),
        NOTHING if math.isnan(z) else f"{z:+.1f}",
        measured("log_distance"),
        measured("inactive1"),
        measured("inactive_both"),
        plain(row.values["dead_network1"], 3),
        *(_network_cells(row, measured) if NETWORK[0] in row.values else ()),
    ]


def _network_cells(row: Row, measured: Callable[[str], str]) -> list[str]:
    nodes, inputs = map(measured, NETWORK)
    return [nodes, plain(row.values.get(f"{NETWORK[0]}_theory", math.nan)), inputs]

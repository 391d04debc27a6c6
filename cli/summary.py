"""Rows of a result: chosen layers of one point, or the last layer of every point."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from simcore.api import BY_NAME, CONTROL, NEAR_ONE, logarithmically
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
VARIABLES += ("distance", "distance_theory")
CONTROLLED = tuple(
    name + CONTROL for name in ("correlation", "distance", "log_distance", "dead_network1")
)
FINER = (
    *("correlation_theory_1n", "distance_theory_1n"),
    *(name + end for name in CONTROLLED for end in SUFFIXES[:2]),
)
"""Variables that not every run has."""
NETWORK = ("dead", "dead_inputs")
NETWORK_VARIABLES = (
    *(name + suffix for name in NETWORK for suffix in SUFFIXES[:2]),
    f"{NETWORK[0]}_theory",
)
"""Variables of a network that many inputs share."""

FINER_LEGEND = (
    "c, ln(1-c): estimated with control variates, (12): one standard error in the last digits;",
    "theory: mean field of c; 1/N: first order in 1/N; z: (c - theory)/error of the column before;",
    "dead: share of networks that are dead for signal 1; half of the nodes are inactive on average",
)
LEGEND = (
    "c: correlation, (12): its standard error in the last digits; theory: mean field of c;",
    "z: (c - theory)/error; inactive: share of nodes, for signal 1 and for both signals;",
    "dead: share of networks that are dead for signal 1",
)
HAZARDS_LEGEND = (
    "dead: probability that a network is dead for signal 1, a sum of conditional probabilities"
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
    def controlled(self) -> bool:
        """True if the mean correlation is estimated with control variates."""
        return self.has_controlled("correlation")

    def has_controlled(self, name: str) -> bool:
        """Return whether an observable has a controlled value."""
        return math.isfinite(self.values.get(f"{name}{CONTROL}_stderr", math.nan))

    def best(self, name: str) -> tuple[float, float]:
        """Return mean and standard error of an observable, the controlled ones if there are."""
        name = name + CONTROL if self.has_controlled(name) else name
        return self.values[name], self.values.get(f"{name}_stderr", math.nan)

    def z(self, theory: str = "theory") -> float:
        """Return the deviation of the mean correlation from a theory, in standard errors."""
        mean, error = self.best("correlation")
        if not error > 0.0:
            return math.nan
        gap = mean - self.values.get(f"correlation_{theory}", math.nan)
        distance, _ = self.best("distance")
        if distance < NEAR_ONE:  # c itself has lost these digits
            gap = self.values.get(f"distance_{theory}", math.nan) - distance
        return gap / error


def chosen_layers(depth: int, count: int = LAYERS) -> list[int]:
    """Return up to `count` layers of 1 … depth, evenly spaced in the logarithm, both ends in."""
    return [1 + place for place in logarithmically(depth, count)]


def rows(run: Run, dataset: xr.Dataset) -> list[Row]:
    """Return the rows of a run's dataset (`simcore.open_run`)."""
    layers = _layers(run)
    named = [n for n in _variables(run) if n not in FINER or n in dataset]
    columns = {name: _column(dataset, name, run, layers) for name in named}
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
    return VARIABLES + FINER + NETWORK_VARIABLES * run.shared


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
        json_value({**row.point, "layer": row.layer, **row.values, "z": row.z()}) for row in result
    ]


def table(result: list[Row], networks: int) -> tuple[list[str], list[list[str]], list[str]]:
    """Return headings, cells and the lines below them, as for `show_table`.

    `networks` is the least number of networks behind a row.
    """
    swept = list(result[0].point)
    headings = [*(name.replace("_", "-") for name in swept), "layer"]
    finer = any(row.controlled for row in result)
    if finer:
        headings += [BY_NAME["correlation"].column, "theory", "z", "1/N", "z"]
        headings += [BY_NAME[name].column for name in ("log_distance", "dead_network1")]
    else:
        first, *others = (BY_NAME[name].column for name in OBSERVABLES)
        headings += [first, "theory", "z", *others]
    cells = [_cells(row, finer=finer) for row in result[:MOST_ROWS]]
    below = list(FINER_LEGEND if finer else LEGEND)
    if any(row.has_controlled("dead_network1") for row in result):
        below[-1] = HAZARDS_LEGEND
    if NETWORK[0] in result[0].values:
        nodes, inputs = (BY_NAME[name].column for name in NETWORK)
        headings += [nodes, "theory", inputs]
        below += NETWORK_LEGEND
    if networks < FEW:
        below += FEW_LEGEND
    if len(result) > MOST_ROWS:
        below.insert(0, f"... and {len(result) - MOST_ROWS} more points, all in the file")
    return headings, cells, below


def _cells(row: Row, *, finer: bool) -> list[str]:
    def measured(name: str) -> str:
        return with_error(*row.best(name))

    cells = [*(plain(value, 12) for value in row.point.values()), str(row.layer)]
    limit = plain(row.values["correlation_theory"], 8 if finer else 6)
    cells += [measured("correlation"), limit, _z(row.z())]
    if finer:
        first = row.values.get("correlation_theory_1n", math.nan)
        cells += [plain(first, 8), _z(row.z("theory_1n"))]
    cells.append(measured("log_distance"))
    if not finer:
        cells += [measured("inactive1"), measured("inactive_both")]
    if row.has_controlled("dead_network1"):
        cells.append(measured("dead_network1"))
    else:
        cells.append(plain(row.values["dead_network1"], 3))
    if NETWORK[0] in row.values:
        nodes, inputs = map(measured, NETWORK)
        cells += [nodes, plain(row.values.get(f"{NETWORK[0]}_theory", math.nan)), inputs]
    return cells


def _z(value: float) -> str:
    if math.isnan(value):
        return NOTHING
    return f"{value:+.1f}" if abs(value) < 1000.0 else f"{value:+.0f}"

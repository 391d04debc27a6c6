"""Rows of a result: chosen layers of one point, or the last layer of every point.

With gradients every point of a grid has its first layer, too, where they end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from simcore.api import CONTROL, NEAR_ONE, logarithmically

from .show import json_value

if TYPE_CHECKING:
    import xarray as xr

    from simcore import Run
    from simcore.api import RunResults


LAYERS = 12
COMPARED = ("correlation", "distance", "log_distance", "log_q1")
"""Observables whose deviation from theory is shown."""

COUNTED = "dead_network1"
OBSERVABLES = (*COMPARED, "inactive1", "inactive_both", COUNTED)
SUFFIXES = ("", "_stderr", "_theory")
VARIABLES = (*(name + suffix for name in OBSERVABLES for suffix in SUFFIXES), f"{COUNTED}_count")
FINER = (
    *(name + end for name in COMPARED for end in ("_theory_stderr", "_theory_1n")),
    *(name + CONTROL + end for name in (*COMPARED, COUNTED) for end in SUFFIXES[:2]),
)
"""Variables that not every run has."""
GRADIENTS = ("log_gradient1", "gradient_correlation", "tangent11", "tangent12")
GRADIENT_VARIABLES = (
    *(name + suffix for name in GRADIENTS for suffix in (*SUFFIXES, "_theory_1n")),
    *(GRADIENTS[0] + CONTROL + suffix for suffix in SUFFIXES[:2]),
)
"""Variables of a run that follows gradients; not each has a first order or a controlled value."""

NETWORK = ("dead", "dead_inputs")
NETWORK_VARIABLES = (
    *(name + suffix for name in NETWORK for suffix in SUFFIXES[:2]),
    f"{NETWORK[0]}_theory",
)
"""Variables of a network that many inputs share."""


@dataclass(frozen=True)
class Row:
    """One layer of one point.

    `point` has the swept parameters, `values` mean, ``_stderr`` and ``_theory`` of each observable,
    NaN where undefined.
    """

    point: dict[str, float]
    layer: int
    values: dict[str, float]

    def has_controlled(self, name: str) -> bool:
        """Return whether an observable has a controlled value."""
        return math.isfinite(self.values.get(f"{name}{CONTROL}_stderr", math.nan))

    def best(self, name: str) -> tuple[float, float]:
        """Return mean and standard error of an observable, the controlled ones if there are."""
        name = name + CONTROL if self.has_controlled(name) else name
        return self.values.get(name, math.nan), self.values.get(f"{name}_stderr", math.nan)

    def z(self, name: str = "correlation", theory: str = "theory") -> float:
        """Return the deviation of a mean from a theory, in standard errors."""
        mean, error = self.best(name)
        error = math.hypot(error, self._or(f"{name}_{theory}_stderr", 0.0))
        if not error > 0.0:
            return math.nan
        gap = mean - self.values.get(f"{name}_{theory}", math.nan)
        distance, _ = self.best("distance")
        if name == "correlation" and distance < NEAR_ONE:  # c itself has lost these digits
            gap = self.values.get(f"distance_{theory}", math.nan) - distance
        return gap / error

    def _or(self, name: str, other: float) -> float:
        """Return a value, or another where it is undefined."""
        value = self.values.get(name, math.nan)
        return value if math.isfinite(value) else other


def chosen_layers(depth: int, count: int = LAYERS) -> list[int]:
    """Return up to `count` layers of 1 … depth, evenly spaced in the logarithm, both ends in."""
    return [1 + place for place in logarithmically(depth, count)]


def rows(run: Run, dataset: xr.Dataset) -> list[Row]:
    """Return the rows of a run's dataset (`simcore.open_run`)."""
    layers = _layers(run)
    optional = FINER + GRADIENT_VARIABLES + NETWORK_VARIABLES
    named = [n for n in _variables(run) if n not in optional or n in dataset]
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
    more = GRADIENT_VARIABLES * run.gradients + NETWORK_VARIABLES * run.shared
    return VARIABLES + FINER + more


def _layers(run: Run) -> list[int]:
    if not run.dimensions:
        return chosen_layers(run.depth)
    return sorted({1, run.depth}) if run.gradients else [run.depth]


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

"""The verdict below a table: whether theory holds, in two or three sentences."""

from __future__ import annotations

import math
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from simcore.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from simcore.api import RunResults
    from simcore.results.compare import Comparison

MOST_POINTS = 24
"""Points of a grid that are compared below a table; more would take longer than half a second."""


def verdict_of_results(results: RunResults, path: Path | None) -> list[str]:
    """Return the verdict on results in memory, which are in a file."""
    from simcore.results.compare import needed
    from simcore.results.open_run import to_dataset

    return verdict_on(to_dataset(results, needed()), path)


def verdict_on(dataset: xr.Dataset, path: Path | None) -> list[str]:
    """Return the verdict on a run; of a large grid, the command that gives it."""
    part, points = first_pair(dataset), grid_points(dataset)
    if not dataset.attrs["complete"]:
        return []
    if points > MOST_POINTS:
        command = f"simcore compare {shlex.quote(str(path))}" if path else "simcore.compare"
        return [f"Whether theory holds at the {points} points: {command}"]
    try:
        return told(comparison(part), dataset)
    except InputError:
        return []


def comparison(dataset: xr.Dataset) -> Comparison:
    """Return the comparison of a run with theory."""
    from simcore.results.compare import compare, needed

    return compare(dataset[[name for name in needed() if name in dataset]])


def told(compared: Comparison, dataset: xr.Dataset) -> list[str]:
    """Return a verdict in sentences; of many pairs it is on the first."""
    which = ["These are verdicts on pair 0 alone."] if _pairs(dataset) else []
    return [" ".join([compared.conclusion, *which])]


def first_pair(dataset: xr.Dataset) -> xr.Dataset:
    """Return the results of the first pair, which the table shows."""
    return dataset.isel(pair=0) if _pairs(dataset) else dataset


def grid_points(dataset: xr.Dataset) -> int:
    """Return the number of points of the grid."""
    sizes = dataset["correlation"].sizes
    return math.prod(sizes[name] for name in sizes if name not in ("layer", "pair"))


def _pairs(dataset: xr.Dataset) -> bool:
    return dataset.sizes.get("pair", 1) > 1

"""Points of a Dataset of results, and checks of what an analysis needs of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import xarray as xr

from simcore.errors import InputError, one_line


def swept_of(dataset: xr.Dataset | xr.DataArray) -> list[str]:
    """Return the dimensions of the points: the swept parameters and the pairs.

    `dataset` is a whole Dataset of results, or one array along points, and layers or not.
    """
    values = dataset["correlation"] if isinstance(dataset, xr.Dataset) else dataset
    return [str(name) for name in values.dims if name != "layer"]


def points(
    dataset: xr.Dataset | xr.DataArray,
) -> Iterator[tuple[dict[str, Any], dict[str, int]]]:
    """Yield the swept parameters of every point, and its place for ``isel``, in order."""
    swept = swept_of(dataset)
    values = {name: dataset[name].to_numpy().tolist() for name in swept}
    for place in np.ndindex(*(len(values[name]) for name in swept)):
        at = dict(zip(swept, place, strict=True))
        yield {name: values[name][i] for name, i in at.items()}, at


def check_dataset(dataset: object) -> None:
    """Check that what was given for results is a Dataset of a run; InputError if not."""
    given = "a Dataset"
    rule = "has no observables of a run"
    if not isinstance(dataset, xr.Dataset):
        given, rule = one_line(dataset), "must be a Dataset"
    elif "correlation" in dataset:
        return
    remedy = "Give what simcore.simulate returned, or open a file with simcore.open_run."
    raise InputError("dataset", given, rule, remedy)


def check_results(
    dataset: xr.Dataset, observables: Sequence[str], allowed: Sequence[str], rule: str
) -> None:
    """Check that results can be compared with theory along their layers.

    InputError if the run is unfinished, has no dimension of layers, or no observables are asked
    for, or others than `allowed`, of which `rule` says what is wrong.
    """
    check_dataset(dataset)
    if not dataset.attrs.get("complete", 1) or "correlation_theory" not in dataset:
        wrong = "is unfinished, and theory comes with the last write"
        raise InputError("dataset", "the run", wrong, "Finish it with simcore resume.")
    if "layer" not in dataset["correlation"].dims:
        wrong = "has a single layer chosen, and no dimension of layers"
        raise InputError("dataset", "the run", wrong, "Choose it by isel(layer=[-1]).")
    remedy = f"Choose of: {', '.join(allowed)}."
    if isinstance(observables, str) or not len(observables):
        wrong = "must be one or more names in a list"
        raise InputError("observables", observables, wrong, remedy)
    for name in observables:
        if name not in allowed:
            raise InputError("observables", name, rule, remedy)

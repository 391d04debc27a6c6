"""Several runs as one Dataset: parameters that differ become dimensions."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence

import numpy as np
import xarray as xr

from simcore.errors import InputError
from simcore.runs.run import Run

_FOLLOWING = {
    "g": ("ensemble", "k"),
    "sigma_w": ("ensemble", "k"),
    "initial_distance": ("overlap",),
    "overlap": ("initial_distance",),
}
"""Coordinates that may follow parameters instead of being one, and which."""


def aligned(datasets: Sequence[xr.Dataset], names: Sequence[str]) -> xr.Dataset:
    """Put the results of several runs (`open_run`) together in memory; `names` are for messages.

    Attributes are those in which all agree; ``complete`` is 0 if that of one is. InputError if two
    hold the same point, or they differ in more than parameters.
    """
    if not datasets:
        raise InputError("files", "none", "are missing", "Name at least one file.")
    runs = [Run.from_config(json.loads(dataset.attrs["config_json"])) for dataset in datasets]
    _check(runs, names)
    words = [_words(run, runs) for run in runs]
    parameters = [
        {**{name: (value,) for name, value in own.items()}, **run.axes}
        for own, run in zip(words, runs, strict=True)
    ]
    varying = [
        name
        for name in {name: None for own in parameters for name in own}
        if len({value for own in parameters for value in own[name]}) > 1
    ]
    parts = [
        _expanded(dataset.load(), own, varying)
        for dataset, own in zip(datasets, words, strict=True)
    ]
    _check_points(parts, varying, names)
    whole = xr.merge(parts, join="outer", compat="no_conflicts", combine_attrs="drop_conflicts")
    whole.attrs["complete"] = int(all(dataset.attrs["complete"] for dataset in datasets))
    whole.attrs.setdefault("depth", whole.sizes["layer"])
    whole = whole.transpose(*varying, ..., missing_dims="ignore")
    for dataset in datasets:
        whole = _counts_as_integers(whole, dataset)
    return whole


def _words(run: Run, runs: Sequence[Run]) -> dict[str, str]:
    """Return what may differ beside the parameters of a grid, and is a dimension then.

    `he` is `correlated` at k = 0, and is called so beside other k.
    """
    ensemble = run.ensemble
    if ensemble == "he" and any(other.ensemble == "correlated" for other in runs):
        ensemble = "correlated"
    return {"ensemble": ensemble, "weights": run.weights}


def _check(runs: Sequence[Run], names: Sequence[str]) -> None:
    def settled(run: Run) -> dict[str, object]:
        inputs = None if run.inputs is None else run.inputs.config()
        pairs = (run.correlation, run.distance) if run.shared else None
        return {
            "parameters": tuple(run.axes),
            "widths of the layers": run.layer_widths,
            "inputs": inputs,
            "pairs": pairs,
            "bins": run.bins,
            "levels": run.levels,
            "weight scales": run.sigma_w if isinstance(run.sigma_w, str) else None,
        }

    first = settled(runs[0])
    for run, name in zip(runs[1:], names[1:], strict=True):
        for what, value in settled(run).items():
            if value != first[what]:
                rule = f"and {names[0]} differ in their {what}, so they are no parts of one grid"
                raise InputError("files", name, rule, "Open them one by one.")


def _check_points(
    parts: Sequence[xr.Dataset], varying: Sequence[str], names: Sequence[str]
) -> None:
    """Raise InputError if a point is in two files."""
    for i, one in enumerate(parts):
        for j, other in enumerate(parts[:i]):
            if all(np.isin(one[name], other[name]).any() for name in varying):
                rule = f"and {names[j]} hold the same point"
                remedy = "Unite shards of one run with simcore merge, or leave one of them out."
                raise InputError("files", names[i], rule, remedy)


def _expanded(dataset: xr.Dataset, words: dict[str, str], varying: Sequence[str]) -> xr.Dataset:
    """Give a Dataset a dimension for each parameter that varies, and what follows it along it."""
    dataset = dataset.assign_coords({n: value for n, value in words.items() if n in varying})
    missing = [name for name in varying if name not in dataset.dims]
    # Coordinates that follow others, as g does k, stay coordinates: expand_dims leaves those out.
    following: list[Hashable] = [name for name in _FOLLOWING if name not in varying]
    dataset = dataset.reset_coords([name for name in following if name in dataset.coords])
    held = {str(name): dataset[name] for name in following if name in dataset}
    dataset = dataset.drop_vars(list(held)).expand_dims(missing)
    for name, values in held.items():
        along = [dim for dim in _FOLLOWING[name] if dim in varying]
        new = [dim for dim in along if dim not in values.dims]
        wide = values.drop_vars(list(values.coords)).expand_dims(dict.fromkeys(new, 1))
        dataset = dataset.assign_coords({name: (wide.dims, wide.values, values.attrs)})
    return dataset


def _counts_as_integers(whole: xr.Dataset, like: xr.Dataset) -> xr.Dataset:
    """Turn counts, which became floats where points are missing, back; there they are 0."""
    for name, values in like.data_vars.items():
        if values.dtype.kind in "iu" and whole[name].dtype.kind == "f":
            whole[name] = whole[name].fillna(0).astype(values.dtype)
    return whole

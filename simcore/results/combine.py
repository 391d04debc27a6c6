"""Several runs as one Dataset: parameters that differ become dimensions."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
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

Place = dict[Hashable, Any]
"""Position of a part in the whole, by dimension: a slice, or indices."""


def aligned(datasets: Sequence[xr.Dataset], names: Sequence[str]) -> xr.Dataset:
    """Put the results of several runs (`open_run`, loaded) together; `names` are for messages.

    Memory is in proportion to the whole. Attributes are those in which all agree; ``complete`` is 0
    if that of one is. InputError if two hold the same point, or differ in more than parameters.
    """
    if not datasets:
        raise InputError("files", "none", "are missing", "Name at least one file.")
    runs = [Run.from_config(json.loads(dataset.attrs["config_json"])) for dataset in datasets]
    _check(runs, names)
    words = _words(runs)
    values: dict[str, set[object]] = {}
    for own, run in zip(words, runs, strict=True):
        for axis, taken in {**{key: (word,) for key, word in own.items()}, **run.axes}.items():
            values.setdefault(axis, set()).update(taken)
    varying = [axis for axis, found in values.items() if len(found) > 1]
    parts = [_expanded(part, own, varying) for part, own in zip(datasets, words, strict=True)]
    indexes = _indexes(parts)
    places = [
        {dim: _place(indexes[dim], index) for dim, index in part.indexes.items()} for part in parts
    ]
    _check_points([len(indexes[name]) for name in varying], places, varying, names)
    whole = xr.Dataset(attrs=_agreed(part.attrs for part in parts))
    whole.attrs["complete"] = int(all(part.attrs["complete"] for part in parts))
    whole.attrs.setdefault("depth", len(indexes["layer"]))
    sizes = {dim: len(index) for dim, index in indexes.items()}
    for name in dict.fromkeys(name for part in parts for name in part.variables):
        held = [
            (part.variables[name], place)
            for part, place in zip(parts, places, strict=True)
            if name in part.variables
        ]
        attributes = _agreed(variable.attrs for variable, _ in held)
        if name in indexes:
            whole = whole.assign_coords({name: (name, indexes[name], attributes)})
        elif any(name in part.coords for part in parts):
            filled = _coordinate(str(name), held, sizes, varying)
            whole = whole.assign_coords({name: filled.assign_attrs(attributes)})
        else:
            whole[name] = _filled(held, sizes, varying).assign_attrs(attributes)
    return whole


def _words(runs: Sequence[Run]) -> list[dict[str, str]]:
    """Return settings that may differ beside the parameters of a grid, and are a dimension then.

    `he` is `correlated` at k = 0, and is called so beside other k.
    """
    correlated = any(run.ensemble == "correlated" for run in runs)
    he = "correlated" if correlated else "he"
    sloped = any(run.slopes is not None for run in runs)
    return [
        {"ensemble": he if run.ensemble == "he" else run.ensemble, "weights": run.weights}
        | ({"slopes": run.slopes or "1,0"} if sloped else {})
        for run in runs
    ]


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
                rule = f"has other {what} than {names[0]}, so they are no parts of one grid"
                raise InputError("files", name, rule, "Open them one by one.")


def _check_points(
    shape: Sequence[int], places: Sequence[Place], varying: Sequence[str], names: Sequence[str]
) -> None:
    """Raise InputError if a point is in two files."""
    owner = np.full(shape, -1)
    for i, place in enumerate(places):
        at = _key([place[name] for name in varying], shape)
        taken = owner[at]
        if (taken >= 0).any():
            rule = f"holds the same point as {names[taken.max()]}"
            remedy = "Unite shards of one run with simcore merge, or leave one of them out."
            raise InputError("files", names[i], rule, remedy)
        owner[at] = i


def _expanded(dataset: xr.Dataset, words: dict[str, str], varying: Sequence[str]) -> xr.Dataset:
    """Give a Dataset, and coordinates that follow, a dimension for each parameter that varies."""
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


def _indexes(parts: Sequence[xr.Dataset]) -> dict[Hashable, pd.Index[Any]]:
    """Return the values along each dimension of the whole; sorted where the parts differ."""
    found: dict[Hashable, list[pd.Index[Any]]] = {}
    for part in parts:
        for dim, index in part.indexes.items():
            found.setdefault(dim, []).append(index)
    return {
        dim: own[0] if all(own[0].equals(index) for index in own) else _union(own)
        for dim, own in found.items()
    }


def _union(indexes: Sequence[pd.Index[Any]]) -> pd.Index[Any]:
    return indexes[0].append(list(indexes[1:])).unique().sort_values()


def _place(whole: pd.Index[Any], own: pd.Index[Any]) -> Any:
    at = whole.get_indexer(own)
    if (np.diff(at) == 1).all():
        return slice(int(at[0]), int(at[-1]) + 1)
    return at


def _key(where: Sequence[Any], shape: Sequence[int]) -> tuple[Any, ...]:
    """Return the index of a block of an array of this shape."""
    if all(isinstance(at, slice) for at in where):
        return tuple(where)
    return np.ix_(*(np.arange(size)[at] for at, size in zip(where, shape, strict=True)))


def _agreed(attributes: Iterable[Mapping[Any, Any]]) -> dict[Any, Any]:
    """Return the attributes that are the same wherever they are."""
    found: dict[Any, Any] = {}
    differing = set()
    for own in attributes:
        for name, value in own.items():
            if found.setdefault(name, value) != value:
                differing.add(name)
    return {name: value for name, value in found.items() if name not in differing}


Held = Sequence[tuple[xr.Variable, Place]]
"""A variable in the parts that have it, and where each part is."""


def _dims(held: Held, sizes: Mapping[Hashable, int], varying: Sequence[str]) -> dict[Any, int]:
    """Return the dimensions of a variable of the whole with their sizes, the varying ones first."""
    own = {dim: size for variable, _ in held for dim, size in variable.sizes.items()}
    order = [*(dim for dim in varying if dim in own), *own]
    return {dim: sizes.get(dim, own[dim]) for dim in order}


def _blocks(held: Held, dims: Mapping[Any, int]) -> Iterable[tuple[tuple[Any, ...], Any]]:
    """Yield the place of each part in an array of these dimensions, and its values."""
    for variable, place in held:
        present = [dim for dim in dims if dim in variable.dims]
        values = variable.transpose(*present).to_numpy()
        wide = values[tuple(slice(None) if dim in variable.dims else None for dim in dims)]
        everywhere = slice(None)
        where = [place.get(d, everywhere) if d in variable.dims else everywhere for d in dims]
        yield _key(where, list(dims.values())), wide


def _filled(held: Held, sizes: Mapping[Hashable, int], varying: Sequence[str]) -> xr.DataArray:
    """Return results of the whole: NaN where no part has the point, counts 0."""
    dims = _dims(held, sizes, varying)
    dtype = np.result_type(*(variable.dtype for variable, _ in held))
    values = np.full(list(dims.values()), np.nan if dtype.kind == "f" else 0, dtype)
    for key, block in _blocks(held, dims):
        values[key] = block
    return xr.DataArray(values, dims=list(dims))


def _coordinate(
    name: str, held: Held, sizes: Mapping[Hashable, int], varying: Sequence[str]
) -> xr.DataArray:
    """Return a coordinate of the whole, which parts may share: NaN where none has it."""
    dims = _dims(held, sizes, varying)
    values = np.full(list(dims.values()), np.nan, dtype=object)
    for key, block in _blocks(held, dims):
        held_there, known = values[key], ~pd.isna(block)
        if ((held_there != block) & known & ~pd.isna(held_there)).any():
            rule = "differs at the same point, so the files are no parts of one grid"
            raise InputError("files", name, rule, "Open them one by one.")
        values[key] = np.where(known, block, held_there)
    dtype = np.result_type(*(variable.dtype for variable, _ in held))
    if pd.isna(values).any():
        dtype = np.dtype(float if dtype.kind in "iuf" else object)
    return xr.DataArray(values.astype(dtype), dims=list(dims))

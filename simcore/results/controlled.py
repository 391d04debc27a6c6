"""Means estimated with control variates (theory.md 6), in the place of plain ones."""

from __future__ import annotations

import xarray as xr

from simcore.physics.observables import CONTROL, CONTROLLED, GRADIENT_CONTROLLED


def with_controls(dataset: xr.Dataset) -> xr.Dataset:
    """Return results with controlled means, errors and covariances wherever there are some.

    Where they stand a histogram, which is of single trials, has no counts. Plain values remain
    where a run has no controls, and at the points of a grid whose networks may die.
    """
    found: dict[str, xr.DataArray] = {}
    for name in CONTROLLED + GRADIENT_CONTROLLED:
        ours = name + CONTROL
        if ours not in dataset or name not in dataset:
            continue
        known = dataset[f"{ours}_stderr"].notnull()
        for end in ("", "_stderr"):
            found[name + end] = _where(known, dataset[ours + end], dataset[name + end])
        if f"{name}_histogram" in dataset:
            counts = dataset[f"{name}_histogram"]
            found[f"{name}_histogram"] = counts.where(~known, 0)
        if f"{ours}_covariance" in dataset:
            kept = [n for n in ("covariance_layer", "covariance_layer_2") if n in dataset.dims]
            # Files of other depth have other layers: NaN at those that are not theirs.
            held = dataset[f"{ours}_covariance"].notnull().any(kept)
            for end in ("_covariance", "_covariance_mean", "_covariance_count"):
                if name + end in dataset:
                    found[name + end] = _where(held, dataset[ours + end], dataset[name + end])
    return dataset.assign(found)


def has_controls(dataset: xr.Dataset, observable: str) -> bool:
    """Return whether results have controlled means of an observable."""
    return observable + CONTROL in dataset


def _where(known: xr.DataArray, ours: xr.DataArray, plain: xr.DataArray) -> xr.DataArray:
    return ours.where(known, plain).transpose(*plain.dims).assign_attrs(plain.attrs)

"""Data of the figure of width scaling: means against 1/N, the fits, and both by theory."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from simcore.results.intervals import reach
from simcore.results.scaling import fitted_means

from .answers import Widths
from .points import chosen_layers, group_key, parameters, values_at
from .series import numbers

if TYPE_CHECKING:
    import xarray as xr


LAYERS = 8

FIT = (
    *("limit", "limit_stderr", "limit_z", "mean_field"),
    *("slope", "slope_stderr", "slope_z", "slope_theory"),
)
"""Variables of a fit, after the name of the observable."""

OPTIONAL_FIT = ("curvature",)


def widths_data(
    widths: Widths, varied: Sequence[str], wanted: Collection[str]
) -> dict[str, Any] | None:
    """Return the data of the scaling with width, None if there are none.

    `wanted` are the keys (`points.group_key`) of the groups that are shown: points that differ in
    width only. ``groups`` holds, by key and observable, ``width`` and lists over the layers of
    ``mean``, ``error``, ``reach`` (each a list over the widths) and the numbers of the fit.
    """
    fits, dataset = widths.fits, widths.dataset
    if fits is None or dataset is None or "width" not in dataset["correlation"].dims:
        return None
    names = [str(n).removesuffix("_limit") for n in fits.data_vars if str(n).endswith("_limit")]
    every = [int(x) for x in fits["layer"].values]
    layers = [every[i] for i in chosen_layers(every, LAYERS)]
    others = [str(d) for d in dataset[names[0]].dims if d not in ("width", "layer")]
    values, free = parameters(dataset), [n for n in varied if n not in ("file", "width")]
    places = {}
    for place in np.ndindex(*(dataset.sizes[d] for d in others)):
        key = group_key(values_at(values, dict(zip(others, place, strict=True))), free)
        if key in wanted:
            places[key] = place
    groups: dict[str, dict[str, Any]] = {key: {} for key in places}
    for name in names:
        arrays = _arrays(dataset, fits, name, layers, others)
        for key, place in places.items():
            groups[key][name] = {
                "width": [int(x) for x in dataset["width"].values],
                **{part: _listed(array[place]) for part, array in arrays.items()},
            }
    return {
        "layers": layers,
        "observables": names,
        "curved": any(f"{name}_{part}" in fits for name in names for part in OPTIONAL_FIT),
        "groups": groups,
    }


def _arrays(
    dataset: xr.Dataset, fits: xr.Dataset, name: str, layers: Sequence[int], others: Sequence[str]
) -> dict[str, npt.NDArray[np.float64]]:
    """Return means, errors and fits of an observable, the dimensions of the groups first."""
    means = fitted_means(dataset, name)
    measured = {"mean": means.mean, "error": means.error, "reach": dataset[f"{name}_count"]}
    found = {
        part: array.sel(layer=layers).transpose(*others, "layer", "width")
        for part, array in measured.items()
    }
    for part in FIT + OPTIONAL_FIT:
        if f"{name}_{part}" in fits:
            found[part] = fits[f"{name}_{part}"].sel(layer=layers).transpose(*others, "layer")
    values = {part: np.asarray(array.values) for part, array in found.items()}
    return values | {"reach": reach(values["reach"])}


def _listed(values: npt.NDArray[np.float64]) -> list[Any]:
    return numbers(values) if values.ndim == 1 else [numbers(row) for row in values]

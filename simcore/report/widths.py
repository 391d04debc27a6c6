"""The figure of width scaling: means against 1/N, the fits, and what theory says of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .answers import Widths
from .points import chosen_layers, group_key, parameters, values_at
from .series import numbers

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["MOST_GROUPS", "widths_data"]

MOST_GROUPS = 60
"""Points, apart from their width, whose scaling is shown."""

LAYERS = 8

FIT = ("limit", "limit_stderr", "slope", "slope_stderr", "mean_field", "slope_theory")
"""Variables of a fit, after the name of the observable."""

OPTIONAL_FIT = ("curvature",)


def widths_data(widths: Widths, varied: Sequence[str]) -> dict[str, Any] | None:
    """Return what is drawn of the scaling with width, None if there is nothing.

    Parameters
    ----------
    widths
        The fits and their data.
    varied
        Parameters in which points differ.

    Returns
    -------
    dict
        ``layers``, ``observables`` and ``groups``: by the key of all points that differ in width
        only, by observable, ``width`` and lists over the layers of ``mean``, ``error`` (each a list
        over the widths) and the numbers of the fit.
    """
    fits, dataset = widths.fits, widths.dataset
    if fits is None or dataset is None or "width" not in dataset["correlation"].dims:
        return None
    names = [str(n).removesuffix("_limit") for n in fits.data_vars if str(n).endswith("_limit")]
    layers = chosen_layers([int(x) for x in fits["layer"].values], LAYERS)
    of_layer = fits.isel(layer=layers)
    chosen = dataset[[n + s for n in names for s in ("", "_stderr")]].sel(
        layer=of_layer["layer"].values
    )
    chosen = chosen.load()
    others = [str(d) for d in chosen[names[0]].dims if d not in ("width", "layer")]
    shape = [chosen.sizes[d] for d in others]
    step = max(1, -(-int(np.prod(shape)) // MOST_GROUPS))
    groups = {}
    values = parameters(dataset)
    for place in list(np.ndindex(*shape))[::step]:
        at = dict(zip(others, place, strict=True))
        key = group_key(values_at(values, at), [n for n in varied if n not in ("file", "width")])
        groups[key] = {n: _group(chosen, of_layer, n, at) for n in names}
    return {
        "layers": [int(x) for x in of_layer["layer"].values],
        "observables": names,
        "curved": any(f"{name}_{part}" in fits for name in names for part in OPTIONAL_FIT),
        "groups": groups,
    }


def _group(
    data: xr.Dataset, fits: xr.Dataset, name: str, place: Mapping[str, int]
) -> dict[str, Any]:
    mean = data[name].isel(place).transpose("layer", "width").values
    error = data[f"{name}_stderr"].isel(place).transpose("layer", "width").values
    fitted = {
        part: numbers(fits[f"{name}_{part}"].isel(place).values)
        for part in FIT + OPTIONAL_FIT
        if f"{name}_{part}" in fits
    }
    return {
        "width": [int(x) for x in data["width"].values],
        "mean": [numbers(row) for row in mean],
        "error": [numbers(row) for row in error],
        **fitted,
    }

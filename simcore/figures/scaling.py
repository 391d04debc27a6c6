"""Deviations from mean field against 1/N, with fits, their limits and their bands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simcore.physics.observables import BY_NAME

from .along import tick_sparsely
from .lines import ends_of, needed, title_of
from .looks import Line, looks_of
from .place import Place, draw_points, entries_of, theory_look
from .style import FIRST_ORDER, GREY, THEORY

if TYPE_CHECKING:
    import xarray as xr

    from .drawings import Kind

BAND = 2.0
"""Half-width of the band of a fit, and of the bar of its limit, in standard errors."""


def draw_scaling(place: Place, dataset: xr.Dataset, kind: Kind, layer: int) -> None:
    """Draw the deviation from mean field against 1/N, with the fit and the slope of theory."""
    from matplotlib.lines import Line2D

    from simcore.results.scaling import fitted_curve, fitted_means, limit_of, scaling, shifted

    (name,) = kind.observables
    found = scaling(dataset, observables=kind.observables)
    fits = found.fits.sel(layer=layer)
    dataset, _ = shifted(dataset)  # deviations, which a shift does not change
    means = fitted_means(dataset, name)
    fields = limit_of(dataset[f"{name}_theory"]).sel(layer=layer)
    fitted = {name: means.mean, f"{name}_stderr": means.error}
    own = needed(dataset, kind.observables).assign(fitted).sel(layer=layer)
    fine = np.linspace(0.0, 1.05 / float(dataset["width"].min()), 100)
    curve, error = (
        part.sel(layer=layer) for part in fitted_curve(dataset, name, fine, found.terms)
    )
    looks = looks_of(own[name].isel(width=0), kind.observables)
    (axes,) = place.stack(1.15)
    axes.axhline(0.0, **THEORY)
    for line in looks.lines:
        _draw_means(axes, own.isel(line.place), line)
        field = fields.isel(line.place)
        _draw_fit(axes, fine, (curve - field).isel(line.place), error.isel(line.place), line)
        if f"{name}_slope_theory" in fits:
            slope = float(fits[f"{name}_slope_theory"].isel(line.place))
            axes.plot(fine, slope * fine, **theory_look(looks, line.look.colour, FIRST_ORDER))
    axes.set(xlabel="$1/N$", ylabel=f"{BY_NAME[name].tex} − mean field, layer {layer}")
    axes.set_xlim(-0.02 * fine[-1], fine[-1])
    tick_sparsely(axes)
    law = "$a + b/N$" if found.terms == 2 else "$a + b/N + c/N^2$"
    theories = ["theory", "theory_1n"][: 1 + (f"{name}_slope_theory" in fits)]
    limit: dict[str, Any] = {"marker": "D", "mfc": "white", "mec": GREY, "ms": 4.0}
    fit = Line2D([], [], color=GREY, lw=0.8, label=f"fit of {law}, ± 2 errors")
    at_zero = Line2D([], [], ls="", label="its limit $a$", **limit)
    entries = [*entries_of(looks, "simulation", theories), [fit, at_zero]]
    place.legend(entries, title_of(own, looks))


def _draw_means(axes: Any, point: xr.Dataset, line: Line) -> None:
    field = point[f"{line.observable}_theory"].to_numpy()
    ends = [part - field for part in ends_of(point, line.observable)]
    draw_points(axes, 1.0 / point["width"].to_numpy(), ends, line.look.colour, line.look.marker)


def _draw_fit(axes: Any, x: Any, curve: xr.DataArray, error: xr.DataArray, line: Line) -> None:
    """Draw a fit less mean field, with its band, and its limit at 1/N = 0."""
    middle, reach = curve.to_numpy(), BAND * error.to_numpy()
    colour = line.look.colour
    axes.fill_between(x, middle - reach, middle + reach, color=colour, alpha=0.2, lw=0)
    axes.plot(x, middle, color=colour, lw=0.8)
    limit = [np.array([y]) for y in (middle[0], middle[0] - reach[0], middle[0] + reach[0])]
    open_marker: dict[str, Any] = {
        "mfc": "white",
        "mec": colour,
        "mew": 0.8,
        "ms": 4.0,
        "zorder": 4.0,
    }
    draw_points(axes, x[:1], limit, colour, "D", clip_on=False, **open_marker)

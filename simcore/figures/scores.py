"""Scores (mean − theory)/error by layer, a panel for each theory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simcore.physics.observables import BY_NAME
from simcore.results.intervals import reach

from .lines import title_of
from .looks import Look, looks_of
from .place import Place, Places, along, entries_of

if TYPE_CHECKING:
    import xarray as xr

    from .drawings import Kind

STRIP: dict[str, Any] = {"color": "0.9", "lw": 0.0, "zorder": 0}
"""Look of what 95 % of scores lie in."""

AGAINST = {"z": "mean field", "z_1n": "first order"}


def draw_scores(place: Place, dataset: xr.Dataset, kind: Kind, _: int) -> None:
    """Draw (mean − theory)/error against mean field, and below it against first order in 1/N."""
    from matplotlib.patches import Patch

    from simcore.results.compare import z_scores

    names = kind.observables
    z = z_scores(dataset)
    layer = dataset["layer"].to_numpy()
    looks = looks_of(dataset[names[0]], names)
    endings = [e for e in AGAINST if any(f"{name}_{e}" in z for name in names)]
    panels = place.stack(*([0.8] * len(endings)))
    places = place.points(layer, len(looks.lines))
    few = float(reach(max(2, int(dataset[f"{names[0]}_count"].max()))))
    symbol = BY_NAME[names[0]].tex if len(names) == 1 else ""
    for axes, ending in zip(panels, endings, strict=False):
        axes.axhspan(-few, few, **STRIP)
        axes.axhline(0.0, color="0.5", lw=0.6)
        for line, at in zip(looks.lines, places, strict=True):
            values = z.get(f"{line.observable}_{ending}")
            if values is not None:
                _draw(axes, layer, values.isel(line.place).to_numpy(), line.look, at)
        axes.set(ylabel=f"$z${' of ' if symbol else ''}{symbol}, {AGAINST[ending]}")
    along(panels[0], layer)
    if len(panels) > 1:
        panels[0].set(xlabel="")
    panels[-1].set(xlabel="layer")
    strip = Patch(**STRIP, label="95 % of $z$ if theory holds")
    title = title_of(dataset, looks, "")
    place.legend([*entries_of(looks, "simulation", []), [strip]], title)


def _draw(axes: Any, layer: Any, values: Any, look: Look, at: Places) -> None:
    axes.plot(layer, values, color=look.colour, lw=0.6, alpha=0.6)
    axes.plot(layer[at], values[at], ls="", marker=look.marker, color=look.colour, ms=3.0, mew=0.0)

"""Tables of theory as NeXus data, so that silx and h5web open them with a plot."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray as xr

SHOWN = {
    "trajectory": ("correlation", "correlation_1n"),
    "fixed-point": ("fixed_correlation",),
    "map": ("mapped_correlation", "mapped_distance"),
    "phase-diagram": ("fixed_correlation",),
    "growth": ("growth",),
}
"""Quantities that a viewer shows, by table: the first, and over it those of its dimensions."""


def as_nexus(table: xr.Dataset) -> xr.Dataset:
    """Return a table with the attributes of NeXus, to be written."""
    table = table.copy()
    for variable in table.data_vars.values():
        if variable.ndim and variable.dtype.kind in "biuf":
            variable.attrs["interpretation"] = "spectrum"
    shown = [name for name in SHOWN[table.attrs["table"]] if name in table]
    signal = table[shown[0]]
    over = [name for name in shown[1:] if table[name].dims == signal.dims]
    attributes: dict[str, object] = {"NX_class": "NXdata", "signal": shown[0]}
    if signal.dims:
        attributes["axes"] = [str(dim) for dim in signal.dims]
    if over:
        attributes["auxiliary_signals"] = over
    return table.assign_attrs(attributes)

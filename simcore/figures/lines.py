"""Lines of the points of a grid along the layers: those shown, their names, intervals and axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simcore.numerics.spacing import evenly
from simcore.physics.parameters import PARAMETERS
from simcore.results.intervals import ends, reach
from simcore.results.points import points

from .style import MAX_LINES, plain_number

if TYPE_CHECKING:
    import xarray as xr


def shown_points(
    values: xr.DataArray, known: xr.DataArray | None = None
) -> tuple[list[tuple[str, dict[str, int]]], int]:
    """Return label and place of at most `MAX_LINES` points, spread over the grid; and how many.

    `values` is one array along points, and layers or not; `known` tells the points that count.
    """
    lines = [
        (
            ", ".join(f"{PARAMETERS[name].tex} = {plain_number(x)}" for name, x in point.items()),
            place,
        )
        for point, place in points(values)
        if known is None or known.isel(place)
    ]
    return [lines[i] for i in evenly(len(lines), MAX_LINES)], len(lines)


def interval(point: xr.Dataset, observable: str, ending: str = "") -> Any:
    """Return the half-widths of the intervals around means; `ending` is that of their name."""
    error = point[f"{observable}{ending}_stderr"].to_numpy()
    return reach(point[f"{observable}_count"].to_numpy()) * error


def band(point: xr.Dataset, observable: str) -> tuple[Any, Any]:
    """Return the ends of the intervals around means; those of shares lie between 0 and 1."""
    mean, error, count = (point[f"{observable}{e}"].to_numpy() for e in ("", "_stderr", "_count"))
    return ends(observable, mean, error, count)


def along(axes: Any, layer: Any) -> None:
    """Let the axis of layers end where they do."""
    if len(layer) > 1:
        axes.set_xlim(layer[0], layer[-1])


def legend(axes: Any, shown: int, total: int, **look: Any) -> None:
    """Add the names of the lines, and how many of all points have one."""
    handles, _ = axes.get_legend_handles_labels()
    if handles:
        title = None if shown == total else f"{shown} of {total} points"
        axes.legend(title=title, ncols=1 + (len(handles) > MAX_LINES // 2 + 2), **look)

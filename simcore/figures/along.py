"""Means by layer: simulation as points, theory as lines; below, the simulation less theory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from simcore.physics.observables import BY_NAME, SHARES
from simcore.results.controlled import with_controls
from simcore.results.points import swept_of

from .lines import THEORIES, ends_of, needed, title_of
from .looks import Line, Looks, looks_of
from .place import Place, Places, along, draw_points, entries_of, theory_look
from .style import FIRST_ORDER, THEORY

if TYPE_CHECKING:
    import xarray as xr

    from .drawings import Kind

SPAN = 10.0
"""Ratio of means from which on their axis is logarithmic."""

VISIBLE = 0.01
"""Share of a panel's height by which first order leaves mean field if it is drawn beside it."""

APART = 0.25
"""Share of the height by which first order leaves mean field if what it leaves is shown, too."""

LEFT = 0.6
"""Height of the panel of what theory leaves."""


class _Group(NamedTuple):
    """Observables that share panels: lines, theories, and whether a panel is for what is left."""

    observables: tuple[str, ...]
    looks: Looks
    theories: list[str]
    left: bool


def draw_along(place: Place, dataset: xr.Dataset, kind: Kind, _: int) -> None:
    """Draw means of one or several observables by layer, and their difference from mean field.

    Where the axis is logarithmic it is the relative difference. In a grid of two parameters, which
    take hues and shades, each observable has its own panels.
    """
    names = kind.observables
    dataset = with_controls(needed(dataset, names))
    apart = len(swept_of(dataset[names[0]])) > 1
    groups = [_group(dataset, each) for each in (((name,) for name in names) if apart else [names])]
    if kind.exact and not _any_positive(dataset, names):
        # Nothing happened, as theory says: there is no difference to show.
        groups = [group._replace(left=False) for group in groups]
    heights = [h for group in groups for h in ((1.0, LEFT) if group.left else (1.0,))]
    panels = place.stack(*heights)
    along(panels[0], dataset["layer"].to_numpy())
    left = iter(panels)
    for group in groups:
        # Axes that are not ours have room for the first panel only.
        if (upper := next(left, None)) is not None:
            label = kind.label if len(groups) == 1 else BY_NAME[group.observables[0]].label
            lower = next(left, None) if group.left else None
            _draw_group(place, (upper, lower), dataset, group, kind._replace(label=label))
    for axes in panels:
        axes.set(xlabel="layer" if axes is panels[-1] else "")
    theories = max((group.theories for group in groups), key=len)
    looks = groups[0].looks
    entries = entries_of(looks, "simulation", theories, exact=kind.exact)
    place.legend(entries, title_of(dataset, looks))


def _group(dataset: xr.Dataset, names: tuple[str, ...]) -> _Group:
    theories = [t for t in THEORIES if any(_has(dataset, f"{name}_{t}") for name in names)]
    return _Group(names, looks_of(dataset[names[0]], names), theories, bool(theories))


def _has(dataset: xr.Dataset, variable: str) -> bool:
    return variable in dataset and bool(dataset[variable].notnull().any())


def _any_positive(dataset: xr.Dataset, names: Sequence[str]) -> bool:
    return any(bool((dataset[name] > 0.0).any()) for name in names)


def _draw_group(
    place: Place, panels: tuple[Any, Any], dataset: xr.Dataset, group: _Group, kind: Kind
) -> None:
    upper, lower = panels
    lines = group.looks.lines
    places = place.points(dataset["layer"].to_numpy(), len(lines))
    relative = kind.log and _is_wide(dataset, group.looks)
    upper.set_yscale("log" if relative else "linear")
    for line, at in zip(lines, places, strict=True):
        _draw_line(upper, dataset.isel(line.place), line, at, relative=relative)
    gap = _draw_theories(upper, dataset, group.looks)
    if set(group.observables) <= set(SHARES) and not relative:
        _keep_shares(upper)
    upper.set(ylabel=kind.label)
    if lower is not None:
        against = "theory_1n" if gap > APART else "theory"
        _draw_left(lower, dataset, group.looks, places, against, relative=relative)
        theory = {"theory_1n": "first order", "theory": "theory" if kind.exact else "mean field"}
        left = f"/{theory[against]} − 1" if relative else f" − {theory[against]}"
        lower.set(ylabel=kind.short + left)


def _is_wide(dataset: xr.Dataset, looks: Looks) -> bool:
    """Return whether means are positive and span decades."""
    means = np.concatenate(
        [dataset[line.observable].isel(line.place).to_numpy() for line in looks.lines]
    )
    means = means[np.isfinite(means)]
    return means.size > 0 and bool(means.min() > 0.0 and means.max() > SPAN * means.min())


def _draw_line(axes: Any, point: xr.Dataset, line: Line, at: Places, *, relative: bool) -> None:
    layer, (mean, low, high) = point["layer"].to_numpy(), ends_of(point, line.observable)
    if relative:
        low = np.maximum(low, 0.5 * mean)
    ends = mean[at], low[at], high[at]
    draw_points(axes, layer[at], ends, line.look.colour, line.look.marker)


def _draw_theories(axes: Any, dataset: xr.Dataset, looks: Looks) -> float:
    """Draw mean field, and first order where it can be told from it.

    Return by how much they differ, in heights of the panel.
    """
    axes.autoscale_view()
    of_axis = np.log if axes.get_yscale() == "log" else np.asarray
    low, high = of_axis(np.asarray(axes.get_ylim()))
    layer, largest = dataset["layer"].to_numpy(), 0.0
    for line in looks.lines:
        point = dataset.isel(line.place)
        field, first = (point.get(f"{line.observable}_{theory}") for theory in THEORIES)
        if field is None:
            continue
        axes.plot(layer, field, **theory_look(looks, line.look.colour, THEORY))
        if first is None:
            continue
        apart = np.abs(of_axis(first.to_numpy()) - of_axis(field.to_numpy())) / (high - low)
        gap = float(np.nanmax(apart, initial=0.0))
        if gap > VISIBLE:
            axes.plot(layer, first, **theory_look(looks, line.look.colour, FIRST_ORDER))
        largest = max(largest, gap)
    return largest


def _draw_left(
    axes: Any,
    dataset: xr.Dataset,
    looks: Looks,
    places: Sequence[Places],
    against: str,
    *,
    relative: bool,
) -> None:
    """Draw means less mean field, and first order less mean field; or means less first order."""
    layer = dataset["layer"].to_numpy()
    axes.axhline(0.0, **(THEORY if against == "theory" else FIRST_ORDER))
    for line, at in zip(looks.lines, places, strict=True):
        point = dataset.isel(line.place)
        if f"{line.observable}_{against}" not in point:
            continue
        theory = point[f"{line.observable}_{against}"].to_numpy()
        scale = theory if relative else 1.0
        ends = [((part - theory) / scale)[at] for part in ends_of(point, line.observable)]
        draw_points(axes, layer[at], ends, line.look.colour, line.look.marker)
        first = point.get(f"{line.observable}_theory_1n")
        if first is not None and against == "theory":
            look = theory_look(looks, line.look.colour, FIRST_ORDER)
            axes.plot(layer, (first.to_numpy() - theory) / scale, **look)
    tick_sparsely(axes)


def tick_sparsely(axes: Any) -> None:
    """Write few numbers at the axis of small values, with their power of ten above it."""
    from matplotlib.ticker import MaxNLocator, ScalarFormatter

    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10], min_n_ticks=3))
    plain = ScalarFormatter(useMathText=True)
    plain.set_powerlimits((-2, 4))
    axes.yaxis.set_major_formatter(plain)


def _keep_shares(axes: Any) -> None:
    """Let the axis of shares not go far beyond 0 and 1."""
    low, high = axes.get_ylim()
    high = min(high, 1.03)
    axes.set_ylim(max(low, -0.03 * high), high)

"""Figures of the tables of theory, through matplotlib."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from simcore.errors import InputError
from simcore.numerics.spacing import evenly
from simcore.physics.observables import BY_NAME
from simcore.physics.parameters import PARAMETERS, correlation_strength
from simcore.physics.slopes import RELU, Slopes, mean_square, unevenness

from .looks import hue
from .place import legend_above
from .style import COLOURS, MAX_LINES, THEORY, figure, plain_number

if TYPE_CHECKING:
    import xarray as xr


K_TICKS = (-0.5, -0.2, 0.0, 0.3, 1.0, 3.0, math.inf)
DEPTH_SCALES = (1.0, 300.0)
"""Colours of the diagram of depth scales, in layers; they diverge on the critical lines."""

GREY = "0.35"


class _Quantity(NamedTuple):
    """A quantity that a figure shows: its name in the table, its label, its scale."""

    variable: str
    label: str
    scale: str = "linear"


def _observable(name: str, scale: str = "linear") -> _Quantity:
    return _Quantity(name, BY_NAME[name].tex_label, scale)


SHOWN: dict[str, dict[str, _Quantity]] = {
    "trajectory": {
        "correlation": _observable("correlation"),
        "distance": _observable("distance", "log"),
        "log-distance": _observable("log_distance"),
        "angle": _observable("angle"),
        "cosine": _observable("cosine"),
        "log-q": _Quantity("log_q1", r"$\ln q$"),
        "inactive": _Quantity("inactive1", "inactive nodes, one signal"),
        "inactive-both": _observable("inactive_both"),
        "log-gradient": _Quantity("log_gradient1", r"$\ln|\delta|^2$"),
        "gradient-correlation": _observable("gradient_correlation"),
        "tangent11": _observable("tangent11"),
        "tangent12": _observable("tangent12"),
    },
    "phase-diagram": {
        "correlation": _Quantity("fixed_correlation", "$c^*$"),
        "depth-scale": _Quantity("depth_scale_correlation", r"$\xi_c$ (layers)", "log"),
        "depth-scale-q": _Quantity("depth_scale_q", r"$\xi_q$ (layers)", "log"),
        "depth-scale-gradient": _Quantity("depth_scale_gradient", r"$\xi_\delta$ (layers)", "log"),
    },
}
"""Quantities of the figures that have a choice, the default first."""


def draw(
    table: xr.Dataset, output: str | Path, show: str | None = None, *, overwrite: bool = False
) -> Path:
    """Draw a table of `simcore.theory.tables`.

    Parameters
    ----------
    table
        What a function of `simcore.theory.tables` returned.
    output
        File to write; its ending chooses the format (pdf, png, svg).
    show
        One of `SHOWN` of that table; None is the first.
    overwrite
        Whether an existing `output` may be replaced; results never are.

    Returns
    -------
    Path
        The figure.

    Raises
    ------
    InputError
        If there is nothing to draw, the ending is unknown, or `output` may not be replaced.
    OutputError
        If the figure can't be written.
    """
    kind = str(table.attrs["table"])
    quantity = _chosen(kind, show)
    if quantity is not None and quantity.variable not in table:
        rule, remedy = "is of the way back, which the table does not have", "Add `gradients`."
        raise InputError("show", show, rule, remedy)
    with figure(output, (5.4, 3.6), overwrite=overwrite) as drawn:
        if quantity is None:
            _ALONE[kind](drawn, table)
        else:
            _WITH_CHOICE[kind](drawn, table, quantity)
    return Path(output)


def _chosen(kind: str, show: str | None) -> _Quantity | None:
    choices = SHOWN.get(kind, {})
    if show is None:
        return next(iter(choices.values()), None)
    if show not in choices:
        known = ", ".join(choices) or "nothing, it has one figure"
        raise InputError("show", show, f"is not known for {kind}", f"Choose one of: {known}.")
    return choices[show]


# --- lines --------------------------------------------------------------------------------------


class _Line(NamedTuple):
    label: str
    colour: str
    place: dict[str, int]


def _lines(table: xr.Dataset, dims: list[str]) -> tuple[list[_Line], str | None]:
    """Return a line for each place along some dimensions, at most `MAX_LINES`, and a legend title.

    Many values of a single dimension have the colours of a scale.
    """
    every = list(itertools.product(*(range(table.sizes[dim]) for dim in dims)))
    chosen = [every[i] for i in evenly(len(every), MAX_LINES)]
    lines = []
    for i, place in enumerate(chosen):
        colour = hue(i, len(chosen)) if len(dims) == 1 else COLOURS[i]
        at = dict(zip(dims, place, strict=True))
        values = {dim: plain_number(float(table[dim][i]), 4) for dim, i in at.items()}
        named = [f"{PARAMETERS[dim].tex} = {value}" for dim, value in values.items()]
        lines.append(_Line(", ".join(named), colour, at))
    fewer = len(chosen) < len(every)
    return lines, f"{len(chosen)} of {len(every)} lines" if fewer else None


def _legend(figure: Any, title: str | None) -> None:
    """Put the names of the lines of all panels above them."""
    handles = [axes.get_legend_handles_labels()[0] for axes in figure.axes]
    legend_above(figure, handles, title or "")


def _draw_trajectories(figure: Any, table: xr.Dataset, quantity: _Quantity) -> None:
    axes = figure.add_subplot()
    name, first = quantity.variable, f"{quantity.variable}_1n"
    has_width = first in table
    shown = table[[name, first, f"{first}_std"]] if has_width else table[[name]]
    dims = [str(d) for d in shown.dims if d != "layer" and d != "width"]
    widths = ["width"] if "width" in shown.dims else []
    layer = table["layer"].to_numpy()
    lines, title = _lines(table, widths + dims)
    for line in lines:
        point = shown.isel(line.place)
        limit = point[name].to_numpy()
        if has_width:
            mean, std = point[first].to_numpy(), point[f"{first}_std"].to_numpy()
            axes.fill_between(layer, mean - std, mean + std, color=line.colour, alpha=0.2, lw=0)
            axes.plot(layer, mean, color=line.colour, label=line.label)
            axes.plot(layer, limit, **THEORY)
        else:
            axes.plot(layer, limit, color=line.colour, label=line.label)
    if has_width:
        axes.plot([], [], **THEORY, label="infinite width")
        axes.fill_between([], [], color=GREY, alpha=0.3, lw=0, label="one standard deviation")
    scale = quantity.scale
    axes.set(xlabel="layer", ylabel=quantity.label, yscale=scale)
    axes.set_xlim(0 if layer.size > 10 else layer[0], max(layer[-1], layer[0] + 1))
    _legend(figure, title)


def _draw_maps(figure: Any, table: xr.Dataset) -> None:
    """Draw c' against c or, over distances, what becomes of a distance as a factor."""
    near = "one_minus_c" in table.dims
    axis = "one_minus_c" if near else "c"
    if axis not in table.dims or table.sizes[axis] < 2:
        raise _too_few(
            "distance" if near else "correlation", "has one value, and a line needs several"
        )
    table = table.isel({axis: table[axis].to_numpy() > 0.0}) if near else table
    x = table[axis].to_numpy()
    axes = figure.add_subplot()
    values = table["mapped_distance"] / table[axis] if near else table["mapped_correlation"]
    lines, title = _lines(table, [str(d) for d in values.dims if d != axis])
    axes.plot(x, np.ones_like(x) if near else x, color=GREY, lw=0.8, ls=(0, (4, 3)))
    for line in lines:
        axes.plot(x, values.isel(line.place).to_numpy(), color=line.colour, label=line.label)
        fixed = float(table["fixed_correlation"].isel(line.place))
        place = (1.0 - fixed, 1.0) if near else (fixed, fixed)
        if x[0] <= place[0] <= x[-1]:
            axes.plot(*place, "o", color=line.colour, ms=5, mec="white", mew=0.8, zorder=3)
    if near:
        axes.set(xlabel="$1-c$", ylabel="$(1-c')/(1-c)$", xscale="log")
    else:
        figure.set_size_inches(4.0, 3.8)
        axes.set(xlabel="$c$", ylabel="$c'$, one layer on", aspect="equal")
    axes.margins(0.02)
    _legend(figure, title)


# --- the axis of k ------------------------------------------------------------------------------


def _along(table: xr.Dataset, dim: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the places of a dimension's values: of k by g, which is finite at k = ∞."""
    return np.asarray(table["g" if dim == "k" else dim].to_numpy(), dtype=np.float64)


def _label_axis(axis: Any, table: xr.Dataset, dim: str) -> None:
    axis.set_label_text(PARAMETERS[dim].tex)
    if dim != "k":
        return
    from matplotlib.ticker import NullLocator

    low, high = float(table["g"].min()), float(table["g"].max())
    margin = 1e-9 + 0.005 * (high - low)
    ticks = [k for k in K_TICKS if low - margin <= correlation_strength(k) <= high + margin]
    if len(ticks) > 2:
        axis.set_minor_locator(NullLocator())
        axis.set_ticks([correlation_strength(k) for k in ticks], [plain_number(k) for k in ticks])
    else:
        axis.set_label_text("$g = k/(1+k)$")


def _draw_phases(figure: Any, table: xr.Dataset, quantity: _Quantity) -> None:
    from matplotlib.colors import LogNorm

    axes = figure.add_subplot()
    g, variance = _along(table, "k"), table["weight_variance"].to_numpy()
    values = table[quantity.variable].to_numpy()
    norm, extend = None, "neither"
    if quantity.scale == "log":
        norm, extend = LogNorm(*DEPTH_SCALES), "both"
        values = np.clip(values, *DEPTH_SCALES)
    mesh = axes.pcolormesh(
        variance, g, values, cmap="cividis", norm=norm, shading="gouraud", rasterized=True
    )
    figure.colorbar(mesh, ax=axes, label=quantity.label, extend=extend, pad=0.02)
    axes.spines[["top", "right"]].set_visible(True)
    axes.set(xlabel=r"$\sigma_w^2$", xlim=variance[[0, -1]], ylim=g[[0, -1]])
    _label_axis(axes.yaxis, table, "k")
    if float(table["sigma_b"]) > 0.0:
        _draw_borders(axes, table, g)
    else:
        _line(axes, variance, np.zeros(variance.size))
        _name(axes, (float(variance.mean()), 0.5 * float(g[-1])), "chaotic")
        _name(axes, (float(variance.mean()), 0.5 * float(g[0])), "ordered")


def _draw_borders(axes: Any, table: xr.Dataset, g: Any) -> None:
    """Draw and name the boundaries and phases of networks with bias, theory.md 4."""
    variance, slopes = table["weight_variance"].to_numpy(), _slopes(table)
    low, high = float(variance[0]), float(variance[-1])
    fine = np.linspace(g[0], g[-1], 200)
    positive = np.linspace(0.0, max(0.0, float(g[-1])), 50)
    critical, eta = 1.0 / mean_square(slopes), unevenness(slopes)
    border = critical * math.pi / (math.pi - eta * fine)
    _line(axes, np.full(50, critical), positive)
    _line(axes, border, fine)
    _line(axes, np.linspace(critical, max(high, critical), 50), np.zeros(50))
    texts = (r"$\sigma_w^2 = 2$", r"$\sigma_w^2 = 2\pi/(\pi - g)$")
    if slopes != RELU:
        texts = (rf"$\sigma_w^2 = {critical:.3g}$", r"$\sigma_w^2 = \pi/[A(\pi - \eta g)]$")
    for x, text in zip((critical, border[-1]), texts, strict=True):
        if low <= x <= high and g[-1] > 0.0 and (x == critical or border[-1] > 1.2 * critical):
            axes.annotate(
                text, (x, g[-1]), (0, 4), textcoords="offset points", ha="center", fontsize=8
            )
    inside = low < critical < high and float(g[-1]) > 0.5 and float(g[0]) < -0.5
    if not inside or high < 1.6 * critical:
        return
    unit = 0.5 * critical
    _name(axes, (0.5 * (low + 1.75 * unit), 0.0), "ordered,\nbounded $q$")
    _name(
        axes, (0.5 * (critical + high) + 0.3 * unit, 0.5 * float(g[0])), "ordered,\nunbounded $q$"
    )
    if border[-1] > 1.3 * critical:
        middle = critical + 0.31 * (border[-1] - critical)
        _name(axes, (middle, 0.84 * float(g[-1])), "chaotic,\nbounded $q$")
    late = 0.5 * (0.9 * border[-1] + high) + 0.13 * unit
    _name(axes, (late, 0.4 * float(g[-1])), "chaotic,\nunbounded $q$")


def _slopes(table: xr.Dataset) -> Slopes:
    """Return s₊ and s₋, which a table has where they are not those of ReLU."""
    if "positive_slope" not in table.coords:
        return RELU
    return float(table["positive_slope"]), float(table["negative_slope"])


def _line(axes: Any, x: Any, y: Any) -> None:
    axes.plot(x, y, color="white", lw=2.4)
    axes.plot(x, y, color="black", lw=1.2)


def _name(axes: Any, place: tuple[float, float], text: str) -> None:
    from matplotlib.patheffects import withStroke

    outline = [withStroke(linewidth=2.2, foreground="white")]
    axes.text(*place, text, ha="center", va="center", fontsize=8, path_effects=outline)


# --- quantities against a parameter -------------------------------------------------------------


def _too_few(field: str, rule: str) -> InputError:
    return InputError(field, "", rule, "Give several values, or write a .csv file.")


def _against(table: xr.Dataset) -> tuple[str, list[str]]:
    """Return the dimension with most values, to be the axis, and the others."""
    dims = sorted((str(d) for d in table.dims), key=lambda dim: -table.sizes[dim])
    if not dims:
        raise _too_few("k", "has one value, as the others have, and a line needs several")
    others = [str(dim) for dim in table.dims if dim != dims[0]]
    return dims[0], others


def _draw_fixed_points(figure: Any, table: xr.Dataset) -> None:
    axis, others = _against(table)
    figure.set_size_inches(5.4, 5.0)
    top, bottom = figure.subplots(2, 1, sharex=True)
    x = _along(table, axis)
    styles = {"depth_scale_correlation": "-", "depth_scale_q": (0, (4, 2))}
    lines, title = _lines(table, others)
    # Curves that coincide over part of the axis stay visible beneath each other.
    widths = np.linspace(min(3.0, 1.2 + 0.7 * (len(lines) - 1)), 1.2, len(lines))
    for line, width in zip(lines, widths, strict=True):
        point, look = table.isel(line.place), {"color": line.colour, "lw": width}
        top.plot(x, point["fixed_correlation"].to_numpy(), label=line.label, **look)
        for name, style in styles.items():
            values = point[name].to_numpy()
            bottom.plot(x, np.where(np.isfinite(values), values, np.nan), ls=style, **look)
    for (name, style), label in zip(styles.items(), (r"$\xi_c$", r"$\xi_q$"), strict=True):
        if np.isfinite(table[name]).any():
            bottom.plot([], [], color=GREY, ls=style, label=label)
    top.set(ylabel="fixed point $c^*$")
    bottom.set(ylabel="depth scale (layers)", yscale="log")
    _label_axis(bottom.xaxis, table, axis)
    _legend(figure, title)


def _draw_growth(figure: Any, table: xr.Dataset) -> None:
    axis, others = _against(table)
    axes = figure.add_subplot()
    follows = "sigma_w" not in table.dims and table["sigma_w"].dims == ("k",)
    name = "norm_preserving_sigma_w" if follows else "growth"
    lines, title = _lines(table, others)
    x = _along(table, axis)
    for line in lines:
        point = table.isel(line.place)
        axes.plot(x, point[name].to_numpy(), color=line.colour, label=line.label)
        preserving = point["norm_preserving_sigma_w"]
        if axis == "sigma_w" and x[0] <= float(preserving) <= x[-1]:
            axes.plot(float(preserving), 1.0, "o", color=line.colour, ms=5, mec="white", mew=0.8)
    if not follows:
        axes.axhline(1.0, color=GREY, lw=0.8, ls=(0, (4, 3)), zorder=0)
    axes.set(ylabel=r"norm-preserving $\sigma_w$" if follows else r"growth of $q$ per layer")
    _label_axis(axes.xaxis, table, axis)
    _legend(figure, title)


_WITH_CHOICE = {"trajectory": _draw_trajectories, "phase-diagram": _draw_phases}
_ALONE = {"map": _draw_maps, "growth": _draw_growth, "fixed-point": _draw_fixed_points}

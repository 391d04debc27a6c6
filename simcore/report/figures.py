"""The figures of a page, without data: the page's script fills their sources for a chosen point.

A glyph's first tag names its role, from which the script takes its colour, dark or light.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bokeh import models
from bokeh.core.properties import value
from bokeh.models.annotations import BoxAnnotation, ColorBar, Span
from bokeh.palettes import Cividis256
from bokeh.plotting import figure as new_figure

from simcore.physics.observables import BY_NAME

from .points import parameter_label
from .series import NETWORK_LINES

HEIGHT = 340
TOOLS = "pan,box_zoom,wheel_zoom,reset,save"

DASHED = [7, 4]
MARKS = (("first", "circle"), ("second", "diamond"), ("third", "square"), ("fourth", "triangle"))
"""Role and marker of the lines of a figure, in their order."""

LINES = {
    "log_q": ("⟨ln q⟩", ("log_q1", "log_q2")),
    "inactive": ("share of nodes", ("inactive1", "inactive2", "inactive_both", "dead")),
    "dead": ("share of networks", ("dead_network1", "dead_network2", "dead_inputs")),
    "gradient": ("⟨ln |δ|²⟩", ("log_gradient1", "log_gradient2")),
    "gradient_correlation": ("correlation of the gradients", ("gradient_correlation",)),
    "tangent": ("tangent kernel", ("tangent11", "tangent22", "tangent12")),
}
"""Label and observables of the plain figures along the layers."""

Tip = tuple[str, str]


def figures(page: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures that a page with these data (`page`) needs, by the name of their place."""
    drawn = {name for point in page["points"] for name in point["lines"]}
    correlation = _along_layers(BY_NAME["correlation"].label, ["correlation"], single=True)
    theories = _source("context_theory", "xs", "ys")
    look = {"line_width": 1, "line_dash": value(DASHED)}
    draw(correlation, "multi_line", ["ink"], "xs", "ys", source=theories, **look)
    distance = _along_layers(
        BY_NAME["distance"].label, ["distance", "typical"], single=True, y_axis_type="log"
    )
    distance.yaxis.ticker = models.FixedTicker()
    made = {"correlation": correlation, "distance": distance, "z": _z_figure()}
    if page["deviation_names"]:
        made |= {"deviation": _deviation(), "left": _left()}
    for name, (label, observables) in LINES.items():
        if page["dead_networks"] if name == "dead" else drawn & set(observables):
            # Only networks that several inputs share have some of the lines.
            shown = [o for o in observables if o in drawn or o not in NETWORK_LINES]
            made[name] = _along_layers(label, shown)
    if page["has_distributions"]:
        made["distribution"] = _distribution()
    if page["widths"] is not None:
        made["widths"] = _widths()
    if page["phase"] is not None:
        made["phase"] = _phase(page["phase"], page["rows"])
    if page["axes"]:
        made["last"] = _last()
    return made


def empty_figure(x_label: str, y_label: str, **settings: Any) -> Any:
    """Return an empty figure that follows the width of its place on the page."""
    options: dict[str, Any] = {
        "height": HEIGHT,
        "sizing_mode": "stretch_width",
        "tools": TOOLS,
        "active_drag": None,
        "x_axis_label": x_label,
        "y_axis_label": y_label,
    }
    made: Any = new_figure(**options, **settings)
    made.toolbar.logo = None
    made.toolbar.autohide = True
    made.background_fill_color = made.border_fill_color = made.outline_line_color = None
    made.min_border = 4
    made.min_border_right = 14
    for axis in made.axis:
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font_size = "14px"
        axis.major_label_text_font_size = "13px"
        axis.axis_label_text_font = axis.major_label_text_font = "sans-serif"
    for range_ in (made.x_range, made.y_range):
        if isinstance(range_, models.DataRange1d):
            range_.only_visible = True
    return made


def _source(name: str, *columns: str) -> models.ColumnDataSource:
    # One value each, since Bokeh complains of logarithmic axes without any.
    nested = {"xs", "ys"}
    data = {column: [[1.0]] if column in nested else [1.0] for column in columns}
    return models.ColumnDataSource(data=data, name=name)


def draw(
    made: Any, glyph: str, tags: Sequence[str], *columns: str, source: Any, **look: Any
) -> Any:
    """Add a glyph of Bokeh with its tags, of which the first is the role of its colour."""
    if glyph == "scatter":
        look = {"line_color": None, **look}
    drawn = getattr(made, glyph)(*columns, source=source, **look)
    drawn.tags = list(tags)
    return drawn


def hover(made: Any, renderers: Sequence[Any], tips: Sequence[Tip], **settings: Any) -> None:
    """Show tips at renderers."""
    made.add_tools(models.HoverTool(renderers=list(renderers), tooltips=list(tips), **settings))


def _line(made: Any, name: str, role: str, **look: Any) -> Any:
    return draw(made, "line", [role], "x", "y", source=_source(name, "x", "y"), **look)


# --- along the layers -----------------------------------------------------------------------------


def _layer_figure(y_label: str, **settings: Any) -> Any:
    made = empty_figure("layer", y_label, x_axis_type="log", **settings)
    # Bokeh's own ticker is linear where there are less than two decades, and crowds the end.
    ticks = [mantissa * 10**power for power in range(8) for mantissa in (1, 2, 5)]
    made.xaxis.ticker = models.FixedTicker(ticks=ticks)
    made.xaxis.formatter = models.BasicTickFormatter()
    return made


def _along_layers(
    y_label: str, names: Sequence[str], *, single: bool = False, **settings: Any
) -> Any:
    """Return a figure of means with their bands and theories, and thin lines of other points.

    With `single` it has thin lines of single networks, too.
    """
    made = _layer_figure(y_label, **settings)
    for name, width in (("context", 1.0), ("single", 0.8))[: 1 + single]:
        look: dict[str, Any] = {"line_width": width, "line_alpha": 0.7, "color": "colour"}
        source = _source(name, "xs", "ys", "label", "colour")
        thin = draw(made, "multi_line", [name], "xs", "ys", source=source, **look)
        if name == "context":
            hover(made, [thin], [("point", "@label")], line_policy="interp")
    for name, (role, marker) in zip(names, MARKS, strict=False):
        _layer_line(made, name, role, marker)
    return made


def _layer_line(made: Any, name: str, role: str, marker: str) -> None:
    columns = ("x", "y", "low", "high", "theory", "first", "text", "theory_text", "first_text", "z")
    source = _source(name, *columns)
    draw(made, "varea", [role], "x", "low", "high", source=source, fill_alpha=0.25)
    draw(made, "line", [role], "x", "y", source=source, line_width=1.6)
    dots = draw(made, "scatter", [role], "x", "y", source=source, marker=marker, size=6)
    draw(made, "line", ["ink"], "x", "first", source=source, line_width=1.8, line_dash="dotted")
    draw(made, "line", ["ink"], "x", "theory", source=source, line_width=1.4, line_dash=DASHED)
    tips = [
        ("layer", "@x"),
        (name.replace("_", " "), "@text"),
        ("mean field", "@theory_text"),
        ("first order in 1/N", "@first_text"),
        ("z", "@z"),
    ]
    hover(made, [dots], tips, mode="vline")


def _z_figure() -> Any:
    made = _layer_figure("z")
    made.add_layout(BoxAnnotation(name="strip", bottom=-2, top=2, fill_alpha=0.16, tags=["muted"]))
    made.add_layout(Span(location=0, dimension="width", line_width=1, tags=["ink"]))
    for name, (role, marker) in zip(("z", "z_first"), MARKS, strict=False):
        source = _source(name, "x", "y", "text")
        draw(made, "line", [role], "x", "y", source=source, line_width=1)
        dots = draw(made, "scatter", [role], "x", "y", source=source, marker=marker, size=7)
        hover(made, [dots], [("layer", "@x"), ("z", "@text")], mode="vline")
    return made


def _deviation() -> Any:
    made = _layer_figure("mean − mean field")
    plain = _source("plain", "x", "low", "high")
    draw(made, "varea", ["muted"], "x", "low", "high", source=plain, fill_alpha=0.2)
    band = _deviation_line(made, "deviation", ("first order in 1/N", "@first_text"))
    source = band[0].data_source
    look = {"line_width": 1.8, "line_dash": "dotted"}
    first = draw(made, "line", ["ink"], "x", "first", source=source, **look)
    made.add_layout(Span(location=0, dimension="width", line_dash=DASHED, tags=["ink"]))
    # The noise of plain means would hide what it is drawn to be compared with.
    made.y_range.renderers = [*band, first]
    return made


def _left() -> Any:
    made = _layer_figure("N² (mean − first order)")
    _deviation_line(made, "left")
    made.add_layout(Span(location=0, dimension="width", line_dash="dotted", tags=["ink"]))
    return made


def _deviation_line(made: Any, name: str, *more: Tip) -> list[Any]:
    """Add a line with its band and return both."""
    source = _source(name, "x", "y", "low", "high", "first", "text", "first_text")
    band = draw(made, "varea", ["first"], "x", "low", "high", source=source, fill_alpha=0.3)
    line = draw(made, "line", ["first"], "x", "y", source=source, line_width=1.4)
    dots = draw(made, "scatter", ["first"], "x", "y", source=source, marker="circle", size=5)
    hover(made, [dots], [("layer", "@x"), ("deviation", "@text"), *more], mode="vline")
    return [band, line]


# --- one layer ------------------------------------------------------------------------------------


def _distribution() -> Any:
    made = empty_figure("value", "networks per bin")
    made.y_range.start = 0
    source = _source("bars", "left", "right", "top", "text")
    look = {"fill_alpha": 0.5, "line_alpha": 0.5}
    sides: Any = {"left": "left", "right": "right", "top": "top", "bottom": 0}
    bars = draw(made, "quad", ["first"], source=source, **sides, **look)
    _line(made, "first", "ink", line_width=2.0, line_dash="dotted")
    _line(made, "mean", "first", line_width=2)
    _line(made, "theory", "ink", line_width=2, line_dash=DASHED)
    hover(made, [bars], [("between", "@text"), ("networks", "@top{0}")])
    return made


def _widths() -> Any:
    made = empty_figure("1/N", "mean at the layer")
    made.xaxis.formatter = models.PrintfTickFormatter(format="%.3g")
    made.xaxis.ticker.desired_num_ticks = 4
    _line(made, "fit", "first", line_width=1.6)
    _line(made, "slope", "ink", line_width=1.6, line_dash="dotted")
    dots = _with_errors(made, "means", "first", "circle")
    limit = _with_errors(made, "limit", "first", "diamond")
    cross: dict[str, Any] = {"marker": "x", "size": 12, "line_width": 2, "line_color": "black"}
    source = _source("mean_field", "x", "y", "text")
    mean_field = draw(made, "scatter", ["ink"], "x", "y", source=source, **cross)
    hover(made, [dots, limit, mean_field], [("", "@text")])
    return made


def _with_errors(made: Any, name: str, role: str, marker: str) -> Any:
    """Add points with the bars of their intervals."""
    source = _source(name, "x", "y", "low", "high", "text")
    draw(made, "segment", [role], "x", "low", "x", "high", source=source, line_width=1.4)
    return draw(made, "scatter", [role], "x", "y", source=source, marker=marker, size=9)


# --- all points -----------------------------------------------------------------------------------


def _last() -> Any:
    made = empty_figure("parameter", "at the last layer")
    source = _source("others", "x", "y", "text")
    others = draw(made, "scatter", ["muted"], "x", "y", source=source, size=6, fill_alpha=0.8)
    _line(made, "theory", "ink", line_width=1.4, line_dash=DASHED)
    dots = _with_errors(made, "matching", "first", "circle")
    hover(made, [dots, others], [("", "@text")])
    return made


def _phase(phase: Mapping[str, Any], rows: Mapping[str, Sequence[Any]]) -> Any:
    labels = {"g": "g = k/(1 + k)", "correlation": "correlation c*"}
    x, y = (labels.get(phase[axis]) or parameter_label(phase[axis]) for axis in ("x", "y"))
    made = empty_figure(x, y)
    if phase["y"] == "correlation":
        _line(made, "curve", "ink", line_width=1.6, line_dash=DASHED)
        hover(made, [_with_errors(made, "measured", "first", "circle")], [("", "@text")])
    else:
        _add_map(made, rows)
        for name, dash in (("preserving", "solid"), ("two", DASHED)):
            if name in phase:
                # Black on white, so that it stands out from every colour.
                source = _source(name, "x", "y")
                made.line("x", "y", source=source, line_width=4, color="#ffffff")
                look = {"line_width": 2, "color": "#000000", "line_dash": dash}
                made.line("x", "y", source=source, **look)
    return made


def _add_map(made: Any, rows: Mapping[str, Sequence[Any]]) -> None:
    known = [x for x in rows["correlation"] if x is not None] or [0.0]
    low, high = min(known), max(known)
    mapper = models.LinearColorMapper(palette=list(Cividis256), low=low, high=max(high, low + 1e-9))
    cells = made.quad(
        left="left",
        right="right",
        bottom="bottom",
        top="top",
        source=_source("cells", "left", "right", "bottom", "top", "c", "text"),
        fill_color={"field": "c", "transform": mapper},
        line_color=None,
    )
    bar = ColorBar(color_mapper=mapper, width=10, padding=6, title=None, background_fill_color=None)
    made.add_layout(bar, "right")
    hover(made, [cells], [("", "@text")])

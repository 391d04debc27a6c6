"""The figures of a page, without data: `page.js` fills their sources as points are chosen.

A glyph's tag names its role, from which `page.js` takes its colour, dark or light.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bokeh.models import (
    BasicTickFormatter,
    ColumnDataSource,
    DataRange1d,
    FixedTicker,
    HoverTool,
    LinearColorMapper,
    PrintfTickFormatter,
)
from bokeh.models.annotations import BoxAnnotation, ColorBar, Span
from bokeh.palettes import Cividis256
from bokeh.plotting import figure as new_figure

from .series import NETWORK_LINES

__all__ = ["COLOURS", "FEW", "empty_figure", "figures", "hover"]

COLOURS = {
    "first": "#0072B2",
    "second": "#D55E00",
    "third": "#009E73",
    "fourth": "#CC79A7",
    "ink": "#1b1f24",
    "muted": "#8b949e",
}
"""Okabe and Ito's colours by role, on white; `page.js` has those of a dark page."""

FEW = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#1b1f24")
"""Colours of a few things side by side, on white, by the roles few0, few1, …"""

HEIGHT = 340
TOOLS = "pan,box_zoom,wheel_zoom,reset,save"

SINGLE_OF = ("correlation", "distance")
"""Figures, by their first observable, that show single networks, too."""

Tip = tuple[str, str]


class _Line(NamedTuple):
    """Means of one observable along the layers, its band and its theory."""

    name: str
    role: str
    marker: str


def figures(page: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures that a page needs, by the name of their place on it.

    Parameters
    ----------
    page
        What the page shows: ``points``, ``rows``, ``varied``, ``widths`` and ``phase``.
    """
    drawn = {name for point in page["points"] for name in point["lines"]}
    made = {
        "correlation": _along_layers("correlation c", [_Line("correlation", "first", "circle")]),
        "distance": _along_layers(
            "distance 1 − c",
            [_Line("distance", "first", "circle"), _Line("typical", "second", "diamond")],
            y_axis_type="log",
        ),
        "inactive": _along_layers(
            "share of nodes",
            _present(
                drawn,
                _Line("inactive1", "first", "circle"),
                _Line("inactive2", "second", "diamond"),
                _Line("inactive_both", "third", "square"),
                _Line("dead", "fourth", "triangle"),
            ),
        ),
        "log_q": _along_layers(
            "⟨ln q⟩", [_Line("log_q1", "first", "circle"), _Line("log_q2", "second", "diamond")]
        ),
        "z": _z_figure(),
    }
    if page["dead_networks"]:
        lines = _present(
            drawn,
            _Line("dead_network1", "first", "circle"),
            _Line("dead_network2", "second", "diamond"),
            _Line("dead_inputs", "third", "square"),
        )
        made["dead"] = _along_layers("share of networks", lines)
    if page["has_distributions"]:
        made["distribution"] = _distribution()
    if page["widths"] is not None:
        made["widths"] = _widths()
    if page["phase"] is not None:
        made["phase"] = _phase(page["phase"], page["rows"])
    if page["axes"]:
        made["last"] = _last()
    return made


def _present(drawn: set[str], *lines: _Line) -> list[_Line]:
    """Leave out what only networks have that several inputs share."""
    return [line for line in lines if line.name in drawn or line.name not in NETWORK_LINES]


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
    made.background_fill_color = None
    made.border_fill_color = None
    made.outline_line_color = None
    made.min_border = 4
    made.min_border_right = 14
    for axis in made.axis:
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font_size = "14px"
        axis.major_label_text_font_size = "13px"
        axis.axis_label_text_font = axis.major_label_text_font = "sans-serif"
    for range_ in (made.x_range, made.y_range):
        if isinstance(range_, DataRange1d):
            range_.only_visible = True
    return made


def _source(name: str, *columns: str) -> ColumnDataSource:
    # One value each, since Bokeh complains of logarithmic axes without any.
    nested = {"xs", "ys"}
    data = {column: [[1.0]] if column in nested else [1.0] for column in columns}
    return ColumnDataSource(data=data, name=name)


def hover(made: Any, renderers: Sequence[Any], tips: Sequence[Tip], **settings: Any) -> None:
    """Show tips at renderers."""
    made.add_tools(HoverTool(renderers=list(renderers), tooltips=list(tips), **settings))


# --- along the layers -----------------------------------------------------------------------------


def _layer_axis(made: Any) -> None:
    # Bokeh's own ticker is linear where there are less than two decades, and crowds the end.
    ticks = [mantissa * 10**power for power in range(8) for mantissa in (1, 2, 5)]
    made.xaxis.ticker = FixedTicker(ticks=ticks)
    made.xaxis.formatter = BasicTickFormatter()


def _along_layers(y_label: str, lines: Sequence[_Line], **settings: Any) -> Any:
    made = empty_figure("layer", y_label, x_axis_type="log", **settings)
    _layer_axis(made)
    _bundle(made, "context", 1.0)
    if lines[0].name in SINGLE_OF:
        _bundle(made, "single", 0.8)
    if lines[0].name == "correlation":
        _context_theory(made)
    if settings.get("y_axis_type") == "log":
        made.yaxis.ticker = FixedTicker()
    for line in lines:
        _layer_line(made, line)
    return made


def _bundle(made: Any, name: str, width: float) -> None:
    """Add thin lines: other points of a grid, or single networks."""
    source = _source(name, "xs", "ys", "label", "colour")
    drawn = made.multi_line(
        "xs", "ys", source=source, line_width=width, line_alpha=0.7, color="colour"
    )
    drawn.tags = [name]
    if name == "context":
        hover(made, [drawn], [("point", "@label")], line_policy="interp")


def _context_theory(made: Any) -> None:
    source = _source("context_theory", "xs", "ys")
    drawn = made.multi_line("xs", "ys", source=source, line_width=1, line_dash=[7, 4])
    drawn.glyph.line_color, drawn.tags = COLOURS["ink"], ["ink"]


def _layer_line(made: Any, line: _Line) -> None:
    columns = ("x", "y", "low", "high", "theory", "first", "text", "theory_text", "first_text", "z")
    source = _source(line.name, *columns)
    colour = COLOURS[line.role]
    band = made.varea("x", "low", "high", source=source, fill_color=colour, fill_alpha=0.25)
    mean = made.line("x", "y", source=source, color=colour, line_width=1.6)
    dots = made.scatter(
        "x", "y", source=source, marker=line.marker, size=6, color=colour, line_color=None
    )
    first = made.line(
        "x", "first", source=source, color=COLOURS["ink"], line_width=1.8, line_dash="dotted"
    )
    theory = made.line(
        "x", "theory", source=source, color=COLOURS["ink"], line_width=1.4, line_dash=[7, 4]
    )
    for drawn in (band, mean, dots):
        drawn.tags = [line.role]
    for drawn in (theory, first):
        drawn.tags = ["ink"]
    tips = [
        ("layer", "@x"),
        (line.name.replace("_", " "), "@text"),
        ("mean field", "@theory_text"),
        ("first order in 1/N", "@first_text"),
        ("z", "@z"),
    ]
    hover(made, [dots], tips, mode="vline")


def _z_figure() -> Any:
    made = empty_figure("layer", "z", x_axis_type="log")
    _layer_axis(made)
    band = BoxAnnotation(bottom=-2, top=2, fill_color=COLOURS["muted"], fill_alpha=0.16)
    band.tags = ["muted"]
    zero = Span(location=0, dimension="width", line_color=COLOURS["ink"], line_width=1)
    zero.tags = ["ink"]
    made.add_layout(band)
    made.add_layout(zero)
    for name, role, marker in (("z", "first", "circle"), ("z_first", "second", "diamond")):
        source = _source(name, "x", "y", "text")
        line = made.line("x", "y", source=source, color=COLOURS[role], line_width=1)
        dots = made.scatter(
            "x", "y", source=source, marker=marker, size=7, color=COLOURS[role], line_color=None
        )
        line.tags = dots.tags = [role]
        hover(made, [dots], [("layer", "@x"), ("z", "@text")], mode="vline")
    return made


# --- one layer ------------------------------------------------------------------------------------


def _distribution() -> Any:
    made = empty_figure("value", "networks per bin")
    made.y_range.start = 0
    source = _source("bars", "left", "right", "top", "text")
    bars = made.quad(
        left="left",
        right="right",
        top="top",
        bottom=0,
        source=source,
        fill_color=COLOURS["first"],
        fill_alpha=0.5,
        line_color=COLOURS["first"],
        line_alpha=0.5,
    )
    bars.tags = ["first"]
    normal = made.line("x", "y", source=_source("first", "x", "y"), line_width=2.0)
    normal.glyph.line_color = COLOURS["second"]
    normal.glyph.line_dash = "dotted"
    normal.tags = ["second"]
    for name, role, dash in (("mean", "first", "solid"), ("theory", "ink", [7, 4])):
        rule = made.line("x", "y", source=_source(name, "x", "y"), line_width=2)
        rule.glyph.line_color, rule.glyph.line_dash = COLOURS[role], dash
        rule.tags = [role]
    hover(made, [bars], [("between", "@text"), ("networks", "@top{0}")])
    return made


def _widths() -> Any:
    made = empty_figure("1/N", "mean at the layer")
    made.xaxis.formatter = PrintfTickFormatter(format="%.3g")
    made.xaxis.ticker.desired_num_ticks = 4
    fit = made.line("x", "y", source=_source("fit", "x", "y"), line_width=1.6)
    theory = made.line("x", "y", source=_source("slope", "x", "y"), line_width=1.6)
    fit.glyph.line_color, fit.tags = COLOURS["first"], ["first"]
    theory.glyph.line_color, theory.glyph.line_dash = COLOURS["ink"], "dotted"
    theory.tags = ["ink"]
    dots = _with_errors(made, "means", "first", "circle")
    limit = _with_errors(made, "limit", "second", "diamond")
    mean_field = made.scatter(
        "x", "y", source=_source("mean_field", "x", "y", "text"), marker="x", size=12, line_width=2
    )
    mean_field.glyph.line_color, mean_field.tags = COLOURS["ink"], ["ink"]
    hover(made, [dots, limit, mean_field], [("", "@text")])
    return made


def _with_errors(made: Any, name: str, role: str, marker: str) -> Any:
    """Add points with bars of two standard errors."""
    source = _source(name, "x", "y", "low", "high", "text")
    bars = made.segment("x", "low", "x", "high", source=source, color=COLOURS[role], line_width=1.4)
    dots = made.scatter(
        "x", "y", source=source, marker=marker, size=9, color=COLOURS[role], line_color=None
    )
    bars.tags = dots.tags = [role]
    return dots


# --- all points -----------------------------------------------------------------------------------


def _last() -> Any:
    made = empty_figure("parameter", "at the last layer")
    others = made.scatter(
        "x", "y", source=_source("others", "x", "y", "text"), size=6, fill_alpha=0.8
    )
    others.glyph.fill_color, others.glyph.line_color = COLOURS["muted"], None
    others.tags = ["muted"]
    theory = made.line("x", "y", source=_source("theory", "x", "y"), line_width=1.4)
    theory.glyph.line_color, theory.glyph.line_dash = COLOURS["ink"], [7, 4]
    theory.tags = ["ink"]
    dots = _with_errors(made, "matching", "first", "circle")
    hover(made, [dots, others], [("", "@text")])
    return made


def _phase(phase: Mapping[str, Any], rows: Mapping[str, Sequence[Any]]) -> Any:
    labels = {"k": "k", "g": "g = k/(1 + k)", "sigma_w": "σ_w", "correlation": "correlation c*"}
    made = empty_figure(labels[phase["x"]], labels[phase["y"]])
    if phase["y"] == "correlation":
        curve = made.line("x", "y", source=_source("curve", "x", "y"), line_width=1.6)
        curve.glyph.line_color, curve.glyph.line_dash = COLOURS["ink"], [7, 4]
        curve.tags = ["ink"]
        dots = _with_errors(made, "measured", "first", "circle")
        hover(made, [dots], [("", "@text")])
    else:
        _add_map(made, rows)
    return made


def _add_map(made: Any, rows: Mapping[str, Sequence[Any]]) -> None:
    known = [x for x in rows["correlation"] if x is not None] or [0.0]
    low, high = min(known), max(known)
    mapper = LinearColorMapper(palette=list(Cividis256), low=low, high=max(high, low + 1e-9))
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
    for name, dash in (("preserving", "solid"), ("two", [7, 4])):
        halo = made.line("x", "y", source=_source(name, "x", "y"), line_width=4, color="#ffffff")
        line = made.line("x", "y", source=halo.data_source, line_width=2, color="#000000")
        line.glyph.line_dash = dash
    hover(made, [cells], [("", "@text")])

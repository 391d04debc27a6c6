"""The commands `simcore theory ...`: tables and figures of theory, without a simulation.

Only what `--help` needs is imported here; a test holds the names that it shows to those of the
figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

import typer

from simcore.api import Progress, Report, ensemble_name
from simcore.errors import InputError

from . import options
from .config import Given, named, option_name
from .live import choose_report
from .values import parse_floats, parse_integer, parse_integers, parse_weight_scale

HELP = """\
Tabulate and draw the theory of signal propagation; nothing is simulated.

Without -o the table, or a screenful of it, is printed. The ending of the file that -o names says \
what is written: .csv (a row per value), .h5 or .nc (for xarray and netCDF), .pdf, .svg or .png (a \
figure).
"""

EPILOG = """\
Values are one value, a list (0,1,inf) or a range start:stop:count (1.2:1.6:9), as for simulate.

[bold]Examples[/bold]

simcore theory trajectory --depth 100 --k 0,1,inf

simcore theory trajectory --depth 20 --k 0,1,inf --gradients

simcore theory fixed-point --k 0,1,inf --sigma-w 1:1.8:81 --sigma-b 0.3 -o fixed.pdf

simcore theory phase-diagram -o phases.pdf

simcore theory phase-diagram --show depth-scale -o scales.pdf

simcore theory fixed-point --slopes leaky:0.1 --k 0,1,inf

simcore theory map --k 0,1,inf -o map.csv

simcore theory growth --ensemble raai --k 0,1,inf --sigma-w critical
"""

DEPTH = 100
"""Layers of a trajectory unless given."""

SLOW = ("trajectories", "growth_rates")
"""Tables that may take seconds for a point."""

_EXCLUSIVE = ("correlation", "distance")


def _option(*names: str, text: str, panel: str = options.NETWORK, metavar: str = "VALUES") -> Any:
    return typer.Option(
        *names, help=text, metavar=metavar, rich_help_panel=panel, show_default=False
    )


Text = str | None
Depth = Annotated[
    Text,
    _option("--depth", metavar="N", text=f"Number of layers. Default: {DEPTH}."),
]
Width = Annotated[
    Text,
    _option(
        "--width",
        text="Nodes of every layer: adds the first order in 1/N. Needed by rai and raai, which take"
        " seconds for each point. Default: infinite.",
    ),
]
GaussianK = Annotated[
    Text,
    _option(
        "--k",
        text="Correlation of a node's weights, above -1: positive anti-correlates them, inf makes "
        "them sum to zero. Default: 0, independent weights.",
    ),
]
GaussianScale = Annotated[
    Text,
    _option(
        "--sigma-w",
        text="Weight scale, a standard deviation. Default: critical, the value that preserves the "
        "norm.",
    ),
]
Bias = Annotated[
    Text,
    _option(
        "--sigma-b",
        text="Standard deviation of the biases. Default: 0.",
    ),
]
Slopes = Annotated[
    Text,
    _option(
        "--slopes",
        metavar="NAME",
        text="Slopes of the activation above and below 0: S+,S-, or relu (1,0), leaky:A (1,A), abs "
        "(1,-1), linear (1,1). Not for rai and raai. Default: relu.",
    ),
]
Gradients = Annotated[
    bool,
    typer.Option(
        "--gradients",
        help="Add the way back: gradients of the two signals and their tangent kernel.",
        rich_help_panel=options.NETWORK,
    ),
]
MapCorrelation = Annotated[
    Text,
    _option(
        "--correlation",
        panel=options.SIGNALS,
        text="Correlations to map. Default: -1:1:201.",
    ),
]
MapDistance = Annotated[
    Text,
    _option(
        "--distance",
        panel=options.SIGNALS,
        text="1 - c, instead of --correlation; resolves the neighbourhood of c = 1.",
    ),
]
AxisK = Annotated[
    Text,
    _option(
        "--k",
        text="Axis of k. Default: -0.5 to inf, 81 values at even steps of k/(1+k).",
    ),
]
AxisScale = Annotated[
    Text,
    _option(
        "--sigma-w",
        text="Axis of the weight scale. Default: 1 to 2, 121 values at even steps of sigma_w^2; "
        "slopes scale it.",
    ),
]
OneBias = Annotated[
    Text,
    _option(
        "--sigma-b",
        metavar="VALUE",
        text="Standard deviation of the biases; any above 0 gives the same phases. Default: 1.",
    ),
]
GrowthScale = Annotated[
    Text,
    _option(
        "--sigma-w",
        text="Weight scale; critical is the value that preserves the norm. Default: 0.8:2.2:15; "
        "0.5:1.2:15 for rai and raai; slopes scale it.",
    ),
]
ShowObservable = Annotated[
    Text,
    _option(
        "--show",
        panel=options.OUTPUT,
        metavar="NAME",
        text="What the figure shows: correlation, distance, log-distance, angle, cosine, log-q, "
        "inactive or inactive-both; with --gradients also log-gradient, gradient-correlation, "
        "tangent11 or tangent12. Default: correlation.",
    ),
]
ShowColour = Annotated[
    Text,
    _option(
        "--show",
        panel=options.OUTPUT,
        metavar="NAME",
        text="What the colours show: correlation (the fixed point c*), depth-scale (of c), "
        "depth-scale-q or depth-scale-gradient. Default: correlation.",
    ),
]
Output = Annotated[
    Text,
    _option(
        "-o",
        "--output",
        panel=options.OUTPUT,
        metavar="FILE",
        text="File to write: .csv, .h5, .nc, .pdf, .svg or .png. Default: none, the table is "
        "printed.",
    ),
]


app = typer.Typer(add_completion=False, rich_markup_mode="rich", invoke_without_command=True)


def register(parent: typer.Typer) -> None:
    """Add the commands to an application."""
    parent.add_typer(app, name="theory", help=HELP, epilog=EPILOG)


@app.callback()
def _theory(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def trajectory(
    depth: Depth = None,
    width: Width = None,
    ensemble: options.Ensemble = None,
    k: options.K = None,
    sigma_w: options.SigmaW = None,
    sigma_b: options.SigmaB = None,
    correlation: options.Correlation = None,
    distance: options.Distance = None,
    q0: options.Q0 = None,
    slopes: Slopes = None,
    gradients: Gradients = False,
    show: ShowObservable = None,
    output: Output = None,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
) -> None:
    """Follow a pair of signals layer by layer, every observable."""
    _run(locals(), "trajectories")


@app.command("fixed-point")
def fixed_point(
    k: GaussianK = None,
    sigma_w: GaussianScale = None,
    sigma_b: Bias = None,
    slopes: Slopes = None,
    output: Output = None,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
) -> None:
    """Find where signals settle: c*, q*, slopes, depth scales, chi of gradients, the phase."""
    _run(locals(), "fixed_points")


@app.command("map")
def correlation_map(
    k: GaussianK = None,
    sigma_w: GaussianScale = None,
    sigma_b: Bias = None,
    slopes: Slopes = None,
    correlation: MapCorrelation = None,
    distance: MapDistance = None,
    output: Output = None,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
) -> None:
    """Map the correlation to the next layer, c' against c."""
    _run(locals(), "maps")


@app.command("phase-diagram")
def phase_diagram(
    k: AxisK = None,
    sigma_w: AxisScale = None,
    sigma_b: OneBias = None,
    slopes: Slopes = None,
    show: ShowColour = None,
    output: Output = None,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
) -> None:
    """Lay out the phases over sigma_w^2 and k, with c* or depth scales."""
    _run(locals(), "phase_diagram")


@app.command()
def growth(
    ensemble: options.Ensemble = None,
    k: options.K = None,
    sigma_w: GrowthScale = None,
    slopes: Slopes = None,
    output: Output = None,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
) -> None:
    """Find the growth of q per layer and the norm-preserving weights."""
    _run(locals(), "growth_rates")


# --- from the options to the table --------------------------------------------------------------


def _run(parameters: Mapping[str, Any], table: str) -> None:
    """Compute a table of `simcore.theory.tables`, then write it or show it.

    Raises
    ------
    CommandError
        If an option breaks a rule.
    """
    given = Given.typed(parameters)
    try:
        from simcore.theory import tables

        from .theory_output import checked_output, deliver

        path = checked_output(given)
        values = _values(given)
        if "depth" in parameters:
            values["depth"] = parse_integer("depth", given.texts.get("depth", str(DEPTH)))
        if "ensemble" in parameters:
            values["ensemble"] = _ensemble(given)
        if "gradients" in given.flags:
            values["gradients"] = True
        if table in SLOW:
            with choose_report(quiet=False) as report:
                made = getattr(tables, table)(**values, look=partial(_tell, report))
        else:
            made = getattr(tables, table)(**values)
        deliver(made, path, given)
    except InputError as error:
        raise named(error, given, parameters) from error


def _tell(report: Report | None, detail: str) -> None:
    """Tell at which point a table is."""
    if report is not None:
        report(Progress("theory", 0, 0, 0, 1, 0.0, detail=detail))


def _ensemble(given: Given) -> str:
    """Return the ensemble; --k alone means `correlated`, as for simulate."""
    return ensemble_name(given.texts.get("ensemble"), has_k="k" in given.texts)


def _values(given: Given) -> dict[str, Any]:
    """Return the values of the given parameters."""
    texts = given.texts
    if all(name in texts for name in _EXCLUSIVE):
        name, other = _EXCLUSIVE[1], option_name(_EXCLUSIVE[0])
        raise InputError(name, texts[name], f"excludes {other}", "Give one of the two.")
    values: dict[str, Any] = {}
    if "width" in texts:
        values["width"] = parse_integers("width", texts["width"])
    if "slopes" in texts:
        values["slopes"] = texts["slopes"]
    if "sigma_w" in texts:
        values["sigma_w"] = parse_weight_scale("sigma_w", texts["sigma_w"])
    for name in ("k", "sigma_b", "correlation", "distance", "q0"):
        if name in texts:
            values[name] = parse_floats(name, texts[name], infinite=name == "k")
    return values

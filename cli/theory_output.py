"""Output of tables of theory: on the terminal, as data, as a figure."""

from __future__ import annotations

import importlib.metadata
import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import typer

from simcore.api import BY_NAME, claim, evenly, written
from simcore.errors import InputError

from .config import Given
from .files import expanded
from .numbers import counted, plain
from .result_table import MOST_ROWS, column_notes
from .show import show_json
from .summary import chosen_layers
from .table import Column, line_width, show_table, show_text, table_width

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


SPREAD = {"map": (21, 8), "phase-diagram": (11, 7), "growth": (15, 8)}
"""Rows and columns of a matrix, by table: the default axes then show at round values."""

DATA = (".csv", ".h5", ".nc")
PICTURES = (".pdf", ".svg", ".png")

_TRAJECTORY = {
    name: BY_NAME[name].column
    for name in ("correlation", "distance", "angle", "cosine", "log_q1", "inactive_both")
} | {
    "correlation_1n": "c at 1/N",
    "correlation_1n_std": "std",
    "log_distance_1n": "ln(1-c) at 1/N",
    "log_distance_1n_std": "std ",
}
_BACK = {name: BY_NAME[name].column for name in ("correlation", "log_gradient1")} | {
    "log_gradient1_1n": "at 1/N",
    "log_gradient1_1n_std": "std",
    "gradient_correlation": BY_NAME["gradient_correlation"].column,
    "tangent11": BY_NAME["tangent11"].column,
    "tangent11_1n_std": "std ",
    "tangent12": BY_NAME["tangent12"].column,
    "tangent22": BY_NAME["tangent22"].column,
}
"""Columns of a trajectory with its way back."""

_FIXED_POINT = {
    "phase": "phase",
    "fixed_correlation": "c*",
    "fixed_distance": "1-c*",
    "fixed_q": "q*",
    "slope": "slope",
    "slope_at_one": "at c=1",
    "depth_scale_correlation": "xi_c",
    "growth": "growth",
    "depth_scale_q": "xi_q",
    "chi": "chi",
    "chi_pair": "chi c*",
    "depth_scale_gradient": "xi_grad",
}
_GRADIENT = "grad: of a random read-out with respect to the pre-activations"
_TANGENT = "tangent: the tangent kernel, its sum over the layers so far"
_XI = "xi: depth scales in layers"
_NOTES = {
    "correlation": "c: correlation",
    "cosine": "cosine: of the activations",
    "inactive_both": "both: share of nodes inactive for both signals",
    "log_gradient1": _GRADIENT,
    "gradient_correlation": _GRADIENT,
    **dict.fromkeys(("tangent11", "tangent12", "tangent22"), _TANGENT),
    "slope": "slope: of c' against c at c*",
    "slope_at_one": "at c=1: the slope there",
    "growth": "growth: factor of q per layer",
    "chi": "chi: of squared gradients",
    "chi_pair": "chi c*: of the product of two at c*",
    **dict.fromkeys(("depth_scale_correlation", "depth_scale_q", "depth_scale_gradient"), _XI),
}
"""Explanations of columns."""

_LEGENDS = {
    "map": "the correlation one layer on",
    "phase-diagram": "c* at s = sigma-w squared (o ordered, | critical, c chaotic; capitals: q is "
    "unbounded)",
    "growth": "factor by which q changes per layer",
}
_MARKS = {"ordered": "o", "critical": "|", "chaotic": "c"}


# --- files --------------------------------------------------------------------------------------


def checked_output(given: Given) -> Path | None:
    """Return the file to write, None for the terminal; InputError unless it can be written."""
    name = given.texts.get("output")
    picture = name is not None and Path(name).suffix in PICTURES
    if "show" in given.texts and not picture:
        rule = "is for figures"
        raise InputError("show", given.texts["show"], rule, "Name one with -o: -o figure.pdf.")
    if name is None:
        return None
    path = expanded(name)
    claim(path, overwrite="overwrite" in given.flags)
    if path.suffix not in (*DATA, *PICTURES):
        known = ", ".join((*DATA, *PICTURES))
        raise InputError("output", name, "has no known ending", f"Use one of: {known}.")
    return path


def deliver(table: xr.Dataset, path: Path | None, given: Given) -> None:
    """Write a table to its file (OutputError if that fails), or show it."""
    table = table.assign_attrs(simcore_version=importlib.metadata.version("simcore"))
    if path is not None:
        _write(table, path, given)
    if "json" in given.flags:
        show_json({**table.attrs, "rows": _frame(table).to_dict("records")})
    elif path is not None:
        typer.echo(f"written to {path}")
    else:
        _show(table)


def _frame(table: xr.Dataset) -> pd.DataFrame:
    """Return a row for every point (and layer), its parameters first."""
    dims = _ordered(table)
    if not dims:  # a single point is no frame to xarray
        return _frame(table.expand_dims("point")).drop(columns="point")
    frame = table.to_dataframe(dim_order=dims).reset_index()
    parameters = [name for name in table.coords if name not in dims]
    return frame[[*dims, *parameters, *table.data_vars]]


def _ordered(table: xr.Dataset) -> list[str]:
    """Return the dimensions as in a run: the width before the others, the layer last."""
    return sorted(map(str, table.dims), key=lambda dim: (dim != "width", dim == "layer"))


def _write(table: xr.Dataset, path: Path, given: Given) -> None:
    overwrite = "overwrite" in given.flags
    if path.suffix in PICTURES:
        from simcore.figures.theory import draw

        draw(table, path, given.texts.get("show"), overwrite=overwrite)
        return
    with written(path, overwrite=overwrite) as made:
        if path.suffix == ".csv":
            _frame(table).to_csv(made, index=False)
        else:
            from simcore.theory.nexus import as_nexus

            as_nexus(table).to_netcdf(made, engine="h5netcdf")


# --- the terminal -------------------------------------------------------------------------------


def _show(table: xr.Dataset) -> None:
    kind = table.attrs["table"]
    make = {"trajectory": _trajectory, "fixed-point": _records}.get(kind, _matrix)
    columns, below = make(table)
    shown = show_table(columns, _LEAVING)
    show_text([*below, _LEGENDS.get(kind) or column_notes(shown)])


def _of_back(table: xr.Dataset) -> bool:
    """Tell whether a trajectory has its way back."""
    return "tangent12" in table


Shown = tuple[list[Column], list[str]]
"""Columns of a table and the lines below it."""

_LEAVING = (
    *("log_distance_1n_std", "log_distance_1n", "cosine", "inactive_both", "angle", "distance"),
    *("correlation_1n_std", "log_q1", "correlation_1n"),
    *("chi_pair", "slope_at_one", "growth", "depth_scale_q", "fixed_distance", "chi"),
    *("fixed_q", "slope", "depth_scale_gradient", "depth_scale_correlation"),
    *("tangent22", "tangent11_1n_std", "log_gradient1_1n_std", "log_gradient1_1n"),
    "gradient_correlation",
)
"""Columns in the order in which they leave a table that is too wide."""


def _columns(
    fixed: Sequence[str], words: dict[str, str], cells: Sequence[Sequence[str]]
) -> list[Column]:
    """Return columns that stay, and those of variables by their name, from rows of cells."""
    headings = [(word, "") for word in fixed] + [(word, key) for key, word in words.items()]
    return [
        Column(heading, own, key, note=_NOTES.get(key, ""))
        for (heading, key), own in zip(headings, zip(*cells, strict=True), strict=True)
    ]


def _trajectory(table: xr.Dataset) -> Shown:
    last = table.isel(layer=-1)
    every = _BACK if _of_back(table) else _TRAJECTORY
    if last.sizes and _of_back(table):  # gradients end in the first layer
        ends = sorted({0, table.sizes["layer"] - 1})
        columns, below = _records(table.isel(layer=ends), every)
        return columns, below + _reach(table)
    if last.sizes:
        columns, below = _records(last, every, [("layer", str(int(last["layer"])))])
        return columns, below + _reach(table)
    words = {name: word for name, word in every.items() if name in table}
    cells = []
    for layer in chosen_layers(table.sizes["layer"]):
        values = table.isel(layer=layer - 1)
        cells.append([str(layer), *(plain(float(values[name])) for name in words)])
    return _columns(["layer"], words, cells), _reach(table)


def _reach(table: xr.Dataset) -> list[str]:
    """Return the range of the first order in 1/N, theory.md 5, as a line; none without widths."""
    if "correlation_1n" not in table:
        return []
    most = table.sizes["layer"] / float(table["width"].min())
    text = "1/N: first order, and std over networks; good to depth/width of about 0.1"
    return [f"{text}, here it is up to {plain(most, 2)}"]


def _records(
    table: xr.Dataset, words: dict[str, str] = _FIXED_POINT, fixed: Sequence[tuple[str, str]] = ()
) -> Shown:
    """Return a row for every point of the grid, up to a screenful."""
    words = {name: word for name, word in words.items() if name in table}
    dims = _ordered(table)
    swept = list(dims)
    if "sigma_w" not in swept and table["sigma_w"].dims == ("k",):
        swept.insert(swept.index("k") + 1, "sigma_w")
    shape = tuple(table.sizes[dim] for dim in dims)
    cells = []
    for place in itertools.islice(np.ndindex(*shape), MOST_ROWS):
        point = table.isel(dict(zip(dims, place, strict=True)))
        values = [plain(float(point[name])) for name in swept] + [text for _, text in fixed]
        cells.append(values + [_number(point[name].item()) for name in words])
    headings = [_word(name) for name in swept] + [name for name, _ in fixed]
    more = math.prod(shape) - MOST_ROWS
    noun = "more row" if "layer" in dims else "more point"
    below = [f"... and {counted(more, noun)}; -o table.csv has all of them"] if more > 0 else []
    return _columns(headings, words, cells), below


def _word(dim: str) -> str:
    """Return the name of a dimension as it is typed, or 1-c."""
    return "1-c" if dim == "one_minus_c" else dim.replace("_", "-")


def _number(value: float | str, digits: int = 6) -> str:
    """Return a number, or a text; a correlation that rounding alone keeps from 0 is 0."""
    if isinstance(value, str):
        return value
    return plain(0.0 if -1e-15 < value < 0.0 else value, digits)


def _matrix(table: xr.Dataset) -> Shown:
    """Return one quantity, its own axis downwards and the points of the grid across.

    There are as many of these as the line has room for.
    """
    kind = table.attrs["table"]
    name = {"map": "mapped_correlation", "growth": "growth"}.get(kind, "fixed_correlation")
    if "one_minus_c" in table.coords:
        name = "mapped_distance"
    values = table[name]
    axes = ("c", "one_minus_c", "k") if kind != "growth" else ("sigma_w", "k")
    down = next((dim for dim in axes if dim in values.dims), None)
    across = [str(dim) for dim in values.dims if dim != down]
    most_rows, most_columns = SPREAD[kind]
    rows = evenly(values.sizes[down], most_rows) if down else [0]
    places = list(np.ndindex(*(values.sizes[dim] for dim in across)))
    own = [plain(float(values[down][i])) for i in rows] if down else [""]
    shown: list[Column] = []
    for count in range(min(most_columns, len(places)), 0, -1):
        shown = [Column(_word(down or ""), own)]
        for place in (places[i] for i in evenly(len(places), count)):
            chosen = dict(zip(across, place, strict=True))
            heading = _heading(table, kind, chosen) or name.replace("_", " ")
            points = [table.isel(chosen | ({down: i} if down else {})) for i in rows]
            shown.append(Column(heading, [_marked(point, name) for point in points]))
        if table_width(shown) <= line_width():
            break
    whole = len(rows) * (len(shown) - 1) == values.size
    below = [] if whole else ["part of the table; -o table.csv has all of it"]
    return shown, below + _points_below(table)


def _heading(table: xr.Dataset, kind: str, chosen: dict[str, int]) -> str:
    if kind == "phase-diagram":
        return f"s={plain(float(table['weight_variance'][chosen['sigma_w']]), 4)}"
    shown = {dim: plain(float(table[dim][i]), 4) for dim, i in chosen.items()}
    return " ".join(f"{_word(dim)}={value}" for dim, value in shown.items())


def _marked(point: xr.Dataset, name: str) -> str:
    value = _number(float(point[name]), 4 if name == "fixed_correlation" else 6)
    if name != "fixed_correlation":
        return value
    mark = _MARKS[str(point["phase"].item())]
    return f"{value} {mark if bool(point['bounded']) else mark.upper()}"


def _points_below(table: xr.Dataset) -> list[str]:
    """Return the norm-preserving weights or the fixed points of some points, as a line."""
    growth = table.attrs["table"] == "growth"
    name = "norm_preserving_sigma_w" if growth else "fixed_correlation"
    if table.attrs["table"] == "phase-diagram":
        return []
    found, shown = table[name], []
    for i in evenly(found.size, 6):
        place = dict(zip(found.dims, np.unravel_index(i, found.shape), strict=True))
        point = found.isel(place)
        words = [f"{_word(str(d))}={plain(float(point[d]), 4)}" for d in place]
        where = f" ({', '.join(words)})" if words else ""
        shown.append(_number(float(point)) + where)
    return [f"{'norm-preserving sigma-w' if growth else 'fixed point c*'}: {', '.join(shown)}"]

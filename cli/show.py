"""Printing: tables and lists of facts, with colour and rules on a terminal, plain elsewhere."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence

import typer

NO_LIMIT = 10_000
"""Characters in a line of a table: a narrow terminal wraps lines, but no digit is cut."""

LONGEST_LIST = 12
"""Items of a list that are printed."""


def json_value(value: object) -> object:
    """Return a value that JSON can hold: NaN is null, inf is a text."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(name): json_value(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if value is None or isinstance(value, str | int | float):
        return value
    return str(value)


def show_json(value: Mapping[str, object]) -> None:
    """Print one JSON object, in strict JSON."""
    typer.echo(json.dumps(json_value(value), indent=2, allow_nan=False))


def show_table(
    headings: Sequence[str], cells: Sequence[Sequence[str]], below: Iterable[str] = ()
) -> None:
    """Print a table whose columns are aligned to the right, and lines below it."""
    if sys.stdout.isatty():
        _draw(headings, cells)
    else:
        for row in _aligned(headings, cells):
            typer.echo(row)
    for line in below:
        typer.echo(line)


def _draw(headings: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    drawn = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        drawn.add_column(heading, justify="right", no_wrap=True)
    for line in cells:
        drawn.add_row(*line)
    Console(width=NO_LIMIT, markup=False).print(drawn)


def _aligned(headings: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    columns = list(zip(headings, *cells, strict=True))
    widths = [max(len(cell) for cell in column) for column in columns]
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in (headings, *cells)
    ]


def show_facts(facts: Mapping[str, object]) -> None:
    """Print names and values, one a line; a mapping among the values is a section of its own."""
    simple = {name: value for name, value in facts.items() if not isinstance(value, Mapping)}
    sections = {name: value for name, value in facts.items() if isinstance(value, Mapping)}
    width = max((len(name) for name in simple), default=0)
    for name, value in simple.items():
        typer.secho(f"{name:<{width}}  ", nl=False, bold=True)
        typer.echo(_text(value))
    for name, section in sections.items():
        typer.echo("")
        typer.secho(name, bold=True)
        inner = max((len(str(key)) for key in section), default=0)
        for key, value in section.items():
            typer.echo(f"  {key!s:<{inner}}  {_text(value)}")


def _text(value: object) -> str:
    plain = json_value(value)
    if isinstance(plain, list):
        shown = ", ".join(str(item) for item in plain[:LONGEST_LIST])
        more = len(plain) - LONGEST_LIST
        return f"{shown}, ... ({more} more)" if more > 0 else shown
    return "-" if plain is None else str(plain)

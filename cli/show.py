"""Printing: lists of facts, and JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

import typer

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

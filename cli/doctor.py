"""The command `simcore doctor`: what this machine and installation have, and what to mend."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from simcore.doctor import Check


COLOURS = {"ok": "green", "absent": "dim", "wrong": "bold red"}

BUSY = "looking; the first time this compiles for half a minute"


def register(app: typer.Typer) -> None:
    """Add the command to an application."""
    app.command("doctor")(_doctor)


def _doctor(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """Check CPU, Numba, caches, CUDA and a known answer; say what is wrong, and the remedy.

    The exit code is 1 if anything is wrong. A missing GPU is not.
    """
    checks = _examined()
    wrong = [check for check in checks if check.state == "wrong"]
    if json:
        from .show import show_json

        show_json({"wrong": len(wrong), "checks": [asdict(check) for check in checks]})
    elif sys.stdout.isatty():
        _draw(checks)
    else:
        _print(checks)
    return 1 if wrong else 0


def _examined() -> list[Check]:
    from rich.console import Console

    with Console(stderr=True).status(BUSY):
        from simcore.doctor import examine

        return examine()


def _print(checks: Sequence[Check]) -> None:
    width = max(len(check.name) for check in checks)
    for check in checks:
        typer.echo(f"{check.state:<6}  {check.name:<{width}}  {check.found}")
        if check.remedy:
            typer.echo(f"{'':<6}  {'':<{width}}  {check.remedy}")


def _draw(checks: Sequence[Check]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("state", "what", "found, and what to do"):
        drawn.add_column(heading)
    for check in checks:
        told = Text(check.found)
        if check.remedy:
            told.append(f"\n{check.remedy}", style="bold")
        drawn.add_row(Text(check.state, style=COLOURS[check.state]), check.name, told)
    Console(markup=False).print(drawn)

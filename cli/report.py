"""The command `simcore report`: one self-contained page about runs and training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simcore.errors import InputError

from . import options
from .config import Given, named
from .files import expanded

EPILOG = """\
[bold]Examples[/bold]

simcore report run.h5

simcore report narrow.h5 wide.h5 -o widths.html
"""

Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE...",
        help="Files written by simulate or simcore train; several are shown together.",
    ),
]
Output = Annotated[
    str | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE",
        help="Page to write. Default: the first file's name and .html, in this folder.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command to an application."""
    app.command("report", epilog=EPILOG, no_args_is_help=True)(_report)


def _report(files: Files, output: Output = None, overwrite: options.Overwrite = False) -> None:
    """Write one page about runs or training: verdict, figures, provenance. It works offline."""
    page = expanded(output) if output else Path(f"{Path(files[0]).stem}.html")
    from simcore.report import report

    try:
        made = report([expanded(file) for file in files], page, overwrite=overwrite)
    except InputError as error:
        raise named(error, Given({"output": str(page)}), ("output",)) from error
    for line in (*made.problems, *made.notes):
        typer.echo(line, err=True)
    typer.echo(f"written to {made.path}")

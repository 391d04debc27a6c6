"""The command `simcore report`: one self-contained page about runs and training."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from simcore.errors import InputError

from .config import Given, named
from .errors import CommandError
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
        help="Page to write; an earlier one is replaced. Default: the first file's name and .html, "
        "in this folder.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command to an application."""
    app.command("report", epilog=EPILOG, no_args_is_help=True)(_report)


def _report(files: Files, output: Output = None) -> None:
    """Write one page about runs or training: verdict, figures, provenance. It works offline."""
    page = expanded(output) if output else Path(f"{Path(files[0]).stem}.html")
    read = {os.path.realpath(expanded(file)) for file in files}
    folder = os.path.isdir(page)  # noqa: PTH112 - no error for names that are refused
    if folder or os.path.realpath(page) in read:
        rule = "is a folder" if folder else "is one of the files to report on"
        text = f"--output {page}: {rule}. Name another file, such as report.html."
        raise CommandError(text, InputError.exit_code)
    from simcore.report import report

    try:
        made = report(files, page)
    except InputError as error:
        raise named(error, Given({}), ()) from error
    for line in (*made.problems, *made.notes):
        typer.echo(line, err=True)
    typer.echo(f"written to {made.path}")

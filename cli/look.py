"""Commands that look at results again: `simcore show` and `simcore compare`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simcore.errors import InputError

from .config import Given, named
from .errors import CommandError
from .files import existing
from .numbers import counted
from .output import GO_ON

if TYPE_CHECKING:
    import xarray as xr

DEVIATES = 3
"""Exit code of `simcore compare` where theory fails."""

COMPARE = f"""\
Compare a run with theory, at every point: z by layer, one test of all layers, in words.

The exit code is {DEVIATES} where theory fails: ln q, c or ln(1 - c) deviates from first order in \
1/N, or, where that makes no prediction, from infinite width. It is 0 otherwise. Where theory \
holds, {DEVIATES} comes by chance in 1 to 3 of 100 runs.
"""

Run = Annotated[
    str,
    typer.Argument(
        metavar="FILE", help="A run written by simulate, or a quoted pattern of several."
    ),
]
File = Annotated[
    str, typer.Argument(metavar="FILE", help="A file written by simulate or simcore train.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to an application."""
    app.command("show", no_args_is_help=True)(_show)
    app.command("compare", help=COMPARE, no_args_is_help=True)(_compare)


def _show(file: File) -> None:
    """Print the table of a file and the verdict again; of an unfinished run as far as it is."""
    path = existing(file)
    from simcore.file_types import file_type

    try:
        _SHOWN[file_type(path).name](path)
    except InputError as error:
        raise named(error, Given({}), ()) from error


def _show_run(path: Path) -> None:
    import simcore

    from .result_table import show_rows
    from .summary import rows
    from .table import show_text
    from .verdict import verdict_on

    with simcore.open_run(path) as dataset:
        run = simcore.Run.from_config(json.loads(dataset.attrs["config_json"]))
        counts = dataset["inactive1_count"].isel(layer=-1)
        least, most = int(counts.min()), int(counts.max())
        show_rows(rows(run, dataset), least)
        show_text(["", *verdict_on(dataset, path), *_state(dataset, least, most, path)])


def _state(dataset: xr.Dataset, least: int, most: int, path: Path) -> Iterator[str]:
    done = f"{least}" if least == most else f"{least} to {most}, by point"
    asked = int(dataset.attrs["trials"])
    if not dataset.attrs["complete"]:
        yield f"{path} is unfinished: {done} of {counted(asked, 'trial')}, and no theory yet."
        yield f"{GO_ON} {shlex.quote(str(path))}"
    if dataset.attrs.get("gaps"):
        yield f"The file lacks the trials {dataset.attrs['gaps']}."


def _show_training(path: Path) -> None:
    from .train import show_training

    show_training(path)


_SHOWN = {"simcore-run": _show_run, "simcore-training": _show_training}
"""Showing by type of file (`simcore.file_types`)."""


def _compare(file: Run) -> int:
    several = any(sign in file for sign in "*?[") and not Path(file).exists()
    path = Path(file) if several else existing(file)
    import simcore

    from .table import show_text
    from .verdict import comparison

    try:
        if not several:
            _check_run(path)
        with simcore.open_run(path) as dataset:
            found = comparison(dataset)
            widths = _widths(dataset)
    except InputError as error:
        if error.field == "dataset":
            text = f"{path}: {error.rule}. {error.remedy}"
            raise CommandError(text, error.exit_code) from error
        raise named(error, Given({}), ()) from error
    show_text([found.conclusion, ""])
    show_text(str(found).splitlines(), indent="  ")
    show_text(widths, indent="  ")
    return 0 if found.holds else DEVIATES


def _check_run(path: Path) -> None:
    from simcore.file_types import RUN, file_type

    kind = file_type(path)
    if kind is not RUN:
        remedy = f"simcore show {shlex.quote(str(path))} has its verdict."
        text = f"{path}: is {kind.noun}, and theory is of runs. {remedy}"
        raise CommandError(text, InputError.exit_code)


def _widths(dataset: xr.Dataset) -> list[str]:
    """Return the fits across widths in words, of a grid of enough of them."""
    import simcore

    if "width" not in dataset.dims:
        return []
    try:
        return ["", *str(simcore.scaling(dataset)).splitlines()]
    except InputError:
        return []

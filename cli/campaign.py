"""The commands for long runs in pieces: `simcore resume` and `simcore merge`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from simcore import api
from simcore.errors import InputError

from . import options
from .config import Given, named
from .files import existing, expanded, input_file
from .live import choose_report


def _option(metavar: str, text: str) -> Any:
    return typer.Option(metavar=metavar, help=text, show_default=False)


Trials = Annotated[str | None, _option("N", "New number of trials per point, to extend the run.")]
Inputs = Annotated[
    str | None, _option("FILE", "Where the inputs of the run are now, if they were moved.")
]
Device = Annotated[
    str | None, _option("NAME", "cpu, cuda or auto, which is that of the run; no other is allowed.")
]


def resume(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A run written by simulate or simcore train.")
    ],
    trials: Trials = None,
    inputs: Inputs = None,
    device: Device = None,
    threads: options.Threads = None,
    scheduler: options.Scheduler = None,
    checkpoint: options.Checkpoint = None,
    quiet: options.Quiet = False,
    json: options.Json = False,
    log_json: options.LogJson = None,
) -> int:
    """Resume a run that was stopped or killed, or extend a finished one.

    The results are the same, to the last bit, as those of one long run. Runs of simcore train can
    be resumed but not extended.
    """
    parameters = locals()
    given = Given.typed({name: value for name, value in parameters.items() if name != "file"})
    path = existing(file)
    from simcore.file_types import file_type

    try:
        return _RESUMES[file_type(path).name](path, given)
    except InputError as error:
        raise named(error, given, parameters) from error


def _resume_run(path: Path, given: Given) -> int:
    from .execution import carry_out, check_files, show_finished
    from .request import Request, execution
    from .values import parse_integer

    trials = given.texts.get("trials")
    total = None if trials is None else parse_integer("trials", trials)
    run, finished = api.stored_run(path, trials=total, device=given.texts.get("device"))
    request = Request(run=run, output=path, **execution(given))
    if finished:
        show_finished(request, path)
        return 0
    check_files(request, path)
    work = partial(
        api.resume_file, path, trials=total, inputs=input_file(given.texts.get("inputs"))
    )
    return carry_out("simcore", request, work)


def _resume_training(path: Path, given: Given) -> int:
    from .train import resume_training

    return resume_training(path, given)


_RESUMES = {"simcore-run": _resume_run, "simcore-training": _resume_training}
"""Resuming by type of file (`simcore.file_types`)."""


def merge(
    files: Annotated[
        list[str], typer.Argument(metavar="FILES...", help="Shards: runs of different trials.")
    ],
    output: Annotated[
        str,
        typer.Option("-o", "--output", metavar="FILE", help="File to write.", show_default=False),
    ],
    allow_gaps: Annotated[
        bool,
        typer.Option("--allow-gaps", help="Write the file although trials are missing."),
    ] = False,
    inputs: Inputs = None,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> int:
    """Unite shards (simulate --first-trial) into one file, in whatever order they are named.

    The results are the same, to the last bit, as those of one run of all trials.
    """
    target = expanded(output)
    paths = [existing(file) for file in files]
    from .execution import command_line, show_merged, spoken_warnings
    from .output import claim

    try:
        claim(target, overwrite=overwrite, replaces_results=True)
        with spoken_warnings(quiet=quiet), choose_report(quiet=quiet) as report:
            outcome = api.unite(
                paths,
                target,
                allow_gaps=allow_gaps,
                inputs=input_file(inputs),
                provenance=command_line("simcore"),
                report=report,
            )
    except InputError as error:
        raise named(error, Given({"output": output}), ("inputs", "output")) from error
    if not quiet:
        show_merged(outcome)
    return 0

"""The commands for long runs in pieces: `simcore resume` and `simcore merge`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from simcore.errors import InputError

from . import options
from .config import Given, named
from .files import existing, prepare

__all__ = ["merge", "resume"]

Trials = Annotated[
    str | None,
    typer.Option(
        "--trials",
        metavar="N",
        help="New number of trials per point, to extend the run.",
        show_default=False,
    ),
]
Inputs = Annotated[
    str | None,
    typer.Option(
        "--inputs",
        metavar="FILE",
        help="Where the inputs of the run are now, if they were moved.",
        show_default=False,
    ),
]

Device = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="NAME",
        help="cpu, cuda or auto, which is that of the run; no other is allowed.",
        show_default=False,
    ),
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
    """Go on with a run that was stopped or killed, or extend a finished one.

    The results are the same, to the last bit, as those of one long run. Runs of simcore train are
    gone on with, too, but not extended.
    """
    parameters = locals()
    given = Given.typed({name: value for name, value in parameters.items() if name != "file"})
    path = existing(file)
    prepare()
    from simcore.training.store import is_training

    if is_training(path):
        from .train import resume_training

        return resume_training(path, given)
    from simcore.execution.execute import extended
    from simcore.files.hdf5 import reading
    from simcore.files.run_file import read_header
    from simcore.machine.gpu import check_kind
    from simcore.statistics.blocks import BLOCK

    from .execution import perform_resume, show_finished
    from .request import Request, execution
    from .values import parse_integer

    try:
        total = None if trials is None else parse_integer("trials", trials)
        with reading(path) as opened:
            stored = read_header(opened, path)
        check_kind(stored.run, device)
        run = extended(stored.run, total)
        request = Request(run=run, output=path, auto_sampler=False, **execution(given))
        # Format 1.0 has no partial block in its state: it is simulated again, for a merge.
        whole = stored.format_version >= (1, 1) or run.end_trial % BLOCK == 0
        if run == stored.run and stored.complete and not stored.gaps and whole:
            show_finished(request, path)
            return 0
        return perform_resume(request, path, trials=total, inputs=inputs)
    except InputError as error:
        raise named(error, given, parameters) from error


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
    given = Given({"output": output})
    target = Path(output).expanduser()
    paths = [existing(file) for file in files]
    prepare()
    from simcore.execution.merge import merge as unite

    from .execution import show_merged, spoken_warnings
    from .output import check_destination

    try:
        if target.exists() and not overwrite:
            remedy = "Add --overwrite, or name another file."
            raise InputError("output", output, "exists already", remedy)
        check_destination(target)
        notes = {"command_line": shlex.join(["simcore", *sys.argv[1:]])}
        with spoken_warnings(quiet=quiet):
            outcome = unite(paths, target, allow_gaps=allow_gaps, inputs=inputs, provenance=notes)
    except InputError as error:
        raise named(error, given, ("inputs", "output")) from error
    if not quiet:
        show_merged(outcome)
    return 0

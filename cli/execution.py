"""Performing a request: the file, the run under its signals and progress, the result on screen."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from simcore.memory import check_memory, memory_bytes
from simcore.numba_setup import prefer_wide_vectors, prepare
from simcore.plan import Run
from simcore.progress import Control

from .live import choose_report
from .numbers import bytes_text, duration, rate_text
from .output import GO_ON, check_destination, resolve_destination
from .request import Request
from .show import show_facts, show_json, show_table
from .signals import Signals
from .summary import Row, json_rows, rows, rows_of_points, table

if TYPE_CHECKING:
    from simcore.run import Outcome

__all__ = ["perform"]


def perform(request: Request) -> int:
    """Carry out a request and return the exit code.

    Raises
    ------
    InputError
        If the output is in the way or can't be written.
    OutputError
        If it could not be written in the end.
    """
    run = request.run
    destination = resolve_destination(run, request.output)
    if request.dry_run:
        check_destination(destination.path)
        check_memory(run, request.threads)
        _show_plan(request, destination.path)
        return 0
    finished = destination.finished(run, overwrite=request.overwrite)
    if finished:
        _show_finished(request, destination.path)
        return 0
    check_destination(destination.path)
    check_memory(run, request.threads)
    if not request.quiet:
        for note in request.notes:
            typer.echo(f"note: {note}", err=True)
    outcome, code = _execute(request, destination.path)
    if outcome.complete:
        _show_outcome(request, outcome)
    else:
        _show_stopped(request, outcome)
    return code


def _execute(request: Request, path: Path) -> tuple[Outcome, int]:
    """Run it; the exit code is that of the signal which stopped it, if one did."""
    control = Control()
    with (
        Signals(control, quiet=request.quiet) as signals,
        choose_report(quiet=request.quiet) as report,
    ):
        prepare()
        import numba  # noqa: F401 - the features are set between this import and the kernels'

        prefer_wide_vectors()
        from simcore.run import execute

        outcome = execute(
            request.run,
            output=path,
            threads=request.threads,
            checkpoint=request.checkpoint,
            report=report,
            control=control,
            provenance={"command_line": shlex.join(["simulate", *sys.argv[1:]])},
        )
    return outcome, 0 if outcome.complete else signals.exit_code


# --- what is shown ------------------------------------------------------------------------------


def _show_outcome(request: Request, outcome: Outcome) -> None:
    if request.quiet and not request.json:
        return
    result = rows_of_points(outcome.run, outcome.points)
    if request.json:
        show_json(_report(request, outcome, result))
    else:
        _show_rows(result)
        rate = outcome.node_updates / outcome.seconds if outcome.seconds > 0.0 else 0.0
        threads = f"{request.threads} thread{'s' if request.threads > 1 else ''}"
        took = f"{duration(outcome.seconds)} ({rate_text(rate)}, {threads})"
        typer.echo(f"\n{_size(outcome.run)} in {took}")
        _show_path(outcome.output)


def _show_stopped(request: Request, outcome: Outcome) -> None:
    """Say what an interrupted run left behind."""
    if request.json:
        show_json(_report(request, outcome, []))
    done = sum(point.trials() for point in outcome.points)
    total = outcome.run.trials * len(outcome.run.points)
    if not request.quiet:
        typer.echo(
            f"stopped: {outcome.output} holds {done} of {total} trials, unfinished. {GO_ON}.",
            err=True,
        )


def _show_finished(request: Request, path: Path) -> None:
    """Show the table of a file that holds this run already."""
    prepare()
    from simcore.analysis import open_run

    with open_run(path) as dataset:
        result = rows(request.run, dataset)
    if request.json:
        show_json(
            {
                **_identity(request.run, path, complete=True),
                "already_complete": True,
                "table": json_rows(result),
            }
        )
    elif not request.quiet:
        typer.echo(f"{path} holds this run, complete; nothing was simulated.\n")
        _show_rows(result)
        _show_path(path)


def _show_rows(result: list[Row]) -> None:
    headings, cells, below = table(result)
    show_table(headings, cells)
    for line in below:
        typer.echo(line)


def _show_path(path: Path | None) -> None:
    if path is None:
        return
    quoted = shlex.quote(str(path))
    typer.echo(f"\nresults are in {path}; next:")
    typer.echo(f"  simcore info {quoted}")
    typer.echo(f"  simcore plot {quoted} correlation")
    typer.echo(f"  python: simcore.open_run({str(path)!r})")


def _size(run: Run) -> str:
    points = len(run.points)
    grid = f" at each of {points} points" if points > 1 else ""
    return f"{run.trials} trials{grid}, {run.depth} layers"


def _identity(run: Run, path: Path | None, *, complete: bool) -> dict[str, object]:
    return {
        "configuration": run.config(),
        "config_sha256": run.digest(),
        "output": None if path is None else str(path),
        "complete": complete,
    }


def _report(request: Request, outcome: Outcome, result: list[Row]) -> dict[str, object]:
    rate = outcome.node_updates / outcome.seconds if outcome.seconds > 0.0 else None
    return {
        **_identity(outcome.run, outcome.output, complete=outcome.complete),
        "seconds": outcome.seconds,
        "node_updates": outcome.node_updates,
        "node_updates_per_second": rate,
        "threads": request.threads,
        "notes": request.notes,
        "table": json_rows(result),
    }


# --- dry run ------------------------------------------------------------------------------------


def _show_plan(request: Request, path: Path) -> None:
    from simcore.store import estimate_bytes

    run = request.run
    updates = run.trials * sum(point.nodes(run.depth) for point in run.points)
    size, memory = estimate_bytes(run), memory_bytes(run, request.threads)
    if request.json:
        show_json(
            {
                **_identity(run, path, complete=False),
                "dry_run": True,
                "points": len(run.points),
                "trials": run.trials,
                "node_updates": updates,
                "file_bytes": size,
                "memory_bytes": memory,
                "threads": request.threads,
                "notes": request.notes,
            }
        )
        return
    if request.quiet:
        return
    grid = " x ".join(f"{name} {len(values)}" for name, values in run.dimensions.items())
    facts: dict[str, object] = {
        "ensemble": run.ensemble,
        "sampler": run.sampler,
        "points": f"{len(run.points)} ({grid})" if grid else 1,
        "trials per point": run.trials,
        "layers": run.depth,
        "node updates": f"{updates:.4g}",
        "file": f"about {bytes_text(size)}",
        "memory": f"about {bytes_text(memory)}, and the interpreter's",
        "threads": request.threads,
        "output": f"{path}{' (exists)' if os.path.lexists(path) else ''}",
    }
    show_facts(facts)
    for note in request.notes:
        typer.echo(f"note: {note}")

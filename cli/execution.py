"""Performing a request: the file, the run under its signals and progress, the result on screen."""

from __future__ import annotations

import math
import os
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from simcore.errors import SimcoreWarning
from simcore.execution.progress import Control, EventLog
from simcore.machine.memory import check_memory, memory_bytes
from simcore.numerics.compiling import prefer_wide_vectors, prepare
from simcore.runs.run import Run

from .live import choose_report
from .numbers import bytes_text, duration, rate_text
from .output import GO_ON, check_destination, resolve_destination
from .request import Request
from .show import show_facts, show_json, show_table
from .signals import Signals
from .summary import Row, json_rows, rows, rows_of_results, table

if TYPE_CHECKING:
    from simcore.execution.execute import Options, Outcome

__all__ = ["perform", "perform_resume", "show_finished", "show_merged", "spoken_warnings"]


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
        show_finished(request, destination.path)
        return 0
    check_destination(destination.path)
    check_memory(run, request.threads)
    if not request.quiet:
        for note in request.notes:
            typer.echo(f"note: {note}", err=True)
    return _carry_out("simulate", request, partial(_simulate, run, destination.path))


def _simulate(run: Run, path: Path, options: Options) -> Outcome:
    from simcore.execution.execute import execute

    return execute(run, output=path, **options)


def perform_resume(request: Request, path: Path, *, trials: int | None, inputs: str | None) -> int:
    """Go on with the run of a file and return the exit code.

    Parameters
    ----------
    request
        Its run is what the file holds, with its new number of trials.
    path
        The file.
    trials, inputs
        As for `simcore.execution.execute.resume`.

    Raises
    ------
    InputError
        If the file can't be gone on with or replaced.
    OutputError
        If it could not be written in the end.
    """
    check_destination(path)
    check_memory(request.run, request.threads)

    def go_on(options: Options) -> Outcome:
        from simcore.execution.execute import resume

        return resume(path, trials=trials, inputs=inputs, **options)

    return _carry_out("simcore", request, go_on)


def _carry_out(program: str, request: Request, work: Callable[[Options], Outcome]) -> int:
    """Run under signals and progress, show what came of it, and return the exit code."""
    control = Control()
    with (
        Signals(control, quiet=request.quiet) as signals,
        choose_report(quiet=request.quiet) as report,
        EventLog(request.log_json) as log,
        spoken_warnings(quiet=request.quiet),
    ):
        prepare()
        import numba  # noqa: F401 - the features are set between this import and the kernels'

        prefer_wide_vectors()
        outcome = work(
            {
                "threads": request.threads,
                "scheduler": request.scheduler,
                "checkpoint": request.checkpoint,
                "report": report,
                "control": control,
                "provenance": {"command_line": shlex.join([program, *sys.argv[1:]])},
                "log": log,
                "announce": None if request.quiet else _announce,
            }
        )
    if outcome.complete:
        _show_outcome(request, outcome)
        return 0
    _show_stopped(request, outcome)
    return signals.exit_code


def _announce(text: str) -> None:
    typer.echo(text, err=True)


@contextmanager
def spoken_warnings(*, quiet: bool) -> Iterator[None]:
    """Say our own warnings in a line, without the place in the source."""

    def show(message: Warning | str, category: type[Warning], *rest: Any, **named: Any) -> None:
        if issubclass(category, SimcoreWarning):
            if not quiet:
                _announce(f"warning: {message}")
        else:
            original(message, category, *rest, **named)

    with warnings.catch_warnings():
        warnings.simplefilter("always", SimcoreWarning)
        original = warnings.showwarning
        warnings.showwarning = show
        yield


# --- what is shown ------------------------------------------------------------------------------


def _show_outcome(request: Request, outcome: Outcome) -> None:
    if request.quiet and not request.json:
        return
    result = rows_of_results(outcome.results)
    if request.json:
        show_json(_report(request, outcome, result))
    else:
        _show_rows(result)
        rate = outcome.node_updates / outcome.seconds if outcome.seconds > 0.0 else 0.0
        by = f"{request.threads} thread{'s' if request.threads > 1 else ''}"
        if outcome.run.device != "cpu":
            by = outcome.run.device
        took = f"{duration(outcome.seconds)} ({rate_text(rate)}, {by})"
        typer.echo(f"\n{_size(outcome)} in {took}")
        for line in _unmet(outcome):
            typer.echo(line)
        _show_path(outcome.output)


def show_merged(outcome: Outcome) -> None:
    """Show the table of merged shards, and where they are."""
    _show_rows(rows_of_results(outcome.results))
    typer.echo(f"\n{_size(outcome)}")
    _show_path(outcome.output)


def _show_stopped(request: Request, outcome: Outcome) -> None:
    """Say what an interrupted run left behind."""
    if request.json:
        show_json(_report(request, outcome, []))
    done = sum(point.trials() for point in outcome.points)
    most = "at most " if outcome.run.until_stderr is not None else ""
    total = f"{most}{outcome.run.trials * len(outcome.run.points)}"
    if not request.quiet:
        typer.echo(
            f"stopped: {outcome.output} holds {done} of {total} trials, unfinished. "
            f"{GO_ON} {shlex.quote(str(outcome.output))}",
            err=True,
        )


def show_finished(request: Request, path: Path) -> None:
    """Show the table of a file that holds this run already."""
    prepare()
    from simcore.results.open_run import open_run

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


def _size(outcome: Outcome) -> str:
    run, points = outcome.run, len(outcome.run.points)
    done = [point.trials() for point in outcome.points]
    least, most = min(done), max(done)
    trials = f"{most}" if least == most else f"{least} to {most}"
    grid = f" at each of {points} points" if points > 1 else ""
    return f"{trials} trials{grid}, {run.depth} layers"


def _unmet(outcome: Outcome) -> list[str]:
    """Say which points had all their trials and missed the target."""
    if not outcome.unmet:
        return []
    count, worst = len(outcome.unmet), max(error for _, error in outcome.unmet)
    points = f"{count} of {len(outcome.points)} points"
    reached = f"the largest error is {worst:.3g}"
    if math.isinf(worst):
        reached = "some layer has fewer than two networks with a correlation"
    missed = f"without reaching a standard error of {outcome.run.until_stderr:g}; {reached}"
    return [
        f"note: {points} had all {outcome.run.trials} trials {missed}.",
        "      To go on: simcore resume FILE --trials N",
    ]


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
        "trials_done": [point.trials() for point in outcome.points],
        "until_stderr_missed": [point for point, _ in outcome.unmet],
        "notes": request.notes,
        "table": json_rows(result),
    }


# --- dry run ------------------------------------------------------------------------------------


def _planned_trials(run: Run) -> str:
    if run.until_stderr is None:
        return str(run.trials)
    return f"until a standard error of {run.until_stderr:g}, at most {run.trials}"


def _show_plan(request: Request, path: Path) -> None:
    from simcore.files.run_file import estimate_bytes

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
        "device": run.device,
        "points": f"{len(run.points)} ({grid})" if grid else 1,
        "trials per point": _planned_trials(run),
        "layers": run.depth,
        "node updates": f"{'at most ' if run.until_stderr else ''}{updates:.4g}",
        "file": f"about {bytes_text(size)}",
        "memory": f"about {bytes_text(memory)}, and the interpreter's",
        "threads": request.threads,
        "output": f"{path}{' (exists)' if os.path.lexists(path) else ''}",
    }
    show_facts(facts)
    for note in request.notes:
        typer.echo(f"note: {note}")

"""Carrying out a request: the run under its signals and its progress, then the result on screen."""

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

from simcore import api
from simcore.errors import SimcoreWarning, as_typed

from .live import choose_report
from .numbers import bytes_text, counted, duration, rate_text
from .output import GO_ON, claim, resolve_destination
from .request import Request
from .result_table import show_rows
from .show import show_facts, show_json
from .signals import Signals
from .summary import Row, json_rows, rows, rows_of_results
from .table import show_text
from .verdict import verdict_of_results, verdict_on

if TYPE_CHECKING:
    from simcore import Run
    from simcore.api import Outcome


def perform(request: Request) -> int:
    """Carry out a request of `simulate` and return the exit code.

    Raises
    ------
    InputError
        If the output is in the way or can't be written.
    OutputError
        If it could not be written in the end.
    """
    run = request.run
    destination = resolve_destination(run, request.output)
    if "dry_run" in request.flags:
        check_files(request, destination.path)
        _show_plan(request, destination.path)
        return 0
    if destination.finished(run, overwrite="overwrite" in request.flags):
        show_finished(request, destination.path)
        return 0
    check_files(request, destination.path)
    work = partial(api.execute, run, output=destination.path)
    return carry_out("simulate", request, work)


def check_files(request: Request, output: Path) -> None:
    """Raise InputError if a file can't be written, or is another file of the run as well."""
    claim(output, overwrite=True, replaces_results=True, others=request.read)
    if request.log_json is not None:
        others = (*request.read, str(output))
        claim(request.log_json, overwrite=True, field="log_json", others=others)


def carry_out(program: str, request: Request, work: Callable[..., Outcome]) -> int:
    """Run under signals and progress, show the result, and return the exit code."""
    api.check_memory(request.run, request.settings["threads"])
    if not request.quiet:
        for note in request.notes:
            typer.echo(f"note: {note}", err=True)
    control = api.Control()
    with (
        Signals(control, quiet=request.quiet) as signals,
        choose_report(quiet=request.quiet) as report,
        api.EventLog(request.log_json) as log,
        spoken_warnings(quiet=request.quiet),
    ):
        outcome = work(
            **request.settings,
            report=report,
            control=control,
            provenance=command_line(program),
            log=log,
            announce=None if request.quiet else _announce,
        )
    if outcome.complete:
        _show_outcome(request, outcome)
        return 0
    _show_stopped(request, outcome)
    return signals.exit_code


def command_line(program: str) -> dict[str, object]:
    """Return the command, as the provenance of a file has it; `simulate` may follow simcore."""
    words = sys.argv[1:]
    program = "simcore" if words[:1] == [program] else program
    return {"command_line": shlex.join([program, *words])}


def _announce(text: str) -> None:
    typer.echo(text, err=True)


@contextmanager
def spoken_warnings(*, quiet: bool) -> Iterator[None]:
    """Print simcore's own warnings as one line, without the place in the source."""

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
        return
    show_rows(result, outcome.run.trials)
    _show_verdict(verdict_of_results(outcome.results, outcome.output))
    threads = request.settings["threads"]
    by = f"{threads} thread{'s' if threads > 1 else ''}"
    by = by if outcome.run.device == "cpu" else outcome.run.device
    rate = outcome.node_updates / outcome.seconds if outcome.seconds > 0.0 else 0.0
    took = f"{duration(outcome.seconds)} ({rate_text(rate)}, {by})"
    show_text(["", f"{_size(outcome)} in {took}", *_unmet(outcome)])
    _show_path(outcome.output)


def show_merged(outcome: Outcome) -> None:
    """Show the table of merged shards, and where they are."""
    show_rows(rows_of_results(outcome.results), outcome.run.trials)
    _show_verdict(verdict_of_results(outcome.results, outcome.output))
    typer.echo(f"\n{_size(outcome)}")
    _show_path(outcome.output)


def _show_stopped(request: Request, outcome: Outcome) -> None:
    """Print the state of an interrupted run and of its file."""
    if request.json:
        show_json(_report(request, outcome, []))
    done = sum(point.trials() for point in outcome.points)
    most = "at most " if outcome.run.until_stderr is not None else ""
    total = f"{most}{outcome.run.trials * len(outcome.run.points)}"
    if not request.quiet:
        typer.echo(
            f"stopped: {outcome.output} holds {done} of {total} trials, unfinished. "
            f"{GO_ON} {as_typed(str(outcome.output))}",
            err=True,
        )


def show_finished(request: Request, path: Path) -> None:
    """Show the table of a file that holds this run already."""
    from simcore.results.open_run import open_run

    with open_run(path) as dataset:
        result = rows(request.run, dataset)
        verdict = [] if request.json or request.quiet else verdict_on(dataset, path)
    if request.json:
        facts = {**_identity(request.run, path, complete=True), "already_complete": True}
        show_json({**facts, "table": json_rows(result)})
    elif not request.quiet:
        typer.echo(f"{path} holds this run, complete; nothing was simulated.\n")
        show_rows(result, request.run.trials)
        _show_verdict(verdict)
        _show_path(path)


def _show_verdict(verdict: list[str]) -> None:
    show_text(["", *verdict] if verdict else [])


def _show_path(path: Path | None) -> None:
    if path is None:
        return
    quoted = as_typed(path)
    typer.echo(f"\nresults are in {path}; next:")
    typer.echo(f"  simcore info {quoted}")
    typer.echo(f"  simcore plot {quoted} correlation")
    typer.echo(f"  python: simcore.open_run({str(path)!r})")


def _size(outcome: Outcome) -> str:
    done = {point.trials() for point in outcome.points}
    trials = " to ".join(str(n) for n in sorted({min(done), max(done)}))
    points = len(outcome.points)
    grid = f" at each of {points} points" if points > 1 else ""
    noun = "trial" if max(done) == 1 else "trials"
    return f"{trials} {noun}{grid}, {counted(outcome.run.depth, 'layer')}"


def _unmet(outcome: Outcome) -> list[str]:
    """Return lines about points that had all their trials and missed the target."""
    run, target = outcome.run, outcome.run.target
    errors = [error for _, error in outcome.unmet]
    if not errors or target is None:
        return []
    points = f"{len(errors)} of {len(outcome.points)} points"
    missed = f"note: {points} ended without reaching a standard error of {target}"
    if any(map(math.isnan, errors)):
        left = "values beyond 1e+-150 have left float64, so there is no error"
        return [f"{missed}: {left}.", "      Take the logarithm: log_q1, log_q2 or log_distance."]
    missed = f"{missed} in {run.trials} trials"
    if any(map(math.isinf, errors)):
        return [f"{missed}: {api.NO_VALUES}."]
    file = as_typed(outcome.output or "FILE")
    number = api.needed(run.trials, max(errors), target.error)
    return [
        f"{missed}; the largest error is {max(errors):.3g}.",
        f"      About {number} trials reach it: simcore resume {file} --trials {number}",
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
        "threads": request.settings["threads"],
        "trials_done": [point.trials() for point in outcome.points],
        "until_stderr_missed": [point for point, _ in outcome.unmet],
        "notes": list(request.notes),
        "table": json_rows(result),
    }


def _show_plan(request: Request, path: Path) -> None:
    """Show a dry run: the run and its estimates."""
    run, threads = request.run, request.settings["threads"]
    api.check_memory(run, threads)
    numbers = api.estimates(run, threads)
    if request.json:
        facts = _identity(run, path, complete=False) | {"dry_run": True, "trials": run.trials}
        facts |= {"points": len(run.points), "threads": threads, "notes": list(request.notes)}
        show_json(facts | numbers)
        return
    if request.quiet:
        return
    grid = " x ".join(f"{name} {len(values)}" for name, values in run.dimensions.items())
    trials, most = str(run.trials), ""
    if run.until_stderr is not None:
        trials = f"until a standard error of {run.target}, at most {run.trials}"
        most = "at most "
    seconds = numbers["seconds"]
    facts = {
        "ensemble": run.ensemble,
        "sampler": run.sampler,
        "device": run.device,
        "points": f"{len(run.points)} ({grid})" if grid else 1,
        "trials per point": trials,
        "layers": run.depth,
        "node updates": f"{most}{numbers['node_updates']:.4g}",
        "time": f"{most}about {duration(seconds)}" if seconds else "not known for a GPU",
        "file": f"{most}about {bytes_text(numbers['file_bytes'])}",
        "memory": f"about {bytes_text(numbers['memory_bytes'])}, and the interpreter's",
        "threads": threads,
        "output": f"{path}{' (exists)' if os.path.lexists(path) else ''}",
    }
    show_facts(facts)
    for note in request.notes:
        typer.echo(f"note: {note}")

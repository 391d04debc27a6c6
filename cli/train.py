"""The command `simcore train`: initial weights compared by training networks from them."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simcore.api import Control, Progress, settings
from simcore.errors import InputError

from . import options
from .config import Given, named, option_name
from .files import prepare
from .live import choose_report
from .numbers import duration
from .output import GO_ON, check_destination, resolve_destination
from .signals import Signals

if TYPE_CHECKING:
    from simcore.training.plan import Plan
    from simcore.training.run import Outcome

__all__ = ["register", "resume_training"]

EPILOG = """\
[bold]Examples[/bold]

simcore train teacher-student --figure losses.png

simcore train teacher-student --width 50 --depth 20 --ensembles he,raai:10 --optimizer adam

simcore train digits --depth 20 --rates 0.01,0.03,0.1 -o digits.h5
"""

NETWORK = "Networks"
TASK = "Task"
TRAINING = "Training"


def _value(name: str, panel: str, metavar: str, text: str) -> Any:
    return typer.Option(name, help=text, metavar=metavar, rich_help_panel=panel, show_default=False)


Ensembles = Annotated[
    str | None,
    _value(
        "--ensembles",
        NETWORK,
        "LIST",
        "Initial weights to compare: he, correlated:K, rai, raai:K, torch (PyTorch's default), "
        "orthogonal. Default: he,correlated:1,rai,raai:10,torch,orthogonal.",
    ),
]
Width = Annotated[
    str | None, _value("--width", NETWORK, "N", "Nodes of a hidden layer. Default: 100.")
]
Depth = Annotated[str | None, _value("--depth", NETWORK, "N", "Hidden layers. Default: 10.")]
Samples = Annotated[
    str | None,
    _value("--samples", TASK, "N", "Samples of the training set. Default: 2000, of digits 1000."),
]
Inputs = Annotated[
    str | None, _value("--inputs", TASK, "N", "Components of an input. Default: 20.")
]
Noise = Annotated[
    str | None,
    _value("--noise", TASK, "X", "Noise on the targets, in units of the teacher's. Default: 0."),
]
Teacher = Annotated[
    str | None, _value("--teacher", TASK, "NAME", "The teacher's weights. Default: he.")
]
TeacherWidth = Annotated[
    str | None,
    _value("--teacher-width", TASK, "N", "Nodes of its hidden layers. Default: the students'."),
]
TeacherDepth = Annotated[
    str | None, _value("--teacher-depth", TASK, "N", "Its hidden layers. Default: the students'.")
]
OptimizerName = Annotated[
    str | None,
    _value("--optimizer", TRAINING, "NAME", "sgd, momentum (0.9) or adam. Default: sgd."),
]
Rates = Annotated[
    str | None,
    _value(
        "--rates",
        TRAINING,
        "LIST",
        "Learning rates that each ensemble is tried at. Default: 0.001,0.003,0.01,0.03,0.1, for "
        "momentum and adam 0.0001,0.0003,0.001,0.003,0.01.",
    ),
]
Steps = Annotated[
    str | None, _value("--steps", TRAINING, "N", "Updates of the weights. Default: 1000.")
]
Batch = Annotated[str | None, _value("--batch", TRAINING, "N", "Samples of each. Default: 128.")]
Seeds = Annotated[
    str | None,
    _value("--seeds", TRAINING, "N", "Networks of each ensemble that are measured. Default: 20."),
]
Pilots = Annotated[
    str | None,
    _value("--pilots", TRAINING, "N", "Other networks that each rate is tried on. Default: 5."),
]
Seed = Annotated[
    str | None,
    _value("--seed", TRAINING, "N", "The same seed gives the same numbers. Default: 0."),
]
Device = Annotated[
    str | None,
    _value("--device", options.COMPUTING, "NAME", "cpu, or cuda where PyTorch has a GPU."),
]

Figure = Annotated[
    str | None,
    _value("--figure", options.OUTPUT, "FILE", "Also draw the losses, as simcore plot FILE loss."),
]

INTEGERS = (
    "width",
    "depth",
    "samples",
    "inputs",
    "teacher_width",
    "teacher_depth",
    "steps",
    "batch",
    "seeds",
    "pilots",
    "seed",
)
TEXTS = ("teacher", "optimizer", "device")


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


def _teacher_student(
    ensembles: Ensembles = None,
    width: Width = None,
    depth: Depth = None,
    inputs: Inputs = None,
    samples: Samples = None,
    noise: Noise = None,
    teacher: Teacher = None,
    teacher_width: TeacherWidth = None,
    teacher_depth: TeacherDepth = None,
    optimizer: OptimizerName = None,
    rates: Rates = None,
    steps: Steps = None,
    batch: Batch = None,
    seeds: Seeds = None,
    pilots: Pilots = None,
    seed: Seed = None,
    device: Device = None,
    threads: options.Threads = None,
    output: options.Output = None,
    figure: Figure = None,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> int:
    """Students learn a random teacher network from samples of what it answers."""
    return _command("teacher-student", locals())


def _digits(
    ensembles: Ensembles = None,
    width: Width = None,
    depth: Depth = None,
    samples: Samples = None,
    optimizer: OptimizerName = None,
    rates: Rates = None,
    steps: Steps = None,
    batch: Batch = None,
    seeds: Seeds = None,
    pilots: Pilots = None,
    seed: Seed = None,
    device: Device = None,
    threads: options.Threads = None,
    output: options.Output = None,
    figure: Figure = None,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> int:
    """Networks learn to tell the 8x8 handwritten digits apart."""
    return _command("digits", locals())


# --- from options to a plan ----------------------------------------------------------------------


def _command(task: str, parameters: Mapping[str, str | bool | None]) -> int:
    given = Given.typed(parameters)
    try:
        plan = _plan(task, given.texts)
        return _perform(plan, given)
    except InputError as error:
        raise named(error, given, parameters) from error


def _plan(task: str, texts: Mapping[str, str]) -> Plan:
    from simcore.training.plan import Digits, TeacherStudent

    from .values import parse_float, parse_floats, parse_integer

    values: dict[str, Any] = {
        name: parse_integer(name, texts[name]) for name in INTEGERS if name in texts
    }
    values |= {name: texts[name] for name in TEXTS if name in texts}
    if "ensembles" in texts:
        values["ensembles"] = tuple(texts["ensembles"].split(","))
    if "rates" in texts:
        values["rates"] = parse_floats("rates", texts["rates"])
    if "noise" in texts:
        values["noise"] = parse_float("noise", texts["noise"])
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
    named_file = None if typed is None else Path(typed).expanduser()
    destination = resolve_destination(plan, named_file)
    if destination.finished(plan, overwrite="overwrite" in given.flags):
        _show_finished(destination.path, given)
        exit_code = 0
    else:
        check_destination(destination.path)
        prepare()
        from simcore.training.run import execute

        exit_code = _carry_out(partial(execute, plan, output=destination.path), threads, given)
    if exit_code == 0 and figure is not None:
        from simcore.figures.runs import plot

        plot(destination.path, "loss", figure)
    return exit_code


def _figure(given: Given) -> Path | None:
    """Return the figure that is asked for, which must be possible before anything is trained."""
    typed = given.texts.get("figure")
    if typed is None:
        return None
    from simcore.figures.style import check_ending

    figure = Path(typed).expanduser()
    check_ending(figure, "figure")
    check_destination(figure, "figure")
    return figure


def resume_training(path: Path, given: Given) -> int:
    """Go on with a training run and return the exit code.

    Raises
    ------
    CommandError
        If an option was given that training runs do not have, or the file can't be gone on with.
    """
    own = {"threads", "quiet", "json"}
    try:
        for name in given.texts.keys() - own:
            rule = "goes with runs of simulate, and this is one of simcore train"
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
    """Say how far training is: networks and time left."""
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
        quoted = shlex.quote(str(path))
        typer.echo(f"\n{outcome.results.networks()} networks in {duration(outcome.seconds)}")
        typer.echo(f"results are in {path}; next:")
        typer.echo(f"  simcore report {quoted}")
        typer.echo(f"  simcore plot {quoted} differences")
        typer.echo(f"  python: simcore.training.open_training({str(path)!r})")


def _show_finished(path: Path, given: Given) -> None:
    prepare()
    from simcore.training.store import open_training

    if not {"quiet", "json"} & given.flags:
        typer.echo(f"{path} holds this run, complete; nothing was trained.\n")
    _show_results(open_training(path), path, given)


def _show_results(dataset: Any, path: Path, given: Given) -> None:
    from .show import show_json, show_table

    rows = _rows(dataset)
    if "json" in given.flags:
        facts = {"file": str(path), "task": dataset.attrs["task"], "complete": True}
        show_json({**facts, "config_sha256": dataset.attrs["config_sha256"], "table": rows})
    elif "quiet" not in given.flags:
        headings = [name.replace("_", " ") for name in rows[0] if name not in _NOTED]
        show_table(headings, [[_cell(row[name]) for name in _shown(row)] for row in rows])
        from simcore.training.verdict import unstable, verdict

        for line in _notes(rows, unstable(dataset)):
            typer.echo(line)
        typer.echo(f"\n{verdict(dataset)}")


_NOTED = ("extended", "at_edge")
"""What is said below the table."""


def _shown(row: Mapping[str, Any]) -> list[str]:
    return [name for name in row if name not in _NOTED]


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


def _notes(rows: list[dict[str, Any]], unstable: Collection[str]) -> list[str]:
    """Return the lines below the table; of `unstable` ensembles no rate is the best."""
    meaning = "loss and accuracy: of the test set, medians over networks; dead: mean share of nodes"
    notes = [f"\n{meaning} that no input of it activates"]
    for row in rows:
        if row["at_edge"] and row["ensemble"] not in unstable:
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
            f"{GO_ON} {shlex.quote(str(path))}",
            err=True,
        )

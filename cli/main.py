"""The command `simcore`: simulate, resume runs, merge, inspect and plot them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing
from typing import Annotated, Any

import typer

from simcore import api
from simcore.errors import InputError

from .campaign import merge, resume
from .config import Given, named
from .doctor import register as register_doctor
from .errors import fail, run_app
from .files import existing
from .look import register as register_look
from .numbers import duration, rate_text
from .options import Version
from .plot import register as register_plot
from .report import register as register_report
from .signals import ignore_checkpoint_requests
from .simulate import EPILOG, WORDS_ALONE, simulate
from .simulate import HELP as SIMULATE_HELP
from .slurm import register as register_slurm
from .streams import lost_output, protect
from .theory import register as register_theory
from .train import register as register_train

RUNS = ("simulate", "resume", "merge", "train")
"""Commands whose result is a file: they succeed without standard output."""

app = typer.Typer(
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

File = Annotated[
    str, typer.Argument(metavar="FILE", help="A file written by simulate or simcore train.")
]


@app.callback()
def simcore(version: Version = False) -> None:
    """Simulate random networks; resume runs, merge their pieces, inspect and plot them."""


app.command()(resume)
app.command(no_args_is_help=True)(merge)


@app.command()
def info(
    file: File,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what a file holds: configuration, progress, provenance."""
    path = existing(file)
    from simcore.file_types import opened

    from .show import show_facts, show_json

    try:
        kind, stored = opened(path)
        with closing(stored):
            facts = kind.facts(stored)
    except InputError as error:
        raise named(error, Given({}), ()) from error
    if json:
        show_json(facts)
    else:
        show_facts(_READABLE[kind.name](facts))


register_look(app)
app.command("simulate", help=SIMULATE_HELP, epilog=EPILOG)(simulate)
register_doctor(app)
register_plot(app)
register_report(app)
register_slurm(app)
register_theory(app)
register_train(app)


def _readable(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the facts about a file without what only programs look for."""
    least, most = facts["trials_done"]
    config = {name: value for name, value in facts["config"].items() if value is not None}
    if facts["config"]["sigma_w"] is None:
        config["sigma_w"] = "norm-preserving"
        if config["ensemble"] in api.ASYMMETRIC:
            config["sigma_w"] = f"{config['sigma_w_of_k'][0][1]} (published)"
    if facts["config"]["sigma_b"] is None:
        config["sigma_b"] = "sigma_w/sqrt(n)"
    config.pop("sigma_w_of_k", None)
    if config.get("inputs"):
        inputs = config["inputs"]
        config["inputs"] = f"{inputs['count']} of {inputs['size']} components, {inputs['digest']}"
    if not config["shared_network"]:
        del config["shared_network"]
    hidden = {"trials_done_per_point", "progress"}
    shown = {name: x for name, x in facts.items() if name not in hidden and x not in ({}, "")}
    done = f"{least}" if least == most else f"{least} to {most}, by point"
    return shown | {"trials_done": done, **_progress(facts), "config": config}


def _readable_training(facts: dict[str, Any]) -> dict[str, Any]:
    writer = facts["writer"] or "none, nobody writes this file now"
    done = f"{facts['networks']} of {facts['networks_in_all']}, pilots included"
    shown = {name: x for name, x in facts.items() if name != "networks_in_all"}
    return shown | {"networks": done, "writer": writer}


def _progress(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the progress of a run, in words."""
    told = {"writer": facts["writer"] or "none, nobody writes this file now"}
    progress = facts["progress"]
    if progress and not facts["complete"]:
        left, rate = progress["seconds_left"], progress["node_updates_per_second"]
        told["points_done"] = f"{progress['points_done']} of {facts['points']}"
        told["time_left"] = "unknown"
        if left is not None and rate:
            told["time_left"] = f"{duration(left)} at {progress['time']}, {rate_text(rate)}"
    return told


_READABLE = {"simcore-run": _readable, "simcore-training": _readable_training}
"""Facts for readers by type of file (`simcore.file_types`)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `simcore` with the given arguments (those of the process by default).

    Returns
    -------
    int
        The exit code.
    """
    ignore_checkpoint_requests()
    if arguments is None:
        protect()
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    code = run_app(app, "simcore", given)
    run = given[0] in RUNS and WORDS_ALONE.isdisjoint(given)
    lost = "" if code or run else lost_output()
    return fail(lost, 1) if lost else code


if __name__ == "__main__":
    sys.exit(main())

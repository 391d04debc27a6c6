"""The command `simcore slurm`: a run as a script for a Slurm cluster, on stdout."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simcore import api
from simcore.errors import InputError

from .config import Given, named, option_name, with_config
from .errors import CommandError, run_app
from .options import accepts, option_table
from .simulate import simulate

if TYPE_CHECKING:
    from simcore import Run
    from simcore.slurm.script import Job, Work

    from .request import Request


HELP = """\
Print a script that runs a simulation on a Slurm cluster.

Without --array it is a batch script: one job on all nodes, with a Dask scheduler and a worker for \
each GPU or node; submit it with sbatch. With --array it submits the run as separate shards and \
their merge; start it with bash. Either way a run that nears its time limit, or is preempted, is \
requeued and resumes from its last checkpoint.
"""

EPILOG = """\
[bold]Examples[/bold]

simcore slurm --nodes 4 --gpus-per-node 4 -- simulate --width 4096 --depth 200 --trials 1e6 > job.sh

simcore slurm --array 20 --cpus-per-task 16 --time 12:00:00 -- simulate --width 1e6 --depth 50 -o \
wide.h5 > jobs.sh

simcore slurm --nodes 2 --setup "module load python" --sbatch=--constraint=ib -- simulate --width \
4096 --depth 200 > job.sh
"""

OPTIONS = option_table("""
Request to Slurm
  nodes N: Nodes of the job. Default: 1.
  gpus-per-node N: GPUs of each node, each with a worker. Default: none.
  cpus-per-task N: CPUs of each worker or shard. Default: 2 for each GPU; without GPUs whole nodes.
  time LIMIT: Time limit of each job, as for sbatch: 90 (minutes), 12:00:00, 2-12. The run may take
    longer than one job. Default: that of the partition.
  mem SIZE: Memory of each node: 64G.
  partition NAME: Partition.
  account NAME: Account.
  qos NAME: Quality of service.
  job-name NAME: Name of the job and of its log. Default: simcore.
Script
  array K: Run K independent shards, one node each, and merge them.
  signal-seconds N: Time before the time limit at which the run stops and the job is requeued.
    Default: 120.
  sbatch LINE: Any other option of sbatch: --sbatch=--exclude=n7. Repeatable.
  setup COMMAND: Command before the work: --setup "module load python". Repeatable. Default: none,
    the environment of sbatch is kept.
""")

INTEGERS = ("nodes", "gpus_per_node", "cpus_per_task", "array", "signal_seconds")
REPEATABLE = ("sbatch", "setup")

REFUSED = {
    "scheduler": "is the script's to choose",
    "dry_run": "has no place in a job",
    "json": "has no place in a job",
    "overwrite": "would begin anew at every restart",
    "first_trial": "is chosen by --array for each shard",
    "until_stderr": "is out of reach of shards, which see only their own trials",
}
"""Options of `simulate` that the script can't have; the last two only with --array."""

ONLY_ARRAY = {"first_trial", "until_stderr"}
RESUMED = ("threads", "checkpoint", "quiet")
"""Options that a file doesn't hold, since they say how to run: `simcore resume` is given them."""


Command = Annotated[
    list[str],
    typer.Argument(
        metavar="COMMAND",
        help="The run, as it would be typed: -- simulate --width 4096 ...",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command to an application."""
    # Words after the first that is no option belong to simulate, even where -- was left out.
    settings = {"allow_interspersed_args": False}
    app.command("slurm", help=HELP, epilog=EPILOG, context_settings=settings)(_slurm)


@accepts(
    {name: option for name, option in OPTIONS.items() if name not in REPEATABLE},
    **{name: Annotated[list[str] | None, OPTIONS[name].info()] for name in REPEATABLE},
    command=Command,
)
def _slurm(**parameters: Any) -> None:
    given = Given.typed(parameters)
    try:
        job = _job(given, {name: parameters[name] or () for name in REPEATABLE})
    except InputError as error:
        raise named(error, given, parameters) from error
    parsed = _parsed(parameters["command"])
    try:
        from simcore.slurm.script import array_script, dask_script

        work = _work(parsed, job)
        _check_files(parsed.request, work, job)
    except InputError as error:
        raise named(error, parsed.given, parsed.parameters) from error
    make = dask_script if job.array is None else array_script
    typer.echo(make(job, work), nl=False)


def _job(given: Given, lines: Mapping[str, Iterable[str]]) -> Job:
    from simcore.slurm.script import Job

    from .values import parse_integer

    values: dict[str, Any] = {
        name: parse_integer(name, text) if name in INTEGERS else text
        for name, text in given.texts.items()
    }
    return Job(**values | {name: tuple(own) for name, own in lines.items()})


# --- the run ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Parsed:
    """A command line of `simulate`: as typed, with its --config, and its meaning."""

    typed: Given
    given: Given
    parameters: dict[str, Any]
    request: Request


def _parsed(command: list[str]) -> _Parsed:
    """Read a command line by the parser of `simulate`, whose messages speak of its options."""
    command = command[1:] if command[0] == "simcore" else command
    if command[:1] != ["simulate"]:
        remedy = "Write -- simulate --width 4096 ..."
        text = f"-- {' '.join(command[:1])}: must be the command simulate. {remedy}"
        raise CommandError(text, InputError.exit_code)
    found: list[_Parsed] = []

    @functools.wraps(simulate)
    def read(**parameters: Any) -> None:
        typed = given = Given.typed(parameters)
        try:
            given = with_config(typed, parameters)
            from .request import build_request

            found.append(_Parsed(typed, given, parameters, build_request(given, here=False)))
        except InputError as error:
            raise named(error, given, parameters) from error

    parser = typer.Typer(add_completion=False, rich_markup_mode="rich")
    parser.command()(read)
    code = run_app(parser, "simulate", command[1:])
    if not found:
        raise typer.Exit(code)
    return found[0]


def _work(parsed: _Parsed, job: Job) -> Work:
    """Return the work of the script.

    Raises
    ------
    InputError
        If an option has no place in a script.
    """
    from simcore.slurm.script import Work

    given = parsed.given
    run = replace(parsed.request.run, device=_device(parsed, job))
    shards = job.array is not None
    for name, rule in REFUSED.items():
        if (name in given.texts or name in given.flags) and (shards or name not in ONLY_ARRAY):
            raise InputError(name, given.texts.get(name, ""), rule, "Leave it out.")
    apart = {"output", "log_json", "device"} | ({"trials"} if shards else set())
    return Work(
        simulate=(
            "simulate",
            *_words(parsed.typed, parsed.parameters.keys() - apart),
            *(("--device", run.device) if shards or run.device != "cpu" else ()),
        ),
        resume=tuple(_words(given, set(RESUMED))),
        output=str(parsed.request.output or run.default_filename()),
        trials=run.trials,
        log=given.texts.get("log_json", ""),
    )


def _device(parsed: _Parsed, job: Job) -> str:
    """Return the device of the job, which its commands name.

    Shards may not choose it on their own; with a scheduler `auto` is the CPU.
    """
    run = parsed.request.run
    if parsed.given.texts.get("device", "auto") != "auto" or not job.gpus_per_node:
        return run.device
    return "cuda"


def _words(given: Given, names: set[str]) -> list[str]:
    """Return options as they would be typed."""
    words = [
        w for name, text in given.texts.items() if name in names for w in (option_name(name), text)
    ]
    return words + [option_name(name) for name in sorted(given.flags & names)]


# --- what is there already ----------------------------------------------------------------------


def _check_files(request: Request, work: Work, job: Job) -> None:
    """Refuse files of other runs, which the script would resume, and name those of this run.

    Raises
    ------
    InputError
        If a file is in the way, or can't be written.
    """
    from simcore.slurm.script import shard_count, shard_names, shard_spans

    from .output import check_destination

    check_destination(Path(work.output))
    files = [(work.output, request.run)]
    if job.array is not None:
        shards = shard_count(work.trials, job.array)
        spans = shard_spans(work.trials, shards)
        for name, (first, end) in zip(shard_names(work.output, shards), spans, strict=True):
            files.append((name, replace(request.run, first_trial=first, trials=end - first)))
    for name, run in files:
        if Path(name).exists():
            _check_same(name, run)


def _check_same(name: str, run: Run) -> None:
    if _comparable(api.info(name)["config"]) != _comparable(run.config()):
        rule = "exists already and is another run"
        raise InputError("file", name, rule, "Name another one with -o, or move it away.")
    typer.echo(f"note: {name} holds this run, or part of it; the script resumes it", err=True)


def _comparable(config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration without the device, which may differ where the script is printed."""
    return {name: value for name, value in config.items() if name != "device"}

"""Scripts for Slurm: a job with a Dask cluster in it, or an array of shards and their merge.

Text only: nothing here is run or looked up. What differs between two scripts is in their directives
and in the variables at their top; the rest are the constant blocks of `slurm_blocks`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import PurePath

from simcore.errors import InputError
from simcore.statistics.blocks import BLOCK

from . import blocks

__all__ = [
    "Job",
    "Work",
    "array_script",
    "dask_script",
    "shard_count",
    "shard_names",
    "shard_spans",
]

GPU_CPUS = 2
"""CPUs for each GPU: one for its tasks, one for the rest of the worker."""

MAX_SIGNAL_SECONDS = 65535

TIME = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")
PATTERNS = {
    "time": (TIME, "must be a time limit", "Write it as 90 (minutes), 12:00:00 or 2-12:00:00."),
    "mem": (re.compile(r"\d+[KMGT]?"), "must be memory for each node", "Write it as 64G."),
    "job_name": (re.compile(r"\w[\w.+-]*"), "must be a plain word", "Use letters, digits, .+-_."),
    "partition": (re.compile(r"[^\s-]\S*"), "must be one word", "Name it as sinfo does."),
    "account": (re.compile(r"[^\s-]\S*"), "must be one word", "Name it as sacctmgr does."),
    "qos": (re.compile(r"[^\s-]\S*"), "must be one word", "Name it as sacctmgr does."),
}

OWN_DIRECTIVES = {
    *("account", "array", "cpus-per-task", "gpus-per-node", "job-name", "mem", "no-requeue"),
    *("nodes", "ntasks", "ntasks-per-node", "open-mode", "partition", "qos", "requeue"),
    *("signal", "time"),
}
"""What the script says itself: a second line of these would silently win."""


@dataclass(frozen=True)
class Job:
    """What is asked of Slurm.

    Parameters
    ----------
    nodes
        Number of nodes; with `array` every shard has one.
    gpus_per_node
        GPUs of each node, each with a worker; with `array` at most one.
    cpus_per_task
        CPUs of each worker or shard. None is `GPU_CPUS` with GPUs, and whole nodes without.
    time, partition, account, qos, mem
        As for ``sbatch``; None leaves the choice to the site.
    job_name
        Name of the job, and of its log.
    array
        Number of shards; None is one job with a Dask cluster.
    signal_seconds
        How long before the time limit the run is stopped and the job requeued.
    sbatch
        More directives, such as ``--constraint=a100``.
    setup
        Commands before the work, such as ``module load python``.

    Raises
    ------
    InputError
        Naming field, value, rule and remedy.
    """

    nodes: int = 1
    gpus_per_node: int = 0
    cpus_per_task: int | None = None
    time: str | None = None
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    mem: str | None = None
    job_name: str = "simcore"
    array: int | None = None
    signal_seconds: int = 120
    sbatch: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("nodes", "cpus_per_task", "array", "signal_seconds"):
            self._check_least(name, 1)
        self._check_least("gpus_per_node", 0)
        for name, (pattern, rule, remedy) in PATTERNS.items():
            value = getattr(self, name)
            if value is not None and not pattern.fullmatch(value):
                raise InputError(name, value, rule, remedy)
        self._check_signal()
        if self.array is not None:
            self._check_array()
        object.__setattr__(self, "sbatch", tuple(_directive(line) for line in self.sbatch))
        for line in self.setup:
            _check_line("setup", line, "Repeat --setup for another command.")

    def _check_least(self, name: str, least: int) -> None:
        value = getattr(self, name)
        if value is not None and value < least:
            raise InputError(name, value, f"must be at least {least}", "Give a larger number.")

    def _check_signal(self) -> None:
        seconds = self.signal_seconds
        if seconds > MAX_SIGNAL_SECONDS:
            rule = f"must be at most {MAX_SIGNAL_SECONDS}, Slurm's limit"
            raise InputError("signal_seconds", seconds, rule, "A few minutes are enough.")
        if self.time is not None and 0 < _seconds(self.time) <= seconds:
            rule = f"must be longer than --signal-seconds {seconds}, or no time is left to work"
            raise InputError("time", self.time, rule, "Ask for more time.")

    def _check_array(self) -> None:
        if self.nodes > 1:
            rule = "must be 1 with --array, whose shards have a node each"
            raise InputError("nodes", self.nodes, rule, "Ask for more shards.")
        if self.gpus_per_node > 1:
            rule = "must be 0 or 1 with --array, since a shard uses one GPU"
            raise InputError("gpus_per_node", self.gpus_per_node, rule, "Ask for more shards.")

    @property
    def cpus(self) -> int | None:
        """CPUs of each worker or shard; None is all of the node."""
        if self.cpus_per_task is None and self.gpus_per_node:
            return GPU_CPUS
        return self.cpus_per_task


@dataclass(frozen=True)
class Work:
    """What the job is to do.

    Parameters
    ----------
    simulate
        The words of the command, without the options below; for shards without the trials, too.
    resume
        Options that ``simcore resume`` is to have as well.
    output
        The file to write.
    trials
        Trials in all; only shards need them.
    log
        File of ``--log-json``; "" is none.

    Raises
    ------
    InputError
        If a file has a name that no comment can hold.
    """

    simulate: tuple[str, ...]
    output: str
    resume: tuple[str, ...] = ()
    trials: int = 0
    log: str = ""

    def __post_init__(self) -> None:
        _check_line("output", self.output, "Name another file.")


def _directive(line: str) -> str:
    """Check a line of --sbatch and return it without ``#SBATCH``."""
    _check_line("sbatch", line, "Repeat --sbatch for another line.")
    text = line.removeprefix("#SBATCH").strip()
    name = re.split(r"[=\s]", text.lstrip("-"), maxsplit=1)[0]
    if not text.startswith("-") or not name:
        remedy = "Write it as --sbatch=--constraint=a100."
        raise InputError("sbatch", line, "must be an option of sbatch", remedy)
    if text.startswith("--") and name in OWN_DIRECTIVES:
        remedy = "Use the option of simcore slurm, or edit the script."
        raise InputError("sbatch", line, "is in the script already", remedy)
    return text


def _check_line(name: str, line: str, remedy: str) -> None:
    if not line.strip() or not line.isprintable():
        raise InputError(name, line, "must be one line of text", remedy)


def _seconds(time: str) -> int:
    """Return a time limit of Slurm in seconds: MM, MM:SS, HH:MM:SS, D-HH, D-HH:MM, D-HH:MM:SS."""
    match = TIME.fullmatch(time)
    assert match is not None
    days, *parts = match.groups()
    numbers = [int(part) for part in parts if part is not None]
    if days is not None:
        hours, minutes, seconds = [*numbers, 0, 0][:3]
        return ((int(days) * 24 + hours) * 60 + minutes) * 60 + seconds
    hours, minutes, seconds = {1: [0, *numbers, 0], 2: [0, *numbers], 3: numbers}[len(numbers)]
    return (hours * 60 + minutes) * 60 + seconds


# --- shards -------------------------------------------------------------------------------------


def shard_count(trials: int, array: int) -> int:
    """Return the number of shards: no more than there are blocks."""
    return min(array, _blocks(trials))


def _blocks(trials: int) -> int:
    return -(-trials // BLOCK)


def shard_spans(trials: int, shards: int) -> list[tuple[int, int]]:
    """Return the first trial of every shard, and one past its last; the script computes the same.

    All but the last end on a block.
    """
    borders = [_blocks(trials) * shard // shards * BLOCK for shard in range(shards)]
    return list(zip(borders, [*borders[1:], trials], strict=True))


def shard_names(output: str, shards: int) -> list[str]:
    """Return the files of all shards, beside the output."""
    before, after = _around_number(output, shards)
    return [f"{before}{shard}{after}" for shard in range(shards)]


def _around_number(path: str, shards: int) -> tuple[str, str]:
    """Return what comes before and after the number in the name of a shard's file.

    Their total is in the name, so that a script with another one never finds them.
    """
    whole = PurePath(path)
    return str(whole.with_name(f"{whole.stem}-shard-")), f"-of-{shards}{whole.suffix}"


def _with_number(path: str, shards: int, number: str) -> str:
    """Return the name of a shard's file as a word for Bash; `number` is a variable's name."""
    before, after = _around_number(path, shards)
    return f'{shlex.quote(before)}"${number}"{shlex.quote(after)}'


# --- directives ---------------------------------------------------------------------------------


def _directives(job: Job, name: str, log: str, asked: Iterable[str]) -> str:
    """Return the lines for Slurm; `asked` are those about nodes, tasks, CPUs and GPUs."""
    options = [f"--job-name={name}", *asked]
    for field in fields(job):
        if field.name in ("mem", "time", "partition", "account", "qos"):
            value = getattr(job, field.name)
            options += [] if value is None else [f"--{field.name}={value}"]
    options += ["--requeue", "--open-mode=append", f"--output={log}", *job.sbatch]
    return blocks.DIRECTIVES + "\n".join(f"#SBATCH {option}" for option in options)


def _task_directives(job: Job) -> list[str]:
    """Return how many tasks a node has, and what each of them gets."""
    gpus = job.gpus_per_node
    lines = [f"--nodes={job.nodes}", f"--ntasks-per-node={gpus or 1}"]
    lines += ["--exclusive"] if job.cpus is None else [f"--cpus-per-task={job.cpus}"]
    return lines + ([f"--gpus-per-node={gpus}"] if gpus else [])


def _setup(job: Job) -> str:
    return blocks.SETUP + "\n".join(job.setup)


# --- the two scripts ----------------------------------------------------------------------------


def dask_script(job: Job, work: Work) -> str:
    """Return the script of one job with a Dask scheduler, its workers and the run in it."""
    log = f" --log-json {shlex.quote(work.log)}" if work.log else ""
    scheduler = ' --scheduler "$scheduler_file"'
    asked = [*_task_directives(job), _signal(job)]
    return _joined(
        blocks.DASK_HEAD.format(nodes=job.nodes, output=work.output),
        _directives(job, job.job_name, f"{job.job_name}-%j.log", asked),
        _setup(job),
        f"output={shlex.quote(work.output)}\n"
        "scheduler_file=$output.scheduler-$SLURM_JOB_ID.json\n"
        f"dask_log={job.job_name}-$SLURM_JOB_ID.dask.log\n"
        "this_job=$SLURM_JOB_ID",
        _commands(work, log + scheduler),
        blocks.SIGNALS,
        blocks.SCHEDULER,
        _workers(job),
        blocks.RUN + blocks.RUN_WITH_WORKERS,
        blocks.AGAIN,
        blocks.CLOSE + blocks.EXIT,
    )


def _workers(job: Job) -> str:
    """Return the block that starts the workers."""
    step = ["srun --kill-on-bad-exit=0 --wait=0"]
    worker = 'dask worker --scheduler-file "$scheduler_file"'
    limits = "--memory-limit 0 --no-dashboard --death-timeout 60"
    if job.gpus_per_node:
        step += [f"--cpus-per-task={job.cpus} --gpus-per-task=1"]
        worker += " --nthreads 1 --resources GPU=1"
        text = blocks.WORKERS_GPU
    elif job.cpus is not None:
        step += [f"--cpus-per-task={job.cpus}"]
        worker += f" --nthreads {job.cpus}"
        text = blocks.WORKERS_CPU
    else:
        step += ["--cpu-bind=none"]
        text = blocks.WORKERS_NODE
    command = " \\\n    ".join([" ".join(step), worker, limits])
    return f'{text}{blocks.WORKERS}{command} >>"$dask_log" 2>&1 &\nworkers=$!'


def array_script(job: Job, work: Work) -> str:
    """Return the script that submits an array of shards, and their merge after it."""
    shards = shard_count(work.trials, job.array or 1)
    return _joined(
        blocks.ARRAY_HEAD.format(shards=shards, output=work.output),
        f"set -eu\noutput={shlex.quote(work.output)}\n{blocks.REFUSE}",
        blocks.SHARDS + _shard_job(job, work, shards) + blocks.END,
        blocks.MERGE + _merge_job(job, work, shards) + blocks.END,
        blocks.SUBMIT,
    )


def _shard_job(job: Job, work: Work, shards: int) -> str:
    """Return the batch script of a shard."""
    number = "SLURM_ARRAY_TASK_ID"
    options = ' --first-trial "$first" --trials "$((end - first))"'
    log = f" --log-json {_with_number(work.log, shards, number)}" if work.log else ""
    asked = [f"--array=0-{shards - 1}", *_task_directives(job), _signal(job)]
    return _joined(
        "#!/usr/bin/env bash",
        _directives(job, job.job_name, f"{job.job_name}-%A_%a.log", asked),
        _setup(job),
        f"output={_with_number(work.output, shards, number)}\n"
        "this_job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID\n"
        f"trials={work.trials} block={BLOCK} blocks={_blocks(work.trials)} shards={shards}",
        blocks.SPAN,
        _commands(work, log, only_start=options),
        blocks.SIGNALS,
        blocks.RUN + blocks.RUN_ALONE,
        blocks.AGAIN + blocks.EXIT,
    )


def _merge_job(job: Job, work: Work, shards: int) -> str:
    """Return the batch script of the merge."""
    name = f"{job.job_name}-merge"
    return _joined(
        "#!/usr/bin/env bash",
        _directives(job, name, f"{name}-%j.log", ["--nodes=1", "--ntasks=1"]),
        _setup(job),
        f"output={shlex.quote(work.output)}\n"
        f"shards=()\nfor ((i = 0; i < {shards}; i++)); do\n"
        f"    shards+=({_with_number(work.output, shards, 'i')})\ndone",
        blocks.MERGE_RUN,
    )


def _commands(work: Work, options: str, *, only_start: str = "") -> str:
    """Return the two commands, as arrays of Bash; `options` are ready for it."""
    resume = "".join(f" {shlex.quote(word)}" for word in work.resume)
    return (
        f"{blocks.COMMANDS}"
        f'start=({shlex.join(work.simulate)}{only_start}{options} -o "$output")\n'
        f'resume=(simcore resume "$output"{resume}{options})'
    )


def _signal(job: Job) -> str:
    return f"--signal=B:USR1@{job.signal_seconds}"


def _joined(*parts: str) -> str:
    return "\n\n".join(part.rstrip() for part in parts) + "\n"

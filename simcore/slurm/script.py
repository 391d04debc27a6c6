"""Scripts for Slurm: a job with a Dask cluster in it, or an array of shards and their merge.

The scripts are the templates beside this file: `dask.sh.j2` and `shard.sh.j2` fill the blocks of
`job.sh.j2`; `array.sh.j2` holds a shard and `merge.sh.j2`. This module checks what goes into them
and renders text: it runs nothing and looks nothing up.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path, PurePath

from simcore.errors import InputError
from simcore.statistics.blocks import BLOCK

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
"""Options that the script sets itself: a second line with one of them would silently win."""


@dataclass(frozen=True)
class Job:
    """A request to Slurm. InputError names field, value, rule and remedy.

    `nodes` is 1 with `array`, the number of shards, which have a node each; without it the job has
    a Dask cluster. Each of the `gpus_per_node` has a worker; with `array` there is at most one.
    `cpus_per_task` counts the CPUs of a worker or shard; None is `GPU_CPUS` with GPUs, and whole
    nodes without. Where `time`, `partition`, `account`, `qos` or `mem` is None, the site chooses.
    `signal_seconds` before the time limit the run is stopped and the job requeued. `sbatch` holds
    more directives, such as ``--constraint=a100``, and `setup` commands before the work.
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
            rule = f"must be longer than --signal-seconds {seconds}, or no time is left to compute"
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
        """CPUs of each worker or shard; None means the whole node."""
        if self.cpus_per_task is None and self.gpus_per_node:
            return GPU_CPUS
        return self.cpus_per_task


@dataclass(frozen=True)
class Work:
    """The work of a job.

    `simulate` holds the words of the command, without the options below, and for shards without the
    trials; `resume` the options for ``simcore resume``. Only shards need the total number of
    trials. `log` is the file of ``--log-json``, "" if there is none. InputError if the output has a
    name that no comment can hold.
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
    """Return the parts of the name of a shard's file before and after its number.

    The total number of shards is in the name, so that a script with another total never finds it.
    """
    whole = PurePath(path)
    return str(whole.with_name(f"{whole.stem}-shard-")), f"-of-{shards}{whole.suffix}"


def _with_number(path: str, shards: int, number: str) -> str:
    """Return the name of a shard's file as a word for Bash; `number` is a variable's name."""
    before, after = _around_number(path, shards)
    return f'{shlex.quote(before)}"${number}"{shlex.quote(after)}'


# --- the two scripts ----------------------------------------------------------------------------


def dask_script(job: Job, work: Work) -> str:
    """Return the script of one job with a Dask scheduler, its workers and the run in it."""
    return _rendered("dask.sh.j2", job, work)


def array_script(job: Job, work: Work) -> str:
    """Return the script that submits an array of shards, and their merge after it."""
    return _rendered("array.sh.j2", job, work, shards=shard_count(work.trials, job.array or 1))


def _rendered(template: str, job: Job, work: Work, shards: int = 0) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # the words of Bash are quoted by the filters below
    )
    environment.filters["words"] = shlex.join
    environment.filters["word"] = shlex.quote
    environment.filters["shard"] = lambda path, number: _with_number(path, shards, number)
    return environment.get_template(template).render(
        job=job, work=work, shards=shards, block=BLOCK, blocks=_blocks(work.trials)
    )

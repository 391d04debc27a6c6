"""Facts of a training file: configuration, progress, provenance, and the command to repeat it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simcore.files.header import provenance, version_text
from simcore.files.lock import writer

from .agenda import choose_rate, networks_in_all
from .store import FORMAT, results_of


def describe(file: Any, path: str | os.PathLike[str]) -> dict[str, Any]:
    """Describe an open training file by plain values (JSON can hold them).

    Networks that are trained include pilots; the writer is in words, if a process writes the file
    now.
    """
    results, complete = results_of(file, path)
    plan = results.plan
    choices = {name: choose_rate(plan.grid, results.pilots_of(name)) for name in plan.ensembles}
    first, second = (int(number) for number in file.attrs["format_version"])
    diverged = (results.diverged_step >= 0).sum(axis=1).tolist()
    return {
        "file": os.fspath(path),
        "bytes": Path(path).stat().st_size,
        "filetype": FORMAT.filetype,
        "format_version": version_text((first, second)),
        "complete": complete,
        "networks": results.networks(),
        "networks_in_all": networks_in_all(plan, results),
        "config_sha256": plan.digest(),
        "writer": writer(path),
        "config": plan.config(),
        "learning_rates": {name: choice.rate for name, choice in choices.items()},
        "diverged": dict(zip(plan.ensembles, diverged, strict=True)),
        "provenance": provenance(file),
    }


def repeating_command(config: Mapping[str, Any], output: str = "") -> str:
    """Return a command line of `simcore train` that trains the networks of a `Plan.config` again.

    Without `output` the command names the file itself.
    """
    words = ["simcore", "train", config["task"]]
    for name, value in config.items():
        if name != "task" and value is not None:
            words += [f"--{name.replace('_', '-')}", _typed(value)]
    return shlex.join(words + (["-o", output] if output else []))


def _typed(value: Any) -> str:
    """Return a value as it is typed, with all its digits."""
    if isinstance(value, list | tuple):
        return ",".join(_typed(x) for x in value)
    if isinstance(value, float):
        return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
    return str(value)

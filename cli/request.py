"""A run and the options of its execution, from the options as typed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simcore import api
from simcore.errors import InputError, spelled

from .config import Given, option_name
from .files import expanded, input_file
from .options import SIMULATE
from .values import (
    parse_bias_scale,
    parse_float,
    parse_floats,
    parse_integer,
    parse_integers,
    parse_profile,
    parse_weight_scale,
)

if TYPE_CHECKING:
    from simcore import Run

Reader = Callable[[str, str], Any]


@dataclass(frozen=True)
class Request:
    """A run and the options of its execution.

    Parameters
    ----------
    run
        The run.
    settings
        Threads, scheduler and checkpoints, as for `simcore.api.execute`.
    output
        The file that was named; None is the run's default name.
    flags
        Names of the flags that are on.
    log_json
        The file of the log; None is no log.
    read
        Names of the files that are read.
    notes
        Notes for the user.
    """

    run: Run
    settings: api.Settings
    output: Path | None
    flags: frozenset[str]
    log_json: Path | None = None
    read: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def quiet(self) -> bool:
        """True if nothing but errors is printed."""
        return "quiet" in self.flags

    @property
    def json(self) -> bool:
        """True if the result is printed as JSON."""
        return "json" in self.flags


def build_request(given: Given, *, here: bool = True) -> Request:
    """Read and check all options of `simulate`.

    Parameters
    ----------
    given
        The options.
    here
        Whether the run is for this machine, whose devices are then looked at; elsewhere the device
        ``auto`` is the CPU.

    Raises
    ------
    InputError
        Naming field, value, rule and remedy.
    """
    values = {"device": "auto", **_values(given, DESCRIPTION)}
    if "widths" in values:
        values["layer_widths"] = values.pop("widths")
    on = given.flags
    spec = api.RunSpec(**values, shared_network="shared_network" in on, gradients="gradients" in on)
    more = execution(given)
    plan = api.plan(spec, scheduler=more["settings"]["scheduler"], here=here)
    notes = tuple(spelled(note, option_name) for note in plan.notes())
    read = tuple(str(expanded(given.texts[name])) for name in READ if name in given.texts)
    return Request(run=plan.run, notes=notes, output=output_file(given), read=read, **more)


READ = ("inputs", "pairs", "config")
"""Options that may name a file to read."""


def execution(given: Given) -> dict[str, Any]:
    """Return the arguments of `Request` about the execution.

    Raises
    ------
    InputError
        Naming field, value, rule and remedy.
    """
    return {
        "settings": api.settings(**_values(given, EXECUTION)),
        "log_json": output_file(given, "log_json"),
        "flags": given.flags,
    }


def _values(given: Given, readers: Mapping[str, Reader]) -> dict[str, Any]:
    texts = given.texts
    return {name: read(name, texts[name]) for name, read in readers.items() if name in texts}


def output_file(given: Given, name: str = "output") -> Path | None:
    """Return the file that an option names; None if it was left out."""
    if given.texts.get(name) == "":
        raise InputError(name, "''", "is empty", "Name a file, or leave it out.")
    return expanded(given.texts[name]) if name in given.texts else None


def _text(_: str, text: str) -> str:
    return text


def _file(_: str, text: str) -> str:
    return input_file(text) or ""


def _number_or_file(field: str, text: str) -> int | str:
    """Read a number of pairs, or the name of the file that lists them."""
    try:
        return parse_integer(field, text)
    except InputError:
        if Path(text.partition(":")[0]).suffix[1:].isalnum() and not _is_float(text):
            return _file(field, text)
        raise


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


DESCRIPTION: dict[str, Reader] = {
    **dict.fromkeys(("depth", "trials", "first_trial", "seed", "keep", "bins"), parse_integer),
    **dict.fromkeys(("negative_slope", "correlation", "distance", "q0"), parse_floats),
    **{name: _text for name, option in SIMULATE.items() if option.metavar == "NAME"},
    "inputs": _file,
    "width": parse_integers,
    "widths": parse_profile,
    "k": partial(parse_floats, infinite=True),
    "sigma_w": parse_weight_scale,
    "sigma_b": parse_bias_scale,
    "until_stderr": _text,
    "pairs": _number_or_file,
}
EXECUTION: dict[str, Reader] = {
    "threads": parse_integer,
    "checkpoint": parse_float,
    "scheduler": _file,
}
"""Readers of the options that describe a run, and of those about its execution."""

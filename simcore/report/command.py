"""The command that repeats a run, from its configuration."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from simcore.physics.ensembles import WITHOUT_K
from simcore.runs.limits import DEFAULTS

OPTIONS = (
    *("width", "layer_widths", "depth", "ensemble", "k", "sigma_w", "sigma_b", "weights"),
    *("slopes", "negative_slope"),
    *("correlation", "distance", "q0", "inputs", "shared_network", "pairs"),
    *("trials", "first_trial", "keep", "bins", "until_stderr", "gradients", "seed", "sampler"),
)
"""Entries of a configuration that are options of `simulate`, in the order of the command."""

LEFT_OUT: dict[str, Any] = {
    "sigma_b": [0.0],
    "weights": "normal",
    "q0": [DEFAULTS.q0],
    "first_trial": 0,
    "keep": DEFAULTS.keep,
    "bins": DEFAULTS.bins,
}
"""Values that `simulate` takes by itself."""


def repeating_command(config: Mapping[str, Any], output: str = "") -> str:
    """Return a command line of `simulate` that gives the same numbers as a run of `Run.config`.

    Inputs from a file are named FILE, since only their digest is known. Without `output` the file's
    name is left to `simulate`.
    """
    values = dict(config)
    absent = {"width"} if config["layer_widths"] is not None else set()
    absent |= {"k"} if config["ensemble"] in WITHOUT_K else set()
    if config["inputs"] is not None:
        values["inputs"] = "FILE"
        absent |= {"correlation", "distance", "q0", "shared_network"}
    elif not config["shared_network"]:
        absent |= {"shared_network", "pairs"}
    words = ["simulate"]
    for name in OPTIONS:
        value = values.get(name)
        if name in absent or value is None or value == LEFT_OUT.get(name):
            continue
        option = "widths" if name == "layer_widths" else name.replace("_", "-")
        words += [f"--{option}"] if value is True else [f"--{option}", _text(name, value)]
    return shlex.join(words + (["-o", output] if output else []))


def _text(name: str, value: Any) -> str:
    if name == "layer_widths":
        return _profile(value)
    return ",".join(map(_number, value)) if isinstance(value, list | tuple) else _number(value)


def _number(value: float | str) -> str:
    """Return a number as it is typed, with all its digits."""
    if isinstance(value, str | int):
        return str(value)
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def _profile(widths: Iterable[int]) -> str:
    """Return widths of layers as 784,512x9."""
    runs = [(width, len(list(same))) for width, same in itertools.groupby(widths)]
    return ",".join(str(width) if count == 1 else f"{width}x{count}" for width, count in runs)

"""The command that repeats a run, from its configuration."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from simcore.physics.ensembles import WITHOUT_K
from simcore.runs.limits import DEFAULTS

__all__ = ["repeating_command"]


def repeating_command(config: Mapping[str, Any], output: str = "") -> str:
    """Return a command line of `simulate` that gives the same numbers.

    Parameters
    ----------
    config
        `Run.config`. Inputs from a file are named FILE, since only their digest is known.
    output
        Name of the file to write; "" leaves it to `simulate`.
    """
    words = ["simulate", *_network(config), *_signals(config), *_statistics(config)]
    return shlex.join(words + (["-o", output] if output else []))


def _network(config: Mapping[str, Any]) -> list[str]:
    if config["layer_widths"] is None:
        words = ["--width", _listed(config["width"])]
    else:
        words = ["--widths", _profile(config["layer_widths"])]
    words += ["--depth", str(config["depth"]), "--ensemble", config["ensemble"]]
    if config["ensemble"] not in WITHOUT_K:
        words += ["--k", _listed(config["k"])]
    if config["sigma_w"] is not None:
        words += ["--sigma-w", _listed(config["sigma_w"])]
    if config["sigma_b"] is not None and config["sigma_b"] != [0.0]:
        words += ["--sigma-b", _listed(config["sigma_b"])]
    if config["weights"] != "normal":
        words += ["--weights", config["weights"]]
    return words


def _signals(config: Mapping[str, Any]) -> list[str]:
    if config["inputs"] is not None:
        return ["--inputs", "FILE", "--pairs", str(config["pairs"])]
    words = []
    for name in ("correlation", "distance"):
        if config[name] is not None:
            words += [f"--{name}", _listed(config[name])]
    if config["q0"] != [DEFAULTS.q0]:
        words += ["--q0", _listed(config["q0"])]
    if config["shared_network"]:
        words += ["--shared-network", "--pairs", str(config["pairs"])]
    return words


def _statistics(config: Mapping[str, Any]) -> list[str]:
    words = ["--trials", str(config["trials"])]
    defaults = {"first_trial": 0, "keep": DEFAULTS.keep, "bins": DEFAULTS.bins}
    for name, usual in defaults.items():
        if config[name] != usual:
            words += [f"--{name.replace('_', '-')}", str(config[name])]
    if config.get("until_stderr") is not None:
        words += ["--until-stderr", _number(config["until_stderr"])]
    return [*words, "--seed", str(config["seed"]), "--sampler", config["sampler"]]


def _number(value: float | str) -> str:
    """Return a number as it is typed, with all its digits."""
    if isinstance(value, str):
        return value
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def _listed(values: Iterable[float | str] | str) -> str:
    return values if isinstance(values, str) else ",".join(_number(x) for x in values)


def _profile(widths: Iterable[int]) -> str:
    """Return widths of layers as 784,512x9."""
    runs = [(width, len(list(same))) for width, same in itertools.groupby(widths)]
    return ",".join(str(width) if count == 1 else f"{width}x{count}" for width, count in runs)

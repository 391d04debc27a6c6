"""What a run may be: its defaults, its limits, and the checks that name what breaks a rule."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simcore.errors import InputError
from simcore.physics.ensembles import ASYMMETRIC, CRITICAL, ENSEMBLES, WITHOUT_K
from simcore.physics.parameters import (
    SCALE_LIMITS,
    check_choice,
    check_integer,
    check_scale,
    correlation_strength,
    shown,
)
from simcore.statistics.blocks import BLOCK

if TYPE_CHECKING:
    from .run import Run

__all__ = [
    "DEFAULTS",
    "Defaults",
    "check_grid",
    "check_profile",
    "check_run",
    "multiplies",
]

MAX_WIDTH = 2**25
"""Nodes of a layer: 24 bits of node groups in the counter, two nodes to a group."""

MAX_ASYMMETRIC_WIDTH = 2**24
"""… and one where a node has a group to itself, in the pair sampler of asymmetric weights."""

MAX_DEPTH = 2**24 - 1
"""Layers: 24 bits in the counter, counted from 1."""

MAX_TRIALS = 2**40
"""Number of a point's last trial: 40 bits in the counter."""

MAX_RUN_TRIALS = 2**32 - 1
"""Trials in one run: the histograms count in uint32."""

MAX_SEED = 2**64 - 1
MAX_POINTS = 100_000
"""Points of a grid: each holds its statistics in memory."""

MAX_PAIRS = 4096
"""Pairs through one network: each has its own statistics."""

MAX_INPUTS = 2**22
"""Inputs through one network, and components of an input."""

SAMPLERS = ("gram", "dense")
DEVICES = ("cpu", "cuda")


@dataclass(frozen=True)
class Defaults:
    """The public defaults of a run."""

    ensemble: str = "he"
    correlation: float = 0.5
    q0: float = 1.0
    trials: int = 1000
    most_trials: int = 10**6
    """… of a run that ends at a standard error."""
    seed: int = 0
    keep: int = 100
    bins: int = 62
    levels: tuple[float, ...] = (0.025, 0.16, 0.5, 0.84, 0.975)
    checkpoint: float = 30.0


DEFAULTS = Defaults()


def check_run(run: Run) -> None:
    """Raise InputError, naming field, value, rule and remedy, if a value breaks a rule."""
    check_choice("ensemble", run.ensemble, ENSEMBLES)
    check_choice("sampler", run.sampler, (*SAMPLERS, "auto"))
    if run.weights != "normal" and run.sampler == "gram":
        rule = f"draws layers from the law of normal weights, not of {run.weights} ones"
        raise InputError("sampler", "gram", rule, "Use the sampler dense, or auto.")
    check_choice("device", run.device, DEVICES)
    check_integer("depth", run.depth, 1, MAX_DEPTH)
    check_integer("trials", run.trials, 1, MAX_RUN_TRIALS)
    check_integer("first_trial", run.first_trial, 0, MAX_TRIALS - run.trials)
    check_integer("seed", run.seed, 0, MAX_SEED)
    check_integer("keep", run.keep, 0, MAX_TRIALS)
    check_integer("bins", run.bins, 1, 2**16)
    if run.first_trial % BLOCK:
        raise InputError(
            "first_trial",
            run.first_trial,
            f"must be a multiple of {BLOCK}, a block of trials",
            f"Use {run.first_trial // BLOCK * BLOCK}.",
        )
    _check_target(run)
    check_profile(run)
    _check_ensemble(run)
    _check_inputs(run)


def multiplies(run: Run) -> bool:
    """Return whether a run's layers are products of matrices: batches, and explicit weights."""
    return run.shared or run.sampler == "dense" or run.weights != "normal"


def _check_target(run: Run) -> None:
    target = run.until_stderr
    if target is None:
        return
    if not 0.0 < target < 1.0:
        rule = "must be a number between 0 and 1"
        remedy = "Give the standard error that the mean correlation is to reach."
        raise InputError("until_stderr", target, rule, remedy)
    if run.first_trial:
        rule = "excludes first_trial: a piece of a run does not know the error of the whole"
        raise InputError("until_stderr", target, rule, "Leave one of them out.")


def check_grid(run: Run) -> None:
    """Raise InputError if a run has too many points."""
    points = math.prod(len(values) for values in run.axes.values())
    if points > MAX_POINTS:
        raise InputError(
            "grid", f"{points} points", f"must have at most {MAX_POINTS}", "Split the grid."
        )


def check_profile(run: Run) -> None:
    """Raise InputError unless there are widths, or one for each layer."""
    if run.layer_widths is None:
        if not run.width:
            raise InputError("width", "none", "is missing", "Give the nodes of a layer: 4096.")
        for value in run.width:
            check_integer("width", value, 1, MAX_WIDTH)
        return
    if run.width:
        raise InputError(
            "widths", "and width", "exclude each other", "Give one width, or one per layer."
        )
    for value in run.layer_widths:
        check_integer("widths", value, 1, MAX_WIDTH)
    if len(run.layer_widths) != run.depth:
        raise InputError(
            "widths",
            f"{len(run.layer_widths)} layers",
            f"must name a width for each of the {run.depth} layers",
            f"Repeat a width as in 512x{run.depth}, or change the depth.",
        )


def _check_ensemble(run: Run) -> None:
    for k in run.k:
        correlation_strength(k)
    if run.ensemble in WITHOUT_K and run.k != (0.0,):
        other = "correlated" if run.ensemble == "he" else "raai"
        raise InputError(
            "k",
            shown(run.k),
            f"must be 0 for the ensemble {run.ensemble}",
            f"Leave k out, or name the ensemble {other}.",
        )
    if isinstance(run.sigma_w, str):
        check_choice("sigma_w", run.sigma_w, (CRITICAL,))
    else:
        for value in run.sigma_w or ():
            check_scale("sigma_w", value, positive=True)
    for value in run.sigma_b or ():
        check_scale("sigma_b", value, positive=False)
    if run.ensemble in ASYMMETRIC and run.sampler != "dense" and not run.shared:
        for value in run.layer_widths or run.width:
            check_integer("width", value, 1, MAX_ASYMMETRIC_WIDTH)


def _check_inputs(run: Run) -> None:
    if run.correlation is not None and run.distance is not None:
        raise InputError(
            "correlation",
            shown(run.correlation),
            "excludes distance, which is 1 - correlation",
            "Give one of the two.",
        )
    _check_shared(run)
    for c in run.correlation or ():
        if not -1.0 <= c <= 1.0:
            raise InputError(
                "correlation", c, "must be between -1 and 1", "Give the overlap of the pair."
            )
    for d in run.distance or ():
        if not (d == 0.0 or 1e-280 <= d <= 2.0):
            raise InputError(
                "distance",
                d,
                "must be 0, or between 1e-280 and 2",
                "Give 1 - c0, where c0 is the overlap of the pair.",
            )
    for q in run.q0:
        low, high = SCALE_LIMITS
        if not low <= q <= high:
            raise InputError(
                "q0", q, f"must be between {low:g} and {high:g}", "Give |x|^2/N of an input."
            )
    _check_levels(run)


def _check_shared(run: Run) -> None:
    if run.pairs is not None:
        if not run.shared:
            rule = "goes with several pairs through one network"
            raise InputError("pairs", run.pairs, rule, "Add shared_network, or inputs.")
        check_integer("pairs", run.pairs, 1, MAX_PAIRS)
    overlaps = run.correlation or run.distance or ()
    if run.inputs is None and run.shared and len(overlaps) != run.pairs:
        rule = f"must name one overlap, or one for each of the {run.pairs} pairs"
        name = "distance" if run.correlation is None else "correlation"
        raise InputError(name, shown(overlaps[:8]), rule, "Change it, or the number of pairs.")
    if run.inputs is not None:
        check_integer("inputs", run.inputs.count, 2, MAX_INPUTS)
        check_integer("inputs", run.inputs.size, 1, MAX_INPUTS)
        for name in ("correlation", "distance"):
            if getattr(run, name) is not None:
                rule = "is a property of the inputs, which come from a file"
                raise InputError(name, shown(getattr(run, name)), rule, "Leave it out.")
        if run.q0 != (DEFAULTS.q0,):
            rule = "is a property of the inputs, which come from a file"
            raise InputError("q0", shown(run.q0), rule, "Leave it out.")


def _check_levels(run: Run) -> None:
    for level in run.levels:
        if not 0.0 < level < 1.0:
            raise InputError("levels", level, "must be inside 0 ... 1", "Give 0.5, say.")

"""How many trials a point needs: the error that decides, and the number that would reach a target.

A stopping rule biases what it looks at. An error estimated from trials of c is too small, and the
mean too near 1, where no trial with a large 1 − c has come yet; a point that ends for that reason
keeps the bias. So where 1 − c is small and its law skewed, the law of ln(1 − c) decides, whose mean
and variance depend little on single trials (docs/long-runs.md has the figures).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from simcore.numerics.arithmetic import exp_below_0
from simcore.physics.observables import CONTROL, HAZARDS, MEASURED_BY, NEAR_ONE
from simcore.runs.run import Run
from simcore.statistics.blocks import BLOCK
from simcore.statistics.moments import Floats, Moments, standard_errors

PILOT = 256
"""Trials from which the number that is needed is computed for the first time."""

LEAST_STEP = 16
"""A further number of trials is larger by one part in so many, at least."""

NO_VALUES = "some layer has fewer than two networks with a value"

MOST = 2**32 - BLOCK
"""Largest number of trials that is asked for: whole blocks, in the range of `trials`."""

NEAR = 1e-2
"""Mean of 1 − c below which ln(1 − c) decides …"""

SPREAD = 4.0
"""… up to this variance of ln(1 − c); beyond it is far from normal, since 1 − c is at most 2."""

LOWEST = -700.0
"""Least argument of `exp_below_0`; smaller errors than e^-700 decide nothing."""

OF_DISTANCE = ("correlation", "distance")
OF_NETWORKS = ("dead_network1", "dead_network2", "dead_network_both", "dead_network_all")
"""Observables that are 0 or 1 for a network."""


def deciding_error(run: Run, moments: Moments, observable: str) -> float:
    """Return the standard error that decides: the largest over layers, and pairs or rates.

    It is that of means with control variates where a point has them, whose law is nearly normal.
    (That of hazards is not: a few networks may have most of the probability.)
    Infinite where fewer than two trials have a value, which more trials may change; NaN where
    values have left the range of float64, which none will.
    """
    if observable in run.columns.controlled and observable not in HAZARDS:
        every = standard_errors(moments)[1]
        errors = every[:, run.columns.of(observable + CONTROL)]
        if observable == "correlation":
            finer = run.columns.of("distance" + CONTROL)
            errors = np.where(moments.mean[:, finer] < NEAR_ONE, every[:, finer], errors)
        if not np.isnan(errors).any():
            return float(errors.max())
    own = run.columns.of(observable)
    count = moments.count[:, own]
    if (
        observable in MEASURED_BY
        and (count < moments.count[:, run.columns.of(MEASURED_BY[observable])]).any()
    ):
        return math.nan
    errors = standard_errors(moments)[1][:, own]
    if observable == "correlation":
        own_distance = run.columns.of("distance")
        near = moments.mean[:, own_distance] < NEAR_ONE
        near &= moments.count[:, own_distance] == count
        errors = np.where(near, standard_errors(moments)[1][:, own_distance], errors)
    if observable in OF_DISTANCE:
        errors = _of_logarithm(run, moments, errors)
    if observable in OF_NETWORKS:
        # One network of each kind more: where all are alike their share has an error, too.
        share = (count * moments.mean[:, own] + 1.0) / (count + 2.0)
        errors = np.sqrt(share * (1.0 - share) / count)
    return math.inf if np.isnan(errors).any() else float(errors.max())


def outlook(run: Run, wanted: Sequence[int], silent: int) -> str | None:
    """Return in words how many trials the points need that have too few; None if there is none.

    `wanted` is what the pilots of these points say; those of `silent` more say nothing.
    """
    target = run.target
    if target is None or not (wanted or silent):
        return None
    if not wanted:
        return (
            f"a standard error of {target} may be out of reach: {NO_VALUES} after {PILOT} networks."
        )
    least, most = min(wanted), max(wanted)
    trials = f"{least}" if least == most else f"{least} to {most}"
    points = f" at {len(wanted)} of {len(run.points)} points" if len(run.points) > 1 else ""
    text = f"a standard error of {target} needs about {trials} networks{points}"
    if most > run.trials:
        error = target.error * math.sqrt(most / run.trials)
        text += f"; with {run.trials}, the most it may have, it will be about {error:.2g}"
    return f"{text}."


def _of_logarithm(run: Run, moments: Moments, errors: Floats) -> Floats:
    """Replace errors of c where it is near 1 by those that a normal law of ln(1 − c) has."""
    own = run.columns.of("log_distance")
    count, mean, m2 = (values[:, own] for values in moments[:3])
    every = moments.count[:, run.columns.of("correlation")]
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = m2 / (count - 1.0)
    correlation = moments.mean[:, run.columns.of("correlation")]
    # A trial without ln(1 − c) has c = 1, exactly.
    apt = (1.0 - correlation < NEAR) & (variance < SPREAD) & (count == every) & (count > 1.0)
    law = errors.copy()
    if apt.any():
        m, v = mean[apt], variance[apt]
        law[apt] = _exp(m + v / 2.0) * np.sqrt((1.0 / _exp(-v) - 1.0) / count[apt])
    return law


def _exp(x: Floats) -> Floats:
    """Return e^x, x ≤ 0, with the same bytes on every machine: it decides where a point ends."""
    return np.array([exp_below_0(max(value, LOWEST)) for value in x.tolist()])


def needed(trials: int, error: float, target: float) -> int:
    """Return the number of trials, in whole blocks, that a target needs.

    After `trials` the error, which falls like one over the root of their number, is `error`, above
    the target. Twice as many where it is infinite, and cannot tell.
    """
    if math.isinf(error):
        return min(2 * trials, MOST)
    ratio = error / target
    wanted = trials * max(ratio * ratio, 1.0 + 1.0 / LEAST_STEP)
    return min(math.ceil(wanted / BLOCK) * BLOCK if wanted < MOST else MOST, MOST)

"""Effects of finite width: the approach to mean field, exact means, the death of networks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache, partial

import numpy as np
import numpy.typing as npt
from scipy import stats
from simcore.cli.numbers import with_error

from simcore.execution.execute import execute
from simcore.physics.observables import column
from simcore.physics.parameters import correlation_strength
from simcore.runs.run import Run
from simcore.statistics.moments import Moments
from simcore.theory import trajectory
from tests.verify.check import Check, Effort, Outcome

__all__ = ["CHECKS", "WRONG"]

Floats = npt.NDArray[np.float64]

SIGMAS = 4.0
"""Tolerance of a single comparison in standard errors."""


def chance(sigmas: float, comparisons: int = 1) -> float:
    """Upper bound of the probability that one of some normal variables is as far from its mean."""
    return float(comparisons * 2.0 * stats.norm.sf(sigmas))


@cache
def moments_of(run: Run) -> Moments:
    """Return the moments of the first point; wrong laws share them with what is right."""
    moments = execute(run, threads=2).points[0].published()
    assert moments is not None
    return moments


def means_and_errors(run: Run, *names: str) -> Iterator[tuple[Floats, Floats]]:
    """Yield mean and standard error of observables of the first point, per layer."""
    moments = moments_of(run)
    for i in map(column, names):
        n = moments.count[:, i]
        yield moments.mean[:, i], np.sqrt(moments.m2[:, i] / (n - 1.0) / n)


def _largest_z(z: Floats, bound: float) -> Outcome:
    largest = float(np.max(np.abs(z)))
    return Outcome(f"|z| = {largest:.2g}, the largest of {z.size}", largest < bound)


# --- the approach to mean field -------------------------------------------------------------------

SLOPE_REMAINDER = 0.05
"""Terms of order 1/N² change the slope by at most this: N times the deviation is constant within
3 % of its value from N = 64 on."""


def approach(effort: Effort, *, slope: float) -> Outcome:
    """Slope of ln|deviation| against ln N: k = 1, layer 12, N = 2⁶ … 2¹⁰.

    With the small number of networks the deviation is 16 standard errors at 2⁶ and 4 at 2¹⁰.
    """
    depth = 12
    expected = trajectory(depth, k=1.0, correlation=0.5).correlation[-1]
    widths = 2 ** np.arange(6, 11)
    deviations, errors = [], []
    for width in widths.tolist():
        run = Run(
            depth=depth,
            width=(width,),
            k=(1.0,),
            ensemble="correlated",
            trials=effort.of(65536),
            keep=0,
            seed=effort.seed - 1,
        )
        ((mean, error),) = means_and_errors(run, "correlation")
        deviations.append(mean[-1] - expected)
        errors.append(error[-1])
    relative = np.array(errors) / np.array(deviations)
    if relative.min() <= 0.0 or relative.max() >= 1.0 / 3.0:
        return Outcome("a deviation is below three standard errors", False)
    fit, covariance = np.polyfit(
        np.log(widths), np.log(deviations), 1, w=1.0 / relative, cov="unscaled"
    )
    fitted, uncertainty = float(fit[0]), math.sqrt(covariance[0, 0])
    holds = abs(fitted - slope) < SLOPE_REMAINDER + SIGMAS * uncertainty
    return Outcome(f"slope {with_error(fitted, uncertainty)}", holds)


def approach_check(slope: float, name: str) -> Check:
    return Check(
        name=name,
        source="mean field plus a term of order 1/N, theory.md 4 and 5",
        bound=f"{slope:g} +- ({SLOPE_REMAINDER} + {SIGMAS:g} errors)",
        false_alarm=chance(SIGMAS),
        measure=partial(approach, slope=slope),
    )


# --- exact means ----------------------------------------------------------------------------------


def mean_q(effort: Effort, *, width: int, k: float, sigma_b: float, factor: float) -> Outcome:
    """z-scores of the means of q₁ and q₂ in six layers, from the exact recursion times a factor."""
    depth, sigma_w = 6, 1.3
    run = Run(
        depth=depth,
        width=(width,),
        ensemble="correlated",
        k=(k,),
        sigma_w=(sigma_w,),
        sigma_b=(sigma_b,),
        trials=effort.of(64 * 600),
        keep=0,
        seed=effort.seed - 1,
    )
    g = correlation_strength(k)
    rate = 0.5 - g / (2 * math.pi) - (g / width) * (0.5 - 1 / (2 * math.pi))
    expected = [sigma_w**2 + sigma_b**2]
    while len(expected) < depth:
        expected.append(sigma_w**2 * rate * expected[-1] + sigma_b**2)
    exact = np.multiply(expected, factor)
    z = [(mean - exact) / error for mean, error in means_and_errors(run, "q1", "q2")]
    return _largest_z(np.array(z), SIGMAS)


def mean_q_checks(factor: float) -> Iterator[Check]:
    for width in (5, 16):
        for k in (-0.5, 0.0, 1.0, math.inf):
            for sigma_b in (0.0, 0.5):
                case = f"width/mean of q N={width} k={k:g} sigma_b={sigma_b:g}"
                yield Check(
                    name=case if factor == 1.0 else f"{case}: times {factor:g}",
                    source="theory.md 4, last equation",
                    bound=f"|z| < {SIGMAS:g}",
                    false_alarm=chance(SIGMAS, 12),
                    measure=partial(mean_q, width=width, k=k, sigma_b=sigma_b, factor=factor),
                )


# --- dead networks --------------------------------------------------------------------------------

DEATH_SIGMAS = 3.0


def death(effort: Effort, *, k: float, sigma_b: float, layers: int) -> Outcome:
    """Share of networks that are dead for a signal, against 1 − (1 − 2⁻³)ᴸ: N = 3, L = 20."""
    trials = effort.of(10**5)
    run = Run(
        depth=20,
        width=(3,),
        ensemble="correlated",
        k=(k,),
        sigma_b=(sigma_b,),
        trials=trials,
        keep=0,
        seed=effort.seed - 1,
    )
    moments = moments_of(run)
    expected = 1.0 - (1.0 - 2.0**-3) ** layers
    error = math.sqrt(expected * (1.0 - expected) / trials)
    means = [moments.mean[-1, column(name)] for name in ("dead_network1", "dead_network2")]
    both = moments.mean[:, column("dead_network_both")]
    if np.any(np.diff(both) < 0.0) or not 0.0 < both[0] < both[-1] < expected:
        return Outcome("the share of networks that are dead for both signals is impossible", False)
    return _largest_z((np.array(means) - expected) / error, DEATH_SIGMAS)


def death_checks(layers: int, wrong: str = "") -> Iterator[Check]:
    for k, sigma_b in ((0.0, 0.0), (3.0, 0.3)):
        yield Check(
            name=f"width/dead networks k={k:g} sigma_b={sigma_b:g}{wrong}",
            source="theory.md 4, dead layers",
            bound=f"|z| < {DEATH_SIGMAS:g}",
            false_alarm=chance(DEATH_SIGMAS, 2),
            measure=partial(death, k=k, sigma_b=sigma_b, layers=layers),
        )


CHECKS = [
    approach_check(-1.0, "width/approach to mean field"),
    *mean_q_checks(1.0),
    *death_checks(20),
]
WRONG = [
    approach_check(-0.5, "width/approach to mean field: like 1 over the root of N"),
    *mean_q_checks(1.05),
    *death_checks(21, ": one layer more"),
]

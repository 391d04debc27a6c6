"""One test of many layers: how improbable the largest of their z-scores is where theory holds.

Layers of one network are correlated, so their z-scores are not so many independent tests. The
verdict on an observable is one test: the largest |z| of the layers whose covariance is stored, and
the probability of so large a one where theory holds. The z-scores of neighbouring layers form a
chain, for which Hunter's and Worsley's bound,

    P(max |z_i| > c) <= P(|z_1| > c) + sum over i > 1 of P(|z_i| > c and |z_(i-1)| <= c),

is nearly sharp. It needs the correlations of neighbours only, and unlike Hotelling's T² it is
well-behaved with few trials, and does not spend its power on combinations of layers in which
finite width does not show. Where trials are few the correlations are shrunk towards 0 as Schäfer
and Strimmer (2005) say, which can only raise that probability.

Where the law over trials is skewed, as that of the correlation is late in the ordered phase, so is
a z, by about (skewness)/√trials. Hall's transformation (1992) takes that out, with the skewness of
the stored histogram (which counts what lies in an open bin at its edge). From 64 trials on false
alarms are nominal (`python -m tests.verify "false alarms"`), or at most twice as many where the law
is very skewed (k = -0.5, L/N = 0.23); with 8 trials they are up to eight times as many for the
correlation and four times for ln(1 − c), and the words say so. What control variates leave of ln q
has a skewness that no file keeps. With it 2 to 3 % of the verdicts at 1 % were false with 64 to 256
networks, 1.5 % with 1,000, so that `compare` multiplies p-values of fewer networks by 3.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_NODES = 64
"""Nodes of the quadrature over the tail of a normal law; 1e-8 of a probability is left."""


def joint_test(largest: float, correlation: Floats, trials: int) -> float:
    """Return the probability of so large a max |z| of correlated layers where theory holds.

    `correlation` is that of each layer with the one before, shape (layers − 1,); a z is Student's t
    with trials − 1 degrees of freedom. The result is Hunter's and Worsley's upper bound, at most 1;
    0 where it is below the range of float64.
    """
    from scipy.special import ndtr, ndtri, stdtr

    tail = float(stdtr(trials - 1, -largest))
    if not tail > 0.0:
        return 0.0
    # The joint law is taken as that of normals with the same tail.
    limit = -float(ndtri(tail))
    nodes, weights = _quadrature()
    beyond = -ndtri(tail * 0.5 * (nodes + 1.0))[:, np.newaxis]
    inside = np.sqrt(np.maximum(1.0 - correlation**2, np.finfo(np.float64).tiny))
    within = ndtr((limit - correlation * beyond) / inside)
    within -= ndtr((-limit - correlation * beyond) / inside)
    p_value = 2.0 * tail * (1.0 + float((0.5 * weights @ within).sum()))
    if math.isnan(p_value):
        raise ValueError("a correlation between layers is not defined")
    return min(1.0, p_value)


@cache
def _quadrature() -> tuple[Floats, Floats]:
    return np.polynomial.legendre.leggauss(_NODES)


def critical_value(false_alarm: float, correlation: Floats, trials: int) -> float:
    """Return the max |z| that has the probability `false_alarm`, the inverse of `joint_test`."""
    from scipy.optimize import brentq
    from scipy.special import stdtrit

    low = -float(stdtrit(trials - 1, 0.5 * false_alarm))
    high = -float(stdtrit(trials - 1, 0.5 * false_alarm / (len(correlation) + 1)))

    def excess(limit: float) -> float:
        return math.log(joint_test(limit, correlation, trials) / false_alarm)

    # Layers that are all equal, or only one, have the limits of Student's law.
    if not excess(low) > 1e-6:
        return low
    return float(brentq(excess, low, high, xtol=1e-3)) if excess(high) < 0.0 else high


def shrunk(correlation: Floats, trials: int) -> Floats:
    """Return correlations of neighbouring layers shrunk towards 0, which few trials need.

    Of the sample correlations r of any layers with each other, shape (layer, layer), those next to
    the diagonal, shape (layer − 1,), times 1 − Σ Var(r)/Σ r² with Var(r) = (1 − r²)²/(trials − 1)
    (Schäfer and Strimmer 2005).
    """
    all_of_them = correlation[np.triu_indices(len(correlation), 1)]
    square = float((all_of_them**2).sum())
    noise = float(((1.0 - all_of_them**2) ** 2).sum()) / (trials - 1)
    kept = max(0.0, 1.0 - noise / square) if square > 0.0 else 0.0
    return kept * np.diagonal(correlation, 1)


def symmetric(z: Floats, skewness: Floats, trials: int) -> Floats:
    """Return z-scores without the skewness that few skewed trials give them (Hall 1992).

    `skewness` is that of single trials, in the shape of `z`.
    """
    slant: Floats = skewness / (6.0 * math.sqrt(trials))
    return z + slant * (1.0 + 2.0 * z**2) + 4.0 / 3.0 * slant**2 * z**3

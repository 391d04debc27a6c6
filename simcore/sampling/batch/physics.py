"""Batches: columns of signals through one network, and the scalars of their law.

The signals are columns, each an array over nodes: E explicit inputs, then P residuals. With x and y
the activations of the two inputs of a pair, its residual is r = κx − y, where κ is the regression
coefficient of the next layer's pre-activations; κ and ρ = 1 − κ are carried, ρ never subtracted.
With weights w and bias b a node has u = w·x + b and s = κu − v = w·r − ρb, both linear in the
weights, so that a batch is sampled as theory.md 2 says. r keeps the angle of a pair however small
it is, also where two lengths differ for ever (x − y would not).

Every column has a unit of its own, 2^power, so that neither depth without bias nor small angles
leave the range of float64; the powers are exact.

Ties: Rademacher and Bernoulli weights without bias have pre-activations that are exactly 0, where
terms cancel or none is left. Rounding would leave 1e-15 of the terms, and half of these nodes would
count as active (`tie_bound`).

Rounding: a residual of less than 1e-14 of the numbers it is the difference of counts as zero: the
signals are exactly parallel, and their distance is 0 (or 2). Likewise an input is constant, and
zero for weights that sum to zero, where less than 1e-14 of it is left without its mean.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simcore.numerics.kernels import njit
from simcore.numerics.rng import split_key
from simcore.physics.weight_laws import BERNOULLI, RADEMACHER, parse_weights
from simcore.runs.grid import Point

RANGE = 2.0**80
"""A column's sum of squares stays between this and its inverse."""

MOST_COTANGENT = 1e300
"""Bound of κ in units of the residual, against 0·∞."""

TIE = 2.0**-40
"""Share of the sum of the sizes of its terms below which a pre-activation is a tie.

Over 60 layers of 3 to 16 nodes ties leave less than 2⁻⁴⁹, compared with whole numbers. Other
pre-activations fall below TIE with a probability of that order.
"""

LARGEST_NORMAL = 6.67
"""Of `rng.normal_pair`."""


class Law(NamedTuple):
    """Scalars of a point.

    a = 1 − √(1−g), g and σ_w as in theory.md 1; σ_b, −1 for σ_w/√n; whether a weight of each node
    is replaced; code and parameter of the law of weights; the two words of the key.
    """

    a: float
    g: float
    sigma_w: float
    sigma_b: float
    asymmetric: bool
    code: int
    parameter: float
    key0: np.uint64
    key1: np.uint64

    @classmethod
    def of(cls, point: Point, weights: str) -> Law:
        """Take the scalars of a point."""
        key0, key1 = split_key(point.key)
        weight_law = parse_weights(weights)
        return cls(
            1.0 - math.sqrt(1.0 - point.g),
            point.g,
            point.sigma_w,
            -1.0 if point.sigma_b is None else point.sigma_b,
            point.asymmetric,
            weight_law.code,
            weight_law.parameter,
            key0,
            key1,
        )


class Pairing(NamedTuple):
    """Columns of the pairs: E explicit ones, of M inputs, and a residual for each of P pairs.

    `first`, shape (P,), is the explicit column of the first input of each pair. The M `inputs` are
    those of a file, or the first inputs of M/2 random pairs. `network`: with the observables of a
    shared network.
    """

    first: npt.NDArray[np.int64]
    explicit: int
    inputs: int
    network: bool


@njit(nogil=True, cache=True)
def bias_scale(law, n):
    """Return σ_b of a layer with fan-in n."""
    return law.sigma_w / math.sqrt(n) if law.sigma_b < 0.0 else law.sigma_b


@njit(inline="always")
def in_units(kappa, up):
    """Return κ in units of a residual, 2^up times those of its first input."""
    return min(max(math.ldexp(kappa, -up), -MOST_COTANGENT), MOST_COTANGENT)


@njit(nogil=True, cache=True)
def tie_bound(law, sigma_b):
    """Return the share of Σ|t| below which Σzt is a tie, for the columns t of T.

    0 where the law of weights has no ties, or there is a bias.
    """
    if sigma_b > 0.0:
        return 0.0
    if law.code == RADEMACHER:
        return TIE
    if law.code == BERNOULLI:
        return TIE * LARGEST_NORMAL / math.sqrt(law.parameter)
    return 0.0

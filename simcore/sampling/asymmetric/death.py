"""Probability that a node of `rai` and `raai` is inactive, given the activations that it reads.

Given these the N nodes of a layer are independent, so all of them are inactive with probability p^N
exactly (`whole_power`), p that of one node, theory.md (3a):

    p = [T(v₀/σ₀) + … + T(vₙ/σₙ)]/(n + 1),    T(a) = E Φ(−βa),    β = √U

where v are the activations of one signal, vₙ = 1 that of the bias, and σⱼ² the variance of h where
weight j is replaced. In closed form, with Mills' ratio M(a) = Φ(−a)/φ(a),

    T(a) = [½ − exp(−a²/2) ρ(a)]/a²,    ρ(a) = [a + (1 − a²) M(a)]/√(2π),    T(−a) = 1 − T(a)

The scalar functions are for CPU loops and GPU threads, like those of `nodes`; `cpu_kernels`
explains the state. Order of summation: `numerics.lanes`, then the bias. For both signals at once
there is no elementary form (`death_of_both`).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from simcore.numerics.arithmetic import at_least_0, exp_below_0, fma64, scaled, times
from simcore.numerics.kernels import njit
from simcore.numerics.lanes import LANES, fold
from simcore.numerics.rng import ONCE
from simcore.physics.rounding import VARIANCE

from . import nodes as at
from . import physics as moves

_i64 = np.int64

SERIES_BELOW = 0.5
"""Of a: the closed form would lose digits there."""

FAR = 32.0
"""From here on the exponential changes no bit."""

SERIES_SCALE = 0.7978845608028654
"""2/√(2π), by which the series about 0 is multiplied."""

P0, P1, P2, P3, P4, P5, P6 = (
    0.4999999998679395,
    0.9787924500447378,
    0.6106153562025791,
    0.21973127151374403,
    0.04828639008673425,
    0.006293875475613469,
    0.00038989769914884835,
)
Q1, Q2, Q3, Q4, Q5, Q6, Q7 = (
    1.957584896125453,
    1.7212307399664435,
    0.8863318322249637,
    0.29090399318403104,
    0.06151571613094591,
    0.007887201904122405,
    0.0004886879965914495,
)
"""ρ = (P0 + P1 a + …)/(1 + Q1 a + …), whose error moves T by less than a relative 9e-17."""

NUMERATOR = (0.0, P6, P5, P4, P3, P2, P1, P0)
DENOMINATOR = (Q7, Q6, Q5, Q4, Q3, Q2, Q1, 1.0)


class SignalLaw(NamedTuple):
    """What one signal's probability needs beside x and r of the nodes before.

    The signal's activation at a node is v = `along` x − `across` (r − `slope` x). The variance of h
    where it has the weight of v replaced is `variance` + v (`linear` − `square` v); it is `own`
    where the bias, a constant node of activation `one`, is replaced. Lengths are in the unit of x
    for signal 1, and in that of r for signal 2.
    """

    along: float
    across: float
    slope: float
    variance: float
    linear: float
    square: float
    own: float
    one: float


# --- of one node ----------------------------------------------------------------------------------


@njit(inline="always")
def average_tail(a):
    """Return T(a) of a ≥ 0, to a relative 2e-15 at any a: ½ at 0, 1/(2a²) far away."""
    near = a < SERIES_BELOW
    z = times(-0.5, times(a, a))
    s = 1.0 / (40320.0 * 17.0 * 19.0)
    s = fma64(s, z, 1.0 / (5040.0 * 15.0 * 17.0))
    s = fma64(s, z, 1.0 / (720.0 * 13.0 * 15.0))
    s = fma64(s, z, 1.0 / (120.0 * 11.0 * 13.0))
    s = fma64(s, z, 1.0 / (24.0 * 9.0 * 11.0))
    s = fma64(s, z, 1.0 / (6.0 * 7.0 * 9.0))
    s = fma64(s, z, 1.0 / (2.0 * 5.0 * 7.0))
    s = fma64(s, z, 1.0 / (1.0 * 3.0 * 5.0))
    s = fma64(s, z, 1.0 / (1.0 * 1.0 * 3.0))
    series = fma64(times(-SERIES_SCALE, a), s, 0.5)
    b = a if a < FAR else FAR
    b2 = times(b, b)
    p = fma64(fma64(fma64(P6, b, P5), b, P4), b2, fma64(P3, b, P2))
    p = fma64(p, b2, fma64(P1, b, P0))
    q = fma64(fma64(fma64(Q7, b, Q6), b2, fma64(Q5, b, Q4)), b2, fma64(Q3, b, Q2))
    q = fma64(q, b2, fma64(Q1, b, 1.0))
    above = fma64(-exp_below_0(times(-0.5, b2)), p, times(0.5, q))
    return series if near else above / times(q, times(a, a))


def xp_average_tail(xp: Any, a: Any) -> Any:
    """Return T of an array of numbers ≥ 0; `xp` is its namespace, NumPy's or CuPy's."""
    z, s = -0.5 * a * a, 0.0 * a
    for k in range(8, -1, -1):
        s = s * z + 1.0 / (math.factorial(k) * (2 * k + 1) * (2 * k + 3))
    series = 0.5 - SERIES_SCALE * a * s
    b = xp.where(a < FAR, a, FAR)
    p, q = 0.0 * b, 0.0 * b
    for above, below in zip(NUMERATOR, DENOMINATOR, strict=True):
        p, q = p * b + above, q * b + below
    far = 0.5 * q - xp.exp(-0.5 * b * b) * p
    return xp.where(a < SERIES_BELOW, series, far / (q * xp.where(a < SERIES_BELOW, 1.0, a * a)))


@njit(inline="always")
def node_tail(x, r, s):
    """Return v/σ of a node, T(|v|/σ), and whether h is random where the weight of v is replaced.

    Where it is not, σ counts as 1.
    """
    v = fma64(s.along, x, times(-s.across, fma64(-s.slope, x, r)))
    square = fma64(v, fma64(-s.square, v, s.linear), s.variance)
    random = square > times(VARIANCE, s.variance)
    a = v / math.sqrt(square if random else 1.0)
    return a, average_tail(abs(a)), random


@njit(inline="always")
def chance_of(a, tail, random):
    """Return the probability of being inactive, from what `node_tail` returns."""
    sure = 0.0 if a > 0.0 else 1.0
    chance = tail if a >= 0.0 else 1.0 - tail
    return chance if random else sure


@njit(inline="always")
def node_chance(x, r, s):
    """Return the probability of being inactive for a node with the weight of (x, r) replaced."""
    a, tail, random = node_tail(x, r, s)
    return chance_of(a, tail, random)


# --- of a layer -----------------------------------------------------------------------------------


@njit(inline="always")
def may_die(layer, width):
    """Return whether the death of a layer (from 1) of some width has a probability that matters.

    From layer 2 on no activation is negative, so that p ≤ ½: a layer of SMALL nodes or more dies
    with at most 2⁻⁶⁴. The inputs of layer 1 may be negative, and σ_w small.
    """
    return layer == 1 or width < at.SMALL


@njit(nogil=True, cache=True, forceinline=True)
def signal_law(second, state, law):
    """Return the `SignalLaw` of the first or the second signal, from what `write_law` has read."""
    x, per_node = state[moves.VARIANCE_X], law[at.PER_NODE]
    square = times(per_node, 1.0 + law[at.COUPLING])
    whole = x + law[at.BIAS_XX]
    if not second:
        linear = times(2.0, state[moves.MEAN_X])
        return SignalLaw(1.0, 0.0, 0.0, whole, linear, square, x, law[at.ONE_AT_X])
    kappa, rest = law[at.MULTIPLE], state[moves.VARIANCE_R]
    linear = times(2.0, times(kappa, state[moves.MEAN_X]) - state[moves.MEAN_R])
    own = times(kappa, times(kappa, x) + times(2.0, law[at.BIAS_XR])) + rest
    whole = times(times(kappa, kappa), whole) + (rest + law[at.BIAS_RR])
    one = scaled(1.0, _i64(-state[moves.POWER_R]))
    slope = law[at.READ_SLOPE]
    return SignalLaw(kappa, 1.0, slope, whole, linear, square, at_least_0(own), one)


@njit(nogil=True, cache=True, forceinline=True)
def lane_chances(lane, n, x, r, s):
    """Return the sum of a lane's `node_chance` over the n nodes before."""
    total = 0.0
    for j in range(lane, n, LANES):
        total += node_chance(x[j], r[j], s)
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def _add_blocks(blocks, x, r, s, lanes):
    """Add the chances of whole blocks of LANES nodes, which LLVM turns into vectors."""
    for b in range(blocks):
        for lane in range(LANES):
            j = b * LANES + lane
            lanes[lane] += node_chance(x[j], r[j], s)


@njit(nogil=True, cache=True)
def all_chances(n, x, r, s, work):
    """Return the sum over all lanes; `work` is scratch, shape (4, LANES)."""
    lanes, last, last_x, last_r = work[0], work[1], work[2], work[3]
    work[:] = 0.0
    full = n // LANES
    _add_blocks(full, x, r, s, lanes)
    rest = n - full * LANES
    if rest > 0:  # as one more vector, on copies: half the time for few nodes
        last_x[:rest], last_r[:rest] = x[n - rest : n], r[n - rest : n]
        _add_blocks(ONCE, last_x, last_r, s, last)
        for lane in range(rest):
            lanes[lane] += last[lane]
    return fold(lanes)


@njit(nogil=True, cache=True, forceinline=True)
def inactive_chance(total, n, s):
    """Return p of a fan-in n, from the sum over its nodes."""
    bias = 0.0
    if s.own > 0.0:
        bias = average_tail(s.one / math.sqrt(s.own))
    return (total + bias) / (n + 1.0)

"""The state of a pair between layers: its observables, and its update (theory.md (4)).

The state has the difference form, which keeps 1 − c accurate far below 1e-16. Counts of inactive
nodes decide which signals are dead or parallel (`physics.rounding`).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from simcore.numerics.arithmetic import arctan2, at_least_0, binary_exponent, scaled_briefly, times
from simcore.numerics.kernels import njit
from simcore.numerics.rng import split_key
from simcore.physics.activation import Sent, even, leaks
from simcore.physics.slopes import RELU
from simcore.physics.update import next_kappa, next_rho
from simcore.runs.grid import Point
from simcore.sampling import row as shown

from .sums import SUMS, TOTALS

# Columns of the state of a trial. K₁₁ = MANTISSA · 4^POWER, and γ is in units of 2^POWER, so that
# neither growth nor decay over any depth leaves the range of float64.
MANTISSA, POWER, RHO, KAPPA, GAMMA, LIVE, SWAPPED, DIED1, DIED2, HAZARD = range(10)
STATE = 10
_i64: Any = np.int64
BOTH, ONE_LEFT, NONE_LEFT = 2.0, 1.0, 0.0

AVERAGES = 5
"""Node averages of theory.md (4), the first of the sums of a layer."""

ALONG, EXPONENT = 5, 6
"""Places of the sums of z₁² and z₁z₂; x of `put_angle` and POWER take them once they are used."""

RESCALE = 2.0**40
PARALLEL_COTANGENT = 1e30
TWO_PI = 6.283185307179586


class Physics(NamedTuple):
    """Scalars of a point for a kernel.

    g, σ_w², σ_b² (−1 for σ_w²/n), q₀ and 1 − c₀ as in theory.md 1; the two words of the key;
    `slopes` as in `activation.sent`, whose length is part of the type.
    """

    g: float
    sigma_w2: float
    sigma_b2: float
    q0: float
    distance: float
    key0: np.uint64
    key1: np.uint64
    slopes: Sent = ()

    @classmethod
    def of(cls, point: Point) -> Physics:
        """Take the scalars of a point."""
        key0, key1 = split_key(point.key)
        # Python's whole numbers would have kernels of their own compiled.
        return cls(
            float(point.g),
            float(point.sigma_w * point.sigma_w),
            -1.0 if point.sigma_b is None else float(point.sigma_b * point.sigma_b),
            float(point.q0),
            float(point.distance),
            key0,
            key1,
            compiled_slopes(point),
        )


def compiled_slopes(point: Point) -> Sent:
    """Return the slopes of a point as `activation.sent` takes them."""
    above, below = point.slopes
    return () if point.slopes == RELU else (float(below), float(above - below))


@njit(nogil=True, cache=True)
def start(physics, states):
    """Set every state to K¹ (theory.md 1): equal lengths, the exact overlap."""
    e0 = physics.sigma_w2 * physics.q0 * physics.distance
    k11 = physics.sigma_w2 * physics.q0 + physics.sigma_b2
    for t in range(states.shape[0]):
        state = states[t]
        state[MANTISSA] = k11
        state[POWER] = 0.0
        state[RHO] = e0 / k11
        state[KAPPA] = 1.0 - e0 / k11
        state[GAMMA] = math.sqrt(e0 / k11 * (2.0 * k11 - e0))
        state[LIVE] = BOTH
        state[SWAPPED] = 0.0
        state[DIED1] = 0.0
        state[DIED2] = 0.0
        state[HAZARD] = 0.0
        _rescale(state)


@njit(nogil=True, cache=True, forceinline=True)
def _rescale(state):
    """Move powers of four from the mantissa of K₁₁ to its exponent; exact."""
    m = state[MANTISSA]
    if 1.0 / RESCALE < m < RESCALE or m == 0.0:
        return
    half = binary_exponent(m) // 2
    state[MANTISSA] = scaled_briefly(m, _i64(-2 * half))
    state[GAMMA] = scaled_briefly(state[GAMMA], _i64(-half))
    state[POWER] += half


@njit(nogil=True, cache=True, inline="always")
def direction(state):
    """Return cos θ, sin θ, √K₂₂, and p/z₁, t/z₂, f of theory.md (4)."""
    x = times(state[KAPPA], math.sqrt(state[MANTISSA]))
    y = state[GAMMA]
    r = math.sqrt(times(x, x) + times(y, y))
    if r == 0.0:
        return 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    cosine, sine = x / r, y / r
    if x > 0.0:
        cotangent = PARALLEL_COTANGENT
        if x < times(PARALLEL_COTANGENT, y):
            cotangent = x / y
        return cosine, sine, r, cotangent, 1.0, y
    return cosine, sine, r, cosine, sine, r


@njit(nogil=True, cache=True, forceinline=True)
def take_aim(state, aim):
    """Write what turns the normals of a node into p and t of theory.md (4), shape (AIM,)."""
    _, _, _, aim[0], aim[1], _ = direction(state)


@njit(nogil=True, cache=True, forceinline=True)
def inactive_chances(state):
    """Return the probabilities that a node is inactive for the first, the second, both signals.

    The N nodes of a layer are independent given its state, so that all of them are with the power N
    (`whole_power`). (π − θ)/(2π) is the angle to the opposite of the second signal, which keeps its
    digits where the signals are nearly opposite.
    """
    if state[LIVE] == NONE_LEFT:
        return 1.0, 1.0, 1.0
    if state[LIVE] == ONE_LEFT:
        return 0.5, 1.0, 0.5
    along = times(state[KAPPA], math.sqrt(state[MANTISSA]))
    return 0.5, 0.5, arctan2(state[GAMMA], -along) / TWO_PI


@njit(nogil=True, cache=True, forceinline=True)
def _chance_of_death(width, state):
    """Return the probability that this layer leaves both signals dead, given those before."""
    first, second, both = inactive_chances(state)
    died1, died2 = state[DIED1] == 1.0, state[DIED2] == 1.0
    if died1 and died2:
        return 0.0
    chance = second if died1 else (first if died2 else both)
    return shown.chance_of_all(chance, width)


@njit(nogil=True, cache=True, forceinline=True)
def finish_layer(physics, width, totals, state, row):
    """Write the observables of a layer to `row` and move `state` to the next layer.

    `totals` holds the sums of the layer, of which only the counts are read where both signals are
    dead.
    """
    observe_layer(physics, width, totals, state, row)
    observe_angle(width, totals, state, row)
    for which in range(shown.LOGS):
        shown.finish_row_log(which, totals[EXPONENT], totals[EXPONENT], row)
    shown.finish_angle(row, totals[ALONG])
    move_on(physics, width, totals, state)


@njit(nogil=True, cache=True, forceinline=True)
def observe_layer(physics, width, totals, state, row):
    """Write the observables of a layer to `row`, but logarithms and the angles.

    In their places is what these need, and `totals` holds the rest of it: `finish_layer` does them
    next, where on a GPU several threads do them side by side. Observables are found for the
    state's first and second signal, which are the pair's second and first where `SWAPPED`.
    """
    for column in range(row.shape[0]):
        row[column] = np.nan
    if shown.hazards(row) > 0 and not leaks(physics.slopes):
        state[HAZARD] += _chance_of_death(width, state)
        row[row.shape[0] - 1] = state[HAZARD]
    if state[LIVE] == NONE_LEFT:
        for count in range(SUMS, TOTALS):
            totals[count] = width
        row[shown.Q1] = row[shown.Q2] = 0.0
        row[shown.MEAN1] = row[shown.MEAN2] = 0.0
        row[shown.PRODUCT] = row[shown.VARIANCE] = 0.0
    n1, n2, both = totals[SUMS], totals[SUMS + 1], totals[SUMS + 2]
    if leaks(physics.slopes):  # from here on, `totals` counts the nodes that send 0
        state[DIED1] = state[DIED2] = np.nan
        totals[SUMS] = totals[SUMS + 1] = 0.0
        totals[SUMS + 2] = width - 1.0 if _aligned(physics.slopes, width, n1, state) else 0.0
    if totals[SUMS] == width:
        state[DIED1] = 1.0
    if totals[SUMS + 1] == width:
        state[DIED2] = 1.0
    shown.write_counts(width, n1, n2, both, state[DIED1], state[DIED2], row)
    if state[LIVE] > NONE_LEFT:
        _observe(width, totals, state, row)
    if state[SWAPPED] == 1.0:
        for first, second in (
            (shown.Q1, shown.Q2),
            (shown.LOG_Q1, shown.LOG_Q2),
            (shown.INACTIVE1, shown.INACTIVE2),
            (shown.DEAD1, shown.DEAD2),
        ):
            row[first], row[second] = row[second], row[first]
    if state[LIVE] > NONE_LEFT:
        _observe_means(physics, width, totals, state, row)


@njit(nogil=True, cache=True, forceinline=True)
def _aligned(slopes, width, n1, state):
    """Return whether opposite signals have parallel activations, as if one node were active.

    They have where all nodes of a signal are on one side of 0, and where φ is even.
    """
    if state[GAMMA] != 0.0 or state[KAPPA] > 0.0 or state[LIVE] != BOTH:
        return False
    return n1 == 0.0 or n1 == width or even(slopes)


@njit(nogil=True, cache=True, forceinline=True)
def _observe(width, totals, state, row):
    """Write the lengths and, where both signals live, the angle in all its forms (theory.md 2)."""
    cosine, sine, root2, _, _, _ = direction(state)
    m, power = state[MANTISSA], state[POWER]
    per_node = 1.0 / width
    a, b = times(totals[5], per_node), times(totals[6], per_node)
    e = times(totals[7], per_node)
    totals[EXPONENT] = power
    shown.put_length(times(m, a), power, row, shown.Q1, shown.LOG_Q1)
    if state[LIVE] == ONE_LEFT:
        row[shown.Q2] = 0.0
        return
    x = times(a, cosine) - times(b, sine)
    y = 0.0
    if width > 1:
        y = times(sine, math.sqrt(at_least_0(times(a, e) - times(b, b))))
    square = times(x, x) + times(y, y)
    if a == 0.0 or square == 0.0:  # a float32 zero was drawn in a layer of one node
        return
    shown.put_length(times(times(root2, root2), square / a), power, row, shown.Q2, shown.LOG_Q2)
    shown.put_angle(x, y, row)
    totals[ALONG] = x
    if shown.has_features(row):
        _show(per_node, cosine, sine, (a, b, e), totals, row)


@njit(nogil=True, cache=True, forceinline=True)
def _show(per_node, cosine, sine, own, totals, row):
    """Write what control variates read (`control.follow`): cos θ, sin θ, M and w."""
    at = shown.FEATURES
    row[at], row[at + 1] = cosine, sine
    for i in range(AVERAGES):
        row[at + 2 + i] = times(totals[i], per_node)
    at += 2 + AVERAGES
    row[at], row[at + 1], row[at + 2] = own[0] - 1.0, own[1], own[2] - 1.0


@njit(nogil=True, cache=True, forceinline=True)
def _observe_means(physics, width, totals, state, row):
    """Write the means and products of the activations, which slopes other than ReLU's may make < 0.

    x₁ − x₂ = ρx₁ + r, so that close signals keep the digits of their difference.
    """
    _, _, _, _, _, f = direction(state)
    per_node, unit = 1.0 / width, 1.0
    if state[POWER] != 0.0:
        unit = scaled_briefly(1.0, _i64(state[POWER]))
    of_first, of_second = shown.MEAN1, shown.MEAN2
    if state[SWAPPED] == 1.0:
        of_first, of_second = of_second, of_first
    m, rho = state[MANTISSA], state[RHO]
    root1 = math.sqrt(m)
    signed = leaks(physics.slopes)
    shown.put_signed_mean(signed, times(times(root1, totals[0]), per_node), unit, row, of_first)
    apart = times(times(times(rho, rho), m), totals[1]) + times(times(f, f), totals[4])
    apart += times(times(times(2.0, rho), times(root1, f)), totals[3])
    square = times(unit, unit)
    shown.put_mean(times(times(0.5, apart), per_node), square, row, shown.VARIANCE)
    second = product = 0.0
    if totals[SUMS + 1] < width:
        second = times(times(state[KAPPA], root1), totals[0]) - times(f, totals[2])
        if totals[SUMS] < width:
            product = times(times(state[KAPPA], m), totals[1])
            product -= times(times(root1, f), totals[3])
    shown.put_signed_mean(signed, times(second, per_node), unit, row, of_second)
    shown.put_signed_mean(signed, times(product, per_node), square, row, shown.PRODUCT)


@njit(nogil=True, cache=True, forceinline=True)
def observe_angle(width, totals, state, row):
    """Put the angle between the activations, where there is one and no signal is dead."""
    if np.isnan(row[shown.CORRELATION]) or totals[SUMS] == width or totals[SUMS + 1] == width:
        return
    _, _, _, _, _, f = direction(state)
    m, per_node = state[MANTISSA], 1.0 / width
    xx, rx = times(totals[1], per_node), times(totals[3], per_node)
    rr = times(totals[4], per_node)
    root1 = math.sqrt(m)
    area = math.sqrt(at_least_0(times(xx, rr) - times(rx, rx)))
    across = times(times(f, root1), area)
    along = times(times(state[KAPPA], m), xx) - times(times(root1, f), rx)
    shown.put_activation_angle(along, across, width - totals[SUMS + 2], row)


@njit(nogil=True, cache=True, forceinline=True)
def move_on(physics, width, totals, state):
    """Move the state to the next layer by theory.md (4), dead signals apart."""
    if state[LIVE] == NONE_LEFT:
        return
    _, _, _, _, _, f = direction(state)
    a, b, d, s = next_law(physics, width, totals, state)
    k11 = a + s
    if k11 == 0.0:
        _first_died(times(times(f, f), d), totals[SUMS + 1] == width, state)
    else:
        _move(k11, a, b, d, s, f, physics.g, width, totals, state)
    _rescale(state)


@njit(nogil=True, cache=True, forceinline=True)
def next_law(physics, width, totals, state):
    """Return a, b, d of theory.md (4) and σ_b², in units of 4^POWER: the next layer's covariance.

    Of `totals` the averages are read, the first `AVERAGES` sums.
    """
    m = state[MANTISSA]
    per_node = 1.0 / width
    x1, x2, r1, rx, r2 = (
        times(totals[0], per_node),
        times(totals[1], per_node),
        times(totals[2], per_node),
        times(totals[3], per_node),
        times(totals[4], per_node),
    )
    g, w2 = physics.g, physics.sigma_w2
    a = times(times(w2, m), at_least_0(x2 - times(times(g, x1), x1)))
    b = times(times(w2, math.sqrt(m)), rx - times(times(g, r1), x1))
    d = times(w2, at_least_0(r2 - times(times(g, r1), r1)))
    if width == 1:  # x2 = x1 x1: the difference of the two would be rounding where g is near 1
        rest = times(w2, 1.0 - g)
        a, b, d = times(rest, times(m, x2)), times(rest, times(math.sqrt(m), rx)), times(rest, r2)
    s = physics.sigma_b2
    if state[POWER] != 0.0:
        s = scaled_briefly(s, -2 * _i64(state[POWER]))
    return a, b, d, s


@njit(nogil=True, cache=True, forceinline=True)
def _first_died(k22, second_died, state):
    """Go on with the second signal alone, in the place of the first, or with none."""
    if state[LIVE] == ONE_LEFT or second_died or k22 == 0.0:
        state[LIVE] = NONE_LEFT
        return
    state[MANTISSA] = k22
    state[LIVE] = ONE_LEFT
    state[SWAPPED] = 1.0 - state[SWAPPED]
    state[DIED1], state[DIED2] = state[DIED2], state[DIED1]
    state[RHO], state[KAPPA], state[GAMMA] = 1.0, 0.0, 0.0


@njit(nogil=True, cache=True, forceinline=True)
def _move(k11, a, b, d, s, f, g, width, totals, state):
    """Apply theory.md (4) where the first signal lives (or the bias revives it)."""
    state[MANTISSA] = k11
    if state[LIVE] == ONE_LEFT:
        return
    kappa, rho = state[KAPPA], state[RHO]
    if totals[SUMS + 1] == width:  # φ(v) = 0 at every node: no rounding may revive it
        state[KAPPA], state[RHO] = s / k11, a / k11
        state[GAMMA] = math.sqrt(times(s, a / k11))
        if s == 0.0:
            state[LIVE] = ONE_LEFT
        return
    fb = times(f, b)
    determinant = at_least_0(times(a, d) - times(b, b))
    if _rank_one(width, g, totals):
        determinant = 0.0
    state[KAPPA] = next_kappa(kappa, a, fb, s, k11)
    state[RHO] = next_rho(rho, a, fb, k11)
    if s > 0.0:
        e = times(times(f, f), d) + times(times(2.0, rho), fb) + times(times(rho, rho), a)
        square = times(times(f, f), determinant) + times(s, e)
        state[GAMMA] = math.sqrt(at_least_0(square) / k11)
    else:
        state[GAMMA] = times(f, math.sqrt(determinant / k11))


@njit(nogil=True, cache=True, inline="always")
def _rank_one(width, g, totals):
    """Return whether the weights see the two signals as exactly parallel, whatever the sums say.

    They do where a single node is active, and where the two weights of a node sum to zero.
    """
    return width - totals[SUMS + 2] <= 1.0 or (width == 2 and g == 1.0)

"""Between layers of `rai` and `raai`: observables of a layer, and the law of the next.

Scalar functions, called once for each trial and layer. The loops of the CPU and the threads of a
GPU change and sum the nodes themselves (`CHANGE`). `cpu_kernels` explains the symbols and units.
"""

from __future__ import annotations

import math

import numpy as np

from simcore.numerics.arithmetic import at_least_0, binary_exponent, fma64, scaled, times
from simcore.numerics.kernels import njit
from simcore.physics.rounding import REGRESSION, VARIANCE
from simcore.physics.update import next_kappa
from simcore.sampling import row as shown

from . import nodes as at

HEAD = 14
(
    POWER_X,  # of the unit of x
    POWER_R,  # of the unit of r
    KAPPA,  # κ, in units of r per unit of x
    ONE_R,  # r of the constant node, in units of r
    DIED1,
    DIED2,
    HAZARD1,  # sum of the probabilities that signal 1 died in each layer, given those before
    HAZARD2,
    HAZARD_BOTH,  # … that both had died
    SLOPE,  # e of which r − e x is still to be subtracted when r is read
    VARIANCE_X,  # of the full law of h₁, without the bias
    VARIANCE_R,  # … of s
    MEAN_X,  # (σ_w²/n)(g/n) times the sum of x
    MEAN_R,  # … of r
) = range(HEAD)
"""Columns of the state of a trial, before its x and r."""

DEVICE_HEAD = 16
"""First column of the nodes on a GPU: each (x, r) lies within 32 bytes, which a read fetches."""

CHANGE = 6
(
    CHANGED,  # whether anything is to be done
    FORGET,  # whether every r becomes 0, before all else
    SCALE_X,  # factors of x and of r, powers of two
    SCALE_R,
    SUBTRACT,  # whether r − BY · x is formed, and summed anew
    BY,
) = range(CHANGE)
"""Changes of the nodes of a layer that `plan_move` asks for."""

PLACES = at.TOTALS + 3
ALONG, LOG_POWER_X, LOG_POWER_R = range(at.TOTALS, PLACES)
"""Places beside the totals of a layer: x of `put_angle`, and the powers that logarithms need."""

EXACT_SLOPE = 1e-3
"""Share of Σr² below which r − e x is formed node by node and summed anew."""

RECOUNT = 1e-4
"""Share of Σs² below which the part of s across h₁ is summed by itself."""

COMFORT = 20
"""Root mean squares within 2^±20 of the unit leave it as it is."""

REACH = 440
"""κ, and the constant node, are at most 2^440 in units of r and x, so that squares stay finite."""

FAR_BELOW = -100_000
"""Stands for the exponent of 0."""

_i64 = np.int64


@njit(inline="always")
def _bias_variance(physics, n):
    return physics.sigma_b2 if physics.sigma_b2 >= 0.0 else physics.sigma_w2 / n


@njit(nogil=True, cache=True, forceinline=True)
def begin_state(distance, state):
    """Write the state of a trial whose inputs have an overlap of 1 − distance, but for the law.

    Those of its columns that come from sums, from SLOPE on, are left to the first move.
    """
    for column in range(SLOPE):
        state[column] = 0.0
    state[KAPPA], state[ONE_R] = 1.0 - distance, -distance


@njit(inline="always")
def input_across(distance):
    """Return r of the inputs, per second direction that was drawn."""
    return -math.sqrt(times(distance, 2.0 - distance))


# --- the law of a layer ---------------------------------------------------------------------------


@njit(nogil=True, cache=True, forceinline=True)
def write_law(physics, n, state, law):
    """Write the law of a layer of fan-in n (`nodes.LAW`)."""
    c, s = physics.sigma_w2 / n, _bias_variance(physics, n)
    one_x, one_r = scaled(1.0, _i64(-state[POWER_X])), state[ONE_R]
    law[at.READ_SLOPE], law[at.MULTIPLE] = state[SLOPE], state[KAPPA]
    law[at.PER_NODE], law[at.COUPLING] = c, physics.g / n
    law[at.BIAS_XX] = times(times(s, one_x), one_x)
    law[at.BIAS_XR] = times(times(s, one_x), one_r)
    law[at.BIAS_RR] = times(times(s, one_r), one_r)
    law[at.OWN_XX], law[at.OWN_XR], law[at.OWN_RR] = (
        state[VARIANCE_X],
        -law[at.BIAS_XR],
        state[VARIANCE_R],
    )
    law[at.ONE_AT_X], law[at.ONE_AT_R] = one_x, one_r
    if n >= at.SMALL:
        _write_scales(times(c, 1.0 + law[at.COUPLING]), state, law)


@njit(nogil=True, cache=True, forceinline=True)
def _write_scales(a, state, law):
    """Write standard deviations of the full law, and what is in units of them; 0 where they are."""
    root_x = math.sqrt(state[VARIANCE_X] + law[at.BIAS_XX])
    root_r = math.sqrt(state[VARIANCE_R] + law[at.BIAS_RR])
    per_x = 1.0 / root_x if root_x > 0.0 else 0.0
    per_r = 1.0 / root_r if root_r > 0.0 else 0.0
    per_xx, per_xr, per_rr = times(per_x, per_x), times(per_x, per_r), times(per_r, per_r)
    law[at.ROOT_X], law[at.ROOT_R] = root_x, root_r
    law[at.A_XX], law[at.A_XR], law[at.A_RR] = (
        times(-a, per_xx),
        times(-a, per_xr),
        times(-a, per_rr),
    )
    law[at.MEAN_XX] = times(times(2.0, state[MEAN_X]), per_xx)
    law[at.MEAN_RR] = times(times(2.0, state[MEAN_R]), per_rr)
    law[at.MEAN_XR], law[at.MEAN_RX] = times(state[MEAN_X], per_xr), times(state[MEAN_R], per_xr)


# --- what is seen of a layer ----------------------------------------------------------------------


@njit(nogil=True, cache=True, forceinline=True)
def first_across(width, totals):
    """Return the sum of squares of the part of s across h₁, by a difference.

    The second result is s per h₁, the third whether so little is left that the squares of
    s − slope · h₁ must be summed instead.
    """
    uu, us, ss = totals[at.UU], totals[at.US], totals[at.SS]
    if uu == 0.0:
        return ss, 0.0, False
    if width == 1 or ss == 0.0:
        return 0.0, 0.0, False
    slope = us / uu
    rest = ss - times(us, slope)
    return rest, slope, rest < times(RECOUNT, ss)


@njit(inline="always")
def settled_across(rest, totals):
    """Return the sum of squares across h₁, 0 where it is rounding only."""
    return rest if rest > times(REGRESSION, totals[at.SS]) else 0.0


@njit(nogil=True, cache=True, forceinline=True)
def observe_layer(width, across2, totals, state, row):
    """Write the observables of a layer to `row`, NaN where undefined (theory.md 3).

    In the places of logarithms and of the angle is what these need, and `totals` holds the rest of
    it: `row.finish_row_log` and `row.finish_angle` come next, on a GPU by several threads.
    """
    for column in range(shown.COLUMNS):
        row[column] = np.nan
    n1, n2, both = totals[at.N1], totals[at.N2], totals[at.BOTH]
    if n1 == width:
        state[DIED1] = 1.0
    if n2 == width:
        state[DIED2] = 1.0
    shown.write_counts(width, n1, n2, both, state[DIED1], state[DIED2], row)
    uu, along = totals[at.UU], 0.0
    if uu > 0.0:
        along = times(state[KAPPA] - totals[at.US] / uu, math.sqrt(uu))
    vv = times(along, along) + across2
    shown.put_length(uu / width, state[POWER_X], row, shown.Q1, shown.LOG_Q1)
    shown.put_length(vv / width, state[POWER_R], row, shown.Q2, shown.LOG_Q2)
    totals[ALONG], totals[LOG_POWER_X], totals[LOG_POWER_R] = along, state[POWER_X], state[POWER_R]
    _observe_activations(width, totals, state, row)
    if uu == 0.0 or vv == 0.0:
        return
    shown.put_angle(along, math.sqrt(across2), row)
    if n1 < width and n2 < width:
        _observe_angle(width, totals, state, row)


@njit(nogil=True, cache=True, forceinline=True)
def _observe_activations(width, totals, state, row):
    """Write the means and products of the activations; x₁ − x₂ is r less its value at ONE_R."""
    x1, x2, r1, rx = totals[at.X1], totals[at.X2], totals[at.R1], totals[at.RX]
    unit_x, unit_r = scaled(1.0, _i64(state[POWER_X])), scaled(1.0, _i64(state[POWER_R]))
    shown.put_mean(x1 / width, unit_x, row, shown.MEAN1)
    one = times(state[ONE_R], unit_x)
    apart = totals[at.R2] - times(times(2.0, one), rx) + times(times(one, one), x2)
    shown.put_mean(times(0.5, apart) / width, times(unit_r, unit_r), row, shown.VARIANCE)
    row[shown.MEAN2] = row[shown.PRODUCT] = 0.0
    if totals[at.N2] == width:
        return
    shown.put_mean((times(state[KAPPA], x1) - r1) / width, unit_r, row, shown.MEAN2)
    if totals[at.N1] < width:
        product = times(state[KAPPA], x2) - rx
        shown.put_mean(product / width, times(unit_x, unit_r), row, shown.PRODUCT)


@njit(nogil=True, cache=True, forceinline=True)
def _observe_angle(width, totals, state, row):
    """Write the angle between the activations of signals that both live."""
    xx, rx = totals[at.X2], totals[at.RX]
    along, across = at_least_0(times(state[KAPPA], xx) - rx), 0.0
    if width > 1:
        across = math.sqrt(at_least_0(times(xx, totals[at.R2]) - times(rx, rx)))
    shown.put_activation_angle(along, across, width - totals[at.BOTH], row)


# --- from a layer to the law of the next ----------------------------------------------------------


@njit(nogil=True, cache=True, forceinline=True)
def plan_move(physics, n, totals, state, change):
    """Move a state to the next layer, but what `finish_move` does.

    The nodes are then changed as `change` says, and their r summed anew where it says SUBTRACT.
    """
    change[SCALE_X] = change[SCALE_R] = 1.0
    change[SUBTRACT] = change[BY] = 0.0
    change[FORGET] = 1.0 if totals[at.N2] == n else 0.0
    _forget_dead(change[FORGET] == 1.0, totals, state)
    _rescale(physics, n, totals, state, change)
    _regress(physics, n, totals, state, change)
    same_units = change[SCALE_X] == 1.0 and change[SCALE_R] == 1.0
    still = same_units and change[FORGET] == 0.0 and change[SUBTRACT] == 0.0
    change[CHANGED] = 0.0 if still else 1.0


@njit(inline="always")
def steps_of(change):
    """Return what `changed_node` is to do, as scalars, which loops can keep in registers."""
    return change[FORGET] == 1.0, change[SCALE_X], change[SCALE_R], change[BY]


@njit(inline="always")
def changed_node(x, r, steps):
    """Return x and r of a node as `plan_move` wants them; where nothing is to be done, as given."""
    forget, scale_x, scale_r, by = steps
    x = times(x, scale_x)
    r = times(0.0 if forget else r, scale_r)
    return x, fma64(-by, x, r)


@njit(nogil=True, cache=True, forceinline=True)
def _forget_dead(dead2, totals, state):
    """Set κ and the units exactly where a signal is dead."""
    dead1 = totals[at.X2] == 0.0
    if dead2:
        totals[at.R1] = totals[at.RX] = totals[at.R2] = 0.0
        state[KAPPA], state[ONE_R], state[POWER_R] = 0.0, -1.0, 0.0
    if dead1:
        state[POWER_X] = 0.0
        state[KAPPA] = scaled(1.0, _i64(-state[POWER_R]))
        state[ONE_R] = 0.0


@njit(inline="always")
def _exponent(x):
    """Return the binary exponent of x; far below all where x is 0."""
    return FAR_BELOW if x == 0.0 else binary_exponent(x)


@njit(inline="always")
def _half_exponent(square, n):
    """Return the exponent of a root mean square, 0 within comfort or where it is 0."""
    mean = square / n
    half = 0 if mean == 0.0 else binary_exponent(mean) >> 1
    return half if abs(half) > COMFORT else 0


@njit(nogil=True, cache=True, forceinline=True)
def _rescale(physics, n, totals, state, change):
    """Change the units of x and r by powers of two where they have become inconvenient."""
    bias = max(0, (_exponent(_bias_variance(physics, n)) >> 1) + 1)
    reach = REACH - max(0, _exponent(physics.sigma_w2) >> 1)
    power_x = _i64(state[POWER_X])
    by_x = max(_half_exponent(totals[at.X2], n), bias - reach - power_x)
    kappa = _exponent(state[KAPPA]) + by_x
    by_r = _half_exponent(totals[at.R2], n)
    if totals[at.R2] == 0.0 and state[KAPPA] != 0.0:
        by_r = kappa if abs(kappa) > COMFORT else 0
    by_r = max(by_r, kappa - reach, _exponent(state[ONE_R]) + bias - reach)
    if by_x == 0 and by_r == 0:
        return
    x, r = scaled(1.0, -by_x), scaled(1.0, -by_r)
    change[SCALE_X], change[SCALE_R] = x, r
    totals[at.X1] = times(totals[at.X1], x)
    totals[at.X2] = times(totals[at.X2], times(x, x))
    totals[at.R1] = times(totals[at.R1], r)
    totals[at.RX] = times(totals[at.RX], times(r, x))
    totals[at.R2] = times(totals[at.R2], times(r, r))
    state[KAPPA] = scaled(state[KAPPA], by_x - by_r)
    state[ONE_R] = scaled(state[ONE_R], -by_r)
    state[POWER_X] += by_x
    state[POWER_R] += by_r


@njit(nogil=True, cache=True, forceinline=True)
def _regress(physics, n, totals, state, change):
    """Move κ to the next layer: take from r the multiple of x that its full law has."""
    g, c, s = physics.g / n, physics.sigma_w2 / n, _bias_variance(physics, n)
    one_x, one_r, kappa = scaled(1.0, _i64(-state[POWER_X])), state[ONE_R], state[KAPPA]
    x1, x2, r1, rx = totals[at.X1], totals[at.X2], totals[at.R1], totals[at.RX]
    xx = times(c, at_least_0(x2 - times(times(g, x1), x1)))
    xr = times(c, rx - times(times(g, r1), x1))
    whole = xx + times(times(s, one_x), one_x)
    state[SLOPE] = 0.0
    if whole == 0.0:
        return
    slope = (xr + times(times(s, one_x), one_r)) / whole
    one = scaled(1.0, _i64(-state[POWER_R]))
    state[KAPPA] = next_kappa(kappa, xx, xr, times(times(s, one_x), one), whole)
    state[ONE_R] = (times(one_r, xx) - times(xr, one_x)) / whole
    r2 = totals[at.R2] - times(slope, times(2.0, rx) - times(slope, x2))
    if n < at.SMALL or r2 < times(EXACT_SLOPE, totals[at.R2]):
        change[SUBTRACT], change[BY] = 1.0, slope
        return
    state[SLOPE] = slope
    totals[at.RX] = rx - times(slope, x2)
    totals[at.R1] = r1 - times(slope, x1)
    totals[at.R2] = r2


@njit(nogil=True, cache=True, forceinline=True)
def finish_subtraction(r1, rx, r2, totals):
    """Take the sums of what is left of r; return whether it is rounding only, and all r is 0."""
    nothing = r2 <= times(REGRESSION, totals[at.R2])
    totals[at.R1] = 0.0 if nothing else r1
    totals[at.RX] = 0.0 if nothing else rx
    totals[at.R2] = 0.0 if nothing else r2
    return nothing


@njit(nogil=True, cache=True, forceinline=True)
def finish_move(physics, n, totals, state):
    """Write the law of the next layer to a state, from the sums of n nodes as they now are."""
    g, c = physics.g / n, physics.sigma_w2 / n
    x1, r1 = totals[at.X1], totals[at.R1]
    xx = totals[at.X2] - times(times(g, x1), x1)
    rr = totals[at.R2] - times(times(g, r1), r1)
    state[VARIANCE_X] = times(c, xx) if xx > times(VARIANCE, totals[at.X2]) else 0.0
    state[VARIANCE_R] = times(c, rr) if rr > times(VARIANCE, totals[at.R2]) else 0.0
    state[MEAN_X] = times(times(c, g), x1)
    state[MEAN_R] = times(times(c, g), r1)

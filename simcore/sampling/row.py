"""Observables of a pair in one layer: the columns of a trajectory, from a few sums."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from simcore.numerics.arithmetic import arctan2, log, scaled_briefly, times, whole_power
from simcore.numerics.kernels import njit
from simcore.physics.observables import CONTROLLED, NAMES

Q_RANGE = (1e-150, 1e150)
"""Beyond this range q is left out (its logarithm is not): the squares of moments leave float64."""

DISTANCE_FLOOR = 1e-150
"""Below this a distance other than 0 is left out, for the same reason."""

SMALLEST_NORMAL = 2.0**-1022
"""Below this sin(θ/2) has lost digits, at 1 − c < 1e-615; soon after, it is 0 in float64."""

LOGS = 4
"""Logarithms in a row: of q1, of q2, of the distance, of the sine between the activations."""

_i64: Any = np.int64
LN4 = 1.3862943611198906
COLUMNS = len(NAMES)
(
    Q1,
    Q2,
    LOG_Q1,
    LOG_Q2,
    CORRELATION,
    DISTANCE,
    LOG_DISTANCE,
    ANGLE,
    COSINE,
    INACTIVE1,
    INACTIVE2,
    INACTIVE_BOTH,
    DEAD1,
    DEAD2,
    DEAD_BOTH,
    MEAN1,
    MEAN2,
    PRODUCT,
    VARIANCE,
    LOG_SINE,
) = range(COLUMNS)

FEATURES = COLUMNS
"""First of the columns that controls read, after the observables, in a row that has them."""

SEEN = len(CONTROLLED)
"""Number of the columns that controls read; hazards, if there are some, follow these."""

SMALLEST_CHANCE = 1e-150
"""A smaller probability counts as 0: squares of its deviations leave float64."""


@njit(nogil=True, cache=True, forceinline=True)
def has_features(row):
    """Return whether a pair's row has the columns that controls read."""
    return row.shape[0] >= FEATURES + SEEN


@njit(nogil=True, cache=True, forceinline=True)
def hazards(row):
    """Return how many probabilities of having died are in a pair's row, the last of its columns."""
    rest = row.shape[0] - FEATURES
    return rest - SEEN if rest >= SEEN else rest


@njit(nogil=True, cache=True, forceinline=True)
def chance_of_all(chance, width):
    """Return the probability that all nodes are inactive, each with this chance."""
    every = whole_power(chance, width)
    return every if every >= SMALLEST_CHANCE else 0.0


@njit(nogil=True, cache=True, forceinline=True)
def write_length(q, power, row, at_q, at_log):
    """Write q·4^power and its logarithm; q alone is left out beyond Q_RANGE."""
    put_length(q, power, row, at_q, at_log)
    finish_log(row, at_log, 1.0, power)


@njit(nogil=True, cache=True, forceinline=True)
def put_length(q, power, row, at_q, at_log):
    """Write q·4^power and, for `finish_log`, q in the place of its logarithm."""
    value = q if power == 0.0 else scaled_briefly(q, 2 * _i64(power))
    if Q_RANGE[0] <= value <= Q_RANGE[1] or q == 0.0:
        row[at_q] = value
    if q > 0.0:
        row[at_log] = q


@njit(nogil=True, cache=True, forceinline=True)
def write_angle(x, y, row):
    """Write the angle between the signals in all its forms.

    The second signal has the component x along the first and y ≥ 0 across it, in any unit; not both
    are 0.
    """
    put_angle(x, y, row)
    finish_log(row, LOG_DISTANCE, 2.0, 0.0)
    finish_angle(row, x)


@njit(nogil=True, cache=True, forceinline=True)
def put_angle(x, y, row):
    """Write all but logarithms and the angle; in the places of these, their arguments."""
    h = math.sqrt(times(x, x) + times(y, y))
    row[CORRELATION] = x / h
    half_sine = y / math.sqrt(times(h, h + x)) if x > 0.0 else math.sqrt(1.0 - x / h)
    distance = times(half_sine, half_sine)
    if half_sine == 0.0 or distance >= DISTANCE_FLOOR:
        row[DISTANCE] = distance
    if half_sine >= SMALLEST_NORMAL:
        row[LOG_DISTANCE] = half_sine
    row[ANGLE] = y


@njit(nogil=True, cache=True, forceinline=True)
def finish_log(row, at, factor, power):
    """Replace a positive argument by factor·ln of it + ln 4^power; NaN remains."""
    argument = row[at]
    if argument > 0.0:
        row[at] = times(factor, log(argument)) + times(power, LN4)


@njit(nogil=True, cache=True, forceinline=True)
def finish_row_log(which, power1, power2, row):
    """Replace one of the LOGS arguments in a row by its logarithm, of the signals' two powers."""
    if which > 1:
        finish_log(row, LOG_DISTANCE if which < LOGS - 1 else LOG_SINE, 2.0, 0.0)
    else:
        finish_log(row, LOG_Q1 + which, 1.0, power1 if which == 0 else power2)


@njit(nogil=True, cache=True, forceinline=True)
def finish_angle(row, x):
    """Replace y by the angle of the point (x, y); NaN remains."""
    y = row[ANGLE]
    if y >= 0.0:
        row[ANGLE] = arctan2(y, x)


@njit(nogil=True, cache=True, forceinline=True)
def put_mean(value, unit, row, at):
    """Write value·unit, which is not negative but for rounding; left out beyond Q_RANGE."""
    if value <= 0.0:
        row[at] = 0.0
        return
    value = times(value, unit)
    if Q_RANGE[0] <= value <= Q_RANGE[1]:
        row[at] = value


@njit(nogil=True, cache=True, forceinline=True)
def put_signed_mean(signed, value, unit, row, at):
    """Write value·unit as `put_mean` does; it may be negative where `signed`."""
    if signed and value < 0.0:
        put_mean(-value, unit, row, at)
        row[at] = -row[at]
    else:
        put_mean(value, unit, row, at)


@njit(nogil=True, cache=True, forceinline=True)
def put_activation_angle(along, across, active, row):
    """Write the cosine between the activations and, in the place of its logarithm, the sine.

    The second signal's have the components `along` and `across` ≥ 0 of the first's, in any unit.
    One active node leaves one direction, whatever rounding says.
    """
    length = math.sqrt(times(along, along) + times(across, across))
    if length > 0.0:
        row[COSINE] = along / length
        sine = across / length
        if sine >= SMALLEST_NORMAL and active > 1.0:
            row[LOG_SINE] = sine


@njit(nogil=True, cache=True, forceinline=True)
def write_counts(width, n1, n2, both, dead1, dead2, row):
    """Write the shares of inactive nodes, from their numbers, and whether each signal has died."""
    row[INACTIVE1] = n1 / width
    row[INACTIVE2] = n2 / width
    row[INACTIVE_BOTH] = both / width
    row[DEAD1] = dead1
    row[DEAD2] = dead2
    row[DEAD_BOTH] = times(dead1, dead2)

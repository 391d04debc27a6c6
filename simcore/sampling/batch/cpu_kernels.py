"""Many signals through one network: what is carried, and a layer's part that touches no weights.

The signals are columns, each an array over nodes: E explicit inputs, then P residuals. With x and y
the activations of the two inputs of a pair, its residual is r = κx − y, where κ is the regression
coefficient of the next layer's pre-activations; κ and ρ = 1 − κ are carried, ρ never subtracted.
With weights w and bias b a node has u = w·x + b and s = κu − v = w·r − ρb, both linear in the
weights, so that a batch is sampled as theory.md 2 says; and r keeps the angle of a pair however
small it is, also where two lengths differ for ever (x − y would not).

Every column has a unit of its own, 2^power, so that neither depth without bias nor small angles
leave the range of float64; the powers are exact.

Rounding: a residual of less than 1e-14 of what it was the difference of is none, the signals are
exactly parallel, and their distance is 0 (or 2). Likewise an input is constant, and seen as 0 by
weights that sum to zero, where less than 1e-14 of it is left when its mean is taken off.

Sums over nodes run in sixteen lanes, node i in lane i mod 16, and over the lanes in order.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from simcore.numerics.lanes import LANES
from simcore.numerics.rng import split_key
from simcore.physics.observables import RATE_BINS
from simcore.physics.weight_laws import parse_weights
from simcore.runs.grid import Point
from simcore.sampling.random_inputs import draw_pair
from simcore.sampling.row import (
    COLUMNS,
    COSINE,
    LOG_Q1,
    LOG_Q2,
    Q1,
    Q2,
    write_angle,
    write_counts,
    write_length,
)

__all__ = [
    "Batch",
    "Law",
    "Pairing",
    "bias_scale",
    "finish_layer",
    "layer_factor",
    "replace_weights",
    "start_inputs",
    "start_pairs",
]

Floats = npt.NDArray[np.float64]

ROUNDING = 1e-28
"""Square of the share of a signal below which a difference is rounding."""

RANGE = 2.0**80
"""A column's sum of squares stays between this and its inverse."""

MOST_COTANGENT = 1e300
"""Bound of κ in units of the residual, against 0·∞."""

SUMS = 9
"""Of a pair: u², us, s², x², rx, r², nodes inactive for the first, the second, both."""

DEAD, DEAD_INPUTS, DEAD_ALL, RATES = range(4)
"""Columns of the network, after those of the pairs."""


class Law(NamedTuple):
    """What a kernel needs to know of a point: scalars only.

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
    """Which columns make the pairs.

    Parameters
    ----------
    first
        Explicit column of the first input of each pair, shape (P,).
    explicit, inputs
        E explicit columns of M inputs: M of a file, or the first inputs of M/2 random pairs.
    network
        Whether the observables of a shared network are wanted.
    """

    first: npt.NDArray[np.int64]
    explicit: int
    inputs: int
    network: bool


class Batch(NamedTuple):
    """What a trial carries from layer to layer.

    Parameters
    ----------
    signals, other
        Room for the columns over the nodes of the widest layer, shape (C · nodes,); one holds the
        activations and the other takes the next pre-activations, in turn.
    power
        Exponents of the columns' units, whole numbers, shape (C,).
    kappa, rho
        κ and 1 − κ, shape (P,).
    died
        1 where some layer so far had every node inactive for the first or second input of a pair,
        shape (P, 2).
    died_input
        The same for the explicit columns, shape (E,).
    """

    signals: Floats
    other: Floats
    power: Floats
    kappa: Floats
    rho: Floats
    died: Floats
    died_input: Floats

    @classmethod
    def room(cls, columns: int, pairs: int, nodes: int) -> Batch:
        """Return room for a trial."""
        return cls(
            np.empty(columns * nodes),
            np.empty(columns * nodes),
            np.empty(columns),
            np.empty(pairs),
            np.empty(pairs),
            np.empty((pairs, 2)),
            np.empty(columns - pairs),
        )


# --- sums -----------------------------------------------------------------------------------------


@njit(nogil=True, cache=True)
def _fold(lanes):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    total = 0.0
    for lane in range(LANES):
        total += lanes[lane]
    return total


@njit(nogil=True, cache=True)
def _product(a, b, lanes):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Return the sum of a·b; `lanes` is scratch, shape (LANES,)."""
    n = a.size
    full = n // LANES
    lanes[:] = 0.0
    for k in range(full):
        for lane in range(LANES):
            lanes[lane] += a[k * LANES + lane] * b[k * LANES + lane]
    for i in range(full * LANES, n):
        lanes[i % LANES] += a[i] * b[i]
    return _fold(lanes)


@njit(nogil=True, cache=True)
def _mean(a, shift, lanes):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Return the mean of a − shift."""
    n = a.size
    full = n // LANES
    lanes[:] = 0.0
    for k in range(full):
        for lane in range(LANES):
            lanes[lane] += a[k * LANES + lane] - shift
    for i in range(full * LANES, n):
        lanes[i % LANES] += a[i] - shift
    return _fold(lanes) / n


# --- the first layer ------------------------------------------------------------------------------


@njit(nogil=True, cache=True)
def start_pairs(  # type: ignore[no-untyped-def]
    law, n0, q0, distances, trial, batch, words
):  # pragma: no cover - compiled
    """Draw the inputs of random pairs (theory.md 1) and regress the second on the first.

    `distances` holds 1 − c₀ of each pair, shape (P,).
    """
    pairs = distances.size
    x = batch.signals[: 2 * pairs * n0].reshape(2 * pairs, n0)
    for p in range(pairs):
        d = distances[p]
        draw_pair(n0, q0, 2 * p, trial, law.key0, law.key1, words, x[p], x[pairs + p])
        sine = -math.sqrt(d * (2.0 - d))
        for i in range(n0):
            x[pairs + p, i] *= sine
        batch.kappa[p] = 1.0 - d
        batch.rho[p] = d
    batch.power[:] = 0.0
    batch.died[:] = 0.0
    batch.died_input[:] = 0.0


@njit(nogil=True, cache=True)
def start_inputs(inputs, residuals, kappa, batch):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Take given inputs, shape (M, N₀), and the residuals of pairs, (P, N₀), with their κ, (P,)."""
    explicit, n0 = inputs.shape
    pairs = residuals.shape[0]
    x = batch.signals[: (explicit + pairs) * n0].reshape(explicit + pairs, n0)
    x[:explicit] = inputs
    x[explicit:] = residuals
    for p in range(pairs):
        batch.kappa[p] = kappa[p]
        batch.rho[p] = 1.0 - kappa[p]
    batch.power[:] = 0.0
    batch.died[:] = 0.0
    batch.died_input[:] = 0.0


# --- before the weights ---------------------------------------------------------------------------


@njit(nogil=True, cache=True)
def bias_scale(law, n):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Return σ_b of a layer with fan-in n."""
    return law.sigma_w / math.sqrt(n) if law.sigma_b < 0.0 else law.sigma_b


@njit(nogil=True, cache=True)
def _normalise(x, square, power, column):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Bring a column, whose sum of squares is given, to a comfortable unit; return that sum."""
    if square == 0.0:
        power[column] = 0.0
        return 0.0
    if 1.0 / RANGE < square < RANGE:
        return square
    _, exponent = math.frexp(square)
    half = exponent // 2
    scale = math.ldexp(1.0, -half)
    for i in range(x.size):
        x[i] *= scale
    power[column] += half
    return math.ldexp(square, -2 * half)


@njit(nogil=True, cache=True)
def _centred(law, x, lanes, t):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Write (σ_w/√n)(x − a x̄) to t.

    The mean of what is left of the mean is taken off, too: constants leave only rounding.
    """
    n = x.size
    scale = law.sigma_w / math.sqrt(n)
    mean = rest = 0.0
    if law.a != 0.0:
        mean = _mean(x, 0.0, lanes)
        rest = law.a * _mean(x, mean, lanes)
        mean *= law.a
    for i in range(n):
        t[i] = scale * ((x[i] - mean) - rest)


@njit(nogil=True, cache=True)
def _explicit_factor(law, sigma_b, x, column, power, lanes, t):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Write an explicit column of T and return its square without the bias."""
    n = x.size
    square = _normalise(x, _product(x, x, lanes), power, column)
    _centred(law, x, lanes, t)
    a = _product(t[:n], t[:n], lanes)
    if a <= ROUNDING * law.sigma_w * law.sigma_w * (square / n):
        t[:n] = 0.0
        a = 0.0
    if t.size > n:
        t[n] = math.ldexp(sigma_b, -int(power[column]))
    return a


@njit(nogil=True, cache=True)
def _regress(  # type: ignore[no-untyped-def]
    law, sigma_b, a, x, tx, r, column, first, p, batch, lanes, t
):  # pragma: no cover - compiled
    """Write a residual's column of T, after regression on its first input, theory.md (4).

    `a` is the square of that input's column tx without the bias. κ, ρ and the residual r follow.
    Any κ is right, as long as y = κx − r. That of a dead second signal stays 0. Where κ is above 1,
    the positive weight that may stand for a bias, in one of n + 1 nodes and ½ in the mean square,
    counts as bias: else a node with it has u and s that leave nothing of v.
    """
    n = x.size
    power = batch.power
    square = _normalise(r, _product(r, r, lanes), power, column)
    _centred(law, r, lanes, t)
    kappa, rho = batch.kappa[p], batch.rho[p]
    up = int(power[column] - power[first])
    b = _product(tx[:n], t[:n], lanes)
    bias = tx[n] if tx.size > n else 0.0
    before = law.sigma_w * law.sigma_w * (square / n)
    variance = sigma_b * sigma_b
    if law.asymmetric and kappa > 1.0:
        variance += 0.5 / (n + 1)
    s = math.ldexp(variance, -2 * int(power[first]))
    dead = kappa == 0.0 and square == 0.0
    if a + s > 0.0 and not dead:
        e = (b - math.ldexp(rho * s, -up)) / (a + s)
        b = math.ldexp(b, up)
        batch.kappa[p] = (kappa * a - b + s) / (a + s)
        batch.rho[p] = (rho * a + b) / (a + s)
        for i in range(n):
            t[i] -= e * tx[i]
            r[i] -= e * x[i]
        came_from = square + e * e * _product(x, x, lanes)
        if _product(r, r, lanes) <= ROUNDING * came_from:
            r[:] = 0.0
        before += e * e * a
    left = _product(t[:n], t[:n], lanes)
    if left <= ROUNDING * before:
        t[:n] = 0.0
    if t.size > n:
        t[n] = -math.ldexp(batch.rho[p] * bias, -up)
        bias = math.ldexp(rho * bias, -up)
        if left + t[n] * t[n] <= ROUNDING * (before + bias * bias):
            t[n] = 0.0


@njit(nogil=True, cache=True)
def layer_factor(law, sigma_b, pairing, x, batch, t):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Write T of theory.md 2, "A batch": pre-activations are T's columns times standard normals.

    Parameters
    ----------
    law, sigma_b, pairing, batch
        The point, σ_b of the layer, the pairs, and what the trial carries.
    x
        Columns, shape (C, n); moved to comfortable units, and residuals regressed.
    t
        Written, shape (C, n + 1), with the bias at the end, or (C, n) without bias.
    """
    lanes = np.empty(LANES)
    explicit = pairing.explicit
    squares = np.empty(explicit)
    for c in range(explicit):
        squares[c] = _explicit_factor(law, sigma_b, x[c], c, batch.power, lanes, t[c])
    for p in range(pairing.first.size):
        c, first = explicit + p, pairing.first[p]
        _regress(
            law, sigma_b, squares[first], x[first], t[first], x[c], c, first, p, batch, lanes, t[c]
        )


# --- after the weights ----------------------------------------------------------------------------


@njit(nogil=True, cache=True)
def replace_weights(  # type: ignore[no-untyped-def]
    pairing, batch, x, index, old, new, h
):  # pragma: no cover - compiled
    """Replace a weight of each node, or its bias, in its pre-activations (theory.md (3)).

    Parameters
    ----------
    pairing, batch
        The pairs, and what the trial carries.
    x
        Activations, shape (C, n).
    index, old, new
        Which weight of each node (n is the bias), what it was and what it becomes, shape (N,).
    h
        Pre-activations, shape (C, N); changed.
    """
    n = x.shape[1]
    for c in range(x.shape[0]):
        bias = math.ldexp(1.0, -int(batch.power[c]))
        if c >= pairing.explicit:
            p = c - pairing.explicit
            bias = -math.ldexp(batch.rho[p], -int(batch.power[c]))
        for i in range(h.shape[1]):
            j = index[i]
            h[c, i] += (new[i] - old[i]) * (bias if j == n else x[c, j])


@njit(inline="always")
def _residual(u, p, s):  # type: ignore[no-untyped-def]
    """κφ(u) − φ(v) with p = κu, s = κu − v: never a difference of nearly equal numbers."""
    smaller = s if s < p else p
    gap = s - p
    return smaller if u > 0.0 else (gap if gap < 0.0 else 0.0)


@njit(inline="always")
def _add_node(sums, lane, u, p, s):  # type: ignore[no-untyped-def]
    x = u if u > 0.0 else 0.0
    r = _residual(u, p, s)
    sums[0, lane] += u * u
    sums[1, lane] += u * s
    sums[2, lane] += s * s
    sums[3, lane] += x * x
    sums[4, lane] += r * x
    sums[5, lane] += r * r
    first = 0.0 if u > 0.0 else 1.0
    second = 1.0 if p <= s else 0.0
    sums[6, lane] += first
    sums[7, lane] += second
    sums[8, lane] += first * second


@njit(nogil=True, cache=True)
def _pair_sums(u, s, kappa, sums, total):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Sum over the nodes of a pair; κ is in units of the residual."""
    n = u.size
    full = n // LANES
    sums[:] = 0.0
    for k in range(full):
        for lane in range(LANES):
            i = k * LANES + lane
            _add_node(sums, lane, u[i], kappa * u[i], s[i])
    for i in range(full * LANES, n):
        _add_node(sums, i % LANES, u[i], kappa * u[i], s[i])
    for k in range(SUMS):
        total[k] = _fold(sums[k])


@njit(nogil=True, cache=True)
def _across(u, s, kappa, slope, slope_active, sums):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return squares of the parts of s across u and of r across x; r takes the place of s."""
    n = u.size
    sums[:2] = 0.0
    full = n // LANES
    for k in range(full):
        for lane in range(LANES):
            i = k * LANES + lane
            r = _residual(u[i], kappa * u[i], s[i])
            across = s[i] - slope * u[i]
            across_active = r - slope_active * (u[i] if u[i] > 0.0 else 0.0)
            sums[0, lane] += across * across
            sums[1, lane] += across_active * across_active
            s[i] = r
    for i in range(full * LANES, n):
        lane = i % LANES
        r = _residual(u[i], kappa * u[i], s[i])
        across = s[i] - slope * u[i]
        across_active = r - slope_active * (u[i] if u[i] > 0.0 else 0.0)
        sums[0, lane] += across * across
        sums[1, lane] += across_active * across_active
        s[i] = r
    return _fold(sums[0]), _fold(sums[1])


@njit(nogil=True, cache=True)
def _count_pair(u, s, kappa, active):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    for i in range(u.size):
        active[i] += (1 if u[i] > 0.0 else 0) + (1 if kappa * u[i] > s[i] else 0)


@njit(nogil=True, cache=True)
def _finish_pair(  # type: ignore[no-untyped-def]
    pairing, p, h, batch, sums, total, active, row
):  # pragma: no cover - compiled
    """Observe a pair and turn its residual into the activations'."""
    first, column = pairing.first[p], pairing.explicit + p
    u, s = h[first], h[column]
    width = u.size
    up = int(batch.power[column] - batch.power[first])
    kappa = batch.kappa[p]
    in_units = min(max(math.ldexp(kappa, -up), -MOST_COTANGENT), MOST_COTANGENT)
    _pair_sums(u, s, in_units, sums, total)
    uu, us, ss, xx, rx, rr, n1, n2, both = total
    if active.size and pairing.inputs != pairing.explicit:
        _count_pair(u, s, in_units, active)
    if n1 == width:
        batch.died[p, 0] = 1.0
    if n2 == width:
        batch.died[p, 1] = 1.0
    slope = us / uu if uu > 0.0 else 0.0
    slope_active = rx / xx if xx > 0.0 else 0.0
    across, across_active = _across(u, s, in_units, slope, slope_active, sums)
    across = 0.0 if across <= ROUNDING * ss else math.ldexp(math.sqrt(across), up)
    across_active = (
        0.0 if across_active <= ROUNDING * rr else math.ldexp(math.sqrt(across_active), up)
    )
    write_counts(width, n1, n2, both, batch.died[p, 0], batch.died[p, 1], row)
    write_length(uu / width, batch.power[first], row, Q1, LOG_Q1)
    if uu > 0.0:
        along = (kappa - math.ldexp(slope, up)) * math.sqrt(uu)
        square = along * along + across * across
        write_length(square / width, batch.power[first], row, Q2, LOG_Q2)
        if square > 0.0:
            write_angle(along, across, row)
    else:
        write_length(ss / width, batch.power[column], row, Q2, LOG_Q2)
    if n1 < width and n2 < width:
        along = (kappa - math.ldexp(slope_active, up)) * math.sqrt(xx)
        length = math.sqrt(along * along + across_active * across_active)
        if length > 0.0:
            row[COSINE] = along / length
    if n2 == width:
        # Where both are dead, they are the same: 1 − κ has to be 0 and not rounding.
        batch.rho[p] = 0.0 if n1 == width else 1.0
        batch.kappa[p] = 1.0 - batch.rho[p]
        s[:] = 0.0


@njit(nogil=True, cache=True)
def _finish_explicit(pairing, h, batch, active):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Apply the ReLU to the explicit columns, and note which inputs have died."""
    given = pairing.inputs == pairing.explicit
    for c in range(pairing.explicit):
        u = h[c]
        alive = 0
        for i in range(u.size):
            alive += 1 if u[i] > 0.0 else 0
            if given and active.size:
                active[i] += 1 if u[i] > 0.0 else 0
            u[i] = u[i] if u[i] > 0.0 else 0.0
        if alive == 0:
            batch.died_input[c] = 1.0


@njit(nogil=True, cache=True)
def _observe_network(pairing, batch, active, row):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Write the observables of the network from the number of inputs that activate each node."""
    inputs = pairing.inputs
    bins = np.zeros(RATE_BINS, np.int64)
    for i in range(active.size):
        count = active[i]
        if count == 0:
            bins[0] += 1
        elif count == inputs:
            bins[RATE_BINS - 1] += 1
        else:
            bins[1 + (20 * count - 1) // inputs] += 1
    died = 0.0
    if inputs == pairing.explicit:
        for c in range(inputs):
            died += batch.died_input[c]
    else:
        for p in range(pairing.first.size):
            died += batch.died[p, 0] + batch.died[p, 1]
    row[DEAD] = bins[0] / active.size
    row[DEAD_INPUTS] = died / inputs
    row[DEAD_ALL] = 1.0 if died == inputs else 0.0
    for b in range(RATE_BINS):
        row[RATES + b] = bins[b] / active.size


@njit(nogil=True, cache=True)
def finish_layer(pairing, h, batch, row):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Write what a layer shows, and turn pre-activations into activations.

    Parameters
    ----------
    pairing, batch
        The pairs, and what the trial carries.
    h
        Pre-activations, shape (C, N); activations and their residuals afterwards.
    row
        Written: the observables of the pairs one after the other, then the network's.
    """
    sums, total = np.empty((SUMS, LANES)), np.empty(SUMS)
    active = np.zeros(h.shape[1] if pairing.network else 0, np.int64)
    row[:] = np.nan
    pairs = pairing.first.size
    for p in range(pairs):
        part = row[p * COLUMNS : (p + 1) * COLUMNS]
        _finish_pair(pairing, p, h, batch, sums, total, active, part)
    _finish_explicit(pairing, h, batch, active)
    if pairing.network:
        _observe_network(pairing, batch, active, row[pairs * COLUMNS :])

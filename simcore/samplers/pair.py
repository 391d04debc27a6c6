"""The pair sampler on the CPU: two signals through independent networks, without weight matrices.

Given the activations of a layer, the pre-activations of the next are exactly independent Gaussian
pairs (theory.md (2) [BD]), so a layer costs 2N normals. The state of a pair is carried in the
difference form (theory.md (4)), which keeps 1 − c accurate far below 1e-16.

Order of summation (it fixes the bytes): node i belongs to lane i mod 16 and chunk i div 512; a lane
sums its nodes of a chunk in float32 in order of i; chunk c is added to the float64 accumulator of
(slot c mod 8, lane); slots, then lanes, are added in order. Below 64 nodes all of it is float64.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from ..arithmetic import arctan2, fma32, fma64, log
from ..moments import collect, finish_block, join_blocks
from ..observables import NAMES
from ..plan import BLOCK, Point
from ..rng import (
    Stream,
    fill_words,
    normal_pair,
    split_key,
)

__all__ = [
    "CHUNK",
    "STATE",
    "Physics",
    "advance",
    "chunk_range",
    "finish_layer",
    "fold_range",
    "run_blocks",
    "start",
]

LANES = 16
SLOTS = 8
CHUNK = 512
"""Nodes whose float32 sums a lane keeps apart: 32 in each of 16 lanes."""

GROUPS = CHUNK // 2
SMALL = 64
"""Below this width everything is summed in float64."""

SUMS = 8
"""Float sums of a layer: x, x², r̄, r̄x, r̄², z₁², z₁z₂, z₂² (theory.md (4))."""

TOTALS = SUMS + 3
"""… and the counts of nodes inactive for signal 1, for signal 2 and for both."""

# Columns of the state of a trial. K₁₁ = MANTISSA · 4^POWER, and γ is in units of 2^POWER, so that
# neither growth nor decay over any depth leaves the range of float64.
MANTISSA, POWER, RHO, KAPPA, GAMMA, LIVE, SWAPPED, DIED1, DIED2 = range(9)
STATE = 9
BOTH, ONE_LEFT, NONE_LEFT = 2.0, 1.0, 0.0

Q_RANGE = (1e-150, 1e150)
"""Beyond this range q is left out (its logarithm is not): the squares of moments leave float64."""

DISTANCE_FLOOR = 1e-150
"""Below this a distance other than 0 is left out, for the same reason."""

RESCALE = 2.0**40
PARALLEL_COTANGENT = 1e30
_f32, _i32 = np.float32, np.int32
ZERO, FLAG1, FLAG2, FLAG_BOTH = _i32(0), _i32(1), _i32(1 << 8), _i32(1 << 16)
F_ZERO = _f32(0.0)
PAIR_STREAM = np.uint64(Stream.PAIR)
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
) = range(COLUMNS)
LN4 = 1.3862943611198906


class Physics(NamedTuple):
    """What a kernel needs to know of a point: scalars only.

    g, σ_w², σ_b², q₀ and 1 − c₀ as in theory.md 1; the two words of the key.
    """

    g: float
    sigma_w2: float
    sigma_b2: float
    q0: float
    distance: float
    key0: np.uint64
    key1: np.uint64

    @classmethod
    def of(cls, point: Point) -> Physics:
        """Take the scalars of a point."""
        key0, key1 = split_key(point.key)
        return cls(
            point.g,
            point.sigma_w * point.sigma_w,
            point.sigma_b * point.sigma_b,
            point.q0,
            point.distance,
            key0,
            key1,
        )


# --- the state of a pair ------------------------------------------------------------------------


@njit(nogil=True, cache=True)
def start(physics, states):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
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
        _rescale(state)


@njit(nogil=True, cache=True)
def _rescale(state):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Move powers of four from the mantissa of K₁₁ to its exponent; exact."""
    m = state[MANTISSA]
    if 1.0 / RESCALE < m < RESCALE or m == 0.0:
        return
    _, exponent = math.frexp(m)
    half = exponent // 2
    state[MANTISSA] = math.ldexp(m, -2 * half)
    state[GAMMA] = math.ldexp(state[GAMMA], -half)
    state[POWER] += half


@njit(nogil=True, cache=True, inline="always")
def _direction(state):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Return cos θ, sin θ, √K₂₂, and p/z₁, t/z₂, f of theory.md (4)."""
    x = state[KAPPA] * math.sqrt(state[MANTISSA])
    y = state[GAMMA]
    r = math.sqrt(x * x + y * y)
    if r == 0.0:
        return 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    cosine, sine = x / r, y / r
    if x > 0.0:
        cotangent = PARALLEL_COTANGENT
        if x < PARALLEL_COTANGENT * y:
            cotangent = x / y
        return cosine, sine, r, cotangent, 1.0, y
    return cosine, sine, r, cosine, sine, r


# --- one layer: draw and sum --------------------------------------------------------------------


@njit(inline="always")
def _add_node(s, z1, z2, cotangent, scale):  # type: ignore[no-untyped-def]
    """Return a lane's sums with one node added; the last packs three counts, a byte each."""
    p = _f32(cotangent * z1)
    t = _f32(scale * z2)
    active = z1 > F_ZERO
    gap = _f32(t - p)
    x = z1 if active else F_ZERO
    smaller = p if p < t else t
    negative = gap if gap < F_ZERO else F_ZERO
    r = smaller if active else negative
    inactive2 = p <= t
    flag1 = ZERO if active else FLAG1
    flag2 = FLAG2 if inactive2 else ZERO
    both = ZERO if active else (FLAG_BOTH if inactive2 else ZERO)
    return (
        _f32(s[0] + x),
        fma32(x, x, s[1]),
        _f32(s[2] + r),
        fma32(r, x, s[3]),
        fma32(r, r, s[4]),
        fma32(z1, z1, s[5]),
        fma32(z1, z2, s[6]),
        fma32(z2, z2, s[7]),
        _i32(s[8] + _i32(flag1 + _i32(flag2 + both))),
    )


@njit(inline="always")
def _load(sums, flags, lane):  # type: ignore[no-untyped-def]
    """Return a lane's sums. They are local while nodes are added, and so live in registers."""
    return (
        sums[lane],
        sums[LANES + lane],
        sums[2 * LANES + lane],
        sums[3 * LANES + lane],
        sums[4 * LANES + lane],
        sums[5 * LANES + lane],
        sums[6 * LANES + lane],
        sums[7 * LANES + lane],
        flags[lane],
    )


@njit(inline="always")
def _store(s, sums, flags, lane):  # type: ignore[no-untyped-def]
    sums[lane] = s[0]
    sums[LANES + lane] = s[1]
    sums[2 * LANES + lane] = s[2]
    sums[3 * LANES + lane] = s[3]
    sums[4 * LANES + lane] = s[4]
    sums[5 * LANES + lane] = s[5]
    sums[6 * LANES + lane] = s[6]
    sums[7 * LANES + lane] = s[7]
    flags[lane] = s[8]


@njit(nogil=True, cache=True)
def _node_normals(words, i):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Return the normals of node i of a chunk, one at a time."""
    j = i // (2 * LANES) * LANES + i % LANES
    w = 2 * (i // LANES % 2)
    return normal_pair(words[w, j], words[w + 1, j])


@njit(nogil=True, cache=True)
def chunk_sums(  # type: ignore[no-untyped-def]
    physics, trial, layer, chunk, nodes, cotangent, scale, words, sums, flags
):  # pragma: no cover - compiled
    """Draw the `nodes` ≤ 512 nodes of a chunk and sum them by lanes.

    `words` is scratch, uint32 (4, 256); the results are `sums`, float32 (SUMS · LANES,), and
    `flags`, int32 (LANES,): three counts of up to 32, a byte each.
    """
    rounds = (nodes + 2 * LANES - 1) // (2 * LANES)
    fill_words(
        words,
        chunk * GROUPS,
        rounds * LANES,
        PAIR_STREAM,
        0,
        trial,
        layer,
        physics.key0,
        physics.key1,
    )
    sums[:] = F_ZERO
    flags[:] = ZERO
    full = nodes // (2 * LANES)
    for b in range(full):
        for lane in range(LANES):
            j = b * LANES + lane
            s = _load(sums, flags, lane)
            z1, z2 = normal_pair(words[0, j], words[1, j])
            s = _add_node(s, z1, z2, cotangent, scale)
            z1, z2 = normal_pair(words[2, j], words[3, j])
            s = _add_node(s, z1, z2, cotangent, scale)
            _store(s, sums, flags, lane)
    for i in range(full * 2 * LANES, nodes):
        lane = i % LANES
        z1, z2 = _node_normals(words, i)
        s = _add_node(_load(sums, flags, lane), z1, z2, cotangent, scale)
        _store(s, sums, flags, lane)


@njit(nogil=True, cache=True)
def fold_chunk(chunk, sums, flags, accumulators):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Add a chunk's lanes to the float64 accumulators, shape (SLOTS, TOTALS, LANES)."""
    slot = accumulators[chunk % SLOTS]
    for s in range(SUMS):
        for lane in range(LANES):
            slot[s, lane] += sums[s * LANES + lane]
    for lane in range(LANES):
        packed = flags[lane]
        slot[SUMS, lane] += packed & 255
        slot[SUMS + 1, lane] += (packed >> 8) & 255
        slot[SUMS + 2, lane] += packed >> 16


@njit(nogil=True, cache=True)
def fold_slots(chunks, accumulators, totals):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Add slots, then lanes, in order; `totals` has shape (TOTALS,)."""
    first = accumulators[0]
    for slot in range(1, min(chunks, SLOTS)):
        for s in range(TOTALS):
            for lane in range(LANES):
                first[s, lane] += accumulators[slot, s, lane]
    for s in range(TOTALS):
        total = 0.0
        for lane in range(LANES):
            total += first[s, lane]
        totals[s] = total


@njit(nogil=True, cache=True)
def _small_layer(  # type: ignore[no-untyped-def]
    physics, trial, layer, width, cotangent, scale, words, totals
):  # pragma: no cover - compiled
    """Draw and sum a layer below 64 nodes in float64: nodes by lanes, then lanes, in order."""
    groups = (width + 2 * LANES - 1) // (2 * LANES) * LANES
    fill_words(words, 0, groups, PAIR_STREAM, 0, trial, layer, physics.key0, physics.key1)
    totals[:] = 0.0
    for lane in range(min(LANES, width)):
        x1 = x2 = r1 = rx = r2 = a = b = e = n1 = n2 = both = 0.0
        for i in range(lane, width, LANES):
            y1, y2 = _node_normals(words, i)
            z1, z2 = np.float64(y1), np.float64(y2)
            p, t = cotangent * z1, scale * z2
            active = z1 > 0.0
            inactive2 = p <= t
            x = z1 if active else 0.0
            r = min(p, t) if active else min(t - p, 0.0)
            x1 += x
            x2 = fma64(x, x, x2)
            r1 += r
            rx = fma64(r, x, rx)
            r2 = fma64(r, r, r2)
            a = fma64(z1, z1, a)
            b = fma64(z1, z2, b)
            e = fma64(z2, z2, e)
            n1 += 0.0 if active else 1.0
            n2 += 1.0 if inactive2 else 0.0
            both += 1.0 if inactive2 and not active else 0.0
        lane_sums = (x1, x2, r1, rx, r2, a, b, e, n1, n2, both)
        for s in range(TOTALS):
            totals[s] += lane_sums[s]


@njit(nogil=True, cache=True)
def _draw_layer(  # type: ignore[no-untyped-def]
    physics, trial, layer, width, state, scratch
):  # pragma: no cover - compiled
    """Draw a layer of one trial and leave its sums in `scratch.totals`."""
    _, _, _, cotangent, scale, _ = _direction(state)
    if width < SMALL:
        _small_layer(physics, trial, layer, width, cotangent, scale, scratch.words, scratch.totals)
        return
    chunks = (width + CHUNK - 1) // CHUNK
    scratch.accumulators[: min(chunks, SLOTS)] = 0.0
    for chunk in range(chunks):
        nodes = min(CHUNK, width - chunk * CHUNK)
        chunk_sums(
            physics,
            trial,
            layer,
            chunk,
            nodes,
            _f32(cotangent),
            _f32(scale),
            scratch.words,
            scratch.sums,
            scratch.flags,
        )
        fold_chunk(chunk, scratch.sums, scratch.flags, scratch.accumulators)
    fold_slots(chunks, scratch.accumulators, scratch.totals)


# --- one layer: observe and update --------------------------------------------------------------


@njit(nogil=True, cache=True)
def finish_layer(physics, width, totals, state, row):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Write the observables of a layer to `row` and move `state` to the next layer.

    `totals` holds the sums of the layer, of which only the counts are read where both signals are
    dead. A row is written for the state's first and second signal, which are the pair's second and
    first where `SWAPPED`.
    """
    row[:] = np.nan
    if state[LIVE] == NONE_LEFT:
        totals[SUMS:] = width
        row[Q1] = 0.0
        row[Q2] = 0.0
    if totals[SUMS] == width:
        state[DIED1] = 1.0
    if totals[SUMS + 1] == width:
        state[DIED2] = 1.0
    row[INACTIVE1] = totals[SUMS] / width
    row[INACTIVE2] = totals[SUMS + 1] / width
    row[INACTIVE_BOTH] = totals[SUMS + 2] / width
    row[DEAD1] = state[DIED1]
    row[DEAD2] = state[DIED2]
    row[DEAD_BOTH] = state[DIED1] * state[DIED2]
    swapped = state[SWAPPED] == 1.0
    if state[LIVE] > NONE_LEFT:
        cosine, sine, root2, _, _, f = _direction(state)
        _observe(width, totals, cosine, sine, root2, f, state, row)
        _update(physics, width, totals, f, state)
    if swapped:
        for first, second in ((Q1, Q2), (LOG_Q1, LOG_Q2), (INACTIVE1, INACTIVE2), (DEAD1, DEAD2)):
            row[first], row[second] = row[second], row[first]


@njit(nogil=True, cache=True)
def _observe(  # type: ignore[no-untyped-def]
    width, totals, cosine, sine, root2, f, state, row
):  # pragma: no cover - compiled
    """Write the lengths and, where both signals live, the angle in all its forms (theory.md 2)."""
    m, power = state[MANTISSA], state[POWER]
    a, b, e = totals[5] / width, totals[6] / width, totals[7] / width
    _write_length(m * a, power, row, Q1, LOG_Q1)
    if state[LIVE] == ONE_LEFT:
        row[Q2] = 0.0
        return
    x = a * cosine - b * sine
    y = 0.0 if width == 1 else sine * math.sqrt(max(0.0, a * e - b * b))
    square = x * x + y * y
    if a == 0.0 or square == 0.0:  # a float32 zero was drawn in a layer of one node
        return
    _write_length(root2 * root2 * (square / a), power, row, Q2, LOG_Q2)
    h = math.sqrt(square)
    row[CORRELATION] = x / h
    half_sine = y / math.sqrt(h * (h + x)) if x > 0.0 else math.sqrt(1.0 - x / h)
    distance = half_sine * half_sine
    if half_sine == 0.0 or distance >= DISTANCE_FLOOR:
        row[DISTANCE] = distance
    if half_sine > 0.0:
        row[LOG_DISTANCE] = 2.0 * log(half_sine)
    row[ANGLE] = arctan2(y, x)
    if totals[SUMS] < width and totals[SUMS + 1] < width:
        xx, rx, rr = totals[1] / width, totals[3] / width, totals[4] / width
        root1 = math.sqrt(m)
        across = f * root1 * math.sqrt(max(0.0, xx * rr - rx * rx))
        along = state[KAPPA] * m * xx - root1 * f * rx
        length = math.sqrt(along * along + across * across)
        if length > 0.0:
            row[COSINE] = along / length


@njit(nogil=True, cache=True)
def _write_length(q, power, row, at_q, at_log):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Write q·4^power and its logarithm; q alone is left out beyond Q_RANGE."""
    value = math.ldexp(q, int(2.0 * power))
    if Q_RANGE[0] <= value <= Q_RANGE[1] or q == 0.0:
        row[at_q] = value
    if q > 0.0:
        row[at_log] = log(q) + power * LN4


@njit(nogil=True, cache=True)
def _update(physics, width, totals, f, state):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Move the state to the next layer by theory.md (4), dead signals apart."""
    m = state[MANTISSA]
    x1, x2, r1, rx, r2 = (
        totals[0] / width,
        totals[1] / width,
        totals[2] / width,
        totals[3] / width,
        totals[4] / width,
    )
    g, w2 = physics.g, physics.sigma_w2
    a = w2 * m * max(0.0, x2 - g * x1 * x1)
    b = w2 * math.sqrt(m) * (rx - g * r1 * x1)
    d = w2 * max(0.0, r2 - g * r1 * r1)
    if width == 1 and g == 1.0:  # the only weight of a node is exactly zero
        a = b = d = 0.0
    s = math.ldexp(physics.sigma_b2, int(-2.0 * state[POWER]))
    k11 = a + s
    if k11 == 0.0:
        _first_died(f * f * d, totals[SUMS + 1] == width, state)
    else:
        _move(k11, a, b, d, s, f, width, totals, state)
    _rescale(state)


@njit(nogil=True, cache=True)
def _first_died(k22, second_died, state):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Go on with the second signal alone, in the place of the first, or with none."""
    if state[LIVE] == ONE_LEFT or second_died or k22 == 0.0:
        state[LIVE] = NONE_LEFT
        return
    state[MANTISSA] = k22
    state[LIVE] = ONE_LEFT
    state[SWAPPED] = 1.0 - state[SWAPPED]
    state[DIED1], state[DIED2] = state[DIED2], state[DIED1]
    state[RHO], state[KAPPA], state[GAMMA] = 1.0, 0.0, 0.0


@njit(nogil=True, cache=True)
def _move(k11, a, b, d, s, f, width, totals, state):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Apply theory.md (4) where the first signal lives (or the bias revives it)."""
    state[MANTISSA] = k11
    if state[LIVE] == ONE_LEFT:
        return
    kappa, rho = state[KAPPA], state[RHO]
    if totals[SUMS + 1] == width:  # φ(v) = 0 at every node: no rounding may revive it
        state[KAPPA], state[RHO] = s / k11, a / k11
        state[GAMMA] = math.sqrt(s * (a / k11))
        if s == 0.0:
            state[LIVE] = ONE_LEFT
        return
    fb = f * b
    determinant = max(0.0, a * d - b * b)
    state[KAPPA] = (kappa * a - fb + s) / k11
    state[RHO] = (rho * a + fb) / k11
    if s > 0.0:
        e = f * f * d + 2.0 * rho * fb + rho * rho * a
        state[GAMMA] = math.sqrt(max(0.0, f * f * determinant + s * e) / k11)
    elif width - totals[SUMS + 2] <= 1.0:  # a single active node makes the signals parallel
        state[GAMMA] = 0.0
    else:
        state[GAMMA] = f * math.sqrt(determinant / k11)


# --- trials and blocks --------------------------------------------------------------------------


class Scratch(NamedTuple):
    """Working arrays of one thread: see `chunk_sums` and `fold_slots`."""

    words: npt.NDArray[np.uint32]
    sums: npt.NDArray[np.float32]
    flags: npt.NDArray[np.int32]
    accumulators: npt.NDArray[np.float64]
    totals: npt.NDArray[np.float64]


@njit(nogil=True, cache=True)
def advance(  # type: ignore[no-untyped-def]
    physics, widths, first_trial, layer0, states, rows, stop, progress
):  # pragma: no cover - compiled
    """Take consecutive trials through consecutive layers.

    Parameters
    ----------
    widths
        Width of every layer, shape (depth,).
    first_trial, layer0
        Number of the first trial, and of the first layer from 0.
    states
        Shape (trial, STATE), moved on in place.
    rows
        Written: the observables, shape (trial, layer, observable), NaN where undefined.
    stop
        Shape (1,): once it is not 0 the call returns early, and its results mean nothing.
    progress
        Shape (1,): the node updates done are added.
    """
    scratch = Scratch(
        np.empty((4, GROUPS), np.uint32),
        np.empty(SUMS * LANES, np.float32),
        np.empty(LANES, np.int32),
        np.empty((SLOTS, TOTALS, LANES), np.float64),
        np.empty(TOTALS, np.float64),
    )
    for t in range(states.shape[0]):
        for j in range(rows.shape[1]):
            if stop[0] != 0:
                return
            width = widths[layer0 + j]
            if states[t, LIVE] > NONE_LEFT:
                _draw_layer(physics, first_trial + t, layer0 + j + 1, width, states[t], scratch)
            finish_layer(physics, width, scratch.totals, states[t], rows[t, j])
            progress[0] += width


@njit(nogil=True, cache=True)
def run_blocks(  # type: ignore[no-untyped-def]
    physics, widths, first_trial, trials, segment, collector, stop, progress
):  # pragma: no cover - compiled
    """Run `trials` trials from `first_trial` on, block by block, into a `moments.Collector`.

    Layers are taken `segment` at a time, which bounds the memory and changes no byte.
    """
    depth = widths.shape[0]
    states = np.empty((BLOCK, STATE))
    room = np.empty(BLOCK * min(segment, depth) * COLUMNS)
    for block in range((trials + BLOCK - 1) // BLOCK):
        n = min(BLOCK, trials - block * BLOCK)
        first = first_trial + block * BLOCK
        start(physics, states[:n])
        for layer0 in range(0, depth, segment):
            layers = min(segment, depth - layer0)
            rows = room[: n * layers * COLUMNS].reshape(n, layers, COLUMNS)
            advance(physics, widths, first, layer0, states[:n], rows, stop, progress)
            if stop[0] != 0:
                return
            collect(collector, block, layer0, rows)
        finish_block(collector, block, n)
    join_blocks(collector, (trials + BLOCK - 1) // BLOCK)


@njit(nogil=True, cache=True)
def chunk_range(  # type: ignore[no-untyped-def]
    physics, trial, layer, width, first_chunk, state, sums, flags, stop
):  # pragma: no cover - compiled
    """Sum the chunks `first_chunk` … of one layer into sums[chunk] and flags[chunk].

    The part of a layer that one thread takes where a trial is shared between threads.
    """
    _, _, _, cotangent, scale, _ = _direction(state)
    words = np.empty((4, GROUPS), np.uint32)
    for c in range(sums.shape[0]):
        if stop[0] != 0:
            return
        chunk = first_chunk + c
        nodes = min(CHUNK, width - chunk * CHUNK)
        chunk_sums(
            physics,
            trial,
            layer,
            chunk,
            nodes,
            _f32(cotangent),
            _f32(scale),
            words,
            sums[c],
            flags[c],
        )


@njit(nogil=True, cache=True)
def fold_range(sums, flags, totals):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Fold all chunks of a layer, in order."""
    accumulators = np.zeros((SLOTS, TOTALS, LANES))
    for chunk in range(sums.shape[0]):
        fold_chunk(chunk, sums[chunk], flags[chunk], accumulators)
    fold_slots(sums.shape[0], accumulators, totals)

"""The pair sampler of `rai` and `raai`: two signals, node by node from their exact law.

Given the activations of a layer, a node of the next is Gaussian about β times the activations of
the one node whose weight was replaced (theory.md (3)). So the activations of the layer before are
kept, and a layer costs O(N).

What is kept. The second signal is carried as its difference from the first one's multiple:
h₂ = κ h₁ − s for pre-activations, x₂ = κ x₁ − r for activations, where κ = K₁₂/K₁₁ is that of the
layer's full law (the one without replacement). Unlike h₁ − h₂ this keeps the angle where lengths
differ. A constant node of activation 1 stands for the bias: its r is κ − 1. From layer to layer κ
changes by −e, where e = ⟨r, x⟩/⟨x, x⟩ in the inner product of the full covariance, and every r,
the constant node's included, becomes r − e x; then the full law has no covariance between h₁ and s.

Units. x is in units of 2^`POWER_X` and r in units of 2^`POWER_R`, which follow the sums of squares
by exact powers of two: neither growth over any depth nor 1 − c down to 1e-280 leaves float64.

Rounding poses as no distance. With one active node in the layer before, or all of them parallel, r
is a multiple of x in real numbers: Σr² ≤ 1e-26 of what e x was subtracted from *is* 0. So is
the part of s across h₁ whose square is 1e-26 of s², and a variance of one node that is 2⁻⁴⁶ of what
another variance was subtracted from: an amplitude of 1e-13 of a layer, or 1e-7 of one node, is the
price. Below 64 nodes the sums without one node are formed without subtracting it.

Order of summation (it fixes the bytes): node i belongs to lane i mod 16; lanes sum in float64 over
a chunk of 512 nodes in order of i, chunks are added to the lane's total in order, lanes in order at
the end.

Counter: node i has group i to itself, in row 0. Words 0 and 1 are its two normals, word 2 gives the
replaced index ⌊w (n + 1)/2³²⌋, and word 3 its weight β = √u, u = (w' + ½)/2³¹ of the high 31 bits;
normals, u and β are float32. The rest is float64, but for the root in `_draw_signals`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from ..arithmetic import float_to_bits, fma32, fma64
from ..plan import Point
from ..rng import (
    LANES,
    ROOM,
    Stream,
    _make_normals,
    as_normal,
    fill_words,
    split_key,
)
from .observe import COSINE, LOG_Q1, LOG_Q2, Q1, Q2, write_angle, write_counts, write_length
from .random_inputs import draw_pair

__all__ = ["HEAD", "PARTS", "TOTALS", "AsymmetricPhysics", "Scratch", "advance", "scratch"]

HEAD = 11
(
    POWER_X,  # of the unit of x
    POWER_R,  # of the unit of r
    KAPPA,  # κ, in units of r per unit of x
    ONE_R,  # r of the constant node, in units of r
    DIED1,
    DIED2,
    SLOPE,  # e of which r − e x is still to be subtracted when r is read
    VARIANCE_X,  # of the full law of h₁, without the bias
    VARIANCE_R,  # … of s
    MEAN_X,  # (σ_w²/n)(g/n) times the sum of x
    MEAN_R,  # … of r
) = range(HEAD)
"""Columns of what a trial carries, before its x and r."""

PARTS = 2
"""Arrays of nodes that it carries after them: x and r."""

SUMS = 8
X1, X2, R1, RX, R2, UU, US, SS, N1, N2, BOTH = range(SUMS + 3)
TOTALS = SUMS + 3
"""Sums of a layer: of x, x², r, rx, r²; of h₁², h₁s, s²; nodes inactive for 1, for 2, for both."""

CHUNK = 512

ASYMMETRIC_STREAM = np.uint64(Stream.ASYMMETRIC)
FAN_IN_RULE = -1.0
"""Stands for the bias variance σ_w²/n."""

PARALLEL = 1e-26
TINY = 2.0**-46
EXACT_SLOPE = 1e-3
"""Where less than this of Σr² is left by e x, r − e x is formed before it is summed."""

RECOUNT = 1e-4
"""Where less than this of Σs² is across h₁, that part is summed by itself."""

SMALL = 64
"""Below this fan-in the sums without a node are formed without subtraction."""

COMFORT = 20
"""Root mean squares within 2^±20 of the unit leave it as it is."""

REACH = 440
"""κ, and the constant node, are at most 2^440 in units of r and x, so that squares stay finite."""

_u32, _u64, _i32, _f32 = np.uint32, np.uint64, np.int32, np.float32
_i64 = np.int64
SCALE_31, HALF_STEP = _f32(2.0**-31), _f32(2.0**-32)
SHIFT_1, HALF_WORD = _u32(1), _u64(32)
FIELD = 21
FLAG1, FLAG2, FLAG_BOTH = _i64(1), _i64(1 << FIELD), _i64(1 << (2 * FIELD))
FIELD_MASK = _i64((1 << FIELD) - 1)
NO_FLAG = _i64(0)
NO_FLAG32, ANY = _u32(0), _u32(1)
LOW = _u64(0xFFFFFFFF)
F_ONE = _f32(1.0)


class AsymmetricPhysics(NamedTuple):
    """What a kernel needs to know of a point: scalars only.

    g, σ_w², σ_b² (`FAN_IN_RULE` for σ_w²/n), q₀ and 1 − c₀ as in theory.md 1; the two key words.
    """

    g: float
    sigma_w2: float
    sigma_b2: float
    q0: float
    distance: float
    key0: np.uint64
    key1: np.uint64

    @classmethod
    def of(cls, point: Point) -> AsymmetricPhysics:
        """Take the scalars of a point."""
        key0, key1 = split_key(point.key)
        sigma_b2 = FAN_IN_RULE if point.sigma_b is None else point.sigma_b * point.sigma_b
        sigma_w2 = point.sigma_w * point.sigma_w
        return cls(point.g, sigma_w2, sigma_b2, point.q0, point.distance, key0, key1)


class Scratch(NamedTuple):
    """Working arrays of one thread.

    `words` uint32 (4, ROOM); `work` float64 (4 · ROOM,): x and r of the replaced nodes, then h₁
    and s; `sums` float64 (SUMS · LANES,) of a chunk, `layer` of the layer; `flags` int64 (LANES,),
    three counts packed; `which` from `_find_biases`; `totals` (TOTALS,); `others` from
    `_sums_of_others`; `x` and `r` of a layer.
    """

    words: npt.NDArray[np.uint32]
    work: npt.NDArray[np.float64]
    sums: npt.NDArray[np.float64]
    layer: npt.NDArray[np.float64]
    flags: npt.NDArray[np.int64]
    which: npt.NDArray[np.int64]
    totals: npt.NDArray[np.float64]
    others: npt.NDArray[np.float64]
    x: npt.NDArray[np.float64]
    r: npt.NDArray[np.float64]


@njit(nogil=True, cache=True)
def scratch(room):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Return working arrays for layers of fewer than `room` nodes."""
    return Scratch(
        np.empty((4, ROOM), np.uint32),
        np.empty(4 * ROOM),
        np.empty(SUMS * LANES),
        np.empty(SUMS * LANES),
        np.empty(LANES, np.int64),
        np.empty(ROOM + 1, np.int64),
        np.empty(TOTALS),
        np.empty((5, SMALL)),
        np.empty(room),
        np.empty(room),
    )


@njit(nogil=True, cache=True)
def _bias_variance(physics, n):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    return physics.sigma_b2 if physics.sigma_b2 >= 0.0 else physics.sigma_w2 / n


# --- one layer of nodes ---------------------------------------------------------------------------
# In short passes over one-dimensional arrays with constant distances, for the reasons that
# `rng._make_normals` gives.


class Law(NamedTuple):
    """The full law of a layer (theory.md (3)) in the units of its input, and what a node changes.

    `a` is (σ_w²/n)(1 + g/n); `bias_*` what the bias adds to the covariances of (h₁, s); `one_x` and
    `one_r` the constant node; the others are columns of the state.
    """

    n: int
    slope: float
    a: float
    variance_x: float
    variance_r: float
    mean_x: float
    mean_r: float
    bias_xx: float
    bias_xr: float
    bias_rr: float
    one_x: float
    one_r: float


@njit(nogil=True, cache=True)
def _law(physics, n, state):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    c = physics.sigma_w2 / n
    s = _bias_variance(physics, n)
    one_x = math.ldexp(1.0, int(-state[POWER_X]))
    one_r = state[ONE_R]
    return Law(
        n,
        state[SLOPE],
        c * (1.0 + physics.g / n),
        state[VARIANCE_X],
        state[VARIANCE_R],
        state[MEAN_X],
        state[MEAN_R],
        s * one_x * one_x,
        s * one_x * one_r,
        s * one_r * one_r,
        one_x,
        one_r,
    )


@njit(inline="always")
def _choose(flat, rounds, n):  # type: ignore[no-untyped-def]
    """Turn words 2 into replaced indices and words 3 into the bits of β."""
    choices = _u64(_u64(n + 1) & LOW)
    for b in range(rounds):
        for lane in range(LANES):
            j = b * LANES + lane
            product = _u64(_u64(flat[2 * ROOM + j]) * choices)
            flat[2 * ROOM + j] = _u32(_u64(product >> HALF_WORD))
    for b in range(rounds):
        for lane in range(LANES):
            j = b * LANES + lane
            u = fma32(_f32(_i32(_u32(flat[3 * ROOM + j] >> SHIFT_1))), SCALE_31, HALF_STEP)
            flat[3 * ROOM + j] = _u32(float_to_bits(_f32(math.sqrt(u))))


@njit(nogil=True, cache=True)
def _any_bias(flat, rounds, n):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Return whether an index is n, the bias; maybe that of a node beyond the last."""
    bias, some = _u32(n), NO_FLAG32
    for b in range(rounds):
        for lane in range(LANES):
            equal = flat[2 * ROOM + b * LANES + lane] == bias
            some = _u32(some | (ANY if equal else NO_FLAG32))
    return some != NO_FLAG32


@njit(nogil=True, cache=True)
def _gather(flat, rounds, slope, x, r, work):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Read the activations whose weights are replaced; those of the bias, at index n, are 0."""
    for b in range(rounds):
        for lane in range(LANES):
            j = b * LANES + lane
            work[j] = x[flat[2 * ROOM + j]]
    for b in range(rounds):
        for lane in range(LANES):
            j = b * LANES + lane
            work[ROOM + j] = fma64(-slope, work[j], r[flat[2 * ROOM + j]])


@njit(nogil=True, cache=True)
def _scales(law):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Return the standard deviations of the full law, and their inverses; both 0 where they are."""
    root_x = math.sqrt(law.variance_x + law.bias_xx)
    root_r = math.sqrt(law.variance_r + law.bias_rr)
    per_x = 1.0 / root_x if root_x > 0.0 else 0.0
    per_r = 1.0 / root_r if root_r > 0.0 else 0.0
    return root_x, root_r, per_x, per_r


@njit(nogil=True, cache=True, error_model="numpy")
def _draw_signals(flat, rounds, law, work):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Write (h₁, s) of nodes none of which has its bias replaced.

    Covariances are in units of the full law's variances, so that their roots can start in float32:
    1/√ is corrected by a Newton step, to 3e-14; the part of s that is independent of h₁ keeps the
    float32 root, a relative error of at most 1.2e-7.
    """
    root_x, root_r, per_x, per_r = _scales(law)
    per_xx, per_xr, per_rr = per_x * per_x, per_x * per_r, per_r * per_r
    a_xx, a_xr, a_rr = -law.a * per_xx, -law.a * per_xr, -law.a * per_rr
    mean_xx, mean_rr = 2.0 * law.mean_x * per_xx, 2.0 * law.mean_r * per_rr
    mean_xr, mean_rx = law.mean_x * per_xr, law.mean_r * per_xr
    for b in range(rounds):
        for lane in range(LANES):
            j = b * LANES + lane
            x, r = work[j], work[ROOM + j]
            xx = fma64(x, fma64(a_xx, x, mean_xx), 1.0)
            xr = fma64(x, fma64(a_xr, r, mean_rx), mean_xr * r)
            rr = fma64(r, fma64(a_rr, r, mean_rr), 1.0)
            safe = xx if xx > TINY else 1.0
            y = np.float64(_f32(F_ONE / _f32(math.sqrt(_f32(safe)))))
            y = y * fma64(-0.5 * safe, y * y, 1.5)
            y = y if xx > TINY else np.float64(0.0)
            tilt = xr * y
            rest = fma64(-tilt, tilt, rr)
            rest = rest if rest > TINY else 0.0
            width = np.float64(_f32(math.sqrt(_f32(rest))))
            beta = np.float64(as_normal(flat[3 * ROOM + j]))
            z1, z2 = np.float64(as_normal(flat[j])), np.float64(as_normal(flat[ROOM + j]))
            work[2 * ROOM + j] = fma64(root_x * (xx * y), z1, beta * x)
            work[3 * ROOM + j] = fma64(root_r, fma64(tilt, z1, width * z2), beta * r)


@njit(nogil=True, cache=True)
def _signals(  # type: ignore[no-untyped-def]
    flat, j, xx, xr, rr, least_x, at_x, at_r
):  # pragma: no cover - compiled
    """Return (h₁, s) of β (at_x, at_r) plus Gaussians of covariances xx, xr, rr."""
    beta = np.float64(as_normal(flat[3 * ROOM + j]))
    z1, z2 = np.float64(as_normal(flat[j])), np.float64(as_normal(flat[ROOM + j]))
    root = tilt = width = 0.0
    if xx > least_x:
        root = math.sqrt(xx)
        tilt = xr / root
    rest = rr - tilt * tilt
    if rest > TINY * rr:
        width = math.sqrt(rest)
    return fma64(root, z1, beta * at_x), fma64(tilt, z1, fma64(width, z2, beta * at_r))


@njit(nogil=True, cache=True)
def _find_biases(flat, nodes, n, which):  # type: ignore[no-untyped-def]  # pragma: no cover
    """List the nodes whose bias is replaced: which[1 …], and their number in which[0]."""
    which[0] = 0
    for j in range(nodes):
        if flat[2 * ROOM + j] == n:
            which[0] += 1
            which[which[0]] = j


@njit(nogil=True, cache=True)
def _draw_replaced_biases(flat, which, law, work):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Write (h₁, s) of the nodes whose bias is replaced: about one in a layer."""
    xx, xr, rr = law.variance_x, -law.bias_xr, law.variance_r
    for k in range(1, which[0] + 1):
        j = which[k]
        u, s = _signals(flat, j, xx, xr, rr, 0.0, law.one_x, law.one_r)
        work[2 * ROOM + j], work[3 * ROOM + j] = u, s


@njit(nogil=True, cache=True)
def _sums_of_others(n, x, r, others):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Write the sums of x, r, x², xr, r² over all nodes but one, shape (5, SMALL) by that one.

    From those before it and those after it: nothing cancels, however large the one is.
    """
    a = b = c = d = e = 0.0
    for j in range(n):
        others[0, j], others[1, j] = a, b
        others[2, j], others[3, j], others[4, j] = c, d, e
        xj, rj = x[j], r[j]
        a, b, c, d, e = a + xj, b + rj, c + xj * xj, d + xj * rj, e + rj * rj
    a = b = c = d = e = 0.0
    for j in range(n - 1, -1, -1):
        others[0, j] += a
        others[1, j] += b
        others[2, j] += c
        others[3, j] += d
        others[4, j] += e
        xj, rj = x[j], r[j]
        a, b, c, d, e = a + xj, b + rj, c + xj * xj, d + xj * rj, e + rj * rj


@njit(nogil=True, cache=True)
def _draw_few(  # type: ignore[no-untyped-def]
    physics, flat, nodes, law, x, r, others, work
):  # pragma: no cover - compiled
    """Write (h₁, s) where the layer before has fewer than SMALL nodes, biases replaced or not."""
    c, g = physics.sigma_w2 / law.n, physics.g / law.n
    for i in range(nodes):
        j = np.int64(flat[2 * ROOM + i])
        if j == law.n:
            xx, xr, rr = law.variance_x, -law.bias_xr, law.variance_r
            u, s = _signals(flat, i, xx, xr, rr, 0.0, law.one_x, law.one_r)
        else:
            sx, sr = others[0, j], others[1, j]
            xx = c * (others[2, j] - g * sx * sx) + law.bias_xx
            xr = c * (others[3, j] - g * sx * sr) + law.bias_xr
            rr = c * (others[4, j] - g * sr * sr) + law.bias_rr
            u, s = _signals(flat, i, xx, xr, rr, 0.0, x[j], r[j])
        work[2 * ROOM + i], work[3 * ROOM + i] = u, s


@njit(nogil=True, cache=True)
def _draw_nodes(  # type: ignore[no-untyped-def]
    physics, trial, layer, first, nodes, law, x, r, words, work, which, others
):  # pragma: no cover - compiled
    """Draw (h₁, s) of at most ROOM nodes from node `first` on, into work[2 · ROOM …]."""
    rounds = (nodes + LANES - 1) // LANES
    flat = words.reshape(4 * ROOM)
    fill_words(
        words,
        first,
        rounds * LANES,
        ASYMMETRIC_STREAM,
        0,
        trial,
        layer,
        physics.key0,
        physics.key1,
    )
    _make_normals(flat, 0, rounds)
    _choose(flat, rounds, law.n)
    if law.n < SMALL:
        if first == 0:
            _sums_of_others(law.n, x, r, others)
        _draw_few(physics, flat, nodes, law, x, r, others, work)
        return
    _gather(flat, rounds, law.slope, x, r, work)
    biases = _any_bias(flat, rounds, law.n)
    if biases:
        _find_biases(flat, nodes, law.n, which)
    _draw_signals(flat, rounds, law, work)
    if biases:
        _draw_replaced_biases(flat, which, law, work)


@njit(inline="always")
def _activate(u, s, kappa):  # type: ignore[no-untyped-def]
    """Return x, r and the packed counts of a node, never by a difference of near equals."""
    p = kappa * u
    active = u > 0.0
    inactive2 = p <= s
    gap = s - p
    x = u if active else 0.0
    smaller = p if p < s else s
    negative = gap if gap < 0.0 else 0.0
    r = smaller if active else negative
    flag1 = NO_FLAG if active else FLAG1
    flag2 = FLAG2 if inactive2 else NO_FLAG
    both = NO_FLAG if active else (FLAG_BOTH if inactive2 else NO_FLAG)
    return x, r, _i64(flag1 + _i64(flag2 + both))


@njit(inline="always")
def _add_node(c, i, u, s, kappa, x, r):  # type: ignore[no-untyped-def]
    """Return a lane's sums with one node added, and write its activations."""
    xi, ri, flag = _activate(u, s, kappa)
    x[i] = xi
    r[i] = ri
    return (
        c[0] + xi,
        fma64(xi, xi, c[1]),
        c[2] + ri,
        fma64(ri, xi, c[3]),
        fma64(ri, ri, c[4]),
        fma64(u, u, c[5]),
        fma64(u, s, c[6]),
        fma64(s, s, c[7]),
        _i64(c[8] + flag),
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
def _store(c, sums, flags, lane):  # type: ignore[no-untyped-def]
    sums[lane] = c[0]
    sums[LANES + lane] = c[1]
    sums[2 * LANES + lane] = c[2]
    sums[3 * LANES + lane] = c[3]
    sums[4 * LANES + lane] = c[4]
    sums[5 * LANES + lane] = c[5]
    sums[6 * LANES + lane] = c[6]
    sums[7 * LANES + lane] = c[7]
    flags[lane] = c[8]


@njit(nogil=True, cache=True)
def _sum_nodes(work, nodes, kappa, x, r, sums, flags):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Add nodes to the sums of their lanes, and write their activations to x and r."""
    u, s = work[2 * ROOM : 3 * ROOM], work[3 * ROOM : 4 * ROOM]
    fours = nodes // (4 * LANES)
    for b in range(fours):
        for lane in range(LANES):
            j = b * 4 * LANES + lane
            c = _load(sums, flags, lane)
            c = _add_node(c, j, u[j], s[j], kappa, x, r)
            j += LANES
            c = _add_node(c, j, u[j], s[j], kappa, x, r)
            j += LANES
            c = _add_node(c, j, u[j], s[j], kappa, x, r)
            j += LANES
            c = _add_node(c, j, u[j], s[j], kappa, x, r)
            _store(c, sums, flags, lane)
    for j in range(fours * 4 * LANES, nodes):
        lane = j % LANES
        c = _add_node(_load(sums, flags, lane), j, u[j], s[j], kappa, x, r)
        _store(c, sums, flags, lane)


@njit(nogil=True, cache=True)
def _draw_layer(  # type: ignore[no-untyped-def]
    physics, trial, layer, width, law, kappa, old_x, old_r, new_x, new_r, room
):  # pragma: no cover - compiled
    """Draw a layer: its activations go to new_x and new_r, its sums to `room.totals`."""
    words, work, which, others, sums, flags = (
        room.words,
        room.work,
        room.which,
        room.others,
        room.sums,
        room.flags,
    )
    room.layer[:] = 0.0
    room.flags[:] = 0
    for chunk in range(0, width, CHUNK):
        sums[:] = 0.0
        for first in range(chunk, min(chunk + CHUNK, width), ROOM):
            nodes = min(ROOM, width - first)
            _draw_nodes(
                physics, trial, layer, first, nodes, law, old_x, old_r, words, work, which, others
            )
            x, r = new_x[first : first + nodes], new_r[first : first + nodes]
            _sum_nodes(work, nodes, kappa, x, r, sums, flags)
        for i in range(SUMS * LANES):
            room.layer[i] += room.sums[i]
    _fold(room)


@njit(nogil=True, cache=True)
def _fold(room):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Add the lanes in order."""
    totals = room.totals
    totals[:] = 0.0
    for lane in range(LANES):
        for i in range(SUMS):
            totals[i] += room.layer[i * LANES + lane]
        packed = room.flags[lane]
        totals[N1] += packed & FIELD_MASK
        totals[N2] += (packed >> FIELD) & FIELD_MASK
        totals[BOTH] += packed >> (2 * FIELD)


@njit(nogil=True, cache=True)
def _sum_across(  # type: ignore[no-untyped-def]
    physics, trial, layer, width, law, slope, x, r, room
):  # pragma: no cover - compiled
    """Draw a layer again and return the sum of (s − slope · h₁)²."""
    words, work, which, others = room.words, room.work, room.which, room.others
    total = 0.0
    for first in range(0, width, ROOM):
        nodes = min(ROOM, width - first)
        _draw_nodes(physics, trial, layer, first, nodes, law, x, r, words, work, which, others)
        for j in range(nodes):
            across = fma64(-slope, work[2 * ROOM + j], work[3 * ROOM + j])
            total = fma64(across, across, total)
    return total


# --- what is seen of a layer ----------------------------------------------------------------------


@njit(nogil=True, cache=True)
def _across(  # type: ignore[no-untyped-def]
    physics, trial, layer, width, law, x, r, room
):  # pragma: no cover - compiled
    """Return the sum of squares of the part of s across h₁."""
    uu, us, ss = room.totals[UU], room.totals[US], room.totals[SS]
    if uu == 0.0:
        return ss
    if width == 1 or ss == 0.0:
        return 0.0
    rest = ss - us * (us / uu)
    if rest < RECOUNT * ss:
        rest = _sum_across(physics, trial, layer, width, law, us / uu, x, r, room)
    return rest if rest > PARALLEL * ss else 0.0


@njit(nogil=True, cache=True)
def _observe(width, totals, across2, state, row):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Write the observables of a layer to `row`, NaN where undefined (theory.md 3)."""
    row[:] = np.nan
    n1, n2, both = totals[N1], totals[N2], totals[BOTH]
    if n1 == width:
        state[DIED1] = 1.0
    if n2 == width:
        state[DIED2] = 1.0
    write_counts(width, n1, n2, both, state[DIED1], state[DIED2], row)
    uu, along = totals[UU], 0.0
    if uu > 0.0:
        along = (state[KAPPA] - totals[US] / uu) * math.sqrt(uu)
    vv = along * along + across2
    write_length(uu / width, state[POWER_X], row, Q1, LOG_Q1)
    write_length(vv / width, state[POWER_R], row, Q2, LOG_Q2)
    if uu == 0.0 or vv == 0.0:
        return
    write_angle(along, math.sqrt(across2), row)
    if n1 < width and n2 < width:
        xx, rx = totals[X2], totals[RX]
        along = max(0.0, state[KAPPA] * xx - rx)
        across = math.sqrt(max(0.0, xx * totals[R2] - rx * rx)) if width > 1 else 0.0
        length = math.sqrt(along * along + across * across)
        if length > 0.0:
            row[COSINE] = along / length


# --- from a layer to the law of the next ----------------------------------------------------------


@njit(nogil=True, cache=True)
def _forget_dead(n, totals, state, r):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Where a signal is dead, set κ and units to what rounding could not leave exactly."""
    dead1, dead2 = totals[X2] == 0.0, totals[N2] == n
    if dead2:
        r[:n] = 0.0
        totals[R1] = totals[RX] = totals[R2] = 0.0
        state[KAPPA], state[ONE_R], state[POWER_R] = 0.0, -1.0, 0.0
    if dead1:
        state[POWER_X] = 0.0
        state[KAPPA] = math.ldexp(1.0, int(-state[POWER_R]))
        state[ONE_R] = 0.0


@njit(nogil=True, cache=True)
def _exponent(x):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Return the binary exponent of x; far below all where x is 0."""
    if x == 0.0:
        return -100000
    return math.frexp(x)[1]


@njit(nogil=True, cache=True)
def _half_exponent(square, n):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Return the exponent of a root mean square, 0 within comfort or where it is 0."""
    if square == 0.0:
        return 0
    half = math.frexp(square / n)[1] // 2
    return half if abs(half) > COMFORT else 0


@njit(nogil=True, cache=True)
def _rescale(physics, n, totals, state, x, r):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Change the units of x and r by powers of two where they have become inconvenient."""
    bias = max(0, _exponent(_bias_variance(physics, n)) // 2 + 1)
    reach = REACH - max(0, _exponent(physics.sigma_w2) // 2)
    power_x = int(state[POWER_X])
    by_x = max(_half_exponent(totals[X2], n), bias - reach - power_x)
    kappa = _exponent(state[KAPPA]) + by_x
    by_r = _half_exponent(totals[R2], n)
    if totals[R2] == 0.0 and state[KAPPA] != 0.0:
        by_r = kappa if abs(kappa) > COMFORT else 0
    by_r = max(by_r, kappa - reach, _exponent(state[ONE_R]) + bias - reach)
    if by_x == 0 and by_r == 0:
        return
    scale_x, scale_r = math.ldexp(1.0, -by_x), math.ldexp(1.0, -by_r)
    for i in range(n):
        x[i] *= scale_x
        r[i] *= scale_r
    totals[X1] *= scale_x
    totals[X2] *= scale_x * scale_x
    totals[R1] *= scale_r
    totals[RX] *= scale_r * scale_x
    totals[R2] *= scale_r * scale_r
    state[KAPPA] = math.ldexp(state[KAPPA], by_x - by_r)
    state[ONE_R] = math.ldexp(state[ONE_R], -by_r)
    state[POWER_X] += by_x
    state[POWER_R] += by_r


@njit(nogil=True, cache=True)
def _subtract(n, slope, x, r, totals):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Form r − slope · x at every node, and sum it; 0 where it is rounding only."""
    r1 = rx = r2 = 0.0
    for i in range(n):
        ri = fma64(-slope, x[i], r[i])
        r[i] = ri
        r1 += ri
        rx = fma64(ri, x[i], rx)
        r2 = fma64(ri, ri, r2)
    if r2 <= PARALLEL * totals[R2]:
        r[:n] = 0.0
        r1 = rx = r2 = 0.0
    totals[R1], totals[RX], totals[R2] = r1, rx, r2


@njit(nogil=True, cache=True)
def _regress(physics, n, totals, state, x, r):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Move κ to the next layer: take from r the multiple of x that its full law has."""
    g, c = physics.g / n, physics.sigma_w2 / n
    s = _bias_variance(physics, n)
    one_x, one_r, kappa = math.ldexp(1.0, int(-state[POWER_X])), state[ONE_R], state[KAPPA]
    xx = c * max(0.0, totals[X2] - g * totals[X1] * totals[X1])
    xr = c * (totals[RX] - g * totals[R1] * totals[X1])
    whole = xx + s * one_x * one_x
    state[SLOPE] = 0.0
    if whole == 0.0:
        return
    slope = (xr + s * one_x * one_r) / whole
    one = math.ldexp(1.0, int(-state[POWER_R]))
    state[KAPPA] = (kappa * xx - xr + s * one_x * one) / whole
    state[ONE_R] = (one_r * xx - xr * one_x) / whole
    r2 = totals[R2] - slope * (2.0 * totals[RX] - slope * totals[X2])
    if n < SMALL or r2 < EXACT_SLOPE * totals[R2]:
        _subtract(n, slope, x, r, totals)
        return
    state[SLOPE] = slope
    totals[RX] -= slope * totals[X2]
    totals[R1] -= slope * totals[X1]
    totals[R2] = r2


@njit(nogil=True, cache=True)
def _move(physics, n, totals, state, x, r):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Make the law of the next layer of the activations x and r of n nodes, and their sums."""
    _forget_dead(n, totals, state, r)
    _rescale(physics, n, totals, state, x, r)
    _regress(physics, n, totals, state, x, r)
    g, c = physics.g / n, physics.sigma_w2 / n
    xx = totals[X2] - g * totals[X1] * totals[X1]
    rr = totals[R2] - g * totals[R1] * totals[R1]
    state[VARIANCE_X] = c * xx if xx > TINY * totals[X2] else 0.0
    state[VARIANCE_R] = c * rr if rr > TINY * totals[R2] else 0.0
    state[MEAN_X] = c * g * totals[X1]
    state[MEAN_R] = c * g * totals[R1]
    x[n] = 0.0
    r[n] = 0.0


@njit(nogil=True, cache=True)
def _start(physics, n, trial, state, x, r, room):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Draw the inputs and make the law of the first layer."""
    d = physics.distance
    draw_pair(n, physics.q0, 0, trial, physics.key0, physics.key1, room.words, x, r)
    across = -math.sqrt(d * (2.0 - d))
    totals = room.totals
    totals[:] = 0.0
    for i in range(n):
        r[i] *= across
        totals[X1] += x[i]
        totals[X2] = fma64(x[i], x[i], totals[X2])
        totals[R1] += r[i]
        totals[RX] = fma64(r[i], x[i], totals[RX])
        totals[R2] = fma64(r[i], r[i], totals[R2])
    state[:] = 0.0
    state[KAPPA], state[ONE_R] = 1.0 - d, -d
    _move(physics, n, totals, state, x, r)


@njit(nogil=True, cache=True)
def advance(  # type: ignore[no-untyped-def]
    physics, fan_ins, widths, first_trial, layer0, carried, rows, stop, progress
):  # pragma: no cover - compiled
    """Take consecutive trials through consecutive layers.

    Parameters
    ----------
    fan_ins, widths
        Of every layer, shape (depth,).
    first_trial, layer0
        Number of the first trial, and of the first layer from 0; trials start at layer 0.
    carried
        What trials carry, shape (trial, HEAD + PARTS · room), more than the nodes of any layer or
        input being the room; of one trial only, where all layers are taken in this call.
    rows
        Written: the observables, shape (trial, layer, observable), NaN where undefined.
    stop
        Shape (1,): once it is not 0 the call returns early, and its results mean nothing.
    progress
        Shape (1,): the node updates done are added.
    """
    size = (carried.shape[1] - HEAD) // PARTS
    room = scratch(size)
    for t in range(rows.shape[0]):
        place = carried[t % carried.shape[0]]
        state = place[:HEAD]
        own_x, own_r = place[HEAD : HEAD + size], place[HEAD + size : HEAD + 2 * size]
        x, r, new_x, new_r = own_x, own_r, room.x, room.r
        trial = first_trial + t
        if layer0 == 0:
            _start(physics, fan_ins[0], trial, state, x, r, room)
        for j in range(rows.shape[1]):
            if stop[0] != 0:
                return
            layer, n, width = layer0 + j + 1, fan_ins[layer0 + j], widths[layer0 + j]
            law = _law(physics, n, state)
            _draw_layer(physics, trial, layer, width, law, state[KAPPA], x, r, new_x, new_r, room)
            across2 = _across(physics, trial, layer, width, law, x, r, room)
            _observe(width, room.totals, across2, state, rows[t, j])
            _move(physics, width, room.totals, state, new_x, new_r)
            x, r, new_x, new_r = new_x, new_r, x, r
            progress[0] += width
        if rows.shape[1] % 2 == 1:
            own_x[:] = x
            own_r[:] = r

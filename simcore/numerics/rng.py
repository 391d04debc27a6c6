"""Randomness as a function: Philox4x32-10, the register of streams, and Gaussian variates.

A draw is the value of Philox at a counter under a key; nothing is carried from draw to draw. The
key is a point's (`plan.Point.key`), the counter is laid out as

======  ==============================  =====
word    high bits                       low bits
======  ==============================  =====
0       node or column group, 24        stream, 8
1       row, 32
2       trial, its low 32
3       layer (from 1), 24              trial, its high 8
======  ==============================  =====

`plan` refuses what would not fit. One Philox call gives four words: the two Gaussian pairs of two
nodes. Group g serves nodes i = 32·(g div 16) + g mod 16 and i + 16, so that sixteen lanes of a
vector, or of a GPU's warp, draw for themselves.

The functions are scalar and compile for a CPU loop, which LLVM turns into vectors, as well as for a
GPU thread. Every integer operation is cast, since Numba would widen it.
"""

from __future__ import annotations

import enum
import math

import numpy as np

from .arithmetic import float_from_bits, float_to_bits, fma32, times, wide_product
from .kernels import njit
from .lanes import LANES


class Stream(enum.IntEnum):
    """The one register of streams: the low byte of counter word 0. Numbers are never reused."""

    PAIR = 1
    """Normals of the pair sampler, by node."""

    ASYMMETRIC = 2
    """Normals, replaced index and its weight in the pair sampler of `rai` and `raai`, by node."""

    INPUT = 3
    """Components of random inputs; row: number of the input vector."""

    WEIGHT = 4
    """Explicit weights; row: node."""

    BIAS = 5
    """Biases beside explicit weights, by node."""

    REPLACEMENT = 6
    """Replaced index and its weight, by node."""

    BATCH = 7
    """Gaussian vectors behind the pre-activations of a batch; row: node."""

    REPLACED = 8
    """Rest of a replaced weight, given the pre-activations of a batch, by node."""

    GRADIENT = 9
    """Normals of the way back through a layer, by node; in the last layer the read-out's."""

    GRADIENT_BIAS = 10
    """The same normals for the bias, which counts as a node of its own."""

    BATCH_GRADIENT = 11
    """Fresh normals of the way back through a layer of a batch; row: direction of its fan-in."""

    READ_OUT = 12
    """Read-out of the last layer of a batch, by node."""


GROUP_NODES = 2
"""Nodes served by one Philox call."""

ROOM = 256
"""Groups whose normals are made at a time; their words stay in the first-level cache."""

_u32, _u64, _i32, _f32 = np.uint32, np.uint64, np.int32, np.float32
MULTIPLIER_0, MULTIPLIER_1 = _u64(0xD2511F53), _u64(0xCD9E8D57)
WEYL_0, WEYL_1 = _u64(0x9E3779B9), _u64(0xBB67AE85)
LOW, HALF_WORD, STREAM_BITS = _u64(0xFFFFFFFF), _u64(32), _u64(8)
HIGH_TRIAL = _u64(0xFF)

ONLY_ROW, ONCE = np.int64(0), np.int64(1)
"""Row of what has a single one, and 1. A literal is a type of its own, for which Numba compiles a
function again."""


def split_key(key: int) -> tuple[np.uint64, np.uint64]:
    """Return the two key words (low, high) of a 64-bit key, each in a uint64."""
    return _u64(key & 0xFFFFFFFF), _u64(key >> 32)


@njit(inline="always")
def counter_word0(group, stream):
    """Counter word 0 of a node group (24 bits) and a stream (8 bits)."""
    return _u64(_u64(_u64(group) << STREAM_BITS) | _u64(stream))


@njit(inline="always")
def counter_word3(layer, trial):
    """Counter word 3 of a layer (24 bits, from 1) and a trial (its high 8 of 40 bits)."""
    high = _u64(_u64(_u64(trial) >> HALF_WORD) & HIGH_TRIAL)
    return _u64(_u64(_u64(layer) << STREAM_BITS) | high)


@njit(inline="always")
def _round(c0, c1, c2, c3, k0, k1):
    # Words live in the low halves of 64-bit integers, and what is above them is never cleared: the
    # multiplication ignores it. That saves the shuffles between 32- and 64-bit vectors (three times
    # the speed with AVX2).
    p0 = wide_product(c0, MULTIPLIER_0)
    p1 = wide_product(c2, MULTIPLIER_1)
    return (
        _u64(_u64(_u64(p1 >> HALF_WORD) ^ c1) ^ k0),
        p1,
        _u64(_u64(_u64(p0 >> HALF_WORD) ^ c3) ^ k1),
        p0,
    )


@njit(inline="always")
def philox(c0, c1, c2, c3, k0, k1):
    """Philox4x32-10 (Salmon et al., SC 2011; Random123).

    Counter and key words are uint64 below 2³². Returns four uint64 whose *low 32 bits* are the
    output words; the high bits are arbitrary.
    """
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    k0, k1 = _u64(k0 + WEYL_0), _u64(k1 + WEYL_1)
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    k0, k1 = _u64(k0 + WEYL_0), _u64(k1 + WEYL_1)
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    k0, k1 = _u64(k0 + WEYL_0), _u64(k1 + WEYL_1)
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    k0, k1 = _u64(k0 + WEYL_0), _u64(k1 + WEYL_1)
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    k0, k1 = _u64(k0 + WEYL_0), _u64(k1 + WEYL_1)
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    k0, k1 = _u64(k0 + WEYL_0), _u64(k1 + WEYL_1)
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    k0, k1 = _u64(k0 + WEYL_0), _u64(k1 + WEYL_1)
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    k0, k1 = _u64(k0 + WEYL_0), _u64(k1 + WEYL_1)
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    k0, k1 = _u64(k0 + WEYL_0), _u64(k1 + WEYL_1)
    return _round(c0, c1, c2, c3, k0, k1)


@njit(nogil=True, cache=True)
def fill_words(words, first_group, groups, stream, row, trial, layer, k0, k1):
    """Write the words of `groups` node groups to words[word, group], shape (4, groups or more)."""
    c1 = _u64(row)
    c2 = _u64(_u64(trial) & LOW)
    c3 = counter_word3(layer, trial)
    for j in range(groups):
        w0, w1, w2, w3 = philox(counter_word0(first_group + j, stream), c1, c2, c3, k0, k1)
        words[0, j] = _u32(w0)
        words[1, j] = _u32(w1)
        words[2, j] = _u32(w2)
        words[3, j] = _u32(w3)


# Coefficients by a weighted minimax fit (bench/fit_polynomials.py), relative errors before
# rounding to float32 in brackets.
# -2 ln(1 + f) = -2f + f² (L0 + L1 f + …), |f| ≤ 1/3 [2.6e-8]
L0, L1, L2, L3, L4, L5, L6, L7 = (
    _f32(0.9999987215730142),
    _f32(-0.6666639627717839),
    _f32(0.5001563780890734),
    _f32(-0.40022337135921766),
    _f32(0.32831921147160364),
    _f32(-0.2799161703034633),
    _f32(0.3077708156152204),
    _f32(-0.2805270246002486),
)
# sin a = a + a³ (S0 + S1 a² + S2 a⁴), |a| ≤ π/4 [3.6e-9]
S0, S1, S2 = _f32(-0.16666654943681805), _f32(0.00833217814523127), _f32(-0.00019517298882242)
# cos a = 1 + a² (C0 + C1 a² + C2 a⁴), |a| ≤ π/4 [3.9e-8]
C0, C1, C2 = _f32(-0.49999884745691947), _f32(0.04165577703327305), _f32(-0.0013591853461452)

TWO_THIRDS_BITS, EXPONENT_MASK = _i32(0x3F2AAAAB), _i32(-8388608)
MINUS_TWO_LN2 = _f32(-2.0 * math.log(2.0) * 2.0**-23)
ONE, MINUS_TWO = _f32(1.0), _f32(-2.0)
SCALE_31, HALF_STEP = _f32(2.0**-31), _f32(2.0**-32)
ANGLE_SCALE = _f32(math.pi / 2.0**33)
SHIFT_1, SHIFT_2 = _u32(1), _u32(2)
SIGN_BIT, SWAP_BIT, NO_BIT = _i32(-2147483648), _i32(0x40000000), _i32(0)


@njit(inline="always")
def _minus_two_log(u):
    """−2 ln u of a normal float32 in (0, 1]."""
    bits = float_to_bits(u)
    exponent = _i32(_i32(bits - TWO_THIRDS_BITS) & EXPONENT_MASK)
    f = _f32(float_from_bits(_i32(bits - exponent)) - ONE)
    f2 = times(f, f)
    f4 = times(f2, f2)
    low = fma32(fma32(L3, f, L2), f2, fma32(L1, f, L0))
    high = fma32(fma32(L7, f, L6), f2, fma32(L5, f, L4))
    series = fma32(f2, fma32(high, f4, low), times(MINUS_TWO, f))
    return fma32(_f32(exponent), MINUS_TWO_LN2, series)


@njit(inline="always")
def uniform_of(word):
    """Return u = (w + ½)/2³¹, in (0, 1], of the high 31 bits w of a uint32 word, in float32."""
    return fma32(_f32(_i32(_u32(word >> SHIFT_1))), SCALE_31, HALF_STEP)


@njit(inline="always")
def _squared_radius(word):
    """−2 ln u, float32, of a uint32 word: see `uniform_of`."""
    return _minus_two_log(uniform_of(word))


@njit(inline="always")
def angle_of(word):
    """Angle in the low thirty bits of a uint32 word, float32, in [−π/4, π/4)."""
    return times(_f32(_i32(_u32(word << SHIFT_2))), ANGLE_SCALE)


@njit(inline="always")
def signed_radius(r, word):
    """Give a radius the sign in the highest bit of a uint32 word."""
    return float_from_bits(_i32(float_to_bits(r) | _i32(_i32(word) & SIGN_BIT)))


@njit(inline="always")
def swapped(r, sine, cosine, word):
    """Two normals of a `signed_radius` and the `angle_of` a word; another bit swaps them."""
    swap = _i32(_i32(word) & SWAP_BIT) != NO_BIT
    first = sine if swap else cosine
    second = cosine if swap else sine
    return times(r, first), times(r, second)


@njit(inline="always")
def _turned(squared_radius, word):
    """Two normals of a squared radius and the angle in a uint32 word."""
    r = signed_radius(_f32(math.sqrt(squared_radius)), word)
    a = angle_of(word)
    a2 = times(a, a)
    sine = fma32(times(fma32(fma32(S2, a2, S1), a2, S0), a2), a, a)
    cosine = fma32(fma32(fma32(C2, a2, C1), a2, C0), a2, ONE)
    return swapped(r, sine, cosine, word)


@njit(inline="always")
def normal_pair(radius_word, angle_word):
    """Two independent standard normals (float32) from two uint32 words, by Box–Muller.

    The radius takes 31 bits, u = (w + ½)/2³¹ rounded to float32, so |z| < 6.67: a mass of 2.3e-10
    of the radius lies beyond, and u is 1, which gives the pair (0, 0), for 2⁻²⁵ of the words. Of
    the other word one bit is the sign of both, one swaps them, and thirty are an angle in
    [−π/4, π/4): together the whole circle, with both coordinates accurate near zero.

    Each is within 5 ulp of Box–Muller on the rounded u and the exact angle: 4.9 is the worst that a
    directed search over all radius and angle words found, 4 the worst of random words.
    """
    return _turned(_squared_radius(radius_word), angle_word)


@njit(inline="always")
def as_normal(word):
    """Read back the float32 that `fill_normals` has left in a uint32 word."""
    return float_from_bits(_i32(word))


@njit(inline="always")
def _make_normals(flat, start, rounds):
    """Turn words[start …] and words[start + ROOM …] into the bits of normals, in place.

    In short passes, since a processor overlaps few steps of one long loop: a fifth faster than
    `normal_pair` at every node, and the same bits. Distances and inner bounds are constants; else
    LLVM could rule out neither overlap nor negative indices, and would not vectorise.
    """
    for b in range(rounds):
        for lane in range(LANES):
            j = start + b * LANES + lane
            flat[j] = _u32(float_to_bits(_squared_radius(flat[j])))
    for b in range(rounds):
        for lane in range(LANES):
            j = start + b * LANES + lane
            first, second = _turned(as_normal(flat[j]), flat[ROOM + j])
            flat[j] = _u32(float_to_bits(first))
            flat[ROOM + j] = _u32(float_to_bits(second))


@njit(nogil=True, cache=True)
def fill_normals(words, first_group, rounds, stream, row, trial, layer, k0, k1):
    """Write the normals of 16 · `rounds` node groups as bits to words[·, group], shape (4, ROOM).

    Rows 0 and 1 are the pair of a group's first node, 2 and 3 that of its second: `as_normal` reads
    them.
    """
    fill_words(words, first_group, rounds * LANES, stream, row, trial, layer, k0, k1)
    flat = words.reshape(4 * ROOM)
    _make_normals(flat, 0, rounds)
    _make_normals(flat, 2 * ROOM, rounds)

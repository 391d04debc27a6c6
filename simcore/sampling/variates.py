"""Standardised variates of every weight law, and random choices, as functions of a Philox counter.

A law takes one or two words per variate. Column c of a row has

=====================================  ==========================  ===============================
law                                    group                       words
=====================================  ==========================  ===============================
normal, uniform, rademacher, laplace   16·(c div 64) + c mod 16    word (c mod 64) div 16
student, bernoulli                     16·(c div 32) + c mod 16    two; v = (c mod 32) div 16
=====================================  ==========================  ===============================

and so does not depend on the length of the row. Normals come from the pairs of words (0, 1) and
(2, 3), as in `rng.fill_normals`; Student's t from words 2v and 2v + 1; the sparse normal from
normal v of words 0 and 1, kept or not by word 2 + v.
"""

from __future__ import annotations

import math

import numpy as np

from simcore.numerics.arithmetic import float_from_bits, float_to_bits, fma32, times
from simcore.numerics.kernels import njit
from simcore.numerics.lanes import LANES
from simcore.numerics.rng import (
    ONLY_ROW,
    ROOM,
    _make_normals,
    _squared_radius,
    _turned,
    as_normal,
    fill_words,
)
from simcore.physics.weight_laws import BERNOULLI, NORMAL, RADEMACHER, STUDENT, UNIFORM

_u32, _i32, _u64, _f32, _f64 = np.uint32, np.int32, np.uint64, np.float32, np.float64

WORDS = 4
"""Of a group."""

SINGLES, PAIRS = WORDS * LANES, 2 * LANES
"""Columns served by sixteen groups, with one word each and with two."""

SIGN = _u32(0x80000000)
SIGN_SHIFT = _u32(31)
ONE_BITS = _u32(0x3F800000)
UNIFORM_SCALE, UNIFORM_HALF = _f32(math.sqrt(3.0) * 2.0**-31), _f32(math.sqrt(3.0) * 2.0**-32)
LAPLACE_SCALE = _f32(math.sqrt(0.125))
F_ZERO, F_ONE, F_HALF = _f32(0.0), _f32(1.0), _f32(0.5)

LOG2_E = _f32(math.log2(math.e))
LN2_HIGH = _f32(355.0 / 512.0)
LN2_LOW = _f32(math.log(2.0) - 355.0 / 512.0)
"""ln 2 in two parts; small multiples of the first are exact in float32."""

EXPONENT_BIAS, EXPONENT_SHIFT = _i32(127), _i32(23)
E2, E3, E4, E5, E6, E7 = (_f32(1.0 / math.factorial(n)) for n in range(2, 8))

WORD = 2.0**32
PART = 2.0**-32
HALF = 0.5
HALF_WORD = _u64(32)


# --- one variate ----------------------------------------------------------------------------------


@njit(inline="always")
def _uniform(word):
    """√3 (2u − 1), float32, u = (w + ½)/2³²; accurate near zero."""
    return fma32(_f32(_i32(_u32(word ^ SIGN))), UNIFORM_SCALE, UNIFORM_HALF)


@njit(inline="always")
def _rademacher(word):
    """1, or −1 where the top bit is set."""
    return float_from_bits(_i32(_u32(_u32(word & SIGN) | ONE_BITS)))


@njit(inline="always")
def _laplace(word):
    """−ln(u)/√2 of the high 31 bits (`rng.normal_pair`'s u), negative where the last bit is set."""
    magnitude = times(_squared_radius(word), LAPLACE_SCALE)
    return float_from_bits(_i32(float_to_bits(magnitude) | _i32(_u32(word << SIGN_SHIFT))))


@njit(inline="always")
def _expm1_product(s, high, low):
    """exp(s·(high + low)) − 1, float32, for a product in [0, 80].

    n ln 2 is subtracted from the product, with its rounding. The rest is below 0.35, where the
    seven-term Taylor series has a relative error of 2e-8.
    """
    n = _i32(fma32(times(s, high), LOG2_E, F_HALF))
    twos = _f32(n)
    r = fma32(s, high, _f32(-times(twos, LN2_HIGH)))
    r = fma32(s, low, fma32(_f32(-twos), LN2_LOW, r))
    p = fma32(E7, r, E6)
    p = fma32(p, r, E5)
    p = fma32(p, r, E4)
    p = fma32(p, r, E3)
    p = fma32(p, r, E2)
    p = fma32(times(r, r), p, r)
    power = float_from_bits(_i32(_i32(n + EXPONENT_BIAS) << EXPONENT_SHIFT))
    return fma32(power, p, _f32(power - F_ONE))


@njit(nogil=True, cache=True)
def law_constants(law, parameter):
    """Return high, low, scale and last_kept, the constants of Student's t and the sparse normal.

    `student` takes 1/ν in two parts, high and low, and ν − 2 as its scale; `sparse` takes the scale
    1/√P and the largest word that is kept. Other laws have zeros.
    """
    high = low = scale = F_ZERO
    last_kept = _u32(0)
    if law == STUDENT:
        inverse = 1.0 / parameter
        high = _f32(inverse)
        low = _f32(inverse - _f64(high))
        scale = _f32(parameter - 2.0)
    elif law == BERNOULLI:
        kept = math.ceil(parameter * WORD)
        scale = _f32(math.sqrt(WORD / kept))
        last_kept = _u32(kept - 1)
    return high, low, scale, last_kept


@njit(inline="always")
def single(word, law):
    """Return the uniform, Rademacher or Laplace variate of a word."""
    if law == UNIFORM:
        return _uniform(word)
    if law == RADEMACHER:
        return _rademacher(word)
    return _laplace(word)


@njit(inline="always")
def _student_square(squared_radius, high, low, scale):
    return times(scale, _expm1_product(squared_radius, high, low))


@njit(inline="always")
def student(radius_word, angle_word, high, low, scale):
    """Return Student's t of two words.

    Bailey's polar form (Math. Comp. 62, 779 (1994)): √(ν (U^(−2/ν) − 1)) cos 2πV has the law, and
    U^(−2/ν) − 1 = exp(−2 ln U/ν) − 1; `scale` is ν − 2, and `high` + `low` is 1/ν.
    """
    square = _student_square(_squared_radius(radius_word), high, low, scale)
    first, _ = _turned(square, angle_word)
    return first


@njit(inline="always")
def sparse(normal, word, last_kept, scale):
    """Return the scaled normal, or 0 where the word is above `last_kept`."""
    return times(scale, normal) if word <= last_kept else F_ZERO


@njit(inline="always")
def choice(index_word, beta_word, choices):
    """Return ⌊w choices/2³²⌋ of a word, int64, and √((w + ½)/2³²) of another."""
    product = _u64(_u64(index_word) * choices)
    beta = math.sqrt(times(_f64(beta_word) + HALF, PART))
    return np.int64(_u64(product >> HALF_WORD)), beta


# --- sixteen groups at a time ---------------------------------------------------------------------
# In place and in short passes over one-dimensional words with constant distances: see
# `rng._make_normals`.


@njit(nogil=True, cache=True)
def _make_singles(flat, rounds, law):
    """Turn all four rows of words into uniform, Rademacher or Laplace variates."""
    for w in range(4):
        row = flat[w * ROOM : (w + 1) * ROOM]
        for j in range(rounds * LANES):
            row[j] = _u32(float_to_bits(single(row[j], law)))


@njit(inline="always")
def _make_student(flat, start, rounds, high, low, scale):
    """Turn words[start …] and words[start + ROOM …] into `student` in words[start …]."""
    for b in range(rounds):
        for lane in range(LANES):
            j = start + b * LANES + lane
            flat[j] = _u32(float_to_bits(_squared_radius(flat[j])))
    for b in range(rounds):
        for lane in range(LANES):
            j = start + b * LANES + lane
            square = _student_square(as_normal(flat[j]), high, low, scale)
            flat[j] = _u32(float_to_bits(square))
    for b in range(rounds):
        for lane in range(LANES):
            j = start + b * LANES + lane
            first, _ = _turned(as_normal(flat[j]), flat[ROOM + j])
            flat[j] = _u32(float_to_bits(first))


@njit(inline="always")
def _make_sparse(flat, rounds, last_kept, scale):
    """Keep the scaled normals whose words in rows 2 and 3 are small enough; leave rows 0 and 2."""
    for b in range(rounds):
        for lane in range(LANES):
            j = b * LANES + lane
            first = sparse(as_normal(flat[j]), flat[2 * ROOM + j], last_kept, scale)
            second = sparse(as_normal(flat[ROOM + j]), flat[3 * ROOM + j], last_kept, scale)
            flat[j] = _u32(float_to_bits(first))
            flat[2 * ROOM + j] = _u32(float_to_bits(second))


@njit(nogil=True, cache=True)
def make_variates(words, rounds, law, parameter):
    """Turn the words of 16 · `rounds` groups, shape (4, ROOM), into the bits of variates, in place.

    Student's t and the sparse normal end in rows 0 and 2, the others in all four. Bernoulli's
    P is rounded up to a multiple of 2⁻³², and the scale is that of the rounded P. Student's t is
    within 1e-6, relative, of Bailey's form on the rounded u and the exact angle of
    `rng.normal_pair`, uniform and Laplace variates are within 3e-7 of the exact ones.
    """
    flat = words.reshape(4 * ROOM)
    high, low, scale, last_kept = law_constants(law, parameter)
    if law == NORMAL:
        _make_normals(flat, 0, rounds)
        _make_normals(flat, 2 * ROOM, rounds)
    elif law == STUDENT:
        _make_student(flat, 0, rounds, high, low, scale)
        _make_student(flat, 2 * ROOM, rounds, high, low, scale)
    elif law == BERNOULLI:
        _make_normals(flat, 0, rounds)
        _make_sparse(flat, rounds, last_kept, scale)
    else:
        _make_singles(flat, rounds, law)


@njit(inline="always")
def _take_lanes(flat, j, out, c):
    """Copy sixteen variates: all loads before all stores, so that LLVM may use whole vectors."""
    v0, v1, v2, v3 = flat[j], flat[j + 1], flat[j + 2], flat[j + 3]
    v4, v5, v6, v7 = flat[j + 4], flat[j + 5], flat[j + 6], flat[j + 7]
    v8, v9, v10, v11 = flat[j + 8], flat[j + 9], flat[j + 10], flat[j + 11]
    v12, v13, v14, v15 = flat[j + 12], flat[j + 13], flat[j + 14], flat[j + 15]
    out[c], out[c + 1], out[c + 2], out[c + 3] = v0, v1, v2, v3
    out[c + 4], out[c + 5], out[c + 6], out[c + 7] = v4, v5, v6, v7
    out[c + 8], out[c + 9], out[c + 10], out[c + 11] = v8, v9, v10, v11
    out[c + 12], out[c + 13], out[c + 14], out[c + 15] = v12, v13, v14, v15


@njit(inline="always")
def _take(made, rows, out):
    """Copy variates in the order of columns; 2 or all 4 of the rows hold them, a constant."""
    block, step = rows * LANES, WORDS // rows * ROOM
    whole = out.size // block
    for b in range(whole):
        for v in range(rows):
            _take_lanes(made, v * step + b * LANES, out, b * block + v * LANES)
    for c in range(whole * block, out.size):
        out[c] = made[c % block // LANES * step + whole * LANES + c % LANES]


@njit(nogil=True, cache=True)
def fill_variates(out, law, parameter, words, stream, row, trial, layer, k0, k1):
    """Write the standardised variates of the columns 0, 1, … of a row to `out`.

    The value of a column does not depend on their number. `law` is `WeightLaw.code`; `words` is
    scratch, shape (4, ROOM); counter and key are as for `rng.fill_words`.
    """
    rows = 2 if law in (STUDENT, BERNOULLI) else WORDS
    block = rows * LANES
    room = ROOM // LANES * block
    made = words.reshape(WORDS * ROOM).view(np.float32)
    for start in range(0, out.size, room):
        part = out[start : start + room]
        rounds = (part.size + block - 1) // block
        first_group = start // block * LANES
        fill_words(words, first_group, rounds * LANES, stream, row, trial, layer, k0, k1)
        make_variates(words, rounds, law, parameter)
        if rows == WORDS:
            _take(made, WORDS, part)
        else:
            _take(made, 2, part)


# --- choices --------------------------------------------------------------------------------------


@njit(nogil=True, cache=True)
def fill_choices(index, beta, n, stream, trial, layer, k0, k1, words):
    """Write the replaced index and the weight in its place of every node, theory.md (3).

    Node i takes words 2v and 2v + 1, v = (i mod 32) div 16, of group 16·(i div 32) + i mod 16, in
    row 0. `index`, shape (nodes,), is uniform on 0 … n, ⌊w (n + 1)/2³²⌋, so that probabilities
    differ by 2⁻³²; the fan-in n, below 2³², itself stands for the bias. `beta`, (nodes,), are
    Beta(2,1) draws √((w + ½)/2³²). Scratch, counter and key are as for `fill_variates`.
    """
    choices = _u64(_u64(n) + _u64(1))
    room = ROOM // LANES * PAIRS
    for start in range(0, index.size, room):
        nodes = min(index.size - start, room)
        rounds = (nodes + PAIRS - 1) // PAIRS
        first_group = start // PAIRS * LANES
        fill_words(words, first_group, rounds * LANES, stream, ONLY_ROW, trial, layer, k0, k1)
        for i in range(nodes):
            group = i // PAIRS * LANES + i % LANES
            v = i % PAIRS // LANES
            index[start + i], beta[start + i] = choice(
                words[2 * v, group], words[2 * v + 1, group], choices
            )

"""Control variates of networks, from layer to layer (theory.md (9) to (11)).

Along a path that no network touches, A, B and second derivatives of the update (4) are numbers
(`path`). Per network δ, Z and ε of theory.md 6 are carried, each with mean exactly 0. What a layer
needs is O(1) beside its O(N) draws.

The equations are a list of steps, each of which adds a coefficient times a row, or times the
product of two, to a row (`STEPS`); a pass takes some of them (`program_of`). A row has a number of
each network, in lanes: 64 of a block on a CPU, where a pass is a vector loop, and a single one in a
thread of a GPU. As one loop over passes they compile in a fraction of the time that they take
written out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simcore.numerics.arithmetic import log, times
from simcore.numerics.kernels import njit
from simcore.physics.observables import CONTROLLED, NAMES
from simcore.sampling import row as shown
from simcore.statistics.blocks import BLOCK

from .node_law import node_law, x_law
from .own_law import TERMS as LOST_TERMS
from .own_law import log_shift, mean_correlation

Floats = npt.NDArray[np.float64]
Steps = npt.NDArray[np.int32]

STATES, AVERAGES, OWN = 3, 5, 3
"""Numbers of a state (ln K₁₁, λ/h, t), of node averages, of a layer's own sampling w."""

PAIRS3, PAIRS5 = 6, 15
"""Numbers of a symmetric matrix, row by row up to the diagonal."""

T = STATES - 1
"""Place of t in a state."""

SCALARS = 4
"""Quantities of which observables are functions: ln K₁₁, ln K₂₂, t of the layer, of activations."""

OF_ACTIVATIONS = SCALARS - 1
"""The last one's own noise is that of ⟨x²⟩, ⟨r̄x⟩, ⟨r̄²⟩; that of the others is w."""

EVERY, NOISY = (0, 1, 2), (1, 3, 4)
"""All of w; and the node averages on which the angle between activations depends."""

SOURCE = (0, 1, 0, 1, 4, 4, 2, 2, 3, 4)
"""The scalar that each of `CONTROLLED` is a function of; 4 is the state's own θ."""

COLUMNS = tuple(NAMES.index(name) for name in CONTROLLED)
"""Columns of the same."""

INACTIVE = CONTROLLED.index("inactive_both")
"""Its conditional mean (π − θ)/(2π) takes its place, θ of the network's own state."""

CORRELATION, DISTANCE = CONTROLLED.index("correlation"), CONTROLLED.index("distance")
"""Their conditional means given θ take their places (`own_law`)."""

LENGTHS = 4
"""The first of `CONTROLLED` are q and ln q of both signals.

Their conditional means, K and ln K + E ln(χ²/N), take their places."""

PER_TURN = 0.5 / math.pi

_u64: Any = np.uint64

# Places of the coefficients of a layer. Second derivatives are halved on the diagonal, so that a
# quadratic form is a sum over the places of a symmetric matrix.
A = 0
B = A + STATES * STATES
STATE_STATE = B + STATES * AVERAGES
STATE_NODES = STATE_STATE + STATES * PAIRS3
NODES_NODES = STATE_NODES + STATES * STATES * AVERAGES
SCALAR = NODES_NODES + STATES * PAIRS5
# Of a scalar: slopes along the state; the half second derivative along t; slopes along its own
# noise, and their derivatives along t; its half second derivatives along the noise; products of the
# slopes, twice those of two different ones.
SLOPE, BEND, NOISE, MIXED, NOISE_NOISE, SLOPE_SLOPE, NOISE_2 = 0, 3, 4, 7, 10, 16, 22
OF_SCALAR = 28
OBSERVED = SCALAR + SCALARS * OF_SCALAR
"""Coefficients of the first-order, second-order and quadratic control of each observable."""
ONE = OBSERVED + 3 * len(CONTROLLED)
TWO, MINUS, PER_NODE, PER_NODE_2, ZERO = ONE + 1, ONE + 2, ONE + 3, ONE + 4, ONE + 5
"""Constants 1, 2, −1; then −1/N, −2/N; and 0."""
LOST = ONE + 6
"""Numbers of the mean correlation (`own_law.lost_terms`)."""
COEFFICIENTS = LOST + LOST_TERMS

# Rows. What samplers give of a network (`row.FEATURES`): cos θ, sin θ, M and w; M becomes M − μ(θ).
COS, SIN, FIRST_MEAN, FIRST_OWN = 0, 1, 2, 2 + AVERAGES
SEEN = FIRST_OWN + OWN
THETA = SEEN
"""θ; then μ(θ) and Σ(θ) of a node."""
MEAN, SIGMA, ONES = THETA + 1, THETA + 1 + AVERAGES, THETA + 1 + AVERAGES + PAIRS5
DELTA = ONES + 1
"""δ, ε and Z, which are carried."""
EPSILON, SQUARE = DELTA + STATES, DELTA + 2 * STATES
CARRIED = 2 * STATES + PAIRS3
EXCESS = DELTA + CARRIED
"""m mᵀ − Σ/N."""
OWN_OWN = EXCESS + PAIRS5
"""w wᵀ − diag(2, 1, 2)/N."""
ALONG = OWN_OWN + PAIRS3
"""A δ, B m, A Z and B (m mᵀ − Σ/N)."""
ACROSS = ALONG + STATES
A_SQUARE = ACROSS + STATES
B_EXCESS = A_SQUARE + STATES * STATES
AFTER = B_EXCESS + STATES * AVERAGES
"""The next layer's δ, ε and Z."""
PART = AFTER + CARRIED
"""X_s δ and X_w w of each scalar."""
SCALAR_ROWS = PART + 2 * SCALARS
"""First-order, second-order and quadratic control of each scalar and of θ."""
CONTROL = SCALAR_ROWS + 3 * (SCALARS + 1)
"""Control of each of `CONTROLLED`."""
NOTHING = CONTROL + len(CONTROLLED)
"""Zeros."""
SHARE = NOTHING + 1
"""⟨h²⟩/K of the two signals, and its logarithm less the mean of that."""
ROWS = SHARE + 4

TERMS = 4
"""Terms of one pass over a row, a sum of up to so many."""


class Step(NamedTuple):
    """Adds coefficient `by` times row `of` times row `and_of` to row `to`."""

    to: int
    by: int
    of: int
    and_of: int = ONES


def _place(i: int, j: int) -> int:
    """Return the place of an element of a symmetric matrix."""
    return i * (i + 1) // 2 + j if i >= j else j * (j + 1) // 2 + i


def _below(n: int) -> Iterator[tuple[int, int, int]]:
    """Yield the places of a symmetric matrix of n rows, with row and column."""
    for i in range(n):
        for j in range(i + 1):
            yield _place(i, j), i, j


def _deviations() -> Iterator[Step]:
    """Yield the steps to m, m mᵀ − Σ/N and w wᵀ − diag(2, 1, 2)/N."""
    for i in range(AVERAGES):
        yield Step(FIRST_MEAN + i, MINUS, MEAN + i)
    for place, i, j in _below(AVERAGES):
        yield Step(EXCESS + place, ONE, FIRST_MEAN + i, FIRST_MEAN + j)
        yield Step(EXCESS + place, PER_NODE, SIGMA + place)
    for place, i, j in _below(OWN):
        yield Step(OWN_OWN + place, ONE, FIRST_OWN + i, FIRST_OWN + j)
        if i == j:
            yield Step(OWN_OWN + place, PER_NODE if i == 1 else PER_NODE_2, ONES)


def _scalar(number: int) -> Iterator[Step]:
    """Yield the steps to the three controls of a scalar (theory.md (11))."""
    k, along, own = SCALAR + number * OF_SCALAR, PART + 2 * number, PART + 2 * number + 1
    one, two, quadratic = (SCALAR_ROWS + 3 * number + order for order in range(3))
    noise, squares, chosen = FIRST_OWN, OWN_OWN, EVERY
    if number == OF_ACTIVATIONS:
        noise, squares, chosen = FIRST_MEAN, EXCESS, NOISY
    for i in range(STATES):
        yield Step(along, k + SLOPE + i, DELTA + i)
        yield Step(two, k + SLOPE + i, EPSILON + i)
    yield Step(two, k + BEND, SQUARE + _place(T, T))
    for i in range(OWN):
        yield Step(own, k + NOISE + i, noise + chosen[i])
        yield Step(two, k + MIXED + i, DELTA + T, noise + chosen[i])
    for place, i, j in _below(STATES):
        yield Step(quadratic, k + SLOPE_SLOPE + place, SQUARE + place)
        square = squares + _place(chosen[i], chosen[j])
        yield Step(two, k + NOISE_NOISE + place, square)
        yield Step(quadratic, k + NOISE_2 + place, square)
    yield Step(one, ONE, along)
    yield Step(one, ONE, own)
    yield Step(quadratic, TWO, along, own)


def _observables() -> Iterator[Step]:
    """Yield the steps to the control of each observable."""
    for order, row in enumerate((DELTA + T, EPSILON + T, SQUARE + _place(T, T))):
        yield Step(SCALAR_ROWS + 3 * SCALARS + order, ONE, row)
    for i, scalar in enumerate(SOURCE):
        for order in range(3):
            yield Step(CONTROL + i, OBSERVED + 3 * i + order, SCALAR_ROWS + 3 * scalar + order)


def _next_layer() -> Iterator[Step]:
    """Yield the steps to the next layer's δ, ε and Z (theory.md (9), (10))."""
    for n in range(STATES):
        for i in range(STATES):
            a = A + n * STATES + i
            yield Step(ALONG + n, a, DELTA + i)
            yield Step(AFTER + STATES + n, a, EPSILON + i)
            for j in range(STATES):
                yield Step(A_SQUARE + n * STATES + j, a, SQUARE + _place(i, j))
        for i in range(AVERAGES):
            b = B + n * AVERAGES + i
            yield Step(ACROSS + n, b, FIRST_MEAN + i)
            for j in range(AVERAGES):
                yield Step(B_EXCESS + n * AVERAGES + j, b, EXCESS + _place(i, j))
        for place in range(PAIRS3):
            yield Step(AFTER + STATES + n, STATE_STATE + n * PAIRS3 + place, SQUARE + place)
        for i in range(STATES):
            for j in range(AVERAGES):
                by = STATE_NODES + (n * STATES + i) * AVERAGES + j
                yield Step(AFTER + STATES + n, by, DELTA + i, FIRST_MEAN + j)
        for place in range(PAIRS5):
            yield Step(AFTER + STATES + n, NODES_NODES + n * PAIRS5 + place, EXCESS + place)
        yield Step(AFTER + n, ONE, ALONG + n)
        yield Step(AFTER + n, ONE, ACROSS + n)
    for place, n, m in _below(STATES):
        to = AFTER + 2 * STATES + place
        for i in range(STATES):
            yield Step(to, A + m * STATES + i, A_SQUARE + n * STATES + i)
        for i in range(AVERAGES):
            yield Step(to, B + m * AVERAGES + i, B_EXCESS + n * AVERAGES + i)
        yield Step(to, ONE, ALONG + n, ACROSS + m)
        yield Step(to, ONE, ALONG + m, ACROSS + n)


def _all_steps() -> Steps:
    steps = [*_deviations()]
    for number in range(SCALARS):
        steps += _scalar(number)
    steps += [*_observables(), *_next_layer()]
    return np.array(steps, dtype=np.int32)


STEPS = _all_steps()
"""Steps of a layer, shape (step, 4)."""

TO, FROM, PRODUCTS, FIRST_TERM = 0, 1, 2, 3
"""Of a pass: the row that is written, the one that it begins with, whether a term is a product."""


def program_of(k: Floats) -> Steps:
    """Return the passes of a layer for coefficients (…, COEFFICIENTS), shape (pass, 3 + 3 TERMS).

    Steps whose coefficient is 0 in every layer, as many derivatives are, are left out. What remains
    is taken row by row, where the last step to it stands, `TERMS` at a time.
    """
    used = (k != 0.0).reshape(-1, COEFFICIENTS).any(axis=0)
    terms: dict[int, list[list[int]]] = {}
    for to, *term in STEPS[used[STEPS[:, 1]]].tolist():
        terms[to] = [*terms.pop(to, []), term]
    passes = []
    for to, all_of_row in terms.items():
        given = FIRST_MEAN <= to < FIRST_OWN
        for first in range(0, len(all_of_row), TERMS):
            some = all_of_row[first : first + TERMS]
            some += [[ZERO, NOTHING, ONES]] * (TERMS - len(some))
            begins_with = to if first or given else NOTHING
            has_products = any(and_of != ONES for _, _, and_of in some)
            passes.append([to, begins_with, int(has_products), *chain(*some)])
    return np.array(passes, dtype=np.int32).reshape(-1, FIRST_TERM + 3 * TERMS)


class Controls(NamedTuple):
    """Control variates of the pairs of up to 64 networks; of no pairs where there are none."""

    k: Floats
    """Coefficients (`path.coefficients`), shape (pair, depth, COEFFICIENTS)."""
    carried: Floats
    """δ, ε and Z, shape (pair, CARRIED, BLOCK)."""
    rows: Floats
    """Scratch, ROWS rows in one, shape (ROWS · BLOCK,)."""
    program: Steps
    columns: int
    """Columns of a pair in a row."""
    slopes: tuple[float, ...] = ()
    """As in `activation.sent`; their number is part of the type."""


def controls_of(
    k: Floats, program: Steps, columns: int, slopes: tuple[float, ...] = ()
) -> Controls:
    """Return the controls of a block, before `start`, from coefficients and passes of its pairs."""
    carried, rows = np.zeros((len(k), CARRIED, BLOCK)), np.zeros(ROWS * BLOCK)
    return Controls(k, carried, rows, program, columns, slopes)


# --- one layer ------------------------------------------------------------------------------------


@njit(nogil=True, cache=True, forceinline=True, error_model="numpy")
def _find_law(slopes, w, lanes):
    """Write θ, μ(θ) and Σ(θ) of a node, but what never changes.

    Where `lanes` is a constant, and no division is checked, this becomes a vector loop.
    """
    for t in range(lanes):
        (
            w[THETA * lanes + t],
            w[(MEAN + 2) * lanes + t],
            w[(MEAN + 3) * lanes + t],
            w[(MEAN + 4) * lanes + t],
            w[(SIGMA + 3) * lanes + t],
            w[(SIGMA + 4) * lanes + t],
            w[(SIGMA + 5) * lanes + t],
            w[(SIGMA + 6) * lanes + t],
            w[(SIGMA + 7) * lanes + t],
            w[(SIGMA + 8) * lanes + t],
            w[(SIGMA + 9) * lanes + t],
            w[(SIGMA + 10) * lanes + t],
            w[(SIGMA + 11) * lanes + t],
            w[(SIGMA + 12) * lanes + t],
            w[(SIGMA + 13) * lanes + t],
            w[(SIGMA + 14) * lanes + t],
        ) = node_law(slopes, w[COS * lanes + t], w[SIN * lanes + t])


@njit(inline="always")
def _write_constants(slopes, w, lanes):
    """Write what never changes; rows to which no pass adds are 0."""
    mean1, mean2, x_x, x2_x, x2_x2 = x_law(slopes)
    for i in range(ROWS * lanes):
        w[i] = 0.0
    for t in range(lanes):
        w[MEAN * lanes + t] = mean1
        w[(MEAN + 1) * lanes + t] = mean2
        w[SIGMA * lanes + t] = x_x
        w[(SIGMA + 1) * lanes + t] = x2_x
        w[(SIGMA + 2) * lanes + t] = x2_x2
        w[ONES * lanes + t] = 1.0


@njit(inline="always")
def _take_passes(program, k, w, lanes):
    """Take all passes of a layer; no place is negative, which would cost a test in every loop."""
    wide = _u64(lanes)
    for n in range(program.shape[0]):
        to, onto = _u64(program[n, TO]) * wide, _u64(program[n, FROM]) * wide
        k0, k1, k2, k3 = k[program[n, 3]], k[program[n, 6]], k[program[n, 9]], k[program[n, 12]]
        a0, a1 = _u64(program[n, 4]) * wide, _u64(program[n, 7]) * wide
        a2, a3 = _u64(program[n, 10]) * wide, _u64(program[n, 13]) * wide
        if program[n, PRODUCTS] == 0:
            for lane in range(lanes):
                t = _u64(lane)
                some = w[onto + t] + times(k0, w[a0 + t]) + times(k1, w[a1 + t])
                w[to + t] = some + times(k2, w[a2 + t]) + times(k3, w[a3 + t])
        else:
            b0, b1 = _u64(program[n, 5]) * wide, _u64(program[n, 8]) * wide
            b2, b3 = _u64(program[n, 11]) * wide, _u64(program[n, 14]) * wide
            for lane in range(lanes):
                t = _u64(lane)
                some = w[onto + t] + times(k0, times(w[a0 + t], w[b0 + t]))
                some = some + times(k1, times(w[a1 + t], w[b1 + t]))
                some = some + times(k2, times(w[a2 + t], w[b2 + t]))
                w[to + t] = some + times(k3, times(w[a3 + t], w[b3 + t]))


@njit(inline="always")
def _own_lengths(shift, w, lanes):
    """Write ⟨h²⟩/K of the two signals: χ²/N each, whatever the state, and so known in law."""
    for t in range(lanes):
        cosine, sine, first = w[COS * lanes + t], w[SIN * lanes + t], w[FIRST_OWN * lanes + t]
        both = times(2.0, times(times(cosine, sine), w[(FIRST_OWN + 1) * lanes + t]))
        across = times(times(sine, sine), w[(FIRST_OWN + 2) * lanes + t]) - both
        of_first = 1.0 + first
        of_second = 1.0 + (times(times(cosine, cosine), first) + across)
        w[SHARE * lanes + t], w[(SHARE + 1) * lanes + t] = of_first, of_second
        w[(SHARE + 2) * lanes + t] = log(of_first) - shift
        w[(SHARE + 3) * lanes + t] = log(of_second) - shift


@njit(inline="always")
def _write_values(k, rows, t, j, w, lanes):
    """Replace what a network's row has behind its observables by controlled values."""
    begin = shown.FEATURES
    correlation, distance = mean_correlation(k, LOST, w[COS * lanes + t], w[SIN * lanes + t])
    for i in range(len(CONTROLLED)):
        value = rows[t, j, COLUMNS[i]]
        if i == INACTIVE:
            value = times(math.pi - w[THETA * lanes + t], PER_TURN)
        elif i == CORRELATION:
            value = correlation
        elif i == DISTANCE:
            value = distance
        elif i < LENGTHS // 2:
            value = value / w[(SHARE + i) * lanes + t]
        elif i < LENGTHS:
            value = value - w[(SHARE + i) * lanes + t]
        rows[t, j, begin + i] = value - w[(CONTROL + i) * lanes + t]


@njit(nogil=True, cache=True)
def start(controls):
    """Begin with the first layer: every control is 0 there but for the layer's own sampling."""
    controls.carried[:] = 0.0


@njit(nogil=True, cache=True, error_model="numpy")
def follow(controls, widths, layer0, rows):
    """Replace what samplers see of pairs by controlled values, in consecutive layers.

    Parameters
    ----------
    controls
        They move on.
    widths
        Nodes of every layer, shape (depth,).
    layer0
        The first layer, from 0.
    rows
        Shape (trial, layer, column), of at most 64 trials. Each pair has its observables, and then
        what samplers write from `row.FEATURES` on, which is replaced.
    """
    for pair in range(controls.k.shape[0]):
        own = rows[:, :, pair * controls.columns : (pair + 1) * controls.columns]
        carried, given = controls.carried[pair], (controls.program, controls.k[pair])
        follow_pair(controls.slopes, given, widths, layer0, carried, own, controls.rows, BLOCK)


@njit(inline="always")
def follow_pair(slopes, given, widths, layer0, carried, rows, w, lanes):
    """Do so for the trials of one pair, of which the scratch `w` has as many lanes, or more.

    `given` has the passes of a layer, and the coefficients of the pair.
    """
    begin, (program, k) = shown.FEATURES, given
    _write_constants(slopes, w, lanes)
    for i in range(CARRIED):
        for t in range(lanes):
            w[(DELTA + i) * lanes + t] = carried[i, t]
    for j in range(rows.shape[1]):
        for t in range(rows.shape[0]):
            for i in range(SEEN):
                w[i * lanes + t] = rows[t, j, begin + i]
        _find_law(slopes, w, lanes)
        _take_passes(program, k[layer0 + j], w, lanes)
        _own_lengths(log_shift(widths[layer0 + j]), w, lanes)
        for t in range(rows.shape[0]):
            _write_values(k[layer0 + j], rows, t, j, w, lanes)
        for i in range(CARRIED):
            for t in range(lanes):
                w[(DELTA + i) * lanes + t] = w[(AFTER + i) * lanes + t]
    for i in range(CARRIED):
        for t in range(lanes):
            carried[i, t] = w[(DELTA + i) * lanes + t]

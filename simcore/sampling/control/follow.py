"""Control variates of networks, from layer to layer (theory.md (9) to (11)).

Along a path that no network touches, A, B and second derivatives of the update (4) are numbers
(`path`). Per network δ, Z and ε of theory.md 6 are carried, each with mean exactly 0. What a layer
needs is O(1) beside its O(N) draws.

The equations are a list of steps, each of which adds a coefficient times a row, or times the
product of two, to a row (`PROGRAM`). A row has a number of each network, in lanes: 64 of a block on
a CPU, where a step is a vector loop, and a single one in a thread of a GPU. As one loop over steps
they compile in a fraction of the time that they take written out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simcore.numerics.arithmetic import log, times
from simcore.numerics.kernels import njit
from simcore.physics.observables import CONTROLLED, NAMES
from simcore.sampling import row as shown
from simcore.statistics.blocks import BLOCK

from .node_law import MEAN_X, MEAN_X2, X2_X, X2_X2, X_X, node_law

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

SOURCE = (0, 1, 0, 1, 2, 2, 2, 2, 3, 4)
"""The scalar that each of `CONTROLLED` is a function of; 4 is the state's own θ."""

COLUMNS = tuple(NAMES.index(name) for name in CONTROLLED)
"""Columns of the same."""

INACTIVE = CONTROLLED.index("inactive_both")
"""Its conditional mean (π − θ)/(2π) takes its place, θ of the network's own state."""

LENGTHS = 4
"""The first of `CONTROLLED` are q and ln q of both signals.

Their conditional means, K and ln K + E ln(χ²/N), take their places."""

PER_TURN = 0.5 / math.pi

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
TWO, MINUS, PER_NODE, PER_NODE_2 = ONE + 1, ONE + 2, ONE + 3, ONE + 4
"""Constants 1, 2, −1; and −1/N, −2/N."""
COEFFICIENTS = ONE + 5

# Rows. What samplers give of a network (`row.FEATURES`): cos θ, sin θ, M and w; M becomes M − μ(θ).
COS, SIN, FIRST_MEAN, FIRST_OWN = 0, 1, 2, 2 + AVERAGES
SEEN = FIRST_OWN + OWN
LAW = SEEN
"""θ; then μ(θ) and Σ(θ) of a node."""
MEAN, SIGMA, ONES = LAW + 1, LAW + 1 + AVERAGES, LAW + 1 + AVERAGES + PAIRS5
LAW_ROWS = ONES + 1 - LAW
DELTA = ONES + 1
"""δ, ε and Z, which are carried."""
EPSILON, SQUARE = DELTA + STATES, DELTA + 2 * STATES
CARRIED = 2 * STATES + PAIRS3
EXCESS = DELTA + CARRIED
"""m mᵀ − Σ/N; from here on rows are 0 before the first step."""
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
ROWS = CONTROL + len(CONTROLLED)

NONE = -1


class Step(NamedTuple):
    """Adds coefficient `by` times row `of`, and times row `and_of` unless that is NONE, to `to`."""

    to: int
    by: int
    of: int
    and_of: int = NONE


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


def _program() -> Steps:
    steps = [*_deviations()]
    for number in range(SCALARS):
        steps += _scalar(number)
    steps += [*_observables(), *_next_layer()]
    return np.array(steps, dtype=np.int32)


PROGRAM = _program()
"""Steps of a layer, shape (step, 4)."""


class Controls(NamedTuple):
    """Control variates of the pairs of up to 64 networks; of no pairs where there are none."""

    k: Floats
    """Coefficients (`path.coefficients`), shape (pair, depth, COEFFICIENTS)."""
    carried: Floats
    """δ, ε and Z, shape (pair, CARRIED, BLOCK)."""
    rows: Floats
    """Scratch, shape (ROWS, BLOCK)."""
    law: Floats
    """Scratch, `LAW_ROWS` rows in one, shape (LAW_ROWS · BLOCK,)."""
    program: Steps
    columns: int
    """Columns of a pair in a row."""


def controls_of(k: Floats, columns: int) -> Controls:
    """Return the controls of a block, before `start`, from coefficients of its pairs."""
    carried = np.zeros((len(k), CARRIED, BLOCK))
    scratch = np.zeros((ROWS, BLOCK)), np.zeros(LAW_ROWS * BLOCK)
    return Controls(k, carried, *scratch, PROGRAM, columns)


# --- one layer ------------------------------------------------------------------------------------


@njit(nogil=True, cache=True, forceinline=True, error_model="numpy")
def _find_law(cosines, sines, law, lanes):
    """Write θ, μ(θ) and Σ(θ) of a node to flat rows of so many lanes.

    Where `lanes` is a constant, and no division is checked, this becomes a vector loop.
    """
    for t in range(lanes):
        (
            law[t],
            law[3 * lanes + t],
            law[4 * lanes + t],
            law[5 * lanes + t],
            law[9 * lanes + t],
            law[10 * lanes + t],
            law[11 * lanes + t],
            law[12 * lanes + t],
            law[13 * lanes + t],
            law[14 * lanes + t],
            law[15 * lanes + t],
            law[16 * lanes + t],
            law[17 * lanes + t],
            law[18 * lanes + t],
            law[19 * lanes + t],
            law[20 * lanes + t],
        ) = node_law(cosines[t], sines[t])
        law[lanes + t] = MEAN_X
        law[2 * lanes + t] = MEAN_X2
        law[6 * lanes + t] = X_X
        law[7 * lanes + t] = X2_X
        law[8 * lanes + t] = X2_X2
        law[21 * lanes + t] = 1.0


@njit(nogil=True, cache=True, forceinline=True)
def _take_steps(program, k, w, lanes):
    """Take all steps of a layer, but those whose coefficient is 0, as many derivatives are."""
    for i in range(EXCESS, ROWS):
        for t in range(lanes):
            w[i, t] = 0.0
    for n in range(program.shape[0]):
        by = k[program[n, 1]]
        if by != 0.0:
            to, of, and_of = program[n, 0], program[n, 2], program[n, 3]
            if and_of < 0:
                for t in range(lanes):
                    w[to, t] = w[to, t] + times(by, w[of, t])
            else:
                for t in range(lanes):
                    w[to, t] = w[to, t] + times(by, times(w[of, t], w[and_of, t]))


@njit(inline="always")
def log_shift(width):
    """Return E ln(χ²/N) = ψ(N/2) − ln(N/2) of N degrees of freedom, by its asymptotic series.

    From N = 20 on the terms left out are below 1e-13.
    """
    x = 2.0 / width
    y = times(x, x)
    p = 1.0 / 240.0 - times(y, 1.0 / 132.0)
    p = 1.0 / 120.0 - times(y, 1.0 / 252.0 - times(y, p))
    return -times(0.5, x) - times(y, 1.0 / 12.0 - times(y, p))


@njit(inline="always")
def _own_lengths(w, t):
    """Return ⟨h²⟩/K of the two signals: χ²/N each, whatever the state, and so known in law."""
    cosine, sine, first = w[COS, t], w[SIN, t], w[FIRST_OWN, t]
    both = times(2.0, times(times(cosine, sine), w[FIRST_OWN + 1, t]))
    across = times(times(sine, sine), w[FIRST_OWN + 2, t]) - both
    return 1.0 + first, 1.0 + (times(times(cosine, cosine), first) + across)


@njit(nogil=True, cache=True)
def start(controls):
    """Begin with the first layer: every control is 0 there but for the layer's own sampling."""
    controls.carried[:] = 0.0


@njit(nogil=True, cache=True)
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
        k, carried = controls.k[pair], controls.carried[pair]
        scratch = controls.rows, controls.law
        follow_pair(controls.program, k, widths, layer0, carried, own, *scratch, BLOCK)


@njit(nogil=True, cache=True, forceinline=True)
def follow_pair(program, k, widths, layer0, carried, rows, w, law, lanes):
    """Do so for the trials of one pair, of which scratch has as many lanes, or more."""
    begin = shown.FEATURES
    for i in range(CARRIED):
        for t in range(lanes):
            w[DELTA + i, t] = carried[i, t]
    for j in range(rows.shape[1]):
        for t in range(rows.shape[0]):
            for i in range(SEEN):
                w[i, t] = rows[t, j, begin + i]
        _find_law(w[COS], w[SIN], law, lanes)
        for i in range(LAW_ROWS):
            for t in range(lanes):
                w[LAW + i, t] = law[i * lanes + t]
        _take_steps(program, k[layer0 + j], w, lanes)
        shift = log_shift(widths[layer0 + j])
        for t in range(rows.shape[0]):
            of_first, of_second = _own_lengths(w, t)
            for i in range(len(CONTROLLED)):
                value = rows[t, j, COLUMNS[i]]
                if i == INACTIVE:
                    value = times(math.pi - w[LAW, t], PER_TURN)
                elif i < LENGTHS:
                    own = of_first if i % 2 == 0 else of_second
                    value = value / own if i < LENGTHS // 2 else value - (log(own) - shift)
                rows[t, j, begin + i] = value - w[CONTROL + i, t]
        for i in range(CARRIED):
            for t in range(lanes):
                w[DELTA + i, t] = w[AFTER + i, t]
    for i in range(CARRIED):
        for t in range(lanes):
            carried[i, t] = w[DELTA + i, t]

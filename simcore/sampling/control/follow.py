"""Control variates of networks, from layer to layer (theory.md (9) to (11)).

Along a path that no network touches, A, B and second derivatives of the update (4) are numbers
(`path`). Per network δ, Z and ε of theory.md 6 are carried, each with mean exactly 0. What a layer
needs is O(1) beside its O(N) draws.

Networks are the lanes of all arrays here: 64 of a block on a CPU, where each row of lanes is a
vector loop, and a single one in a thread of a GPU. The order of operations is the same.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simcore.numerics.arithmetic import times
from simcore.numerics.kernels import njit
from simcore.physics.observables import CONTROLLED, NAMES
from simcore.sampling import row as shown
from simcore.statistics.blocks import BLOCK

from .node_law import MEAN_X, MEAN_X2, X2_X, X2_X2, X_X, node_law

Floats = npt.NDArray[np.float64]

STATES, AVERAGES, OWN = 3, 5, 3
"""Numbers of a state (ln K₁₁, λ/h, t), of node averages, of a layer's own sampling w."""

PAIRS3, PAIRS5 = 6, 15
"""Numbers of a symmetric matrix, row by row up to the diagonal."""

CARRIED = 2 * STATES + PAIRS3
"""Numbers carried for a network: δ, ε, Z."""

DELTA, EPSILON, SQUARE = 0, STATES, 2 * STATES

SCALARS = 4
"""Quantities of which observables are functions: ln q₁, ln q₂, t of the layer, t of activations."""

OF_ACTIVATIONS = SCALARS - 1
"""The last one's own noise is that of ⟨x²⟩, ⟨r̄x⟩, ⟨r̄²⟩; that of the others is w."""

EVERY, NOISY = (0, 1, 2), (1, 3, 4)
"""All of w; and the node averages on which the angle between activations depends."""

T = STATES - 1
"""Place of t in a state."""

INACTIVE = CONTROLLED.index("inactive_both")
"""Its conditional mean (π − θ)/(2π) takes its place, θ of the network's own state."""

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
# noise, and their derivatives along t; its half second derivatives along the noise.
SLOPE, BEND, NOISE, MIXED, NOISE_NOISE = 0, 3, 4, 7, 10
OF_SCALAR = 16
OBSERVED = SCALAR + SCALARS * OF_SCALAR
"""Coefficients of the first-order, second-order and quadratic control of each observable."""
COEFFICIENTS = OBSERVED + 3 * len(CONTROLLED)

SOURCE = (0, 1, 0, 1, 2, 2, 2, 2, 3, 4)
"""The scalar that each of `CONTROLLED` is a function of; 4 is the state's own θ."""

COLUMNS = tuple(NAMES.index(name) for name in CONTROLLED)
"""Columns of the same."""

COS, SIN, FIRST_MEAN, FIRST_OWN = 0, 1, 2, 2 + AVERAGES
SIGMA = 4
"""First row of Σ(θ) in `Work.law`."""

SEEN = FIRST_OWN + OWN
"""Numbers of a layer of a network that a sampler gives: cos θ, sin θ, M and w (`row.FEATURES`)."""


LAW, MIXED_ROWS, STEP_ROWS = SIGMA + PAIRS5, STATES * AVERAGES, 3 * STATES
SCALAR_ROWS, CONTROL_ROWS = 3 * (SCALARS + 1), len(CONTROLLED)
"""Rows of lanes in parts of `Work`."""


class Work(NamedTuple):
    """Scratch of a layer, a row of lanes for each number."""

    seen: Floats
    """cos θ and sin θ; M, then M − μ(θ); w: (SEEN, lanes)."""
    law: Floats
    """θ, the means of r̄, r̄x, r̄², and Σ(θ), SIGMA + PAIRS5 rows of lanes in one, (rows · lanes,)."""
    excess: Floats
    """m mᵀ − Σ/N, (PAIRS5, lanes)."""
    own: Floats
    """w wᵀ − diag(2, 1, 2)/N, (PAIRS3, lanes)."""
    mixed: Floats
    """δ mᵀ, (STATES · AVERAGES, lanes)."""
    steps: Floats
    """A δ and B m, and scratch, (3 · STATES, lanes)."""
    after: Floats
    """The next layer's δ, ε, Z, (CARRIED, lanes)."""
    scalars: Floats
    """First-order, second-order and quadratic control of each scalar and of θ, (15, lanes)."""
    controls: Floats
    """Of each of `CONTROLLED`, (10, lanes)."""


class Controls(NamedTuple):
    """Control variates of the pairs of up to 64 networks; of no pairs where there are none."""

    k: Floats
    """Coefficients (`path.coefficients`), shape (pair, depth, COEFFICIENTS)."""
    carried: Floats
    """δ, ε and Z, shape (pair, CARRIED, BLOCK)."""
    work: Work
    columns: int
    """Columns of a pair in a row."""


def room(lanes: int) -> Work:
    """Return scratch for so many networks."""
    seen, law = np.zeros((SEEN, lanes)), np.zeros(LAW * lanes)
    rows = PAIRS5, PAIRS3, MIXED_ROWS, STEP_ROWS, CARRIED, SCALAR_ROWS, CONTROL_ROWS
    return Work(seen, law, *(np.zeros((each, lanes)) for each in rows))


# --- rows of lanes --------------------------------------------------------------------------------


@njit(nogil=True, cache=True, forceinline=True)
def _clear(to, first, rows, lanes):
    for i in range(first, first + rows):
        for t in range(lanes):
            to[i, t] = 0.0


@njit(nogil=True, cache=True, forceinline=True)
def _add(to, i, k, of, j, lanes):
    """Add k times a row; nothing where k is 0, as many derivatives are."""
    if k != 0.0:
        for t in range(lanes):
            to[i, t] = to[i, t] + times(k, of[j, t])


@njit(nogil=True, cache=True, forceinline=True)
def _add_product(to, i, k, a, j, b, m, lanes):
    """Add k times the product of two rows."""
    if k != 0.0:
        for t in range(lanes):
            to[i, t] = to[i, t] + times(k, times(a[j, t], b[m, t]))


@njit(nogil=True, cache=True, forceinline=True)
def _place(i, j):
    """Return the place of an element of a symmetric matrix."""
    return i * (i + 1) // 2 + j if i >= j else j * (j + 1) // 2 + i


# --- one layer ------------------------------------------------------------------------------------


@njit(nogil=True, cache=True, forceinline=True, error_model="numpy")
def _find_law(cosines, sines, law, lanes):
    """Write θ, the means of r̄, r̄x, r̄², and Σ(θ) to flat rows of so many lanes.

    Where `lanes` is a constant, and no division is checked, this becomes a vector loop.
    """
    for t in range(lanes):
        (
            law[t],
            law[lanes + t],
            law[2 * lanes + t],
            law[3 * lanes + t],
            law[7 * lanes + t],
            law[8 * lanes + t],
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
        ) = node_law(cosines[t], sines[t])
        law[4 * lanes + t] = X_X
        law[5 * lanes + t] = X2_X
        law[6 * lanes + t] = X2_X2


@njit(nogil=True, cache=True, forceinline=True)
def _take_law(width, work, lanes):
    """Turn M into m = M − μ(θ); find Σ(θ)/N, m mᵀ − Σ/N, and w wᵀ − diag(2, 1, 2)/N."""
    seen, law, per_node = work.seen, work.law, 1.0 / width
    _find_law(seen[COS], seen[SIN], law, lanes)
    for t in range(lanes):
        seen[FIRST_MEAN, t] -= MEAN_X
        seen[FIRST_MEAN + 1, t] -= MEAN_X2
    for i in range(3):
        for t in range(lanes):
            seen[FIRST_MEAN + 2 + i, t] -= law[(1 + i) * lanes + t]
    for i in range(AVERAGES):
        for j in range(i + 1):
            place, a, b = _place(i, j), FIRST_MEAN + i, FIRST_MEAN + j
            for t in range(lanes):
                expected = times(per_node, law[(SIGMA + place) * lanes + t])
                work.excess[place, t] = times(seen[a, t], seen[b, t]) - expected
    for i in range(OWN):
        for j in range(i + 1):
            place, a, b = _place(i, j), FIRST_OWN + i, FIRST_OWN + j
            expected = times(2.0 if i != 1 else 1.0, per_node) if i == j else 0.0
            for t in range(lanes):
                work.own[place, t] = times(seen[a, t], seen[b, t]) - expected


@njit(nogil=True, cache=True)
def _take_scalar(k, number, carried, noise, first, chosen, second, work, lanes):
    """Find the three controls of a scalar (theory.md (11)).

    Its own noise n is in the rows first + chosen[i] of `noise`; `second` is the symmetric n nᵀ less
    its mean, of which the places of `chosen` count.
    """
    at, one = SCALAR + number * OF_SCALAR, 3 * number
    to, two, quad = work.scalars, one + 1, one + 2
    steps, along, own = work.steps, 0, 1
    _clear(to, one, 3, lanes)
    _clear(steps, 0, 2, lanes)
    for i in range(STATES):
        slope = k[at + SLOPE + i]
        _add(steps, along, slope, carried, DELTA + i, lanes)
        _add(to, two, slope, carried, EPSILON + i, lanes)
        for j in range(i + 1):
            both = times(slope, k[at + SLOPE + j])
            _add(to, quad, both if i == j else 2.0 * both, carried, SQUARE + _place(i, j), lanes)
    _add(to, two, k[at + BEND], carried, SQUARE + _place(T, T), lanes)
    for i in range(OWN):
        row = first + chosen[i]
        _add(steps, own, k[at + NOISE + i], noise, row, lanes)
        _add_product(to, two, k[at + MIXED + i], carried, DELTA + T, noise, row, lanes)
        for j in range(i + 1):
            place = _place(chosen[i], chosen[j])
            _add(to, two, k[at + NOISE_NOISE + _place(i, j)], second, place, lanes)
            both = times(k[at + NOISE + i], k[at + NOISE + j])
            _add(to, quad, both if i == j else 2.0 * both, second, place, lanes)
    for t in range(lanes):
        to[one, t] = steps[along, t] + steps[own, t]
    _add_product(to, quad, 2.0, steps, along, steps, own, lanes)


@njit(nogil=True, cache=True, forceinline=True)
def _observe(k, carried, work, lanes):
    """Find the controls of all scalars, and of θ."""
    for number in range(OF_ACTIVATIONS):
        _take_scalar(k, number, carried, work.seen, FIRST_OWN, EVERY, work.own, work, lanes)
    _take_scalar(k, OF_ACTIVATIONS, carried, work.seen, FIRST_MEAN, NOISY, work.excess, work, lanes)
    to, one = work.scalars, 3 * SCALARS
    for t in range(lanes):
        to[one, t] = carried[DELTA + T, t]
        to[one + 1, t] = carried[EPSILON + T, t]
        to[one + 2, t] = carried[SQUARE + _place(T, T), t]


@njit(nogil=True, cache=True, forceinline=True)
def _advance(k, carried, work, lanes):
    """Move δ, ε and Z to the next layer (theory.md (9), (10))."""
    seen, excess, mixed, steps, after = work.seen, work.excess, work.mixed, work.steps, work.after
    _clear(after, 0, CARRIED, lanes)
    _clear(steps, 0, 2 * STATES, lanes)
    for i in range(STATES):
        for j in range(AVERAGES):
            for t in range(lanes):
                mixed[i * AVERAGES + j, t] = times(carried[DELTA + i, t], seen[FIRST_MEAN + j, t])
    for n in range(STATES):
        for i in range(STATES):
            _add(steps, n, k[A + n * STATES + i], carried, DELTA + i, lanes)
            _add(after, EPSILON + n, k[A + n * STATES + i], carried, EPSILON + i, lanes)
        for j in range(AVERAGES):
            _add(steps, STATES + n, k[B + n * AVERAGES + j], seen, FIRST_MEAN + j, lanes)
        for p in range(PAIRS3):
            _add(after, EPSILON + n, k[STATE_STATE + n * PAIRS3 + p], carried, SQUARE + p, lanes)
        for p in range(STATES * AVERAGES):
            _add(after, EPSILON + n, k[STATE_NODES + n * STATES * AVERAGES + p], mixed, p, lanes)
        for p in range(PAIRS5):
            _add(after, EPSILON + n, k[NODES_NODES + n * PAIRS5 + p], excess, p, lanes)
    _advance_square(k, carried, work, lanes)
    for n in range(STATES):
        for t in range(lanes):
            after[DELTA + n, t] = steps[n, t] + steps[STATES + n, t]
    for i in range(CARRIED):
        for t in range(lanes):
            carried[i, t] = after[i, t]


@njit(nogil=True, cache=True, forceinline=True)
def _advance_square(k, carried, work, lanes):
    """Add A Z Aᵀ + (A δ)(B m)ᵀ + (B m)(A δ)ᵀ + B (m mᵀ − Σ/N) Bᵀ to the next layer's Z."""
    excess, steps, after = work.excess, work.steps, work.after
    half = 2 * STATES
    for n in range(STATES):
        for i in range(STATES):
            _clear(steps, half, 1, lanes)
            for j in range(STATES):
                _add(steps, half, k[A + n * STATES + j], carried, SQUARE + _place(i, j), lanes)
            for m in range(n + 1):
                _add(after, SQUARE + _place(n, m), k[A + m * STATES + i], steps, half, lanes)
        for i in range(AVERAGES):
            _clear(steps, half, 1, lanes)
            for j in range(AVERAGES):
                _add(steps, half, k[B + n * AVERAGES + j], excess, _place(i, j), lanes)
            for m in range(n + 1):
                _add(after, SQUARE + _place(n, m), k[B + m * AVERAGES + i], steps, half, lanes)
        for m in range(n + 1):
            _add_product(after, SQUARE + _place(n, m), 1.0, steps, n, steps, STATES + m, lanes)
            _add_product(after, SQUARE + _place(n, m), 1.0, steps, m, steps, STATES + n, lanes)


@njit(nogil=True, cache=True, forceinline=True)
def _take_controls(k, work, lanes):
    """Find the control of each observable: its coefficients times those of its scalar."""
    to, of = work.controls, work.scalars
    _clear(to, 0, len(CONTROLLED), lanes)
    for i in range(len(CONTROLLED)):
        for order in range(3):
            _add(to, i, k[OBSERVED + 3 * i + order], of, 3 * SOURCE[i] + order, lanes)


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
        k, carried = controls.k[pair], controls.carried[pair]
        own = rows[:, :, pair * controls.columns : (pair + 1) * controls.columns]
        follow_pair(k, widths, layer0, carried, own, controls.work, BLOCK)


@njit(inline="always")
def follow_pair(k, widths, layer0, carried, rows, work, lanes):
    """Do so for the trials of one pair, of which scratch has as many lanes, or more."""
    seen, begin = work.seen, shown.FEATURES
    for j in range(rows.shape[1]):
        layer, width = layer0 + j, widths[layer0 + j]
        for t in range(rows.shape[0]):
            for i in range(SEEN):
                seen[i, t] = rows[t, j, begin + i]
        _take_law(width, work, lanes)
        _observe(k[layer], carried, work, lanes)
        _take_controls(k[layer], work, lanes)
        for t in range(rows.shape[0]):
            for i in range(len(CONTROLLED)):
                value = rows[t, j, COLUMNS[i]]
                if i == INACTIVE:
                    value = times(math.pi - work.law[t], PER_TURN)
                rows[t, j, begin + i] = value - work.controls[i, t]
        _advance(k[layer], carried, work, lanes)

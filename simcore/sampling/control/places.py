"""Places of the numbers that controls are made of: coefficients of a layer, rows of a network."""

from __future__ import annotations

import math

from simcore.physics.observables import CONTROLLED, NAMES

from .own_law import TERMS as LOST_TERMS

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

# Rows. What samplers give of a network (`row.FEATURES`): cos θ, sin θ, M and w.
COS, SIN, FIRST_MEAN, FIRST_OWN = 0, 1, 2, 2 + AVERAGES
SEEN = FIRST_OWN + OWN
THETA = SEEN
"""θ; then μ(θ) and Σ(θ) of a node."""
MEAN, SIGMA, ONES = THETA + 1, THETA + 1 + AVERAGES, THETA + 1 + AVERAGES + PAIRS5
DEVIATION = ONES + 1
"""m = M − μ(θ)."""
DELTA = DEVIATION + AVERAGES
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
SPARE = NOTHING + 1
"""Two rows for sums that take several passes. A row that is read where it is written costs twice
the time: the loop is then not a vector loop."""
SHARE = SPARE + 2
"""⟨h²⟩/K of the two signals, and its logarithm less the mean of that."""
ROWS = SHARE + 4

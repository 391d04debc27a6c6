"""The way back of a pair: gradients from layer to layer, and the tangent kernel (theory.md 7).

Everything between two layers is a few scalars, since the weights given the pre-activations are
Gaussian around a regression on two directions. `back_sums` draws and sums the nodes of a layer.
The second signal's gradient is held by its difference from the first's, e = δ₁ − δ₂, which is
exactly 0 where the signals are equal.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from simcore.numerics.arithmetic import at_least_0, binary_exponent, scaled_briefly, times
from simcore.numerics.kernels import njit
from simcore.physics.activation import leaks
from simcore.physics.observables import GRADIENT_NAMES
from simcore.sampling import row as shown

from .physics import (
    AVERAGES,
    BOTH,
    GAMMA,
    KAPPA,
    LIVE,
    MANTISSA,
    NONE_LEFT,
    POWER,
    RHO,
    SWAPPED,
    direction,
    next_law,
)
from .sums import SUMS

KEPT = SWAPPED + 1
"""Numbers of a layer's state that the way back reads; the first of the state."""

FIRST_SUM = KEPT
FIRST_DIED = KEPT + AVERAGES
SECOND_DIED = FIRST_DIED + 1
TRACE = SECOND_DIED + 1
"""Numbers that are kept of a layer: state, averages, whether each signal has no active node."""

NOISE_X, NOISE_R, NOISE_1, NOISE_2 = 0, 2, 4, 6
"""Sums of x, r̄ and 1 over the nodes, with the first and the second normal of the way back.

Then those of the squares of each gradient's own normals times φ′.
"""

D11, D1E, DEE, D22, Z1_1, Z1_E, Z2_1, Z2_E = range(8)
"""Sums of a layer: δ₁², δ₁e, e², δ₂², and z₁, z₂ with δ₁ and e."""

EXPONENT = 8
"""The sums D are in units of 4^EXPONENT, those with z of 2^EXPONENT."""

SQUARES = 9
"""⟨φ′²ξ²⟩ of each signal, which control variates use."""

GRADIENT = 11
"""Numbers of a gradient between layers: its sums, their exponent, and `SQUARES`."""

X_1, R_1, XI1_1, ONE_1, X_E, R_E, XI1_E, XI2_E, ONE_E = range(9)
COEFFICIENTS = 9
"""Numbers that turn x, r̄ and two normals of a node into (Wᵀδ₁) and (Wᵀe)."""

TOO_SMALL = 2.0**-1000
"""Stands for numbers below float64: negligible in a sum, and by itself out of range."""

(LOG1, LOG2, COSINE, WEIGHT1, TANGENT11, TANGENT12, TANGENT22) = range(len(GRADIENT_NAMES))
"""Columns of `GRADIENTS`, from the first of them on."""

SEEN = len(GRADIENT_NAMES)
"""First of the columns that control variates read: ln ⟨ξ²⟩ of each signal."""

_i64: Any = np.int64


@njit(nogil=True, cache=True, forceinline=True)
def keep(physics, width, state, totals, trace):
    """Keep of a layer, before the state moves on, what the way back needs."""
    dying = not leaks(physics.slopes)
    for i in range(KEPT):
        trace[i] = state[i]
    for i in range(AVERAGES):
        trace[FIRST_SUM + i] = totals[i]
    trace[FIRST_DIED] = 1.0 if dying and totals[SUMS] == width else 0.0
    trace[SECOND_DIED] = 1.0 if dying and totals[SUMS + 1] == width else 0.0


@njit(nogil=True, cache=True, forceinline=True)
def read_out(width, coefficients, gradient):
    """Write the coefficients of the last layer: ∂f/∂x = v/√N for both signals."""
    for i in range(COEFFICIENTS):
        coefficients[i] = 0.0
    coefficients[XI1_1] = 1.0 / math.sqrt(width)
    gradient[EXPONENT] = gradient[SQUARES] = gradient[SQUARES + 1] = 0.0


@njit(nogil=True, cache=True, forceinline=True)
def vanishes(gradient):
    """Return whether both gradients are 0, and so those of all layers below."""
    return gradient[D11] == 0.0 and gradient[DEE] == 0.0


@njit(nogil=True, cache=True, forceinline=True)
def rescale(gradient):
    """Move powers of four from the sums of a gradient to its exponent; exact."""
    size = gradient[D11] + gradient[DEE]
    if size == 0.0:
        return
    half = binary_exponent(size) // 2
    for i in range(D22 + 1):
        gradient[i] = scaled_briefly(gradient[i], _i64(-2 * half))
    for i in range(Z1_1, Z2_E + 1):
        gradient[i] = scaled_briefly(gradient[i], _i64(-half))
    gradient[EXPONENT] += half


@njit(nogil=True, cache=True, forceinline=True)
def _directions(physics, width, trace, above, q):
    """Write the two orthonormal directions of the signals that the weights above a layer see.

    Direction i has q[i, 0] (x − ax̄) + q[i, 1] (r̄ − ar̄̄) at a node and q[i, 2] at the bias; the
    pre-activations of the next layer are its normals times these (`above`: what is kept of it).
    The second is 0 where the signals are parallel, or only one lives.
    """
    for i in range(3):
        q[0, i] = q[1, i] = 0.0
    _, _, _, _, _, f = direction(trace)
    a, b, _, s = next_law(physics, width, trace[FIRST_SUM:], trace)
    unit = math.sqrt(physics.sigma_w2 / width)
    if trace[POWER] != above[POWER]:
        unit = scaled_briefly(unit, _i64(trace[POWER] - above[POWER]))
    root1, first = math.sqrt(trace[MANTISSA]), math.sqrt(above[MANTISSA])
    bias = math.sqrt(physics.sigma_b2)
    if above[POWER] != 0.0:
        bias = scaled_briefly(bias, _i64(-above[POWER]))
    if above[SWAPPED] != trace[SWAPPED]:  # the first has died, and x₂ = −r
        q[0, 1] = -times(unit, f / first)
        return
    q[0, 0] = times(unit, root1 / first)
    q[0, 2] = bias / first
    if above[LIVE] != BOTH or above[GAMMA] == 0.0:
        return
    per_gamma = unit / above[GAMMA]
    q[1, 2] = -times(above[RHO], bias / above[GAMMA])
    if trace[SECOND_DIED] == 1.0:
        q[1, 0] = times(times(above[KAPPA], root1), per_gamma)
        return
    turned = (times(s, trace[RHO]) - times(f, b)) / (a + s)  # κ' − κ
    q[1, 0] = times(times(turned, root1), per_gamma)
    q[1, 1] = times(f, per_gamma)


@njit(nogil=True, cache=True, forceinline=True)
def aim_noise(trace, above, gradient, coefficients):
    """Write the direction of the second gradient above in the plane of the two normals of a node.

    Brings the gradient above to order 1.
    """
    rescale(gradient)
    coefficients[0], coefficients[1] = 1.0, 0.0
    s11, s1e, see = _root(gradient)
    one = s11 - s1e  # δ₂ = δ₁ − e
    length = math.sqrt(times(one, one) + times(see, see))
    if length > 0.0 and above[SWAPPED] == trace[SWAPPED]:
        coefficients[0], coefficients[1] = one / length, -see / length


@njit(nogil=True, cache=True, forceinline=True)
def aim_back(physics, width, trace, above, noise, noise_bias, gradient, q, coefficients):
    """Write the coefficients of a layer, theory.md (B1), after `aim_noise` and the first pass.

    `noise` has the layer's sums of that pass, `noise_bias` the two normals of the bias, `gradient`
    the sums of the layer above; `q` is scratch, shape (2, 3).
    """
    for i in range(2):
        gradient[SQUARES + i] = noise[NOISE_2 + i] / width
    _directions(physics, width, trace, above, q)
    shift = 1.0 - math.sqrt(1.0 - physics.g)  # of A = I − aJ/n
    x, r = trace[FIRST_SUM] / width, trace[FIRST_SUM + 2] / width
    s11, s1e, see = _root(gradient)
    unit = math.sqrt(physics.sigma_w2 / width)
    for i in range(COEFFICIENTS):
        coefficients[i] = 0.0
    for i in range(2):
        t1 = _along(q[i], shift, x, r, noise, noise_bias, 0)
        t2 = _along(q[i], shift, x, r, noise, noise_bias, 1)
        c1, ce = gradient[Z1_1 + 2 * i], gradient[Z1_E + 2 * i]
        to1 = times(unit, c1 - times(t1, s11))
        to_e = times(unit, ce - times(t1, s1e) - times(t2, see))
        coefficients[X_1] += times(q[i, 0], to1)
        coefficients[R_1] += times(q[i, 1], to1)
        coefficients[X_E] += times(q[i, 0], to_e)
        coefficients[R_E] += times(q[i, 1], to_e)
    coefficients[XI1_1] = times(unit, s11)
    coefficients[XI1_E] = times(unit, s1e)
    coefficients[XI2_E] = times(unit, see)
    n1, n2 = noise[NOISE_1] / width, noise[NOISE_1 + 1] / width
    for i in range(2):  # less the mean that A takes away, of x and r̄ and then of the whole
        at = X_1 if i == 0 else X_E
        mean = times(coefficients[at], x) + times(coefficients[at + 1], r)
        drawn = times(coefficients[at + 2], n1)
        if i == 1:
            drawn += times(coefficients[XI2_E], n2)
        one = -times(shift, mean) - times(shift, times(1.0 - shift, mean) + drawn)
        coefficients[ONE_1 if i == 0 else ONE_E] = one
    if gradient[D22] == 0.0 and above[SWAPPED] == trace[SWAPPED]:  # e is δ₁
        for i in range(3):
            coefficients[X_E + i] = coefficients[X_1 + i]
        coefficients[XI2_E], coefficients[ONE_E] = 0.0, coefficients[ONE_1]
    if above[SWAPPED] != trace[SWAPPED]:  # δ above is the second signal's: e = −δ₂
        for i in range(3):
            coefficients[X_E + i] = -coefficients[X_1 + i]
            coefficients[X_1 + i] = 0.0
        coefficients[XI2_E], coefficients[ONE_E] = 0.0, -coefficients[ONE_1]
        coefficients[ONE_1] = 0.0


@njit(nogil=True, cache=True, forceinline=True)
def _root(gradient):
    """Return the triangular root of the sums of squares of δ₁ and e: s₁₁, s₁ₑ, sₑₑ."""
    if gradient[D11] == 0.0:
        return 0.0, 0.0, math.sqrt(gradient[DEE])
    s11 = math.sqrt(gradient[D11])
    s1e = gradient[D1E] / s11
    return s11, s1e, math.sqrt(at_least_0(gradient[DEE] - times(s1e, s1e)))


@njit(nogil=True, cache=True, forceinline=True)
def _along(q, shift, x, r, noise, noise_bias, which):
    """Return the component of the first or second vector of normals along a direction."""
    one = times(shift, noise[NOISE_1 + which])
    along_x = times(q[0], noise[NOISE_X + which] - times(x, one))
    along_r = times(q[1], noise[NOISE_R + which] - times(r, one))
    return along_x + along_r + times(q[2], noise_bias[which])


# --- observables ----------------------------------------------------------------------------------


@njit(nogil=True, cache=True, forceinline=True)
def observe_back(physics, width, trace, below, gradient, row):
    """Write the observables of a layer's gradients; of the tangent kernel its own term.

    `below` is what was kept of the layer below, of `width` nodes; of the first layer, with `width`
    0, that is not read. `row` begins with the first of `GRADIENTS`.
    """
    d11, d22, power = gradient[D11], gradient[D22], gradient[EXPONENT]
    d12 = d11 - gradient[D1E] if d11 > 0.0 and d22 > 0.0 else 0.0
    if trace[SWAPPED] == 1.0:
        d11, d22 = d22, d11
    x11, x12, x22, unit = _lengths(physics, width, below)
    squares, products = (d11, d12, d22, power, power), (x11, x12, x22, unit, unit)
    write_gradients(physics.sigma_w2, physics.sigma_b2, products, squares, row)
    for i in range(row.shape[0] - SEEN):
        which = 1 - i if trace[SWAPPED] == 1.0 else i
        row[SEEN + i] = gradient[SQUARES + which]
        shown.finish_log(row, SEEN + i, 1.0, 0.0)


@njit(nogil=True, cache=True, forceinline=True)
def write_gradients(w2, s, products, squares, row):
    """Write the `GRADIENTS` of a pair in a layer; of the tangent kernel the layer's own term.

    `products` are ⟨x₁²⟩, ⟨x₁x₂⟩, ⟨x₂²⟩ of what the layer reads and the exponents of both signals'
    units, 4^exponent; `squares` are δ₁², δ₁·δ₂, δ₂² and likewise two exponents; w2, s: σ_w², σ_b².
    """
    for column in range(row.shape[0]):
        row[column] = np.nan
    x11, x12, x22, of_x1, of_x2 = products
    d11, d12, d22, of_d1, of_d2 = squares
    if d11 > 0.0 and d22 > 0.0:
        row[COSINE] = min(max(d12 / math.sqrt(times(d11, d22)), -1.0), 1.0)
    for column, d, power in ((LOG1, d11, of_d1), (LOG2, d22, of_d2)):
        if d > 0.0:
            row[column] = d
            shown.finish_log(row, column, 1.0, power)
    row[WEIGHT1] = within(scaled(times(x11, d11), of_x1 + of_d1))
    for column, x, d, of_x, of_d in (
        (TANGENT11, x11, d11, of_x1, of_d1),
        (TANGENT12, x12, d12, times(0.5, of_x1 + of_x2), times(0.5, of_d1 + of_d2)),
        (TANGENT22, x22, d22, of_x2, of_d2),
    ):
        weights = scaled(times(times(w2, x), d), of_x + of_d)
        row[column] = weights + scaled(times(s, d), of_d)


@njit(nogil=True, cache=True, forceinline=True)
def _lengths(physics, width, below):
    """Return ⟨x₁²⟩, ⟨x₁x₂⟩, ⟨x₂²⟩ of the layer below and their exponent, in units of 4^exponent."""
    q0 = physics.q0
    if width == 0:
        return q0, times(q0, 1.0 - physics.distance), q0, 0.0
    if below[LIVE] == NONE_LEFT:
        return 0.0, 0.0, 0.0, 0.0
    _, _, _, _, _, f = direction(below)
    m, kappa = below[MANTISSA], below[KAPPA]
    x2, rx, r2 = below[FIRST_SUM + 1], below[FIRST_SUM + 3], below[FIRST_SUM + 4]
    xx, rx, rr = times(m, x2), times(times(math.sqrt(m), f), rx), times(times(f, f), r2)
    x11, x12 = xx / width, (times(kappa, xx) - rx) / width
    x22 = (times(kappa, times(kappa, xx) - times(2.0, rx)) + rr) / width
    if below[SECOND_DIED] == 1.0 or below[LIVE] != BOTH:
        x12 = x22 = 0.0
    if below[SWAPPED] == 1.0:
        x11, x22 = x22, x11
    return x11, x12, x22, below[POWER]


@njit(nogil=True, cache=True, forceinline=True)
def scaled(value, power):
    """Return value·4^power; too small a number is not 0, for which others would take it."""
    if power == 0.0 or value == 0.0:
        return value
    made = scaled_briefly(value, 2 * _i64(power))
    return made if made != 0.0 else TOO_SMALL


@njit(nogil=True, cache=True, forceinline=True)
def within(value):
    """Return a value, or NaN where its square would leave float64."""
    size = abs(value)
    return value if size == 0.0 or shown.Q_RANGE[0] <= size <= shown.Q_RANGE[1] else math.nan


@njit(nogil=True, cache=True, forceinline=True)
def add_up(rows):
    """Turn the terms of the tangent kernel into sums over the layers so far, from the first on."""
    for column in (TANGENT11, TANGENT12, TANGENT22):
        total = 0.0
        for layer in range(rows.shape[0]):
            total += rows[layer, column]
            rows[layer, column] = within(total)

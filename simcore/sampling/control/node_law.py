"""Conditional law of the node averages M of theory.md (4), given the angle θ of a pair.

The moments E x^p r̄^q of one node are integrals over sectors of angle (`theory.node_moments`), here
in closed form: with J_n = ∫₀^θ sinⁿ they are polynomials in cos θ, sin θ and J₁ … J₄. J₄ comes from
a polynomial, and the others from it by sums of positive terms, so that no digit of a small angle is
lost. Slopes other than ReLU's add terms to these.
"""

from __future__ import annotations

import math

from simcore.numerics.arithmetic import times
from simcore.numerics.kernels import njit

PARTS = 16
"""Numbers that `node_law` returns."""

MEAN_X = 1.0 / math.sqrt(2.0 * math.pi)
MEAN_X2 = 0.5
X_X = 0.5 - 0.5 / math.pi
X2_X = 1.5 * MEAN_X
X2_X2 = 1.25
"""Means and covariances of x and x² of ReLU, whatever the angle."""

RADIAL1 = 0.5 * MEAN_X
RADIAL2 = 1.0 / math.pi
RADIAL3 = 1.5 * MEAN_X
RADIAL4 = 4.0 / math.pi
"""2^{m/2} Γ(m/2 + 1)/(2π), the integral over the radius for the powers m = 1 … 4."""

HALF_PI, THIRD, EIGHTH_PI = 0.5 * math.pi, 1.0 / 3.0, math.pi / 8.0


@njit(inline="always")
def fourth_integral(u):
    """Return J₄/sin⁵θ of an acute angle, u = sin²(θ/2) ≤ ½, to 2e-13.

    Interpolation at 19 Chebyshev points.
    """
    p = 1842.5896925959098
    p = times(p, u) - 7001.541787521818
    p = times(p, u) + 12490.08381681818
    p = times(p, u) - 13697.235889708147
    p = times(p, u) + 10290.322198403388
    p = times(p, u) - 5580.14682451261
    p = times(p, u) + 2255.5206643522924
    p = times(p, u) - 686.3331141895131
    p = times(p, u) + 161.13527576179197
    p = times(p, u) - 26.919816575177734
    p = times(p, u) + 4.86236272873876
    p = times(p, u) + 0.6055628889837669
    p = times(p, u) + 0.8689016248042654
    p = times(p, u) + 0.7147627680356228
    p = times(p, u) + 0.5967802513256414
    p = times(p, u) + 0.4848476081529977
    p = times(p, u) + 0.3809523902228531
    p = times(p, u) + 0.2857142856755175
    return times(p, u) + 0.20000000000002688


@njit(inline="always")
def _sectors(c, s):
    """Return θ, sin θ/S, S, and of J_n/Sⁿ the first to the fourth; then J₂ and J₄ themselves."""
    acute = c > 0.0
    near = c if acute else -c
    s2 = times(s, s)
    one = 1.0 + near
    u = times(0.5, s2) / one
    # A_n = J_n/Sⁿ of the acute angle θ or π − θ, in units S = sin θ.
    a4 = times(s, fourth_integral(u))
    a2 = times(times(s, times(times(4.0, s), a4) + near), THIRD)
    a1 = s / one
    a3 = times(times(s, 2.0 + near) / times(one, one), THIRD)
    theta = times(times(2.0, s2), a2) + times(s, near)
    j2, j4 = times(s2, a2), times(times(s2, s2), a4)
    w, size = 1.0, s
    if not acute:
        w, size = s, 1.0
        theta = 2.0 * HALF_PI - theta
        j2, j4 = HALF_PI - j2, 3.0 * EIGHTH_PI - j4
        a1, a2, a3, a4 = 1.0 - c, j2, times(4.0, THIRD) - times(times(s2, s), a3), j4
    return theta, w, size, a1, a2, a3, a4, j2, j4


@njit(inline="always")
def _of_relu(c, s, sectors):
    """Return the moments of ReLU over `RADIAL`: r̄, r̄x, r̄x², r̄x³, …, r̄³x, r̄⁴, by powers of r̄."""
    theta, w, size, a1, a2, a3, a4, j2, j4 = sectors
    s2, c2, w2 = times(s, s), times(c, c), times(w, w)
    size2 = times(size, size)
    ws, w2s2 = times(w, s), times(w2, s2)
    m01 = -ws + times(c - 1.0, a1)
    m11 = times(c, times(size, a2)) - times(0.5, times(ws, s))
    m21 = times(c, times(size2, a3)) - times(times(ws, s2), THIRD)
    m31 = times(c, times(times(size2, size), a4)) - times(0.25, times(ws, times(s2, s)))
    m02 = times(w2, HALF_PI - theta + j2) + times(c2 + 1.0, a2)
    m12 = times(w2, times(2.0 - (1.0 - times(c2, c)), THIRD)) + times(c2, times(size, a3))
    m22 = times(w2, EIGHTH_PI - j2 + j4) + times(c2, times(size2, a4))
    m03 = times(times(c2, c) - 1.0, a3) - times(times(w2, ws), 1.0 - times(s2, THIRD))
    m13 = times(times(c2, c), times(size, a4)) - times(0.25, times(times(w2s2, w), 1.0 + c2))
    whole = 3.0 * EIGHTH_PI - theta + times(2.0, j2) - j4
    m04 = times(times(w2, w2), whole) + times(times(c2, c2) + 1.0, a4)
    return m01, m11, m21, m31, m02, m12, m22, m03, m13, m04


@njit(inline="always")
def _numbers(slopes):
    """Return s₊s₋, A and s₊ − s₋ of slopes as in `activation.sent`."""
    below, step = slopes
    above = below + step
    return times(above, below), times(0.5, times(above, above) + times(below, below)), step


@njit(inline="always")
def _with_slopes(slopes, c, s, sectors, moments):
    """Return the moments of a φ with slopes from those of ReLU (theory.md 5, 'Slopes').

    k_m = s₊^m + (−s₋)^m, and where one signal alone is positive terms in s₊s₋ come in:
    E_ij = ∫₀^θ sinⁱα sinʲ(θ − α) dα/S^{i+j}. Means are without a difference of nearly equal ones.
    """
    _, w, size, _, a2, a3, a4, _, _ = sectors
    m01, m11, m21, m31, m02, m12, m22, m03, m13, m04 = moments
    cross, square, step = _numbers(slopes)
    fall = times(step, step)
    c2, w2, size2 = times(c, c), times(w, w), times(size, size)
    e21 = times(times(s, times(w2, w)), THIRD) - times(c, a3)
    e31 = times(0.25, times(s, times(w2, w2))) - times(c, a4)
    e22 = (
        times(w2, a2) + times(c2 - times(s, s), a4) - times(0.5, times(times(s, c), times(w2, w2)))
    )
    k3 = times(step, times(2.0, square) + cross)
    k4 = times(times(2.0, square), times(2.0, square)) - times(2.0, times(cross, cross))
    odd = times(cross, times(step, e21))
    uneven = times(times(2.0, times(square, cross)), e31)
    even = times(times(2.0, times(cross, cross)), e22)
    three, c1 = times(3.0, c), c - 1.0
    return (
        times(step, m01),
        times(fall, m11),
        times(k3, m21) + times(size2, odd),
        times(k4, m31) + times(times(size2, size), uneven),
        times(fall, m02) + times(2.0 * HALF_PI, times(cross, w2)),
        times(k3, m12) + times(size, times(c + c1, odd)),
        times(k4, m22) + times(size2, even + times(times(2.0, c), uneven)),
        times(k3, m03) + times(times(three, c1), odd),
        times(k4, m13) + times(size, times(1.0 + times(three, c), uneven) + times(three, even)),
        times(k4, m04)
        + times(times(4.0, c), times(1.0 + c2, uneven))
        + times(times(6.0, c2), even),
    )


@njit(forceinline=True)
def x_law(slopes):
    """Return what no angle changes: the means of x and x², then Var x, Cov(x, x²) and Var x²."""
    if len(slopes) == 0:
        return MEAN_X, MEAN_X2, X_X, X2_X, X2_X2
    cross, square, step = _numbers(slopes)
    mean = times(step, MEAN_X)
    third = times(times(step, times(2.0, square) + cross), 2.0 * MEAN_X)
    fourth = times(6.0, times(square, square)) - times(3.0, times(cross, cross))
    return (
        mean,
        square,
        square - times(mean, mean),
        third - times(square, mean),
        fourth - times(square, square),
    )


@njit(forceinline=True, error_model="numpy")
def node_law(slopes, c, s):
    """Return means and covariances of one node's (x, x², r̄, r̄x, r̄²), from cos θ and sin θ.

    In order: θ; the means of r̄, r̄x, r̄²; the covariances of r̄ with x, x², r̄, of r̄x with x, x²,
    r̄, r̄x, and of r̄² with all five. r̄ is in units of S; `slopes` are as in `activation.sent`.
    """
    sectors = _sectors(c, s)
    moments = _of_relu(c, s, sectors)
    if len(slopes) > 0:
        moments = _with_slopes(slopes, c, s, sectors, moments)
    x, x2, _, _, _ = x_law(slopes)
    m01, m11, m21, m31, m02, m12, m22, m03, m13, m04 = moments
    r = times(RADIAL1, m01)
    rx = times(RADIAL2, m11)
    rr = times(RADIAL2, m02)
    rx2 = times(RADIAL3, m21)
    r2x = times(RADIAL3, m12)
    r2x2 = times(RADIAL4, m22)
    return (
        sectors[0],
        r,
        rx,
        rr,
        rx - times(r, x),
        rx2 - times(r, x2),
        rr - times(r, r),
        rx2 - times(rx, x),
        times(RADIAL4, m31) - times(rx, x2),
        r2x - times(rx, r),
        r2x2 - times(rx, rx),
        r2x - times(rr, x),
        r2x2 - times(rr, x2),
        times(RADIAL3, m03) - times(rr, r),
        times(RADIAL4, m13) - times(rr, rx),
        times(RADIAL4, m04) - times(rr, rr),
    )

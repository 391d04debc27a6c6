"""Moments of one node of a pair of signals: what sampling a layer of finite width rests on.

With standard normals z₁ = R cos φ, z₂ = R sin φ a node has x = max(z₁, 0) and the residual r̄ of
theory.md (4). The plane has three sectors in which something is active, and in each x and r̄ are R
times a trigonometric function of φ:

- both signals, −π/2 < φ < π/2 − θ: x = cos φ, r̄ = (sin θ/S) sin φ;
- signal 1 alone, φ = π/2 − α, 0 < α < θ: x = sin α, r̄ = (cos θ/S) sin α;
- signal 2 alone, φ = −π/2 − θ + α: x = 0, r̄ = −sin(α)/S.

The integral over R is a factor 2^{m/2} Γ(m/2 + 1), m the total power; that over φ is a
trigonometric polynomial, for which Gauss–Legendre quadrature is exact to rounding at any θ.

With slopes s₊, s₋ the moments are those of ReLU times s₊^m + (−s₋)^m, and where one signal alone is
active there are terms in s₊s₋ besides (theory.md 5, 'Slopes'): r̄ is s₊ (cos θ/S) sin α +
s₋ sin(θ − α)/S there, and its mirror image has the slopes swapped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.polynomial.legendre import leggauss

from simcore.physics.slopes import RELU

from .law import FloatArray, bend

Phi: TypeAlias = tuple[FloatArray | float, FloatArray | float]
"""s₊ and s₋ of the activation: numbers, or arrays of shape (P,)."""

_ORDER = 24
"""Quadrature points of a sector."""

_LEAST_T = -690.0
"""Least ln tan(θ/2) at which sin θ is formed; below, moments are at their limit θ → 0."""

_POWERS = ((1, 0), (2, 0), (0, 1), (1, 1), (0, 2))
"""Powers of x and r̄ in the five means M of theory.md (4)."""

FEATURES = len(_POWERS)

_ALL_POWERS = tuple((p, q) for p in range(5) for q in range(5 - p) if p + q)
"""Those in their products."""


@dataclass(frozen=True, eq=False)
class Angle:
    """An angle of a pair with what is needed of it; each array of shape (P,)."""

    t: FloatArray
    """ln tan(θ/2)."""
    theta: FloatArray
    sin: FloatArray
    cos: FloatArray
    log_unit: FloatArray
    """ln S, S = sin θ below π/2 and 1 above."""
    relative_sin: FloatArray
    """sin θ / S."""
    relative_drop: FloatArray
    """(1 − cos θ)/S."""

    @classmethod
    def of(cls, t: FloatArray) -> Angle:
        """Return the angle of ln tan(θ/2), which may be −inf or inf."""
        floored = np.maximum(t, _LEAST_T)
        half_tangent = np.exp(np.minimum(floored, -_LEAST_T))
        sharp = t < 0.0
        cos = -np.tanh(floored)
        sin = 1.0 / np.cosh(np.minimum(floored, -_LEAST_T))
        return cls(
            t=t,
            theta=2.0 * np.arctan(half_tangent),
            sin=sin,
            cos=cos,
            log_unit=np.where(
                sharp, math.log(2.0) + t - np.log1p(np.exp(2.0 * np.minimum(floored, 0.0))), 0.0
            ),
            relative_sin=np.where(sharp, 1.0, sin),
            relative_drop=np.where(sharp, half_tangent, 1.0 - cos),
        )


def mean_curves(angle: Angle, phi: Phi = RELU) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the five means M of theory.md (4), expanded in t = ln tan(θ/2), S held fixed.

    Values, first derivatives and halves of second derivatives of (⟨x⟩, ⟨x²⟩, ⟨r̄⟩, ⟨r̄x⟩, ⟨r̄²⟩),
    each of shape (5, P). `phi` has the slopes of the activation.
    """
    above, below = phi
    step, cross = above - below, above * below
    fall = step * step
    theta, s, c, w = angle.theta, angle.sin, angle.cos, angle.relative_sin
    drop = angle.relative_drop
    # h = sin θ − θ cos θ = G (1 − cos θ), and h' = θ sin θ; d/dt = sin θ d/dθ.
    turn = bend(theta)
    root = math.sqrt(2.0 * math.pi)
    zero = np.zeros_like(theta)
    first_r2 = c + (s - 2.0 * theta * c) / math.pi
    double = (c * c - s * s) * (1.0 - 2.0 * theta / math.pi)
    acute = angle.t < 0.0
    # 1 − cos θ over sin²θ is 1/(1 + cos θ) where S = sin θ, and S = 1 elsewhere.
    scaled_drop = np.where(acute, 1.0 / (1.0 + np.where(acute, c, 0.0)), drop)
    values = (
        zero + step / root,
        zero + 0.5 * (above * above + below * below),
        -step * drop / root,
        -fall * turn * drop / (2.0 * math.pi),
        cross * w * w + fall * (0.5 * w * w - c * turn * scaled_drop / math.pi),
    )
    slopes = (
        zero,
        zero,
        -step * s * w / root,
        -fall * theta * s * w / (2.0 * math.pi),
        2.0 * cross * c * w * w + fall * w * w * first_r2,
    )
    bends = (
        zero,
        zero,
        -step * s * c * w / root,
        -fall * s * w * (s + 2.0 * theta * c) / (4.0 * math.pi),
        cross * w * w * (2.0 * c * c - s * s) + fall * 0.5 * w * w * (double + c * first_r2),
    )
    return np.stack(values), np.stack(slopes), np.stack(bends)


@lru_cache(maxsize=1)
def _rule() -> tuple[FloatArray, FloatArray]:
    """Nodes and weights on (0, 1)."""
    nodes, weights = leggauss(_ORDER)
    return 0.5 * (nodes + 1.0), 0.5 * weights


@dataclass(frozen=True, eq=False)
class Moments:
    """Moments E x^p r̄^q for 1 ≤ p + q ≤ 4 by (p, q), and d/dt of them; arrays of shape (P,)."""

    value: dict[tuple[int, int], FloatArray]
    slope: dict[tuple[int, int], FloatArray]
    """Derivative with respect to t = ln tan(θ/2), S held fixed."""


def raw_moments(angle: Angle, phi: Phi = RELU) -> Moments:
    """Return the moments of one node up to the fourth; `phi` has the slopes of the activation.

    The residual is continuous where sectors meet, so that d/dθ acts on it alone.
    """
    nodes, weights = _rule()
    both = math.pi - angle.theta
    turned = -0.5 * math.pi + both[:, None] * nodes
    cosines, sines = _powers(np.cos(turned)), _powers(np.sin(turned))
    unit = np.exp(np.maximum(angle.log_unit, _LEAST_T))
    powers = _powers(np.sin(angle.theta[:, None] * nodes) / unit[:, None])
    single = [angle.theta * (power @ weights) for power in powers]
    s, c, w = angle.sin, angle.cos, angle.relative_sin
    found = Moments({}, {})
    for p, q in _ALL_POWERS:
        total = p + q
        radial = 2.0 ** (0.5 * total) * math.gamma(0.5 * total + 1.0) / (2.0 * math.pi)
        shared = both * w**q * ((cosines[p] * sines[q]) @ weights)
        alone = unit**p * single[total]
        value = shared + c**q * alone
        slope = np.zeros_like(value)
        if q:
            slope = q * (c * shared - s * s * c ** (q - 1) * alone)
        if not p:
            value = value + (-1) ** q * alone
            slope = slope + (-1) ** q * s * w**q
        more, change = _mixed(angle, p, q, phi)
        scale = radial * _mirrored(phi, total, 0)
        found.value[p, q] = scale * value + radial * more
        found.slope[p, q] = scale * slope + radial * change
    return found


def _mirrored(phi: Phi, i: int, j: int) -> FloatArray | float:
    """Return s₊ⁱ s₋ʲ + (−1)^{i+j} s₋ⁱ s₊ʲ, what a sector and its mirror image have together."""
    above, below = phi
    found: FloatArray | float = above**i * below**j + (-1) ** (i + j) * below**i * above**j
    return found


def _mixed(angle: Angle, p: int, q: int, phi: Phi) -> tuple[FloatArray, FloatArray]:
    """Return the terms in s₊s₋ of a moment over its radial factor, and d/dt of them.

    They are ∫₀^θ sinⁱα sinʲ(θ − α) dα, i and j above 0, times powers of cos θ.
    """
    value, slope = np.zeros_like(angle.theta), np.zeros_like(angle.theta)
    if not np.any(phi[1]):
        return value, slope
    nodes, weights = _rule()
    s, c, theta = angle.sin, angle.cos, angle.theta[:, None]
    unit = np.exp(np.maximum(angle.log_unit, _LEAST_T))
    rising = _powers(np.sin(theta * nodes) / unit[:, None])
    falling = _powers(np.sin(theta * (1.0 - nodes)) / unit[:, None])
    follows = np.cos(theta * (1.0 - nodes)) * (s / unit)[:, None]
    for n in range(q):
        i, j = p + n, q - n
        if i == 0:
            continue
        factor = math.comb(q, n) * _mirrored(phi, i, j) * unit**p * angle.theta
        own = (rising[i] * falling[j]) @ weights
        moved = (rising[i] * falling[j - 1] * follows) @ weights
        value = value + factor * c**n * own
        slope = slope + factor * j * c**n * moved
        if n:
            slope = slope - factor * n * c ** (n - 1) * s * s * own
    return value, slope


def _powers(base: FloatArray) -> list[FloatArray]:
    """Powers 0 to 4."""
    square = base * base
    return [np.ones_like(base), base, square, square * base, square * square]


def node_covariance(
    angle: Angle, means: FloatArray, slopes: FloatArray, phi: Phi = RELU
) -> tuple[FloatArray, FloatArray]:
    """Return Σ, the covariance of (x, x², r̄, r̄x, r̄²) of one node, and dΣ/dt, S held fixed.

    `means` and `slopes` are the five means and d/dt of them, shape (5, P); Σ has shape (5, 5, P).
    """
    moments = raw_moments(angle, phi)
    covariance = np.empty((FEATURES, FEATURES, angle.theta.size))
    change = np.empty_like(covariance)
    for i, (p1, q1) in enumerate(_POWERS):
        for j, (p2, q2) in enumerate(_POWERS[: i + 1]):
            power = p1 + p2, q1 + q2
            covariance[i, j] = covariance[j, i] = moments.value[power] - means[i] * means[j]
            drift = slopes[i] * means[j] + means[i] * slopes[j]
            change[i, j] = change[j, i] = moments.slope[power] - drift
    return covariance, change


def factor(covariance: FloatArray) -> FloatArray:
    """Return W with Σ = W Wᵀ for positive semidefinite matrices, shape (n, n, P), columns second.

    Cholesky's factor but for pivots that are rounding, whose column is 0: Σ is singular where the
    signals are opposite, and the covariance of layer 1 is 0.
    """
    size = covariance.shape[0]
    rest = covariance.copy()
    columns = np.zeros_like(covariance)
    for j in range(size):
        pivot = rest[j, j]
        sound = pivot > 1e-14 * covariance[j, j]
        scale = np.where(sound, 1.0 / np.sqrt(np.where(sound, pivot, 1.0)), 0.0)
        columns[j:, j] = rest[j:, j] * scale
        rest[j:, j:] -= columns[j:, None, j] * columns[None, j:, j]
    return columns

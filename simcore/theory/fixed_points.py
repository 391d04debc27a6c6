"""Fixed points of the mean-field theory of `he` and `correlated`, depth scales and phases.

With θ and G of `meanfield`, the fixed point of theory.md (7) solves G(θ*) = g. With bias, at the
fixed point q* of (5), the same holds with g replaced by π(1 − 2/σ_w²).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from simcore.physics.slopes import RELU, Slopes

from .law import ROUNDING, Law, Phase, bend, law_of, log_near_one


@dataclass(frozen=True)
class FixedPoint:
    """Limit of a pair of signals at great depth, and its approach, theory.md 4 [P], [SS]."""

    correlation: float
    """c*; NaN where φ is linear and every c is preserved."""
    distance: float
    """1 − c* to full relative accuracy."""
    angle: float
    """θ* in radians."""
    slope: float
    """f'(c*), at most 1."""
    q: float
    """q* of (5): 0 if signals vanish, inf if they are unbounded, NaN if every q is preserved."""
    growth: float
    """λ_q = σ_w²A(1 − ηg/π): q, or with bias its distance from q*, changes by it per layer."""
    depth_scale_correlation: float
    """−1/ln(slope) in layers; inf at criticality."""
    depth_scale_q: float
    """1/|ln λ_q| in layers, of decay or of growth; inf at λ_q = 1."""
    chi: float
    """χ = σ_w²A: on the way back squared gradients change by it per layer, theory.md (13)."""
    chi_pair: float
    """χ(1 − ηθ*/π): likewise the inner product of the two signals' gradients at c*."""
    depth_scale_gradient: float
    """1/|ln χ| in layers, of decay or of growth; inf at χ = 1."""
    phase: Phase
    bounded: bool
    """True if q stays bounded."""


def _fixed_angle(g: float) -> float:
    """Solve G(θ) = g in units of g, where the root lies between 1.5 and 1.6 for 0 < g ≤ 1."""
    if g <= 0.0:
        return 0.0
    from scipy.optimize import brentq

    root = brentq(lambda x: float(bend(g * x)) / g - 1.0, 1.0, 3.0, xtol=ROUNDING, rtol=ROUNDING)
    return g * float(root)


def _linear_angle(law: Law) -> float:
    """Return θ* where φ is linear: 0 where a bias keeps its weight, else any θ is one."""
    return 0.0 if law.bias_variance > 0.0 and law.surplus <= 0.0 else math.nan


def _depth_scale(log_rate: float) -> float:
    return 1.0 / abs(log_rate) if log_rate else math.inf


def fixed_point(
    *,
    k: float = 0.0,
    sigma_w: float | None = None,
    sigma_b: float = 0.0,
    slopes: Slopes = RELU,
) -> FixedPoint:
    """Return the stable fixed point of lengths and correlation, theory.md 4 [P], [SS].

    Without bias, and with bias where q is unbounded, c* solves theory.md (7); else it solves
    1 − c* = σ_w²(A − Q(c*)). A σ_w within rounding of a critical value counts as that value.

    Parameters
    ----------
    k
        Correlation parameter of the weights, −1 < k ≤ ∞; 0 is the ensemble `he`.
    sigma_w
        Weight scale; None is the norm-preserving value, with which any bias makes q unbounded.
    sigma_b
        Standard deviation of the bias.
    slopes
        s₊ and s₋ of the activation.

    Raises
    ------
    InputError
        If a parameter is out of range.
    """
    law = law_of(k, sigma_w, sigma_b, slopes)
    g = law.late_g
    angle = _fixed_angle(g / law.eta) if law.eta else _linear_angle(law)
    turn = 0.0 if law.eta == 0.0 else law.eta * angle
    slope = max(0.0, (math.pi - turn) / (math.pi - g))
    rate = log_near_one(slope, (g - turn) / (math.pi - g)) if slope > 0.0 else -math.inf
    q = 0.0 if law.bounded else math.inf
    if law.bounded and law.bias_variance > 0.0:
        q = law.bias_variance / -law.surplus
    elif law.bounded and law.surplus == 0.0:
        q = math.nan
    return FixedPoint(
        correlation=math.cos(angle),
        distance=2.0 * math.sin(0.5 * angle) ** 2,
        angle=angle,
        slope=slope,
        q=q,
        growth=law.growth,
        depth_scale_correlation=_depth_scale(rate),
        depth_scale_q=_depth_scale(law.log_growth),
        chi=math.exp(law.log_chi),
        chi_pair=math.exp(law.log_chi) * (1.0 - turn / math.pi),
        depth_scale_gradient=_depth_scale(law.log_chi),
        phase=_phase(g),
        bounded=law.bounded,
    )


def phase(
    *,
    k: float = 0.0,
    sigma_w: float | None = None,
    sigma_b: float = 0.0,
    slopes: Slopes = RELU,
) -> Phase:
    """Return the phase by the rules of theory.md 4 'Phases' [P], [SS]; arguments as `fixed_point`.

    Raises
    ------
    InputError
        If a parameter is out of range.
    """
    return _phase(law_of(k, sigma_w, sigma_b, slopes).late_g)


def _phase(g: float) -> Phase:
    if g == 0.0:
        return Phase.CRITICAL
    return Phase.CHAOTIC if g > 0.0 else Phase.ORDERED

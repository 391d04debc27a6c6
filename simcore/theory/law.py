"""The law of a network at infinite width, and the function G that all of its theory rests on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from simcore.physics.parameters import check_scale, correlation_strength
from simcore.physics.slopes import (
    RELU,
    Slopes,
    check_slopes,
    norm_preserving_sigma_w,
    unevenness,
)

FloatArray: TypeAlias = npt.NDArray[np.float64]

ROUNDING = 4.0 * float(np.finfo(np.float64).eps)
"""Relative distance from a critical σ_w² that a σ_w rounded to float64 may have."""

_SERIES_BELOW = 1.0
"""Angle below which G is a series: 1e-17 of it is missing at the most."""


class Phase(StrEnum):
    """Fate of nearby signals, theory.md 4 'Phases' [P], [SS]."""

    ORDERED = "ordered"
    CRITICAL = "critical"
    CHAOTIC = "chaotic"


@dataclass(frozen=True)
class Law:
    """Checked parameters; `late_g` is the ηg̃ with which (7) is the map at late layers.

    `weight_variance` is σ_w², `gain` is 2A, 1 for ReLU, and `eta` is η (`physics.slopes`).
    """

    g: float
    weight_variance: float
    bias_variance: float
    surplus: float
    """λ_q − 1, which `growth` = λ_q near 1 does not hold to full accuracy."""
    growth: float
    log_growth: float
    log_chi: float
    """ln χ, χ = σ_w²A: what squared gradients grow by per layer on the way back."""
    bounded: bool
    late_g: float
    gain: float = 1.0
    eta: float = 1.0


def law_of(k: float, sigma_w: float | None, sigma_b: float, slopes: Slopes = RELU) -> Law:
    """Check the parameters of an ensemble and derive what the formulas need."""
    g, slopes = correlation_strength(k), check_slopes(slopes)
    scale = norm_preserving_sigma_w(k, slopes) if sigma_w is None else sigma_w
    scale = float(check_scale("sigma_w", scale, positive=True))
    sigma_b = float(check_scale("sigma_b", sigma_b, positive=False))
    exact_gain = Fraction(slopes[0]) ** 2 + Fraction(slopes[1]) ** 2
    gain, eta, variance = float(exact_gain), unevenness(slopes), scale**2
    seen = variance * gain
    # Rounding σ_w² first would leave nothing but the rounding of 2Aσ_w² − 2 near criticality.
    excess = float(exact_gain * Fraction(scale) ** 2 - 2)
    surplus = 0.5 * excess - seen * eta * g / (2.0 * math.pi)
    if sigma_w is None or abs(surplus) <= ROUNDING:
        surplus = 0.0
    growth = 1.0 if surplus == 0.0 else seen * (1.0 - eta * g / math.pi) / 2.0
    bounded = surplus < 0.0 or (surplus == 0.0 and sigma_b == 0.0)
    late_g = eta * g
    if bounded and sigma_b > 0.0:
        late_g = 0.0 if abs(excess) <= 2.0 * ROUNDING else math.pi * excess / seen
    log_growth, bias_variance = log_near_one(growth, surplus), sigma_b**2
    exact = abs(excess) <= 2.0 * ROUNDING  # σ_w²A = 1
    log_chi = 0.0 if exact else log_near_one(0.5 * seen, 0.5 * excess)
    steady = (surplus, growth, log_growth, log_chi, bounded, late_g)
    return Law(g, variance, bias_variance, *steady, gain, eta)


def log_near_one(value: float, excess: float) -> float:
    """Logarithm of `value` = 1 + `excess`, whichever of the two holds the digits."""
    return math.log1p(excess) if abs(excess) < 0.5 else math.log(value)


def _series_of_bend() -> tuple[float, ...]:
    """Return coefficients of G(θ)/θ in powers of θ², highest first.

    From those of (sin θ − θ cos θ)/θ³ and (1 − cos θ)/θ².
    """
    orders = range(10)
    above = [Fraction((-1) ** n * 2 * (n + 1), math.factorial(2 * n + 3)) for n in orders]
    below = [Fraction((-1) ** n, math.factorial(2 * n + 2)) for n in orders]
    found: list[Fraction] = []
    for n in orders:
        known = sum((found[i] * below[n - i] for i in range(n)), Fraction(0))
        found.append((above[n] - known) / below[0])
    return tuple(float(x) for x in reversed(found))


_SERIES = _series_of_bend()


def _near(theta: Any) -> Any:
    square, found = theta * theta, _SERIES[0]
    for coefficient in _SERIES[1:]:
        found = found * square + coefficient
    return theta * found


def _far(theta: Any, by: Any) -> Any:
    return (by.sin(theta) - theta * by.cos(theta)) / (2.0 * by.sin(0.5 * theta) ** 2)


def bend(angle: npt.ArrayLike) -> FloatArray:
    """Return G(θ) = (sin θ − θ cos θ)/(1 − cos θ); 2θ/3 for small θ, π/2 at π."""
    theta = np.asarray(angle, dtype=np.float64)
    near, far = np.minimum(theta, _SERIES_BELOW), np.maximum(theta, _SERIES_BELOW)
    return np.asarray(np.where(theta < _SERIES_BELOW, _near(near), _far(far, np)))


def kept(angle: npt.ArrayLike, eta: float) -> FloatArray:
    """Return 1 − ηG(θ)/π, by which 1 − c shrinks from pre-activations to activations.

    An even φ (η = 2) does not tell θ from π − θ. (1 − c) times this is the same for both, which
    keeps the digits near θ = π.
    """
    theta = np.asarray(angle, dtype=np.float64)
    if eta != 2.0:
        return np.asarray(1.0 - eta * bend(theta) / math.pi)
    folded = np.minimum(theta, math.pi - theta)
    factor = np.where(theta > folded, np.tan(0.5 * folded) ** 2, 1.0)
    return np.asarray(factor * (1.0 - 2.0 * bend(folded) / math.pi))


def kept_at(angle: float, eta: float) -> float:
    """Return `kept` of one angle, in a tenth of the time of an array of one."""
    if eta == 2.0:
        return float(kept(angle, eta))
    turn = _near(angle) if angle < _SERIES_BELOW else _far(angle, math)
    return 1.0 - eta * float(turn) / math.pi

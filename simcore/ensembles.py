"""The laws of the weights: ensembles, their parameters, the norm-preserving weight scale."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .errors import InputError

__all__ = ["ENSEMBLES", "Ensemble", "correlation_strength", "norm_preserving_sigma_w"]

ENSEMBLES = ("he", "correlated")
"""Names of the ensembles that the samplers know."""


def correlation_strength(k: float) -> float:
    """Return g = k/(1+k), the strength of the correlation among a node's weights.

    Parameters
    ----------
    k
        Correlation parameter, −1 < k ≤ ∞; positive is anti-correlated, 0 independent.

    Returns
    -------
    float
        g, −∞ < g ≤ 1, as in theory.md 1 [SS].

    Raises
    ------
    InputError
        If k is not above −1.
    """
    if not k > -1.0:
        raise InputError(
            "k", k, "must be above -1 (inf is allowed)", "Give a value such as 0, 1 or inf."
        )
    return 1.0 if math.isinf(k) else k / (1.0 + k)


def norm_preserving_sigma_w(k: float) -> float:
    """Return the σ_w that keeps the mean squared pre-activation, σ_w² = 2π/(π − g).

    Parameters
    ----------
    k
        Correlation parameter, −1 < k ≤ ∞.

    Returns
    -------
    float
        σ_w (not squared), for the `he` and `correlated` ensembles without bias, theory.md 1 [SS].
    """
    g = correlation_strength(k)
    return math.sqrt(2.0 * math.pi / (math.pi - g))


@dataclass(frozen=True)
class Ensemble:
    """The law of a network's weights and biases.

    Use the constructors `he` and `correlated`; they check their arguments.

    Parameters
    ----------
    name
        ``"he"`` or ``"correlated"``.
    k
        Correlation parameter, −1 < k ≤ ∞ (0 for `he`).
    sigma_w
        Weight scale σ_w: a weight has variance σ_w²/n (1 − g/n) at fan-in n. None is the
        norm-preserving value.
    sigma_b
        Standard deviation of the bias.
    """

    name: str
    k: float = 0.0
    sigma_w: float | None = None
    sigma_b: float = 0.0

    @classmethod
    def he(cls, *, sigma_w: float | None = None, sigma_b: float = 0.0) -> Ensemble:
        """Independent Gaussian weights of variance σ_w²/n; σ_w² = 2 where it is left out."""
        return cls("he", 0.0, sigma_w, sigma_b)

    @classmethod
    def correlated(
        cls, k: float, *, sigma_w: float | None = None, sigma_b: float = 0.0
    ) -> Ensemble:
        """Gaussian rows of covariance (σ_w²/n)(I − g J/n), g = k/(1+k) [SS].

        k > 0 anti-correlates a node's weights, k = ∞ makes them sum to zero.
        """
        return cls("correlated", k, sigma_w, sigma_b)

    def __post_init__(self) -> None:
        if self.name not in ENSEMBLES:
            raise InputError(
                "ensemble", self.name, "is unknown", f"Choose one of: {', '.join(ENSEMBLES)}."
            )
        correlation_strength(self.k)
        if self.name == "he" and self.k != 0.0:
            raise InputError(
                "k", self.k, "must be 0 for the ensemble he", "Use the ensemble correlated."
            )
        check_scale("sigma_w", self.resolved_sigma_w, positive=True)
        check_scale("sigma_b", self.sigma_b, positive=False)

    @property
    def g(self) -> float:
        """Strength g = k/(1+k) of the correlation among a node's weights."""
        return correlation_strength(self.k)

    @property
    def resolved_sigma_w(self) -> float:
        """σ_w as given, or the norm-preserving value."""
        return norm_preserving_sigma_w(self.k) if self.sigma_w is None else self.sigma_w


SCALE_LIMITS = (1e-100, 1e100)
"""Smallest and largest σ_w, σ_b and √q₀: their squares and the squares' products stay finite."""


def check_scale(field: str, value: float, *, positive: bool) -> None:
    """Raise InputError unless `value` is a usable standard deviation."""
    low, high = SCALE_LIMITS
    allowed = (value == 0.0 and not positive) or low <= value <= high
    if not allowed:
        or_zero = "" if positive else "0 or "
        raise InputError(
            field,
            value,
            f"must be {or_zero}between {low:g} and {high:g}",
            "Give a finite standard deviation.",
        )

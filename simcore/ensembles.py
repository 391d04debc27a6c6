"""The laws of the weights: ensembles, their parameters, the norm-preserving weight scale."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .errors import InputError

__all__ = [
    "ASYMMETRIC",
    "CRITICAL",
    "ENSEMBLES",
    "WITHOUT_K",
    "Ensemble",
    "check_scale",
    "correlation_strength",
    "default_sigma_w",
    "norm_preserving_sigma_w",
]

ENSEMBLES = ("he", "correlated", "rai", "raai")
"""Names of the ensembles that the samplers know."""

ASYMMETRIC = ("rai", "raai")
"""Those in which one of a node's weights, or its bias, is replaced by a positive draw."""

WITHOUT_K = ("he", "rai")
"""Those whose weights are independent, k = 0."""

CRITICAL = "critical"
"""Stands for the norm-preserving σ_w."""

PUBLISHED_SIGMA_W = 0.6007
"""σ_w of `rai` as published [L]; the default of the asymmetric ensembles."""


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


def default_sigma_w(ensemble: str, k: float, *, critical: bool = False) -> float:
    """Return the σ_w of an ensemble where none is given.

    Parameters
    ----------
    ensemble, k
        One of `ENSEMBLES`, and its correlation parameter.
    critical
        Whether the norm-preserving value was asked for, which is the default but for the asymmetric
        ensembles. Theirs has no closed form: it is found from the law at infinite width.
    """
    if ensemble not in ASYMMETRIC:
        return norm_preserving_sigma_w(k)
    if not critical:
        return PUBLISHED_SIGMA_W
    from .theory import population

    correlation_strength(k)
    return float(f"{population.norm_preserving_sigma_w(k):.6g}")


@dataclass(frozen=True)
class Ensemble:
    """The law of a network's weights and biases.

    Use the constructors `he`, `correlated`, `rai` and `raai`; they check their arguments.

    Parameters
    ----------
    name
        One of `ENSEMBLES`.
    k
        Correlation parameter, −1 < k ≤ ∞ (0 for `he` and `rai`).
    sigma_w
        Weight scale σ_w: a weight has variance σ_w²/n (1 − g/n) at fan-in n. None is the
        norm-preserving value, or 0.6007 for the asymmetric ensembles; ``"critical"`` is always the
        norm-preserving one.
    sigma_b
        Standard deviation of the bias. None is 0, or σ_w/√n for the asymmetric ensembles.
    """

    name: str
    k: float = 0.0
    sigma_w: float | str | None = None
    sigma_b: float | None = None

    @classmethod
    def he(cls, *, sigma_w: float | str | None = None, sigma_b: float | None = None) -> Ensemble:
        """Independent Gaussian weights of variance σ_w²/n; σ_w² = 2 where it is left out."""
        return cls("he", 0.0, sigma_w, sigma_b)

    @classmethod
    def correlated(
        cls, k: float, *, sigma_w: float | str | None = None, sigma_b: float | None = None
    ) -> Ensemble:
        """Gaussian rows of covariance (σ_w²/n)(I − g J/n), g = k/(1+k) [SS].

        k > 0 anti-correlates a node's weights, k = ∞ makes them sum to zero.
        """
        return cls("correlated", k, sigma_w, sigma_b)

    @classmethod
    def rai(cls, *, sigma_w: float | str | None = None, sigma_b: float | None = None) -> Ensemble:
        """Independent Gaussian weights and bias, one of which is replaced by a Beta(2,1) draw [L].

        Which of the n + 1 is replaced is drawn anew for every node.
        """
        return cls("rai", 0.0, sigma_w, sigma_b)

    @classmethod
    def raai(
        cls, k: float, *, sigma_w: float | str | None = None, sigma_b: float | None = None
    ) -> Ensemble:
        """As `rai`, the weights first drawn from the correlated Gaussian of `correlated` [SS]."""
        return cls("raai", k, sigma_w, sigma_b)

    def __post_init__(self) -> None:
        if self.name not in ENSEMBLES:
            raise InputError(
                "ensemble", self.name, "is unknown", f"Choose one of: {', '.join(ENSEMBLES)}."
            )
        correlation_strength(self.k)
        if self.name in WITHOUT_K and self.k != 0.0:
            other = ENSEMBLES[ENSEMBLES.index(self.name) + 1]
            rule = f"must be 0 for the ensemble {self.name}"
            raise InputError("k", self.k, rule, f"Use the ensemble {other}.")
        if isinstance(self.sigma_w, str) and self.sigma_w != CRITICAL:
            rule = f"must be a number or {CRITICAL}"
            raise InputError("sigma_w", self.sigma_w, rule, "Leave it out for the default.")
        if isinstance(self.sigma_w, int | float):
            check_scale("sigma_w", self.sigma_w, positive=True)
        if self.sigma_b is not None:
            check_scale("sigma_b", self.sigma_b, positive=False)

    @property
    def g(self) -> float:
        """Strength g = k/(1+k) of the correlation among a node's weights."""
        return correlation_strength(self.k)

    @property
    def resolved_sigma_w(self) -> float:
        """σ_w as given, or the value that stands for it."""
        if isinstance(self.sigma_w, int | float):
            return float(self.sigma_w)
        return default_sigma_w(self.name, self.k, critical=self.sigma_w == CRITICAL)


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

"""The law of a network's weights as a user gives it: `Ensemble`."""

from __future__ import annotations

from dataclasses import dataclass

from simcore.errors import InputError
from simcore.physics.ensembles import CRITICAL, check_ensemble
from simcore.physics.parameters import correlation_strength, number
from simcore.theory.scales import default_sigma_w


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
        for name in ("k", "sigma_w", "sigma_b"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                object.__setattr__(self, name, number(name, value))
        check_ensemble(self.name, self.k, self.sigma_w, self.sigma_b)

    @property
    def g(self) -> float:
        """Strength g = k/(1+k) of the correlation among a node's weights."""
        return correlation_strength(self.k)

    @property
    def resolved_sigma_w(self) -> float:
        """σ_w as given, or the value that stands for it."""
        if self.sigma_w is None or isinstance(self.sigma_w, str):
            return default_sigma_w(self.name, self.k, critical=self.sigma_w == CRITICAL)
        return float(self.sigma_w)


def checked(ensemble: object) -> Ensemble:
    """Return an ensemble; InputError for anything else."""
    if not isinstance(ensemble, Ensemble):
        remedy = "Give simcore.Ensemble.he(), say."
        raise InputError("ensemble", repr(ensemble), "must be a simcore.Ensemble", remedy)
    return ensemble

"""The law of a network's weights as a user gives it: `Ensemble`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from simcore.errors import InputError
from simcore.physics.ensembles import ASYMMETRIC, CRITICAL, FAN_IN, check_ensemble
from simcore.physics.parameters import check_choice, correlation_strength, number
from simcore.physics.slopes import (
    RELU,
    SHAPED,
    Slopes,
    norm_preserving_sigma_w,
    parse_slopes,
    slopes_at,
)
from simcore.theory.scales import default_sigma_w

DRAWN = ("normal", "uniform", "truncated")
"""Laws of the weights that initializers draw."""

FRAMEWORKS = ("pytorch", "keras", "flax", "mlx")
"""Names of `Ensemble.like`."""


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
        Standard deviation of the bias. None is 0, or σ_w/√n for the asymmetric ensembles;
        ``"fan-in"`` is always σ_w/√n.
    weights
        Law of the weights before their correlation: ``"normal"``, ``"uniform"`` or ``"truncated"``
        (normal, without what lies beyond two standard deviations), each with the variance that
        σ_w says. Biases of σ_w/√n have it, too; others are normal. `simulate` takes `truncated`
        for normal, and draws all biases as normal.
    slopes
        s₊ and s₋ of the activation, or a name, as for `Run`, which the norm-preserving σ_w follows;
        None is ReLU. Those of shaped ReLU depend on a width, and are not for an ensemble.
    """

    name: str
    k: float = 0.0
    sigma_w: float | str | None = None
    sigma_b: float | str | None = None
    weights: str = "normal"
    slopes: str | Sequence[float] | None = None

    @classmethod
    def he(
        cls,
        *,
        sigma_w: float | str | None = None,
        sigma_b: float | str | None = None,
        slopes: str | Sequence[float] | None = None,
    ) -> Ensemble:
        """Independent Gaussian weights of variance σ_w²/n.

        Where it is left out σ_w² is 2, and 2/(s₊² + s₋²) for other slopes.
        """
        return cls("he", 0.0, sigma_w, sigma_b, slopes=slopes)

    @classmethod
    def correlated(
        cls,
        k: float,
        *,
        sigma_w: float | str | None = None,
        sigma_b: float | str | None = None,
        slopes: str | Sequence[float] | None = None,
    ) -> Ensemble:
        """Gaussian rows of covariance (σ_w²/n)(I − g J/n), g = k/(1+k) [SS].

        k > 0 anti-correlates a node's weights, k = ∞ makes them sum to zero.
        """
        return cls("correlated", k, sigma_w, sigma_b, slopes=slopes)

    @classmethod
    def rai(
        cls, *, sigma_w: float | str | None = None, sigma_b: float | str | None = None
    ) -> Ensemble:
        """Independent Gaussian weights and bias, one of which is replaced by a Beta(2,1) draw [L].

        Which of the n + 1 is replaced is drawn anew for every node.
        """
        return cls("rai", 0.0, sigma_w, sigma_b)

    @classmethod
    def raai(
        cls, k: float, *, sigma_w: float | str | None = None, sigma_b: float | str | None = None
    ) -> Ensemble:
        """As `rai`, the weights first drawn from the correlated Gaussian of `correlated` [SS]."""
        return cls("raai", k, sigma_w, sigma_b)

    @classmethod
    def like(cls, name: str) -> Ensemble:
        """Return the law of a framework's default linear layer, theory.md 1 with n its fan-in.

        What the documentation of the frameworks says:

        - ``"pytorch"``: weights and biases uniform on ±1/√n (``torch.nn.Linear``: "U(−√k, √k),
          k = 1/in_features", by ``kaiming_uniform_(a=√5)``). σ_w² = 1/3, σ_b² = 1/(3n).
        - ``"mlx"``: the same (``mlx.nn.Linear``: "U(−k, k), k = 1/√input_dims").
        - ``"keras"``: weights uniform on ±√(6/(n + m)) with m nodes, biases 0 (``keras.layers.
          Dense``: ``glorot_uniform``, ``zeros``). σ_w = 1, which holds where n = m: between layers
          of different sizes Keras has σ_w² = 2n/(n + m).
        - ``"flax"``: weights of variance 1/n from a normal law that is cut off at two standard
          deviations, biases 0 (``flax.linen.Dense``, ``flax.nnx.Linear``: ``lecun_normal``,
          ``zeros``). σ_w = 1.

        All of them have σ_w² < 2: a mean square falls to σ_w²/2 of itself per ReLU layer.
        """
        check_choice("name", name, FRAMEWORKS)
        if name in ("pytorch", "mlx"):
            return cls("he", 0.0, 1.0 / math.sqrt(3.0), FAN_IN, "uniform")
        return cls("he", 0.0, 1.0, 0.0, "uniform" if name == "keras" else "truncated")

    def __post_init__(self) -> None:
        for name in ("k", "sigma_w", "sigma_b"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                object.__setattr__(self, name, number(name, value))
        check_ensemble(self.name, self.k, self.sigma_w, self.sigma_b)
        check_choice("weights", self.weights, DRAWN)
        if self.slopes is not None:
            object.__setattr__(self, "slopes", self._checked_slopes())

    def _checked_slopes(self) -> str | None:
        """Return slopes as a run holds them; None is ReLU."""
        given = parse_slopes(self.slopes)
        if given == "1,0":
            return None
        if given.startswith(SHAPED):
            rule = "depend on a width, and an ensemble has none"
            raise InputError("slopes", given, rule, "Give two numbers, or `slopes` of simulate.")
        if self.name in ASYMMETRIC:
            raise InputError("slopes", given, "are not for rai and raai", "Leave them out.")
        return given

    @property
    def activation(self) -> Slopes:
        """s₊ and s₋."""
        return RELU if self.slopes is None else slopes_at(str(self.slopes), 1)

    @property
    def g(self) -> float:
        """Strength g = k/(1+k) of the correlation among a node's weights."""
        return correlation_strength(self.k)

    @property
    def resolved_sigma_w(self) -> float:
        """σ_w as given, or the value that stands for it."""
        if self.sigma_w is None or isinstance(self.sigma_w, str):
            if self.slopes is not None:
                return norm_preserving_sigma_w(self.k, self.activation)
            return default_sigma_w(self.name, self.k, critical=self.sigma_w == CRITICAL)
        return float(self.sigma_w)


def checked(ensemble: object) -> Ensemble:
    """Return an ensemble; InputError for anything else."""
    if not isinstance(ensemble, Ensemble):
        remedy = "Give simcore.Ensemble.he(), say."
        raise InputError("ensemble", repr(ensemble), "must be a simcore.Ensemble", remedy)
    return ensemble

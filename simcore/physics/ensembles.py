"""The laws of the weights: names of the ensembles, and the rules of their parameters."""

from __future__ import annotations

from simcore.errors import InputError

from .parameters import check_scale, correlation_strength

ENSEMBLES = ("he", "correlated", "rai", "raai")
"""Names of the ensembles that the samplers know."""

ASYMMETRIC = ("rai", "raai")
"""Those in which one of a node's weights, or its bias, is replaced by a positive draw."""

WITHOUT_K = ("he", "rai")
"""Those whose weights are independent, k = 0."""

CRITICAL = "critical"
"""Stands for the norm-preserving σ_w."""

FAN_IN = "fan-in"
"""Stands for σ_b = σ_w/√n: a bias like one more weight, which reads 1."""

PUBLISHED_SIGMA_W = 0.6007
"""σ_w of `rai` as published [L]; the default of the asymmetric ensembles."""


def ensemble_name(name: str | None, *, has_k: bool) -> str:
    """Return the ensemble that is meant: k alone means `correlated`, nothing at all `he`.

    Raises InputError if the ensemble needs k and there is none.
    """
    if name is None:
        return "correlated" if has_k else "he"
    if name in ENSEMBLES and name not in WITHOUT_K and not has_k:
        rule = "needs the strength of the correlation"
        raise InputError("ensemble", name, rule, "Give `k`, such as 1.")
    return name


def check_ensemble(
    name: str, k: float, sigma_w: float | str | None, sigma_b: float | str | None = None
) -> None:
    """Raise InputError, naming field, value, rule and remedy, if parameters break a rule."""
    if name not in ENSEMBLES:
        raise InputError("ensemble", name, "is unknown", f"Choose one of: {', '.join(ENSEMBLES)}.")
    correlation_strength(k)
    if name in WITHOUT_K and k != 0.0:
        other = ENSEMBLES[ENSEMBLES.index(name) + 1]
        rule = f"must be 0 for the ensemble {name}"
        raise InputError("k", k, rule, f"Use the ensemble {other}.")
    if isinstance(sigma_w, str) and sigma_w != CRITICAL:
        rule = f"must be a number or {CRITICAL}"
        raise InputError("sigma_w", sigma_w, rule, "Leave it out for the default.")
    if sigma_w is not None and not isinstance(sigma_w, str):
        check_scale("sigma_w", sigma_w, positive=True)
    if isinstance(sigma_b, str) and sigma_b != FAN_IN:
        rule = f"must be a number or {FAN_IN}"
        raise InputError("sigma_b", sigma_b, rule, "Leave it out for the default.")
    if sigma_b is not None and not isinstance(sigma_b, str):
        check_scale("sigma_b", sigma_b, positive=False)

"""Gradients at finite width: mean and standard deviation over networks, theory.md 7.

For independent weights the gradient of one signal has an exact law at any width, with bias or not:
‖δ^l‖² is a product of independent (σ_w²/N)χ²_K over the layers l…L, K binomial (N, ½), σ_w² = 1 for
the read-out. The signals' lengths have the same K. For correlated weights the mean of ln ‖δ‖² is
known to first order in 1/N.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from .law import FloatArray

__all__ = ["GradientLaw", "gradient_law"]

_MEAN2 = 1.0 / math.pi
"""⟨x⟩²/⟨x²⟩ of a rectified normal variable."""

_REACH = 12.0
"""Standard deviations of the number of active nodes that are summed over."""

_MOST_LIFT = 0.05
"""Lift of ln ‖δ‖² by positively correlated weights (k < 0) above which there is no prediction."""

GradientLaw = tuple[dict[str, FloatArray], dict[str, FloatArray]]
"""Mean and standard deviation by observable, each of shape (P, depth)."""


def gradient_law(
    depth: int,
    *,
    widths: npt.ArrayLike,
    g: npt.ArrayLike,
    sigma_w: npt.ArrayLike,
    sigma_b: npt.ArrayLike,
    q1: npt.ArrayLike,
    q2: npt.ArrayLike,
) -> GradientLaw:
    """Return mean and standard deviation of each of `GRADIENT_FIRST_ORDER` for P points at once.

    Parameters
    ----------
    depth
        Number of layers.
    widths
        Width of every layer, shape (P, depth).
    g, sigma_w, sigma_b
        The ensembles, g = k/(1 + k), each of shape (P,); `sigma_b` also (P, depth).
    q1, q2
        Mean squares of the inputs, each of shape (P,). They are not checked here.

    Returns
    -------
    tuple of dict
        Exact where g = 0. Else the logarithms are to first order in 1/N and the others NaN; with
        g < 0 the logarithms are NaN, too, from the layer on (towards the first) where h·δ = f
        keeps the gradients from falling.
    """
    nodes = np.asarray(widths, dtype=np.float64).reshape(-1, depth)
    strength, scale, first, second = (
        np.broadcast_to(np.asarray(value, dtype=np.float64), nodes.shape[:1])
        for value in (g, sigma_w, q1, q2)
    )
    given = np.asarray(sigma_b, dtype=np.float64)
    biases = np.broadcast_to(given if given.ndim > 1 else given.reshape(-1, 1), nodes.shape)
    path = [_lengths(q, strength, scale, biases) for q in (first, second)]
    mean, std = {}, {}
    for name, (log_q, _) in zip(("log_gradient1", "log_gradient2"), path, strict=True):
        mean[name], std[name] = _logarithm(nodes, strength, scale, biases, log_q)
    correlated = (strength != 0.0)[:, None]
    squares = [_Squares(nodes, scale, biases, *one) for one in path]
    for name, (middle, ratio) in (
        ("weight_gradient1", squares[0].weight_gradient()),
        ("tangent11", squares[0].tangent()),
        ("tangent22", squares[1].tangent()),
    ):
        mean[name] = np.where(correlated, np.nan, middle)
        std[name] = np.where(correlated, np.nan, middle * ratio)
    return mean, std


def _lengths(
    q: FloatArray, g: FloatArray, scale: FloatArray, biases: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return ln of q of the layers, theory.md (5), and of ⟨x²⟩ of what they read, (P, depth)."""
    with np.errstate(divide="ignore"):
        log_bias = 2.0 * np.log(biases)
    read, found = [np.log(q)], []
    growth = 2.0 * np.log(scale)
    for layer in range(biases.shape[1]):
        seen = growth + read[-1] + (np.log1p(-g * _MEAN2) if layer else 0.0)
        found.append(np.logaddexp(seen, log_bias[:, layer]))
        read.append(found[-1] - math.log(2.0))
    return np.stack(found, axis=1), np.stack(read[:-1], axis=1)


# --- ln ‖δ‖² ------------------------------------------------------------------------------------


def _logarithm(
    nodes: FloatArray, g: FloatArray, scale: FloatArray, biases: FloatArray, log_q: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return mean and standard deviation of ln ‖δ‖² of networks that are not dead."""
    known, place = np.unique(nodes, return_inverse=True)
    per_width = np.array([_of_width(int(width)) for width in known])[place.reshape(nodes.shape)]
    own = 2.0 * np.log(scale)[:, None] + _shift(nodes, g, 1.0 - biases**2 * np.exp(-log_q))
    own[:, -1] = 0.0  # the read-out has independent weights of variance 1/N
    mean = np.cumsum((per_width[..., 0] + own)[:, ::-1], axis=1)[:, ::-1]
    variance = np.cumsum(per_width[:, ::-1, 1], axis=1)[:, ::-1]
    return mean, np.sqrt(variance)


def _of_width(width: int) -> tuple[float, float]:
    """Return mean and variance of ln(χ²_K/N), K binomial (N, ½) but not 0."""
    from scipy.special import digamma, polygamma
    from scipy.stats import binom

    spread = _REACH * 0.5 * math.sqrt(width)
    low, high = math.floor(0.5 * width - spread), math.ceil(0.5 * width + spread)
    counts = np.arange(max(1, low), min(width, high) + 1)
    shares = binom.pmf(counts, width, 0.5)
    shares /= shares.sum()
    # ln 2 + ψ(K/2) − ln N about its value at N/2, so that few digits cancel.
    values = digamma(0.5 * counts) - math.log(0.25 * width)
    mean = float(shares @ values)
    variance = float(shares @ (values - mean) ** 2 + shares @ polygamma(1, 0.5 * counts))
    return mean - math.log(2.0), variance


def _shift(nodes: FloatArray, g: FloatArray, share: FloatArray) -> FloatArray:
    """Return what correlated weights add to the mean of ln ‖δ^l‖² in each layer, theory.md (17).

    `share` is the weights' part ω of q. Of δ^{l+1} the law needs ρ = E(h·δ)²/(‖δ‖²q), 1 at the top.
    """
    bent = (1.0 - 2.0 * g * _MEAN2 + 0.5 * g**2 * _MEAN2) / (1.0 - g * _MEAN2)
    found, rho = np.zeros_like(nodes), np.ones_like(g)
    lift = np.zeros_like(g)
    for layer in range(nodes.shape[1] - 2, -1, -1):
        omega = share[:, layer + 1]
        found[:, layer] = (-g - 2.0 * bent * omega * (1.0 - rho)) / nodes[:, layer]
        lift = lift + 2.0 * bent * omega * np.maximum(rho - 1.0, 0.0) / nodes[:, layer]
        found[lift > _MOST_LIFT, layer] = np.nan
        rho = (1.0 - g * _MEAN2) * (rho * omega + 1.0 - omega)
    return found


# --- second moments for independent weights -----------------------------------------------------


class _Squares:
    """Means of squares over networks, over the squares of the means, theory.md (16).

    In layer l the length of the signal is multiplied by F̂ and that of the gradient by B̂, both
    (2/N)χ²_K with the same K: E F̂² = E B̂² = 1 + 5/N and E F̂B̂ = 1 + 1/N.
    """

    def __init__(
        self,
        nodes: FloatArray,
        scale: FloatArray,
        biases: FloatArray,
        log_q: FloatArray,
        log_read: FloatArray,
    ) -> None:
        depth = nodes.shape[1]
        self._nodes, self._log_q, self._log_read = nodes, log_q, log_read
        self._share = 1.0 - biases**2 * np.exp(-log_q)
        back = 2.0 * np.log(scale)[:, None] - math.log(2.0)
        self._log_squared = back * np.arange(depth - 1, -1, -1) - math.log(2.0)
        same = 1.0 + 5.0 / nodes
        self._back = np.cumprod(same[:, ::-1], axis=1)[:, ::-1]
        forth = np.ones_like(nodes)
        for layer in range(depth - 1):
            grown = same[:, layer] * forth[:, layer] - 1.0
            forth[:, layer + 1] = 1.0 + self._share[:, layer + 1] ** 2 * grown
        self._forth = forth

    def weight_gradient(self) -> tuple[FloatArray, FloatArray]:
        """Return mean and relative standard deviation of ‖δ^l‖² ⟨x²⟩."""
        before = np.ones_like(self._nodes)
        before[:, 1:] = (1.0 + 5.0 / self._nodes[:, :-1]) * self._forth[:, :-1]
        square = self._back * before
        return np.exp(self._log_squared + self._log_read), np.sqrt(square - 1.0)

    def tangent(self) -> tuple[FloatArray, FloatArray]:
        """Return mean and relative standard deviation of the partial sums of Θ."""
        log_terms = self._log_q + self._log_squared
        log_sums = np.logaddexp.accumulate(log_terms, axis=1)
        parts = np.exp(log_terms - log_sums)
        found = np.empty_like(parts)
        square, cross = np.zeros(len(parts)), np.zeros(len(parts))
        for layer in range(parts.shape[1]):
            new = parts[:, layer]
            old = 1.0 - new if layer else np.zeros_like(new)
            back, forth = self._back[:, layer], self._forth[:, layer]
            square = old**2 * square + 2.0 * old * new * back * cross + new**2 * back * forth
            found[:, layer] = square
            if layer + 1 < parts.shape[1]:
                omega = self._share[:, layer + 1]
                both = omega * (1.0 + 1.0 / self._nodes[:, layer])
                cross = both * (old * cross + new * forth) + 1.0 - omega
        return np.exp(log_sums), np.sqrt(np.maximum(found - 1.0, 0.0))

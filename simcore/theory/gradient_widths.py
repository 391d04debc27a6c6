"""Gradients at finite width: mean and standard deviation over networks, theory.md 7.

For independent weights the gradient of one signal has an exact law at any width, with bias or not:
‖δ^l‖² is a product of independent (σ_w²/N)(s₊²χ²_K + s₋²χ²_{N−K}) over the layers l…L, K binomial
(N, ½), σ_w² = 1 for the read-out. The signals' lengths have the same K. For correlated weights
means and standard deviations are known to first order in 1/N.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.polynomial.legendre import leggauss

from simcore.physics.slopes import RELU, Slopes

from .law import FloatArray

__all__ = ["GradientLaw", "gradient_law", "gradient_terms"]

_LOW, _HIGH, _ORDER = -40, 100, 20
"""Ends of the quadrature over ln t, and its points in each unit."""

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
    read1: npt.ArrayLike | None = None,
    read2: npt.ArrayLike | None = None,
    slopes: tuple[npt.ArrayLike, npt.ArrayLike] = RELU,
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
        Mean squares of the inputs as the weights see them, each of shape (P,). They are not
        checked here.
    read1, read2
        Mean squares of the inputs themselves, where these are others.
    slopes
        s₊ and s₋, each of shape (P,).

    Returns
    -------
    tuple of dict
        Exact where g = 0, else to first order in 1/N. With g < 0 they are NaN from the layer on
        (towards the first) where h·δ = f keeps the gradients from falling, and for the tangent
        kernel throughout if that is so in any layer.
    """
    nodes = np.asarray(widths, dtype=np.float64).reshape(-1, depth)
    reads = q1 if read1 is None else read1, q2 if read2 is None else read2
    strength, scale, above, below, *signals = (
        np.broadcast_to(np.asarray(value, dtype=np.float64), nodes.shape[:1])
        for value in (g, sigma_w, *slopes, q1, q2, *reads)
    )
    phi = _Phi.of(above, below)
    given = np.asarray(sigma_b, dtype=np.float64)
    biases = np.broadcast_to(given if given.ndim > 1 else given.reshape(-1, 1), nodes.shape)
    mean, std = {}, {}
    law = nodes, phi, strength, scale, biases
    both = [_Signal(*law, signals[i], signals[2 + i]) for i in (0, 1)]
    for name, (middle, spread) in (
        ("log_gradient1", both[0].logarithm()),
        ("log_gradient2", both[1].logarithm()),
        ("weight_gradient1", both[0].weight_gradient()),
        ("tangent11", both[0].tangent()),
        ("tangent22", both[1].tangent()),
    ):
        mean[name], std[name] = middle, spread
    return mean, std


def gradient_terms(
    nodes: npt.NDArray[np.int64],
    *,
    g: float,
    sigma_w: float,
    sigma_b: float,
    q: float,
    slopes: Slopes = RELU,
) -> tuple[FloatArray, FloatArray]:
    """Return E ln of each layer's (s₊²χ²_K + s₋²χ²_{N−K})/N, and the noise's share in ‖δ‖².

    For control variates, theory.md (19).

    Parameters
    ----------
    nodes
        Width of every layer, shape (depth,).
    g, sigma_w, sigma_b, q, slopes
        The ensemble, and the mean square of the input as the weights see it.

    Returns
    -------
    tuple of ndarray
        Both of shape (depth,). The first is exact, K binomial (N, ½), with s₋ = 0 not 0; the
        second, near infinite width, is 1 in the last layer, and below 1 by a number over N for
        g ≥ 0.
    """
    ones, wide = np.ones(1), nodes[None].astype(np.float64)
    phi = _Phi.of(slopes[0] * ones, slopes[1] * ones)
    law = wide, phi, g * ones, sigma_w * ones, np.full(wide.shape, sigma_b)
    return _of_widths(wide, phi)[0, :, 0], _Signal(*law, q * ones, ones).noise()[0]


class _Phi(NamedTuple):
    """The activation of P points, theory.md (1a); all arrays have shape (P,).

    A is E φ² of a standard normal; the others are of φ/√A: its mean, third and fourth moment, the
    latter over 3, which is E φ'⁴ as well.
    """

    above: FloatArray
    below: FloatArray
    square: FloatArray
    mean: FloatArray
    third: FloatArray
    fourth: FloatArray

    @classmethod
    def of(cls, above: FloatArray, below: FloatArray) -> _Phi:
        """Return the moments of slopes."""
        square = 0.5 * (above**2 + below**2)
        mean = (above - below) / np.sqrt(2.0 * math.pi * square)
        third = math.sqrt(2.0 / math.pi) * (above**3 - below**3) / square**1.5
        return cls(above, below, square, mean, third, 0.5 * (above**4 + below**4) / square**2)


class _Signal:
    """One signal of P points: its lengths, theory.md (5), and its gradients."""

    def __init__(
        self,
        nodes: FloatArray,
        phi: _Phi,
        g: FloatArray,
        scale: FloatArray,
        biases: FloatArray,
        q: FloatArray,
        input_read: FloatArray,
    ) -> None:
        # A single node of k = ∞ sends what the subtracted mean takes away: ln 0 = −∞.
        with np.errstate(divide="ignore", invalid="ignore"):
            log_bias = 2.0 * np.log(biases)
            self._nodes, self._phi, self._g = nodes, phi, g
            self._growth = 2.0 * np.log(scale)[:, None]
            self._square = np.log(phi.square)
            read, seen = [np.log(input_read)], [np.log(q)]
            log_q = []
            for layer in range(nodes.shape[1]):
                log_q.append(np.logaddexp(self._growth[:, 0] + seen[-1], log_bias[:, layer]))
                read.append(log_q[-1] + self._square)
                # E(⟨x²⟩ − g⟨x⟩²) at this width
                lost = g * phi.mean**2 + g * (1.0 - phi.mean**2) / nodes[:, layer]
                seen.append(read[-1] + np.log1p(-lost))
            self._log_read = np.stack(read[:-1], axis=1)
            self._log_term = np.logaddexp(self._growth + self._log_read, log_bias)
            self._share = 1.0 - np.exp(log_bias - np.stack(log_q, axis=1))
            self._share_read = 1.0 - np.exp(log_bias - self._log_term)
        self._shift = _shift(nodes, phi, g, self._share)

    def _back(self, own: FloatArray | float) -> FloatArray:
        """Return sums over the layers from each on, with σ_w² of all but the read-out."""
        terms = own + self._shift + self._growth
        terms[:, -1] -= self._growth[:, 0]
        return np.asarray(np.cumsum(terms[:, ::-1], axis=1)[:, ::-1])

    def logarithm(self) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation of ln ‖δ‖² of networks that are not dead."""
        mean, variance = np.moveaxis(_of_widths(self._nodes, self._phi), -1, 0)
        total = np.cumsum(variance[:, ::-1], axis=1)[:, ::-1]
        spread = np.sqrt(total) + 0.0 * self._back(0.0)  # NaN where the mean is
        return self._back(mean), spread

    def noise(self) -> FloatArray:
        """Return the share of the fresh noise in ‖δ^l‖², without (h·δ)²; 1 in the last layer."""
        found, rho = np.ones_like(self._nodes), np.ones_like(self._g)
        for layer in range(self._nodes.shape[1] - 2, -1, -1):
            omega = self._share[:, layer + 1]
            lift = 2.0 * _bent(self._phi, self._g) * omega * rho / self._nodes[:, layer]
            found[:, layer] = 1.0 / (1.0 + lift)
            rho = (1.0 - self._g * self._phi.mean**2) * (rho * omega + 1.0 - omega)
            rho = rho * found[:, layer]
        return found

    def weight_gradient(self) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation of ‖δ^l‖² ⟨x²⟩."""
        moments = self._moments()
        before = np.ones_like(self._nodes)
        spread = (3.0 * self._phi.fourth - 1.0)[:, None] / self._nodes[:, :-1]
        before[:, 1:] = (1.0 + spread) * moments.length[:, :-1]
        mean = np.exp(self._back(self._square[:, None]) + self._log_read)
        return mean, mean * np.sqrt(moments.back * before - 1.0)

    def tangent(self) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation of the partial sums of Θ."""
        log_terms = self._log_term + self._back(self._square[:, None])
        with np.errstate(invalid="ignore"):  # NaN where there is no prediction
            log_sums = np.logaddexp.accumulate(log_terms, axis=1)
        parts, moments = np.exp(log_terms - log_sums), self._moments()
        found = np.empty_like(parts)
        square, carried = np.zeros(len(parts)), np.zeros(len(parts))
        for layer in range(parts.shape[1]):
            new = parts[:, layer]
            old = 1.0 - new if layer else np.zeros_like(new)
            back, wide = moments.back[:, layer], self._nodes[:, layer - 1]
            read, omega = self._share_read[:, layer], self._share[:, layer]
            mixed = 1.0 + (self._phi.fourth - 1.0) / wide
            cross = read * mixed * carried + 1.0 - read
            square = old * (old * square + 2.0 * new * back * cross)
            square = square + new**2 * back * moments.read[:, layer]
            found[:, layer] = square
            kept = omega * (1.0 + moments.length_and_back / wide) * carried + 1.0 - omega
            carried = old * kept + new * moments.read_and_length[:, layer]
        mean = np.exp(log_sums)
        return mean, mean * np.sqrt(np.maximum(found - 1.0, 0.0))

    def _moments(self) -> _Moments:
        return _Moments.of(self._nodes, self._phi, self._g, self._share, self._share_read)


# --- ln ‖δ‖² ------------------------------------------------------------------------------------


def _of_widths(nodes: FloatArray, phi: _Phi) -> FloatArray:
    """Return mean and variance of ln((s₊²χ²_K + s₋²χ²_{N−K})/N) of every width, (P, depth, 2)."""
    slopes = (np.broadcast_to(each[:, None], nodes.shape) for each in (phi.above, phi.below))
    rows = np.stack([nodes, *slopes], axis=-1).reshape(-1, 3)
    known, place = np.unique(rows, axis=0, return_inverse=True)
    values = np.array([_of_width(int(row[0]), row[1], row[2]) for row in known])
    return np.asarray(values[place.ravel()].reshape(*nodes.shape, 2))


def _of_width(width: int, above: float, below: float) -> tuple[float, float]:
    if below != 0.0:
        return _of_both_slopes(width, above, below)
    mean, variance = _of_active(width)
    return mean + 2.0 * math.log(above), variance


def _of_both_slopes(width: int, above: float, below: float) -> tuple[float, float]:
    """Return mean and variance of ln X, X the mean of N independent φ'²z², φ' of a fair coin.

    With T exponential P(T/X > t) = E exp(−tX) = E(exp(−tφ'²z²/N))^N, which gives both moments of
    ln T − ln X by quadrature; those of ln T are −γ and π²/6.
    """
    center = -math.log(0.5 * (above**2 + below**2))
    points, weights = leggauss(_ORDER)
    high = _HIGH + math.ceil(2.0 * abs(math.log(abs(below) / above)))
    y = (np.arange(_LOW, high)[:, None] + 0.5 * (1.0 + points)).ravel()
    weights = np.tile(0.5 * weights, high - _LOW)
    with np.errstate(under="ignore", divide="ignore"):
        t = 2.0 * np.exp(y + center) / width
        less = sum(0.5 * np.expm1(-0.5 * np.log1p(t * slope**2)) for slope in (above, below))
        power = width * np.log1p(less)
        tail = np.where(y > 0.0, np.exp(power), np.expm1(power))
    first = float(weights @ tail)
    second = float(weights @ (2.0 * y * tail))
    return -np.euler_gamma - center - first, second - first**2 - math.pi**2 / 6.0


def _of_active(width: int) -> tuple[float, float]:
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


def _shift(nodes: FloatArray, phi: _Phi, g: FloatArray, share: FloatArray) -> FloatArray:
    """Return what correlated weights add to the mean of ln ‖δ^l‖² in each layer, theory.md (17).

    `share` is the weights' part ω of q. Of δ^{l+1} the law needs ρ = E(h·δ)²/(‖δ‖²q), 1 at the top.
    """
    bent = _bent(phi, g)
    found, rho = np.zeros_like(nodes), np.ones_like(g)
    lift = np.zeros_like(g)
    for layer in range(nodes.shape[1] - 2, -1, -1):
        omega = share[:, layer + 1]
        found[:, layer] = (-g - 2.0 * bent * omega * (1.0 - rho)) / nodes[:, layer]
        lift = lift + 2.0 * bent * omega * np.maximum(rho - 1.0, 0.0) / nodes[:, layer]
        found[lift > _MOST_LIFT, layer] = np.nan
        rho = (1.0 - g * phi.mean**2) * (rho * omega + 1.0 - omega)
    return found


def _bent(phi: _Phi, g: FloatArray) -> FloatArray:
    """Return C of theory.md (17)."""
    bent = phi.fourth - g * phi.mean * phi.third + (g * phi.mean) ** 2
    return np.asarray(0.5 * bent / (1.0 - g * phi.mean**2))


# --- second moments -----------------------------------------------------------------------------


class _Moments(NamedTuple):
    """Means of squares and products over networks, over those of the means, theory.md (16).

    In layer l the length of the signal is multiplied by F̂, what is read of it by X̂ (the same for
    g = 0) and the squared gradient by B̂; their second moments are 1 + a number over N each.
    """

    back: FloatArray
    """Of Π B̂ from each layer on, shape (P, depth), as the following."""
    length: FloatArray
    """Of K, the variance of the pre-activations."""
    read: FloatArray
    """Of R = σ_w²⟨x²⟩ + σ_b²."""
    read_and_length: FloatArray
    length_and_back: FloatArray
    """The number of F̂ and B̂, shape (P,)."""

    @classmethod
    def of(
        cls,
        nodes: FloatArray,
        phi: _Phi,
        g: FloatArray,
        share: FloatArray,
        share_read: FloatArray,
    ) -> _Moments:
        """Follow them from layer to layer; the shares are those of the weights in K and in R."""
        lost, cubic = g * phi.mean**2, g * phi.mean * phi.third
        mean, level = 1.0 - lost, 1.0 - 2.0 * lost
        both = (3.0 * phi.fourth - 4.0 * cubic + 4.0 * g * lost - level**2) / mean**2
        mixed = (3.0 * phi.fourth - 2.0 * cubic - level) / mean
        alone = 3.0 * phi.fourth - 1.0
        length, read, product = (np.ones_like(nodes) for _ in range(3))
        for layer in range(nodes.shape[1] - 1):
            before, wide = length[:, layer], nodes[:, layer]
            a, b = share[:, layer + 1], share_read[:, layer + 1]
            length[:, layer + 1] = 1.0 + a**2 * ((1.0 + both / wide) * before - 1.0)
            read[:, layer + 1] = 1.0 + b**2 * ((1.0 + alone / wide) * before - 1.0)
            product[:, layer + 1] = 1.0 + a * b * ((1.0 + mixed / wide) * before - 1.0)
        grown = 1.0 + alone[:, None] / nodes[:, ::-1]
        back = np.asarray(np.cumprod(grown, axis=1)[:, ::-1])
        return cls(back, length, read, product, (phi.fourth - cubic - level) / mean)

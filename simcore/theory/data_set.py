"""Nodes that are inactive for every input of a data set, at infinite width, theory.md (7e).

The pre-activations of a node are then jointly Gaussian over the inputs, with the covariance that
(5) and (6) carry from layer to layer, and the share of nodes without an active input is the
probability that all of them are at most 0. For random pairs that is an integral over one variable.
For given inputs, each of whose pairs has its own correlation, it is an average over draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.polynomial.legendre import leggauss

from simcore.physics.slopes import RELU, Slopes

from .law import FloatArray, law_of
from .meanfield import trajectory

DRAWS = (1000, 20_000)
"""Draws behind the share of given inputs, at least and at most."""

NUMBERS = 1_000_000
"""Numbers that are drawn where that makes neither too few draws nor too many."""

BATCH = 250

MOST_INPUTS = 3000
"""Given inputs that can be followed: their covariance has to fit into memory several times."""

WORK = 4e11
"""Products that may be spent on given inputs: about half a minute, the first 47 layers of 1797."""

_SEED = 7
_ORDER = 16
"""Quadrature points of a panel of width 1."""

_JITTERS = (1e-12, 1e-10, 1e-8)
"""Added to the diagonal of a correlation matrix until rounding leaves it positive."""

_NO_MEAN = 1e-9
"""Mean square of the mean over inputs below which there is none to be integrated over."""


def dead_of_pairs(
    depth: int,
    *,
    k: float,
    sigma_w: float | None = None,
    sigma_b: float | FloatArray = 0.0,
    q0: float = 1.0,
    distances: Sequence[float],
    slopes: Slopes = RELU,
) -> FloatArray:
    """Return the share of nodes inactive for all inputs of random pairs, shape (depth,).

    Parameters
    ----------
    depth, k, sigma_w, sigma_b, slopes
        As for `trajectory`.
    q0
        Mean square of each input.
    distances
        1 − c₀ of each pair. Inputs of different pairs are independent.
    """

    def path(distance: float) -> FloatArray:
        law = {"k": k, "sigma_w": sigma_w, "sigma_b": sigma_b, "slopes": slopes}
        return trajectory(depth, q1=q0, distance=distance, **law).distance  # type: ignore[arg-type]

    across = path(1.0)
    chosen, counts = np.unique(np.asarray(distances, dtype=np.float64), return_counts=True)
    within = [path(float(distance)) for distance in chosen]
    layers = zip(across.tolist(), np.transpose(within).tolist(), strict=True)
    return np.array([_all_inactive(d, own, counts.tolist()) for d, own in layers])


def _all_inactive(across: float, within: Sequence[float], counts: Sequence[int]) -> float:
    """Integrate (7e): 1 − c of different pairs, 1 − c of some pairs, and how many are like them.

    Where inputs merge, the integrand falls from 1 to 0 over a small part of z; the variable is then
    y = λz, and what lies below the first panel is known.
    """
    from scipy.special import ndtr

    if across == 0.0:
        return 0.5
    slope = math.sqrt(max(0.0, 1.0 - across) / across)
    if slope <= 1.0:
        z, weights = _panels(-40, 10)
        return float(weights @ (_density(z) * _pairs_inactive(slope * z, across, within, counts)))
    y, weights = _panels(-10, 10)
    values = _density(y / slope) / slope * _pairs_inactive(y, across, within, counts)
    return float(ndtr(-10.0 / slope) + weights @ values)


def _pairs_inactive(
    y: FloatArray, across: float, within: Sequence[float], counts: Sequence[int]
) -> FloatArray:
    """Return the probability that all inputs are inactive, given what they have in common.

    Φ₂(h, h; ρ) = Φ(h) − 2T(h, √((1 − ρ)/(1 + ρ))) with Owen's T, h = −y, 1 − ρ = d/d_across.
    """
    from scipy.special import ndtr, owens_t

    found = np.ones_like(y)
    for distance, count in zip(within, counts, strict=True):
        gap = min(distance / across, 2.0)
        tail = 2.0 * owens_t(y, math.sqrt(gap / (2.0 - gap))) if gap < 2.0 else ndtr(-np.abs(y))
        found *= np.maximum(ndtr(-y) - tail, 0.0) ** count
    return found


def _density(z: FloatArray) -> FloatArray:
    return np.asarray(np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi))


def _panels(low: int, high: int) -> tuple[FloatArray, FloatArray]:
    """Return points and weights of a quadrature from `low` to `high`."""
    nodes, weights = leggauss(_ORDER)
    points = np.arange(low, high)[:, None] + 0.5 * (1.0 + nodes)
    return points.ravel(), np.tile(0.5 * weights, high - low)


def dead_of_inputs(
    inputs: FloatArray,
    depth: int,
    *,
    k: float,
    sigma_w: float | None = None,
    sigma_b: float | FloatArray = 0.0,
    slopes: Slopes = RELU,
    look: Callable[[str], object] = str,
) -> tuple[FloatArray, FloatArray]:
    """Return the share of nodes inactive for all given inputs and its standard error by draws.

    Parameters
    ----------
    inputs
        Shape (M, N₀), M up to `MOST_INPUTS`. Layers are followed up to some `WORK` of order M³.
    depth, k, sigma_w, sigma_b, slopes
        As for `trajectory`.
    look
        Called before each layer with its number, in words; may raise to give up.

    Returns
    -------
    tuple
        Two arrays of shape (depth,), NaN where layers are not followed.
    """
    found = np.full((2, depth), np.nan)
    if len(inputs) > MOST_INPUTS:
        return found[0], found[1]
    scales = np.broadcast_to(np.asarray(sigma_b, dtype=np.float64), (depth,))
    law = law_of(k, sigma_w, float(scales.max()), slopes)
    linear, bent = slopes[0] * slopes[1], (slopes[0] - slopes[1]) ** 2
    unit = max(float(np.abs(inputs).max(initial=0.0)), float(scales.max())) or 1.0
    seen = seen_inputs(inputs / unit, law.g)
    bias = scales * scales / unit**2
    if not bias.any():
        seen = seen[seen.any(axis=1)]  # an input that is not seen activates no node
    count = len(seen)
    if not count:
        return np.ones(depth), np.zeros(depth)
    covariance = law.weight_variance * (seen @ seen.T) / seen.shape[1] + bias[0]
    layers = min(depth, int(WORK / (count**2 * (count / 3.0 + 2.0 * _draws(count)))))
    for layer in range(layers):
        look(f"layer {layer + 1} of {layers}")
        root = np.sqrt(np.diagonal(covariance))
        correlation = np.clip(covariance / root[:, None] / root, -1.0, 1.0)
        np.fill_diagonal(correlation, 1.0)
        found[:, layer] = _orthant(correlation)
        angle = np.arccos(correlation)
        overlap = np.sin(angle) + (math.pi - angle) * correlation - law.g
        overlap = linear * correlation + bent * overlap / (2.0 * math.pi)
        covariance = (
            law.weight_variance * root[:, None] * root * overlap + bias[min(layer + 1, depth - 1)]
        )
        scale = float(np.diagonal(covariance).max())
        covariance, bias = covariance / scale, bias / scale
    return found[0], found[1]


def seen_inputs(inputs: FloatArray, g: float) -> FloatArray:
    """Return inputs, shape (M, N₀), as correlated weights see them, theory.md (2).

    They see each input less a share of its mean, 1 − √(1 − g); what is rounding only is 0.
    """
    seen = inputs - (1.0 - math.sqrt(1.0 - g)) * inputs.mean(axis=1, keepdims=True)
    tiny = np.finfo(np.float64).eps ** 2
    lost = (seen**2).mean(axis=1) <= tiny * (inputs**2).mean(axis=1)
    return np.where(lost[:, None], 0.0, seen)


def _orthant(correlation: FloatArray) -> tuple[float, float]:
    """Return the probability that correlated normal variables are all negative, and its error.

    Given their deviations e from λs, s their sum over its standard deviation and λ the covariance
    with s, the probability over s is known: all are negative where s lies below every −e/λ of
    λ > 0 and above every one of λ < 0. Its average over draws is taken.
    """
    from scipy.special import ndtr

    rng = np.random.default_rng(_SEED)
    factor, count = _factor(correlation), len(correlation)
    total = float(correlation.sum())
    known = total > _NO_MEAN * count**2
    shares = (correlation.sum(axis=1) / math.sqrt(total))[:, None] if known else np.zeros(1)
    parts = []
    for _ in range(_draws(count) // BATCH):
        draws = factor @ rng.standard_normal((count, BATCH))
        if not known:
            parts.append((draws <= 0.0).all(axis=0).astype(np.float64))
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            ends = draws.sum(axis=0) / math.sqrt(total) - draws / shares
        high = np.where(shares > 0.0, ends, math.inf).min(axis=0)
        low = np.where(shares < 0.0, ends, -math.inf).max(axis=0)
        parts.append(np.maximum(ndtr(high) - ndtr(low), 0.0))
    values = np.concatenate(parts)
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(values.size))


def _draws(count: int) -> int:
    """Return the number of draws of so many inputs, a multiple of BATCH."""
    return max(DRAWS[0], min(DRAWS[1], NUMBERS // count)) // BATCH * BATCH


def _factor(correlation: FloatArray) -> FloatArray:
    """Return a triangular A with A Aᵀ as given, but for a small addition to its diagonal."""
    for jitter in _JITTERS:
        try:
            return np.asarray(np.linalg.cholesky(correlation + jitter * np.eye(len(correlation))))
        except np.linalg.LinAlgError:
            continue
    raise ValueError("no correlation matrix")

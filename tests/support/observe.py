"""What the slow, explicit simulator sees of its networks: theory.md 3, word for word.

Exactly parallel signals. Where a single node was active for either signal (or a layer of one or two
nodes leaves the next a single direction), two live signals are exactly parallel or anti-parallel in
real numbers, and float64 leaves some 1e-16 of rounding in their directions, 1e-32 of distance. So a
distance below `PARALLEL` = 1e-20 *is* taken as 0 (and one above 2 − 1e-20 is 2 in float64 anyway).

With a drawn bias signals do not stay parallel, since (a + b₁, b₂) and (ca + b₁, b₂) are not. A
replaced bias does the same: it adds one and the same +β to both signals, and so the asymmetric laws
at σ_b = 0 leave signals parallel only as long as no bias of the layer is replaced. Two dead signals
have one and the same next layer, b or +β, where it is not zero throughout: at distance 0 for good.

The common +β or b makes lengths converge too, so that truly small distances are less rare than
without. Measured at widths 2, 3 and 5, six layers, 100,000 networks of each law (`he` with and
without a bias, `correlated` at k = ∞ without, `rai`, and `raai` at k = ∞, with the bias drawn and
with σ_b = 0): rounding stayed below 1e-22, and no distance lay between that and 1e-20; above it, of
the 600,000 distances of a law and width at most 3 were below 1e-18, and 147 below 1e-14.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = [
    "PARALLEL",
    "RATE_BINS",
    "TIE",
    "activation",
    "observe_gradients",
    "observe_network",
    "observe_pairs",
    "rate_bin",
]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

PARALLEL = 1e-20

TIE = 1e-12
"""Share of the sizes of its terms below which a sum is 0."""

TWENTIETHS = 20
RATE_BINS = TWENTIETHS + 2
"""Bins of the activation rate: exactly 0, twentieths of the open interval (0, 1), exactly 1."""


def activation(h: Floats, slopes: tuple[float, float]) -> Floats:
    """Return φ(h) with slopes above and below 0."""
    return slopes[0] * np.maximum(h, 0.0) + slopes[1] * np.minimum(h, 0.0)


def observe_pairs(
    u: Floats, v: Floats, slopes: tuple[float, float] = (1.0, 0.0)
) -> dict[str, Floats]:
    """Return the observables of pairs that one layer alone defines, shape (trial, pair) each.

    `u` and `v` are the pre-activations of the pairs' two signals, shape (trial, node, pair).
    """
    q1, q2 = np.mean(u * u, axis=1), np.mean(v * v, axis=1)
    correlation, distance = _similarity(u, v)
    x, y = activation(u, slopes), activation(v, slopes)
    cosine, apart = _similarity(x, y)
    return {
        "q1": q1,
        "q2": q2,
        "log_q1": _log(q1),
        "log_q2": _log(q2),
        "correlation": correlation,
        "distance": distance,
        "log_distance": _log(distance),
        "angle": 2.0 * np.arcsin(np.sqrt(distance / 2.0)),
        "cosine": cosine,
        "inactive1": np.mean(u <= 0.0, axis=1),
        "inactive2": np.mean(v <= 0.0, axis=1),
        "inactive_both": np.mean((u <= 0.0) & (v <= 0.0), axis=1),
        "mean1": x.mean(axis=1),
        "mean2": y.mean(axis=1),
        "product": np.mean(x * y, axis=1),
        "variance": np.mean((x - y) ** 2, axis=1) / 2.0,
        "log_sine": _log(apart * (2.0 - apart)),
    }


def observe_network(h: Floats) -> dict[str, Floats]:
    """Return the observables of all inputs together, of pre-activations (trial, node, input)."""
    active = np.sum(h > 0.0, axis=2)
    bins = rate_bin(active, h.shape[2])
    return {
        "dead": np.mean(active == 0, axis=1),
        "activation_rate": np.stack([np.mean(bins == b, axis=1) for b in range(RATE_BINS)], axis=1),
    }


def rate_bin(active: Integers, inputs: int) -> Integers:
    """Return the bin of the activation rate: bin b = 1 … 20 holds (b − 1)/20 < rate ≤ b/20.

    Exactly 0 has bin 0 and exactly 1 has bin 21 to itself; `active` of `inputs` are active.
    """
    bins = 1 + (TWENTIETHS * active - 1) // inputs
    return np.where(active == 0, 0, np.where(active == inputs, RATE_BINS - 1, bins))


def observe_gradients(
    reads: tuple[Floats, Floats], deltas: tuple[Floats, Floats], scales: tuple[float, float]
) -> dict[str, Floats]:
    """Return the observables of the gradients that one layer alone defines, shape (trial, pair).

    Parameters
    ----------
    reads
        What the layer reads of the pairs' two signals, each of shape (trial, fan-in, pair).
    deltas
        δ = ∂f/∂h of the layer for both, each of shape (trial, node, pair).
    scales
        σ_w and σ_b. `tangent11`, `tangent12` and `tangent22` are the layer's own terms.
    """
    (x1, x2), (d1, d2) = reads, deltas
    weight, bias = (scale**2 for scale in scales)
    squared1, squared2 = np.sum(d1 * d1, axis=1), np.sum(d2 * d2, axis=1)
    return {
        "log_gradient1": _log(squared1),
        "log_gradient2": _log(squared2),
        "gradient_correlation": _cosine(d1, d2),
        "weight_gradient1": squared1 * np.mean(x1 * x1, axis=1),
        "tangent11": (weight * np.mean(x1 * x1, axis=1) + bias) * squared1,
        "tangent12": (weight * np.mean(x1 * x2, axis=1) + bias) * np.sum(d1 * d2, axis=1),
        "tangent22": (weight * np.mean(x2 * x2, axis=1) + bias) * squared2,
    }


def _cosine(u: Floats, v: Floats) -> Floats:
    """Return the cosine along axis 1, NaN where a vector is 0; 0, 1 and −1 without rounding."""
    products = u * v
    inner, sizes = np.sum(products, axis=1), np.sum(np.abs(products), axis=1)
    exact = np.where(np.abs(inner) <= TIE * sizes, 0.0, 1.0)
    return np.asarray(exact * _similarity(u, v)[0])


def _similarity(u: Floats, v: Floats) -> tuple[Floats, Floats]:
    """Return cosine and 1 − cosine of the vectors along axis 1.

    Both NaN where one of the vectors is zero. 1 − c is half the squared distance of the directions,
    and 1 + c that to the opposite one: the lesser is as good as the directions are.
    """
    lengths = [np.sqrt(np.sum(x * x, axis=1, keepdims=True)) for x in (u, v)]
    defined = (lengths[0] > 0.0) & (lengths[1] > 0.0)
    a, b = (x / np.where(defined, length, 1.0) for x, length in zip((u, v), lengths, strict=True))
    less, more = (np.sum((a - s * b) ** 2, axis=1) / 2.0 for s in (1.0, -1.0))
    distance = np.where(less < more, less, 2.0 - more)
    distance = np.where(less < PARALLEL, 0.0, distance)
    distance = np.where(more < PARALLEL, 2.0, distance)
    distance = np.where(defined[:, 0], distance, np.nan)
    return 1.0 - distance, distance


def _log(x: Floats) -> Floats:
    """Natural logarithm, NaN where x is 0 or NaN."""
    positive = x > 0.0
    return np.where(positive, np.log(np.where(positive, x, 1.0)), np.nan)

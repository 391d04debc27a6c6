"""The way back by the law of the weights given the pre-activations, theory.md (B1), in plain NumPy.

Explicit networks are `oracle.backward`. Here the weights are forgotten once the pre-activations are
known, and Wᵀδ is drawn from its conditional law by pseudo-inverses; and faults can be put in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tests.support.oracle import Law, Layer

Floats = npt.NDArray[np.float64]

FAULTS = ("no conditioning", "live mask of dead signals", "A twice", "no bias row")
TINY = 1e-10
"""Singular values below this share of the largest are 0."""


def regressed(
    law: Law, layers: Sequence[Layer], rng: np.random.Generator, fault: str = ""
) -> list[Floats]:
    """Return δ of every layer, shape (trial, node, input), without their weights.

    Parameters
    ----------
    law
        That of the networks, with independent or correlated normal weights.
    layers
        The networks, whose weights are not read.
    rng
        Source of the draws of the way back.
    fault
        One of `FAULTS`, or none.
    """
    trials, nodes, _ = layers[-1].h.shape
    back = rng.standard_normal((trials, nodes, 1)) / math.sqrt(nodes)
    deltas = []
    for layer in reversed(layers):
        mask = layer.h > 0.0
        if fault == "live mask of dead signals":
            dead = np.all(layer.h == 0.0, axis=1, keepdims=True)
            mask |= dead & (rng.random(layer.h.shape) < 0.5)
        deltas.append(np.where(mask, law.slopes[0], law.slopes[1]) * back)
        back = _through(law, layer, deltas[-1], rng, fault)
    return deltas[::-1]


def _through(law: Law, layer: Layer, delta: Floats, rng: np.random.Generator, fault: str) -> Floats:
    """Draw Wᵀδ given the pre-activations of a layer."""
    trials, n, inputs = layer.x.shape
    seen = _centred(law, layer.x)
    if law.sigma_b and fault != "no bias row":
        row = np.full((trials, 1, inputs), law.sigma_b * math.sqrt(n) / law.sigma_w)
        seen = np.concatenate([seen, row], axis=1)
    inverse = np.linalg.pinv(seen, rcond=TINY)
    values, vectors = np.linalg.eigh(delta.swapaxes(1, 2) @ delta)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))[:, np.newaxis]) @ vectors.swapaxes(1, 2)
    fresh = rng.standard_normal(seen.shape) @ root * (law.sigma_w / math.sqrt(n))
    if fault != "no conditioning":
        fresh -= seen @ (inverse @ fresh)
        fresh += inverse.swapaxes(1, 2) @ (layer.h.swapaxes(1, 2) @ delta)
    back = _centred(law, fresh[:, :n])
    return _centred(law, back) if fault == "A twice" else back


def _centred(law: Law, x: Floats) -> Floats:
    """Return Ax, A = I − (1 − √(1 − g))J/n."""
    shift = 1.0 - math.sqrt(1.0 - law.g)
    centred: Floats = x - shift * x.mean(axis=1, keepdims=True)
    return centred

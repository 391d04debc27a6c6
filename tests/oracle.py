"""The slow, obvious check on the samplers: whole networks in float64, every weight drawn.

It follows theory.md 1 and 3 word for word and shares nothing with the simulation.

Exactly parallel signals. Where a single node was active for either signal (or a layer of one or two
nodes leaves the next a single direction), two live signals are exactly parallel or anti-parallel in
real numbers, and float64 leaves some 1e-16 of rounding. The networks tested here reach a true
distance below `PARALLEL` = 1e-14, an angle below 1.4e-7 between vectors of a few random components,
with a probability of about 1e-7, so such a distance *is* taken as 0, and one above 2 − 1e-14 as 2.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Law", "simulate"]

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

PARALLEL = 1e-14
BATCH_NUMBERS = 2**21
"""Weights held at a time: networks are taken in batches."""


@dataclass(frozen=True)
class Law:
    """Ensemble `correlated` (or `he`, g = 0), widths of the layers, and the pair of inputs."""

    widths: tuple[int, ...]
    g: float = 0.0
    sigma_w: float = math.sqrt(2.0)
    sigma_b: float = 0.0
    overlap: float = 0.5
    q0: float = 1.0


def simulate(law: Law, trials: int, rng: np.random.Generator) -> dict[str, Floats]:
    """Return every observable by name, shape (trial, layer), NaN where theory.md 3 leaves it out.

    Parameters
    ----------
    law
        What to simulate.
    trials
        Independent networks.
    rng
        Source of all draws.
    """
    largest = max(law.widths) * max(*law.widths, 3)
    batch = max(1, BATCH_NUMBERS // largest)
    parts = [
        list(_layers(law, min(batch, trials - first), rng)) for first in range(0, trials, batch)
    ]
    names = parts[0][0]
    return {
        name: np.concatenate([np.stack([row[name] for row in part], axis=1) for part in parts])
        for name in names
    }


def _layers(law: Law, trials: int, rng: np.random.Generator) -> Iterator[dict[str, Floats]]:
    """Yield the observables of one layer after the other, shape (trial,) each."""
    x = draw_inputs(law, trials, rng)
    dead = np.zeros((trials, 2), dtype=bool)
    for width in law.widths:
        h = pre_activations(law, width, x, rng)
        dead |= np.all(h <= 0.0, axis=1)
        x = np.maximum(h, 0.0)
        yield observe(h, x) | {
            "dead_network1": dead[:, 0].astype(float),
            "dead_network2": dead[:, 1].astype(float),
            "dead_network_both": (dead[:, 0] & dead[:, 1]).astype(float),
        }


def draw_inputs(law: Law, trials: int, rng: np.random.Generator) -> Floats:
    """Draw a pair of inputs for each trial, shape (trial, N₀, 2), as theory.md 1 says."""
    n0 = max(law.widths[0], 3)
    first, second = rng.standard_normal((2, trials, n0))
    first -= first.mean(axis=1, keepdims=True)
    second -= second.mean(axis=1, keepdims=True)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second -= np.sum(first * second, axis=1, keepdims=True) * first
    second /= np.linalg.norm(second, axis=1, keepdims=True)
    sine = math.sqrt(1.0 - law.overlap**2)
    pair = np.stack([first, law.overlap * first + sine * second], axis=2)
    return math.sqrt(law.q0 * n0) * pair


def pre_activations(law: Law, width: int, x: Floats, rng: np.random.Generator) -> Floats:
    """Draw all weights and biases of a layer; return h, shape (trial, node, 2)."""
    trials, n, _ = x.shape
    z = rng.standard_normal((trials, width, n))
    a = 1.0 - math.sqrt(1.0 - law.g)
    weights = (law.sigma_w / math.sqrt(n)) * (z - a * z.mean(axis=2, keepdims=True))
    bias = law.sigma_b * rng.standard_normal((trials, width, 1))
    return np.asarray(weights @ x + bias)


def observe(h: Floats, x: Floats) -> dict[str, Floats]:
    """Return the observables that one layer alone defines, shape (trial,) each."""
    q = np.mean(h * h, axis=1)
    inactive = h <= 0.0
    correlation, distance = _similarity(h)
    return {
        "q1": q[:, 0],
        "q2": q[:, 1],
        "log_q1": _log(q[:, 0]),
        "log_q2": _log(q[:, 1]),
        "correlation": correlation,
        "distance": distance,
        "log_distance": _log(distance),
        "angle": 2.0 * np.arcsin(np.sqrt(distance / 2.0)),
        "cosine": _similarity(x)[0],
        "inactive1": inactive[:, :, 0].mean(axis=1),
        "inactive2": inactive[:, :, 1].mean(axis=1),
        "inactive_both": inactive.all(axis=2).mean(axis=1),
    }


def _similarity(h: Floats) -> tuple[Floats, Floats]:
    """Return cosine and 1 − cosine of the two vectors h[trial, :, 0] and h[trial, :, 1].

    Both NaN where one of the vectors is zero.
    """
    squares = np.sum(h * h, axis=1)
    lengths = np.sqrt(squares[:, 0]) * np.sqrt(squares[:, 1])
    product = np.sum(h[:, :, 0] * h[:, :, 1], axis=1)
    defined = lengths > 0.0
    cosine = np.full(lengths.shape, np.nan)
    cosine[defined] = product[defined] / lengths[defined]
    distance = 1.0 - cosine
    distance = np.where(distance < PARALLEL, 0.0, distance)
    distance = np.where(distance > 2.0 - PARALLEL, 2.0, distance)
    return 1.0 - distance, distance


def _log(x: Floats) -> Floats:
    """Natural logarithm, NaN where x is 0 or NaN."""
    positive = x > 0.0
    return np.where(positive, np.log(np.where(positive, x, 1.0)), np.nan)

"""Is a sample of layers drawn by an ensemble's law? Compared with the weights of the dense sampler.

A sample is a pair of arrays: weights, shape (rows, n), and biases, shape (rows,); rows are
independent. What is compared are functions of a row, so that each comparison is of independent
values.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from simcore.numerics.rng import ROOM
from simcore.physics.ensembles import ASYMMETRIC
from simcore.runs.ensemble import Ensemble
from simcore.runs.run import Run
from simcore.sampling.batch.cpu_kernels import Batch, Layer, layer_factor
from simcore.sampling.batch.dense import dense_layer
from simcore.sampling.batch.physics import Law, Pairing, bias_scale
from simcore.sampling.contract import Signals
from tests.support.two_samples import compare

__all__ = ["CASES", "dense_sample", "inputs_layer", "least_p"]

Floats = npt.NDArray[np.float64]
Sample = tuple[Floats, Floats]

CASES = {
    "he": Ensemble.he(),
    "he with bias": Ensemble.he(sigma_w=1.1, sigma_b=0.3),
    "correlated:1": Ensemble.correlated(k=1.0),
    "correlated:inf": Ensemble.correlated(k=math.inf),
    "correlated:-0.5": Ensemble.correlated(k=-0.5),
    "rai": Ensemble.rai(),
    "raai:1": Ensemble.raai(k=1.0),
    "raai:inf": Ensemble.raai(k=math.inf, sigma_w=1e-3, sigma_b=0.0),
}

MARKED = 0.01
"""Where σ_w is a tenth of this or less, larger values are replacements."""


def dense_sample(ensemble: Ensemble, n: int, rows: int, seed: int) -> Sample:
    """Return weights and biases as the dense sampler has them: its answers to unit inputs, and 0.

    Every node of a layer is a row.
    """
    run = Run(
        depth=1,
        width=(n,),
        ensemble=ensemble.name,
        k=(ensemble.k,),
        sigma_w=(ensemble.resolved_sigma_w,),
        sigma_b=None if ensemble.sigma_b is None else (float(ensemble.sigma_b),),
        sampler="dense",
        seed=seed,
    )
    law = Law.of(run.points[0], "normal")
    layer = inputs_layer(law, np.eye(n + 1, n), rows)
    dense_layer(layer, Signals.sharing())
    h = layer.h
    return (h[:n] - h[n]).T.copy(), h[n].copy()


def inputs_layer(law: Law, x: Floats, width: int) -> Layer:
    """Return layer 1 of trial 0 for inputs x, shape (M, n), without pairs, and with its T."""
    m, n = x.shape
    pairing = Pairing(np.empty(0, dtype=np.int64), m, m, True)
    batch = Batch.room(m, 0, max(n, width))
    batch.power[:] = 0.0
    sigma_b = bias_scale(law, n)
    t, h = np.empty((m, n + (sigma_b > 0.0))), np.empty((m, width))
    words = np.empty((4, ROOM), dtype=np.uint32)
    layer = Layer(law, sigma_b, pairing, batch, 0, 1, x.copy(), t, h, words)
    layer_factor(layer)
    return layer


def least_p(ensemble: Ensemble, sample: Sample, expected: Sample) -> tuple[float, str]:
    """Return the least p-value of all comparisons, times their number, and what it compares."""
    found: dict[str, float] = {}
    theirs = dict(_features(ensemble, *expected))
    for name, mine in _features(ensemble, *sample):
        found |= {f"{name}, {kind}": p for kind, p in compare(mine, theirs[name])}
    where = min(found, key=lambda name: found[name])
    return found[where] * len(found), where


def _features(ensemble: Ensemble, weight: Floats, bias: Floats) -> Iterator[tuple[str, Floats]]:
    """Yield functions of a row that tell the laws apart, shape (rows,) each."""
    n = weight.shape[1]
    yield "first weight", weight[:, 0]
    yield "last weight", weight[:, -1]
    yield "sum of two weights", weight[:, 0] + weight[:, n // 2]
    yield "difference of two weights", weight[:, 0] - weight[:, n // 2]
    if ensemble.name in ASYMMETRIC or ensemble.g < 1.0:  # else it is 0, up to rounding
        yield "row sum", weight.sum(axis=1)
    yield "sum of squares", np.sum(weight**2, axis=1)
    yield "largest weight", weight.max(axis=1)
    yield "bias", bias
    if ensemble.name in ASYMMETRIC:
        numbers = np.column_stack([weight, bias])
        yield "largest number", numbers.max(axis=1)
        if ensemble.resolved_sigma_w <= 0.1 * MARKED:
            assert np.all(np.sum(numbers > MARKED, axis=1) <= 1)
            yield "which is replaced", numbers.argmax(axis=1).astype(float)

"""Weights and biases of a layer as NumPy arrays, by the law that the simulator samples.

`simcore.torch` draws the same into PyTorch tensors.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from .errors import InputError
from .physics.ensembles import ASYMMETRIC, FAN_IN
from .physics.parameters import whole
from .runs.ensemble import Ensemble, checked

__all__ = ["layer"]

Floats = npt.NDArray[np.float64]

MAX_NODES = 2**31 - 1
"""Largest fan-in and fan-out; memory is the tighter limit."""

TRUNCATED_AT = 2.0
TRUNCATED_STD = 0.87962566103423978
"""Standard deviations beyond which a truncated normal has nothing, and those that are left."""


def layer(
    ensemble: Ensemble, fan_in: int, fan_out: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Draw the weights and the biases of a layer.

    Parameters
    ----------
    ensemble
        Law of the weights and biases.
    fan_in, fan_out
        Nodes that the layer reads, n, and that it has.
    rng
        Source of all draws.

    Returns
    -------
    weight
        Shape (fan_out, fan_in), rows independent, as in theory.md 1 [SS, L]: the pre-activations
        are weight @ x + bias.
    bias
        Shape (fan_out,); zeros where the ensemble has none.

    Raises
    ------
    InputError
        If a size is not a whole number from 1 on, all weights would be 0 (k = ∞ at fan-in 1), or
        `ensemble` or `rng` is of another kind.

    Examples
    --------
    >>> import numpy as np, simcore
    >>> rng = np.random.default_rng(0)
    >>> weight, bias = simcore.initializers.layer(simcore.Ensemble.correlated(k=1.0), 784, 512, rng)
    >>> weight.shape, bias.shape
    ((512, 784), (512,))
    """
    checked(ensemble)
    if not isinstance(rng, np.random.Generator):
        remedy = "Give numpy.random.default_rng(0), say."
        raise InputError("rng", repr(rng), "must be a numpy.random.Generator", remedy)
    fan_in = check_fan_in(ensemble, fan_in)
    fan_out = whole("fan_out", fan_out, 1, MAX_NODES)
    weight = _standard(ensemble.weights, rng, (fan_out, fan_in))
    weight *= ensemble.resolved_sigma_w / math.sqrt(fan_in)
    for a in centring(ensemble):
        weight -= a * weight.mean(axis=1, keepdims=True)
    scale = bias_scale(ensemble, fan_in)
    law = ensemble.weights if scales_with_fan_in(ensemble) else "normal"
    bias = scale * _standard(law, rng, (fan_out,)) if scale else np.zeros(fan_out)
    if ensemble.name in ASYMMETRIC:
        _replace_one(weight, bias, rng)
    return weight, bias


def _standard(law: str, rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Draw numbers of a law, mean 0 and variance 1."""
    if law == "uniform":
        return rng.uniform(-math.sqrt(3.0), math.sqrt(3.0), shape)
    if law == "truncated":
        from scipy.special import ndtr, ndtri

        below = float(ndtr(-TRUNCATED_AT))
        return np.asarray(ndtri(rng.uniform(below, 1.0 - below, shape)) / TRUNCATED_STD)
    return rng.standard_normal(shape)


def _replace_one(weight: Floats, bias: Floats, rng: np.random.Generator) -> None:
    """Replace one of the n + 1 numbers of each node by a Beta(2,1) draw, theory.md 1 [L]."""
    fan_out, fan_in = weight.shape
    index = rng.integers(fan_in + 1, size=fan_out)
    beta = np.sqrt(rng.random(fan_out))
    weights = np.flatnonzero(index < fan_in)
    weight[weights, index[weights]] = beta[weights]
    bias[index == fan_in] = beta[index == fan_in]


def centring(ensemble: Ensemble) -> tuple[float, ...]:
    """Return the fractions of its mean that are subtracted from a row of weights, step by step.

    The fraction is a = 1 − √(1−g), theory.md 1 [SS]. At k = ∞ rounding leaves a mean, which is
    large beside weights of a row that were nearly equal; a second step removes it.
    """
    a = 1.0 - math.sqrt(1.0 - ensemble.g)
    if a == 0.0:
        return ()
    return (a, 1.0) if a == 1.0 else (a,)


def bias_scale(ensemble: Ensemble, fan_in: int) -> float:
    """Return σ_b of a layer: as given, 0, or σ_w/√n."""
    if scales_with_fan_in(ensemble):
        return ensemble.resolved_sigma_w / math.sqrt(fan_in)
    return float(ensemble.sigma_b or 0.0)


def scales_with_fan_in(ensemble: Ensemble) -> bool:
    """Tell whether σ_b = σ_w/√n; the bias is then one more weight, of the same law."""
    if ensemble.sigma_b is None:
        return ensemble.name in ASYMMETRIC
    return ensemble.sigma_b == FAN_IN


def check_fan_in(ensemble: Ensemble, fan_in: int) -> int:
    """Return a fan-in as an int; InputError if all weights of the ensemble would be 0 there."""
    fan_in = whole("fan_in", fan_in, 1, MAX_NODES)
    if fan_in == 1 and ensemble.name not in ASYMMETRIC and ensemble.g == 1.0:
        rule = f"makes the only weight of every node 0 where k = {ensemble.k:g}"
        raise InputError("fan_in", fan_in, rule, "Use a finite k, or a larger fan-in.")
    return fan_in

"""Gradients and the tangent kernel at infinite width, theory.md 7, from the trajectory of a pair.

With a read-out f = v·x^L/√N_L, v standard normal, and δ^l = ∂f/∂h^l of a signal,

    (δ₁·δ₂)^L = p_L,    (δ₁·δ₂)^l = σ_w² p_l (δ₁·δ₂)^{l+1},    p = A(1 − ηθ/π)              (13)

so that all lengths change by χ = σ_w²A, and each layer turns the gradients by a factor 1 − ηθ/π.
Correlations of the weights and biases act through the angles of the signals alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import cast

import numpy as np

from simcore.errors import InputError
from simcore.physics.slopes import RELU, Slopes, mean_square, silent

from .checks import lengths as start_lengths
from .checks import overlaps
from .law import FloatArray, bend, law_of
from .meanfield import Trajectory, trajectory

__all__ = ["GradientTrajectory", "Products", "follow_back", "gradient_trajectory", "products"]

Products = tuple[float, float, float]
"""Mean products ⟨x₁²⟩, ⟨x₂²⟩ and ⟨x₁x₂⟩ of the inputs of a pair."""


@dataclass(frozen=True, eq=False)
class GradientTrajectory:
    """The observables of the way back; each array has shape (depth,), layer 1 first.

    They depend on the depth of the network. What is beyond the range of float64 is inf or 0.
    """

    log_gradient1: FloatArray
    """ln ‖δ₁‖²."""
    log_gradient2: FloatArray
    gradient_correlation: FloatArray
    """δ₁·δ₂/(‖δ₁‖‖δ₂‖)."""
    weight_gradient1: FloatArray
    """‖∂f/∂W‖²/n = ‖δ₁‖² ⟨x₁²⟩, n the fan-in and x₁ what the layer reads."""
    tangent11: FloatArray
    """Θ of signal 1 with itself, summed over the layers so far, without the read-out's own term."""
    tangent12: FloatArray
    tangent22: FloatArray

    def observable(self, name: str) -> FloatArray:
        """Return the array of the observable `name`; InputError if there is none."""
        names = [field.name for field in fields(self)]
        if name not in names:
            remedy = f"Choose one of: {', '.join(names)}."
            raise InputError("observable", name, "is none of the way back", remedy)
        return cast("FloatArray", getattr(self, name))


def gradient_trajectory(
    depth: int,
    *,
    k: float = 0.0,
    sigma_w: float | None = None,
    sigma_b: float | Sequence[float] | FloatArray = 0.0,
    q1: float = 1.0,
    q2: float | None = None,
    distance: float | None = None,
    correlation: float | None = None,
    slopes: Slopes = RELU,
) -> GradientTrajectory:
    """Follow the gradients of a pair back through layers depth…1, theory.md (13), (14).

    The parameters are those of `trajectory`.

    Raises
    ------
    InputError
        If a parameter is out of range, or not exactly one of distance and correlation is given.
    """
    path = trajectory(
        depth,
        k=k,
        sigma_w=sigma_w,
        sigma_b=sigma_b,
        q1=q1,
        q2=q2,
        distance=distance,
        correlation=correlation,
        slopes=slopes,
    )
    first, second = start_lengths(q1, q2)
    cosine = overlaps(distance, correlation)[1]
    inputs = (first, second, cosine * math.sqrt(first) * math.sqrt(second))
    return follow_back(path, inputs, sigma_w=sigma_w, sigma_b=sigma_b, k=k, slopes=slopes)


def follow_back(
    path: Trajectory,
    inputs: Products,
    *,
    k: float,
    sigma_w: float | None,
    sigma_b: float | Sequence[float] | FloatArray,
    slopes: Slopes = RELU,
) -> GradientTrajectory:
    """Return the way back of a pair whose way forward is known.

    Parameters
    ----------
    path
        The way forward.
    inputs
        Products of the inputs themselves, which the gradients of W¹ read; correlated weights may
        see less of them.
    k, sigma_w, sigma_b, slopes
        The ensemble of the path.
    """
    law = law_of(k, sigma_w, 0.0, slopes)
    depth = path.angle.size
    with np.errstate(all="ignore"):
        log_bias = 2.0 * np.log(np.broadcast_to(np.asarray(sigma_b, dtype=np.float64), depth))
        steps = law.log_chi * np.arange(depth - 1.0, -1.0, -1.0)
        log_squared = np.asarray(steps + math.log(mean_square(slopes)))
        turned = law.eta * path.angle[::-1] / math.pi
        log_turns = np.where(turned <= 1.0, np.log1p(-turned), np.log(turned - 1.0))
        log_turn = np.cumsum(log_turns)[::-1]
        back = np.cumprod(np.where(turned <= 1.0, 1.0, -1.0), dtype=np.float64)[::-1]
        (read1, read2, read12), signs = _log_read(path, inputs, slopes)
        log_weight = math.log(law.weight_variance)

        def tangent(
            log_read: FloatArray, log_inner: FloatArray, sign: FloatArray, of_back: FloatArray
        ) -> FloatArray:
            by_weights = sign * np.exp(log_weight + log_read + log_inner)
            return np.cumsum(of_back * (by_weights + np.exp(log_bias + log_inner)))

        ones = np.ones(depth)

        return GradientTrajectory(
            log_gradient1=log_squared,
            log_gradient2=log_squared.copy(),
            gradient_correlation=back * np.exp(log_turn),
            weight_gradient1=np.exp(log_squared + read1),
            tangent11=tangent(read1, log_squared, ones, ones),
            tangent12=tangent(read12, log_squared + log_turn, signs, back),
            tangent22=tangent(read2, log_squared, ones, ones),
        )


def products(first: FloatArray, second: FloatArray) -> Products:
    """Return the mean products of a pair of inputs."""
    return float(np.mean(first**2)), float(np.mean(second**2)), float(np.mean(first * second))


def _log_read(
    path: Trajectory, inputs: Products, slopes: Slopes
) -> tuple[list[FloatArray], FloatArray]:
    """Return ln of ⟨x₁²⟩, ⟨x₂²⟩ and |⟨x₁x₂⟩| of what the layers read, and the sign of the last.

    ⟨x₁x₂⟩ = √(q₁q₂) Q(c); where s₋ = 0 that is s₊²J(c) with 2πJ(c) = (1 + c) G(π − θ), which loses
    no digits near c = −1.
    """
    half, square = 0.5 * path.angle, math.log(mean_square(slopes))
    signs = np.ones(path.angle.size)
    if silent(slopes):
        log_q = 2.0 * np.log(np.cos(half)) + np.log(bend(math.pi - path.angle) / math.pi)
        log_q += 2.0 * math.log(slopes[0])
    else:
        log_q, signs = np.log(np.abs(path.cosine)) + square, np.sign(path.cosine)
    inner = (
        path.log_q1 + square,
        path.log_q2 + square,
        0.5 * (path.log_q1 + path.log_q2) + log_q,
    )
    first = np.log(np.abs(inputs))
    read = [np.concatenate(([start], x[:-1])) for start, x in zip(first, inner, strict=True)]
    return read, np.concatenate(([np.sign(inputs[2])], signs[:-1]))

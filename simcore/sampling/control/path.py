"""Coefficients of the control variates of a pair: derivatives along a path of no network.

They decide how much variance is removed, and nothing else: every control has mean 0 whatever they
are (theory.md 6). So they may be rounded, to 2⁻²⁰ of a layer's largest, and are then the same on
every machine, whose elementary functions differ in the last bit.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from simcore.physics.observables import CONTROLLED
from simcore.sampling.row import Q_RANGE
from simcore.theory.expansion import Expansion

from . import places
from .own_law import lost_terms

Floats = npt.NDArray[np.float64]

DIGITS = 20
"""Binary digits that are kept."""


def coefficients(path: Expansion) -> Floats:
    """Return coefficients of P pairs, (P, depth, COEFFICIENTS), without those of the width."""
    found = np.zeros((*path.t.shape, places.COEFFICIENTS))
    parts = [_update(path), *_scalars(path), _observed(path)]
    found[..., : places.ONE] = np.concatenate(parts, axis=-1)
    found[..., [places.ONE, places.TWO, places.MINUS]] = 1.0, 2.0, -1.0
    return found


def at_widths(k: Floats, widths: npt.NDArray[np.int64]) -> Floats:
    """Return coefficients of a pair, shape (depth, COEFFICIENTS), at the widths of its layers."""
    found = k.copy()
    found[:, places.PER_NODE], found[:, places.PER_NODE_2] = -1.0 / widths, -2.0 / widths
    found[:, places.LOST :] = lost_terms(widths)
    return found


def _rounded(values: Floats) -> Floats:
    """Round to a share of the largest along the last axis; what is smaller becomes 0."""
    _, exponent = np.frexp(np.abs(values).max(axis=-1, keepdims=True))
    return np.asarray(np.ldexp(np.round(np.ldexp(values, DIGITS - exponent)), exponent - DIGITS))


def _form(hessian: Floats) -> Floats:
    """Return ½ zᵀHz of symmetric H, shape (..., n, n), as coefficients of z_i z_j, i ≥ j."""
    n = hessian.shape[-1]
    places_of = [(i, j) for i in range(n) for j in range(i + 1)]
    parts = [hessian[..., i, j] * (0.5 if i == j else 1.0) for i, j in places_of]
    return np.stack(parts, axis=-1)


def _update(path: Expansion) -> Floats:
    """Return A, B and the second derivatives of the update."""
    states, gradient, hessian = places.STATES, path.gradient, path.hessian
    parts = [
        gradient[..., :states],
        gradient[..., states:],
        _form(hessian[..., :states, :states]),
        hessian[..., :states, states:],
        _form(hessian[..., states:, states:]),
    ]
    flat = [part.reshape(*part.shape[:2], -1) for part in parts]
    return np.concatenate([_rounded(part) for part in flat], axis=-1)


def _scalar(
    slope: Floats, bend: Floats, noise: Floats, mixed: Floats, noise_noise: Floats
) -> Floats:
    parts = slope, bend[..., None], noise, mixed, _form(noise_noise)
    found = _rounded(np.concatenate(parts, axis=-1))
    slope = found[..., places.SLOPE : places.BEND]
    noise = found[..., places.NOISE : places.MIXED]
    squares = [2.0 * _form(_outer(vector)) for vector in (slope, noise)]
    return np.concatenate([found, *squares], axis=-1)


def _vector(*parts: Floats) -> Floats:
    return np.stack(parts, axis=-1)


def _outer(vector: Floats) -> Floats:
    return vector[..., :, None] * vector[..., None, :]


def _scalars(path: Expansion) -> list[Floats]:
    """Return the coefficients of ln K₁₁, ln K₂₂, t of the layer and t of the activations.

    With w the layer's own sampling, the angle θ' of the layer has
    cot θ' = (a cot θ − b)/√(ac − b²), a = 1 + w₁, b = w₂, c = 1 + w₃, and t = −arsinh cot θ. The
    sampling of the lengths is known exactly, and takes no part (`places.LENGTHS`).
    """
    one = np.ones_like(path.t)
    zero = np.zeros_like(path.t)
    cosine, sine = -np.tanh(path.t), 1.0 / np.cosh(path.t)
    first = _vector(one, zero, zero)
    none = _vector(zero, zero, zero)
    length = none, none, _outer(none)
    found = [_scalar(first, zero, *length)]
    found.append(_scalar(_vector(one, path.unit, zero), zero, *length))
    noise = _vector(-0.5 * cosine, sine, 0.5 * cosine)
    turned = _vector(0.5 * sine**2, sine * cosine, -0.5 * sine**2)
    curved = np.stack(
        (
            _vector(0.25 * cosine, -0.5 * sine, 0.25 * cosine),
            _vector(-0.5 * sine, -cosine, -0.5 * sine),
            _vector(0.25 * cosine, -0.5 * sine, -0.75 * cosine),
        ),
        axis=-2,
    )
    curved = curved + cosine[..., None, None] * _outer(noise)
    found.append(_scalar(_vector(zero, zero, one), zero, noise, turned, curved))
    own = [places.STATES + i for i in places.NOISY]
    gradient, hessian = path.activation_gradient, path.activation_hessian
    found.append(
        _scalar(
            gradient[..., : places.STATES],
            0.5 * hessian[..., places.T, places.T],
            gradient[..., own],
            hessian[..., places.T, own],
            hessian[..., own, :][..., own],
        )
    )
    return found


def _observed(path: Expansion) -> Floats:
    """Return f', f' and ½f'' of each observable as a function of its scalar."""
    with np.errstate(over="ignore", under="ignore"):
        q1, q2 = np.exp(path.log_k), np.exp(path.log_k + path.log_ratio)
    one, zero = np.ones_like(path.t), np.zeros_like(path.t)
    t, sine, cosine = path.t, 1.0 / np.cosh(path.t), -np.tanh(path.t)
    share = 1.0 / (1.0 + np.exp(2.0 * t))
    sine_a, cosine_a = 1.0 / np.cosh(path.activation_t), -np.tanh(path.activation_t)
    of: dict[str, tuple[Floats, Floats]] = {
        "q1": (_within(q1), _within(q1)),
        "q2": (_within(q2), _within(q2)),
        "log_q1": (one, zero),
        "log_q2": (one, zero),
        "correlation": (-(sine**2), -2.0 * sine**2 * cosine),
        "distance": (sine**2, 2.0 * sine**2 * cosine),
        "log_distance": (2.0 * share, -4.0 * share * (1.0 - share)),
        "angle": (sine, sine * cosine),
        "cosine": (-(sine_a**2), -2.0 * sine_a**2 * cosine_a),
        "inactive_both": (-0.5 / math.pi * sine, -0.5 / math.pi * sine * cosine),
    }
    parts = []
    for name in CONTROLLED:
        first, second = of[name]
        # q's own range is that of float64: each by itself.
        parts.append(_rounded(np.stack((first, first, 0.5 * second), axis=-1)))
    return np.concatenate(parts, axis=-1)


def _within(q: Floats) -> Floats:
    return np.where((q >= Q_RANGE[0]) & (q <= Q_RANGE[1]), q, np.nan)

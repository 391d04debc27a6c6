"""Joint law of the activations of a pair under `rai` and `raai`, and its update by a layer.

The law is that of (x, r), with r = κx − y the residual of theory.md (4). A layer needs only
F(x) = E[r; x] and S(x) = E[r²; x] of it, and K in difference form. Arrays have one column, or
entry, for each replica of the population.

Lengths are in units of √K₁₁ of signal 1 in their own layer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .asymmetric import AsymmetricLaw, Layer, apply_moments, normal_moments
from .law import FloatArray

_TINY, _RESCALE = 1e-100, 133
"""A residual below the first is multiplied by 2 to the second: it evolves linearly there."""


@dataclass(frozen=True, eq=False)
class Field:
    """Mass, F and S at points in x, some of which may carry no mass of their own."""

    points: FloatArray
    """Shape (point,)."""
    masses: FloatArray
    """Shape (point,); they sum to 1."""
    first: FloatArray
    """E[r] at each point times its mass, shape (point, replica)."""
    second: FloatArray
    """E[r²] at each point times its mass, shape (point, replica)."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """The joint law of the activations of a pair; r, ρ and the field are those of 2^−exponent r."""

    field: Field
    x: FloatArray
    """The population, shape (replica, particle)."""
    r: FloatArray
    """κx − y, same shape."""
    weights: FloatArray
    """Same shape; they sum to 1 in each replica."""
    kappa: FloatArray
    """K₁₂/K₁₁, shape (replica,)."""
    rho: FloatArray
    """1 − κ, carried."""
    exponent: int


@dataclass(frozen=True, eq=False)
class Moments:
    """⟨r⟩, ⟨rx⟩, ⟨r²⟩, each of shape (replica,)."""

    r: FloatArray
    rx: FloatArray
    rr: FloatArray


def moments_of(pairs: Pairs, first: float, second: float, symmetric: bool) -> Moments:
    """Sum the field, given the ⟨x⟩ and ⟨x²⟩ of signal 1.

    Of two signals of one law, ⟨(x − y)x⟩ = ⟨(x − y)²⟩/2 and ⟨x − y⟩ = 0, which leaves one unknown.
    """
    field, rho = pairs.field, pairs.rho
    r, rr = field.first.sum(axis=0), field.second.sum(axis=0)
    rx = field.points @ field.first
    if not symmetric:
        return Moments(r, rx, rr)
    square = rr + 2.0 * rho * rx + rho**2 * second
    mixed = np.ldexp(0.5 * square, pairs.exponent) - rho * second
    return Moments(-rho * first, mixed, square - 2.0 * rho * mixed - rho**2 * second)


@dataclass(frozen=True, eq=False)
class Joint:
    """K of a layer in difference form, in units of its K₁₁; arrays of shape (replica,)."""

    kappa: FloatArray
    rho: FloatArray
    gamma: FloatArray
    shift: FloatArray
    """κ of this layer less that of the one before."""
    fresh_shift: FloatArray
    """κ of this layer less that of its Gaussian part without bias."""
    fresh_gamma: FloatArray


def joint_of(
    pairs: Pairs, moments: Moments, law: AsymmetricLaw, layer: Layer, symmetric: bool
) -> Joint:
    """Theory.md (4), and the same without bias for the nodes whose bias is replaced."""
    first, n = layer.before.first, layer.fan_in
    a, s, k11, rho = layer.weight_part, layer.bias_part, layer.k11, pairs.rho
    b = law.shared_by_others(moments.rx, moments.r, np.full_like(rho, first), n)
    d = law.shared_by_others(moments.rr, moments.r, moments.r, n)
    e, det = _spread(pairs, a, b, d, symmetric)
    fresh_b = law.shared(moments.rx, moments.r, np.full_like(rho, first))
    fresh_d = law.shared(moments.rr, moments.r, moments.r)
    _, fresh_det = _spread(pairs, layer.all_weights, fresh_b, fresh_d, symmetric)
    return Joint(
        kappa=(pairs.kappa * a - np.ldexp(b, pairs.exponent) + s) / k11,
        rho=(rho * a + b) / k11,
        gamma=np.sqrt(det + s * e) / k11,
        shift=(s * rho - b) / k11,
        fresh_shift=fresh_b / layer.all_weights + (s * rho - b) / k11,
        fresh_gamma=np.sqrt(fresh_det / (layer.all_weights * k11)),
    )


def _spread(
    pairs: Pairs, a: float, b: FloatArray, d: FloatArray, symmetric: bool
) -> tuple[FloatArray, FloatArray]:
    """Variance of the difference of the signals, and ad − b²."""
    e = d + 2.0 * pairs.rho * b + pairs.rho**2 * a
    det = e * (a - np.ldexp(0.25 * e, 2 * pairs.exponent)) if symmetric else a * d - b * b
    return e, np.maximum(0.0, det)


def linear_field(
    pairs: Pairs, joint: Joint, layer: Layer, share: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """F and S of `share` · (κu − v, its square) where u > 0, at the points of `layer.after`."""
    field, unit = pairs.field, 1.0 / math.sqrt(layer.k11)
    carried = joint.shift * (field.points * field.masses)[:, None]
    first = unit * (field.first + carried)
    second = field.second + joint.shift * field.points[:, None] * (2.0 * field.first + carried)
    x, h, weights = unit * field.points, layer.points, layer.old * layer.weights[:, None]
    main = apply_moments(h, x, {1: first, 2: unit**2 * second})
    main_first, main_second = (weights * values for values in main)
    main_second += layer.after.masses[: h.size, None] * joint.gamma**2
    fresh_first, fresh_second = _fresh_field(joint, layer)
    return (
        share * np.concatenate((main_first, fresh_first)),
        share * np.concatenate((main_second, fresh_second)),
    )


def _fresh_field(joint: Joint, layer: Layer) -> tuple[FloatArray, FloatArray]:
    """F and S where the bias is replaced: κu − v = fresh_shift z₁ − ρβ + fresh_gamma z₂."""
    weights = (1.0 - layer.old) * layer.fresh_weights[:, None]
    m = normal_moments(layer.fresh, layer.replaced / layer.scale)
    shift, drop = joint.fresh_shift * layer.scale, joint.rho * layer.replaced
    first = shift * m.z - drop * m.beta
    second = shift**2 * m.zz - 2.0 * shift * drop * m.z_beta + drop**2 * m.beta_squared
    return weights * first, weights * (second + joint.fresh_gamma**2 * m.mass)


def rescaled(pairs: Pairs, gamma: float) -> Pairs:
    """Return a law in a larger unit of r where its `gamma` nears the end of float64."""
    if not 0.0 < gamma < _TINY:
        return pairs
    old, factor = pairs.field, math.ldexp(1.0, _RESCALE)
    field = Field(old.points, old.masses, factor * old.first, factor**2 * old.second)
    r, rho, exponent = factor * pairs.r, factor * pairs.rho, pairs.exponent - _RESCALE
    return Pairs(field, pairs.x, r, pairs.weights, pairs.kappa, rho, exponent)


def pre_activation_angle(moments: Moments, joint: Joint, layer: Layer, exponent: int) -> FloatArray:
    """θ of E h hᵀ from the moments of u and κu − v, nothing of the layer itself being sampled."""
    old, new = 0.5 * layer.old / layer.k11, 1.0 - layer.old
    replaced, free = 0.5 * new * layer.replaced**2, new * layer.scale**2
    b = old * (moments.rx + joint.shift * layer.before.second)
    b += free * joint.fresh_shift - replaced * joint.rho
    c = moments.rr + joint.shift * (2.0 * moments.rx + joint.shift * layer.before.second)
    c = old * c + layer.old * joint.gamma**2 + new * joint.fresh_gamma**2
    c += free * joint.fresh_shift**2 + replaced * joint.rho**2
    det = np.maximum(0.0, layer.q * c - b * b)
    return np.asarray(np.arctan2(np.sqrt(det), joint.kappa * layer.q - np.ldexp(b, exponent)))


def activation_angle(pairs: Pairs, moments: Moments, second: float) -> dict[str, FloatArray]:
    """`cosine`, `log_sine`, `product` and `variance`, given the ⟨x²⟩ of signal 1, in its units."""
    root, exponent = np.sqrt(np.maximum(0.0, second * moments.rr - moments.rx**2)), pairs.exponent
    along = pairs.kappa * second - np.ldexp(moments.rx, exponent)
    square = moments.rr + 2.0 * pairs.rho * moments.rx + pairs.rho**2 * second
    with np.errstate(divide="ignore"):
        log_sine = np.log(root) - np.log(np.hypot(np.ldexp(root, exponent), along))
    return {
        "cosine": np.asarray(np.cos(np.arctan2(np.ldexp(root, exponent), along))),
        "log_sine": np.where(root > 0.0, 2.0 * (log_sine + exponent * math.log(2.0)), np.nan),
        "product": np.maximum(0.0, along),
        "variance": np.ldexp(0.5 * square, 2 * exponent),
    }

"""Infinite-width theory of a pair under `rai` and `raai`, where pre-activations are not Gaussian.

The law of one signal is solved by quadrature (`asymmetric`). The joint law is that of (x, r), with
r = κx − y the residual of theory.md (4); of it a layer needs only F(x) = E[r; x] and S(x) =
E[r²; x]. Where signal 2 is active just as signal 1 is, r is linear in what the layer reads, and F
and S go to the next layer by quadrature. What the other nodes add is taken from a population of
pairs, sampled by randomised quasi-Monte Carlo: parents in the order of (x, r) are matched to the
points of a shifted rank-1 lattice. Few nodes are such at a small angle, so the sampling noise
vanishes with the angle, whatever the depth. Independent replicas give the errors.

Lengths are in units of √K₁₁ of signal 1 in their own layer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cache

import numpy as np
import numpy.typing as npt

from simcore.errors import InputError
from simcore.physics.parameters import SCALE_LIMITS

from .asymmetric import (
    AsymmetricLaw,
    Layer,
    Measure,
    advance,
    apply_moments,
    asymmetric_law,
    beta_moments,
    given_inputs,
    late_growth,
    norm_preserving_sigma_w,
    normal_inputs,
)
from .law import FloatArray
from .meanfield import Trajectory

__all__ = [
    "PopulationTrajectory",
    "late_growth",
    "norm_preserving_sigma_w",
    "population_trajectory",
]

_REPLICAS = 16

_SIZES = ((0.05, 16384), (1e-3, 4096), (0.0, 1024))
"""Particles of a replica where the angle is above a bound: sampling noise is ∝ √(θ/size)."""

_RESOLUTION = 0.75
"""Of the quadratures: q is right to 1e-5 at any fan-in, mostly to 1e-8."""

_LATTICE = (182667, 469891, 498753)
"""Generators of z₁, β and z₂; that of the rank of the parent is 1."""

_FRESH_SHARE = 1.0 / 16.0
"""Least share of the population with a replaced bias, however rare at large fan-in."""

_MESH = 0.04
"""Spacing in arsinh x of the points that hold what the population adds to F and S."""

_TINY, _RESCALE = 1e-100, 133
"""A residual below the first is multiplied by 2 to the second: it evolves linearly there."""


@dataclass(frozen=True, eq=False)
class PopulationTrajectory(Trajectory):
    """The `theory` column of theory.md 3 for `rai` and `raai`, arrays of shape (depth,).

    q1, q2, their logarithms, inactive1 and inactive2 come from quadrature; the rest are means over
    replicas of the population.
    """

    errors: Trajectory
    """Standard errors of the means over replicas; 0 for what comes from quadrature."""

    def observable(self, name: str) -> FloatArray:
        """Return the array of the observable `name`; InputError if there is none."""
        return self.errors.observable(name) if name == "errors" else super().observable(name)


@dataclass(frozen=True, eq=False)
class _Field:
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
class _Pairs:
    """The joint law of the activations of a pair; r, ρ and the field are those of 2^−exponent r."""

    field: _Field
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
class _Moments:
    """⟨r⟩, ⟨rx⟩, ⟨r²⟩, each of shape (replica,)."""

    r: FloatArray
    rx: FloatArray
    rr: FloatArray


def _moments(pairs: _Pairs, first: float, second: float, symmetric: bool) -> _Moments:
    """Sum the field, given the ⟨x⟩ and ⟨x²⟩ of signal 1.

    Of two signals of one law, ⟨(x − y)x⟩ = ⟨(x − y)²⟩/2 and ⟨x − y⟩ = 0, which leaves one unknown.
    """
    field, rho = pairs.field, pairs.rho
    r, rr = field.first.sum(axis=0), field.second.sum(axis=0)
    rx = field.points @ field.first
    if not symmetric:
        return _Moments(r, rx, rr)
    square = rr + 2.0 * rho * rx + rho**2 * second
    mixed = np.ldexp(0.5 * square, pairs.exponent) - rho * second
    return _Moments(-rho * first, mixed, square - 2.0 * rho * mixed - rho**2 * second)


@dataclass(frozen=True, eq=False)
class _Joint:
    """K of a layer in difference form, in units of its K₁₁; arrays of shape (replica,)."""

    kappa: FloatArray
    rho: FloatArray
    gamma: FloatArray
    shift: FloatArray
    """κ of this layer less that of the one before."""
    fresh_shift: FloatArray
    """κ of this layer less that of its Gaussian part without bias."""
    fresh_gamma: FloatArray


def _joint(
    pairs: _Pairs, moments: _Moments, law: AsymmetricLaw, layer: Layer, symmetric: bool
) -> _Joint:
    """Theory.md (4), and the same with σ_b = 0 for the nodes whose bias is replaced."""
    variance, g, rho = law.weight_variance, law.g, pairs.rho
    a, s, k11 = layer.weight_part, layer.bias_part, layer.k11
    b = variance * (moments.rx - g * moments.r * layer.before.first)
    d = variance * (moments.rr - g * moments.r**2)
    e = d + 2.0 * rho * b + rho**2 * a
    det = a * d - b * b
    if symmetric:
        det = e * (a - np.ldexp(0.25 * e, 2 * pairs.exponent))
    det = np.maximum(0.0, det)
    new_rho = (rho * a + b) / k11
    return _Joint(
        kappa=(pairs.kappa * a - np.ldexp(b, pairs.exponent) + s) / k11,
        rho=new_rho,
        gamma=np.sqrt(det + s * e) / k11,
        shift=(s * rho - b) / k11,
        fresh_shift=s * new_rho / a,
        fresh_gamma=np.sqrt(det / (a * k11)),
    )


def _linear_field(
    pairs: _Pairs, joint: _Joint, layer: Layer, share: FloatArray
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


def _fresh_field(joint: _Joint, layer: Layer) -> tuple[FloatArray, FloatArray]:
    """F and S where the bias is replaced: κu − v = fresh_shift (u − β) − ρβ + fresh_gamma z₂."""
    one = np.array([layer.replaced / layer.scale])
    weights = (1.0 - layer.old) * layer.fresh_weights[:, None]
    u = layer.scale * layer.fresh[:, None]
    m0, m1, m2 = (weights * values for values in beta_moments(layer.fresh, one, (0, 1, 2)))
    drop = (joint.fresh_shift + joint.rho) * layer.replaced
    first = joint.fresh_shift * u * m0 - drop * m1
    second = (joint.fresh_shift**2 * u**2 + joint.fresh_gamma**2) * m0
    return first, second - 2.0 * joint.fresh_shift * drop * u * m1 + drop**2 * m2


def _sorted_ranks(pairs: _Pairs) -> npt.NDArray[np.int64]:
    """Order of the particles: by x, then by r within strips of neighbouring x."""
    order = np.argsort(pairs.x, axis=1)
    size = order.shape[1]
    strip = math.isqrt(size)
    whole = size - size % strip
    head = order[:, :whole].reshape(order.shape[0], -1, strip)
    keys = np.take_along_axis(pairs.r, order[:, :whole], axis=1).reshape(head.shape)
    inner = np.argsort(keys, axis=2)
    ranked = np.take_along_axis(head, inner, axis=2).reshape(order.shape[0], whole)
    return np.concatenate((ranked, order[:, whole:]), axis=1)


@dataclass(frozen=True, eq=False)
class _Parents:
    x: FloatArray
    r: FloatArray
    weights: FloatArray


def _parents(pairs: _Pairs, second: float, count: int, shift: FloatArray) -> _Parents:
    """Draw `count` parents a replica by systematic sampling in sorted order.

    Large x are drawn more often and weigh less: a rare replaced bias contributes to ⟨x²⟩ as much as
    all other nodes together.
    """
    importance = pairs.weights * (1.0 + pairs.x**2 / second)
    ranks = _sorted_ranks(pairs)
    cumulative = np.cumsum(np.take_along_axis(importance, ranks, axis=1), axis=1)
    cumulative *= count / cumulative[:, -1:]
    last = np.minimum(np.floor(cumulative + shift[:, None]), count).astype(np.int64)
    last[:, -1] = count
    copies = np.diff(last, axis=1, prepend=0)
    rows, size = pairs.x.shape
    flat = (ranks + size * np.arange(rows)[:, None]).ravel()
    chosen = np.repeat(flat, copies.ravel())
    x = pairs.x.ravel()[chosen].reshape(rows, count)
    r = pairs.r.ravel()[chosen].reshape(rows, count)
    weights: FloatArray = 1.0 / (1.0 + x * x / second)
    total = weights.sum(axis=1, keepdims=True)
    return _Parents(x, r, np.asarray(weights / total))


@cache
def _lattice(size: int) -> FloatArray:
    """Coordinates of z₁, β, z₂ of the lattice points in order of the parent, shape (3, size)."""
    index = np.arange(size, dtype=np.int64)
    return np.asarray([(index * generator % size) / size for generator in _LATTICE])


def _shifts(rng: np.random.Generator) -> FloatArray:
    """Random shifts, shape (4, replica), never on the lattice, where a normal would be infinite."""
    return np.asarray((rng.integers(0, 2**40, size=(4, _REPLICAS)) + 0.5) / 2.0**40)


def _coordinate(axis: FloatArray, shift: FloatArray) -> FloatArray:
    shifted = axis + shift[:, None]
    return np.asarray(shifted - (shifted >= 1.0))


@dataclass(frozen=True, eq=False)
class _Draw:
    """A population of pre-activations, each of shape (replica, particle)."""

    u: FloatArray
    gap: FloatArray
    """κu − v."""
    weights: FloatArray


def _draw(pairs: _Pairs, joint: _Joint, layer: Layer, size: int, rng: np.random.Generator) -> _Draw:
    """Draw a layer given the activations before it, theory.md 4; the replaced bias comes first."""
    from scipy.special import ndtri

    shifts, lattice = _shifts(rng), _lattice(size)
    u = ndtri(_coordinate(lattice[0], shifts[1]))
    beta = np.sqrt(_coordinate(lattice[1], shifts[2]))
    z2 = ndtri(_coordinate(lattice[2], shifts[3]))
    fresh = math.ceil(size * max(_FRESH_SHARE, 1.0 - layer.old))
    parents = _parents(pairs, layer.before.second, size - fresh, shifts[0])
    unit, one = 1.0 / math.sqrt(layer.k11), layer.replaced
    gap = joint.gamma[:, None] * z2
    u[:, fresh:] += unit * beta[:, fresh:] * parents.x
    gap[:, fresh:] += unit * beta[:, fresh:] * (parents.r + joint.shift[:, None] * parents.x)
    u[:, :fresh] *= layer.scale
    gap[:, :fresh] = joint.fresh_gamma[:, None] * z2[:, :fresh]
    gap[:, :fresh] += joint.fresh_shift[:, None] * u[:, :fresh]
    gap[:, :fresh] -= joint.rho[:, None] * one * beta[:, :fresh]
    u[:, :fresh] += one * beta[:, :fresh]
    weights = np.empty_like(u)
    weights[:, :fresh] = (1.0 - layer.old) / fresh
    weights[:, fresh:] = layer.old * parents.weights
    return _Draw(u, gap, weights)


def _deposit(x: FloatArray, values: FloatArray, count: int) -> FloatArray:
    """Share values among the two mesh points next to each x, so that ⟨x⟩ is kept.

    Returns
    -------
    ndarray
        Shape (count, replica).
    """
    mesh = np.sinh(_MESH * np.arange(count))
    index = np.minimum((np.arcsinh(x) / _MESH).astype(np.int64), count - 2)
    upper = (x - mesh[index]) / (mesh[index + 1] - mesh[index])
    place = index + count * np.arange(len(x))[:, None]
    total = np.zeros(count * len(x))
    for offset, share in ((0, 1.0 - upper), (1, upper)):
        total += np.bincount((place + offset).ravel(), (share * values).ravel(), total.size)
    return np.asarray(total.reshape(len(x), count).T)


def _next_pairs(
    pairs: _Pairs, joint: _Joint, layer: Layer, size: int, rng: np.random.Generator
) -> tuple[_Pairs, FloatArray]:
    """Return a layer's activations, and the probability of u ≤ 0 < v, shape (replica,)."""
    draw = _draw(pairs, joint, layer, size, rng)
    x, other = np.maximum(draw.u, 0.0), joint.kappa[:, None] * draw.u
    gap, positive = np.ldexp(draw.gap, pairs.exponent), draw.u > 0.0
    r = np.where(positive, np.minimum(gap, other), np.minimum(gap - other, 0.0))
    only_second = np.sum(draw.weights * (~positive & (r < 0.0)), axis=1)
    r = np.ldexp(r, -pairs.exponent)
    # 1 - θ/π is the share of what is linear that stays at a large angle; 1 makes the rest small
    # as θ goes to 0. Any share leaves the sum unbiased.
    share = 1.0 - np.arctan2(np.ldexp(joint.gamma, pairs.exponent), joint.kappa) / math.pi
    linear = np.where(positive, draw.gap, 0.0)
    count = int(np.arcsinh(x.max()) / _MESH) + 2
    mesh = np.sinh(_MESH * np.arange(count))
    rest = r - share[:, None] * linear, r**2 - share[:, None] * linear**2
    added = [_deposit(x, draw.weights * values, count) for values in rest]
    first, second = _linear_field(pairs, joint, layer, share)
    masses = np.zeros(count)
    masses[0] = layer.inactive
    field = _Field(
        np.concatenate((layer.after.points, mesh)),
        np.concatenate((layer.after.masses, masses)),
        np.concatenate((first, added[0])),
        np.concatenate((second, added[1])),
    )
    after = _Pairs(field, x, r, draw.weights, joint.kappa, joint.rho, pairs.exponent)
    return _rescaled(after, float(joint.gamma.max())), only_second


def _rescaled(pairs: _Pairs, gamma: float) -> _Pairs:
    if not 0.0 < gamma < _TINY:
        return pairs
    old, factor = pairs.field, math.ldexp(1.0, _RESCALE)
    field = _Field(old.points, old.masses, factor * old.first, factor**2 * old.second)
    r, rho, exponent = factor * pairs.r, factor * pairs.rho, pairs.exponent - _RESCALE
    return _Pairs(field, pairs.x, r, pairs.weights, pairs.kappa, rho, exponent)


def _random_pairs(measure: Measure, distance: float, rng: np.random.Generator) -> _Pairs:
    """Components of the random inputs of theory.md 1 in the limit, in units of √q₀."""
    from scipy.special import ndtri

    size = _SIZES[0][1]
    shifts, lattice = _shifts(rng), _lattice(size)
    x = ndtri(_coordinate(lattice[0], shifts[0]))
    sine = math.sqrt(distance * (2.0 - distance))
    r = sine * ndtri(_coordinate(lattice[2], shifts[1]))
    start, none = np.full(_REPLICAS, distance), np.zeros((measure.points.size, _REPLICAS))
    second = sine**2 * measure.masses[:, None] + none
    field = _Field(measure.points, measure.masses, none, second)
    return _Pairs(field, x, r, np.full_like(x, 1.0 / size), 1.0 - start, start, 0)


def _given_pairs(measure: Measure, inputs: FloatArray) -> _Pairs:
    """Components of two given inputs, in units of the root mean square of the first."""
    x, gap = measure.points, (inputs[:, 0] - inputs[:, 1]) / math.exp(measure.log_unit)
    rho = float(np.mean(gap * x))
    r = gap - rho * x
    start = np.full(_REPLICAS, rho)
    everywhere = np.ones(_REPLICAS)
    masses = measure.masses
    field = _Field(x, masses, np.outer(masses * r, everywhere), np.outer(masses * r**2, everywhere))
    every = (_REPLICAS, 1)
    columns = np.tile(x, every), np.tile(r, every), np.tile(masses, every)
    return _Pairs(field, *columns, kappa=1.0 - start, rho=start, exponent=0)


@dataclass(frozen=True, eq=False)
class _Angles:
    """What the joint law adds to a layer's theory, each of shape (replica,)."""

    angle: FloatArray
    """θ of the pre-activations over 2^exponent."""
    exponent: int
    cosine: FloatArray
    only_second: FloatArray
    """Probability that signal 2 alone is active."""


def _pre_activation_angle(
    moments: _Moments, joint: _Joint, layer: Layer, exponent: int
) -> FloatArray:
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


def _activation_cosine(pairs: _Pairs, moments: _Moments, second: float) -> FloatArray:
    det = np.maximum(0.0, second * moments.rr - moments.rx**2)
    along = pairs.kappa * second - np.ldexp(moments.rx, pairs.exponent)
    return np.asarray(np.cos(np.arctan2(np.ldexp(np.sqrt(det), pairs.exponent), along)))


def _follow(
    pairs: _Pairs,
    law: AsymmetricLaw,
    layers: Sequence[Layer],
    symmetric: bool,
    rng: np.random.Generator,
) -> Iterator[_Angles]:
    before = layers[0].before
    # Random inputs have the zero mean and the overlap of theory.md 1 exactly.
    moments = _moments(pairs, before.first, before.second, False)
    for number, layer in enumerate(layers):
        with np.errstate(invalid="ignore"):
            joint = _joint(pairs, moments, law, layer, symmetric)
        exponent = pairs.exponent
        angle = _pre_activation_angle(moments, joint, layer, exponent)
        seen = math.ldexp(float(angle.max()), exponent)
        if math.isnan(seen):
            # The residual was lost to rounding beside a bias far larger than the signals.
            lost = np.full(_REPLICAS, np.nan)
            yield from [_Angles(lost, 0, lost, lost)] * (len(layers) - number)
            return
        size = next(size for bound, size in _SIZES if seen >= bound)
        pairs, only_second = _next_pairs(pairs, joint, layer, size, rng)
        moments = _moments(pairs, layer.after.first, layer.after.second, symmetric)
        cosine = _activation_cosine(pairs, moments, layer.after.second)
        yield _Angles(angle, exponent, cosine, only_second)


def _layers(measure: Measure, law: AsymmetricLaw, fan_ins: Sequence[int]) -> list[Layer]:
    layers = []
    for fan_in in fan_ins:
        layers.append(advance(measure, law, fan_in, _RESOLUTION))
        measure = layers[-1].after
    return layers


def _column(layers: Sequence[Layer], name: str) -> FloatArray:
    return np.array([getattr(layer, name) for layer in layers], dtype=np.float64)


def _observables(
    first: Sequence[Layer], second: Sequence[Layer], angles: Sequence[_Angles]
) -> dict[str, FloatArray]:
    """Every observable of every replica, shape (depth, replica)."""
    mantissa = np.stack([a.angle for a in angles])
    exponent = np.array([a.exponent for a in angles])[:, None]
    log_q1, log_q2 = _column(first, "log_q")[:, None], _column(second, "log_q")[:, None]
    inactive1, inactive2 = _column(first, "inactive"), _column(second, "inactive")
    with np.errstate(over="ignore", under="ignore", divide="ignore"):
        angle = np.ldexp(mantissa, exponent)
        half = np.where(exponent < 0, 0.5 * mantissa, np.sin(0.5 * angle))
        log_distance = 2.0 * np.log(half) + math.log(2.0) * (1 + 2 * exponent)
        values = {
            "q1": np.exp(log_q1),
            "q2": np.exp(log_q2),
            "log_q1": log_q1,
            "log_q2": log_q2,
            "correlation": np.cos(angle),
            "distance": 2.0 * np.ldexp(half, exponent) ** 2,
            "log_distance": np.where(mantissa == 0.0, np.nan, log_distance),
            "angle": angle,
            "cosine": np.stack([a.cosine for a in angles]),
            "inactive1": inactive1[:, None],
            "inactive2": inactive2[:, None],
            "inactive_both": inactive1[:, None] - np.stack([a.only_second for a in angles]),
        }
    return {name: np.broadcast_to(value, angle.shape) for name, value in values.items()}


def _deviations(values: FloatArray) -> FloatArray:
    """Differences from the first replica: 0 where they are equal, be they infinite."""
    with np.errstate(invalid="ignore"):
        return np.where(values == values[:, :1], 0.0, values - values[:, :1])


def _standard_error(values: FloatArray) -> FloatArray:
    # The spread of equal numbers is 0, which the rounding of their mean would spoil.
    spread = _deviations(values).std(axis=1, ddof=1)
    return np.asarray(spread / math.sqrt(values.shape[1]))


def _mean(values: FloatArray) -> FloatArray:
    return np.asarray(values[:, 0] + _deviations(values).mean(axis=1))


def _checked_fan_ins(fan_ins: Sequence[int] | npt.NDArray[np.integer]) -> list[int]:
    array = np.asarray(fan_ins)
    whole = array.ndim == 1 and array.size > 0 and array.dtype.kind in "iu"
    if not whole or array.min() < 1:
        field, rule = "fan_ins", "must be a sequence of integers of at least 1"
        raise InputError(field, fan_ins, rule, "Give the fan-in of each layer, N0 first.")
    return [int(n) for n in array]


def _checked_inputs(inputs: npt.ArrayLike) -> FloatArray:
    array = np.asarray(inputs, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != 2 or not np.isfinite(array).all():
        field, rule = "inputs", "must be finite numbers of shape (n, 2)"
        raise InputError(field, f"array of shape {array.shape}", rule, "Give a column per input.")
    if not array.any(axis=0).all():
        field, rule = "inputs", "must not have a column of zeros"
        raise InputError(field, "a zero input", rule, "It has no direction, so leave it out.")
    return array


def _checked_start(q0: float, distance: float) -> tuple[float, float]:
    low, high = SCALE_LIMITS[0] ** 2, SCALE_LIMITS[1] ** 2
    for field, value, bounds in (("q0", q0, (low, high)), ("distance", distance, (0.0, 2.0))):
        if not bounds[0] <= value <= bounds[1]:
            rule = f"must be between {bounds[0]:g} and {bounds[1]:g}"
            remedy = "q0 is the inputs' mean square, distance their 1 - c."
            raise InputError(field, value, rule, remedy)
    return float(q0), float(distance)


def population_trajectory(
    fan_ins: Sequence[int] | npt.NDArray[np.integer],
    *,
    k: float = 0.0,
    sigma_w: float,
    sigma_b: float | None = None,
    q0: float = 1.0,
    distance: float = 1.0,
    inputs: npt.ArrayLike | None = None,
    seed: int = 0,
) -> PopulationTrajectory:
    """Follow a pair of signals through `rai` (k = 0) or `raai` at infinite width, theory.md 4.

    Every layer has the terms of order 1/n of its fan-in n, and the law of infinitely many nodes.
    Expectations take the place of averages over nodes: q1 = ⟨h₁²⟩, correlation = ⟨h₁h₂⟩/√(q1 q2),
    cosine = ⟨x₁x₂⟩/√(⟨x₁²⟩⟨x₂²⟩), inactive_both = P(h₁ ≤ 0, h₂ ≤ 0).

    Parameters
    ----------
    fan_ins
        Fan-in of each layer, shape (depth,); of layer 1 the length of the inputs.
    k, sigma_w, sigma_b
        The ensemble; sigma_b None is σ_w/√n.
    q0, distance
        Mean square and 1 − c₀ of two inputs whose components are jointly normal with mean 0.
    inputs
        Shape (n, 2): the components of two given inputs, instead of q0 and distance.
    seed
        Of the random numbers; the same arguments give the same result.

    Returns
    -------
    PopulationTrajectory
        Arrays of shape (depth,), with standard errors from independent replicas.

    Raises
    ------
    InputError
        If a parameter is out of range.
    """
    checked, law = _checked_fan_ins(fan_ins), asymmetric_law(k, sigma_w, sigma_b)
    rng = np.random.default_rng(seed)
    if inputs is None:
        start, gap = _checked_start(q0, distance)
        measure = normal_inputs(start)
        pairs = _random_pairs(measure, gap, rng)
        first = second = _layers(measure, law, checked)
    else:
        given = _checked_inputs(inputs)
        measures = [given_inputs(column) for column in given.T]
        pairs = _given_pairs(measures[0], given)
        first, second = (_layers(measure, law, checked) for measure in measures)
    angles = list(_follow(pairs, law, first, inputs is None, rng))
    values = _observables(first, second, angles)
    errors = {name: _standard_error(value) for name, value in values.items()}
    means = {name: _mean(values[name]) for name in (f.name for f in fields(Trajectory))}
    return PopulationTrajectory(**means, errors=Trajectory(**errors))

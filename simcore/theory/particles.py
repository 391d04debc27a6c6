"""Population of pairs under `rai` and `raai`, sampled by randomised quasi-Monte Carlo.

Parents in the order of (x, r) are matched to the points of a shifted rank-1 lattice. Independent
replicas give the errors. The law that a population carries is that of `pair_law`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from .asymmetric import Layer, Measure
from .law import FloatArray
from .pair_law import Field, Joint, Pairs, linear_field, rescaled

REPLICAS = 16

SIZES = ((0.05, 16384), (1e-3, 4096), (0.0, 1024))
"""Particles of a replica where the angle is above a bound: sampling noise is ∝ √(θ/size)."""

_LATTICE = (182667, 469891, 498753)
"""Generators of z₁, β and z₂; that of the rank of the parent is 1."""

_FRESH_SHARE = 1.0 / 16.0
"""Least share of the population with a replaced bias, however rare at large fan-in."""

_MESH = 0.04
"""Spacing in arsinh x of the points that hold what the population adds to F and S."""


def random_pairs(measure: Measure, distance: float, rng: np.random.Generator) -> Pairs:
    """Components of the random inputs of theory.md 1 in the limit, in units of √q₀."""
    from scipy.special import ndtri

    size = SIZES[0][1]
    shifts, lattice = _shifts(rng), _lattice(size)
    x = ndtri(_coordinate(lattice[0], shifts[0]))
    sine = math.sqrt(distance * (2.0 - distance))
    r = sine * ndtri(_coordinate(lattice[2], shifts[1]))
    start, none = np.full(REPLICAS, distance), np.zeros((measure.points.size, REPLICAS))
    second = sine**2 * measure.masses[:, None] + none
    field = Field(measure.points, measure.masses, none, second)
    return Pairs(field, x, r, np.full_like(x, 1.0 / size), 1.0 - start, start, 0)


def given_pairs(measure: Measure, inputs: FloatArray) -> Pairs:
    """Components of two given inputs, in units of the root mean square of the first."""
    x, gap = measure.points, (inputs[:, 0] - inputs[:, 1]) / math.exp(measure.log_unit)
    rho = float(np.mean(gap * x))
    r = gap - rho * x
    start = np.full(REPLICAS, rho)
    everywhere = np.ones(REPLICAS)
    masses = measure.masses
    field = Field(x, masses, np.outer(masses * r, everywhere), np.outer(masses * r**2, everywhere))
    every = (REPLICAS, 1)
    columns = np.tile(x, every), np.tile(r, every), np.tile(masses, every)
    return Pairs(field, *columns, kappa=1.0 - start, rho=start, exponent=0)


def _sorted_ranks(pairs: Pairs) -> npt.NDArray[np.int64]:
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


def _parents(pairs: Pairs, second: float, count: int, shift: FloatArray) -> _Parents:
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
    return np.asarray((rng.integers(0, 2**40, size=(4, REPLICAS)) + 0.5) / 2.0**40)


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


def _draw(pairs: Pairs, joint: Joint, layer: Layer, size: int, rng: np.random.Generator) -> _Draw:
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
    """Share values among the two mesh points at each x, ⟨x⟩ kept; shape (count, replica)."""
    mesh = np.sinh(_MESH * np.arange(count))
    index = np.minimum((np.arcsinh(x) / _MESH).astype(np.int64), count - 2)
    upper = (x - mesh[index]) / (mesh[index + 1] - mesh[index])
    place = index + count * np.arange(len(x))[:, None]
    total = np.zeros(count * len(x))
    for offset, share in ((0, 1.0 - upper), (1, upper)):
        total += np.bincount((place + offset).ravel(), (share * values).ravel(), total.size)
    return np.asarray(total.reshape(len(x), count).T)


def next_pairs(
    pairs: Pairs, joint: Joint, layer: Layer, size: int, rng: np.random.Generator
) -> tuple[Pairs, FloatArray]:
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
    first, second = linear_field(pairs, joint, layer, share)
    masses = np.zeros(count)
    masses[0] = layer.inactive
    field = Field(
        np.concatenate((layer.after.points, mesh)),
        np.concatenate((layer.after.masses, masses)),
        np.concatenate((first, added[0])),
        np.concatenate((second, added[1])),
    )
    after = Pairs(field, x, r, draw.weights, joint.kappa, joint.rho, pairs.exponent)
    return rescaled(after, float(joint.gamma.max())), only_second

"""Draws of the layers of a batch, as array code on a namespace `xp`: exact law, or every weight.

Formulas and random numbers are those of `gram` and `dense`, with an axis of trials before all
others. The big product of variates and columns of T is float32, as the variates are:
every column is rounded in a unit of its own, and residuals are columns of their own, so that 1 − c
keeps six digits however small it is. With float64, a parameter, pre-activations are those of the
CPU to rounding. Where weights have ties it is float64, since a tie shows by rounding.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from simcore.numerics.rng import Stream
from simcore.physics.weight_laws import NORMAL

from .arrays import Array, Group, Pairs, Source, cotangents, layer_factor, scaled, sigma_b_of
from .gram import LEAST_REST
from .physics import Law, tie_bound


class Choices(NamedTuple):
    """Replaced weights of a layer: index, old and new value, shape (B, N)."""

    index: Array
    old: Array
    new: Array


# --- products -------------------------------------------------------------------------------------


class Rounded(NamedTuple):
    """Columns in units of their own, ready for a product: (B, m, C), and exponents, (B, C)."""

    columns: Array
    exponents: Array

    def part(self, rows: range) -> Rounded:
        """Return some of their numbers only."""
        return self._replace(columns=self.columns[:, rows.start : rows.stop, :])


class Factors(NamedTuple):
    """Householder's QR of columns: R up to the diagonal, reflectors beyond it; and their factors.

    Shapes (B, C, m) and (B, rank).
    """

    v: Array
    tau: Array


def tiles(first: int, end: int, tile: int) -> Iterator[range]:
    """Yield ranges of nodes, `tile` at a time."""
    for start in range(first, end, tile):
        yield range(start, min(start + tile, end))


def factored(xp: Any, columns: Array) -> Factors:
    """Return the factors of columns, shape (B, C, m)."""
    return Factors(*xp.linalg.qr(xp.permute_dims(columns, (0, 2, 1)), mode="raw"))


def root(xp: Any, factors: Factors) -> Array:
    """Return R's columns, shape (B, C, rank)."""
    return xp.tril(factors.v[:, :, : factors.tau.shape[-1]])


def turned(xp: Any, factors: Factors, columns: Array) -> Array:
    """Return columns, shape (B, M, m), multiplied by the whole of Q.

    Q = I − V S⁻¹ Vᵀ with the reflectors V; S has 1/τ on the diagonal and above it VᵀV.
    """
    rank, m = factors.tau.shape[-1], factors.v.shape[-1]
    on = factors.tau != 0.0  # others reflect nothing
    v = xp.triu(factors.v[:, :rank, :], k=1) + xp.eye(rank, m, dtype=xp.float64)
    v = xp.where(on[..., None], v, 0.0)
    across = xp.permute_dims(v, (0, 2, 1))
    own = (1.0 / xp.where(on, factors.tau, 1.0))[..., None] * xp.eye(rank, dtype=xp.float64)
    s = xp.triu(xp.matmul(v, across), k=1) + own
    along = xp.linalg.solve(s, xp.matmul(v, xp.permute_dims(columns, (0, 2, 1))))
    return columns - xp.matmul(xp.permute_dims(along, (0, 2, 1)), v)


def rounded(xp: Any, t: Array, dtype: Any) -> Rounded:
    """Round columns, shape (B, C, m), to a type, each divided by a power of two."""
    _, exponent = xp.frexp(xp.max(xp.abs(t), axis=-1))
    exponent = xp.astype(exponent, xp.float64)
    t = xp.astype(scaled(xp, t, -exponent[..., None]), dtype)
    return Rounded(xp.permute_dims(t, (0, 2, 1)), exponent)


def product(xp: Any, z: Array, t: Rounded) -> Array:
    """Return the columns times the variates of nodes, (B, nodes, m): float64, (B, C, nodes)."""
    made = xp.matmul(xp.astype(z, t.columns.dtype, copy=False), t.columns)
    made = xp.astype(xp.permute_dims(made, (0, 2, 1)), xp.float64)
    return scaled(xp, made, t.exponents[..., None])


# --- explicit weights -----------------------------------------------------------------------------


def dense_layer(
    xp: Any,
    law: Law,
    pairs: Pairs,
    group: Group,
    source: Source,
    layer: int,
    width: int,
    tile: int,
    dtype: Any,
) -> tuple[Group, Array, None]:
    """Return the group, regressed, and pre-activations, (B, C, N), by explicit weights.

    `layer` counts from 1. The weights of `tile` nodes are drawn at a time; products are of type
    `dtype`.
    """
    n = group.signals.shape[-1]
    group, t, bias = layer_factor(xp, law, pairs, group)
    ties = tie_bound(law, sigma_b_of(law, n))
    columns = rounded(xp, t, xp.float64 if ties else dtype)
    index, new = source.choices(width, n, layer) if law.asymmetric else (None, None)
    parts, olds = [], []
    for rows in tiles(0, width, tile):
        z = source.variates(law.code, law.parameter, int(Stream.WEIGHT), rows, n, layer)
        parts.append(product(xp, z, columns))
        if index is not None:
            olds.append(drawn_weight(xp, law, z, index[:, rows.start : rows.stop]))
    h = parts[0] if len(parts) == 1 else xp.concat(parts, axis=-1)
    draws = source.variates(NORMAL, 0.0, int(Stream.BIAS), range(1), width, layer)
    draws = xp.astype(draws, xp.float64)
    if bias is not None:
        h = h + bias[..., None] * draws
    if index is not None:
        old = xp.where(index == n, sigma_b_of(law, n) * draws[:, 0, :], xp.concat(olds, axis=-1))
        h = _replaced(xp, pairs, group, Choices(index, old, new), h)
    if ties:
        group, h = _without_ties(xp, pairs, group, ties * xp.sum(xp.abs(t), axis=-1), h)
    return group, h, None


def _without_ties(
    xp: Any, pairs: Pairs, group: Group, size: Array, h: Array
) -> tuple[Group, Array]:
    """Return the group and its pre-activations with ties set to 0 (`dense._clear_ties`).

    `size` bounds the rounding of each column, shape (B, C).
    """
    explicit = pairs.explicit
    u_e, s = h[:, :explicit, :], h[:, explicit:, :]
    u_e = xp.where(xp.abs(u_e) <= size[:, :explicit, None], 0.0, u_e)
    u, own = xp.take(u_e, pairs.first, axis=1), size[:, explicit:, None]
    kappa = cotangents(xp, pairs, group)[..., None]
    of_both = xp.abs(kappa) * xp.take(size, pairs.first, axis=1)[..., None] + own
    p = kappa * u
    s = xp.where(xp.abs(p - s) <= xp.where(u != 0.0, of_both, own), p, s)
    none = xp.all(p == s, axis=-1)
    s = xp.where(none[..., None], 0.0, s)
    kappa, rho = xp.where(none, 0.0, group.kappa), xp.where(none, 1.0, group.rho)
    return group._replace(kappa=kappa, rho=rho), xp.concat([u_e, s], axis=1)


def drawn_weight(xp: Any, law: Law, z: Array, index: Array) -> Array:
    """Return the indexed weight of each row of z, shape (B, nodes, n), that has one."""
    trials, nodes, n = z.shape
    at = xp.reshape(xp.arange(trials * nodes), (trials, nodes)) * n
    at = at + xp.where(index < n, index, 0)
    found = xp.take(xp.reshape(z, (-1,)), xp.reshape(at, (-1,)), axis=0)
    found = xp.astype(xp.reshape(found, (trials, nodes)), xp.float64)
    if law.a != 0.0:
        found = found - law.a * xp.sum(z, axis=-1, dtype=xp.float64) / n
    return law.sigma_w / math.sqrt(n) * found


def _replaced(xp: Any, pairs: Pairs, group: Group, choices: Choices, h: Array) -> Array:
    """Replace a weight of each node, or its bias, in its pre-activations (theory.md (3))."""
    x = group.signals
    trials, columns, n = x.shape
    at_bias = choices.index == n
    one = xp.ones((trials, pairs.explicit), dtype=xp.float64)
    bias = scaled(xp, xp.concat([one, -group.rho], axis=1), -group.power)
    place = xp.where(at_bias, 0, choices.index)
    place = place + n * xp.reshape(xp.arange(trials), (trials, 1))
    by_node = xp.reshape(xp.permute_dims(x, (0, 2, 1)), (trials * n, columns))
    met = xp.reshape(xp.take(by_node, xp.reshape(place, (-1,)), axis=0), (trials, -1, columns))
    met = xp.permute_dims(met, (0, 2, 1))
    met = xp.where(at_bias[:, None, :], bias[..., None], met)
    return h + (choices.new - choices.old)[:, None, :] * met


# --- the exact law --------------------------------------------------------------------------------


def gram_layer(
    xp: Any,
    law: Law,
    pairs: Pairs,
    group: Group,
    source: Source,
    layer: int,
    width: int,
    tile: int,
    dtype: Any,
) -> tuple[Group, Array, Factors]:
    """Return the group, regressed, pre-activations, (B, C, N), by their exact law, and T's factors.

    The parameters are those of `dense_layer`; `tile` is of normals.
    """
    n = group.signals.shape[-1]
    group, t, bias = layer_factor(xp, law, pairs, group)
    if bias is not None:
        t = xp.concat([t, bias[..., None]], axis=-1)
    factors = factored(xp, t)
    rank = factors.tau.shape[-1]
    q: Array = None
    index: Array = None
    new: Array = None
    spare: Array = None
    if law.asymmetric:
        q = turned(xp, factors, xp.eye(rank, t.shape[-1], dtype=xp.float64)[None, ...])
        q = xp.permute_dims(q, (0, 2, 1))
        index, new = source.choices(width, n, layer)
        spare = source.variates(NORMAL, 0.0, int(Stream.REPLACED), range(1), width, layer)
    columns = rounded(xp, root(xp, factors), dtype)
    parts, olds = [], []
    for rows in tiles(0, width, tile):
        z = source.variates(NORMAL, 0.0, int(Stream.BATCH), rows, rank, layer)
        parts.append(product(xp, z, columns))
        if law.asymmetric:
            part = slice(rows.start, rows.stop)
            olds.append(_given_weight(xp, law, n, q, z, index[:, part], spare[:, 0, part]))
    h = parts[0] if len(parts) == 1 else xp.concat(parts, axis=-1)
    if not law.asymmetric:
        return group, h, factors
    old = xp.concat(olds, axis=-1)
    return group, _replaced(xp, pairs, group, Choices(index, old, new), h), factors


def _given_weight(
    xp: Any, law: Law, n: int, q: Array, z: Array, index: Array, spare: Array
) -> Array:
    """Return the weights to be replaced, given the normals z behind the pre-activations.

    `gram._old_weights` says why. q has shape (B, m, rank), z (B, nodes, rank), the others
    (B, nodes).
    """
    trials, m, rank = q.shape
    sigma_b = sigma_b_of(law, n)
    at_bias = index == n
    known = (index < m)[..., None]
    place = xp.where(index < m, index, 0) + m * xp.reshape(xp.arange(trials), (trials, 1))
    met = xp.take(xp.reshape(q, (trials * m, rank)), xp.reshape(place, (-1,)), axis=0)
    met = xp.reshape(met, (*index.shape, rank))
    if law.a != 0.0:
        mean = law.a / n * xp.sum(q[:, :n, :], axis=1)[:, None, :]
        met = xp.where(at_bias[..., None], met, met - mean)
    met = xp.where(known, met, 0.0)
    spare = xp.astype(spare, xp.float64)
    rest = xp.where(at_bias, 1.0, xp.full(spare.shape, 1.0 - law.g / n, dtype=xp.float64))
    rest = rest - xp.sum(met * met, axis=-1)
    more = xp.sqrt(xp.where(rest > LEAST_REST, rest, 0.0)) * spare
    seen = xp.sum(met * xp.astype(z, xp.float64), axis=-1) + more
    return xp.where(at_bias, sigma_b * seen, law.sigma_w / math.sqrt(n) * seen)

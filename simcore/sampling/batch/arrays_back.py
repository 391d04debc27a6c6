"""The way back through batches of many trials, as array code on a namespace `xp` (`arrays`).

Formulas, units and random numbers are those of `way_back`, with an axis of trials before all
others. Products with variates are rounded like those of `draws`, each gradient in a unit of its
own. Of each layer are kept the masks of all inputs and, by the exact law, the factors of T.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from simcore.numerics.rng import Stream
from simcore.physics.activation import Sent
from simcore.physics.weight_laws import NORMAL
from simcore.sampling.pair.way_back import TOO_SMALL
from simcore.sampling.row import LN4, Q_RANGE

from .arrays import (
    Array,
    Group,
    Pairs,
    Source,
    centred,
    cotangents,
    derivatives,
    leaks,
    normalised,
    scaled,
    sigma_b_of,
)
from .draws import Factors, drawn_weight, factored, product, root, rounded, tiles, turned
from .physics import MOST_COTANGENT, Law


class Kept(NamedTuple):
    """What is kept of a layer: its number from 1, fan-in, nodes drawn at a time; masks, (B, M, N).

    `lengths` are of `lengths`; `factors` those of T, None with explicit weights.
    """

    number: int
    fan_in: int
    tile: int
    active: Array
    lengths: tuple[Array, ...]
    factors: Factors | None


# --- on the way forward ---------------------------------------------------------------------------


def active_nodes(xp: Any, pairs: Pairs, group: Group, h: Array) -> Array:
    """Return which nodes are active for which input, (B, M, N), from the pre-activations."""
    u, s = h[:, : pairs.explicit, :], h[:, pairs.explicit :, :]
    if pairs.inputs == pairs.explicit:
        return u > 0.0
    p = cotangents(xp, pairs, group)[..., None] * xp.take(u, pairs.first, axis=1)
    return xp.concat([u > 0.0, p > s], axis=1)


def lengths(
    xp: Any, slopes: Sent, pairs: Pairs, second: Array, group: Group, active: Array | None
) -> tuple[Array, ...]:
    """Return ⟨x²⟩, ⟨xy⟩, ⟨y²⟩ of what a layer reads of each pair, and their exponents, (B, P) each.

    As `way_back.lengths`; `active` are the masks of the layer before, (B, M, n), None for inputs.
    """
    n = group.signals.shape[-1]
    x, r = xp.take(group.signals, pairs.first, axis=1), group.signals[:, pairs.explicit :, :]
    power1, power2 = xp.take(group.power, pairs.first, axis=1), group.power[:, pairs.explicit :]
    up, xx = power2 - power1, xp.sum(x * x, axis=-1)
    of_residual = (xx == 0.0) | ((up > 0.0) & (xp.sum(r * r, axis=-1) > 0.0))  # the larger unit
    cotangent = xp.clip(scaled(xp, group.kappa, -up), -MOST_COTANGENT, MOST_COTANGENT)
    kappa = xp.where(of_residual, cotangent, group.kappa)
    unit = scaled(xp, xp.ones_like(up), xp.where(of_residual | (up > 0.0), 0.0, up))
    y = kappa[..., None] * x - unit[..., None] * r
    if active is not None and not leaks(slopes):
        y = xp.where(xp.take(active, second, axis=1), y, 0.0)
    xy, yy = xp.sum(x * y, axis=-1), xp.sum(y * y, axis=-1)
    return xx / n, xy / n, yy / n, power1, xp.where(of_residual, power2, power1)


# --- back -----------------------------------------------------------------------------------------


def go_back(
    xp: Any,
    law: Law,
    slopes: Sent,
    pairs: Pairs,
    source: Source,
    kept: list[Kept],
    second: Array,
    dtype: Any,
) -> Array:
    """Return the observables of the gradients of all layers, (B, layer, P, GRADIENTS).

    `second` is the second input of each pair, shape (P,); products are of type `dtype`.
    """
    delta, found = _read_out(xp, pairs, source, kept[-1]), []
    power = xp.zeros(delta.shape[:2], dtype=xp.float64)
    above, below = derivatives(slopes)
    for layer in reversed(kept):
        on, off = (above * delta, below * delta) if slopes else (delta, 0.0)
        delta, power, square = normalised(xp, xp.where(layer.active, on, off), power)
        found.append(_observed(xp, law, pairs, second, layer, (delta, square, power)))
        if layer.number > 1:
            back = _by_weights if layer.factors is None else _by_law
            delta = back(xp, law, pairs, source, layer, delta, dtype)
    return xp.stack(_added_up(xp, found[::-1]), axis=1)


def _read_out(xp: Any, pairs: Pairs, source: Source, last: Kept) -> Array:
    """Return ∂f/∂x of the last layer for every input, (B, M, N): v/√N for all."""
    nodes = last.active.shape[-1]
    v = source.variates(NORMAL, 0.0, int(Stream.READ_OUT), range(1), nodes, last.number)
    v = xp.astype(v, xp.float64) / math.sqrt(nodes)
    return xp.broadcast_to(v, (v.shape[0], pairs.inputs, nodes))


def _by_law(
    xp: Any, law: Law, pairs: Pairs, source: Source, layer: Kept, delta: Array, dtype: Any
) -> Array:
    """Return WᵀΔ, (B, M, n), given the normals of the way forward (`way_back._by_law`)."""
    factors: Any = layer.factors
    firsts = pairs.explicit
    if pairs.inputs > firsts:
        one = delta[:, :firsts, :]
        delta = xp.concat([one, delta[:, firsts:, :] - one], axis=1)
    rank, rows = factors.tau.shape[-1], factors.v.shape[-1]
    columns, seen = rounded(xp, delta, dtype), 0.0
    for nodes in tiles(0, delta.shape[-1], layer.tile):
        z = source.variates(NORMAL, 0.0, int(Stream.BATCH), nodes, rank, layer.number)
        seen = seen + product(xp, xp.permute_dims(z, (0, 2, 1)), columns.part(nodes))
    parts = [seen]
    of_delta = rounded(xp, root(xp, factored(xp, delta)), dtype) if rows > rank else columns
    count = of_delta.columns.shape[1]
    for fresh in tiles(rank, rows, layer.tile):
        stream = int(Stream.BATCH_GRADIENT)
        xi = source.variates(NORMAL, 0.0, stream, fresh, count, layer.number)
        parts.append(product(xp, xi, of_delta))
    back = turned(xp, factors, xp.concat(parts, axis=-1))
    if pairs.inputs > firsts:
        one = back[:, :firsts, :]
        back = xp.concat([one, back[:, firsts:, :] + one], axis=1)
    return centred(xp, law, back[..., : layer.fan_in])


def _by_weights(
    xp: Any, law: Law, _: Pairs, source: Source, layer: Kept, delta: Array, dtype: Any
) -> Array:
    """Return WᵀΔ, (B, M, n), of explicit weights, which are drawn again."""
    n, width = layer.fan_in, delta.shape[-1]
    index: Array = None
    new: Array = None
    if law.asymmetric:
        index, new = source.choices(width, n, layer.number)
    columns, back, replaced = rounded(xp, delta, dtype), 0.0, 0.0
    for nodes in tiles(0, width, layer.tile):
        of, part = columns.part(nodes), slice(nodes.start, nodes.stop)
        stream = int(Stream.WEIGHT)
        z = source.variates(law.code, law.parameter, stream, nodes, n, layer.number)
        back = back + product(xp, xp.permute_dims(z, (0, 2, 1)), of)
        if index is not None:
            more = new[:, part] - drawn_weight(xp, law, z, index[:, part])
            here = xp.arange(n)[:, None] == index[:, None, part]
            replaced = replaced + product(xp, xp.where(here, more[:, None, :], 0.0), of)
    return centred(xp, law, back) + replaced


# --- observables ----------------------------------------------------------------------------------


def _observed(
    xp: Any,
    law: Law,
    pairs: Pairs,
    second: Array,
    layer: Kept,
    gradients: tuple[Array, Array, Array],
) -> list[Array]:
    """Return the observables of a layer's gradients, (B, P) each, as `write_gradients` has them."""
    delta, square, power = gradients
    x11, x12, x22, of_x1, of_x2 = layer.lengths
    d11, of_d1 = (xp.take(a, pairs.first, axis=1) for a in (square, power))
    d22, of_d2 = (xp.take(a, second, axis=1) for a in (square, power))
    d12 = xp.sum(xp.take(delta, pairs.first, axis=1) * xp.take(delta, second, axis=1), axis=-1)
    both = (d11 > 0.0) & (d22 > 0.0)
    cosine = xp.clip(d12 / xp.sqrt(xp.where(both, d11 * d22, 1.0)), -1.0, 1.0)
    found = [_logarithm(xp, d11, of_d1), _logarithm(xp, d22, of_d2)]
    found += [xp.where(both, cosine, math.nan), _within(xp, _fours(xp, x11 * d11, of_x1 + of_d1))]
    w2, s = law.sigma_w * law.sigma_w, sigma_b_of(law, layer.fan_in) ** 2
    for x, d, of_x, of_d in (
        (x11, d11, of_x1, of_d1),
        (x12, d12, 0.5 * (of_x1 + of_x2), 0.5 * (of_d1 + of_d2)),
        (x22, d22, of_x2, of_d2),
    ):
        found.append(_fours(xp, w2 * x * d, of_x + of_d) + _fours(xp, s * d, of_d))
    return found


def _logarithm(xp: Any, d: Array, power: Array) -> Array:
    """Return the logarithm of d·4^power, undefined at 0."""
    return xp.where(d > 0.0, xp.log(xp.where(d > 0.0, d, 1.0)) + power * LN4, math.nan)


def _fours(xp: Any, value: Array, power: Array) -> Array:
    """Return value·4^power; too small a number is not 0, for which others would take it."""
    made = scaled(xp, value, 2.0 * power)
    return xp.where((made == 0.0) & (value != 0.0), TOO_SMALL, made)


def _within(xp: Any, value: Array) -> Array:
    """Return values, or NaN where their square would leave float64."""
    size = xp.abs(value)
    inside = (size >= Q_RANGE[0]) & (size <= Q_RANGE[1])
    return xp.where((size == 0.0) | inside, value, math.nan)


def _added_up(xp: Any, layers: list[list[Array]]) -> list[Array]:
    """Return rows of layers, (B, P, GRADIENTS), with the last three summed over layers so far."""
    rows, sums = [], [0.0, 0.0, 0.0]
    for own in layers:
        sums = [total + term for total, term in zip(sums, own[-3:], strict=True)]
        rows.append(xp.stack([*own[:-3], *(_within(xp, total) for total in sums)], axis=-1))
    return rows

"""The way back through a batch on the CPU: gradients of all inputs through the weights they share.

`dense` draws the rows of W again. `gram` knows of its standardised weights ζ, with T = QR, only the
normals z = Qᵀζ of each node; given these ζ is Qz and, across Q, fresh. So for gradients Δ

    ζᵀΔ  ~  Q (zᵀΔ) + Q⊥ ξ R_Δ,    R_Δ the triangular factor of Δ, ξ standard normals,

which is theory.md (B1): no pseudo-inverse is needed, since Householder's Q is orthogonal whatever
the rank of T. Both are multiplied by A at the end, and the row of the bias is dropped.

Of each layer are kept the masks of all inputs and, for `gram`, the factors of T: for M inputs and C
columns M·N bytes and 8·C·n. Gradients have units of their own, powers of two, as the columns have.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simcore.numerics.kernels import njit
from simcore.numerics.lanes import LANES, product
from simcore.numerics.rng import Stream
from simcore.physics.activation import Sent, derivatives, inactive, leaks, second_inactive
from simcore.physics.weight_laws import NORMAL
from simcore.sampling.contract import Signals
from simcore.sampling.pair.way_back import write_gradients
from simcore.sampling.variates import fill_variates

from . import dense, gram
from .cpu_kernels import Floats, Layer, centred, normalise
from .physics import in_units

GRADIENT = np.uint64(Stream.BATCH_GRADIENT)
READ_OUT = np.uint64(Stream.READ_OUT)

Masks = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]


class Kept(NamedTuple):
    """What is kept of a layer: its numbers and sizes, masks, (M, N), `lengths`, factors of T.

    The arrays of `layer` have been overwritten; their shapes are right.
    """

    layer: Layer
    active: Masks
    lengths: Floats
    factors: gram.Factors | None


# --- on the way forward ---------------------------------------------------------------------------


@njit(nogil=True, cache=True)
def active_nodes(layer):
    """Return which nodes are active for which input, (M, N), from the pre-activations."""
    pairing, batch, h = layer.pairing, layer.batch, layer.h
    explicit = pairing.explicit
    active = np.empty((pairing.inputs, h.shape[1]), np.bool_)
    for c in range(explicit):
        for i in range(h.shape[1]):
            active[c, i] = not inactive(h[c, i])
    if pairing.inputs != explicit:
        for p in range(explicit):
            up = int(batch.power[explicit + p] - batch.power[p])
            cotangent = in_units(batch.kappa[p], up)
            for i in range(h.shape[1]):
                off = second_inactive(cotangent * h[p, i], h[explicit + p, i])
                active[explicit + p, i] = not off
    return active


@njit(nogil=True, cache=True)
def lengths(layer, slopes, second, active):
    """Return ⟨x²⟩, ⟨xy⟩, ⟨y²⟩ of what a layer reads of each pair, and their exponents, (P, 5).

    x and y are in units 2^exponent. `second` is the second input of each pair; `active` the masks
    of the layer before, (M, n), so that nodes that send nothing are exactly 0.
    """
    pairing, batch, every = layer.pairing, layer.batch, leaks(slopes)
    found, lanes = np.zeros((pairing.first.size, 5)), np.empty(LANES)
    for p in range(pairing.first.size):
        first, column = pairing.first[p], pairing.explicit + p
        x, r, on = layer.x[first], layer.x[column], active[second[p]]
        n, up = x.size, int(batch.power[column] - batch.power[first])
        xx = product(x, x, lanes)
        of_residual = xx == 0.0 or (up > 0 and product(r, r, lanes) > 0.0)  # the larger unit
        kappa = in_units(batch.kappa[p], up) if of_residual else batch.kappa[p]
        scale = 1.0 if of_residual else math.ldexp(1.0, min(up, 0))
        xy = yy = 0.0
        for i in range(n):
            y = kappa * x[i] - scale * r[i] if every or on[i] else 0.0
            xy += x[i] * y
            yy += y * y
        found[p, 0], found[p, 1], found[p, 2] = xx / n, xy / n, yy / n
        found[p, 3] = batch.power[first]
        found[p, 4] = batch.power[column] if of_residual else batch.power[first]
    return found


# --- back -----------------------------------------------------------------------------------------


def go_back(kept: list[Kept], slopes: Sent, second: Places, rows: Floats, signals: Signals) -> None:
    """Take the gradients of a trial from the last layer to the first.

    `slopes` are those of `activation.sent`. `rows`, (layer, pair, GRADIENTS), is written; of the
    tangent kernel with each layer's own term.
    Returns early where `signals.stop` is set.
    """
    back = _read_out(kept[-1])
    power, square = np.zeros(len(back)), np.empty(len(back))
    for k in reversed(range(len(kept))):
        if signals.stop[0]:
            return
        layer = kept[k].layer
        _settle(slopes, kept[k].active, back, square, power)
        _observe(layer, second, back, square, power, kept[k].lengths, rows[k])
        if k > 0:
            factors = kept[k].factors
            back = _by_weights(layer, back) if factors is None else _by_law(layer, factors, back)


def _read_out(last: Kept) -> Floats:
    """Return ∂f/∂x of the last layer for every input, (M, N): v/√N for all."""
    law, layer = last.layer.law, last.layer
    inputs, nodes = last.active.shape
    v = np.empty(nodes, np.float32)
    words, trial, number = layer.words, layer.trial, layer.number
    fill_variates(v, NORMAL, 0.0, words, READ_OUT, 0, trial, number, law.key0, law.key1)
    return np.tile(v.astype(np.float64) / math.sqrt(nodes), (inputs, 1))


@njit(nogil=True, cache=True)
def _settle(slopes, active, delta, square, power):
    """Multiply gradients by φ′, and bring each input's to a unit in RANGE."""
    lanes, (above, below) = np.empty(LANES), derivatives(slopes)
    for a in range(delta.shape[0]):
        for i in range(delta.shape[1]):
            if len(slopes) > 0:
                delta[a, i] *= above if active[a, i] else below
            elif not active[a, i]:
                delta[a, i] = 0.0
        square[a] = normalise(delta[a], product(delta[a], delta[a], lanes), power, a)


@njit(nogil=True, cache=True)
def _observe(layer, second, delta, square, power, of_signals, rows):
    """Write the observables of a layer's gradients, (pair, GRADIENTS)."""
    w2, s, lanes = layer.law.sigma_w * layer.law.sigma_w, layer.sigma_b**2, np.empty(LANES)
    for p in range(second.size):
        a, b = layer.pairing.first[p], second[p]
        x11, x12, x22, u1, u2 = of_signals[p]
        d12 = product(delta[a], delta[b], lanes)
        squares = (square[a], d12, square[b], power[a], power[b])
        write_gradients(w2, s, (x11, x12, x22, u1, u2), squares, rows[p])


@njit(nogil=True, cache=True)
def _centre(layer, products):
    """Turn ζᵀΔ, (M, n), into (σ_w/√n) A ζᵀΔ, in place."""
    lanes = np.empty(LANES)
    for a in range(products.shape[0]):
        centred(layer.law, products[a], lanes, products[a])


def _by_law(layer: Layer, factors: gram.Factors, delta: Floats) -> Floats:
    """Return WᵀΔ, (M, n), given the normals of the way forward; `delta` is overwritten.

    The second gradient of a random pair is taken as its difference from the first: where that is 0
    it stays 0, while equal columns would have an R that rounding decides.
    """
    width, inputs = delta.shape[1], len(delta)
    rank, rows = factors.rank, factors.v.shape[1]
    firsts = layer.pairing.explicit
    if inputs > firsts:
        delta[firsts:] -= delta[:firsts]
    products = np.zeros((inputs, rows))
    room = np.empty((gram.tile_nodes(rank, width), rank))
    for first in range(0, width, len(room)):
        tile = room[: min(len(room), width - first)]
        gram.fill_tile(layer, gram.BATCH, first, tile)
        products[:, :rank] += delta[:, first : first + len(tile)] @ tile
    if rows > rank:
        root = gram.Factors(delta).r()
        room = np.empty((gram.tile_nodes(root.shape[1], rows - rank), root.shape[1]))
        for first in range(rank, rows, len(room)):
            tile = room[: min(len(room), rows - first)]
            gram.fill_tile(layer, GRADIENT, first, tile)
            np.matmul(root, tile.T, out=products[:, first : first + len(tile)])
    factors.turn(products)
    if inputs > firsts:
        products[firsts:] += products[:firsts]
    back = np.ascontiguousarray(products[:, : layer.x.shape[1]])
    _centre(layer, back)
    return back


def _by_weights(layer: Layer, delta: Floats) -> Floats:
    """Return WᵀΔ, (M, n), of explicit weights, which are drawn again."""
    n, width = layer.x.shape[1], delta.shape[1]
    index, old, new = np.empty(width, np.int64), np.empty(width), np.empty(width)
    dense.draw_biases(layer, index, new, old, np.empty(width, np.float32))
    back = np.zeros((len(delta), n))
    room = np.empty((dense.tile_nodes(n, width), n))
    for first in range(0, width, len(room)):
        tile = room[: min(len(room), width - first)]
        dense.fill_tile(layer, first, index, old, tile)
        back += delta[:, first : first + len(tile)] @ tile
    _centre(layer, back)
    if layer.law.asymmetric:
        _replace(index, old, new, delta, back)
    return back


@njit(nogil=True, cache=True)
def _replace(index, old, new, delta, back):
    """Replace a weight of each node in WᵀΔ; that of a bias is dropped."""
    for a in range(back.shape[0]):
        for i in range(index.size):
            if index[i] < back.shape[1]:
                back[a, index[i]] += (new[i] - old[i]) * delta[a, i]

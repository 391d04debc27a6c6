"""A layer of a batch by explicit weights, of any law: drawn row by row, never all in memory.

Node i has the row i of the stream of weights. Its weights are w = (σ_w/√n)(z − a z̄) of standardised
variates z (theory.md 1), and w·x = z·t with t a column of T (`cpu_kernels.layer_factor`).
"""

from __future__ import annotations

import math

import numpy as np

from simcore.numerics.kernels import njit
from simcore.numerics.lanes import LANES, mean, product
from simcore.numerics.rng import ONLY_ROW, Stream
from simcore.physics.weight_laws import NORMAL
from simcore.sampling.contract import Signals
from simcore.sampling.variates import fill_choices, fill_variates

from .cpu_kernels import Layer, replace_weights
from .physics import in_units, tie_bound

FUSED_COLUMNS = 2
"""Largest number of columns for which a row of weights is multiplied as soon as it is drawn."""

TILE = 2**18
"""Weights of a tile: 2 MiB, which stay in the second-level cache while they are multiplied."""

LEAST_NODES, MOST_NODES = 8, 512

WEIGHT = np.uint64(Stream.WEIGHT)
BIAS = np.uint64(Stream.BIAS)
REPLACEMENT = np.uint64(Stream.REPLACEMENT)


@njit(nogil=True, cache=True)
def draw_biases(layer, index, new, old, bias):
    """Draw the standardised biases, and the replacements with the biases that they replace.

    `index` is n + 1, which is no weight, where none is replaced.
    """
    law, n, words = layer.law, layer.x.shape[1], layer.words
    trial, number = layer.trial, layer.number
    fill_variates(bias, NORMAL, 0.0, words, BIAS, ONLY_ROW, trial, number, law.key0, law.key1)
    if law.asymmetric:
        fill_choices(index, new, n, REPLACEMENT, trial, number, law.key0, law.key1, words)
    else:
        index[:] = n + 1
    for i in range(index.size):
        old[i] = layer.sigma_b * bias[i] if index[i] == n else 0.0


@njit(nogil=True, cache=True)
def _draw_row(layer, i, z, index, old, lanes):
    """Draw the standardised weights of node i, and note the weight that is to be replaced."""
    law, trial, number, words = layer.law, layer.trial, layer.number, layer.words
    code, key0, key1 = law.code, law.key0, law.key1
    fill_variates(z, code, law.parameter, words, WEIGHT, i, trial, number, key0, key1)
    j, n = index[i], z.size
    if j < n:
        shift = law.a * mean(z, 0.0, lanes) if law.a != 0.0 else 0.0
        old[i] = law.sigma_w / math.sqrt(n) * (np.float64(z[j]) - shift)


@njit(nogil=True, cache=True)
def _clear_ties(layer, bound):
    """Set ties to 0: u, and v = κu − s by s = κu; or by κ = s = 0 where v is 0 at every node.

    Where u is 0, v is −s, and its terms are those of s alone.
    """
    pairing, batch, t, h = layer.pairing, layer.batch, layer.t, layer.h
    size = np.zeros(t.shape[0])
    for c in range(t.shape[0]):
        for j in range(t.shape[1]):
            size[c] += abs(t[c, j])
        size[c] *= bound
    for c in range(pairing.explicit):
        for i in range(h.shape[1]):
            if abs(h[c, i]) <= size[c]:
                h[c, i] = 0.0
    for p in range(pairing.first.size):
        first, c = pairing.first[p], pairing.explicit + p
        kappa = in_units(batch.kappa[p], int(batch.power[c] - batch.power[first]))
        u, s, of_both = h[first], h[c], abs(kappa) * size[first] + size[c]
        apart = 0
        for i in range(u.size):
            v = kappa * u[i] - s[i]
            if abs(v) <= (of_both if u[i] != 0.0 else size[c]):
                s[i] = kappa * u[i]
            else:
                apart += 1
        if apart == 0:
            batch.kappa[p], batch.rho[p] = 0.0, 1.0
            s[:] = 0.0


@njit(nogil=True, cache=True)
def _finish(layer, bias, index, old, new):
    """Add the biases to products of weights, replace weights, and clear ties."""
    t, h, n = layer.t, layer.h, layer.x.shape[1]
    if t.shape[1] > n:
        for c in range(h.shape[0]):
            for i in range(h.shape[1]):
                h[c, i] += t[c, n] * bias[i]
    if layer.law.asymmetric:
        replace_weights(layer, index, old, new)
    bound = tie_bound(layer.law, layer.sigma_b)
    if bound > 0.0:
        _clear_ties(layer, bound)


@njit(nogil=True, cache=True)
def fused_layer(layer, stop):
    """Write the pre-activations of a layer of few columns; returns early where `stop` is set."""
    columns, n = layer.x.shape
    t, h = layer.t, layer.h
    width = h.shape[1]
    z = np.empty(n, np.float32)
    bias, lanes = np.empty(width, np.float32), np.empty(LANES)
    index, old, new = np.empty(width, np.int64), np.empty(width), np.empty(width)
    draw_biases(layer, index, new, old, bias)
    for i in range(width):
        if i % 256 == 0 and stop[0]:
            return
        _draw_row(layer, i, z, index, old, lanes)
        for c in range(columns):
            h[c, i] = product(z, t[c, :n], lanes)
    _finish(layer, bias, index, old, new)


@njit(nogil=True, cache=True)
def fill_tile(layer, first, index, old, tile):
    """Draw the rows of nodes first, first + 1, … to `tile`, shape (nodes, n), float64."""
    n = tile.shape[1]
    z, lanes = np.empty(n, np.float32), np.empty(LANES)
    for i in range(tile.shape[0]):
        _draw_row(layer, first + i, z, index, old, lanes)
        for j in range(n):
            tile[i, j] = z[j]


def tile_nodes(n: int, width: int) -> int:
    """Return the number of nodes whose weights are drawn at a time."""
    return min(width, MOST_NODES, max(LEAST_NODES, TILE // n))


def dense_layer(layer: Layer, signals: Signals) -> None:
    """Write the pre-activations of a layer of many columns, by BLAS.

    Returns early where `signals.stop` is set.
    """
    n, width = layer.x.shape[1], layer.h.shape[1]
    bias = np.empty(width, np.float32)
    index, old, new = np.empty(width, np.int64), np.empty(width), np.empty(width)
    draw_biases(layer, index, new, old, bias)
    nodes = tile_nodes(n, width)
    room = np.empty((nodes, n))
    for first in range(0, width, nodes):
        if signals.stop[0]:
            return
        tile = room[: min(nodes, width - first)]
        fill_tile(layer, first, index, old, tile)
        np.matmul(layer.t[:, :n], tile.T, out=layer.h[:, first : first + len(tile)])
    _finish(layer, bias, index, old, new)

"""A layer of a batch by explicit weights, of any law: drawn row by row, never all in memory.

Node i has the row i of the stream of weights. Its weights are w = (σ_w/√n)(z − a z̄) of standardised
variates z (theory.md 1), and w·x = z·t with t a column of T (`batch_layer.layer_factor`).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from simcore.numerics.lanes import LANES
from simcore.numerics.rng import Stream
from simcore.physics.weight_laws import NORMAL
from simcore.sampling.contract import Signals
from simcore.sampling.variates import fill_choices, fill_variates

from .cpu_kernels import Batch, Floats, Law, Pairing, replace_weights

__all__ = ["FUSED_COLUMNS", "dense_layer", "fused_layer", "tile_nodes"]

FUSED_COLUMNS = 2
"""Up to so many columns a row of weights is multiplied as soon as it is drawn."""

TILE = 2**18
"""Weights of a tile: 2 MiB, which stay in the second-level cache while they are multiplied."""

LEAST_NODES, MOST_NODES = 8, 512

WEIGHT = np.uint64(Stream.WEIGHT)
BIAS = np.uint64(Stream.BIAS)
REPLACEMENT = np.uint64(Stream.REPLACEMENT)


@njit(nogil=True, cache=True)
def _mean_of_row(z, lanes):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    n = z.size
    full = n // LANES
    lanes[:] = 0.0
    for k in range(full):
        for lane in range(LANES):
            lanes[lane] += np.float64(z[k * LANES + lane])
    for i in range(full * LANES, n):
        lanes[i % LANES] += np.float64(z[i])
    total = 0.0
    for lane in range(LANES):
        total += lanes[lane]
    return total / n


@njit(nogil=True, cache=True)
def _dot(z, t, lanes):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Return z·t, float64, of float32 variates."""
    n = z.size
    full = n // LANES
    lanes[:] = 0.0
    for k in range(full):
        for lane in range(LANES):
            i = k * LANES + lane
            lanes[lane] += np.float64(z[i]) * t[i]
    for i in range(full * LANES, n):
        lanes[i % LANES] += np.float64(z[i]) * t[i]
    total = 0.0
    for lane in range(LANES):
        total += lanes[lane]
    return total


@njit(nogil=True, cache=True)
def _old_weight(law, z, j, lanes):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Return weight j of a row."""
    n = z.size
    mean = law.a * _mean_of_row(z, lanes) if law.a != 0.0 else 0.0
    return law.sigma_w / math.sqrt(n) * (np.float64(z[j]) - mean)


@njit(nogil=True, cache=True)
def _draw_biases(law, sigma_b, n, trial, layer, words, index, new, old, bias):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Draw the standardised biases, and the replacements with the biases that they replace.

    `index` is n + 1, which is no weight, where none is replaced.
    """
    fill_variates(bias, NORMAL, 0.0, words, BIAS, 0, trial, layer, law.key0, law.key1)
    if law.asymmetric:
        fill_choices(index, new, n, REPLACEMENT, trial, layer, law.key0, law.key1, words)
    else:
        index[:] = n + 1
    for i in range(index.size):
        old[i] = sigma_b * bias[i] if index[i] == n else 0.0


@njit(nogil=True, cache=True)
def _add_biases(t, n, bias, h):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    if t.shape[1] > n:
        for c in range(h.shape[0]):
            for i in range(h.shape[1]):
                h[c, i] += t[c, n] * bias[i]


@njit(nogil=True, cache=True)
def fused_layer(  # type: ignore[no-untyped-def]
    law, sigma_b, pairing, batch, trial, layer, x, t, h, words, stop
):  # pragma: no cover - compiled
    """Write the pre-activations h, shape (C, N), of activations x and T: few columns.

    `words` is scratch of `fill_variates`; returns early where `stop` is set.
    """
    columns, n = x.shape
    width = h.shape[1]
    z = np.empty(n, np.float32)
    bias, lanes = np.empty(width, np.float32), np.empty(LANES)
    index, old, new = np.empty(width, np.int64), np.empty(width), np.empty(width)
    _draw_biases(law, sigma_b, n, trial, layer, words, index, new, old, bias)
    for i in range(width):
        if i % 256 == 0 and stop[0]:
            return
        fill_variates(
            z, law.code, law.parameter, words, WEIGHT, i, trial, layer, law.key0, law.key1
        )
        if index[i] < n:
            old[i] = _old_weight(law, z, index[i], lanes)
        for c in range(columns):
            h[c, i] = _dot(z, t[c], lanes)
    _add_biases(t, n, bias, h)
    if law.asymmetric:
        replace_weights(pairing, batch, x, index, old, new, h)


@njit(nogil=True, cache=True)
def _fill_tile(law, first, trial, layer, words, index, old, tile):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Draw the rows of nodes first, first + 1, … to `tile`, shape (nodes, n), float64."""
    n = tile.shape[1]
    z, lanes = np.empty(n, np.float32), np.empty(LANES)
    for i in range(tile.shape[0]):
        row = first + i
        fill_variates(
            z, law.code, law.parameter, words, WEIGHT, row, trial, layer, law.key0, law.key1
        )
        if index[row] < n:
            old[row] = _old_weight(law, z, index[row], lanes)
        for j in range(n):
            tile[i, j] = z[j]


def tile_nodes(n: int, width: int) -> int:
    """Return for how many nodes weights are drawn at a time."""
    return min(width, MOST_NODES, max(LEAST_NODES, TILE // n))


def dense_layer(
    law: Law,
    sigma_b: float,
    pairing: Pairing,
    batch: Batch,
    trial: int,
    layer: int,
    x: Floats,
    t: Floats,
    h: Floats,
    words: npt.NDArray[np.uint32],
    signals: Signals,
) -> None:
    """Write the pre-activations h, shape (C, N), of activations x and T: many columns, by BLAS.

    Returns early where `signals.stop` is set.
    """
    n, width = x.shape[1], h.shape[1]
    bias = np.empty(width, np.float32)
    index, old, new = np.empty(width, np.int64), np.empty(width), np.empty(width)
    _draw_biases(law, sigma_b, n, trial, layer, words, index, new, old, bias)
    nodes = tile_nodes(n, width)
    room = np.empty((nodes, n))
    for first in range(0, width, nodes):
        if signals.stop[0]:
            return
        tile = room[: min(nodes, width - first)]
        _fill_tile(law, first, trial, layer, words, index, old, tile)
        np.matmul(t[:, :n], tile.T, out=h[:, first : first + len(tile)])
    _add_biases(t, n, bias, h)
    if law.asymmetric:
        replace_weights(pairing, batch, x, index, old, new, h)

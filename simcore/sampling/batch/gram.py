"""A layer of a batch by its exact law (theory.md (2), (3)): as many normals per node as signals.

T = QR, and T's columns times n + 1 normals have the law of R's columns times as many as R has rows.
Householder's QR is backward stable column by column, so that small residuals stay accurate. It
needs neither live signals nor more nodes than signals.
"""

from __future__ import annotations

import ctypes
import math
from functools import cache, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from numba.extending import get_cython_function_address

from simcore.numerics.kernels import njit
from simcore.numerics.rng import ONLY_ROW, Stream
from simcore.physics.weight_laws import NORMAL
from simcore.sampling.contract import Signals
from simcore.sampling.variates import fill_choices, fill_variates

from .cpu_kernels import Floats, Layer, replace_weights

PANEL = 32
"""Columns of a block of the factorisation."""

TILE = 2**17
"""Normals of a tile, 1 MiB."""

LEAST_REST = 1e-13
"""Variance of a standardised weight below which it is rounding, negative or not."""

BATCH = np.uint64(Stream.BATCH)
REPLACEMENT = np.uint64(Stream.REPLACEMENT)
REPLACED = np.uint64(Stream.REPLACED)


@cache
def _routine(name: str, arguments: int) -> Any:
    address = get_cython_function_address("scipy.linalg.cython_lapack", name)
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * arguments)(address)


def _lapack(name: str, *arguments: Any) -> None:
    """Call a routine of SciPy's LAPACK without the GIL, unlike SciPy's own wrappers."""
    _routine(name, len(arguments))(*(_pointer(a) for a in arguments))


def _pointer(a: Any) -> Any:
    if isinstance(a, int):
        return ctypes.byref(ctypes.c_int(a))
    return a.ctypes.data if isinstance(a, np.ndarray) else a


@lru_cache(maxsize=2)  # a large batch needs two: of its inputs, and of its layers
def _lower_triangle(columns: int, rank: int) -> npt.NDArray[np.bool_]:
    """Return the mask of R in the place of T; `np.tril` would compute it for every layer."""
    return np.tri(columns, rank, dtype=np.bool_)


class Factors:
    """Householder's QR of T, in place of its columns t, shape (C, m), C order."""

    def __init__(self, t: Floats) -> None:
        self.v = t
        columns, rows = t.shape
        self.rank = min(rows, columns)
        self.panel = min(PANEL, self.rank)
        self.blocks = np.empty((self.rank, self.panel))
        work, info = np.empty(self.panel * columns), 0
        sizes = rows, columns, self.panel
        _lapack("dgeqrt", *sizes, t, rows, self.blocks, self.panel, work, info)

    def r(self) -> Floats:
        """Return R's columns, shape (C, rank)."""
        return np.where(_lower_triangle(len(self.v), self.rank), self.v[:, : self.rank], 0.0)

    def q(self) -> Floats:
        """Return Q's rows, shape (m, rank)."""
        rows = self.v.shape[1]
        q = np.eye(self.rank, rows)
        self.turn(q)
        return np.ascontiguousarray(q.T)

    def keep(self) -> None:
        """Move to memory of its own what stands in the place of T."""
        self.v = self.v.copy()

    def turn(self, c: Floats) -> None:
        """Multiply columns of length m, shape (columns, m), by the whole of Q, in place."""
        rows, work, info = self.v.shape[1], np.empty(self.panel * len(c)), 0
        factors = self.rank, self.panel, self.v, rows, self.blocks, self.panel
        _lapack("dgemqrt", b"L", b"N", rows, len(c), *factors, c, rows, work, info)


@njit(nogil=True, cache=True)
def fill_tile(layer, stream, first, tile):
    """Draw the normals of nodes first, first + 1, … of a stream to `tile`, shape (nodes, rank)."""
    law, trial, number, words = layer.law, layer.trial, layer.number, layer.words
    rank = tile.shape[1]
    z = np.empty(rank, np.float32)
    for i in range(tile.shape[0]):
        row, key0, key1 = first + i, law.key0, law.key1
        fill_variates(z, NORMAL, 0.0, words, stream, row, trial, number, key0, key1)
        for j in range(rank):
            tile[i, j] = z[j]


@njit(nogil=True, cache=True)
def _old_weights(layer, q, first, tile, index, spare, old):
    """Draw the weights to be replaced, given the normals behind the pre-activations.

    Weight j is t·ζ with n + 1 normals ζ and t = (σ_w/√n)(e_j − (a/n) 1), of which the tile holds
    z = Qᵀζ: it is Qᵀt·z and, independent of z, a normal with the rest of the variance,
    (σ_w²/n)(1 − g/n) − |Qᵀt|². Likewise the bias, t = σ_b e_n.
    """
    law, sigma_b, n = layer.law, layer.sigma_b, layer.x.shape[1]
    rank = q.shape[1]
    mean = np.zeros(rank)
    if law.a != 0.0:
        for j in range(n):
            for k in range(rank):
                mean[k] += q[j, k]
        for k in range(rank):
            mean[k] *= law.a / n
    weight_scale = law.sigma_w / math.sqrt(n)
    for i in range(tile.shape[0]):
        j = index[first + i]
        if j == n and sigma_b == 0.0:
            old[first + i] = 0.0
            continue
        scale = sigma_b if j == n else weight_scale
        rest = 1.0 if j == n else 1.0 - law.g / n
        seen = 0.0
        for k in range(rank):
            component = q[j, k] if j == n else q[j, k] - mean[k]
            seen += component * tile[i, k]
            rest -= component * component
        if rest > LEAST_REST:
            seen += math.sqrt(rest) * spare[first + i]
        old[first + i] = scale * seen


@njit(nogil=True, cache=True)
def _draw_replacements(layer, index, new, spare):
    law, trial, number, words = layer.law, layer.trial, layer.number, layer.words
    key0, key1 = law.key0, law.key1
    fill_choices(index, new, layer.x.shape[1], REPLACEMENT, trial, number, key0, key1, words)
    fill_variates(spare, NORMAL, 0.0, words, REPLACED, ONLY_ROW, trial, number, key0, key1)


def tile_nodes(rank: int, width: int) -> int:
    """Return the number of nodes whose normals are drawn at a time."""
    return min(width, max(64, TILE // rank))


def gram_layer(layer: Layer, signals: Signals) -> Factors:
    """Write the pre-activations of a layer; return the factors of T, which take its place.

    Returns early where `signals.stop` is set.
    """
    width = layer.h.shape[1]
    factors = Factors(layer.t)
    r = factors.r()
    index, old, new = np.empty(width, np.int64), np.empty(width), np.empty(width)
    asymmetric = layer.law.asymmetric
    if asymmetric:
        q, spare = factors.q(), np.empty(width, np.float32)
        _draw_replacements(layer, index, new, spare)
    nodes = tile_nodes(factors.rank, width)
    room = np.empty((nodes, factors.rank))
    for first in range(0, width, nodes):
        if signals.stop[0]:
            break
        tile = room[: min(nodes, width - first)]
        fill_tile(layer, BATCH, first, tile)
        np.matmul(r, tile.T, out=layer.h[:, first : first + len(tile)])
        if asymmetric:
            _old_weights(layer, q, first, tile, index, spare, old)
    if asymmetric and not signals.stop[0]:
        replace_weights(layer, index, old, new)
    return factors

"""Random inputs of a pair: two orthogonal directions, drawn anew in each trial (theory.md 1).

Row 2p of the stream of inputs is the first vector of pair p, row 2p + 1 the second; component i
takes group 16·(i div 64) + i mod 16, word (i mod 64) div 16, of layer 0. Sums over components run
in sixteen lanes, component i in lane i mod 16, and over the lanes in order.
"""

from __future__ import annotations

import math

import numpy as np

from simcore.numerics import lanes as in_lanes
from simcore.numerics.kernels import njit
from simcore.numerics.lanes import LANES
from simcore.numerics.rng import ROOM, Stream, as_normal, fill_normals

INPUT_STREAM = np.uint64(Stream.INPUT)
INPUT_LAYER = np.int64(0)
WORDS = 4
COLUMNS = LANES * WORDS
"""Components that sixteen groups serve."""


@njit(nogil=True, cache=True)
def _draw(out, n0, row, trial, key0, key1, words):
    """Write n0 standard normals."""
    flat = words.reshape(WORDS * ROOM)
    for start in range(0, n0, WORDS * ROOM):
        n = min(WORDS * ROOM, n0 - start)
        rounds = (n + COLUMNS - 1) // COLUMNS
        first_group = start // WORDS
        fill_normals(words, first_group, rounds, INPUT_STREAM, row, trial, INPUT_LAYER, key0, key1)
        for i in range(n):
            place = i % COLUMNS // LANES * ROOM + i // COLUMNS * LANES + i % LANES
            out[start + i] = as_normal(flat[place])


@njit(nogil=True, cache=True)
def draw_pair(n0, q0, first_row, trial, key0, key1, words, e1, e2):
    """Draw two orthogonal vectors of zero mean and length √(q₀ N₀) (theory.md 1).

    They have n0 ≥ 3 components, written to the first elements of `e1` and `e2`, float64, and the
    rows `first_row` and the next of the stream. `words` is scratch, uint32 (4, ROOM).
    """
    _draw(e1, n0, first_row, trial, key0, key1, words)
    _draw(e2, n0, first_row + 1, trial, key0, key1, words)
    e1, e2 = e1[:n0], e2[:n0]
    lanes = np.empty(LANES)
    for _ in range(2):  # what rounding has left of the mean and the overlap goes the second time
        e1 -= in_lanes.mean(e1, 0.0, lanes)
        e2 -= in_lanes.mean(e2, 0.0, lanes)
        overlap = in_lanes.product(e1, e2, lanes) / in_lanes.product(e1, e1, lanes)
        for i in range(n0):
            e2[i] -= overlap * e1[i]
    length = math.sqrt(q0 * n0)
    scale1 = length / math.sqrt(in_lanes.product(e1, e1, lanes))
    scale2 = length / math.sqrt(in_lanes.product(e2, e2, lanes))
    for i in range(n0):
        e1[i] *= scale1
        e2[i] *= scale2

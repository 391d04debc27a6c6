"""Sums over nodes in one order, which fixes the bytes of results on every machine.

Node i belongs to lane i mod 16; a lane adds its nodes in order of i, and the lanes are added in
order. Sixteen lanes are a vector of a CPU, or half a warp of a GPU. Samplers that keep several sums
of a layer hold them lane by lane: sum k of a lane at [k · LANES + lane].
"""

from __future__ import annotations

import numpy as np

from .kernels import njit

LANES = 16
SUMS = 8
"""Sums that `load` and `store` move."""


@njit(inline="always")
def load(sums, counts, lane):
    """Return eight sums of a lane, and its counts; local numbers stay in registers in a loop."""
    return (
        sums[lane],
        sums[LANES + lane],
        sums[2 * LANES + lane],
        sums[3 * LANES + lane],
        sums[4 * LANES + lane],
        sums[5 * LANES + lane],
        sums[6 * LANES + lane],
        sums[7 * LANES + lane],
        counts[lane],
    )


@njit(inline="always")
def store(s, sums, counts, lane):
    """Write back what `load` has returned."""
    sums[lane] = s[0]
    sums[LANES + lane] = s[1]
    sums[2 * LANES + lane] = s[2]
    sums[3 * LANES + lane] = s[3]
    sums[4 * LANES + lane] = s[4]
    sums[5 * LANES + lane] = s[5]
    sums[6 * LANES + lane] = s[6]
    sums[7 * LANES + lane] = s[7]
    counts[lane] = s[8]


@njit(nogil=True, cache=True)
def fold(lanes):
    """Return the sum of the lanes, in order."""
    total = 0.0
    for lane in range(LANES):
        total += lanes[lane]
    return total


@njit(nogil=True, cache=True)
def product(a, b, lanes):
    """Return the sum of a·b in float64 over all nodes of a; `lanes` is scratch, shape (LANES,)."""
    n = a.size
    full = n // LANES
    lanes[:] = 0.0
    for k in range(full):
        for lane in range(LANES):
            i = k * LANES + lane
            lanes[lane] += np.float64(a[i]) * b[i]
    for i in range(full * LANES, n):
        lanes[i % LANES] += np.float64(a[i]) * b[i]
    return fold(lanes)


@njit(nogil=True, cache=True)
def mean(a, shift, lanes):
    """Return the mean of a − shift in float64; `lanes` is scratch, shape (LANES,)."""
    n = a.size
    full = n // LANES
    lanes[:] = 0.0
    for k in range(full):
        for lane in range(LANES):
            lanes[lane] += np.float64(a[k * LANES + lane]) - shift
    for i in range(full * LANES, n):
        lanes[i % LANES] += np.float64(a[i]) - shift
    return fold(lanes) / n

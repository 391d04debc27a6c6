"""One layer of a pair: draw its nodes and form the sums of theory.md (4).

Order of summation (it fixes the bytes): as `numerics.lanes`, in chunks of 512 nodes. A lane sums
its nodes of a chunk in float32; chunk c is added to the float64 accumulator of (slot c mod 8,
lane); slots, then lanes, are added in order. Below 64 nodes all of it is float64.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simcore.numerics.arithmetic import fma32, fma64, times
from simcore.numerics.kernels import njit
from simcore.numerics.lanes import LANES, load, store
from simcore.numerics.rng import GROUP_NODES, ONLY_ROW, Stream, as_normal, fill_normals
from simcore.physics.activation import in_single, inactive, second_inactive, sent

AIM = 2
"""Numbers by which the normals of a node become p and t: p/z₁ and t/z₂."""

SLOTS = 8
CHUNK = 512
"""Nodes whose float32 sums a lane keeps apart: 32 in each of 16 lanes."""

GROUPS = CHUNK // GROUP_NODES
SMALL = 64
"""Below this width everything is summed in float64."""

SUMS = 8
"""Float sums of a layer: x, x², r̄, r̄x, r̄², z₁², z₁z₂, z₂² (theory.md (4))."""

TOTALS = SUMS + 3
"""… and the counts of nodes inactive for signal 1, for signal 2 and for both."""

_f32, _i32 = np.float32, np.int32
ZERO, FLAG1, FLAG2, FLAG_BOTH = _i32(0), _i32(1), _i32(1 << 8), _i32(1 << 16)
BYTE = _i32(255)
F_ZERO = _f32(0.0)
SMALL_START = (0.0,) * TOTALS
PAIR_STREAM = np.uint64(Stream.PAIR)


@njit(inline="always")
def single(aim):
    """Return an aim (`physics.take_aim`) as numbers in float32."""
    return _f32(aim[0]), _f32(aim[1])


@njit(inline="always")
def double(aim):
    """Return an aim as numbers in float64."""
    return aim[0], aim[1]


@njit(inline="always")
def add_node(s, z1, z2, aim):
    """Return a lane's sums with one node added; the last packs three counts, a byte each.

    `aim` is that of `single`, and the slopes of φ after it.
    """
    cotangent, scale, slopes = aim
    p = times(cotangent, z1)
    t = times(scale, z2)
    x, r = sent(slopes, z1, p, t)
    off1, off2 = inactive(z1), second_inactive(p, t)
    flag1 = FLAG1 if off1 else ZERO
    flag2 = FLAG2 if off2 else ZERO
    both = (FLAG_BOTH if off2 else ZERO) if off1 else ZERO
    return (
        _f32(s[0] + x),
        fma32(x, x, s[1]),
        _f32(s[2] + r),
        fma32(r, x, s[3]),
        fma32(r, r, s[4]),
        fma32(z1, z1, s[5]),
        fma32(z1, z2, s[6]),
        fma32(z2, z2, s[7]),
        _i32(s[8] + _i32(flag1 + _i32(flag2 + both))),
    )


@njit(nogil=True, cache=True)
def _node_normals(words, i):
    """Return the normals of node i of a chunk, one at a time."""
    j = i // (2 * LANES) * LANES + i % LANES
    w = 2 * (i // LANES % 2)
    return as_normal(words[w, j]), as_normal(words[w + 1, j])


@njit(nogil=True, cache=True)
def _sum_rounds(normals, rounds, aim, sums, flags):
    """Add whole rounds, two nodes to each lane; LLVM turns the lanes into vectors."""
    for b in range(rounds):
        for lane in range(LANES):
            j = b * LANES + lane
            s = load(sums, flags, lane)
            z1, z2 = as_normal(normals[j]), as_normal(normals[GROUPS + j])
            s = add_node(s, z1, z2, aim)
            z1, z2 = as_normal(normals[2 * GROUPS + j]), as_normal(normals[3 * GROUPS + j])
            s = add_node(s, z1, z2, aim)
            store(s, sums, flags, lane)


@njit(nogil=True, cache=True)
def chunk_sums(physics, trial, layer, chunk, nodes, aim, words, sums, flags):
    """Draw the `nodes` ≤ 512 nodes of a chunk and sum them by lanes.

    `words` is scratch, uint32 (4, GROUPS); the results are `sums`, float32 (SUMS · LANES,), and
    `flags`, int32 (LANES,): three counts of up to 32, a byte each.
    """
    rounds = (nodes + 2 * LANES - 1) // (2 * LANES)
    fill_normals(
        words,
        chunk * GROUPS,
        rounds,
        PAIR_STREAM,
        ONLY_ROW,
        trial,
        layer,
        physics.key0,
        physics.key1,
    )
    sums[:] = F_ZERO
    flags[:] = ZERO
    full = nodes // (2 * LANES)
    aimed = (aim[0], aim[1], in_single(physics.slopes))
    _sum_rounds(words.reshape(4 * GROUPS), full, aimed, sums, flags)
    for i in range(full * 2 * LANES, nodes):
        lane = i % LANES
        z1, z2 = _node_normals(words, i)
        s = add_node(load(sums, flags, lane), z1, z2, aimed)
        store(s, sums, flags, lane)


class Accumulators(NamedTuple):
    """Sums of a layer on their way: of one slot, of all slots so far, and the counts by lane.

    Float64 (SUMS · LANES,) twice, and int32 (3 · LANES,). Chunks are folded slot by slot, which is
    the order of summation without room for every slot.
    """

    slot: npt.NDArray[np.float64]
    layer: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int32]


@njit(nogil=True, cache=True)
def accumulators():
    """Return room for the sums of a layer."""
    return Accumulators(
        np.empty(SUMS * LANES), np.empty(SUMS * LANES), np.empty(3 * LANES, np.int32)
    )


@njit(nogil=True, cache=True)
def fold_chunk(chunk, chunks, sums, flags, into):
    """Add one of a layer's chunks; they come slot by slot, in order within a slot."""
    slot, layer, counts = into
    if chunk == 0:
        counts[:] = 0
    for lane in range(LANES):
        packed = flags[lane]
        counts[lane] = _i32(counts[lane] + _i32(packed & BYTE))
        counts[LANES + lane] = _i32(counts[LANES + lane] + _i32(_i32(packed >> 8) & BYTE))
        counts[2 * LANES + lane] = _i32(counts[2 * LANES + lane] + _i32(packed >> 16))
    last = chunk + SLOTS >= chunks  # of its slot
    if chunk < SLOTS and last:
        _fold_slot(chunk, sums, layer)
        return
    if chunk < SLOTS:
        for i in range(SUMS * LANES):
            slot[i] = sums[i]
    else:
        for i in range(SUMS * LANES):
            slot[i] += sums[i]
    if last:
        _fold_slot(chunk % SLOTS, slot, layer)


@njit(nogil=True, cache=True)
def _fold_slot(slot, sums, layer):
    if slot == 0:
        for i in range(SUMS * LANES):
            layer[i] = sums[i]
    else:
        for i in range(SUMS * LANES):
            layer[i] += sums[i]


@njit(nogil=True, cache=True)
def fold_lanes(into, totals):
    """Add the lanes in order; `totals` has shape (TOTALS,)."""
    sums = into.layer
    a = b = c = d = e = f = g = h = 0.0
    n1 = n2 = both = 0
    for lane in range(LANES):  # eight chains of additions side by side
        a += sums[lane]
        b += sums[LANES + lane]
        c += sums[2 * LANES + lane]
        d += sums[3 * LANES + lane]
        e += sums[4 * LANES + lane]
        f += sums[5 * LANES + lane]
        g += sums[6 * LANES + lane]
        h += sums[7 * LANES + lane]
        n1 += into.counts[lane]
        n2 += into.counts[LANES + lane]
        both += into.counts[2 * LANES + lane]
    totals[0], totals[1], totals[2], totals[3] = a, b, c, d
    totals[4], totals[5], totals[6], totals[7] = e, f, g, h
    totals[8], totals[9], totals[10] = n1, n2, both


@njit(inline="always")
def add_small_node(s, z1, z2, aim):
    """Return the sums and counts of a lane with one node added, all in float64."""
    cotangent, scale, slopes = aim
    p, t = times(cotangent, z1), times(scale, z2)
    x, r = sent(slopes, z1, p, t)
    off1, off2 = inactive(z1), second_inactive(p, t)
    return (
        s[0] + x,
        fma64(x, x, s[1]),
        s[2] + r,
        fma64(r, x, s[3]),
        fma64(r, r, s[4]),
        fma64(z1, z1, s[5]),
        fma64(z1, z2, s[6]),
        fma64(z2, z2, s[7]),
        s[8] + (1.0 if off1 else 0.0),
        s[9] + (1.0 if off2 else 0.0),
        s[10] + (1.0 if off1 and off2 else 0.0),
    )


@njit(nogil=True, cache=True)
def small_layer(physics, trial, layer, width, aim, words, totals):
    """Draw and sum a layer below 64 nodes in float64: nodes by lanes, then lanes, in order."""
    rounds = (width + 2 * LANES - 1) // (2 * LANES)
    fill_normals(
        words, ONLY_ROW, rounds, PAIR_STREAM, ONLY_ROW, trial, layer, physics.key0, physics.key1
    )
    aimed = (aim[0], aim[1], physics.slopes)
    totals[:] = 0.0
    for lane in range(min(LANES, width)):
        sums = SMALL_START
        for i in range(lane, width, LANES):
            z1, z2 = _node_normals(words, i)
            sums = add_small_node(sums, np.float64(z1), np.float64(z2), aimed)
        for s in range(TOTALS):
            totals[s] += sums[s]

"""One layer of a pair on the way back: draw its nodes again, with two normals more, and sum them.

A first pass sums the new normals with what the signals are, from which `way_back.aim_back` makes
the coefficients of the nodes' gradients, and their squares times φ′², for control variates;
a second pass forms these gradients and sums them. The
normals stay between the two, in the cache. The order of summation is that of `sums`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simcore.numerics.arithmetic import fma32, fma64, times
from simcore.numerics.kernels import njit
from simcore.numerics.lanes import LANES, load, store
from simcore.numerics.rng import ONCE, ONLY_ROW, Stream, as_normal, fill_normals
from simcore.physics.activation import inactive, second_inactive, sent, sent_back

from .sums import CHUNK, F_ZERO, GROUPS, PAIR_STREAM, SLOTS, SUMS, ZERO, fold_chunk, fold_lanes

GRADIENT_STREAM = np.uint64(Stream.GRADIENT)
BIAS_STREAM = np.uint64(Stream.GRADIENT_BIAS)
_f32 = np.float32


class Nodes(NamedTuple):
    """Normals of the nodes of a layer as bits, chunk by chunk, uint32 (chunk, 4, GROUPS) each.

    `signals` are z₁ and z₂ of the way forward, `fresh` the two of the way back.
    """

    signals: npt.NDArray[np.uint32]
    fresh: npt.NDArray[np.uint32]


@njit(nogil=True, cache=True)
def nodes_of(width):
    """Return room for the normals of a layer of at most `width` nodes."""
    chunks = (width + CHUNK - 1) // CHUNK
    return Nodes(np.empty((chunks, 4, GROUPS), np.uint32), np.empty((chunks, 4, GROUPS), np.uint32))


@njit(nogil=True, cache=True)
def draw_nodes(physics, trial, layer, width, nodes):
    """Draw the normals of a layer: those of the way forward again, and the fresh ones."""
    for chunk in range((width + CHUNK - 1) // CHUNK):
        rounds = (min(CHUNK, width - chunk * CHUNK) + 2 * LANES - 1) // (2 * LANES)
        for words, stream in (
            (nodes.signals[chunk], PAIR_STREAM),
            (nodes.fresh[chunk], GRADIENT_STREAM),
        ):
            fill_normals(
                words,
                chunk * GROUPS,
                rounds,
                stream,
                ONLY_ROW,
                trial,
                layer,
                physics.key0,
                physics.key1,
            )


@njit(nogil=True, cache=True)
def draw_bias(physics, trial, layer, words, normals):
    """Draw the two fresh normals of the bias of a layer."""
    fill_normals(
        words, ONLY_ROW, ONCE, BIAS_STREAM, ONLY_ROW, trial, layer, physics.key0, physics.key1
    )
    normals[0], normals[1] = as_normal(words[0, 0]), as_normal(words[1, 0])


@njit(inline="always")
def noise_of(z1, z2, n1, n2, aim, c):
    """Return x and r̄ of a node, and φ′ times the normals of its two gradients.

    The second's is c[0] n1 + c[1] n2 (`way_back.aim_noise`). `aim` is that of `sums.single`, and
    the slopes of φ after it.
    """
    cotangent, scale, slopes = aim
    p, t = times(cotangent, z1), times(scale, z2)
    x, r = sent(slopes, z1, p, t)
    both = type(z1)(times(c[0], n1) + times(c[1], n2))
    first = sent_back(slopes, inactive(z1), n1)
    return x, r, first, sent_back(slopes, second_inactive(p, t), both)


@njit(inline="always")
def add_noise(s, z1, z2, n1, n2, aim, c):
    """Return a lane's sums with one node added, first pass.

    They are those of x, r̄ and 1 with the fresh normals, and of the squares of `noise_of`.
    """
    x, r, first, second = noise_of(z1, z2, n1, n2, aim, c)
    return (
        fma32(x, n1, s[0]),
        fma32(x, n2, s[1]),
        fma32(r, n1, s[2]),
        fma32(r, n2, s[3]),
        _f32(s[4] + n1),
        _f32(s[5] + n2),
        fma32(first, first, s[6]),
        fma32(second, second, s[7]),
        s[8],
    )


@njit(inline="always")
def gradients_of(z1, z2, n1, n2, aim, c):
    """Return δ₁, e = δ₁ − δ₂ and δ₂ of a node, theory.md (B2); `c` as in `way_back`."""
    cotangent, scale, slopes = aim
    p, t = times(cotangent, z1), times(scale, z2)
    x, r = sent(slopes, z1, p, t)
    off1, off2 = inactive(z1), second_inactive(p, t)
    g1 = type(z1)(type(z1)(times(c[0], x) + times(c[1], r)) + times(c[2], n1))
    g1 = type(z1)(g1 + c[3])
    ge = type(z1)(type(z1)(times(c[4], x) + times(c[5], r)) + times(c[6], n1))
    ge = type(z1)(type(z1)(ge + times(c[7], n2)) + c[8])
    first = sent_back(slopes, off1, g1)
    second = sent_back(slopes, off2, type(z1)(g1 - ge))
    apart = type(z1)(first - second)
    if len(slopes) == 0:
        return first, (apart if off1 or off2 else ge), second
    return first, (apart if off1 != off2 else sent_back(slopes, off1, ge)), second


@njit(inline="always")
def add_gradient(s, z1, z2, n1, n2, aim, c):
    """Return a lane's sums of the gradients (`way_back.D11` …) with one node added."""
    first, e, second = gradients_of(z1, z2, n1, n2, aim, c)
    return (
        fma32(first, first, s[0]),
        fma32(first, e, s[1]),
        fma32(e, e, s[2]),
        fma32(second, second, s[3]),
        fma32(z1, first, s[4]),
        fma32(z1, e, s[5]),
        fma32(z2, first, s[6]),
        fma32(z2, e, s[7]),
        s[8],
    )


@njit(inline="always")
def _quad(signals, fresh, j, w):
    """Return the four normals of a node: place j of a row w of a chunk's words, flat."""
    at = w * GROUPS + j
    return (
        as_normal(signals[at]),
        as_normal(signals[at + GROUPS]),
        as_normal(fresh[at]),
        as_normal(fresh[at + GROUPS]),
    )


@njit(inline="always")
def _place(i):
    """Return place and row of node i of a chunk."""
    return i // (2 * LANES) * LANES + i % LANES, 2 * (i // LANES % 2)


@njit(nogil=True, cache=True)
def noise_chunk(signals, fresh, nodes, aim, c, sums, flags):
    """Sum a chunk of `nodes` nodes by lanes, first pass; arrays flat (`Nodes`)."""
    sums[:] = F_ZERO
    flags[:] = ZERO
    full = nodes // (2 * LANES)
    for b in range(full):
        for lane in range(LANES):
            j = b * LANES + lane
            s = load(sums, flags, lane)
            z1, z2, n1, n2 = _quad(signals, fresh, j, 0)
            s = add_noise(s, z1, z2, n1, n2, aim, c)
            z1, z2, n1, n2 = _quad(signals, fresh, j, 2)
            s = add_noise(s, z1, z2, n1, n2, aim, c)
            store(s, sums, flags, lane)
    for i in range(full * 2 * LANES, nodes):
        lane = i % LANES
        j, w = _place(i)
        z1, z2, n1, n2 = _quad(signals, fresh, j, w)
        s = add_noise(load(sums, flags, lane), z1, z2, n1, n2, aim, c)
        store(s, sums, flags, lane)


@njit(nogil=True, cache=True)
def gradient_chunk(signals, fresh, nodes, aim, c, sums, flags):
    """Sum a chunk of `nodes` nodes by lanes, second pass."""
    sums[:] = F_ZERO
    flags[:] = ZERO
    full = nodes // (2 * LANES)
    for b in range(full):
        for lane in range(LANES):
            j = b * LANES + lane
            s = load(sums, flags, lane)
            z1, z2, n1, n2 = _quad(signals, fresh, j, 0)
            s = add_gradient(s, z1, z2, n1, n2, aim, c)
            z1, z2, n1, n2 = _quad(signals, fresh, j, 2)
            s = add_gradient(s, z1, z2, n1, n2, aim, c)
            store(s, sums, flags, lane)
    for i in range(full * 2 * LANES, nodes):
        lane = i % LANES
        j, w = _place(i)
        z1, z2, n1, n2 = _quad(signals, fresh, j, w)
        s = add_gradient(load(sums, flags, lane), z1, z2, n1, n2, aim, c)
        store(s, sums, flags, lane)


# --- whole layers -----------------------------------------------------------------------------


@njit(inline="always")
def in_single(c):
    """Return the coefficients of a layer in float32."""
    return (
        _f32(c[0]),
        _f32(c[1]),
        _f32(c[2]),
        _f32(c[3]),
        _f32(c[4]),
        _f32(c[5]),
        _f32(c[6]),
        _f32(c[7]),
        _f32(c[8]),
    )


@njit(nogil=True, cache=True)
def wide_noise(width, nodes, aim, c, room, totals):
    """Sum a layer of 64 nodes or more, first pass; `totals` has shape (TOTALS,)."""
    chunks = (width + CHUNK - 1) // CHUNK
    for slot in range(min(chunks, SLOTS)):
        for chunk in range(slot, chunks, SLOTS):
            noise_chunk(
                nodes.signals[chunk].reshape(4 * GROUPS),
                nodes.fresh[chunk].reshape(4 * GROUPS),
                min(CHUNK, width - chunk * CHUNK),
                aim,
                c,
                room.sums,
                room.flags,
            )
            fold_chunk(chunk, chunks, room.sums, room.flags, room.accumulators)
    fold_lanes(room.accumulators, totals)


@njit(nogil=True, cache=True)
def wide_gradient(width, nodes, aim, c, room, totals):
    """Sum a layer of 64 nodes or more, second pass."""
    chunks = (width + CHUNK - 1) // CHUNK
    for slot in range(min(chunks, SLOTS)):
        for chunk in range(slot, chunks, SLOTS):
            gradient_chunk(
                nodes.signals[chunk].reshape(4 * GROUPS),
                nodes.fresh[chunk].reshape(4 * GROUPS),
                min(CHUNK, width - chunk * CHUNK),
                aim,
                c,
                room.sums,
                room.flags,
            )
            fold_chunk(chunk, chunks, room.sums, room.flags, room.accumulators)
    fold_lanes(room.accumulators, totals)


@njit(inline="always")
def small_nodes(nodes, i):
    """Return the four normals of node i of a layer below 64 nodes, in float64."""
    j, w = _place(i)
    signals, fresh = nodes.signals[0], nodes.fresh[0]
    return (
        np.float64(as_normal(signals[w, j])),
        np.float64(as_normal(signals[w + 1, j])),
        np.float64(as_normal(fresh[w, j])),
        np.float64(as_normal(fresh[w + 1, j])),
    )


@njit(inline="always")
def add_small_noise(s, z1, z2, n1, n2, aim, c):
    """Return `add_noise` in float64."""
    x, r, first, second = noise_of(z1, z2, n1, n2, aim, c)
    return (
        fma64(x, n1, s[0]),
        fma64(x, n2, s[1]),
        fma64(r, n1, s[2]),
        fma64(r, n2, s[3]),
        s[4] + n1,
        s[5] + n2,
        fma64(first, first, s[6]),
        fma64(second, second, s[7]),
    )


@njit(inline="always")
def add_small_gradient(s, z1, z2, n1, n2, aim, c):
    """Return `add_gradient` in float64."""
    first, e, second = gradients_of(z1, z2, n1, n2, aim, c)
    return (
        fma64(first, first, s[0]),
        fma64(first, e, s[1]),
        fma64(e, e, s[2]),
        fma64(second, second, s[3]),
        fma64(z1, first, s[4]),
        fma64(z1, e, s[5]),
        fma64(z2, first, s[6]),
        fma64(z2, e, s[7]),
    )


NOTHING = (0.0,) * SUMS


@njit(nogil=True, cache=True)
def small_noise(width, nodes, aim, c, totals):
    """Sum a layer below 64 nodes in float64, first pass."""
    totals[:] = 0.0
    for lane in range(min(LANES, width)):
        s = NOTHING
        for i in range(lane, width, LANES):
            z1, z2, n1, n2 = small_nodes(nodes, i)
            s = add_small_noise(s, z1, z2, n1, n2, aim, c)
        for k in range(SUMS):
            totals[k] += s[k]


@njit(nogil=True, cache=True)
def small_gradient(width, nodes, aim, c, totals):
    """Sum a layer below 64 nodes in float64, second pass."""
    totals[:] = 0.0
    for lane in range(min(LANES, width)):
        s = NOTHING
        for i in range(lane, width, LANES):
            z1, z2, n1, n2 = small_nodes(nodes, i)
            s = add_small_gradient(s, z1, z2, n1, n2, aim, c)
        for k in range(SUMS):
            totals[k] += s[k]

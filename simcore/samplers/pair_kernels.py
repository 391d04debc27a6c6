"""The pair sampler's kernel for CUDA: one thread block takes one trial through its layers.

The scalar functions are those of the CPU kernels, and so is the order of summation (`pair_sums`):
128 threads are the 16 lanes of 8 slots, so that thread 16·slot + lane sums its lane of the chunks
slot, slot + 8, …; slots, then lanes, are added in order. With IEEE square roots and divisions,
explicit fma and products that can't be fused the bytes are those of the CPU.

Only this module and the driver `pair_cuda` need CUDA; nothing else imports them.
"""

from __future__ import annotations

import numpy as np
from numba import cuda, njit, types

from ..rng import GROUP_NODES, LOW, counter_word0, counter_word3, normal_pair, philox
from .pair_sums import (
    BYTE,
    CHUNK,
    F_ZERO,
    GROUPS,
    LANES,
    PAIR_STREAM,
    SLOTS,
    SMALL,
    SMALL_START,
    SUMS,
    TOTALS,
    ZERO,
    add_node,
    add_small_node,
)
from .pair_state import LIVE, NONE_LEFT, STATE, direction, move_on, observe_layer

__all__ = ["THREADS", "advance", "group_normals", "lane_chunk"]

THREADS = SLOTS * LANES
"""Threads of a block: one for each lane of each slot."""

WARP = 32
WARPS = THREADS // WARP
EVERY_LANE = 0xFFFFFFFF
BLOCKS_PER_MULTIPROCESSOR = 8
"""At least so many are to fit; it bounds the registers of a thread by 64."""

COUNTS = TOTALS - SUMS
PARTS, WARP_COUNTS = SUMS * THREADS, COUNTS * WARPS
ROUND = GROUP_NODES * LANES
"""Nodes that the lanes of a slot draw with one call of Philox each."""

_f32, _i32, _u32, _u64 = np.float32, np.int32, np.uint32, np.uint64
ROW = _u64(0)
NOTHING = (F_ZERO,) * SUMS + (ZERO,)


@njit(forceinline=True)
def group_normals(group, trial_word, layer_word, key0, key1):  # type: ignore[no-untyped-def]
    """Return the normals of a group's two nodes: z₁, z₂ of the one, then of the other."""
    w0, w1, w2, w3 = philox(
        counter_word0(group, PAIR_STREAM), ROW, trial_word, layer_word, key0, key1
    )
    z1, z2 = normal_pair(_u32(w0), _u32(w1))
    z3, z4 = normal_pair(_u32(w2), _u32(w3))
    return z1, z2, z3, z4


@njit(forceinline=True)
def lane_chunk(  # type: ignore[no-untyped-def]
    group, lane, nodes, trial_word, layer_word, key0, key1, cotangent, scale
):
    """Return a lane's float32 sums, and its packed counts, of a chunk of `nodes` nodes.

    `group` is the lane's first one of the chunk.
    """
    s = NOTHING
    left = _i32(nodes)
    while left >= ROUND:
        z1, z2, z3, z4 = group_normals(group, trial_word, layer_word, key0, key1)
        s = add_node(s, z1, z2, cotangent, scale)
        s = add_node(s, z3, z4, cotangent, scale)
        group = _u64(group + _u64(LANES))
        left = _i32(left - _i32(ROUND))
    if lane < left:
        z1, z2, z3, z4 = group_normals(group, trial_word, layer_word, key0, key1)
        s = add_node(s, z1, z2, cotangent, scale)
        if lane + LANES < left:
            s = add_node(s, z3, z4, cotangent, scale)
    return s


@njit(forceinline=True)
def _small_lane(  # type: ignore[no-untyped-def]
    lane, width, trial_word, layer_word, key0, key1, cotangent, scale
):
    """Return the float64 sums and counts of a lane of a layer below 64 nodes."""
    s = SMALL_START
    node = _i32(lane)
    while node < width:
        group = _u64(_u64(node // GROUP_NODES - lane // GROUP_NODES) + _u64(lane))
        z1, z2, z3, z4 = group_normals(group, trial_word, layer_word, key0, key1)
        s = add_small_node(s, np.float64(z1), np.float64(z2), cotangent, scale)
        if node + LANES < width:
            s = add_small_node(s, np.float64(z3), np.float64(z4), cotangent, scale)
        node = _i32(node + _i32(ROUND))
    return s


@cuda.jit(launch_bounds=(THREADS, BLOCKS_PER_MULTIPROCESSOR), cache=True)
def advance(physics, widths, first_trial, layer0, states, rows):  # type: ignore[no-untyped-def]
    """Take consecutive trials through consecutive layers, one block of `THREADS` for each trial.

    Parameters are those of `pair.advance`, in the memory of the device.
    """
    thread = _i32(cuda.threadIdx.x)
    block = cuda.blockIdx.x
    lane, slot, warp = _i32(thread % LANES), thread // LANES, thread // WARP
    state = cuda.shared.array(STATE, types.float64)
    aim = cuda.shared.array(2, types.float64)
    totals = cuda.shared.array(TOTALS, types.float64)
    parts = cuda.shared.array(PARTS, types.float64)
    counts = cuda.shared.array(WARP_COUNTS, types.int32)
    trial = _u64(first_trial + block)
    trial_word = _u64(trial & LOW)
    if thread < STATE:
        state[thread] = states[block, thread]
    cuda.syncthreads()
    for j in range(rows.shape[1]):
        width = _i32(widths[layer0 + j])
        layer_word = counter_word3(layer0 + j + 1, trial)
        live = state[LIVE] > NONE_LEFT
        if thread == 0:
            _, _, _, aim[0], aim[1], _ = direction(state)
        cuda.syncthreads()
        cotangent, scale = aim[0], aim[1]
        if live and width < SMALL:
            if thread < LANES:
                small = _small_lane(
                    thread,
                    width,
                    trial_word,
                    layer_word,
                    physics.key0,
                    physics.key1,
                    cotangent,
                    scale,
                )
                for s in range(TOTALS):
                    parts[s * LANES + thread] = small[s]
            cuda.syncthreads()
            if thread < TOTALS:
                total = 0.0
                for other in range(min(LANES, width)):
                    total += parts[thread * LANES + other]
                totals[thread] = total
        elif live:
            for s in range(SUMS):
                parts[s * THREADS + thread] = 0.0
            n1 = n2 = both = ZERO
            first = _i32(slot * CHUNK)
            while first < width:
                sums = lane_chunk(
                    _u64(_i32(_i32(first // GROUP_NODES) + lane)),
                    lane,
                    min(_i32(CHUNK), _i32(width - first)),
                    trial_word,
                    layer_word,
                    physics.key0,
                    physics.key1,
                    _f32(cotangent),
                    _f32(scale),
                )
                parts[thread] += sums[0]
                parts[THREADS + thread] += sums[1]
                parts[2 * THREADS + thread] += sums[2]
                parts[3 * THREADS + thread] += sums[3]
                parts[4 * THREADS + thread] += sums[4]
                parts[5 * THREADS + thread] += sums[5]
                parts[6 * THREADS + thread] += sums[6]
                parts[7 * THREADS + thread] += sums[7]
                n1 = _i32(n1 + _i32(sums[8] & BYTE))
                n2 = _i32(n2 + _i32(_i32(sums[8] >> 8) & BYTE))
                both = _i32(both + _i32(sums[8] >> 16))
                first = _i32(first + _i32(SLOTS * CHUNK))
            for distance in (16, 8, 4, 2, 1):
                n1 = _i32(n1 + cuda.shfl_down_sync(EVERY_LANE, n1, distance))
                n2 = _i32(n2 + cuda.shfl_down_sync(EVERY_LANE, n2, distance))
                both = _i32(both + cuda.shfl_down_sync(EVERY_LANE, both, distance))
            if thread % WARP == 0:
                counts[warp] = n1
                counts[WARPS + warp] = n2
                counts[2 * WARPS + warp] = both
            cuda.syncthreads()
            at = slot * THREADS + lane
            total = parts[at]
            for other in range(1, SLOTS):
                total += parts[at + other * LANES]
            parts[at] = total
            cuda.syncthreads()
            if thread < SUMS:
                total = 0.0
                for other in range(LANES):
                    total += parts[thread * THREADS + other]
                totals[thread] = total
            elif thread < TOTALS:
                count = 0
                for w in range(WARPS):
                    count += counts[(thread - SUMS) * WARPS + w]
                totals[thread] = count
        cuda.syncthreads()
        if thread == 0:
            observe_layer(width, totals, state, rows[block, j])
        cuda.syncthreads()
        if thread == 0:
            move_on(physics, width, totals, state)
        cuda.syncthreads()
    if thread < STATE:
        states[block, thread] = state[thread]

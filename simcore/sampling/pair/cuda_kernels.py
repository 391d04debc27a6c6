"""The pair sampler's kernel for CUDA: one thread block takes one trial through its layers.

The scalar functions are those of the CPU kernels, and so is the order of summation (`sums`):
128 threads are the 16 lanes of 8 slots, so that thread 16·slot + lane sums its lane of the chunks
slot, slot + 8, …; slots, then lanes, are added in order. With IEEE square roots and divisions,
explicit fma and products that can't be fused the bytes are those of the CPU.

Only the kernels for CUDA and the driver `cuda` need CUDA; nothing else imports them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import cuda, njit, types

from simcore.numerics.lanes import LANES
from simcore.numerics.rng import GROUP_NODES, LOW, counter_word0, counter_word3, normal_pair, philox
from simcore.physics.activation import in_single
from simcore.sampling.cuda.kernels import kernel, own_slopes
from simcore.sampling.cuda.pieces import FIRST, POINT, TRIALS
from simcore.sampling.row import LOG_SINE, LOGS, finish_angle, finish_log, finish_row_log
from simcore.statistics.blocks import BLOCK

from . import physics as pair_physics
from .physics import STATE
from .sums import (
    AIM,
    BYTE,
    CHUNK,
    F_ZERO,
    GROUPS,
    PAIR_STREAM,
    SLOTS,
    SMALL,
    SMALL_START,
    SUMS,
    TOTALS,
    ZERO,
    add_node,
    add_small_node,
    double,
    single,
)

THREADS = SLOTS * LANES
"""Threads of a block: one for each lane of each slot."""

BLOCKS_PER_MULTIPROCESSOR = 8
"""At least so many are to fit; it bounds the registers of a thread by 64."""

EVERY_LANE = 0xFFFFFFFF
COUNTS = TOTALS - SUMS
WARPS = THREADS // 32
PARTS, WARP_COUNTS = SUMS * THREADS, COUNTS * WARPS

# Indices are unsigned and their constants typed: Python's negative indices cost registers.
_f32, _i32, _u32, _u64 = np.float32, np.int32, np.uint32, np.uint64
U_ONE, U_WARP, U_WARPS, U_LANES, U_THREADS = (
    _u32(1),
    _u32(32),
    _u32(WARPS),
    _u32(LANES),
    _u32(THREADS),
)
U_SLOTS, U_SUMS, U_TOTALS, U_STATE = (_u32(SLOTS), _u32(SUMS), _u32(TOTALS), _u32(STATE))
U_CHUNK, U_GROUPS, U_ROUND = _u32(CHUNK), _u32(GROUPS), _u32(GROUP_NODES * LANES)
U_SMALL, U_ZERO, U_BLOCK = _u32(SMALL), _u32(0), _u32(BLOCK)
U_LOGS = _u32(LOGS - 1)  # the last one waits for the angle between the activations
ANGLE_THREAD, STATE_THREAD = _u32(32), _u32(64)
"""Threads of warps of their own, so that they work beside those that take logarithms."""

ROW = _u64(0)
NOTHING = (F_ZERO,) * SUMS + (ZERO,)


@njit(forceinline=True)
def group_normals(group, trial_word, layer_word, key0, key1):
    """Return the normals of a group's two nodes: z₁, z₂ of the one, then of the other."""
    w0, w1, w2, w3 = philox(
        counter_word0(group, PAIR_STREAM), ROW, trial_word, layer_word, key0, key1
    )
    z1, z2 = normal_pair(_u32(w0), _u32(w1))
    z3, z4 = normal_pair(_u32(w2), _u32(w3))
    return z1, z2, z3, z4


@njit(forceinline=True)
def lane_chunk(group, lane, nodes, trial_word, layer_word, key0, key1, given, slopes):
    """Return a lane's float32 sums, and its packed counts, of a chunk of `nodes` nodes.

    `group` is the lane's first one of the chunk; `given` is an aim (`physics.take_aim`).
    """
    cotangent, scale = single(given)
    aim = cotangent, scale, in_single(slopes)
    s = NOTHING
    left = nodes
    while left >= U_ROUND:
        z1, z2, z3, z4 = group_normals(group, trial_word, layer_word, key0, key1)
        s = add_node(s, z1, z2, aim)
        s = add_node(s, z3, z4, aim)
        group = _u32(group + U_LANES)
        left = _u32(left - U_ROUND)
    if lane < left:
        z1, z2, z3, z4 = group_normals(group, trial_word, layer_word, key0, key1)
        s = add_node(s, z1, z2, aim)
        if lane + U_LANES < left:
            s = add_node(s, z3, z4, aim)
    return s


@njit(forceinline=True)
def _sum_slot(physics, thread, width, trial_word, layer_word, given, parts):
    """Sum a thread's lane of the chunks of its slot into `parts`; return its three counts."""
    aim = single(given)
    lane, slot = _u32(thread % U_LANES), _u32(thread // U_LANES)
    at = thread
    while at < PARTS:
        parts[at] = 0.0
        at = _u32(at + U_THREADS)
    n1 = n2 = both = ZERO
    chunk = slot
    while chunk * U_CHUNK < width:
        s = lane_chunk(
            _u32(chunk * U_GROUPS + lane),
            lane,
            _u32(min(U_CHUNK, _u32(width - chunk * U_CHUNK))),
            trial_word,
            layer_word,
            physics.key0,
            physics.key1,
            aim,
            physics.slopes,
        )
        add_chunk(s, thread, parts)
        n1 = _i32(n1 + _i32(s[8] & BYTE))
        n2 = _i32(n2 + _i32(_i32(s[8] >> 8) & BYTE))
        both = _i32(both + _i32(s[8] >> 16))
        chunk = _u32(chunk + U_SLOTS)
    return n1, n2, both


@njit(forceinline=True)
def add_chunk(s, at, parts):
    """Add a chunk's eight sums to those of a thread."""
    parts[at] += s[0]
    parts[_u32(at + U_THREADS)] += s[1]
    parts[_u32(at + 2 * THREADS)] += s[2]
    parts[_u32(at + 3 * THREADS)] += s[3]
    parts[_u32(at + 4 * THREADS)] += s[4]
    parts[_u32(at + 5 * THREADS)] += s[5]
    parts[_u32(at + 6 * THREADS)] += s[6]
    parts[_u32(at + 7 * THREADS)] += s[7]


@njit(forceinline=True)
def fold_slots(thread, parts):
    """Add the slots of a lane of one of the eight sums, in order."""
    at = _u32(thread // U_LANES * U_THREADS + thread % U_LANES)
    total = parts[at]
    other = U_ONE
    while other < U_SLOTS:
        total += parts[_u32(at + other * U_LANES)]
        other = _u32(other + U_ONE)
    parts[at] = total


@njit(forceinline=True)
def fold_lanes(thread, stride, parts, counts, totals):
    """Add the lanes of a sum, in order, or the warps' counts; sum k is at parts[k · stride …]."""
    other = U_ZERO
    total = 0.0
    if thread < U_SUMS:
        while other < U_LANES:
            total += parts[_u32(thread * stride + other)]
            other = _u32(other + U_ONE)
        totals[thread] = total
    elif thread < U_TOTALS:
        while other < U_WARPS:
            total += counts[_u32((thread - U_SUMS) * U_WARPS + other)]
            other = _u32(other + U_ONE)
        totals[thread] = total


@njit(forceinline=True)
def _sum_small_lane(physics, lane, width, trial_word, layer_word, given, parts):
    """Sum a lane of a layer below 64 nodes in float64 into `parts`, the counts too."""
    cotangent, scale = double(given)
    aim = cotangent, scale, physics.slopes
    s = SMALL_START
    node = lane
    while node < width:
        group = _u32(node // U_ROUND * U_LANES + lane)
        z1, z2, z3, z4 = group_normals(group, trial_word, layer_word, physics.key0, physics.key1)
        s = add_small_node(s, np.float64(z1), np.float64(z2), aim)
        if node + U_LANES < width:
            s = add_small_node(s, np.float64(z3), np.float64(z4), aim)
        node = _u32(node + U_ROUND)
    for i in range(TOTALS):
        parts[_u32(_u32(i) * U_LANES + lane)] = s[i]


@njit(forceinline=True)
def _fold_small_lanes(thread, width, parts, totals):
    total = 0.0
    lane = U_ZERO
    while lane < min(U_LANES, width):
        total += parts[_u32(thread * U_LANES + lane)]
        lane = _u32(lane + U_ONE)
    totals[thread] = total


# --- functions with barriers, which all threads of a block call together --------------------------


@cuda.jit(device=True, forceinline=True)
def put_counts(thread, n1, n2, both, counts):
    """Add the three counts of the threads of each warp into its places of `counts`."""
    for distance in (16, 8, 4, 2, 1):
        n1 = _i32(n1 + cuda.shfl_down_sync(EVERY_LANE, n1, distance))
        n2 = _i32(n2 + cuda.shfl_down_sync(EVERY_LANE, n2, distance))
        both = _i32(both + cuda.shfl_down_sync(EVERY_LANE, both, distance))
    if thread % U_WARP == U_ZERO:
        warp = _u32(thread // U_WARP)
        counts[warp] = n1
        counts[_u32(warp + U_WARPS)] = n2
        counts[_u32(warp + 2 * WARPS)] = both


@cuda.jit(device=True, forceinline=True)
def sum_layer(physics, thread, width, trial_word, layer_word, aim, parts, counts, totals):
    """Draw a layer of a trial and write its sums to `totals`."""
    if width < U_SMALL:
        if thread < U_LANES:
            _sum_small_lane(physics, thread, width, trial_word, layer_word, aim, parts)
        cuda.syncthreads()
        if thread < U_TOTALS:
            _fold_small_lanes(thread, width, parts, totals)
    else:
        n1, n2, both = _sum_slot(physics, thread, width, trial_word, layer_word, aim, parts)
        put_counts(thread, n1, n2, both, counts)
        cuda.syncthreads()
        fold_slots(thread, parts)
        cuda.syncthreads()
        fold_lanes(thread, U_THREADS, parts, counts, totals)


@cuda.jit(device=True, forceinline=True)
def end_layer(physics, thread, width, totals, state, row):
    """Write the observables that need a logarithm or the angle, and move the state on."""
    if thread < U_LOGS:
        power = totals[pair_physics.EXPONENT]
        finish_row_log(_i32(thread), power, power, row)
    elif thread == ANGLE_THREAD:
        finish_angle(row, totals[pair_physics.ALONG])
    elif thread == STATE_THREAD:
        pair_physics.observe_angle(width, totals, state, row)
        pair_physics.move_on(physics, width, totals, state)
    cuda.syncthreads()
    if thread == ANGLE_THREAD:
        finish_log(row, LOG_SINE, 2.0, 0.0)


@cuda.jit(device=True, forceinline=True)
def finish_layer(physics, thread, width, totals, state, row):
    """Write the observables of a layer and move the state on, several threads side by side."""
    if thread == U_ZERO:
        pair_physics.observe_layer(physics, width, totals, state, row)
    cuda.syncthreads()
    end_layer(physics, thread, width, totals, state, row)


class Points(NamedTuple):
    """Physics of the points of a run: scalars of `physics.Physics`, (point, scalar), and keys.

    `starts` has the states before the first layer, (point, STATE); `slopes` is as long as those of
    all points that a launch takes.
    """

    scalars: Any
    keys: Any
    starts: Any
    slopes: tuple[float, ...] = ()


ABSENT = (0.0,) * 5


@njit(forceinline=True)
def _physics(scalars, keys, slopes):
    return pair_physics.Physics(
        scalars[0], scalars[1], scalars[2], scalars[3], scalars[4], keys[0], keys[1], slopes
    )


@kernel(launch_bounds=(THREADS, BLOCKS_PER_MULTIPROCESSOR), lto=False, cache=True)
def advance(points, widths, blocks, layer0, begin, end, states, rows):
    """Take trials through consecutive layers, one block of `THREADS` for each trial.

    As `cpu_kernels.advance`, for the layers rows[:, begin] … rows[:, end − 1] after `layer0`, of
    the trials that `blocks` has, 64 in each row of the table (`sampling.cuda.pieces`). `widths` has
    shape (point, layer). States are read from the second layer on.
    """
    thread, block = _u32(cuda.threadIdx.x), _u32(cuda.blockIdx.x)
    if _u32(block % U_BLOCK) >= _u32(blocks[_u32(block // U_BLOCK), TRIALS]):
        return
    state = cuda.shared.array(STATE, types.float64)
    aim = cuda.shared.array(AIM, types.float64)
    totals = cuda.shared.array(TOTALS, types.float64)
    parts = cuda.shared.array(PARTS, types.float64)
    counts = cuda.shared.array(WARP_COUNTS, types.int32)
    if thread < U_STATE:
        if layer0 + begin == 0:
            point = _u32(blocks[_u32(block // U_BLOCK), POINT])
            state[thread] = points.starts[point, thread]
        else:
            state[thread] = states[block, thread]
    cuda.syncthreads()
    j = _u32(begin)
    while j < _u32(end):
        # All is read again at each layer: what waits from one to the next costs registers.
        row = _u32(block // U_BLOCK)
        point = _u32(blocks[row, POINT])
        trial = _u64(_u64(blocks[row, FIRST]) + _u64(block % U_BLOCK))
        layer = _u32(layer0 + j)
        width = _u32(widths[point, layer])
        slopes = own_slopes(points.slopes, points.scalars[point, 5:])
        keys = _physics(ABSENT, points.keys[point], slopes)
        trial_word = _u64(trial & LOW)
        layer_word = counter_word3(_u64(layer) + _u64(U_ONE), trial)
        if thread == U_ZERO:
            pair_physics.take_aim(state, aim)
        cuda.syncthreads()
        if state[pair_physics.LIVE] > pair_physics.NONE_LEFT:
            sum_layer(keys, thread, width, trial_word, layer_word, aim, parts, counts, totals)
        cuda.syncthreads()
        if thread == U_ZERO:
            pair_physics.observe_layer(keys, width, totals, state, rows[block, j])
        cuda.syncthreads()
        point = _u32(blocks[_u32(block // U_BLOCK), POINT])
        scalars = points.scalars[point]
        slopes = own_slopes(points.slopes, scalars[5:])
        physics = _physics(scalars, points.keys[point], slopes)
        end_layer(physics, thread, width, totals, state, rows[block, j])
        j = _u32(j + U_ONE)
    if thread < U_STATE:
        states[block, thread] = state[thread]

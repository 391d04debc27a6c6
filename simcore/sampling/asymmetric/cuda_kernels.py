"""Kernels of the pair sampler of `rai` and `raai` for CUDA: a thread block for each trial.

The scalar functions are those of the CPU's loops, and so is the order of summation (`asymmetric`):
thread 16·slot + lane draws its lane of chunk 8·round + slot, and sums it in float64 registers;
after each round thread 16·sum + lane adds the slots of its lane of one of the eight sums to what it
has of it, in order. With that, and what `pair_kernels` says of arithmetic, the bytes are those of
the CPU.

x and r of two layers are in the device's memory, node by node, those of layer l (0 is the inputs)
in half l mod 2 of what a trial carries after its state, and nothing is copied. What few layers need
is done in the CPU's order by few threads: one after the other are summed the inputs, r of layers
that are changed (always below 64 nodes), and the squares of `first_across` where they are
recounted; before that the nodes are drawn, and changed, by all threads.

Only this module and the driver `asymmetric_cuda` need CUDA; nothing else imports them.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
from numba import cuda, njit, types

from simcore.numerics.arithmetic import fma64, times
from simcore.numerics.lanes import LANES
from simcore.numerics.rng import LOW, counter_word0, counter_word3, normal_pair, philox
from simcore.sampling.random_inputs import COLUMNS, INPUT_STREAM
from simcore.sampling.row import finish_angle

from .nodes import (
    ASYMMETRIC_STREAM,
    CHUNK,
    FIELD,
    FIELD_MASK,
    LAW,
    MULTIPLE,
    R1,
    R2,
    READ_SLOPE,
    RX,
    SMALL,
    SUMS,
    TOTALS,
    X1,
    X2,
    add_node,
    choices_of,
    few_law,
    own_law,
    replaced_index,
    scales,
    signals,
    sums_of_others,
    usual_signals,
    weight,
)
from .physics import (
    ALONG,
    CHANGE,
    CHANGED,
    DEVICE_HEAD,
    HEAD,
    LOGS,
    PLACES,
    SLOPE,
    SUBTRACT,
    begin_state,
    changed_node,
    finish_move,
    finish_row_log,
    finish_subtraction,
    first_across,
    input_across,
    observe_layer,
    plan_move,
    settled_across,
    steps_of,
    write_law,
)

__all__ = ["THREADS", "advance", "begin", "draw_node", "lane_chunk"]

SLOTS = 8
THREADS = SLOTS * LANES
"""Threads of a block: one for each lane of each slot, and for each lane of each sum."""

BLOCKS_PER_MULTIPROCESSOR, BLOCKS_THAT_BEGIN = 7, 5
"""At least so many are to fit; they bound the registers of a thread by 72, and by 96 in `begin`."""

EVERY_LANE = 0xFFFFFFFF
COUNTS = TOTALS - SUMS
WARPS = THREADS // 32
PARTS, WARP_COUNTS, TWICE_LANES = SUMS * THREADS, COUNTS * WARPS, 2 * LANES

# Indices are unsigned and their constants typed: Python's negative indices cost registers.
_f64, _i32, _i64, _u32, _u64 = np.float64, np.int32, np.int64, np.uint32, np.uint64
U_ZERO, U_ONE, U_TWO, U_WARP, U_WARPS = _u32(0), _u32(1), _u32(2), _u32(32), _u32(WARPS)
U_LANES, U_THREADS, U_SLOTS, U_SUMS = _u32(LANES), _u32(THREADS), _u32(SLOTS), _u32(SUMS)
U_TOTALS, U_HEAD, U_NODES = _u32(TOTALS), _u32(HEAD), _u32(DEVICE_HEAD)
U_SLOPE, U_LOGS = _u32(SLOPE), _u32(LOGS)
U_CHUNK, U_ROUND, U_SMALL, U_PARTS = _u32(CHUNK), _u32(SLOTS * CHUNK), _u32(SMALL), _u32(PARTS)
U_X1, U_X2, U_R1, U_RX, U_R2 = _u32(X1), _u32(X2), _u32(R1), _u32(RX), _u32(R2)
U_COLUMNS = _u32(COLUMNS)
ANGLE_THREAD, OTHER_THREAD, STATE_THREAD = _u32(32), _u32(64), _u32(96)
"""Threads of warps of their own, so that they work beside those that do something else."""

U_NEVER = _u32(31)
"""A node shifted by so much is 0, which compilers don't know: else they would keep all numbers of
a law in registers during the loop over nodes, and fewer blocks would fit."""

ROW, ROW_1 = _u64(0), _u64(1)
NOTHING = (0.0,) * SUMS + (_i64(0),)


# --- nodes ----------------------------------------------------------------------------------------


@njit(forceinline=True)
def draw_node(  # type: ignore[no-untyped-def]
    node, trial_word, layer_word, key0, key1, n, laws, others, x, r
):
    """Return (h₁, s) of a node of a layer of fan-in n, by words of its own."""
    law = laws[_u32(node >> U_NEVER)]
    w0, w1, w2, w3 = philox(
        counter_word0(node, ASYMMETRIC_STREAM), ROW, trial_word, layer_word, key0, key1
    )
    first, second = normal_pair(_u32(w0), _u32(w1))
    z1, z2, beta = _f64(first), _f64(second), _f64(weight(_u32(w3)))
    index = replaced_index(_u32(w2), choices_of(n))
    if index != n and n >= U_SMALL:
        at_x = x[index]
        at_r = fma64(-law[READ_SLOPE], at_x, r[index])
        return usual_signals(at_x, at_r, z1, z2, beta, scales(law))
    law_of_node = own_law(law) if index == n else few_law(index, law, x, r, others)
    return signals(z1, z2, beta, law_of_node)


@njit(forceinline=True)
def lane_chunk(  # type: ignore[no-untyped-def]
    node, end, trial_word, layer_word, key0, key1, n, laws, others, old_x, old_r, x, r
):
    """Return a lane's sums and packed counts of a chunk, and write its activations to x and r.

    `node` is the lane's first one of the chunk, `end` the chunk's end.
    """
    sums = NOTHING
    while node < end:
        u, s = draw_node(node, trial_word, layer_word, key0, key1, n, laws, others, old_x, old_r)
        sums = add_node(sums, node, u, s, laws[_u32(node >> U_NEVER)][MULTIPLE], x, r)
        node = _u32(node + U_LANES)
    return sums


@njit(forceinline=True)
def _put_parts(sums, at, parts):  # type: ignore[no-untyped-def]
    parts[at] = sums[0]
    parts[_u32(at + U_THREADS)] = sums[1]
    parts[_u32(at + 2 * THREADS)] = sums[2]
    parts[_u32(at + 3 * THREADS)] = sums[3]
    parts[_u32(at + 4 * THREADS)] = sums[4]
    parts[_u32(at + 5 * THREADS)] = sums[5]
    parts[_u32(at + 6 * THREADS)] = sums[6]
    parts[_u32(at + 7 * THREADS)] = sums[7]


@njit(forceinline=True)
def _add_slots(total, thread, parts):  # type: ignore[no-untyped-def]
    """Return a lane's total of a sum with the slots of a round added, in order."""
    at = _u32(thread // U_LANES * U_THREADS + thread % U_LANES)
    slot = U_ZERO
    while slot < U_SLOTS:
        total += parts[_u32(at + slot * U_LANES)]
        slot = _u32(slot + U_ONE)
    return total


@njit(forceinline=True)
def _fold_lanes(thread, parts, counts, totals):  # type: ignore[no-untyped-def]
    """Add the lanes of a sum, in order, or the warps' counts."""
    other, total = U_ZERO, 0.0
    if thread < U_SUMS:
        while other < U_LANES:
            total += parts[_u32(thread * U_LANES + other)]
            other = _u32(other + U_ONE)
        totals[thread] = total
    elif thread < U_TOTALS:
        while other < U_WARPS:
            total += counts[_u32((thread - U_SUMS) * U_WARPS + other)]
            other = _u32(other + U_ONE)
        totals[thread] = total


@njit(forceinline=True)
def _put_across(  # type: ignore[no-untyped-def]
    thread, first, end, slope, trial_word, layer_word, key0, key1, n, laws, others, x, r, parts
):
    """Draw nodes again, as many as `parts` has room for, and write s − slope · h₁ of each."""
    at = thread
    while at < U_PARTS and first + at < end:
        u, s = draw_node(
            _u32(first + at), trial_word, layer_word, key0, key1, n, laws, others, x, r
        )
        parts[at] = fma64(-slope, u, s)
        at = _u32(at + U_THREADS)


@njit(forceinline=True)
def _add_squares(total, number, parts):  # type: ignore[no-untyped-def]
    at = U_ZERO
    while at < number:
        total = fma64(parts[at], parts[at], total)
        at = _u32(at + U_ONE)
    return total


# --- between layers -------------------------------------------------------------------------------


@njit(forceinline=True)
def _change(thread, n, change, x, r):  # type: ignore[no-untyped-def]
    """Change a thread's share of n nodes as planned."""
    steps = steps_of(change)
    node = thread
    while node < n:
        x[node], r[node] = changed_node(x[node], r[node], steps)
        node = _u32(node + U_THREADS)


@njit(forceinline=True)
def _ordered_sum(which, n, x, r):  # type: ignore[no-untyped-def]
    """Return one of the sums X1 … R2 over n nodes, one after the other."""
    node, total = U_ZERO, 0.0
    while node < n:
        first = x[node] if which <= U_X2 else r[node]
        second = 1.0
        if which in (U_X2, U_RX):
            second = x[node]
        elif which == U_R2:
            second = r[node]
        total = fma64(first, second, total)
        node = _u32(node + U_ONE)
    return total


@njit(forceinline=True)
def _forget(thread, n, r):  # type: ignore[no-untyped-def]
    node = thread
    while node < n:
        r[node] = 0.0
        node = _u32(node + U_THREADS)


# --- inputs (random_inputs.draw_pair) -------------------------------------------------------------


@njit(forceinline=True)
def _draw_components(thread, n, row, trial_word, layer_word, key0, key1, out):  # type: ignore[no-untyped-def]
    """Draw a thread's share of n components: those of a group lie a lane's distance apart."""
    group = thread
    at = _u32(group // U_LANES * U_COLUMNS + group % U_LANES)
    while at < n:
        w0, w1, w2, w3 = philox(
            counter_word0(group, INPUT_STREAM), row, trial_word, layer_word, key0, key1
        )
        z1, z2 = normal_pair(_u32(w0), _u32(w1))
        z3, z4 = normal_pair(_u32(w2), _u32(w3))
        out[at] = z1
        if at + U_LANES < n:
            out[_u32(at + U_LANES)] = z2
        if at + 2 * LANES < n:
            out[_u32(at + 2 * LANES)] = z3
        if at + 3 * LANES < n:
            out[_u32(at + 3 * LANES)] = z4
        group = _u32(group + U_THREADS)
        at = _u32(group // U_LANES * U_COLUMNS + group % U_LANES)


@njit(forceinline=True)
def _lane_sum(lane, n, a):  # type: ignore[no-untyped-def]
    at, total = lane, 0.0
    while at < n:
        total += a[at]
        at = _u32(at + U_LANES)
    return total


@njit(forceinline=True)
def _lane_product(lane, n, a, b):  # type: ignore[no-untyped-def]
    at, total = lane, 0.0
    while at < n:
        total += times(a[at], b[at])
        at = _u32(at + U_LANES)
    return total


@njit(forceinline=True)
def _fold(lanes, first):  # type: ignore[no-untyped-def]
    other, total = U_ZERO, 0.0
    while other < U_LANES:
        total += lanes[_u32(first + other)]
        other = _u32(other + U_ONE)
    return total


@njit(forceinline=True)
def _centre(thread, n, lanes, x, r):  # type: ignore[no-untyped-def]
    """Subtract the means, of which `lanes` has the sums, from a thread's share of components."""
    mean_x, mean_r = _fold(lanes, U_ZERO) / n, _fold(lanes, U_LANES) / n
    at = thread
    while at < n:
        x[at] -= mean_x
        r[at] -= mean_r
        at = _u32(at + U_THREADS)


@njit(forceinline=True)
def _part(thread, n, lanes, x, r):  # type: ignore[no-untyped-def]
    """Subtract from r its part along x; `lanes` has the sums of xr and x²."""
    overlap = _fold(lanes, U_ZERO) / _fold(lanes, U_LANES)
    at = thread
    while at < n:
        r[at] -= times(overlap, x[at])
        at = _u32(at + U_THREADS)


@njit(forceinline=True)
def _stretch(physics, thread, n, lanes, x, r):  # type: ignore[no-untyped-def]
    """Give x its length, and r that of the inputs; `lanes` has the sums of x² and r²."""
    length = math.sqrt(times(physics.q0, _f64(n)))
    scale_x = length / math.sqrt(_fold(lanes, U_ZERO))
    scale_r, across = length / math.sqrt(_fold(lanes, U_LANES)), input_across(physics.distance)
    at = thread
    while at < n:
        x[at] = times(x[at], scale_x)
        r[at] = times(times(r[at], scale_r), across)
        at = _u32(at + U_THREADS)


# Without optimisation at link time what runs is the PTX that the tests run on the CPU. `partial`,
# since `cuda.jit(lto=False)` as a decorator forgets it (numba-cuda 0.30).
@partial(cuda.jit, launch_bounds=(THREADS, BLOCKS_THAT_BEGIN), lto=False, cache=True)
def begin(physics, size, first_trial, carried):  # type: ignore[no-untyped-def]
    """Draw the inputs of trials, one block of `THREADS` for each.

    Parameters
    ----------
    physics
        `Physics`.
    size
        Components of an input.
    first_trial
        Number of the first trial.
    carried
        Written: shape (trial, DEVICE_HEAD + 4 · room), room for more than `size` nodes: the state,
        but in its columns from SLOPE on the sums X1 … R2, and (x, r) of the inputs in the first
        half of the rest.
    """
    thread, block, n = _u32(cuda.threadIdx.x), _u32(cuda.blockIdx.x), _u32(size)
    lanes = cuda.shared.array(TWICE_LANES, types.float64)
    trial = _u64(_u64(first_trial) + _u64(block))
    trial_word, layer_word = _u64(trial & LOW), counter_word3(_u64(U_ZERO), trial)
    room = _u32((carried.shape[1] - DEVICE_HEAD) // 4)
    end = _u32(U_NODES + U_TWO * room)
    x, r = carried[block, U_NODES:end:2], carried[block, U_NODES + U_ONE : end : 2]
    lane, upper = _u32(thread % U_LANES), thread >= U_LANES
    _draw_components(thread, n, ROW, trial_word, layer_word, physics.key0, physics.key1, x)
    _draw_components(thread, n, ROW_1, trial_word, layer_word, physics.key0, physics.key1, r)
    cuda.syncthreads()
    again = U_ZERO
    while again < U_TWO:  # what rounding has left of means and overlap goes the second time
        if thread < U_WARP:
            lanes[thread] = _lane_sum(lane, n, r if upper else x)
        cuda.syncthreads()
        _centre(thread, n, lanes, x, r)
        cuda.syncthreads()
        if thread < U_WARP:
            lanes[thread] = _lane_product(lane, n, x, x if upper else r)
        cuda.syncthreads()
        _part(thread, n, lanes, x, r)
        cuda.syncthreads()
        again = _u32(again + U_ONE)
    if thread < U_WARP:
        own = r if upper else x
        lanes[thread] = _lane_product(lane, n, own, own)
    cuda.syncthreads()
    _stretch(physics, thread, n, lanes, x, r)
    cuda.syncthreads()
    if thread <= U_R2:
        carried[block, U_SLOPE + thread] = _ordered_sum(thread, n, x, r)
    elif thread == STATE_THREAD:
        begin_state(physics.distance, carried[block])


@partial(cuda.jit, launch_bounds=(THREADS, BLOCKS_PER_MULTIPROCESSOR), lto=False, cache=True)
def advance(  # type: ignore[no-untyped-def]
    physics, fan_ins, widths, first_trial, layer0, carried, rows
):
    """Take consecutive trials through consecutive layers, one block of `THREADS` for each trial.

    Parameters
    ----------
    physics
        `Physics`.
    fan_ins, widths
        Of every layer, shape (depth,).
    first_trial, layer0
        Number of the first trial, and of the first layer from 0.
    carried
        Shape (trial, DEVICE_HEAD + 4 · room): from `begin`, where layer0 is 0, or as the layers
        before have left it.
    rows
        Written: the observables, shape (trial, layer, observable), NaN where undefined.
    """
    thread, block = _u32(cuda.threadIdx.x), _u32(cuda.blockIdx.x)
    state = cuda.shared.array(HEAD, types.float64)
    totals = cuda.shared.array(PLACES, types.float64)
    laws = cuda.shared.array((1, LAW), types.float64)
    change = cuda.shared.array(CHANGE, types.float64)
    others = cuda.shared.array((5, SMALL), types.float64)
    parts = cuda.shared.array(PARTS, types.float64)
    counts = cuda.shared.array(WARP_COUNTS, types.int32)
    lane, slot = _u32(thread % U_LANES), _u32(thread // U_LANES)
    trial = _u64(_u64(first_trial) + _u64(block))
    trial_word, key0, key1 = _u64(trial & LOW), physics.key0, physics.key1
    room = _u32((carried.shape[1] - DEVICE_HEAD) // 4)
    if thread < U_HEAD:
        state[thread] = carried[block, thread]
    if thread < U_TOTALS:  # of the inputs, where these begin
        totals[thread] = carried[block, U_SLOPE + thread] if thread <= U_R2 else 0.0
    before, last = _u32(layer0), _u32(_u32(layer0) + _u32(rows.shape[1]))
    layer = U_ZERO if before == U_ZERO else _u32(before + U_ONE)
    cuda.syncthreads()
    while layer <= last:
        new = _u32(U_NODES + _u32(layer % U_TWO) * U_TWO * room)
        end = _u32(new + U_TWO * room)
        x, r = carried[block, new:end:2], carried[block, new + U_ONE : end : 2]
        width = _u32(fan_ins[0])
        if layer > U_ZERO:
            n, width = _u32(fan_ins[layer - U_ONE]), _u32(widths[layer - U_ONE])
            old = _u32(U_NODES + _u32(U_ONE - layer % U_TWO) * U_TWO * room)
            end = _u32(old + U_TWO * room)
            old_x, old_r = carried[block, old:end:2], carried[block, old + U_ONE : end : 2]
            row = rows[block, layer - U_ONE - before]
            layer_word = counter_word3(_u64(layer), trial)
            if thread == U_ZERO:
                write_law(physics, n, state, laws[U_ZERO])
            elif thread == OTHER_THREAD and n < U_SMALL:
                sums_of_others(n, old_x, old_r, others)
            cuda.syncthreads()
            total, packed, first = 0.0, _i64(0), U_ZERO
            while first < width:
                at = _u32(first + slot * U_CHUNK)
                end = _u32(min(_u32(at + U_CHUNK), width))
                sums = lane_chunk(
                    _u32(at + lane), end, trial_word, layer_word, key0, key1,
                    n, laws, others, old_x, old_r, x, r,
                )  # fmt: skip
                _put_parts(sums, thread, parts)
                packed = _i64(packed + sums[8])
                cuda.syncthreads()
                total = _add_slots(total, thread, parts)
                cuda.syncthreads()
                first = _u32(first + U_ROUND)
            n1 = _i32(packed & FIELD_MASK)
            n2 = _i32(_i64(packed >> FIELD) & FIELD_MASK)
            both = _i32(packed >> (2 * FIELD))
            for distance in (16, 8, 4, 2, 1):
                n1 = _i32(n1 + cuda.shfl_down_sync(EVERY_LANE, n1, distance))
                n2 = _i32(n2 + cuda.shfl_down_sync(EVERY_LANE, n2, distance))
                both = _i32(both + cuda.shfl_down_sync(EVERY_LANE, both, distance))
            if thread % U_WARP == U_ZERO:
                warp = _u32(thread // U_WARP)
                counts[warp] = n1
                counts[_u32(warp + U_WARPS)] = n2
                counts[_u32(warp + 2 * WARPS)] = both
            parts[thread] = total
            cuda.syncthreads()
            _fold_lanes(thread, parts, counts, totals)
            cuda.syncthreads()
            rest, slope, recount = first_across(width, totals)
            if recount:
                rest, first = 0.0, U_ZERO
                while first < width:
                    _put_across(
                        thread, first, width, slope, trial_word, layer_word, key0, key1,
                        n, laws, others, old_x, old_r, parts,
                    )  # fmt: skip
                    cuda.syncthreads()
                    if thread == U_ZERO:
                        rest = _add_squares(rest, min(U_PARTS, _u32(width - first)), parts)
                    cuda.syncthreads()
                    first = _u32(first + U_PARTS)
            if thread == U_ZERO:
                observe_layer(width, settled_across(rest, totals), totals, state, row)
            cuda.syncthreads()
            if thread < U_LOGS:
                finish_row_log(_i32(thread), totals, row)
            elif thread == ANGLE_THREAD:
                finish_angle(row, totals[ALONG])
        if thread == STATE_THREAD:
            plan_move(physics, width, totals, state, change)
        cuda.syncthreads()
        if change[CHANGED] == 1.0:
            _change(thread, width, change, x, r)
            cuda.syncthreads()
        if change[SUBTRACT] == 1.0:
            if U_R1 <= thread <= U_R2:
                parts[thread] = _ordered_sum(thread, width, x, r)
            cuda.syncthreads()
            if thread == STATE_THREAD:
                nothing = finish_subtraction(parts[U_R1], parts[U_RX], parts[U_R2], totals)
                parts[U_ZERO] = 1.0 if nothing else 0.0
            cuda.syncthreads()
            if parts[U_ZERO] == 1.0:
                _forget(thread, width, r)
        if thread == STATE_THREAD:
            finish_move(physics, width, totals, state)
        elif thread == U_ZERO:
            x[width] = 0.0
            r[width] = 0.0
        cuda.syncthreads()
        layer = _u32(layer + U_ONE)
    if thread < U_HEAD:
        carried[block, thread] = state[thread]

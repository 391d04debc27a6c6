"""Kernel of the pair sampler of `rai` and `raai` for CUDA: a thread block for each trial.

The scalar functions are those of the CPU's loops, and so is the order of summation (`cpu_kernels`).
Thread 16·slot + lane draws its lane of chunk 8·round + slot, and sums it in float64 registers.
After each round thread 16·sum + lane adds, in order, the slots of its lane of one of the eight sums
to its total. With the arithmetic of `pair.cuda_kernels` the bytes are those of the CPU.

x and r of two layers are in the device's memory, node by node. Those of layer l (0 is the inputs)
are in half l mod 2 of the trial's memory, after its state, and nothing is copied. Few threads do in
the CPU's order what few layers need: they sum the inputs (`cuda_inputs`), r of layers that are
changed (always below 64 nodes), and the squares of `first_across` where they are recounted. All
threads draw and change the nodes before that.

Only the kernels for CUDA and the driver `cuda` need CUDA; nothing else imports them.
"""

from __future__ import annotations

import numpy as np
from numba import cuda, njit, types

from simcore.numerics.arithmetic import fma64
from simcore.numerics.lanes import LANES
from simcore.numerics.rng import LOW, counter_word0, counter_word3, normal_pair, philox
from simcore.physics.observables import HAZARDS
from simcore.sampling.cuda.kernels import kernel
from simcore.sampling.pair import cuda_kernels as in_pairs
from simcore.sampling.pair.cuda_kernels import (
    THREADS,
    U_LANES,
    U_ONE,
    U_THREADS,
    U_ZERO,
    WARP_COUNTS,
    put_counts,
)
from simcore.sampling.pair.sums import SLOTS
from simcore.sampling.row import (
    FEATURES,
    LOGS,
    chance_of_all,
    finish_angle,
    finish_row_log,
    hazards,
)

from . import death, death_of_both
from . import nodes as node_laws
from . import physics as moves
from .cuda_inputs import nodes_of, ordered_sum
from .nodes import LAW, SMALL, SUMS
from .physics import CHANGE, HEAD, PLACES

__all__ = ["THREADS", "advance", "draw_node", "lane_chunk"]

BLOCKS_PER_MULTIPROCESSOR = 7
"""At least so many are to fit; it bounds the registers of a thread by 72."""

PARTS = SUMS * THREADS

# Indices are unsigned and their constants typed: Python's negative indices cost registers.
_f64, _i32, _i64, _u32, _u64 = np.float64, np.int32, np.int64, np.uint32, np.uint64
U_SLOTS, U_TOTALS, U_PARTS = in_pairs.U_SLOTS, in_pairs.U_TOTALS, _u32(PARTS)
U_HEAD, U_SLOPE, U_FEATURES = _u32(HEAD), _u32(moves.SLOPE), _u32(FEATURES)
U_SIGNALS, U_DIED, U_HAZARD = _u32(2), _u32(moves.DIED1), _u32(moves.HAZARD1)
U_HAZARDS, U_PAIR = _u32(len(HAZARDS)), _u32(2 * LANES)
U_LOGS, U_SMALL = _u32(LOGS), _u32(SMALL)
U_CHUNK, U_ROUND = _u32(node_laws.CHUNK), _u32(SLOTS * node_laws.CHUNK)
U_R1, U_RX, U_R2 = _u32(node_laws.R1), _u32(node_laws.RX), _u32(node_laws.R2)
ANGLE_THREAD, OTHER_THREAD, STATE_THREAD = _u32(32), _u32(64), _u32(96)
"""Threads of warps of their own, so that they work beside those that do something else."""

U_NEVER = _u32(31)
"""A node shifted by so much is 0, which compilers don't know: else they would keep all numbers of
a law in registers during the loop over nodes, and fewer blocks would fit."""

ROW = _u64(0)
NOTHING = (0.0,) * SUMS + (_i64(0),)


# --- nodes ----------------------------------------------------------------------------------------


@njit(forceinline=True)
def draw_node(node, draws, before):
    """Return (h₁, s) of a node, by words of its own.

    `draws` are the counter's words of trial and layer and the two of the key; `before` is the layer
    before: its nodes, laws, `sums_of_others`, x and r.
    """
    trial_word, layer_word, key0, key1 = draws
    n, laws, others, x, r = before
    law = laws[_u32(node >> U_NEVER)]
    w0, w1, w2, w3 = philox(
        counter_word0(node, node_laws.ASYMMETRIC_STREAM), ROW, trial_word, layer_word, key0, key1
    )
    first, second = normal_pair(_u32(w0), _u32(w1))
    z1, z2, beta = _f64(first), _f64(second), _f64(node_laws.weight(_u32(w3)))
    index = node_laws.replaced_index(_u32(w2), node_laws.choices_of(n))
    if index != n and n >= U_SMALL:
        at_x = x[index]
        at_r = fma64(-law[node_laws.READ_SLOPE], at_x, r[index])
        return node_laws.usual_signals(at_x, at_r, z1, z2, beta, node_laws.scales(law))
    law_of_node = (
        node_laws.own_law(law) if index == n else node_laws.few_law(index, law, x, r, others)
    )
    return node_laws.signals(z1, z2, beta, law_of_node)


@njit(forceinline=True)
def lane_chunk(node, end, draws, before, x, r):
    """Return a lane's sums and packed counts of a chunk, and write its activations to x and r.

    `node` is the lane's first one of the chunk, `end` the chunk's end.
    """
    laws, sums = before[1], NOTHING
    while node < end:
        u, s = draw_node(node, draws, before)
        numbers = node_laws.of_activation(laws[_u32(node >> U_NEVER)])
        sums = node_laws.add_node(sums, node, u, s, numbers, x, r)
        node = _u32(node + U_LANES)
    return sums


@njit(forceinline=True)
def _put_parts(sums, at, parts):
    parts[at] = sums[0]
    parts[_u32(at + U_THREADS)] = sums[1]
    parts[_u32(at + 2 * THREADS)] = sums[2]
    parts[_u32(at + 3 * THREADS)] = sums[3]
    parts[_u32(at + 4 * THREADS)] = sums[4]
    parts[_u32(at + 5 * THREADS)] = sums[5]
    parts[_u32(at + 6 * THREADS)] = sums[6]
    parts[_u32(at + 7 * THREADS)] = sums[7]


@njit(forceinline=True)
def _add_slots(total, thread, parts):
    """Return a lane's total of a sum with the slots of a round added, in order."""
    at = _u32(thread // U_LANES * U_THREADS + thread % U_LANES)
    slot = U_ZERO
    while slot < U_SLOTS:
        total += parts[_u32(at + slot * U_LANES)]
        slot = _u32(slot + U_ONE)
    return total


@njit(forceinline=True)
def _put_across(thread, first, end, slope, draws, before, parts):
    """Draw nodes again, as many as `parts` has room for, and write s − slope · h₁ of each."""
    at = thread
    while at < U_PARTS and first + at < end:
        u, s = draw_node(_u32(first + at), draws, before)
        parts[at] = fma64(-slope, u, s)
        at = _u32(at + U_THREADS)


@njit(forceinline=True)
def _add_squares(total, number, parts):
    at = U_ZERO
    while at < number:
        total = fma64(parts[at], parts[at], total)
        at = _u32(at + U_ONE)
    return total


# --- between layers -------------------------------------------------------------------------------


@njit(forceinline=True)
def _change(thread, n, change, x, r):
    """Change a thread's share of n nodes as planned."""
    steps = moves.steps_of(change)
    node = thread
    while node < n:
        x[node], r[node] = moves.changed_node(x[node], r[node], steps)
        node = _u32(node + U_THREADS)


@njit(forceinline=True)
def _forget(thread, n, r):
    node = thread
    while node < n:
        r[node] = 0.0
        node = _u32(node + U_THREADS)


# --- parts of a layer, with barriers: all threads of a block call them together -------------------


@cuda.jit(device=True, forceinline=True)
def _write_laws(physics, thread, before, state):
    """Write the law of a layer, and where few nodes are before it the sums that it needs."""
    n, laws, others, x, r = before
    if thread == U_ZERO:
        moves.write_law(physics, n, state, laws[U_ZERO])
    elif thread == OTHER_THREAD and n < U_SMALL:
        node_laws.sums_of_others(n, x, r, others)
    cuda.syncthreads()


@njit(forceinline=True)
def _sum_lanes(first, parts):
    """Return the sum of the lanes from a place of `parts` on, in order."""
    lane, total = U_ZERO, 0.0
    while lane < U_LANES:
        total += parts[_u32(first + lane)]
        lane = _u32(lane + U_ONE)
    return total


@njit(forceinline=True)
def _lane_of_both(lane, before, state):
    """Return `death_of_both.lane_chances`, with few numbers of the law in registers."""
    n, laws, _, x, r = before
    node, total = lane, 0.0
    while node < n:
        law = death_of_both.law_of_both(state, laws[_u32(node >> U_NEVER)])
        total += death_of_both.node_chances(x[node], r[node], law)[2]
        node = _u32(node + U_LANES)
    return total


@cuda.jit(device=True, forceinline=True)
def _add_hazards(thread, layer, width, before, state, parts):
    """Add the probabilities that the signals which live die in the layer drawn next."""
    n, laws, _, x, r = before
    live1, live2 = state[U_DIED] == 0.0, state[_u32(U_DIED + U_ONE)] == 0.0
    if not (death.may_die(layer, width) and (live1 or live2)):
        return
    signal, lane = _u32(thread // U_LANES), _u32(thread % U_LANES)
    if signal < U_SIGNALS:
        law = death.signal_law(signal == U_ONE, state, laws[U_ZERO])
        parts[thread] = death.lane_chances(lane, n, x, r, law)
    cuda.syncthreads()
    if lane == U_ZERO and signal < U_SIGNALS:
        law = death.signal_law(signal == U_ONE, state, laws[U_ZERO])
        chance = death.inactive_chance(_sum_lanes(thread, parts), n, law)
        parts[thread] = chance_of_all(chance, _i64(width))
    cuda.syncthreads()
    one, other, both = parts[U_ZERO], parts[U_LANES], 0.0
    whole = live1 and live2 and death_of_both.matters(width, one, other)
    if whole:
        if signal == U_SIGNALS:
            parts[thread] = _lane_of_both(lane, before, state)
        cuda.syncthreads()
    if thread == U_ZERO:
        if whole:
            law_of_both = death_of_both.law_of_both(state, laws[U_ZERO])
            chance = death_of_both.inactive_chance(_sum_lanes(U_PAIR, parts), n, law_of_both)
            both = chance_of_all(chance, _i64(width))
        one, other, both = death_of_both.terms(live1, live2, one, other, both)
        state[U_HAZARD] += one
        state[_u32(U_HAZARD + U_ONE)] += other
        state[_u32(U_HAZARD + U_SIGNALS)] += both
    cuda.syncthreads()


@cuda.jit(device=True, forceinline=True)
def _draw_layer(thread, width, draws, before, x, r, parts, counts, totals):
    """Draw a layer: its activations go to x and r, its sums to `totals`."""
    lane, slot = _u32(thread % U_LANES), _u32(thread // U_LANES)
    total, packed, first = 0.0, _i64(0), U_ZERO
    while first < width:
        at = _u32(first + slot * U_CHUNK)
        end = _u32(min(_u32(at + U_CHUNK), width))
        sums = lane_chunk(_u32(at + lane), end, draws, before, x, r)
        _put_parts(sums, thread, parts)
        packed = _i64(packed + sums[8])
        cuda.syncthreads()
        total = _add_slots(total, thread, parts)
        cuda.syncthreads()
        first = _u32(first + U_ROUND)
    n1 = _i32(packed & node_laws.FIELD_MASK)
    n2 = _i32(_i64(packed >> node_laws.FIELD) & node_laws.FIELD_MASK)
    put_counts(thread, n1, n2, _i32(packed >> (2 * node_laws.FIELD)), counts)
    parts[thread] = total
    cuda.syncthreads()
    in_pairs.fold_lanes(thread, U_LANES, parts, counts, totals)
    cuda.syncthreads()


@cuda.jit(device=True, forceinline=True)
def _across(thread, width, draws, before, parts, totals):
    """Return the sum of squares of s across h₁ to the first thread, recounted where it is small."""
    rest, slope, recount = moves.first_across(width, totals)
    if recount:
        rest, first = 0.0, U_ZERO
        while first < width:
            _put_across(thread, first, width, slope, draws, before, parts)
            cuda.syncthreads()
            if thread == U_ZERO:
                rest = _add_squares(rest, min(U_PARTS, _u32(width - first)), parts)
            cuda.syncthreads()
            first = _u32(first + U_PARTS)
    return rest


@cuda.jit(device=True, forceinline=True)
def _observe(thread, width, rest, totals, state, row):
    """Write the observables of a layer."""
    if thread == U_ZERO:
        moves.observe_layer(width, moves.settled_across(rest, totals), totals, state, row)
    cuda.syncthreads()
    if thread < U_LOGS:
        powers = (totals[moves.LOG_POWER_X], totals[moves.LOG_POWER_R])
        finish_row_log(_i32(thread), powers[0], powers[1], row)
    elif thread == ANGLE_THREAD:
        finish_angle(row, totals[moves.ALONG])


@cuda.jit(device=True, forceinline=True)
def _move(physics, thread, n, totals, state, change, x, r, parts):
    """Make the state before the next layer of the activations x and r of n nodes."""
    if thread == STATE_THREAD:
        moves.plan_move(physics, n, totals, state, change)
    cuda.syncthreads()
    if change[moves.CHANGED] == 1.0:
        _change(thread, n, change, x, r)
        cuda.syncthreads()
    if change[moves.SUBTRACT] == 1.0:
        if U_R1 <= thread <= U_R2:
            parts[thread] = ordered_sum(thread, n, x, r)
        cuda.syncthreads()
        if thread == STATE_THREAD:
            nothing = moves.finish_subtraction(parts[U_R1], parts[U_RX], parts[U_R2], totals)
            parts[U_ZERO] = 1.0 if nothing else 0.0
        cuda.syncthreads()
        if parts[U_ZERO] == 1.0:
            _forget(thread, n, r)
    if thread == STATE_THREAD:
        moves.finish_move(physics, n, totals, state)
    elif thread == U_ZERO:
        x[n] = 0.0
        r[n] = 0.0
    cuda.syncthreads()


@kernel(launch_bounds=(THREADS, BLOCKS_PER_MULTIPROCESSOR), lto=False, cache=True)
def advance(physics, fan_ins, widths, first_trial, layer0, carried, rows):
    """Take consecutive trials through consecutive layers, one block of `THREADS` for each trial.

    `fan_ins` and `widths` are of every layer, shape (depth,); the first layer, `layer0`, counts
    from 0. `carried`, (trial, DEVICE_HEAD + 4 · room), is from `begin`, where layer0 is 0, or from
    the layers before. Written: `rows`, (trial, layer, observable), NaN where undefined.
    """
    thread, block = _u32(cuda.threadIdx.x), _u32(cuda.blockIdx.x)
    state = cuda.shared.array(HEAD, types.float64)
    totals = cuda.shared.array(PLACES, types.float64)
    laws = cuda.shared.array((1, LAW), types.float64)
    change = cuda.shared.array(CHANGE, types.float64)
    others = cuda.shared.array((5, SMALL), types.float64)
    parts = cuda.shared.array(PARTS, types.float64)
    counts = cuda.shared.array(WARP_COUNTS, types.int32)
    trial = _u64(_u64(first_trial) + _u64(block))
    if thread < U_HEAD:
        state[thread] = carried[block, thread]
    if thread < U_TOTALS:  # of the inputs, where these begin
        totals[thread] = carried[block, U_SLOPE + thread] if thread <= U_R2 else 0.0
    done, last = _u32(layer0), _u32(_u32(layer0) + _u32(rows.shape[1]))
    layer = U_ZERO if done == U_ZERO else _u32(done + U_ONE)
    cuda.syncthreads()
    while layer <= last:
        x, r = nodes_of(carried, block, layer)
        width = _u32(fan_ins[0])
        if layer > U_ZERO:
            n, width = _u32(fan_ins[layer - U_ONE]), _u32(widths[layer - U_ONE])
            old_x, old_r = nodes_of(carried, block, _u32(layer + U_ONE))
            layer_word = counter_word3(_u64(layer), trial)
            draws = (_u64(trial & LOW), layer_word, physics.key0, physics.key1)
            before = (n, laws, others, old_x, old_r)
            _write_laws(physics, thread, before, state)
            row = rows[block, layer - U_ONE - done]
            if hazards(row) > 0:
                _add_hazards(thread, layer, width, before, state, parts)
                if thread < U_HAZARDS:
                    row[_u32(U_FEATURES + thread)] = state[_u32(U_HAZARD + thread)]
            _draw_layer(thread, width, draws, before, x, r, parts, counts, totals)
            rest = _across(thread, width, draws, before, parts, totals)
            _observe(thread, width, rest, totals, state, row)
        _move(physics, thread, width, totals, state, change, x, r, parts)
        layer = _u32(layer + U_ONE)
    if thread < U_HEAD:
        carried[block, thread] = state[thread]

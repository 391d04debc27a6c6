"""The pair sampler with gradients for CUDA: forward through all layers of a network, and back.

One thread block takes one trial, as in `cuda_kernels`; the scalar functions and the order of
summation are those of the CPU (`way_back`, `back_sums`), and so are the bytes. The normals of a
layer are drawn again in each of the two passes of the way back: nothing of a layer is kept but the
numbers of `way_back.keep`.

Only the driver `cuda` imports this module, which needs CUDA.
"""

from __future__ import annotations

import numpy as np
from numba import cuda, njit, types

from simcore.numerics.rng import LOW, counter_word0, counter_word3, normal_pair, philox
from simcore.physics.activation import in_single as slopes_in_single
from simcore.sampling.control import way_back as control
from simcore.sampling.cuda.kernels import kernel

from . import physics as pair_physics
from . import way_back
from .back_sums import (
    BIAS_STREAM,
    GRADIENT_STREAM,
    NOTHING,
    add_gradient,
    add_noise,
    add_small_gradient,
    add_small_noise,
    in_single,
)
from .cuda_kernels import (
    BLOCKS_PER_MULTIPROCESSOR,
    PARTS,
    ROW,
    THREADS,
    U_CHUNK,
    U_GROUPS,
    U_LANES,
    U_ONE,
    U_ROUND,
    U_SLOTS,
    U_SMALL,
    U_STATE,
    U_SUMS,
    U_THREADS,
    U_ZERO,
    WARP_COUNTS,
    add_chunk,
    finish_layer,
    fold_slots,
    group_normals,
    sum_layer,
)
from .physics import LIVE, NONE_LEFT, STATE
from .sums import AIM, F_ZERO, SUMS, TOTALS, ZERO, double, single
from .way_back import COEFFICIENTS, GRADIENT

BLOCKS_BACK = 4
"""Blocks that are to fit into a multiprocessor on the way back: at most 128 registers a thread."""

_u32, _u64 = np.uint32, np.uint64
START = (F_ZERO,) * SUMS + (ZERO,)


@njit(forceinline=True)
def fresh_normals(stream, group, trial_word, layer_word, key0, key1):
    """Return the fresh normals of a group's two nodes: two of the one, then of the other."""
    w0, w1, w2, w3 = philox(counter_word0(group, stream), ROW, trial_word, layer_word, key0, key1)
    n1, n2 = normal_pair(_u32(w0), _u32(w1))
    n3, n4 = normal_pair(_u32(w2), _u32(w3))
    return n1, n2, n3, n4


@njit(forceinline=True)
def _eight_normals(physics, group, trial_word, layer_word):
    """Return the four normals of a group's first node, then of its second."""
    key0, key1 = physics.key0, physics.key1
    z1, z2, z3, z4 = group_normals(group, trial_word, layer_word, key0, key1)
    n1, n2, n3, n4 = fresh_normals(GRADIENT_STREAM, group, trial_word, layer_word, key0, key1)
    return (z1, z2, n1, n2), (z3, z4, n3, n4)


@njit(forceinline=True)
def _add(second, s, node, aim, c):
    """Return a lane's sums with one node added, of the first or the second pass."""
    if second:
        return add_gradient(s, node[0], node[1], node[2], node[3], aim, c)
    return add_noise(s, node[0], node[1], node[2], node[3], aim, c)


@njit(forceinline=True)
def _sum_slot_back(physics, second, thread, width, words, given, coefficients, parts):
    """Sum a thread's lane of the chunks of its slot into `parts`, in float32 by chunks."""
    trial_word, layer_word = words
    cotangent, scale = single(given)
    aim, c = (cotangent, scale, slopes_in_single(physics.slopes)), in_single(coefficients)
    at = thread
    while at < PARTS:
        parts[at] = 0.0
        at = _u32(at + U_THREADS)
    lane, chunk = _u32(thread % U_LANES), _u32(thread // U_LANES)
    while chunk * U_CHUNK < width:
        group = _u32(chunk * U_GROUPS + lane)
        left = _u32(min(U_CHUNK, _u32(width - chunk * U_CHUNK)))
        s = START
        while left > lane:
            one, other = _eight_normals(physics, group, trial_word, layer_word)
            s = _add(second, s, one, aim, c)
            if lane + U_LANES < left:
                s = _add(second, s, other, aim, c)
            group = _u32(group + U_LANES)
            left = _u32(left - min(left, U_ROUND))
        add_chunk(s, thread, parts)
        chunk = _u32(chunk + U_SLOTS)


@njit(forceinline=True)
def _sum_small_lane_back(physics, second, lane, width, words, given, c, parts):
    """Sum a lane of a layer below 64 nodes in float64 into `parts`."""
    trial_word, layer_word = words
    cotangent, scale = double(given)
    aim = cotangent, scale, physics.slopes
    s = NOTHING
    node = lane
    while node < width:
        group = _u32(node // U_ROUND * U_LANES + lane)
        one, other = _eight_normals(physics, group, trial_word, layer_word)
        s = _add_small(second, s, one, aim, c)
        if node + U_LANES < width:
            s = _add_small(second, s, other, aim, c)
        node = _u32(node + U_ROUND)
    for i in range(SUMS):
        parts[_u32(_u32(i) * U_LANES + lane)] = s[i]


@njit(forceinline=True)
def _add_small(second, s, node, aim, c):
    """Return `_add` in float64."""
    z1, z2, n1, n2 = (
        np.float64(node[0]),
        np.float64(node[1]),
        np.float64(node[2]),
        np.float64(node[3]),
    )
    if second:
        return add_small_gradient(s, z1, z2, n1, n2, aim, c)
    return add_small_noise(s, z1, z2, n1, n2, aim, c)


@njit(forceinline=True)
def _fold(thread, lanes, stride, parts, totals):
    """Add the lanes of one of the eight sums, in order."""
    total = 0.0
    lane = U_ZERO
    while lane < lanes:
        total += parts[_u32(thread * stride + lane)]
        lane = _u32(lane + U_ONE)
    totals[thread] = total


@cuda.jit(device=True, forceinline=True)
def _sum_back(physics, second, thread, width, words, aim, c, parts, totals):
    """Draw a layer and write its eight sums of the first or the second pass to `totals`."""
    if width < U_SMALL:
        if thread < U_LANES:
            _sum_small_lane_back(physics, second, thread, width, words, aim, c, parts)
        cuda.syncthreads()
        if thread < U_SUMS:
            _fold(thread, min(U_LANES, width), U_LANES, parts, totals)
    else:
        _sum_slot_back(physics, second, thread, width, words, aim, c, parts)
        cuda.syncthreads()
        fold_slots(thread, parts)
        cuda.syncthreads()
        if thread < U_SUMS:
            _fold(thread, U_LANES, U_THREADS, parts, totals)
    cuda.syncthreads()


@kernel(launch_bounds=(THREADS, BLOCKS_PER_MULTIPROCESSOR), lto=False, cache=True)
def there(physics, widths, first_trial, forward, states, traces, rows):
    """Take consecutive trials through all layers, and keep what the way back needs.

    As `cuda_kernels.advance`. `traces` is written, shape (trial, layer, TRACE); of `rows` the first
    `forward` columns.
    """
    thread, block = _u32(cuda.threadIdx.x), _u32(cuda.blockIdx.x)
    state = cuda.shared.array(STATE, types.float64)
    aim = cuda.shared.array(AIM, types.float64)
    totals = cuda.shared.array(TOTALS, types.float64)
    parts = cuda.shared.array(PARTS, types.float64)
    counts = cuda.shared.array(WARP_COUNTS, types.int32)
    trial = _u64(_u64(first_trial) + _u64(block))
    trial_word = _u64(trial & LOW)
    if thread < U_STATE:
        state[thread] = states[block, thread]
    cuda.syncthreads()
    layer = U_ZERO
    while layer < _u32(rows.shape[1]):
        width = _u32(widths[layer])
        layer_word = counter_word3(_u64(layer) + _u64(U_ONE), trial)
        if thread == U_ZERO:
            pair_physics.take_aim(state, aim)
        cuda.syncthreads()
        if state[LIVE] > NONE_LEFT:
            sum_layer(physics, thread, width, trial_word, layer_word, aim, parts, counts, totals)
        cuda.syncthreads()
        if thread == U_ZERO:
            way_back.keep(physics, width, state, totals, traces[block, layer])
        cuda.syncthreads()
        finish_layer(physics, thread, width, totals, state, rows[block, layer, :forward])
        layer = _u32(layer + U_ONE)


@kernel(launch_bounds=(THREADS, BLOCKS_BACK), lto=False, cache=True)
def and_back(physics, widths, first_trial, forward, variates, traces, rows):
    """Take the gradients of consecutive trials from the last layer to the first.

    Written: the columns of `rows` from `forward` on, as `cpu_back_kernels.there_and_back` does.
    """
    thread, block = _u32(cuda.threadIdx.x), _u32(cuda.blockIdx.x)
    gradient = cuda.shared.array(GRADIENT, types.float64)
    coefficients = cuda.shared.array(COEFFICIENTS, types.float64)
    bias = cuda.shared.array(2, types.float64)
    directions = cuda.shared.array((2, 3), types.float64)
    aim = cuda.shared.array(AIM, types.float64)
    totals = cuda.shared.array(SUMS, types.float64)
    parts = cuda.shared.array(PARTS, types.float64)
    trial = _u64(_u64(first_trial) + _u64(block))
    trial_word = _u64(trial & LOW)
    if thread < _u32(GRADIENT):
        gradient[thread] = 0.0
    cuda.syncthreads()
    depth = _u32(rows.shape[1])
    layer = depth
    while layer > U_ZERO:
        words = trial_word, counter_word3(_u64(layer), trial)
        layer = _u32(layer - U_ONE)
        width, last = _u32(widths[layer]), layer + U_ONE == depth
        trace = traces[block, layer]
        alive = trace[LIVE] > NONE_LEFT if last else not way_back.vanishes(gradient)
        cuda.syncthreads()
        if alive:
            if thread == U_ZERO:
                pair_physics.take_aim(trace, aim)
                if last:
                    way_back.read_out(width, coefficients, gradient)
                else:
                    n1, n2, _, _ = fresh_normals(
                        BIAS_STREAM, U_ZERO, words[0], words[1], physics.key0, physics.key1
                    )
                    bias[0], bias[1] = n1, n2
                    above = traces[block, layer + U_ONE]
                    way_back.aim_noise(trace, above, gradient, coefficients)
            cuda.syncthreads()
            if not last:
                _sum_back(physics, False, thread, width, words, aim, coefficients, parts, totals)
                if thread == U_ZERO:
                    above = traces[block, layer + U_ONE]
                    way_back.aim_back(
                        physics,
                        width,
                        trace,
                        above,
                        totals,
                        bias,
                        gradient,
                        directions,
                        coefficients,
                    )
                cuda.syncthreads()
            _sum_back(physics, True, thread, width, words, aim, coefficients, parts, totals)
            if thread < U_SUMS:
                gradient[thread] = totals[thread]
        cuda.syncthreads()
        if thread == U_ZERO:
            below = _u32(layer - U_ONE) if layer > U_ZERO else U_ZERO
            nodes = widths[below] if layer > U_ZERO else 0
            way_back.observe_back(
                physics, nodes, trace, traces[block, below], gradient, rows[block, layer, forward:]
            )
        cuda.syncthreads()
    if thread == U_ZERO:
        own = rows[block, :, forward:]
        way_back.add_up(own)
        control.subtract(variates, own)

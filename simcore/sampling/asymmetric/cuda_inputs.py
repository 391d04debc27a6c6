"""Kernel for CUDA that draws the inputs of `rai` and `raai` (`random_inputs.draw_pair`).

Below are also the views of a layer's nodes and the sums in the CPU's order that `cuda_kernels`
needs, too.
"""

from __future__ import annotations

import math

import numpy as np
from numba import cuda, njit, types

from simcore.numerics.arithmetic import fma64, times
from simcore.numerics.lanes import LANES
from simcore.numerics.rng import LOW, counter_word0, counter_word3, normal_pair, philox
from simcore.sampling.cuda.kernels import kernel
from simcore.sampling.pair.cuda_kernels import THREADS, U_LANES, U_ONE, U_THREADS, U_WARP, U_ZERO
from simcore.sampling.random_inputs import COLUMNS, INPUT_STREAM

from . import physics as moves
from .nodes import R2, RX, X2
from .physics import DEVICE_HEAD

__all__ = ["THREADS", "begin", "nodes_of", "ordered_sum"]

BLOCKS_PER_MULTIPROCESSOR = 5
"""At least so many are to fit; it bounds the registers of a thread by 96."""

TWICE_LANES = 2 * LANES
_f64, _u32, _u64 = np.float64, np.uint32, np.uint64
U_TWO, U_COLUMNS, U_SLOPE = _u32(2), _u32(COLUMNS), _u32(moves.SLOPE)
U_NODES = _u32(DEVICE_HEAD)
U_X2, U_RX, U_R2 = _u32(X2), _u32(RX), _u32(R2)
STATE_THREAD = _u32(96)
"""A thread of a warp of its own."""

ROW, ROW_1 = _u64(0), _u64(1)


@njit(forceinline=True)
def nodes_of(carried, block, layer):
    """Return x and r of a layer: views of what a trial carries."""
    room = _u32((carried.shape[1] - DEVICE_HEAD) // 4)
    start = _u32(U_NODES + _u32(layer % U_TWO) * U_TWO * room)
    end = _u32(start + U_TWO * room)
    return carried[block, start:end:2], carried[block, start + U_ONE : end : 2]


@njit(forceinline=True)
def ordered_sum(which, n, x, r):
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
def _draw_components(thread, n, row, trial_word, layer_word, key0, key1, out):
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
def _lane_sum(lane, n, a):
    at, total = lane, 0.0
    while at < n:
        total += a[at]
        at = _u32(at + U_LANES)
    return total


@njit(forceinline=True)
def _lane_product(lane, n, a, b):
    at, total = lane, 0.0
    while at < n:
        total += times(a[at], b[at])
        at = _u32(at + U_LANES)
    return total


@njit(forceinline=True)
def _fold(lanes, first):
    other, total = U_ZERO, 0.0
    while other < U_LANES:
        total += lanes[_u32(first + other)]
        other = _u32(other + U_ONE)
    return total


@njit(forceinline=True)
def _centre(thread, n, lanes, x, r):
    """Subtract the means, of which `lanes` has the sums, from a thread's share of components."""
    mean_x, mean_r = _fold(lanes, U_ZERO) / n, _fold(lanes, U_LANES) / n
    at = thread
    while at < n:
        x[at] -= mean_x
        r[at] -= mean_r
        at = _u32(at + U_THREADS)


@njit(forceinline=True)
def _part(thread, n, lanes, x, r):
    """Subtract from r its part along x; `lanes` has the sums of xr and x²."""
    overlap = _fold(lanes, U_ZERO) / _fold(lanes, U_LANES)
    at = thread
    while at < n:
        r[at] -= times(overlap, x[at])
        at = _u32(at + U_THREADS)


@njit(forceinline=True)
def _stretch(physics, thread, n, lanes, x, r):
    """Give x its length, and r that of the inputs; `lanes` has the sums of x² and r²."""
    length = math.sqrt(times(physics.q0, _f64(n)))
    scale_x = length / math.sqrt(_fold(lanes, U_ZERO))
    scale_r, across = (
        length / math.sqrt(_fold(lanes, U_LANES)),
        moves.input_across(physics.distance),
    )
    at = thread
    while at < n:
        x[at] = times(x[at], scale_x)
        r[at] = times(times(r[at], scale_r), across)
        at = _u32(at + U_THREADS)


@kernel(launch_bounds=(THREADS, BLOCKS_PER_MULTIPROCESSOR), lto=False, cache=True)
def begin(physics, size, first_trial, carried):
    """Draw the inputs of trials, of `size` components, one block of `THREADS` for each.

    Written: `carried`, (trial, DEVICE_HEAD + 4 · room), room for more than `size` nodes: the state,
    but in its columns from SLOPE on the sums X1 … R2, and (x, r) of the inputs in the first half of
    the rest.
    """
    thread, block, n = _u32(cuda.threadIdx.x), _u32(cuda.blockIdx.x), _u32(size)
    lanes = cuda.shared.array(TWICE_LANES, types.float64)
    trial = _u64(_u64(first_trial) + _u64(block))
    trial_word, layer_word = _u64(trial & LOW), counter_word3(_u64(U_ZERO), trial)
    x, r = nodes_of(carried, block, U_ZERO)
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
        carried[block, U_SLOPE + thread] = ordered_sum(thread, n, x, r)
    elif thread == STATE_THREAD:
        moves.begin_state(physics.distance, carried[block])

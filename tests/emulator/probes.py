"""Kernels of the tests: the generator alone, and the inner loop alone, from the same functions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda

from simcore.numerics.lanes import LANES
from simcore.numerics.rng import Stream, counter_word0, counter_word3, philox
from simcore.sampling.pair.cuda_kernels import group_normals, lane_chunk

_u32, _u64, _f32 = np.uint32, np.uint64, np.float32
PAIR = _u64(Stream.PAIR)
SUMS = 9
STEP = _u32(LANES)


@cuda.jit
def words(trial: Any, layer: Any, row: Any, key0: Any, key1: Any, out: Any) -> None:
    """Write the four words of a group to out[word, group]; a thread for each group."""
    group = cuda.grid(1)
    if group < out.shape[1]:
        w0, w1, w2, w3 = philox(
            counter_word0(group, PAIR),
            row,
            _u64(trial & _u64(0xFFFFFFFF)),
            counter_word3(layer, trial),
            key0,
            key1,
        )
        out[0, group] = _u32(w0)
        out[1, group] = _u32(w1)
        out[2, group] = _u32(w2)
        out[3, group] = _u32(w3)


@cuda.jit
def normals(trial: Any, layer: Any, key0: Any, key1: Any, out: Any) -> None:
    """Write the four normals of a group to out[which, group]."""
    group = cuda.grid(1)
    if group < out.shape[1]:
        z1, z2, z3, z4 = group_normals(
            group, _u64(trial & _u64(0xFFFFFFFF)), counter_word3(layer, trial), key0, key1
        )
        out[0, group] = z1
        out[1, group] = z2
        out[2, group] = z3
        out[3, group] = z4


@cuda.jit
def generator(rounds: Any, word2: Any, word3: Any, key0: Any, key1: Any, out: Any) -> None:
    """Add up normals, two nodes in each pass of its only loop: four additions beside the draws."""
    thread = _u32(cuda.threadIdx.x)
    group, left = thread, rounds
    a = b = c = d = _f32(0.0)
    while left > 0:
        z1, z2, z3, z4 = group_normals(group, word2, word3, key0, key1)
        a = _f32(a + z1)
        b = _f32(b + z2)
        c = _f32(c + z3)
        d = _f32(d + z4)
        group = _u32(group + STEP)
        left = _u32(left - _u32(1))
    out[0, thread] = a
    out[1, thread] = b
    out[2, thread] = c
    out[3, thread] = d


@cuda.jit
def inner_loop(
    nodes: Any, word2: Any, word3: Any, key0: Any, key1: Any, cotangent: Any, scale: Any, out: Any
) -> None:
    """Draw and sum whole rounds of a lane, two nodes in each pass of its only loop."""
    thread = _u32(cuda.threadIdx.x)
    whole = _u32(_u32(nodes // _u32(32)) * _u32(32))
    s = lane_chunk(thread, thread, whole, word2, word3, key0, key1, (cotangent, scale), ())
    out[0, thread] = s[0]
    out[1, thread] = s[1]
    out[2, thread] = s[2]
    out[3, thread] = s[3]
    out[4, thread] = s[4]
    out[5, thread] = s[5]
    out[6, thread] = s[6]
    out[7, thread] = s[7]
    out[8, thread] = _f32(s[8])

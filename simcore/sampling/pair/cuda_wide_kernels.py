"""Kernels for CUDA that sum one wide layer of few trials with many thread blocks for each trial.

`sum_chunks` draws the nodes and leaves the float32 sums of every lane of every chunk in the memory
of the device; `fold_chunks` adds them in the order of `sums`; `finish_wide` ends the layer as
`cuda_kernels.advance` does. No sum depends on how many blocks there are, so no byte does.
"""

from __future__ import annotations

import numpy as np
from numba import cuda, njit, types

from simcore.numerics.lanes import LANES
from simcore.numerics.rng import LOW, counter_word3
from simcore.sampling.cuda.kernels import kernel

from .cuda_kernels import (
    BLOCKS_PER_MULTIPROCESSOR,
    THREADS,
    U_CHUNK,
    U_GROUPS,
    U_LANES,
    U_ONE,
    U_SLOTS,
    U_STATE,
    U_SUMS,
    U_TOTALS,
    U_ZERO,
    finish_layer,
    fold_slots,
    lane_chunk,
)
from .physics import LIVE, NONE_LEFT, STATE, take_aim
from .sums import AIM, BYTE, TOTALS

_f32, _i32, _u32, _u64 = np.float32, np.int32, np.uint32, np.uint64

U_BITS = _u32(8)
"""Distance of the counts in a packed word."""


@njit(forceinline=True)
def _chunks(width):
    """Return how many chunks a layer has."""
    return _u32(_u32(_u32(width) + U_CHUNK - U_ONE) // U_CHUNK)


@kernel(launch_bounds=(THREADS, BLOCKS_PER_MULTIPROCESSOR), lto=False, cache=True)
def sum_chunks(physics, width, first_trial, layer, states, sums, counts):
    """Draw and sum a layer, counted from 0, of trials, a thread for each lane of each chunk.

    The states stay. Written, as `sums.chunk_sums` writes them: `sums`, float32, shape (trial,
    chunk, SUMS · LANES), where there may be room for more chunks than the layer has; `counts`,
    int32, (trial, chunk, LANES), packed.
    """
    aim = cuda.shared.array(AIM, types.float64)
    thread, chunks = _u32(cuda.threadIdx.x), _chunks(width)
    blocks = _u32(_u32(chunks + U_SLOTS - U_ONE) // U_SLOTS)
    place = _u32(_u32(cuda.blockIdx.x) // blocks)
    lane = _u32(thread % U_LANES)
    chunk = _u32(_u32(_u32(cuda.blockIdx.x) % blocks) * U_SLOTS + thread // U_LANES)
    if thread == U_ZERO:
        take_aim(states[place], aim)
    cuda.syncthreads()
    if states[place, LIVE] == NONE_LEFT or chunk >= chunks:
        return
    trial = _u64(_u64(first_trial) + _u64(place))
    s = lane_chunk(
        _u32(chunk * U_GROUPS + lane),
        lane,
        _u32(min(U_CHUNK, _u32(_u32(width) - chunk * U_CHUNK))),
        _u64(trial & LOW),
        counter_word3(_u64(layer) + _u64(U_ONE), trial),
        physics.key0,
        physics.key1,
        aim,
        physics.slopes,
    )
    sums[place, chunk, lane] = s[0]
    sums[place, chunk, _u32(lane + U_LANES)] = s[1]
    sums[place, chunk, _u32(lane + 2 * LANES)] = s[2]
    sums[place, chunk, _u32(lane + 3 * LANES)] = s[3]
    sums[place, chunk, _u32(lane + 4 * LANES)] = s[4]
    sums[place, chunk, _u32(lane + 5 * LANES)] = s[5]
    sums[place, chunk, _u32(lane + 6 * LANES)] = s[6]
    sums[place, chunk, _u32(lane + 7 * LANES)] = s[7]
    counts[place, chunk, lane] = s[8]


@kernel(lto=False, cache=True)
def fold_chunks(width, sums, counts, totals):
    """Add the chunks of a layer in order, a thread block for each sum and each count of a trial.

    Written: `totals`, shape (trial, TOTALS).
    """
    parts = cuda.shared.array(THREADS, types.float64)
    thread, chunks = _u32(cuda.threadIdx.x), _chunks(width)
    place = _u32(_u32(cuda.blockIdx.x) // U_TOTALS)
    which = _u32(_u32(cuda.blockIdx.x) % U_TOTALS)
    lane, chunk = _u32(thread % U_LANES), _u32(thread // U_LANES)
    total = 0.0
    if which < U_SUMS:
        at = _u32(which * U_LANES + lane)
        while chunk < chunks:
            total += np.float64(sums[place, chunk, at])
            chunk = _u32(chunk + U_SLOTS)
    else:
        shift = _i32(_u32(which - U_SUMS) * U_BITS)
        while chunk < chunks:
            total += np.float64(_i32(counts[place, chunk, lane] >> shift) & BYTE)
            chunk = _u32(chunk + U_SLOTS)
    parts[thread] = total
    cuda.syncthreads()
    if thread < U_LANES:
        fold_slots(thread, parts)
    cuda.syncthreads()
    if thread == U_ZERO:
        total = 0.0
        lane = U_ZERO
        while lane < U_LANES:
            total += parts[lane]
            lane = _u32(lane + U_ONE)
        totals[place, which] = total


@kernel(lto=False, cache=True)
def finish_wide(physics, width, j, states, totals, rows):
    """Observe a layer and move on, a thread block for each trial: the end of a layer of `advance`.

    Written, from the totals of `fold_chunks`: rows[:, j].
    """
    state = cuda.shared.array(STATE, types.float64)
    sums = cuda.shared.array(TOTALS, types.float64)
    thread, place = _u32(cuda.threadIdx.x), _u32(cuda.blockIdx.x)
    if thread < U_STATE:
        state[thread] = states[place, thread]
    if thread < U_TOTALS:
        sums[thread] = totals[place, thread]
    cuda.syncthreads()
    finish_layer(physics, thread, _u32(width), sums, state, rows[place, _u32(j)])
    if thread < U_STATE:
        states[place, thread] = state[thread]

"""Kernels for CUDA that reduce rows of observables on the device.

The counterparts of `moments.collect`, `finish_block` and `join_blocks` on the CPU, with the same
functions of single numbers and the same bytes. One thread finds each number, trial by trial in
order. Threads share only the counts of histograms, integers whose sum has no order.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import cuda, njit, types

from simcore.statistics.blocks import BLOCK
from simcore.statistics.moments import (
    add_product,
    add_square,
    add_value,
    bin_edges,
    bin_of,
    join_weights,
    joined,
    joined_mean,
    joined_product,
    mean_of,
)

from .kernels import kernel

THREADS = 128
_i32, _u32 = np.int32, np.uint32

# Indices are unsigned and their constants typed: Python's negative indices cost instructions.
U_ZERO, U_ONE, U_TWO = _u32(0), _u32(1), _u32(2)
TRIALS, U_THREADS = _u32(BLOCK), _u32(THREADS)
NO, YES = _i32(0), _i32(1)


class Places(NamedTuple):
    """Destinations of the rows of a launch, −1 for nowhere.

    A column's number among those that have a histogram, a covariance, a kept trajectory, (column,);
    a layer's number among those whose covariance is kept, (layer,).
    """

    histogram: Any
    covariance: Any
    kept: Any
    layers: Any


@njit(forceinline=True)
def _own(block, thread, numbers):
    """Return the block of trials of a thread, and the index of its own number among `numbers`.

    A block of trials has as many thread blocks as its numbers take; some threads have none.
    """
    tiles = _u32(_u32(numbers + U_THREADS - U_ONE) // U_THREADS)
    return _u32(block // tiles), _u32(_u32(block % tiles) * U_THREADS + thread)


@njit(forceinline=True)
def _begin_histogram(histogram, bins, place, first, moments):
    """Set the counts of a histogram to 0, and lay its bins where `first` is not 0."""
    layer, number = place
    each, many = U_ZERO, _u32(histogram.shape[2])
    while each < many:
        histogram[layer, number, each] = U_ZERO
        each = _u32(each + U_ONE)
    if first != 0:
        count, mean, m2 = moments
        lower, width = bin_edges(count, mean, m2, _i32(many - U_TWO))
        bins.lower[layer, number] = lower
        bins.width[layer, number] = width


@kernel(lto=False, cache=True)
def collect(rows, places, first, moments, bins, histogram, values, kept):
    """Find the moments of the blocks of a launch, a thread for each column of a layer of a block.

    `rows` has shape (trial, layer, column); NaN is left out. `first` is 1 where the launch's first
    block is the point's block 0, which lays the bins; else 0. Written: `moments`, with a leading
    block axis, those of layers and columns; `bins`, (layer, histogram), for block 0; `histogram`,
    (layer, histogram, bins + 2), set to no counts; `values`, those behind the covariances, (block,
    observable, trial, chosen layer); `kept`, (trial, layer, kept observable).
    """
    columns = _u32(rows.shape[2])
    numbers = _u32(_u32(rows.shape[1]) * columns)
    block, own = _own(_u32(cuda.blockIdx.x), _u32(cuda.threadIdx.x), numbers)
    if own >= numbers:
        return
    layer, column = _u32(own // columns), _u32(own % columns)
    begin = _u32(block * TRIALS)
    end = _u32(min(_u32(begin + TRIALS), _u32(rows.shape[0])))
    count = total = m2 = 0.0
    trial = begin
    while trial < end:
        count, total = add_value(count, total, rows[trial, layer, column])
        trial = _u32(trial + U_ONE)
    mean = mean_of(count, total)
    trial = begin
    while trial < end:
        m2 = add_square(m2, rows[trial, layer, column], mean)
        trial = _u32(trial + U_ONE)
    moments.count[block, layer, column] = count
    moments.mean[block, layer, column] = mean
    moments.m2[block, layer, column] = m2
    place = places.histogram[column]
    if block == U_ZERO and place >= 0:
        _begin_histogram(histogram, bins, (layer, _u32(place)), first, (count, mean, m2))
    place = places.kept[column]
    if place >= 0:
        trial = begin
        while trial < min(end, _u32(kept.shape[0])):
            kept[trial, layer, _u32(place)] = rows[trial, layer, column]
            trial = _u32(trial + U_ONE)
    place, chosen = places.covariance[column], places.layers[layer]
    if place >= 0 and chosen >= 0:
        trial = begin
        while trial < end:
            values[block, _u32(place), _u32(trial - begin), _u32(chosen)] = rows[
                trial, layer, column
            ]
            trial = _u32(trial + U_ONE)


@kernel(lto=False, cache=True)
def count_bins(rows, columns, bins, histogram):
    """Add the rows of a launch to counts, a thread for each histogram of a layer of a block.

    `columns` are those that have a histogram; shapes as for `collect`.
    """
    many = _u32(columns.shape[0])
    numbers = _u32(_u32(rows.shape[1]) * many)
    block, own = _own(_u32(cuda.blockIdx.x), _u32(cuda.threadIdx.x), numbers)
    if own >= numbers:
        return
    layer, place = _u32(own // many), _u32(own % many)
    column = _u32(columns[place])
    lower, width = bins.lower[layer, place], bins.width[layer, place]
    last = _i32(histogram.shape[2]) - YES
    trial = _u32(block * TRIALS)
    end = _u32(min(_u32(trial + TRIALS), _u32(rows.shape[0])))
    while trial < end:
        x = rows[trial, layer, column]
        if x == x:
            b = _u32(bin_of(x, lower, width, last))
            cuda.atomic.add(histogram, (layer, place, b), U_ONE)
        trial = _u32(trial + U_ONE)


@kernel(lto=False, cache=True)
def finish_blocks(values, trials, moments):
    """Find the co-moments of blocks, a thread block for each observable of each.

    `values` is from `collect`; only the last block of the `trials` may be partial. The covariances
    of `moments` are written, with a leading block axis.
    """
    complete = cuda.shared.array(BLOCK, types.int32)
    observables, chosen = _u32(values.shape[1]), _u32(values.shape[3])
    thread = _u32(cuda.threadIdx.x)
    block = _u32(_u32(cuda.blockIdx.x) // observables)
    i = _u32(_u32(cuda.blockIdx.x) % observables)
    end = _u32(min(TRIALS, _u32(_u32(trials) - block * TRIALS)))
    if thread < end:
        defined = YES
        j = U_ZERO
        while j < chosen:
            x = values[block, i, thread, j]
            if x != x:
                defined = NO
            j = _u32(j + U_ONE)
        complete[thread] = defined
    cuda.syncthreads()
    count = 0.0
    trial = U_ZERO
    while trial < end:
        count += 1.0 if complete[trial] == YES else 0.0
        trial = _u32(trial + U_ONE)
    if thread == U_ZERO:
        moments.cov_count[block, i] = count
    j = thread
    while j < chosen:
        total = 0.0
        trial = U_ZERO
        while trial < end:
            if complete[trial] == YES:
                total += values[block, i, trial, j]
            trial = _u32(trial + U_ONE)
        moments.cov_mean[block, i, j] = mean_of(count, total)
        j = _u32(j + U_THREADS)
    cuda.syncthreads()
    own = thread
    while own < chosen * chosen:
        j, k = _u32(own // chosen), _u32(own % chosen)
        mean_j, mean_k = moments.cov_mean[block, i, j], moments.cov_mean[block, i, k]
        m2 = 0.0
        trial = U_ZERO
        while trial < end:
            if complete[trial] == YES:
                dj = values[block, i, trial, j] - mean_j
                m2 = add_product(m2, dj, values[block, i, trial, k] - mean_k)
            trial = _u32(trial + U_ONE)
        moments.cov_m2[block, i, j, k] = m2
        own = _u32(own + U_THREADS)


@kernel(lto=False, cache=True)
def join_moments(moments, step):
    """Fold each block at an odd multiple of `step` into the one `step` before it.

    A thread for each column of a layer of each such pair: one level of the tree of `join_blocks`.
    """
    columns = _u32(moments.count.shape[2])
    numbers = _u32(_u32(moments.count.shape[1]) * columns)
    pair, own = _own(_u32(cuda.blockIdx.x), _u32(cuda.threadIdx.x), numbers)
    if own >= numbers:
        return
    a = _u32(pair * _u32(U_TWO * _u32(step)))
    b = _u32(a + _u32(step))
    layer, column = _u32(own // columns), _u32(own % columns)
    count, mean, m2 = joined(
        moments.count[a, layer, column],
        moments.mean[a, layer, column],
        moments.m2[a, layer, column],
        moments.count[b, layer, column],
        moments.mean[b, layer, column],
        moments.m2[b, layer, column],
    )
    moments.count[a, layer, column] = count
    moments.mean[a, layer, column] = mean
    moments.m2[a, layer, column] = m2


@kernel(lto=False, cache=True)
def join_covariances(moments, step):
    """Join co-moments likewise, a thread block for each observable of a pair of blocks."""
    observables, chosen = _u32(moments.cov_mean.shape[1]), _u32(moments.cov_mean.shape[2])
    thread = _u32(cuda.threadIdx.x)
    a = _u32(_u32(_u32(cuda.blockIdx.x) // observables) * _u32(U_TWO * _u32(step)))
    b = _u32(a + _u32(step))
    i = _u32(_u32(cuda.blockIdx.x) % observables)
    na, nb = moments.cov_count[a, i], moments.cov_count[b, i]
    if nb == 0.0:
        return
    n, weight, share = join_weights(na, nb)
    own = thread
    while own < chosen * chosen:
        j, k = _u32(own // chosen), _u32(own % chosen)
        moments.cov_m2[a, i, j, k] = joined_product(
            moments.cov_m2[a, i, j, k],
            moments.cov_m2[b, i, j, k],
            moments.cov_mean[b, i, j] - moments.cov_mean[a, i, j],
            moments.cov_mean[b, i, k] - moments.cov_mean[a, i, k],
            weight,
        )
        own = _u32(own + U_THREADS)
    cuda.syncthreads()
    j = thread
    while j < chosen:
        mean = joined_mean(moments.cov_mean[a, i, j], moments.cov_mean[b, i, j], share)
        moments.cov_mean[a, i, j] = mean
        j = _u32(j + U_THREADS)
    if thread == U_ZERO:
        moments.cov_count[a, i] = n

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
from .pieces import (
    BLOCKS,
    FIRST_KEPT,
    KEEPS,
    LAYS,
    OPENS,
    PART,
    PLACE,
    REST,
    TRIALS,
)

THREADS = 128
_i32, _u32 = np.int32, np.uint32

# Indices are unsigned and their constants typed: Python's negative indices cost instructions.
U_ZERO, U_ONE, U_TWO = _u32(0), _u32(1), _u32(2)
U_THREADS, U_BLOCK = _u32(THREADS), _u32(BLOCK)
NO, YES = _i32(0), _i32(1)


class Places(NamedTuple):
    """Destinations of the columns and layers of a launch, −1 for nowhere.

    A column's number among those that have a histogram, a covariance, a kept trajectory, (column,);
    a layer's number among those whose covariance is kept, (layer,).
    """

    histogram: Any
    covariance: Any
    kept: Any
    layers: Any


class Record(NamedTuple):
    """The moments of a block in one row of numbers.

    They are count, mean and m2 of each of `numbers` columns of layers, then the counts of all
    `observables`, their means and their sums of products of `chosen` layers.
    """

    numbers: int
    observables: int
    chosen: int

    @property
    def size(self) -> int:
        """Numbers in a row."""
        return 3 * self.numbers + self.observables * (1 + self.chosen + self.chosen**2)


@njit(forceinline=True)
def _covariance_at(record, i):
    """Return where the count of a covariance is, where its means begin, and its products."""
    many, chosen = _u32(record.observables), _u32(record.chosen)
    count_at = _u32(_u32(3) * _u32(record.numbers) + i)
    means = _u32(count_at - i + many + i * chosen)
    return count_at, means, _u32(count_at - i + many * (U_ONE + chosen) + i * chosen * chosen)


@njit(forceinline=True)
def _own(block, thread, numbers):
    """Return the unit of a thread, a block of trials or a part, and its number among `numbers`.

    A unit has as many thread blocks as its numbers take; some threads have none.
    """
    tiles = _u32(_u32(numbers + U_THREADS - U_ONE) // U_THREADS)
    return _u32(block // tiles), _u32(_u32(block % tiles) * U_THREADS + thread)


@njit(forceinline=True)
def _block_at(part, number, rest):
    """Return the place in `moments` of a block of a part: blocks 0 of all parts come first."""
    return part if number == U_ZERO else _u32(rest + number)


@njit(forceinline=True)
def _begin_histogram(histogram, bins, place, lays, moments):
    """Set the counts of a histogram to 0, and lay its bins where `lays` is not 0."""
    part, layer, number = place
    each, many = U_ZERO, _u32(histogram.shape[3])
    while each < many:
        histogram[part, layer, number, each] = U_ZERO
        each = _u32(each + U_ONE)
    if lays != 0:
        count, mean, m2 = moments
        lower, width = bin_edges(count, mean, m2, _i32(many - U_TWO))
        bins.lower[part, layer, number] = lower
        bins.width[part, layer, number] = width


@kernel(lto=False, cache=True)
def collect(rows, blocks, places, moments, bins, histogram, values, kept):
    """Find the moments of the blocks of a launch, a thread for each column of a layer of a block.

    `rows` has shape (row, layer, column), 64 rows for each block; NaN is left out. `blocks` says
    what is in them (`pieces`). Written: `moments`, (place, number), a `Record` for each block, but
    for its covariances; `bins`, (part, layer, histogram), by a block 0 of a point; `histogram`,
    (part, layer, histogram, bins + 2), set to no counts; `values`, those behind the covariances,
    (block, observable, trial, chosen layer); `kept`, (trial, layer, kept observable).
    """
    columns = _u32(rows.shape[2])
    numbers = _u32(_u32(rows.shape[1]) * columns)
    block, own = _own(_u32(cuda.blockIdx.x), _u32(cuda.threadIdx.x), numbers)
    if own >= numbers:
        return
    layer, column = _u32(own // columns), _u32(own % columns)
    begin = _u32(block * U_BLOCK)
    end = _u32(begin + _u32(blocks[block, TRIALS]))
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
    at = _u32(blocks[block, PLACE])
    moments[at, own] = count
    moments[at, _u32(own + numbers)] = mean
    moments[at, _u32(own + U_TWO * numbers)] = m2
    place = places.histogram[column]
    if blocks[block, OPENS] != 0 and place >= 0:
        where = (_u32(blocks[block, PART]), layer, _u32(place))
        _begin_histogram(histogram, bins, where, blocks[block, LAYS], (count, mean, m2))
    place = places.kept[column]
    if place >= 0:
        trial, into = U_ZERO, _u32(blocks[block, FIRST_KEPT])
        while trial < _u32(blocks[block, KEEPS]):
            kept[_u32(into + trial), layer, _u32(place)] = rows[_u32(begin + trial), layer, column]
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
def count_bins(rows, blocks, columns, bins, histogram):
    """Add the rows of a launch to counts, a thread for each histogram of a layer of a block.

    `columns` are those that have a histogram; shapes as for `collect`.
    """
    many = _u32(columns.shape[0])
    numbers = _u32(_u32(rows.shape[1]) * many)
    block, own = _own(_u32(cuda.blockIdx.x), _u32(cuda.threadIdx.x), numbers)
    if own >= numbers:
        return
    layer, place = _u32(own // many), _u32(own % many)
    column, part = _u32(columns[place]), _u32(blocks[block, PART])
    lower, width = bins.lower[part, layer, place], bins.width[part, layer, place]
    last = _i32(histogram.shape[3]) - YES
    trial = _u32(block * U_BLOCK)
    end = _u32(trial + _u32(blocks[block, TRIALS]))
    while trial < end:
        x = rows[trial, layer, column]
        if x == x:
            b = _u32(bin_of(x, lower, width, last))
            cuda.atomic.add(histogram, (part, layer, place, b), U_ONE)
        trial = _u32(trial + U_ONE)


@kernel(lto=False, cache=True)
def finish_blocks(values, blocks, record, moments):
    """Find the co-moments of blocks, a thread block for each observable of each.

    `values` is from `collect`. Written: the covariances in `moments`.
    """
    complete = cuda.shared.array(BLOCK, types.int32)
    observables, chosen = _u32(values.shape[1]), _u32(values.shape[3])
    thread = _u32(cuda.threadIdx.x)
    block = _u32(_u32(cuda.blockIdx.x) // observables)
    i = _u32(_u32(cuda.blockIdx.x) % observables)
    end, at = _u32(blocks[block, TRIALS]), _u32(blocks[block, PLACE])
    count_at, means, products = _covariance_at(record, i)
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
        moments[at, count_at] = count
    j = thread
    while j < chosen:
        total = 0.0
        trial = U_ZERO
        while trial < end:
            if complete[trial] == YES:
                total += values[block, i, trial, j]
            trial = _u32(trial + U_ONE)
        moments[at, _u32(means + j)] = mean_of(count, total)
        j = _u32(j + U_THREADS)
    cuda.syncthreads()
    own = thread
    while own < chosen * chosen:
        j, k = _u32(own // chosen), _u32(own % chosen)
        mean_j, mean_k = moments[at, _u32(means + j)], moments[at, _u32(means + k)]
        m2 = 0.0
        trial = U_ZERO
        while trial < end:
            if complete[trial] == YES:
                dj = values[block, i, trial, j] - mean_j
                m2 = add_product(m2, dj, values[block, i, trial, k] - mean_k)
            trial = _u32(trial + U_ONE)
        moments[at, _u32(products + own)] = m2
        own = _u32(own + U_THREADS)


@kernel(lto=False, cache=True)
def join_moments(parts, record, moments):
    """Fold the blocks of each part by the tree of `moments.join_blocks`.

    A thread for each column of a layer of each part takes all levels. `parts` has the number of
    blocks of each, a power of two, and the place in `moments` before that of its block 1.
    """
    numbers = _u32(record.numbers)
    part, own = _own(_u32(cuda.blockIdx.x), _u32(cuda.threadIdx.x), numbers)
    if own >= numbers:
        return
    mean_at, m2_at = _u32(own + numbers), _u32(own + U_TWO * numbers)
    blocks, rest = _u32(parts[part, BLOCKS]), _u32(parts[part, REST])
    step = U_ONE
    while step < blocks:
        number = U_ZERO
        while number < blocks:
            a = _block_at(part, number, rest)
            b = _u32(rest + number + step)
            count, mean, m2 = joined(
                moments[a, own],
                moments[a, mean_at],
                moments[a, m2_at],
                moments[b, own],
                moments[b, mean_at],
                moments[b, m2_at],
            )
            moments[a, own] = count
            moments[a, mean_at] = mean
            moments[a, m2_at] = m2
            number = _u32(number + U_TWO * step)
        step = _u32(U_TWO * step)


@kernel(lto=False, cache=True)
def join_covariances(parts, pairs, step, record, moments):
    """Join co-moments likewise, one level: blocks at odd multiples of `step` with those before.

    A thread block for each observable of each of `pairs` places of each part, some of which have
    none.
    """
    observables, chosen = _u32(record.observables), _u32(record.chosen)
    thread, unit = _u32(cuda.threadIdx.x), _u32(_u32(cuda.blockIdx.x) // observables)
    part, pair = _u32(unit // _u32(pairs)), _u32(unit % _u32(pairs))
    i = _u32(_u32(cuda.blockIdx.x) % observables)
    number = _u32(pair * _u32(U_TWO * _u32(step)))
    if number + _u32(step) >= _u32(parts[part, BLOCKS]):
        return
    rest = _u32(parts[part, REST])
    a, b = _block_at(part, number, rest), _u32(rest + number + _u32(step))
    count_at, means, products = _covariance_at(record, i)
    na, nb = moments[a, count_at], moments[b, count_at]
    if nb == 0.0:
        return
    n, weight, share = join_weights(na, nb)
    own = thread
    while own < chosen * chosen:
        j, k = _u32(means + own // chosen), _u32(means + own % chosen)
        at = _u32(products + own)
        moments[a, at] = joined_product(
            moments[a, at],
            moments[b, at],
            moments[b, j] - moments[a, j],
            moments[b, k] - moments[a, k],
            weight,
        )
        own = _u32(own + U_THREADS)
    cuda.syncthreads()
    j = thread
    while j < chosen:
        at = _u32(means + j)
        moments[a, at] = joined_mean(moments[a, at], moments[b, at], share)
        j = _u32(j + U_THREADS)
    if thread == U_ZERO:
        moments[a, count_at] = n

"""Mergeable statistics over trials: blocks, the tree of moments, histograms, covariances.

Every operation here is one of + − × ÷, done in an order that the block numbers fix. So the bytes of
a result do not depend on threads, on the order of arrival, or on how a run was cut into pieces.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simcore.numerics.arithmetic import times
from simcore.numerics.kernels import njit
from simcore.physics.observables import KEPT, Columns

from .blocks import BLOCK

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.uint32]

SINGLE = Columns()
BIN_REACH = 5.0
"""Half the width of a histogram's equal bins, in standard deviations of the first block."""


class Moments(NamedTuple):
    """Moments of a run of blocks: one node of the tree.

    Arrays of shape (layer, column), and for the covariance of O' columns between C chosen layers
    (O',), (O', C) and (O', C, C). `m2` is the sum of squared deviations from the mean,
    `cov_m2` that of their products. A covariance counts the trials in which every chosen layer is
    defined.
    """

    count: Floats  # type: ignore[assignment] # hides tuple.count, which nobody needs
    mean: Floats
    m2: Floats
    cov_count: Floats
    cov_mean: Floats
    cov_m2: Floats


class Chosen(NamedTuple):
    """The columns that have a histogram, a covariance, a kept trajectory; shape (n,) each."""

    histogram: npt.NDArray[np.int64]
    covariance: npt.NDArray[np.int64]
    kept: npt.NDArray[np.int64]

    @classmethod
    def of(cls, columns: Columns) -> Chosen:
        """Choose as `physics.observables` says."""
        chosen = columns.histogrammed, columns.covariance, KEPT
        return cls(*(np.array(columns.of_pairs(names)) for names in chosen))


class Collector(NamedTuple):
    """Statistics of a task on their way, segment by segment and block by block.

    `moments` has a leading block axis, and block 0 holds the whole task in the end; `histogram` has
    shape (layer, histogram, bins + 2); `first`: the task begins with the point's block 0, which
    fixes the bins; `kept` has the trajectories of the first trials, (trial, layer, kept
    observable); `layers` are those whose covariance is kept, from 0, (C,); `values` is scratch,
    their values in one block, (covariance observable, trial, C).
    """

    moments: Moments
    bins: Bins
    histogram: Counts
    first: bool
    kept: Floats
    layers: npt.NDArray[np.int64]
    values: Floats
    chosen: Chosen


class Bins(NamedTuple):
    """Equal bins of the histograms: lower edge of the first and width, shape (layer, histogram)."""

    lower: Floats
    width: Floats


def moment_shapes(
    layers: int, columns: int, observables: int, covariance_layers: int
) -> list[tuple[int, ...]]:
    """Return the shapes of `Moments`, of so many observables that have a covariance."""
    o, c = observables, covariance_layers
    return [*3 * [(layers, columns)], (o,), (o, c), (o, c, c)]


def empty_moments(layers: int, covariance_layers: int, columns: Columns = SINGLE) -> Moments:
    """Return moments of no trials, which `take_statistics` fills in."""
    observables = len(columns.covariance) * columns.pairs
    shapes = moment_shapes(layers, columns.count, observables, covariance_layers)
    return Moments(*(np.zeros(shape) for shape in shapes))


def zero_histogram(layers: int, bins: int, columns: Columns = SINGLE) -> Counts:
    """Return empty counts, shape (layer, histogram, bins + 2): two open ends."""
    histograms = columns.pairs * len(columns.histogrammed)
    return np.zeros((layers, histograms, bins + 2), dtype=np.uint32)


def standard_errors(moments: Moments) -> tuple[Floats, Floats]:
    """Return std (ddof 1) and the standard error of the mean, shape (layer, column).

    NaN below two trials.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = np.where(moments.count > 1.0, moments.m2 / (moments.count - 1.0), np.nan)
        return np.sqrt(variance), np.sqrt(variance / moments.count)


# --- one number at a time: what a CPU and a GPU share ---------------------------------------------


@njit(inline="always")
def add_value(count, total, x):
    """Return the number and the sum of values with one more; NaN is left out."""
    defined = x == x
    return count + (1.0 if defined else 0.0), total + (x if defined else 0.0)


@njit(inline="always")
def mean_of(count, total):
    """Return the mean of `count` values, 0 of none."""
    return total / (count if count > 1.0 else 1.0)


@njit(inline="always")
def add_square(m2, x, mean):
    """Return a sum of squared deviations with one more; NaN is left out."""
    d = x - mean
    return m2 + (times(d, d) if x == x else 0.0)


@njit(inline="always")
def add_product(m2, dj, dk):
    """Return a sum of products of deviations with one more."""
    return m2 + times(dj, dk)


@njit(inline="always")
def joined(na, mean_a, m2_a, nb, mean_b, m2_b):
    """Return count, mean and m2 of `a` and later trials `b` together (Chan's pairwise update)."""
    both = na + nb
    n = both if both > 1.0 else 1.0
    d = mean_b - mean_a
    m2 = m2_a + m2_b + times(times(d, d), times(na, nb) / n)
    return both, mean_a + times(d, nb / n), m2


@njit(inline="always")
def join_weights(na, nb):
    """Return na + nb > 0, na nb/(na + nb) and nb/(na + nb)."""
    n = na + nb
    return n, times(na, nb) / n, nb / n


@njit(inline="always")
def joined_mean(mean_a, mean_b, share):
    """Return the mean of two parts, of which `b` has the given share."""
    return mean_a + times(mean_b - mean_a, share)


@njit(inline="always")
def joined_product(a, b, dj, dk, weight):
    """Return a sum of products of deviations of two parts whose means differ by dj and dk.

    `weight` is na nb/(na + nb).
    """
    return a + b + times(times(dj, dk), weight)


@njit(inline="always")
def bin_edges(count, mean, m2, inner):
    """Return lower edge and width of `inner` bins over mean ± 5 std; width 0 where std is 0."""
    freedom = count - 1.0
    std = math.sqrt(m2 / (freedom if freedom > 1.0 else 1.0))
    reach = times(BIN_REACH, std)
    return mean - reach, times(2.0, reach) / inner


@njit(inline="always")
def bin_of(x, lower, width, last):
    """Return the bin of x: 0 below, 1 … last − 1, `last` above; of width 0 there is one."""
    if x < lower:
        return 0
    if width == 0.0:
        return 1 if x == lower else last
    place = (x - lower) / width
    return 1 + int(place) if place < last - 1 else last


# --- merging ------------------------------------------------------------------------------------


@njit(nogil=True, cache=True)
def combine(a: Moments, b: Moments) -> None:
    """Fold the moments `b` of later trials into `a`, in place."""
    for i in range(a.cov_count.size):
        if b.cov_count[i] > 0.0:
            n, weight, share = join_weights(a.cov_count[i], b.cov_count[i])
            for j in range(a.cov_mean.shape[1]):
                dj = b.cov_mean[i, j] - a.cov_mean[i, j]
                for k in range(a.cov_mean.shape[1]):
                    dk = b.cov_mean[i, k] - a.cov_mean[i, k]
                    m2 = joined_product(a.cov_m2[i, j, k], b.cov_m2[i, j, k], dj, dk, weight)
                    a.cov_m2[i, j, k] = m2
            for j in range(a.cov_mean.shape[1]):
                a.cov_mean[i, j] = joined_mean(a.cov_mean[i, j], b.cov_mean[i, j], share)
            a.cov_count[i] = n
    for layer in range(a.count.shape[0]):
        for i in range(a.count.shape[1]):
            a.count[layer, i], a.mean[layer, i], a.m2[layer, i] = joined(
                a.count[layer, i],
                a.mean[layer, i],
                a.m2[layer, i],
                b.count[layer, i],
                b.mean[layer, i],
                b.m2[layer, i],
            )


# --- kernels: one block, a segment of layers at a time ------------------------------------------


@njit(nogil=True, cache=True)
def _block(moments: Moments, block: int) -> Moments:
    """Return the moments of one block of a collector, as views."""
    return Moments(
        moments.count[block],
        moments.mean[block],
        moments.m2[block],
        moments.cov_count[block],
        moments.cov_mean[block],
        moments.cov_m2[block],
    )


@njit(nogil=True, cache=True)
def collect(collector, block, layer0, rows):
    """Take in the rows (trial, layer, column) of a block's layers `layer0` … ."""
    chosen = collector.chosen
    take_statistics(
        rows,
        layer0,
        _block(collector.moments, block),
        collector.bins,
        collector.histogram,
        chosen.histogram,
        collector.first and block == 0,
    )
    for t in range(min(rows.shape[0], collector.kept.shape[0] - block * BLOCK)):
        for j in range(rows.shape[1]):
            for i in range(chosen.kept.size):
                collector.kept[block * BLOCK + t, layer0 + j, i] = rows[t, j, chosen.kept[i]]
    for c in range(collector.layers.size):
        j = collector.layers[c] - layer0
        if 0 <= j < rows.shape[1]:
            for i in range(chosen.covariance.size):
                for t in range(rows.shape[0]):
                    collector.values[i, t, c] = rows[t, j, chosen.covariance[i]]


@njit(nogil=True, cache=True)
def finish_block(collector: Collector, block: int, trials: int) -> None:
    """Close a block all of whose layers were collected."""
    take_covariance(collector.values, trials, _block(collector.moments, block))


@njit(nogil=True, cache=True)
def join_blocks(collector: Collector, blocks: int) -> None:
    """Fold a task's 2^m blocks into block 0, by the same binary tree as `MomentTree`."""
    step = 1
    while step < blocks:
        for block in range(0, blocks - step, 2 * step):
            combine(_block(collector.moments, block), _block(collector.moments, block + step))
        step *= 2


@njit(nogil=True, cache=True)
def take_statistics(rows, layer0, moments, bins, histogram, histogrammed, set_bins):
    """Reduce a segment of a block: its moments into `moments`, its counts added to `histogram`.

    `rows` has shape (trial, layer, column), from layer `layer0` on; NaN is left out. The other
    arrays cover all layers; `histogrammed` are the columns that have a histogram. `set_bins`: this
    is block 0, whose moments fix the bins.
    """
    layers = rows.shape[1]
    columns = rows.shape[2]
    count = moments.count[layer0 : layer0 + layers].reshape(layers * columns)
    mean = moments.mean[layer0 : layer0 + layers].reshape(layers * columns)
    m2 = moments.m2[layer0 : layer0 + layers].reshape(layers * columns)
    _block_moments(rows.reshape(rows.shape[0], layers * columns), count, mean, m2)
    if set_bins:
        _set_bins(layer0, layers, moments, bins, histogrammed, histogram.shape[2] - 2)
    for trial in range(rows.shape[0]):
        for layer in range(layers):
            for h in range(histogram.shape[1]):
                x = rows[trial, layer, histogrammed[h]]
                if x == x:
                    lower, width = bins.lower[layer0 + layer, h], bins.width[layer0 + layer, h]
                    b = bin_of(x, lower, width, histogram.shape[2] - 1)
                    histogram[layer0 + layer, h, b] += np.uint32(1)


@njit(nogil=True, cache=True)
def _block_moments(rows, count, mean, m2):
    """Two passes over the trials of a block, each column apart."""
    for i in range(count.size):
        count[i] = 0.0
        mean[i] = 0.0
        m2[i] = 0.0
    for trial in range(rows.shape[0]):
        for i in range(count.size):
            count[i], mean[i] = add_value(count[i], mean[i], rows[trial, i])
    for i in range(count.size):
        mean[i] = mean_of(count[i], mean[i])
    for trial in range(rows.shape[0]):
        for i in range(count.size):
            m2[i] = add_square(m2[i], rows[trial, i], mean[i])


@njit(nogil=True, cache=True)
def _set_bins(layer0, layers, moments, bins, histogrammed, inner):
    """Lay the bins by the moments of the block."""
    for layer in range(layer0, layer0 + layers):
        for h in range(bins.lower.shape[1]):
            column = histogrammed[h]
            bins.lower[layer, h], bins.width[layer, h] = bin_edges(
                moments.count[layer, column],
                moments.mean[layer, column],
                moments.m2[layer, column],
                inner,
            )


@njit(nogil=True, cache=True)
def take_covariance(values: Floats, trials: int, moments: Moments) -> None:
    """Co-moments of a block over the trials in which every chosen layer is defined.

    `values` has shape (observable, trial, chosen layer).
    """
    chosen = values.shape[2]
    for i in range(values.shape[0]):
        n = 0.0
        mean = moments.cov_mean[i]
        m2 = moments.cov_m2[i]
        mean[:] = 0.0
        m2[:] = 0.0
        for t in range(trials):
            if _complete(values[i, t]):
                n += 1.0
                for j in range(chosen):
                    mean[j] += values[i, t, j]
        for j in range(chosen):
            mean[j] = mean_of(n, mean[j])
        for t in range(trials):
            if _complete(values[i, t]):
                for j in range(chosen):
                    dj = values[i, t, j] - mean[j]
                    for k in range(chosen):
                        m2[j, k] = add_product(m2[j, k], dj, values[i, t, k] - mean[k])
        moments.cov_count[i] = n


@njit(nogil=True, cache=True)
def _complete(row: Floats) -> bool:
    for x in row:  # noqa: SIM110 - compiled code has no generators
        if x != x:
            return False
    return True

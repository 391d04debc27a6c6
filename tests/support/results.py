"""Synthetic statistics of a run, made by the real accumulators from random trajectories."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simcore.physics.observables import Columns
from simcore.runs.run import Run
from simcore.statistics.blocks import BLOCK
from simcore.statistics.moments import (
    Bins,
    Chosen,
    empty_moments,
    take_covariance,
    take_statistics,
    zero_histogram,
)
from simcore.statistics.tree import MomentTree, PointStatistics

Floats = npt.NDArray[np.float64]


def random_rows(
    rng: np.random.Generator, trials: int, layers: int, columns: Columns | None = None
) -> Floats:
    """Columns of random trials, shape (trial, layer, column), some of them undefined."""
    columns = columns or Columns()
    rows = rng.normal(size=(trials, layers, columns.count))
    for column in columns.of("dead_network1"):
        rows[..., column] = rng.random((trials, layers)) < 0.25
    rows[..., columns.of("inactive1")] = 0.5
    for column in columns.of("log_distance"):
        rows[rng.random((trials, layers)) < 0.02, column] = np.nan
    return rows


def point_statistics(run: Run, rows: Floats) -> PointStatistics:
    """Statistics of one point after these trials, from trial 0 on: those of a shard are kept."""
    layers = np.array(run.covariance_layers) - 1
    chosen = Chosen.of(run.columns)
    bins: Bins | None = None
    kept_rows = rows[run.first_trial :][: run.kept][..., chosen.kept]
    trajectories = np.full((run.kept, run.depth, chosen.kept.size), np.nan)
    trajectories[: len(kept_rows)] = kept_rows
    empty = zero_histogram(run.depth, run.bins, run.columns)
    point = PointStatistics(MomentTree(), empty, trajectories, kept=len(kept_rows))
    for first in range(0, len(rows), BLOCK):
        part = np.ascontiguousarray(rows[first : first + BLOCK])
        moments = empty_moments(run.depth, layers.size, run.columns)
        histogram = zero_histogram(run.depth, run.bins, run.columns)
        if bins is None:
            shape = (run.depth, chosen.histogram.size)
            bins = point.bins = Bins(np.zeros(shape), np.zeros(shape))
        take_statistics(part, 0, moments, bins, histogram, chosen.histogram, first == 0)
        values = np.moveaxis(part[:, layers][..., chosen.covariance], -1, 0)
        take_covariance(np.ascontiguousarray(values), len(part), moments)
        if first < run.first_trial:
            continue
        if len(part) == BLOCK:
            point.tree.add(0, first // BLOCK, moments)
            point.histogram += histogram
        else:
            point.partial, point.partial_histogram = moments, histogram
    return point


def statistics(run: Run, trials: int | None = None, *, seed: int = 1) -> list[PointStatistics]:
    """Statistics of every point of a run after trial `trials` (default: all of them)."""
    rng = np.random.default_rng(seed)
    count = run.end_trial if trials is None else trials
    return [
        point_statistics(run, random_rows(rng, count, run.depth, run.columns)) for _ in run.points
    ]

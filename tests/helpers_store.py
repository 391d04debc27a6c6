"""Synthetic statistics of a run, made by the real accumulators from random trajectories."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simcore.moments import (
    Bins,
    MomentTree,
    PointStatistics,
    empty_moments,
    take_covariance,
    take_statistics,
    zero_histogram,
)
from simcore.observables import COVARIANCE, HISTOGRAMMED, NAMES, column
from simcore.plan import BLOCK, KEPT, Run

Floats = npt.NDArray[np.float64]


def random_rows(rng: np.random.Generator, trials: int, layers: int) -> Floats:
    """Observables of random trials, shape (trial, layer, observable), some of them undefined."""
    rows = rng.normal(size=(trials, layers, len(NAMES)))
    rows[..., column("dead_network1")] = rng.random((trials, layers)) < 0.25
    rows[..., column("inactive1")] = 0.5
    rows[rng.random((trials, layers)) < 0.02, column("log_distance")] = np.nan
    return rows


def point_statistics(run: Run, rows: Floats) -> PointStatistics:
    """Statistics of one point after these trials, the first of a run."""
    chosen = np.array(run.covariance_layers) - 1
    bins: Bins | None = None
    kept_rows = rows[: run.kept][..., [column(name) for name in KEPT]]
    trajectories = np.full((run.kept, run.depth, len(KEPT)), np.nan)
    trajectories[: len(kept_rows)] = kept_rows
    point = PointStatistics(
        MomentTree(), zero_histogram(run.depth, run.bins), trajectories, kept=len(kept_rows)
    )
    for first in range(0, len(rows), BLOCK):
        part = np.ascontiguousarray(rows[first : first + BLOCK])
        moments = empty_moments(run.depth, len(chosen))
        histogram = zero_histogram(run.depth, run.bins)
        if bins is None:
            shape = (run.depth, len(HISTOGRAMMED))
            bins = point.bins = Bins(np.zeros(shape), np.zeros(shape))
        take_statistics(part, 0, moments, bins, histogram, first == 0)
        columns = [column(name) for name in COVARIANCE]
        values = np.ascontiguousarray(np.moveaxis(part[:, chosen][..., columns], -1, 0))
        take_covariance(values, len(part), moments)
        if len(part) == BLOCK:
            point.tree.add(0, first // BLOCK, moments)
            point.histogram += histogram
        else:
            point.partial, point.partial_histogram = moments, histogram
    return point


def statistics(run: Run, trials: int | None = None, *, seed: int = 1) -> list[PointStatistics]:
    """Statistics of every point of a run after `trials` trials each (default: all of them)."""
    rng = np.random.default_rng(seed)
    count = run.trials if trials is None else trials
    return [point_statistics(run, random_rows(rng, count, run.depth)) for _ in run.points]

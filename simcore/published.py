"""The values of the published arrays: folded moments, quantiles, covariances, predictions."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .moments import Moments, PointStatistics, standard_errors
from .observables import COVARIANCE, HISTOGRAMMED, NAMES
from .plan import KEPT, Run
from .predictions import predictions
from .schema import Array, Field, fields

__all__ = ["covariance", "published", "quantiles"]

Numbers = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

_ROWS = 4096
"""Histograms whose quantiles are taken at a time; bounds the memory that this needs."""


def published(
    run: Run,
    points: Sequence[PointStatistics],
    *,
    complete: bool,
    variables: Collection[str] | None = None,
) -> Iterator[tuple[Field, Array]]:
    """Yield every published array with its values, in the order of `fields`.

    Parameters
    ----------
    run
        The run.
    points
        What is known of each point, in the order of `Run.points`.
    complete
        As for `fields`.
    variables
        Yield those only, by their name in a Dataset; None is all.
    """
    if len(points) != math.prod(run.shape):
        raise ValueError(f"{len(points)} points given, the run has {math.prod(run.shape)}")
    folded = _fold(run, points)
    theory: dict[str, Floats] = {}
    spread: dict[str, Numbers] = {}
    for field in fields(run, complete=complete):
        if variables is not None and field.variable not in variables:
            continue
        folder, name = field.path.split("/")
        if folder == "trajectories":
            values = _trajectories(run, points, name)
        elif folder == "covariance":
            values = folded.covariance[name]
        elif name in folded.basic:
            values = _points_first(run, folder, folded.basic[name])
        elif name in ("theory", "theory_errors"):
            theory = theory or predictions(run)
            values = theory[name][NAMES.index(folder)]
        else:
            if name == "quantile":
                spread = _spread(run, points, folder)
            values = spread[name]
        yield field, field.array(values, run)


class _Folded(NamedTuple):
    """Folded moments of all points, shape (column, point, layer), and covariances, points first."""

    basic: dict[str, Numbers]
    covariance: dict[str, Numbers]


def _points_first(run: Run, name: str, values: Numbers) -> Numbers:
    """Cut an observable out of all columns: (point, pair, layer) or (point, layer, rate)."""
    own = values[run.columns.of(name)]
    return np.moveaxis(own, 0, 1 if name in NAMES else -1)


def _fold(run: Run, points: Sequence[PointStatistics]) -> _Folded:
    columns = run.columns
    shape = (columns.count, len(points), run.depth)
    o, c = len(COVARIANCE) * columns.pairs, len(run.covariance_layers)
    total = Moments(
        np.zeros(shape),
        np.zeros(shape),
        np.zeros(shape),
        np.zeros((o, len(points))),
        np.zeros((o, len(points), c)),
        np.zeros((o, len(points), c, c)),
    )
    for i, point in enumerate(points):
        folded = point.published()
        if folded is not None:
            for whole, part in zip(total[:3], folded[:3], strict=True):
                whole[:, i] = part.T
            for whole, part in zip(total[3:], folded[3:], strict=True):
                whole[:, i] = part
    std, errors = standard_errors(total)
    total.mean[total.count == 0.0] = np.nan
    basic = {"mean": total.mean, "mean_errors": errors, "std": std, "count": total.count}
    total.cov_mean[total.cov_count == 0.0] = np.nan
    between = covariance(total)
    covariances: dict[str, Numbers] = {}
    for i, name in enumerate(COVARIANCE):
        own = slice(i, None, len(COVARIANCE))
        covariances[name] = between[own].swapaxes(0, 1)
        covariances[f"{name}_mean"] = total.cov_mean[own].swapaxes(0, 1)
        covariances[f"{name}_count"] = total.cov_count[own].swapaxes(0, 1)
    return _Folded(basic, covariances)


def covariance(moments: Moments) -> Floats:
    """Return the covariance over trials (ddof 1) between layers, in the shape of `cov_m2`.

    NaN below two trials.
    """
    count = moments.cov_count[..., np.newaxis, np.newaxis]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count > 1.0, moments.cov_m2 / (count - 1.0), np.nan)


def _trajectories(run: Run, points: Sequence[PointStatistics], name: str) -> Floats:
    """Kept trajectories of one observable, shape (point, pair, trial, layer)."""
    own = slice(KEPT.index(name), None, len(KEPT))
    values = np.empty((len(points), run.columns.pairs, run.kept, run.depth))
    for i, point in enumerate(points):
        values[i] = np.moveaxis(point.trajectories[:, :, own], 2, 0)
    return values


def _spread(run: Run, points: Sequence[PointStatistics], name: str) -> dict[str, Numbers]:
    """Quantiles, histogram and bins of one observable, shape (point, pair, layer, …)."""
    own = slice(HISTOGRAMMED.index(name), None, len(HISTOGRAMMED))
    shape = (len(points), run.columns.pairs, run.depth)
    histogram = np.empty((*shape, run.bins + 2), dtype=np.uint32)
    lower, width = np.full(shape, np.nan), np.full(shape, np.nan)
    for i, point in enumerate(points):
        histogram[i] = point.published_histogram()[:, own].swapaxes(0, 1)
        if point.bins is not None:
            lower[i], width[i] = point.bins.lower[:, own].T, point.bins.width[:, own].T
    return {
        "quantile": quantiles(histogram, lower, width, run.levels),
        "histogram": histogram,
        "bin_lower": lower,
        "bin_width": width,
    }


def quantiles(
    histogram: npt.NDArray[np.uint32], lower: Floats, width: Floats, levels: Sequence[float]
) -> Floats:
    """Return quantiles by linear interpolation inside the bins of histograms.

    Parameters
    ----------
    histogram
        Counts, shape (..., bins + 2); the first and the last bin are open.
    lower, width
        Lower edge of bin 1 and width of the bins, shape (...). Width 0: one bin, of a constant.
    levels
        Levels, between 0 and 1.

    Returns
    -------
    ndarray
        Shape (..., levels). NaN where a histogram is empty or the level lies in an open bin.
    """
    rows = histogram.reshape(-1, histogram.shape[-1])
    edge, step = lower.reshape(-1, 1), width.reshape(-1, 1)
    found = np.empty((len(rows), len(levels)))
    for first in range(0, len(rows), _ROWS):
        part = slice(first, first + _ROWS)
        found[part] = _row_quantiles(rows[part], edge[part], step[part], np.array(levels))
    return found.reshape(*lower.shape, len(levels))


def _row_quantiles(
    rows: npt.NDArray[np.uint32], edge: Floats, step: Floats, levels: Floats
) -> Floats:
    below = np.cumsum(rows, axis=1, dtype=np.float64)
    wanted = levels * below[:, -1:]
    place = np.stack([(below < wanted[:, [i]]).sum(axis=1) for i in range(len(levels))], axis=1)
    inside = (place > 0) & (place < rows.shape[1] - 1) & (below[:, -1:] > 0.0)
    place = np.where(inside, place, 1)
    counted = np.take_along_axis(below, place - 1, axis=1)
    held = np.maximum(np.take_along_axis(rows, place, axis=1), 1)
    values = edge + step * (place - 1 + (wanted - counted) / held)
    return np.where(inside, values, np.nan)

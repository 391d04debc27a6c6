"""The values of the published arrays: folded moments, quantiles, covariances, predictions."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from simcore.physics.observables import COVARIANCE, HISTOGRAMMED, KEPT, NAMES
from simcore.runs.predictions import first_order_predictions, predictions
from simcore.runs.run import Run
from simcore.statistics.moments import Moments, standard_errors
from simcore.statistics.tree import PointStatistics

from .layout import Array, Field, columns_of, fields

__all__ = ["published", "quantiles"]

Numbers = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

_BASIC = ("mean", "mean_errors", "std", "count")

_ROWS = 4096
"""Histograms whose quantiles are taken at a time; bounds the memory that this needs."""


def published(
    run: Run,
    points: Sequence[PointStatistics],
    *,
    complete: bool,
    variables: Collection[str] | None = None,
    pause: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Field, Array]]:
    """Yield every published array with its values, in the order of `fields`.

    Optional ones that have no value are left out.

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
    pause
        Called now and then where values take long to find; may raise to give it up.
    """
    if len(points) != math.prod(run.shape):
        raise ValueError(f"{len(points)} points given, the run has {math.prod(run.shape)}")
    folded = _Folded(run, points)
    theory: dict[str, Floats] = {}
    first_order: dict[str, dict[str, Floats]] = {}
    spread: dict[str, Numbers] = {}
    for field in fields(run, complete=complete):
        if variables is not None and field.variable not in variables:
            continue
        folder, name = field.path.split("/")
        if folder == "trajectories":
            values = _trajectories(run, points, name)
        elif folder == "covariance":
            values = folded.covariance(name)
        elif name in _BASIC:
            values = folded.basic(folder, name)
        elif name in ("theory", "theory_errors"):
            theory = theory or predictions(run, pause)
            values = theory[name][NAMES.index(folder)]
        elif name in ("theory_1n", "theory_1n_std"):
            first_order = first_order or first_order_predictions(run)
            if folder not in first_order["theory_1n"]:
                continue
            values = first_order[name][folder]
        else:
            if name == "quantile":
                spread = _spread(run, points, folder)
            values = spread[name]
        yield field, field.array(values, run)


class _Folded:
    """The folded moments of all points, shape (column, point, layer), and covariances likewise."""

    def __init__(self, run: Run, points: Sequence[PointStatistics]) -> None:
        self._run = run
        shape = (run.columns.count, len(points), run.depth)
        o, c = len(COVARIANCE) * run.columns.pairs, len(run.covariance_layers)
        self._total = Moments(
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
                for whole, part in zip(self._total[:3], folded[:3], strict=True):
                    whole[:, i] = part.T
                for whole, part in zip(self._total[3:], folded[3:], strict=True):
                    whole[:, i] = part

    def basic(self, observable: str, name: str) -> Numbers:
        """Return one of `_BASIC`: (point, pair, layer) or (point, layer, rate)."""
        own = columns_of(self._run, observable)
        count, mean, m2 = (values[own] for values in self._total[:3])
        if name in ("std", "mean_errors"):
            part = self._total._replace(count=count, m2=m2)
            values = standard_errors(part)[name == "mean_errors"]
        else:
            values = np.where(count > 0.0, mean, np.nan) if name == "mean" else count
        return np.moveaxis(values, 0, 1 if observable in NAMES else -1)

    def covariance(self, name: str) -> Numbers:
        """Return what is at a path below /entry/covariance, shape (point, pair, …)."""
        observable = next(o for o in COVARIANCE if name in (o, f"{o}_mean", f"{o}_count"))
        own = slice(COVARIANCE.index(observable), None, len(COVARIANCE))
        count, mean, m2 = (values[own] for values in self._total[3:])
        if name == f"{observable}_count":
            values = count
        elif name == f"{observable}_mean":
            values = np.where(count[..., np.newaxis] > 0.0, mean, np.nan)
        else:
            count = count[..., np.newaxis, np.newaxis]
            with np.errstate(invalid="ignore", divide="ignore"):
                values = np.where(count > 1.0, m2 / (count - 1.0), np.nan)
        return values.swapaxes(0, 1)


def _trajectories(run: Run, points: Sequence[PointStatistics], name: str) -> Floats:
    """Kept trajectories of one observable, shape (point, pair, trial, layer)."""
    own = slice(KEPT.index(name), None, len(KEPT))
    values = np.empty((len(points), run.columns.pairs, run.kept, run.depth))
    for i, point in enumerate(points):
        values[i] = point.trajectories[:, :, own].transpose(2, 0, 1)
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

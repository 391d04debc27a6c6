"""Results of a run, assembled: folded moments, quantiles, covariances and predictions."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from simcore.physics.observables import (
    CONTROL,
    KEPT,
    MEASURED_BY,
    NEAR_ONE,
    NETWORK_NAMES,
)
from simcore.runs.network_predictions import network_predictions
from simcore.runs.predictions import first_order_predictions, has_first_order, predictions
from simcore.runs.run import Run
from simcore.statistics.moments import Moments, standard_errors
from simcore.statistics.tree import PointStatistics

from .layout import Array, Field, base, columns_of, fields

Numbers = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

_SPREAD = ("quantile", "histogram", "bin_lower", "bin_width")

ROUNDING = 2.0**-40
"""Share of a controlled mean up to which its error is rounding, and 0: some means are exact."""

_ROWS = 4096
"""Histograms whose quantiles are taken at a time; bounds the memory that this needs."""


class RunResults:
    """Results of a run: its statistics and its theory, in one place for whoever shows them.

    The file's writer, the printed table, JSON and the Dataset take the same object, so that every
    moment is folded once and every prediction is made once. It is in this room because the writer
    is the lowest of them. It shows the points as they are when it is made: a run that continues
    makes another one.

    `points` are in the order of `Run.points`. A checkpoint (not `complete`) has neither theory nor
    histograms nor covariances.
    """

    def __init__(self, run: Run, points: Sequence[PointStatistics], *, complete: bool) -> None:
        if len(points) != math.prod(run.shape):
            raise ValueError(f"{len(points)} points given, the run has {math.prod(run.shape)}")
        self.run, self.points, self.complete = run, points, complete
        self._theory: dict[str, Floats] | None = None
        self._first_order: dict[str, dict[str, Floats]] | None = None
        self._of_network: dict[str, dict[str, Floats]] | None = None

    def predict(self, look: Callable[[str], object] = str) -> None:
        """Make all predictions now, which may take seconds for each point.

        `look` is called before each slow prediction, with its name; it may raise to abandon it.
        """
        if self.complete:
            self._infinite_width(look)
            self._shared_network(look)
            look("first order in 1/N")
            if has_first_order(self.run):
                self._finite_width()

    def _infinite_width(self, look: Callable[[str], object] = str) -> dict[str, Floats]:
        if self._theory is None:
            self._theory = predictions(self.run, look)
        return self._theory

    def _shared_network(self, look: Callable[[str], object] = str) -> dict[str, dict[str, Floats]]:
        if self._of_network is None:
            self._of_network = network_predictions(self.run, look)
        return self._of_network

    def _finite_width(self) -> dict[str, dict[str, Floats]]:
        if self._first_order is None:
            self._first_order = first_order_predictions(self.run)
        return self._first_order

    @cached_property
    def _folded(self) -> Moments:
        """Moments of all points, shape (column, point, layer), and covariances likewise."""
        run, points = self.run, len(self.points)
        shape = (run.columns.count, points, run.depth)
        o, c = len(run.columns.covariance) * run.columns.pairs, len(run.covariance_layers)
        shapes = (shape,) * 3, ((o, points), (o, points, c), (o, points, c, c))
        total = Moments(*(np.zeros(each) for group in shapes for each in group))
        for i, point in enumerate(self.points):
            folded = point.published()
            if folded is not None:
                for whole, part in zip(total[:3], folded[:3], strict=True):
                    whole[:, i] = part.T
                for whole, part in zip(total[3:], folded[3:], strict=True):
                    whole[:, i] = part
        return total

    def arrays(self, variables: Collection[str] | None = None) -> Iterator[tuple[Field, Array]]:
        """Yield every published array with its values, in the order of `fields`.

        Optional ones that have no value are left out.

        `variables` chooses some by their name in a Dataset.
        """
        spread: dict[str, Numbers] = {}
        spread_of = ""
        for field in fields(self.run, complete=self.complete):
            if variables is not None and field.variable not in variables:
                continue
            folder, name = field.path.split("/")
            if name in _SPREAD and folder != spread_of:
                # One observable at a time: histograms are the largest arrays.
                spread, spread_of = _spread(self.run, self.points, folder), folder
            values = spread[name] if name in _SPREAD else self._values(folder, name)
            if values is not None:
                yield field, field.array(values, self.run)

    def _values(self, folder: str, name: str) -> Numbers | None:
        """Return the values at a path below /entry, points first; None where there are none."""
        if folder == "trajectories":
            return _trajectories(self.run, self.points, name)
        if folder == "covariance":
            return self._covariance(name)
        if name in ("theory", "theory_errors") and folder in NETWORK_NAMES:
            return self._shared_network()[folder][name]
        if name in ("theory", "theory_errors"):
            values: Floats = self._infinite_width()[name][self.run.columns.names.index(folder)]
            return values
        if name in ("theory_1n", "theory_1n_std"):
            return self._finite_width()[name].get(folder)
        if name == "controlled":
            return self._basic(folder + CONTROL, "mean")
        if name == "controlled_errors":
            return self._controlled_errors(folder)
        return self._basic(folder, name)

    def _basic(self, observable: str, name: str) -> Numbers:
        """Return mean, error, std or count: (point, pair, layer) or (point, layer, rate).

        `observable` is the name of a column, perhaps of controlled values.
        """
        own = columns_of(self.run, observable)
        count, mean, m2 = (values[own] for values in self._folded[:3])
        if name != "count" and base(observable) in MEASURED_BY:
            # Some values left the range of float64, and the mean of the others is another number.
            every = self._folded.count[columns_of(self.run, MEASURED_BY[base(observable)])]
            count = np.where(count < every, 0.0, count)
        if name in ("std", "mean_errors"):
            if observable == "correlation":
                m2 = self._near_one(count, m2)
            part = self._folded._replace(count=count, m2=m2)
            values = standard_errors(part)[name == "mean_errors"]
        else:
            values = np.where(count > 0.0, mean, np.nan) if name == "mean" else count
        return np.moveaxis(values, 0, -1 if base(observable) in NETWORK_NAMES else 1)

    def _controlled_errors(self, observable: str) -> Numbers:
        mean = self._basic(observable + CONTROL, "mean")
        errors = self._basic(observable + CONTROL, "mean_errors")
        size = np.maximum(np.abs(mean), 1.0 if observable.startswith("log_") else 0.0)
        errors = np.where(errors <= ROUNDING * size, 0.0, errors)
        if observable == "correlation":
            # Where c is near 1, 1 − c has the digits.
            near = self._basic("distance" + CONTROL, "mean") < NEAR_ONE
            errors = np.where(near, self._controlled_errors("distance"), errors)
        return errors

    def _near_one(self, count: Floats, m2: Floats) -> Floats:
        """Take the squared deviations of c, where it is near 1, from 1 − c.

        Some trials may be without 1 − c (`DISTANCE_FLOOR`); c has it all there.
        """
        own = columns_of(self.run, "distance")
        known, distance, square = (values[own] for values in self._folded[:3])
        return np.where((known == count) & (distance < NEAR_ONE), square, m2)

    def _covariance(self, name: str) -> Numbers:
        """Return the values at a path below /entry/covariance, shape (point, pair, …).

        Variances of c near 1 are those of 1 − c, as its std is. The rest needs no other digits
        than c has: rounding moves two layers independently, so covariances have no bias from it;
        and the edges of a histogram of c are values of c. Where all networks round to one c,
        ln(1 − c) has both.
        """
        names = self.run.columns.covariance
        observable = next(o for o in names if name in (o, f"{o}_mean", f"{o}_count"))
        own = slice(names.index(observable), None, len(names))
        count, mean, m2 = (values[own] for values in self._folded[3:])
        if name == f"{observable}_count":
            values = count
        elif name == f"{observable}_mean":
            values = np.where(count[..., np.newaxis] > 0.0, mean, np.nan)
        else:
            count = count[..., np.newaxis, np.newaxis]
            with np.errstate(invalid="ignore", divide="ignore"):
                values = np.where(count > 1.0, m2 / (count - 1.0), np.nan)
            if base(observable) == "correlation":
                self._put_variances(values, count[..., 0], observable)
        return values.swapaxes(0, 1)

    def _put_variances(self, values: Floats, count: Floats, observable: str) -> None:
        """Put the variances of 1 − c, where c is near 1, on the diagonal of covariances of c.

        They are known where every trial has a value at every layer, shape of `count` (pair, point,
        1).
        """
        layers = np.array(self.run.covariance_layers) - 1
        own = columns_of(self.run, observable)
        finer = columns_of(self.run, observable.replace("correlation", "distance"))
        every = self._folded.count[own][..., layers]
        known, distance, m2 = (part[finer][..., layers] for part in self._folded[:3])
        near = (every == count) & (known == count) & (count > 1.0) & (distance < NEAR_ONE)
        diagonal = np.einsum("...jj->...j", values)
        np.divide(m2, count - 1.0, out=diagonal, where=near)


def _trajectories(run: Run, points: Sequence[PointStatistics], name: str) -> Floats:
    """Kept trajectories of one observable, shape (point, pair, trial, layer)."""
    own = slice(KEPT.index(name), None, len(KEPT))
    values = np.empty((len(points), run.columns.pairs, run.kept, run.depth))
    for i, point in enumerate(points):
        values[i] = point.trajectories[:, :, own].transpose(2, 0, 1)
    return values


def _spread(run: Run, points: Sequence[PointStatistics], name: str) -> dict[str, Numbers]:
    """Quantiles, histogram and bins of one observable, shape (point, pair, layer, …)."""
    names = run.columns.histogrammed
    own = slice(names.index(name), None, len(names))
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

"""Control variates of the points of a run: whose path they follow, and room for their numbers."""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt

from simcore.physics.activation import Sent
from simcore.runs.controls import has_controls
from simcore.runs.predictions import signals
from simcore.runs.run import Run
from simcore.sampling.pair.physics import Physics
from simcore.theory.expansion import Start, expansion

from .follow import Controls, controls_of
from .path import at_widths, coefficients
from .places import COEFFICIENTS
from .program import Steps, program_of
from .surrogate import fitted

Floats = npt.NDArray[np.float64]

TOGETHER = 2**12
"""Layers of pairs whose coefficients are found at a time (9 MB): one by one is slow."""

HELD = 4
"""Times TOGETHER layers that are held, or one point: threads may be at different points."""


class RunControls:
    """Coefficients of a run, found when a point is begun; threads may share it.

    `pairs` are those with controls: all, or none.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self.pairs = run.columns.pairs if run.columns.variates else 0
        self._lock = threading.Lock()
        self._held: dict[int, dict[int, Floats]] = {}  # by first point; what was used last is last
        self._program: tuple[Floats, Steps] | None = None

    def of(self, point: int) -> Controls:
        """Return the controls of a block of networks of a point, before `follow.start`."""
        k = self.coefficients(point)
        with self._lock:
            if self._program is None or self._program[0] is not k:
                self._program = k, program_of(k)
            return controls_of(*self._program, len(self._run.columns.of_pair), self.slopes(point))

    def slopes(self, point: int) -> Sent:
        """Return the slopes of a point, as kernels take them."""
        return Physics.of(self._run.points[point]).slopes

    def coefficients(self, point: int) -> Floats:
        """Return the coefficients of a point, shape (pair, depth, COEFFICIENTS).

        NaN where there are no controls (`has_controls`), and for a signal that the weights do not
        see.
        """
        if not self.pairs:
            return np.empty((0, self._run.depth, COEFFICIENTS))
        with self._lock:
            layers = self._run.depth * self.pairs
            step = max(1, TOGETHER // layers)
            first = point // step * step
            found = self._held.pop(first, None)
            if found is None:
                found = self._found(range(first, min(first + step, len(self._run.points))))
            self._held[first] = found
            if len(self._held) > max(1, HELD * TOGETHER // (step * layers)):
                del self._held[next(iter(self._held))]
            return found[point]

    def _found(self, numbers: range) -> dict[int, Floats]:
        run = self._run
        places: dict[tuple[int, int], int] = {}
        starts: dict[tuple[Start, tuple[int, ...]], int] = {}
        for number in numbers:
            point = run.points[number]
            profile = tuple(point.layer_widths(run.depth).tolist())
            if has_controls(point.widths[: run.depth], run.depth, point.slopes):
                for pair, (q1, q2, distance) in enumerate(signals(run, point)):
                    if q1 > 0.0 and q2 > 0.0:
                        law = point.k, point.sigma_w, point.sigma_b or 0.0
                        start = Start(*law, q1, q2, distance, point.slopes), profile
                        places[number, pair] = starts.setdefault(start, len(starts))
        shape = self.pairs, run.depth, COEFFICIENTS
        found = {number: np.full(shape, np.nan) for number in numbers}
        if not starts:
            return found
        given, profiles = zip(*starts, strict=True)
        path = expansion(list(given), np.array(profiles))
        known = coefficients(path)
        for (number, pair), place in places.items():
            first = path.log_k[place, 0], path.log_ratio[place, 0], path.t[place, 0]
            point = run.points[number]
            widths = point.layer_widths(run.depth)
            own = at_widths(known[place], widths)
            found[number][pair] = fitted(own, first, Physics.of(point), widths)
        return found

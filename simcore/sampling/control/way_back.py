"""Control variates of ln ‖δ‖² on the way back (theory.md (19)).

In every layer the fresh normals ξ of a signal's gradient are independent of its masks, and these
are fair coins. So ⟨φ'²ξ²⟩ is (s₊²χ²_K + s₋²χ²_{N−K})/N with K binomial, whose logarithm has a known
mean, exact at any width.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simcore.numerics.arithmetic import times
from simcore.numerics.kernels import njit
from simcore.physics.observables import GRADIENT_CONTROLLED, GRADIENT_NAMES
from simcore.runs.predictions import signals
from simcore.runs.run import Run

Floats = npt.NDArray[np.float64]

FIRST = len(GRADIENT_NAMES)
"""First of the columns that are replaced, in rows of the way back."""

LOGS = tuple(GRADIENT_NAMES.index(name) for name in GRADIENT_CONTROLLED)
"""Columns of the plain values."""

MEAN_DIGITS, SHARE_DIGITS = 36, 20
"""Binary digits that are kept of means and shares: the same on every machine.

Means are then off by 1e-11; a share may be any number.
"""


class GradientControls:
    """Means and shares of a run's points; threads may share it."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._held: dict[int, Floats] = {}

    def coefficients(self, point: int) -> Floats:
        """Return mean and share of each signal in each layer of a point, (signal, depth, 2).

        Of no signals where a run has no such controls.
        """
        if not set(GRADIENT_CONTROLLED) <= set(self._run.columns.controlled):
            return np.empty((0, self._run.depth, 2))
        if point not in self._held:
            self._held[point] = self._found(point)
        return self._held[point]

    def _found(self, number: int) -> Floats:
        from simcore.theory.gradient_widths import gradient_terms

        run, point = self._run, self._run.points[number]
        law = {"g": point.g, "sigma_w": point.sigma_w, "sigma_b": point.sigma_b or 0.0}
        ((q1, q2, _),) = signals(run, point)
        parts = []
        for q in (q1, q2):
            mean, share = gradient_terms(
                point.layer_widths(run.depth), q=q, slopes=point.slopes, **law
            )
            parts.append((_rounded(mean, MEAN_DIGITS), _rounded(share, SHARE_DIGITS)))
        return np.stack([np.stack(part, axis=-1) for part in parts])


def _rounded(values: Floats, digits: int) -> Floats:
    return np.asarray(np.ldexp(np.round(np.ldexp(values, digits)), -digits))


@njit(nogil=True, cache=True, forceinline=True)
def subtract(variates, rows):
    """Replace what `way_back.observe_back` leaves of a network for controls by controlled values.

    `variates` are of `GradientControls.coefficients`; `rows` has shape (layer, column), columns of
    the way back only. The read-out's layer is its own control.
    """
    depth = rows.shape[0]
    for i in range(variates.shape[0]):
        control = 0.0
        for layer in range(depth - 1, -1, -1):
            plain = rows[layer, LOGS[i]]
            seen = plain if layer == depth - 1 else rows[layer, FIRST + i]
            mean, share = variates[i, layer, 0], variates[i, layer, 1]
            control = times(share, control + (seen - mean))
            rows[layer, FIRST + i] = plain - control

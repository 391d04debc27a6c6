"""Control variates on a CUDA device, between a sampler's rows and their statistics.

`controls_kernels` replaces what samplers see of pairs by controlled values. δ, ε and Z of every
pair of every trial stay on the device between the launches of a block.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from simcore.sampling.control.places import CARRIED, COEFFICIENTS
from simcore.sampling.control.program import program_of

from .device import Device


class DeviceControls:
    """Controls of the trials of a point, launch by launch.

    Parameters
    ----------
    device
        The device.
    coefficients
        Of a point (`RunControls.coefficients`), shape (pair, depth, COEFFICIENTS); of no pairs
        where there are no controls.
    widths
        Nodes of every layer, shape (depth,).
    columns
        Columns of a pair in a row.
    slopes
        As in `activation.sent`.
    """

    def __init__(
        self,
        device: Device,
        coefficients: npt.NDArray[np.float64],
        widths: npt.NDArray[np.int64],
        columns: int,
        slopes: tuple[float, ...] = (),
    ) -> None:
        self._device, self._pairs, self._columns = device, len(coefficients), columns
        self._carried: Any = None
        self._slopes = slopes
        if self._pairs:
            self._k, self._widths = device.put(coefficients), device.put(widths)
            self._program = device.put(program_of(coefficients))

    def take(self, layer0: int, rows: Any) -> None:
        """Replace the numbers of trials in rows, (trial, layer, column); layers in order."""
        if not self._pairs:
            return
        from . import controls_kernels as kernels

        trials = rows.shape[0]
        if layer0 == 0:
            self._carried = self._device.room((self._pairs, trials, CARRIED))
        blocks = -(-self._pairs * trials // kernels.THREADS)
        given = self._program, self._k, self._widths, layer0, self._columns
        launched = kernels.follow, blocks, kernels.THREADS
        self._device.launch(*launched, *given, self._carried, rows, self._slopes)


def coefficient_bytes(pairs: int, depth: int) -> int:
    """Return the size of the coefficients of a point."""
    return 8 * pairs * depth * COEFFICIENTS


def carried_bytes(pairs: int) -> int:
    """Return the size of what a trial carries for its controls."""
    return 8 * pairs * CARRIED

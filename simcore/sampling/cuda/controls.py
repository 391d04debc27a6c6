"""Control variates on a CUDA device, between a sampler's rows and their statistics.

`controls_kernels` replaces what samplers see of pairs by controlled values, of all points of a
launch at once. δ, ε and Z of every pair of every trial stay on the device between the launches of a
block.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from simcore.sampling.control.of_run import RunControls
from simcore.sampling.control.places import CARRIED, COEFFICIENTS
from simcore.sampling.control.program import Steps, program_of

from .device import Device, Pack, Rooms

Integers = npt.NDArray[np.int64]
OfPoint = tuple[npt.NDArray[np.float64], Steps]
"""Coefficients of a point, and its passes."""


class DeviceControls:
    """Controls of the trials of a run, launch by launch.

    What belongs to points is on the device for those of the last launch.

    Parameters
    ----------
    device
        The device.
    rooms
        Its arrays, which launches use again.
    controls
        Those of the run.
    widths
        Nodes of every layer of each point.
    columns
        Columns of a pair in a row.
    """

    def __init__(
        self,
        device: Device,
        rooms: Rooms,
        controls: RunControls,
        widths: Sequence[Integers],
        columns: int,
    ) -> None:
        from . import controls_kernels

        self._kernels: Any = controls_kernels
        self._device, self._rooms, self._controls = device, rooms, controls
        self._widths, self._columns = widths, columns
        self._known: dict[int, OfPoint] = {}
        self._there: Any = None

    def take(self, points: Collection[int], blocks: Any, layer0: int, rows: Any) -> None:
        """Replace the numbers of trials in rows, (trial, layer, column); layers in order.

        `points` are those of the trials, all ReLU's or none; `blocks` is the table of their blocks
        (`pieces`).
        """
        if self._known.keys() != set(points):
            self._known = {p: self._known.get(p) or self._of(p) for p in points}
            self._there = self._put()
        kernels, numbers = self._kernels, self._controls.pairs * rows.shape[0]
        carried = self._rooms.get("controls", (self._controls.pairs, rows.shape[0], CARRIED))
        given = self._there, blocks, layer0, self._columns, carried, rows
        launched = -(-numbers // kernels.THREADS), kernels.THREADS
        self._device.launch(kernels.follow, *launched, *given)

    def _of(self, point: int) -> OfPoint:
        """Return the coefficients of a point, and its passes."""
        coefficients = self._controls.coefficients(point)
        return coefficients, program_of(coefficients)

    def _put(self) -> Any:
        """Return what the kernel reads of the points of a launch, on the device."""
        coefficients, programs = zip(*self._known.values(), strict=True)
        slopes = [self._controls.slopes(point) for point in self._known]
        ends = np.cumsum([len(program) for program in programs])
        places = np.zeros((len(self._widths), self._kernels.PLACE_NUMBERS), dtype=np.int64)
        for i, point in enumerate(self._known):
            places[point] = i, ends[i] - len(programs[i]), ends[i]
        pack, memory = Pack.of(
            {
                "places": places,
                "programs": np.concatenate(programs),
                "k": np.stack(coefficients),
                "widths": np.stack([self._widths[point] for point in self._known]),
                "slopes": np.array(slopes),
            }
        )
        there = self._rooms.memory("coefficients", pack.bytes)
        self._device.send(memory, there)
        return self._kernels.Followed(**pack.there(self._device, there), kind=slopes[0])


def coefficient_bytes(pairs: int, depth: int) -> int:
    """Return the size of the coefficients of a point."""
    return 8 * pairs * depth * COEFFICIENTS


def carried_bytes(pairs: int) -> int:
    """Return the size of what a trial carries for its controls."""
    return 8 * pairs * CARRIED

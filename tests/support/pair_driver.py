"""Helpers of the tests of the pair sampler: rows of single trials, and the normals behind them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from simcore.numerics.rng import Stream, fill_words, normal_pair
from simcore.physics.observables import NAMES
from simcore.runs.run import Run
from simcore.sampling.control.way_back import GradientControls
from simcore.sampling.pair import cpu_kernels as pair
from simcore.sampling.pair import physics as pair_physics
from simcore.sampling.pair.cpu_back_kernels import there_and_back

Floats = npt.NDArray[np.float64]
LANES = 16
"""Of the documented layout of the counter: node i is served by group 16 (i div 32) + i mod 16."""


@dataclass(frozen=True)
class Walk:
    """Consecutive trials of one point: what a kernel needs, and what it leaves.

    `states` has shape (trial, STATE), after the last layer; `rows` (trial, layer, observable).
    """

    physics: pair_physics.Physics
    widths: npt.NDArray[np.int64]
    states: Floats
    rows: Floats
    names: tuple[str, ...] = NAMES

    def __getitem__(self, name: str) -> Floats:
        """Return an observable, shape (trial, layer)."""
        return self.rows[:, :, self.names.index(name)]


def walk(run: Run, trials: int, *, first_trial: int = 0, **changes: float) -> Walk:
    """Take trials of the first point of a run through all its layers, and back with gradients.

    `changes` replace fields of the physics but keep the key, and so the normals.
    """
    point, widths = run.points[0], run.points[0].layer_widths(run.depth)
    physics = pair_physics.Physics.of(point)._replace(**changes)  # type: ignore[arg-type]
    states = np.empty((trials, pair_physics.STATE))
    pair_physics.start(physics, states)
    if not run.gradients:
        return walk_on(physics, widths, states, first_trial=first_trial)
    names, variates = NAMES + run.columns.back, GradientControls(run).coefficients(0)
    rows = np.empty((trials, widths.size, len(names)))
    counters = np.zeros((2, 1), dtype=np.int64)
    there_and_back(physics, widths, first_trial, variates, states, rows, len(NAMES), *counters)
    return Walk(physics, widths, states, rows, names)


def walk_on(
    physics: pair_physics.Physics,
    widths: npt.NDArray[np.int64],
    states: Floats,
    *,
    first_trial: int = 0,
    layer0: int = 0,
) -> Walk:
    """Take given states, which are moved on, from layer `layer0` (from 0) to the last."""
    rows = np.empty((states.shape[0], widths.size - layer0, len(NAMES)))
    stop, progress = np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64)
    pair.advance(physics, widths, first_trial, layer0, states, rows, stop, progress)
    return Walk(physics, widths, states, rows)


def layer_normals(
    physics: pair_physics.Physics, trial: int, layer: int, width: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return the float32 normals (z₁, z₂) of a layer (from 1), node by node."""
    groups = LANES * -(-width // (2 * LANES))
    words = np.empty((4, groups), dtype=np.uint32)
    fill_words(
        words, 0, groups, np.uint64(Stream.PAIR), 0, trial, layer, physics.key0, physics.key1
    )
    z = np.empty((2, width), dtype=np.float32)
    _fill_normals(words, z)
    return z[0], z[1]


@njit(nogil=True)
def _fill_normals(
    words: npt.NDArray[np.uint32], z: npt.NDArray[np.float32]
) -> None:  # pragma: no cover - compiled
    for i in range(z.shape[1]):
        group = LANES * (i // (2 * LANES)) + i % LANES
        first = 2 * (i // LANES % 2)
        z[0, i], z[1, i] = normal_pair(words[first, group], words[first + 1, group])

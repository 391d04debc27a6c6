"""Launches of the pair sampler's kernel without a GPU, to be held to the CPU sampler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from simcore.physics.observables import NAMES
from simcore.runs.run import Run
from simcore.sampling.cuda.pieces import table_of
from simcore.sampling.pair import physics as pair_physics
from simcore.sampling.pair.cuda_kernels import Points
from tests.emulator.kernel_simulator import launch
from tests.emulator.ptx_program import Program
from tests.support.pair_driver import Floats, Walk, walk

THREADS = 128
Launch = Callable[..., None]
"""Takes the number of trials and the kernel's arguments."""


def from_source(kernel: Any, *, reverse: bool = False, without: str = "") -> Launch:
    """Return a launch of a kernel's Python source."""

    def run(trials: int, *arguments: Any) -> None:
        launch(kernel, trials, THREADS, *arguments, reverse=reverse, without=without)

    return run


def from_ptx(program: Program, *, reverse: bool = False) -> Launch:
    """Return a launch of compiled PTX."""

    def run(trials: int, *arguments: Any) -> None:
        program.launch(trials, THREADS, *arguments, reverse=reverse)

    return run


def one_point(width: int, k: float, *, depth: int = 3, **options: object) -> Run:
    return Run(depth=depth, width=(width,), ensemble="correlated", k=(k,), **options)  # type: ignore[arg-type]


def device_walk(launched: Launch, run: Run, trials: int, first_trial: int = 0) -> Walk:
    """Take trials of a run's first point through all layers, as `pair_driver.walk` does."""
    point = run.points[0]
    physics, widths = pair_physics.Physics.of(point), point.layer_widths(run.depth)
    states = np.empty((trials, pair_physics.STATE))
    pair_physics.start(physics, states)
    rows: Floats = np.empty((trials, run.depth, len(NAMES)))
    made = Walk(physics, widths, states, rows)
    launched(trials, *given_of(made, trials, first_trial), 0, 0, run.depth, states, rows)
    return made


def given_of(walked: Walk, trials: int, first_trial: int = 0) -> tuple[Any, ...]:
    """Return the points, widths and trials that the kernel takes, for a single point."""
    physics = walked.physics
    scalars = np.array([[*physics[:5], *(physics.slopes or (0.0, 0.0))]])
    keys = np.array([physics[5:7]], dtype=np.uint64)
    starts = np.empty((1, pair_physics.STATE))
    pair_physics.start(physics, starts)
    points = Points(scalars, keys, starts, physics.slopes)
    return points, walked.widths[None], table_of(0, first_trial, trials)


def same(launched: Launch, run: Run, trials: int = 2, first_trial: int = 0) -> bool:
    """Whether a launch leaves the very bytes that the CPU sampler leaves."""
    made = device_walk(launched, run, trials, first_trial)
    expected = walk(run, trials, first_trial=first_trial)
    return (
        made.rows.tobytes() == expected.rows.tobytes()
        and made.states.tobytes() == expected.states.tobytes()
    )

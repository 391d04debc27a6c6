"""Launches of the kernels of `rai` and `raai` without a GPU, to be held to the CPU sampler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simcore.runs.run import Run
from simcore.sampling.asymmetric.cpu import AsymmetricSampler
from simcore.sampling.asymmetric.cuda_inputs import begin
from simcore.sampling.asymmetric.cuda_kernels import THREADS, advance
from simcore.sampling.asymmetric.physics import DEVICE_HEAD, HEAD
from simcore.sampling.contract import Signals
from tests.emulator.kernel_simulator import launch
from tests.emulator.ptx_program import Program

Floats = npt.NDArray[np.float64]
Launch = Callable[..., None]
"""Takes the name of a kernel, the number of trials and the kernel's arguments."""

KERNELS = {"begin": begin, "advance": advance}


@dataclass(frozen=True)
class Left:
    """What trials leave: their state, x and r of the last layer's nodes, and the rows."""

    state: Floats
    x: Floats
    r: Floats
    rows: Floats

    @property
    def bytes(self) -> tuple[bytes, ...]:
        """Everything, to be compared."""
        return tuple(a.tobytes() for a in (self.state, self.x, self.r, self.rows))


def from_source(*, reverse: bool = False, without_line: tuple[str, int] = ("", 0)) -> Launch:
    """Return a launch of the kernels' Python source."""

    def run(name: str, trials: int, *arguments: Any) -> None:
        kernel = KERNELS[name]
        launch(kernel, trials, THREADS, *arguments, reverse=reverse, without_line=without_line)

    return run


def from_ptx(programs: dict[str, Program], *, reverse: bool = False) -> Launch:
    """Return a launch of compiled PTX."""

    def run(name: str, trials: int, *arguments: Any) -> None:
        programs[name].launch(trials, THREADS, *arguments, reverse=reverse)

    return run


def one_point(width: int, k: float, *, depth: int = 3, **options: Any) -> Run:
    """Return a run of `rai`, or `raai` where k is not 0; σ_b as the ensemble has it if None."""
    ensemble = "raai" if k else "rai"
    given = {name: value for name, value in options.items() if value != (None,)}
    given = {"trials": 64} | given
    return Run(depth=depth, width=(width,), ensemble=ensemble, k=(k,), **given)


def on_cpu(run: Run, trials: int, first_trial: int = 0) -> Left:
    """Take trials of a run's first point through all layers on the CPU."""
    sampler = AsymmetricSampler(run)
    carried = sampler.carry(0, trials)
    rows = np.empty((trials, run.depth, run.columns.count))
    signals = Signals.sharing()
    sampler.advance(0, first_trial, 0, carried, rows, signals)
    room = (carried.shape[1] - HEAD) // 2
    x, r = carried[:, HEAD : HEAD + room], carried[:, HEAD + room :]
    return _left(sampler, carried, x, r, rows)


def on_device(
    launched: Launch, run: Run, trials: int, first_trial: int = 0, *, pieces: int = 1
) -> Left:
    """Do the same by launches, one for each of so many pieces of the depth."""
    sampler = AsymmetricSampler(run)
    physics, fan_ins, widths = sampler.physics[0], sampler.fan_ins[0], sampler.widths[0]
    room = (sampler.carried_bytes(0) // 8 - HEAD) // 2
    carried = np.full((trials, DEVICE_HEAD + 4 * room), np.nan)
    launched("begin", trials, physics, int(fan_ins[0]), first_trial, carried)
    made = []
    for layers in np.array_split(np.arange(run.depth), pieces):
        rows = np.full((trials, layers.size, run.columns.count), 7.0)
        first = int(layers[0])
        launched("advance", trials, physics, fan_ins, widths, first_trial, first, carried, rows)
        made.append(rows)
    nodes = carried[:, DEVICE_HEAD:].reshape(trials, 2, room, 2)[:, run.depth % 2]
    return _left(sampler, carried, nodes[:, :, 0], nodes[:, :, 1], np.concatenate(made, axis=1))


def _left(sampler: AsymmetricSampler, carried: Floats, x: Floats, r: Floats, rows: Floats) -> Left:
    nodes = int(sampler.widths[0][-1]) + 1
    return Left(carried[:, :HEAD].copy(), x[:, :nodes].copy(), r[:, :nodes].copy(), rows)


def same(launched: Launch, run: Run, trials: int = 2, first_trial: int = 0) -> bool:
    """Whether launches leave the very bytes that the CPU sampler leaves."""
    made = on_device(launched, run, trials, first_trial)
    return made.bytes == on_cpu(run, trials, first_trial).bytes

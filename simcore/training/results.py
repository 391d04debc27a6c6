"""Results of training so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .jobs import Job, Pilots, Trained
from .plan import Plan

Numbers = npt.NDArray[Any]

MEASURED = ("loss", "train_loss", "accuracy", "dead_before", "dead_after")
"""Arrays of the measured networks, a row of numbers for each network."""


@dataclass
class Results:
    """Results of every ensemble; NaN where there are none yet.

    `pilots` is by label and rate; `arrays` by the names of `MEASURED`, shape (ensembles, seeds,
    recorded steps or hidden layers). `diverged_step`, −1 where a network has not diverged, and
    `done`, 1 where it has been trained, have the shape (ensembles, seeds).
    """

    plan: Plan
    pilots: dict[tuple[str, float], Pilots] = field(default_factory=dict)
    arrays: dict[str, Numbers] = field(init=False)
    diverged_step: Numbers = field(init=False)
    done: Numbers = field(init=False)

    def __post_init__(self) -> None:
        shape = (len(self.plan.ensembles), self.plan.seeds)
        last = {"dead_before": self.plan.depth, "dead_after": self.plan.depth}
        self.arrays = {
            name: np.full((*shape, last.get(name, len(self.plan.recorded))), np.nan)
            for name in MEASURED
            if name != "accuracy" or self.plan.classes
        }
        self.diverged_step = np.full(shape, -1, dtype=np.int64)
        self.done = np.zeros(shape, dtype=np.uint8)

    def add(self, job: Job, trained: Trained) -> None:
        """Take in the results of a job."""
        if job.role == "pilot":
            diverged = int(np.count_nonzero(trained.diverged_step >= 0))
            self.pilots[job.ensemble, job.rate] = Pilots(
                float(np.mean(trained.validation)), diverged
            )
            return
        row, seeds = self.plan.ensembles.index(job.ensemble), slice(job.first, job.end)
        for name, values in self.arrays.items():
            values[row, seeds] = getattr(trained, name)
        self.diverged_step[row, seeds] = trained.diverged_step
        self.done[row, seeds] = 1

    def pilots_of(self, label: str) -> dict[float, Pilots]:
        """Return the results of the pilots of an ensemble, by rate."""
        return {rate: each for (own, rate), each in self.pilots.items() if own == label}

    def is_done(self, label: str, seed: int) -> bool:
        """Return True if a measured network has been trained."""
        return bool(self.done[self.plan.ensembles.index(label), seed])

    def networks(self) -> int:
        """Return the number of networks that have been trained."""
        return len(self.pilots) * self.plan.pilots + int(self.done.sum())

    def rates(self) -> tuple[float, ...]:
        """Return the grid and its extensions, ascending."""
        return tuple(sorted({*self.plan.grid, *(rate for _, rate in self.pilots)}))

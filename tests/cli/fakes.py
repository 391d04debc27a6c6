"""A stand-in for the simulation: what it was asked for, and results without any work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import xarray as xr

from simcore.execution.progress import Control, Progress
from simcore.runs.run import Run

BASIC = ["--width", "64", "--depth", "5"]


def fake_dataset(run: Run) -> xr.Dataset:
    """Results as `open_run` gives them, with a few of the variables that the table shows."""
    dims, shape = (*run.dimensions, "layer"), (*run.shape, run.depth)
    values = {"correlation": 0.5, "correlation_stderr": 0.01, "correlation_theory": 0.48}
    return xr.Dataset({name: (dims, np.full(shape, value)) for name, value in values.items()})


@dataclass
class FakeRun:
    """Stands for `simcore.execution.execute.execute`; `during` happens in the middle of it."""

    during: Callable[[Control], None] = lambda _: None
    calls: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, run: Run, **settings: Any) -> SimpleNamespace:
        self.calls.append({"run": run, **settings})
        total = run.trials * len(run.points)
        if settings["report"] is not None:
            settings["report"](Progress("running", 0, total, 0, 1000, 0.1))
        control = settings["control"]
        self.during(control)
        done = 64 if control.stop.is_set() else run.trials
        points = [SimpleNamespace(trials=lambda: done) for _ in run.points]
        output = settings["output"]
        with h5py.File(output, "w") as file:
            file.attrs["config_sha256"] = run.digest()
            file.attrs["complete"] = np.uint8(done == run.trials)
        return SimpleNamespace(
            run=run,
            points=points,
            results=SimpleNamespace(run=run),
            output=output,
            complete=done == run.trials,
            seconds=2.0,
            node_updates=1000,
            unmet=[],
        )

    @property
    def run(self) -> Run:
        """The run that was executed."""
        assert len(self.calls) == 1
        run = self.calls[0]["run"]
        assert isinstance(run, Run)
        return run

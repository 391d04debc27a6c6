"""What `bench/gpu.py` verifies and times of matrix products: batches and explicit weights."""

from __future__ import annotations

import statistics
from dataclasses import replace
from typing import Any

from gpu_work import explicit_weights
from harness import interleaved

from simcore.runs.run import Run

SIZES = ((1024, 1), (1024, 64), (4096, 1), (4096, 64), (4096, 512))
"""Widths and numbers of pairs."""

DEPTH, LEAST_TRIALS, MOST_OF_GRAM = 4, 64, 256

SIX_DIGITS = 3e-6
"""What nine of ten values keep, relative, of the CPU's."""


def batch(width: int, pairs: int, trials: int, **options: Any) -> Run:
    """Return a run of explicit weights, or of another sampler."""
    settings = {"depth": DEPTH, "keep": 0, "device": "cuda", "sampler": "dense"} | options
    return Run(width=(width,), pairs=pairs, shared_network=True, trials=trials, **settings)


def rows_of(run: Run) -> Any:
    """Return the observables of the trials of a run's first point, shape (trial, layer, column)."""
    import numpy as np

    from simcore.sampling.choose import sampler_for
    from simcore.sampling.contract import Signals

    sampler: Any = sampler_for(run)
    rows = np.empty((run.trials, run.depth, run.columns.count))
    if run.device == "cuda":
        made = sampler.device.room(rows.shape)
        sampler.make_rows(0, 0, 0, sampler.start(0, 0, len(rows)), made)
        sampler.device.get(made, rows)
    else:
        sampler.advance(0, 0, 0, sampler.carry(0, 1), rows, Signals.sharing())
    return rows


def agree() -> dict[str, float]:
    """Return what nine of ten values of small batches lose, relative, at most, by sampler.

    ArithmeticError if that is too much.
    """
    import numpy as np

    lost = {}
    for name in ("dense", "gram"):
        run = batch(300, 8, 20, sampler=name)
        made, expected = rows_of(run), rows_of(replace(run, device="cpu"))
        off = np.abs(made - expected) / (1e-300 + np.abs(expected))
        lost[name] = float(np.nanquantile(off, 0.9))
        print(f"{name}: nine of ten values lose {lost[name]:.2g}")
    if max(lost.values()) > SIX_DIGITS:
        raise ArithmeticError(f"these are not the CPU's batches, nine of ten values lose {lost}")
    return lost


def measure(
    width: int, pairs: int, weights: float, rounds: int, *, with_torch: bool
) -> dict[str, Any]:
    """Return weights a second of every kind of work, of `gram` those that it need not draw."""
    from simcore.execution.execute import execute

    trials = max(
        LEAST_TRIALS, int(weights / (DEPTH * width * width)) // LEAST_TRIALS * LEAST_TRIALS
    )
    runs = {
        "dense": batch(width, pairs, trials),
        "gram": batch(width, pairs, min(trials, MOST_OF_GRAM), sampler="gram"),
    }
    work = {name: lambda run=run: execute(run).seconds for name, run in runs.items()}
    each = {name: run.trials * run.depth * width * width for name, run in runs.items()}
    if with_torch:
        work["torch"], networks = explicit_weights(width, 2 * pairs)
        each["torch"] = networks * width * width
    times = interleaved(work, rounds)
    rates = {name: statistics.median(each[name] / one for one in times[name]) for name in work}
    return {"width": width, "pairs": pairs, **rates}

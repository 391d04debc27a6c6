"""Training runs made of known laws: what `simcore.training.open_training` would give of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from simcore.training.jobs import Pilots
from simcore.training.plan import Digits, Plan, TeacherStudent
from simcore.training.results import Results
from simcore.training.store import write_training

__all__ = ["LAST", "STEPS", "runs", "write"]

LAST = 1000
STEPS = np.unique(np.concatenate([[0], np.geomspace(1, LAST, 40).round()])).astype(np.int64)


def runs(
    speed: Mapping[str, float] = {"he": 1.0},
    *,
    seeds: int = 20,
    scatter: float = 0.3,
    pair_scatter: float = 0.5,
    diverged: Mapping[str, Mapping[int, int]] | None = None,
    task: str = "teacher-student",
    seed: int = 0,
    layers: int = 3,
    steps: npt.ArrayLike = STEPS,
) -> xr.Dataset:
    """Return runs whose loss is 1/(1 + v step/30), v the speed of an ensemble with lognormal noise.

    Parameters
    ----------
    speed
        Of each ensemble.
    scatter, pair_scatter
        Of ln v: of every run, and what the runs of a pair share.
    diverged
        Steps at which seeds of an ensemble diverge.
    """
    at = np.asarray(steps)
    rng = np.random.default_rng(seed)
    names = list(speed)
    shape = (len(names), seeds)
    noise = pair_scatter * rng.standard_normal(seeds) + scatter * rng.standard_normal(shape)
    v = np.array(list(speed.values()))[:, np.newaxis] * np.exp(noise)
    loss = 1.0 / (1.0 + v[:, :, np.newaxis] * at / 30.0)
    if task == "digits":
        loss = loss * np.log(10.0)
    gone, gone_step = np.zeros(shape, dtype=np.uint8), np.full(shape, -1)
    for name, own in (diverged or {}).items():
        for i, step in own.items():
            e = names.index(name)
            gone[e, i], gone_step[e, i] = 1, step
            loss[e, i, step <= at] = np.nan
    rate = np.array([0.01, 0.03, 0.1, 0.3, 1.0])
    pilot = np.abs(np.log(rate / 0.1)) + np.ones((len(names), 1))
    pilot[:, -1] = np.nan
    run_step = ("ensemble", "seed", "step")
    per_layer = ("ensemble", "seed", "layer")
    data: dict[str, Any] = {
        "loss": (run_step, loss),
        "train_loss": (run_step, 0.9 * loss),
        "learning_rate": ("ensemble", np.full(len(names), 0.1)),
        "pilot_loss": (("ensemble", "rate"), pilot),
        "pilot_diverged": (("ensemble", "rate"), np.isnan(pilot).astype(np.int64)),
        "extended": ("ensemble", np.zeros(len(names), dtype=np.uint8)),
        "at_edge": ("ensemble", np.zeros(len(names), dtype=np.uint8)),
        "diverged": (("ensemble", "seed"), gone),
        "diverged_step": (("ensemble", "seed"), gone_step),
        "dead_before": (per_layer, rng.uniform(0.0, 0.1, (*shape, layers))),
        "dead_after": (per_layer, rng.uniform(0.1, 0.2, (*shape, layers))),
    }
    if task == "digits":
        data["accuracy"] = run_step, np.where(np.isnan(loss), np.nan, np.exp(-np.nan_to_num(loss)))
    coords = {
        "ensemble": names,
        "seed": np.arange(seeds),
        "step": at,
        "rate": rate,
        "layer": np.arange(1, layers + 1),
    }
    return xr.Dataset(data, coords, {"task": task, "config": "{}", "complete": 1})


def write(
    path: Path,
    speed: Mapping[str, float],
    *,
    diverged: Mapping[str, Mapping[int, int]] | None = None,
    digits: bool = False,
    seeds: int = 20,
    depth: int = 3,
    unfinished: int = 0,
) -> Path:
    """Write a file of such runs; of the last ensembles so many are not trained yet."""
    sizes: dict[str, Any] = {"ensembles": tuple(speed), "depth": depth, "seeds": seeds}
    plan: Plan = (Digits if digits else TeacherStudent)(steps=LAST, width=8, pilots=1, **sizes)
    made = runs(
        speed, seeds=seeds, diverged=diverged, task=plan.task, layers=depth, steps=plan.recorded
    )
    results = Results(plan)
    here = slice(0, len(speed) - unfinished)
    for name, array in results.arrays.items():
        array[here] = made[name].to_numpy()[here]
    results.diverged_step[here] = made["diverged_step"].to_numpy()[here]
    results.done[here] = 1
    for i, label in enumerate(speed):
        for j, rate in enumerate(plan.grid):
            worse = abs(j - 2) if label != "orthogonal" else 0.1 * len(plan.grid) - 0.1 * j
            results.pilots[label, rate] = Pilots(1.0 + 0.1 * i + worse, 0)
        if label == "orthogonal":
            results.pilots |= {(label, r): Pilots(0.9 - 0.1 * r, 0) for r in (0.3, 1.0)}
    provenance = {"host": "here", "time": "2026-01-01T00:00:00+00:00", "threads": 1}
    write_training(path, results, complete=not unfinished, provenance=provenance)
    return path

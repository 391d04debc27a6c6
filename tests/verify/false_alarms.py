"""The verdicts of `compare` say "deviates" as rarely as they claim where theory holds.

A thousand runs at once: the points of a grid over q0, on which neither the correlation nor the
growth of ln q depends. Their theory is the exact mean, that of all of them together, so the claimed
rate of 1 % is the true one if the joint test is right. It is an upper bound, which close layers
undercut.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import xarray as xr
from scipy import stats

from simcore.calls import simulate
from simcore.results.compare import compare
from simcore.results.controlled import with_controls
from simcore.runs.run import Run
from tests.verify.check import Check, Effort, Outcome

__all__ = ["CHECKS", "WRONG"]

RUNS = 1000
FEWER = 400
"""Runs that show that a wrong theory is noticed."""
RATE = 0.01
CHANCE = 3e-4
"""Probability that more than `most` of the runs are said to deviate, of one observable."""
NOTICED = 5.0
"""A theory that is wrong by two standard errors is noticed at least so many times as often."""
OBSERVED = ("log_q1", "correlation", "log_distance")


def most(runs: int) -> float:
    """Largest share of runs that may be said to deviate."""
    return float(stats.binom.isf(CHANCE, runs, RATE)) / runs


def grid(k: float, runs: int, seed: int) -> xr.Dataset:
    """Runs whose ``_theory`` is the mean of all of them."""
    run = Run(
        depth=12,
        width=(64,),
        ensemble="correlated",
        k=(k,),
        q0=tuple(np.linspace(0.5, 1.5, runs)),
        trials=64,
        keep=0,
        seed=seed,
    )
    ds = with_controls(simulate(run))
    for name in OBSERVED:
        known = np.log(ds["q0"]) if name == "log_q1" else 0.0
        exact = (ds[name] - known).mean("q0") + known
        ds[f"{name}_theory"] = exact.broadcast_like(ds[name]).transpose(*ds[name].dims)
    return ds.drop_vars([name for name in ds if "theory_1n" in str(name)])


def shares(ds: xr.Dataset) -> dict[str, float]:
    """Share of runs that are said to deviate, by observable."""
    verdicts = compare(ds, false_alarm=RATE).verdicts
    return {
        name: float(np.mean([v.agrees is False for v in verdicts if v.observable == name]))
        for name in OBSERVED
    }


def alarms(effort: Effort, *, k: float) -> Outcome:
    runs = effort.of(RUNS)
    found = shares(grid(k, runs, effort.seed - 1))
    where = max(found, key=lambda name: found[name])
    bound = most(runs)
    return Outcome(f"{found[where]:.2%} deviate ({where})", found[where] <= bound)


def noticed(effort: Effort, *, k: float) -> Outcome:
    """Share of runs that deviate from a theory which is wrong by two standard errors."""
    runs = effort.of(FEWER)
    ds = grid(k, runs, effort.seed - 1)
    for name in OBSERVED:
        ds[f"{name}_theory"] = ds[f"{name}_theory"] + 2.0 * ds[f"{name}_stderr"]
    found = shares(ds)
    where = min(found, key=lambda name: found[name])
    bound = NOTICED * most(runs)
    return Outcome(f"{found[where]:.2%} deviate ({where})", found[where] <= bound)


SOURCE = "simcore.compare, false_alarm=0.01"
CHECKS = [
    Check(f"false alarms/k={k:g}", SOURCE, "1 % and chance", 3 * CHANCE, partial(alarms, k=k))
    for k in (0.0, 1.0)
]
WRONG = [
    Check(
        name=f"false alarms/k={k:g}: theory two standard errors off",
        source=SOURCE,
        bound=f"{NOTICED:g} times 1 % and chance",
        false_alarm=3 * CHANCE,
        measure=partial(noticed, k=k),
    )
    for k in (0.0, 1.0)
]

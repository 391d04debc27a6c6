"""The verdicts of `compare` say "deviates" as rarely as they claim where theory holds.

A thousand runs at once: the points of a grid over q0, on which neither the correlation nor the
growth of ln q depends. Their theory is the exact mean, that of all of them together, so the claimed
rate of 1 % is the true one if the joint test is right. It is an upper bound, which close layers
undercut. 1,000 runs exceed 2.2 % by chance with probability 3e-4; six rates are looked at.
"""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from simcore.api import simulate
from simcore.results.compare import compare
from simcore.runs.run import Run

RUNS = 1000
RATE = 0.01
MOST = 0.022
OBSERVED = ("log_q1", "correlation", "log_distance")


def runs(k: float, trials: int) -> xr.Dataset:
    """Runs whose ``_theory`` is the mean of all of them."""
    run = Run(
        depth=12,
        width=(64,),
        ensemble="correlated",
        k=(k,),
        q0=tuple(np.linspace(0.5, 1.5, RUNS)),
        trials=trials,
        keep=0,
    )
    ds = simulate(run)
    for name in OBSERVED:
        known = np.log(ds["q0"]) if name == "log_q1" else 0.0
        exact = (ds[name] - known).mean("q0") + known
        ds[f"{name}_theory"] = exact.broadcast_like(ds[name]).transpose(*ds[name].dims)
    return ds.drop_vars([name for name in ds if "theory_1n" in str(name)])


def alarms(ds: xr.Dataset) -> dict[str, float]:
    """The share of runs that are said to deviate."""
    verdicts = compare(ds, false_alarm=RATE).verdicts
    return {
        name: float(np.mean([v.agrees is False for v in verdicts if v.observable == name]))
        for name in OBSERVED
    }


@pytest.mark.parametrize(("k", "trials"), [(0.0, 64), (1.0, 64)])
def test_false_alarms_are_as_rare_as_claimed(k: float, trials: int) -> None:
    ds = runs(k, trials)
    found = alarms(ds)
    assert max(found.values()) <= MOST, found
    for name in OBSERVED:
        ds[f"{name}_theory"] = ds[f"{name}_theory"] + 2.0 * ds[f"{name}_stderr"]
    seen = alarms(ds)
    assert min(seen.values()) > 5.0 * MOST, seen

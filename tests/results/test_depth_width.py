"""The whole law at the last layer beside the limit of depth with width, L = tN."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

import simcore
from simcore.results.compare import compare
from simcore.results.depth_width import whole_laws
from simcore.runs.run import Run
from simcore.theory import sde

SHAPED: dict[str, Any] = {
    "depth": 32,
    "width": 64,
    "slopes": "shaped:0,-1",
    "correlation": 0.3,
    "keep": 1000,
}


@pytest.fixture(scope="module")
def shaped() -> xr.Dataset:
    return simcore.simulate(Run(**SHAPED, trials=1000, seed=3))


def test_shaped_networks_have_the_law_of_the_diffusion(shaped: xr.Dataset) -> None:
    """Seeds 0 to 19: least p 0.09, largest difference of the standard deviations 0.018."""
    (law,) = compare(shaped).laws
    limit = sde(0.5, shape=(0.0, -1.0), correlation=0.3)
    assert (law.observable, law.layer, law.time, law.trials) == ("correlation", 32, 0.5, 1000)
    assert law.agrees
    assert law.limit_mean == pytest.approx(limit.mean[0], abs=1e-3)
    assert law.limit_std == pytest.approx(limit.std[0], abs=1e-3)
    assert law.std == pytest.approx(law.limit_std, abs=0.04)
    assert "the two laws agree" in law.words
    assert "the two laws agree" in compare(shaped).conclusion


def test_the_distance_is_that_of_the_networks_themselves(shaped: xr.Dataset) -> None:
    """The histogram's edges are few: the distance is at most that of all networks, and near it."""
    (law,) = compare(shaped).laws
    c = np.sort(shaped.correlation_trajectories.to_numpy()[:, -1])
    limit = sde(0.5, shape=(0.0, -1.0), correlation=0.3).probability(c)[0]
    ranks = np.arange(c.size)
    exact = max((limit - ranks / c.size).max(), ((ranks + 1) / c.size - limit).max())
    assert exact - 0.02 < law.apart <= exact + 1e-3


def test_another_law_differs(shaped: xr.Dataset) -> None:
    wrong = shaped.assign_attrs(slopes="shaped:2,-2")
    (law,) = compare(wrong).laws
    assert not law.agrees
    assert law.p_value < 1e-6
    assert "the two laws differ" in compare(wrong).conclusion


def test_relu_is_compared_where_first_order_has_ended() -> None:
    """At t = 4 the limit has lost 2.9 of the mean of ln(1 - c); at N = 64 it is still 1 away."""
    deep = simcore.simulate(Run(depth=128, width=32, trials=256))
    (law,) = compare(deep).laws
    assert law.observable == "log_distance"
    assert law.limit_mean == pytest.approx(-13.36 + 2.0 * np.log(2.0), abs=0.05)
    assert law.mean == pytest.approx(law.limit_mean, abs=3.0)
    assert law.std == pytest.approx(law.limit_std, rel=0.3)
    assert not compare(simcore.simulate(Run(depth=16, width=32, trials=64))).laws


@pytest.mark.parametrize(
    "changed",
    [
        {"sigma_b": 0.1},
        {"ensemble": "correlated", "k": 1.0},
        {"slopes": "1,0.9"},
        {"trials": 32},
        {"slopes": None, "width": None, "layer_widths": [16] * 31 + [8]},
    ],
)
def test_others_have_no_such_limit(changed: dict[str, Any]) -> None:
    given = {**SHAPED, "trials": 64, "keep": 0, "width": 64, **changed}
    run = Run(**{name: value for name, value in given.items() if value is not None})
    assert not compare(simcore.simulate(run)).laws


def test_a_grid_of_many_limits_has_none(
    shaped: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes some 0.2 s; points with one limit count once."""
    monkeypatch.setattr("simcore.results.depth_width.MOST_LAWS", 1)
    pair = xr.concat([shaped, shaped], "seed_of_run").assign_coords(seed_of_run=[1, 2])
    assert len(list(whole_laws(pair, 0.01))) == 2
    other = shaped.assign_coords(initial_distance=0.4)
    pair = xr.concat([shaped, other], "seed_of_run").assign_coords(seed_of_run=[1, 2])
    assert not list(whole_laws(pair, 0.01))


def test_a_grid_says_how_many_points_differ() -> None:
    run = Run(**SHAPED | {"correlation": (0.3, 0.6), "trials": 200, "keep": 0})
    found = compare(simcore.simulate(run))
    assert [law.point["overlap"] for law in found.laws] == pytest.approx([0.3, 0.6])
    assert "0 of 2 points differ" in str(found)

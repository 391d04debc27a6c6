"""Intervals around means of few networks hold what they claim."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

import simcore
from simcore.results.intervals import ends, of_share, reach
from simcore.runs.run import Run


def test_many_networks_have_two_standard_errors() -> None:
    assert reach(10**6) == pytest.approx(2.0, rel=1e-5)
    assert np.isnan(reach([0, 1])).all()


# Of 40 000 intervals the share inside has a standard error of 0.001: 4 of them are passed by chance
# in 6e-5 of runs. Two standard errors hold 0.82 with 3 networks and 0.92 with 10.
@pytest.mark.parametrize("networks", [3, 10, 100])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_intervals_of_normal_values_hold_their_share(networks: int, seed: int) -> None:
    values = np.random.default_rng(seed).standard_normal((40_000, networks))
    error = values.std(axis=1, ddof=1) / np.sqrt(networks)
    inside = np.abs(values.mean(axis=1)) <= reach(networks) * error
    assert abs(inside.mean() - 0.9545) < 0.0042
    if networks <= 10:
        assert (np.abs(values.mean(axis=1)) <= 2.0 * error).mean() < 0.93


def test_shares_have_the_intervals_of_clopper_and_pearson() -> None:
    for networks in (1, 3, 64, 1000):
        count = np.arange(networks + 1)
        low, high = of_share(count / networks, np.full(networks + 1, networks))
        for x in {0, 1, networks // 3, networks - 1, networks}:
            test = binomtest(x, networks)
            if x == 0:
                test = binomtest(x, networks, alternative="less")
            elif x == networks:
                test = binomtest(x, networks, alternative="greater")
            exact = test.proportion_ci(0.95, method="exact")
            assert (low[x], high[x]) == pytest.approx((exact.low, exact.high), rel=1e-9)
    assert np.isnan(of_share([0.0, np.nan], [0, 0])).all()
    assert of_share(0.0, 1000)[1] == pytest.approx(1.0 - 0.05**0.001)


@pytest.mark.parametrize("networks", [10, 100, 1000])
def test_intervals_of_shares_hold_what_they_claim(networks: int) -> None:
    """The open ends cost at most 2.5 %, since there only one end can miss."""
    count = np.arange(networks + 1)
    low, high = of_share(count / networks, np.full(networks + 1, networks))
    for share in np.linspace(0.0005, 0.9995, 200):
        inside = (low <= share) & (share <= high)
        assert binom.pmf(count[inside], networks, share).sum() >= 0.925


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.integers(2, 2000))
def test_no_end_of_a_share_lies_outside(mean: float, error: float, networks: int) -> None:
    for name in ("dead_network1", "inactive1", "dead", "dead_inputs"):
        for counted in (True, False):
            low, high = ends(name, mean, error, networks, counted=counted)
            assert 0.0 <= low <= high <= 1.0
    low, high = ends("correlation", mean, error, networks)
    assert high - low == pytest.approx(2.0 * reach(networks) * error)


def test_a_dataset_has_the_intervals_of_dead_networks() -> None:
    run = Run(depth=3, width=(2, 64), trials=64)
    dataset = simcore.simulate(run)
    share, count = dataset["dead_network1"], dataset["dead_network1_count"]
    low, high = of_share(share, count)
    assert dataset["dead_network1_low"].values.tolist() == low.tolist()
    assert dataset["dead_network1_high"].values.tolist() == high.tolist()
    assert share.sel(width=64).max() == 0.0
    assert float(dataset["dead_network1_high"].sel(width=64)[0]) == pytest.approx(0.0457, abs=1e-4)
    assert (dataset["dead_network1_low"].sel(width=2) > 0.0).all()
    picked = dataset["dead_network1_high"].isel(width=[1], layer=slice(0, 3, 2))
    assert picked.values.tolist() == high[[1]][:, [0, 2]].tolist()

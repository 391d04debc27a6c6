"""Intervals around means of few networks hold what they claim."""

from __future__ import annotations

import numpy as np
import pytest

from simcore.results.intervals import reach


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

"""Nodes inactive for every input of a data set: closed forms, one way against the other, networks.

Random pairs by an integral, given inputs by draws; both are theory.md (7e).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from mpmath import mp

import simcore
from simcore.theory import data_set, trajectory
from simcore.theory.data_set import dead_of_inputs, dead_of_pairs

Floats = npt.NDArray[np.float64]

Z = 5.0
"""Standard errors; exceeded by chance in 6e-7 of the comparisons."""


def equicorrelated(c: float, inputs: int) -> float:
    """Return the probability in many digits, by another rule of quadrature."""
    slope = mp.sqrt(mp.mpf(c) / (1 - mp.mpf(c)))
    edges = [-40, -20, -10, *(mp.mpf(y) / slope for y in (-6, -4, -2, 0, 6)), 40]
    edges = sorted(x for x in {*edges, mp.mpf(0)} if abs(x) <= 40)
    return float(mp.quad(lambda z: mp.npdf(z) * mp.ncdf(-z * slope) ** inputs, edges))


@pytest.mark.parametrize("pairs", [1, 2, 7, 100, 4000])
def test_inputs_with_a_correlation_of_one_half_are_exchangeable(pairs: int) -> None:
    """Then h is a difference of independent normals, and any of M + 1 is the largest."""
    found = data_set._all_inactive(0.5, [0.5], [pairs])
    assert found == pytest.approx(1.0 / (2 * pairs + 1), rel=1e-12)


@pytest.mark.parametrize("c", [0.01, 0.3, 0.7, 0.97, 1.0 - 1e-6, 1.0 - 1e-12])
@pytest.mark.parametrize("pairs", [1, 10, 500])
def test_equicorrelated_inputs_against_another_quadrature(c: float, pairs: int) -> None:
    gap = 1.0 - c
    found = data_set._all_inactive(gap, [gap], [pairs])
    assert found == pytest.approx(equicorrelated(1.0 - gap, 2 * pairs), rel=1e-10)


@pytest.mark.parametrize(("k", "sigma_b"), [(0.0, 0.0), (1.0, 0.3), (math.inf, 0.0)])
def test_one_pair_is_inactive_for_both_signals(k: float, sigma_b: float) -> None:
    for distance in (1e-20, 0.3, 1.0, 1.8):
        law: dict[str, Any] = {"k": k, "sigma_w": 1.3, "sigma_b": sigma_b}
        both = trajectory(30, distance=distance, **law).inactive_both
        found = dead_of_pairs(30, distances=[distance], **law)
        np.testing.assert_allclose(found, both, rtol=1e-7)


def test_independent_inputs_are_inactive_one_by_one() -> None:
    assert dead_of_pairs(1, k=0.0, distances=[1.0] * 5)[0] == pytest.approx(2.0**-10, rel=1e-13)


def test_a_published_count_of_dead_nodes() -> None:
    """The last layer of 256 × 32 nodes, `he`, 8000 inputs; counts of networks are from 63 to 80."""
    dead = dead_of_pairs(32, k=0.0, distances=[1.0] * 4000)
    assert 256 * dead[-1] == pytest.approx(68.0, abs=0.1)


def test_signals_that_have_merged_share_their_nodes() -> None:
    assert dead_of_pairs(5000, k=-0.9, distances=[1.0, 0.5])[-1] == 0.5


# --- given inputs ---------------------------------------------------------------------------------


def pairs_as_inputs(overlaps: tuple[float, ...]) -> Floats:
    """Return inputs of mean zero whose pairs have these overlaps, and nothing else in common."""
    basis = np.linalg.qr(np.vander(np.linspace(-1.0, 1.0, 16), 2 * len(overlaps) + 1)[:, ::-1])[0]
    one, other = basis[:, 1::2].T * 4.0, basis[:, 2::2].T * 4.0
    c = np.array(overlaps)[:, None]
    return np.concatenate([one, c * one + np.sqrt(1.0 - c * c) * other])


OVERLAPS = (0.9, 0.5, -0.7, 0.0)


@pytest.mark.parametrize(
    ("k", "sigma_w", "sigma_b"), [(0.0, None, 0.0), (1.0, 1.2, 0.3), (-0.5, 1.0, 1.0)]
)
def test_draws_agree_with_the_integral(k: float, sigma_w: float | None, sigma_b: float) -> None:
    law: dict[str, Any] = {"k": k, "sigma_w": sigma_w, "sigma_b": sigma_b}
    values, errors = dead_of_inputs(pairs_as_inputs(OVERLAPS), 12, **law)
    exact = dead_of_pairs(12, distances=[1.0 - c for c in OVERLAPS], **law)
    assert (abs(values - exact) < Z * errors + 1e-12).all()
    assert (errors < 0.05 * exact).all()


def test_an_input_that_is_not_seen_counts_as_inactive() -> None:
    """Without bias; zero-sum weights do not see a constant input, others see no zero."""
    some = pairs_as_inputs(OVERLAPS)
    more = np.concatenate([some, np.zeros((1, 16))])
    np.testing.assert_array_equal(dead_of_inputs(more, 3, k=0.0), dead_of_inputs(some, 3, k=0.0))
    more[-1] = 7.0
    found, expected = (dead_of_inputs(x, 3, k=math.inf)[0] for x in (more, some))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert (dead_of_inputs(more, 3, k=0.0)[0] != dead_of_inputs(some, 3, k=0.0)[0]).all()
    assert (dead_of_inputs(np.zeros((3, 16)), 4, k=0.0)[0] == 1.0).all()


def test_opposite_inputs_leave_no_node_inactive() -> None:
    """A sum of zero, where there is nothing in common to be integrated over."""
    one = pairs_as_inputs((0.3,))
    values, errors = dead_of_inputs(np.concatenate([one, -one]), 2, k=0.0)
    assert values[0] == errors[0] == 0.0
    assert 0.0 < values[1] < 0.2


@pytest.mark.parametrize("scale", [1e-90, 1e90])
def test_the_unit_of_the_inputs_does_not_matter(scale: float) -> None:
    inputs = pairs_as_inputs(OVERLAPS)
    expected = dead_of_inputs(inputs, 4, k=1.0, sigma_w=1.3, sigma_b=0.3)[0]
    found = dead_of_inputs(scale * inputs, 4, k=1.0, sigma_w=1.3, sigma_b=0.3 * scale)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_work_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first layers have a value; too many inputs none, whose covariance would not fit."""
    inputs = pairs_as_inputs(OVERLAPS)
    whole = dead_of_inputs(inputs, 6, k=0.0)[0]
    monkeypatch.setattr(data_set, "WORK", 2.5 * 64 * (8 / 3 + 2 * 20_000))
    part = dead_of_inputs(inputs, 6, k=0.0)[0]
    np.testing.assert_array_equal(part, np.where(np.arange(6) < 2, whole, np.nan))
    monkeypatch.setattr(data_set, "MOST_INPUTS", 7)
    assert np.isnan(dead_of_inputs(inputs, 6, k=0.0)).all()


# --- networks -------------------------------------------------------------------------------------


def worst_z(found: Any, name: str) -> float:
    """Return the largest |z| of a layer; theory may have an error of its own."""
    return float(abs(simcore.compare(found).z[f"{name}_z"]).max())


NETWORKS: dict[str, tuple[simcore.Ensemble, dict[str, Any]]] = {
    "he": (simcore.Ensemble.he(), {"pairs": 4, "correlation": [0.5, -0.9, 0.0, 0.99]}),
    "bias": (simcore.Ensemble.correlated(k=1.0, sigma_b=0.3), {"pairs": 3, "correlation": [0.3]}),
    "file": (simcore.Ensemble.correlated(k=-0.5, sigma_b=0.2), {}),
}


def simulated(name: str, place: Any, seed: int) -> Any:
    ensemble, options = NETWORKS[name]
    if options:
        options = {**options, "shared_network": True}
    else:
        np.save(place / "inputs.npy", pairs_as_inputs(OVERLAPS))
        options = {"inputs": place / "inputs.npy", "pairs": 2}
    return simcore.simulate(ensemble, width=1500, depth=4, trials=64, seed=seed, **options)


@pytest.mark.parametrize("name", NETWORKS)
def test_wide_networks_have_the_predicted_share_of_dead_nodes(name: str, tmp_path: Any) -> None:
    """Terms of order 1/N move the mean by less than half a standard error."""
    assert worst_z(simulated(name, tmp_path, seed=1), "dead") < Z


def test_the_mean_share_of_dead_inputs_is_exact_at_any_width(tmp_path: Any) -> None:
    inputs = pairs_as_inputs(OVERLAPS)
    inputs[0] = 0.0
    np.save(tmp_path / "inputs.npy", inputs)
    found = simcore.simulate(
        simcore.Ensemble.he(),
        width=3,
        depth=6,
        trials=4000,
        seed=1,
        inputs=tmp_path / "inputs.npy",
        pairs=2,
    )
    assert found["dead_inputs_theory"][0] == pytest.approx(1 / 8 + 7 / 8 * 2.0**-3)
    assert worst_z(found, "dead_inputs") < Z


def test_which_runs_have_which_predictions(tmp_path: Any) -> None:
    np.save(tmp_path / "inputs.npy", pairs_as_inputs(OVERLAPS))
    own = {"dead_theory", "dead_theory_stderr", "dead_inputs_theory"}
    common: dict[str, Any] = {"width": 4, "depth": 2, "trials": 64, "pairs": 2}

    def predicted(ensemble: simcore.Ensemble, **options: Any) -> set[str]:
        return own & set(simcore.simulate(ensemble, **common, **options).data_vars)

    he, random = simcore.Ensemble.he(), {"shared_network": True}
    assert predicted(he, **random) == own - {"dead_theory_stderr"}
    assert predicted(he, inputs=tmp_path / "inputs.npy") == own
    assert predicted(he, weights="rademacher", **random) == {"dead_theory"}
    assert predicted(simcore.Ensemble.rai(), **random) == set()

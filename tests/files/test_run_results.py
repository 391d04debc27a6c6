"""Results are assembled once: whoever shows them, nothing is computed twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from simcore.cli.simulate import main
from simcore.cli.summary import rows_of_results

import simcore
from simcore.execution.execute import execute
from simcore.files.run_results import RunResults
from simcore.results.compare import z_scores
from simcore.results.open_run import to_dataset
from simcore.runs.run import Run
from simcore.statistics.tree import PointStatistics
from tests.support.results import statistics

Counted = Counter[str]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """How often each prediction was made and each point was folded."""
    calls: Counted = Counter()

    def count(place: Any, name: str) -> None:
        original: Callable[..., Any] = getattr(place, name)

        def wrapped(*positional: Any, **named: Any) -> Any:
            calls[name] += 1
            return original(*positional, **named)

        monkeypatch.setattr(place, name, wrapped)

    from simcore.theory import finite_width, meanfield, population

    count(meanfield, "trajectory")
    count(population, "population_trajectory")
    count(finite_width, "first_order_grid")
    return calls


def test_the_command_makes_each_prediction_once(
    counted: Counted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    grid = ["--width", "8", "--depth", "3", "--correlation", "0.1,0.5", "--trials", "64"]
    assert main([*grid, "-o", "run.h5"]) == 0
    assert counted == {"trajectory": 2, "first_order_grid": 1}


@pytest.mark.parametrize("output", ["run.h5", None])
def test_simulate_makes_each_prediction_once(
    output: str | None, counted: Counted, tmp_path: Path
) -> None:
    path = None if output is None else tmp_path / output
    simcore.simulate(simcore.Ensemble.rai(), width=8, depth=2, trials=64, output=path)
    assert counted == {"population_trajectory": 1}
    ensemble = simcore.Ensemble.correlated(k=1.0)
    simcore.simulate(ensemble, width=[8, 16], depth=2, trials=64, output=path, overwrite=True)
    # Both widths have the same limit of infinite width.
    assert counted == {"population_trajectory": 1, "trajectory": 1, "first_order_grid": 1}


def test_points_are_folded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    original = PointStatistics.published

    def fold(self: PointStatistics) -> Any:
        calls.append(self)
        return original(self)

    monkeypatch.setattr(PointStatistics, "published", fold)
    run = Run(depth=3, width=(8, 16), trials=130)
    results = RunResults(run, statistics(run), complete=True)
    assert not calls
    first = {field.path: array.values for field, array in results.arrays()}
    second = {field.path: array.values for field, array in results.arrays()}
    assert len(calls) == 2
    assert first.keys() == second.keys()
    for path, values in first.items():
        np.testing.assert_array_equal(values, second[path])


def test_histograms_may_be_asked_for_without_quantiles() -> None:
    run = Run(depth=3, width=(8,), trials=130)
    results = RunResults(run, statistics(run), complete=True)
    whole = {field.variable: array.values for field, array in results.arrays()}
    chosen = ("angle_histogram", "correlation_bin_lower")
    some = {field.variable: array.values for field, array in results.arrays(chosen)}
    assert set(some) == set(chosen)
    for name in chosen:
        np.testing.assert_array_equal(some[name], whole[name])


def test_inputs_far_smaller_than_the_bias_have_a_theory() -> None:
    ds = simcore.simulate(simcore.Ensemble.rai(), width=16, depth=3, q0=1e-20, trials=64)
    gap = np.log(ds.distance_theory.values / ds.distance.values)
    # A mean distance of about 1e-20, with 64 networks known to 20 %.
    np.testing.assert_allclose(gap, 0.0, atol=1.0)
    assert np.isfinite(ds.q1_theory.values).all()


def test_means_of_values_that_partly_leave_float64_are_undefined() -> None:
    # 1 − c₀ = 1e-150 is the edge: about half of the networks have a smaller distance in layer 1.
    close = simcore.simulate(simcore.Ensemble.he(), width=64, depth=3, trials=256, distance=1e-150)
    count = close["distance_count"].to_numpy()
    assert (count > 0).all()
    assert (count < 256).all()
    for name in ("distance", "distance_stderr", "distance_std"):
        assert np.isnan(close[name]).all()
    assert (close["log_distance_count"] == 256).all()
    assert np.isfinite(close["log_distance"]).all()

    large = simcore.simulate(
        simcore.Ensemble.he(sigma_w=1e25), width=64, depth=2, trials=256, q0=1e100
    )
    assert 0 < int(large["q1_count"][0]) < 256
    assert np.isnan(large["q1"]).all()
    assert np.isfinite(large["log_q1"]).all()


def test_dead_signals_and_parallel_ones_count_in_means() -> None:
    found = simcore.simulate(simcore.Ensemble.he(), width=2, depth=6, trials=1024)
    dead = found["dead_network1"].to_numpy()
    assert (dead[:-1] > 0.0).all()
    assert np.isfinite(found["q1"]).all()
    # One active node makes signals parallel: a distance of 0, without a logarithm.
    assert (found["log_distance_count"] < found["distance_count"]).any()
    assert np.isfinite(found["distance"]).all()


@pytest.mark.parametrize("k", [1.0, 1e14, 1e15])
def test_signals_are_parallel_after_a_single_node(k: float) -> None:
    ensemble = simcore.Ensemble.correlated(k=k)
    found = simcore.simulate(ensemble, layer_widths=[4, 1, 4], depth=3, trials=512)
    assert found["correlation"].to_numpy()[2] == 1.0
    assert found["distance"].to_numpy()[2] == 0.0


@pytest.mark.parametrize("sigma_b", [0.0, 0.3])
def test_weights_that_sum_to_zero_are_dead_after_a_single_node(sigma_b: float) -> None:
    ensemble = simcore.Ensemble.correlated(k=np.inf, sigma_b=sigma_b)
    found = simcore.simulate(ensemble, layer_widths=[4, 1, 4], depth=3, trials=4096)
    mean, theory, error = (
        found[f"dead_network1{suffix}"].to_numpy() for suffix in ("", "_theory", "_stderr")
    )
    # Three layers: by chance beyond 4 standard errors in 2e-4 of runs; the seed is fixed.
    np.testing.assert_array_less(np.abs(mean - theory), 4.0 * error + 1e-12)
    assert (theory[2] == 1.0) == (sigma_b == 0.0)


@pytest.mark.parametrize("distance", [1e-12, 1e-20])
def test_deviations_of_c_near_1_have_all_digits(distance: float) -> None:
    """From the trials' ln(1 − c), in 40 digits; c itself has rounded them to multiples of 1e-16."""
    run = Run(depth=4, width=(16,), distance=distance, trials=96, keep=96)
    ds = to_dataset(execute(run).results)
    with mp.workdps(40):
        for layer in range(4):
            kept = ds.log_distance_trajectories.isel(layer=layer).to_numpy().tolist()
            gaps = [mp.exp(mp.mpf(x)) for x in kept]
            mean = mp.fsum(gaps) / 96
            std = mp.sqrt(mp.fsum((gap - mean) ** 2 for gap in gaps) / 95)
            own = ds.isel(layer=layer)
            assert float(own.correlation_std) == pytest.approx(float(std), rel=1e-12, abs=0.0)
            error = std / mp.sqrt(96)
            assert float(own.correlation_stderr) == pytest.approx(float(error), rel=1e-12, abs=0.0)
            z = float((mp.mpf(float(own.distance_theory)) - mean) / error)
            assert float(z_scores(own).correlation_z) == pytest.approx(z, rel=1e-9)
            # Every layer of a run as short is chosen for covariances.
            variance = float(own.correlation_covariance.to_numpy()[layer, layer])
            assert variance == pytest.approx(float(std**2), rel=1e-12, abs=0.0)
            shown = rows_of_results(execute(run).results)[layer].z()
            assert shown == pytest.approx(z, rel=1e-9)


def test_deviations_of_c_elsewhere_are_its_own() -> None:
    run = Run(depth=3, width=(16,), trials=96, keep=96)
    results = execute(run).results
    kept = to_dataset(results).correlation_trajectories.to_numpy()
    moments = results.points[0].published()
    assert moments is not None
    own = moments.m2[:, run.columns.of("correlation")[0]]
    assert to_dataset(results).correlation_std.to_numpy().tolist() == np.sqrt(own / 95.0).tolist()
    np.testing.assert_allclose(kept.std(axis=0, ddof=1), np.sqrt(own / 95.0), rtol=1e-13)
    covariance = to_dataset(results).correlation_covariance.to_numpy()
    at = run.columns.covariance.index("correlation")
    assert covariance.tolist() == (moments.cov_m2[at] / 95.0).tolist()

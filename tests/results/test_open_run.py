from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr

from simcore.files.run_file import write_run
from simcore.files.run_results import RunResults, quantiles
from simcore.inputs.input_set import InputSet
from simcore.physics.observables import FIRST_ORDER, KEPT, NAMES, column
from simcore.results.open_run import open_run, to_dataset
from simcore.runs.run import Run
from simcore.statistics.tree import PointStatistics
from simcore.theory import first_order
from simcore.theory.meanfield import dead_network, trajectory
from tests.support.results import point_statistics, random_rows, statistics

Floats = npt.NDArray[np.float64]

SINGLE = Run(depth=5, width=(6,), trials=150, keep=4, seed=2**64 - 1)
GRID = Run(
    depth=3,
    width=(6, 12),
    ensemble="correlated",
    k=(0.0, np.inf),
    sigma_b=(0.0, 0.3),
    trials=100,
    keep=2,
)
RUNS = {"single": SINGLE, "grid": GRID}


@pytest.fixture(scope="module", params=list(RUNS))
def run(request: pytest.FixtureRequest) -> Run:
    return RUNS[request.param]


@pytest.fixture(scope="module")
def points(run: Run) -> list[PointStatistics]:
    return statistics(run)


@pytest.mark.parametrize("complete", [True, False])
def test_a_file_and_memory_give_the_same_dataset(
    run: Run, points: list[PointStatistics], tmp_path: Path, complete: bool
) -> None:
    path = tmp_path / "run.h5"
    write_run(path, RunResults(run, points, complete=complete), provenance={"host": "here"})
    ds = open_run(path)
    xr.testing.assert_identical(ds, to_dataset(RunResults(run, points, complete=complete)))
    assert ("correlation_theory" in ds) == complete
    assert ds.attrs["complete"] == complete


def test_the_dataset_can_be_written_by_xarray(tmp_path: Path) -> None:
    ds = to_dataset(RunResults(GRID, statistics(GRID), complete=True))[
        ["correlation", "angle_histogram", "q1_theory"]
    ]
    ds.to_netcdf(tmp_path / "copy.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "copy.nc", engine="h5netcdf") as copy:
        xr.testing.assert_equal(copy.load(), ds)


def test_the_moments_are_those_of_the_trials() -> None:
    rows = random_rows(np.random.default_rng(3), SINGLE.trials, SINGLE.depth)
    rows[..., column("distance")] += 10.0  # where it is small the errors of c are its errors
    run = replace(SINGLE, controls=False)
    ds = to_dataset(RunResults(run, [point_statistics(run, rows)], complete=True))
    for name in NAMES:
        values = rows[..., column(name)]
        count = np.sum(~np.isnan(values), axis=0)
        std = np.nanstd(values, axis=0, ddof=1)
        np.testing.assert_array_equal(ds[f"{name}_count"], count)
        np.testing.assert_allclose(ds[name], np.nanmean(values, axis=0), rtol=0, atol=1e-14)
        np.testing.assert_allclose(ds[f"{name}_std"], std, atol=1e-14)
        np.testing.assert_allclose(ds[f"{name}_stderr"], std / np.sqrt(count), atol=1e-14)
    for name in KEPT:
        kept = rows[: SINGLE.keep, :, column(name)]
        np.testing.assert_array_equal(ds[f"{name}_trajectories"], kept)
    chosen = np.array(SINGLE.covariance_layers) - 1
    values = rows[:, chosen, column("log_distance")]
    values = values[~np.isnan(values).any(axis=1)]
    np.testing.assert_allclose(ds.log_distance_covariance, np.cov(values.T), atol=1e-13)
    assert ds.log_distance_covariance_count == len(values)
    assert ds.correlation_histogram.sum("bin").values.tolist() == [150] * SINGLE.depth
    median = np.median(rows[..., column("correlation")], axis=0)
    width = ds.correlation_bin_width.values
    assert (np.abs(ds.correlation_quantile.sel(level=0.5) - median) <= width).all()
    assert (ds.inactive1_quantile == 0.5).all()


def test_parameters_are_coordinates() -> None:
    ds = to_dataset(RunResults(GRID, statistics(GRID, 0), complete=True))
    assert ds.correlation.dims == ("width", "k", "sigma_b", "layer")
    assert ds.correlation_histogram.dims == ("width", "k", "sigma_b", "layer", "bin")
    assert ds.k.values.tolist() == [0.0, np.inf]
    assert ds.g.dims == ds.sigma_w.dims == ("k",)
    assert ds.g.values.tolist() == [0.0, 1.0]
    assert ds.sigma_w.values.tolist() == [GRID.points[0].sigma_w, GRID.points[2].sigma_w]
    assert (ds.overlap.item(), ds.initial_distance.item(), ds.q0.item()) == (0.5, 0.5, 1.0)
    assert ds.layer.values.tolist() == [1, 2, 3]
    assert ds.correlation.attrs["units"] == "1"
    assert ds.angle.attrs["units"] == "rad"
    assert "per-trial correlation coefficient" in ds.correlation.attrs["estimator"]


def test_an_initial_distance_has_its_overlap_beside_it() -> None:
    run = Run(depth=2, width=(6,), distance=(1e-30, 0.25), trials=64)
    ds = to_dataset(RunResults(run, statistics(run, 0), complete=True))
    assert ds.correlation.dims == ("initial_distance", "layer")
    assert ds.overlap.dims == ("initial_distance",)
    assert ds.overlap.values.tolist() == [1.0, 0.75]


def test_theory_is_that_of_each_point() -> None:
    ds = to_dataset(RunResults(GRID, statistics(GRID, 0), complete=True))
    one = ds.sel(width=12, k=np.inf, sigma_b=0.3)
    path = trajectory(3, k=np.inf, sigma_w=float(one.sigma_w), sigma_b=0.3, q1=1.0, distance=0.5)
    np.testing.assert_allclose(one.log_distance_theory, path.log_distance, rtol=1e-12)
    np.testing.assert_allclose(one.q2_theory, path.q2, rtol=1e-12)
    np.testing.assert_array_equal(one.dead_network2_theory, dead_network([12, 12, 12]))
    assert np.isnan(ds.dead_network_both_theory).all()


def test_quantiles_interpolate_inside_their_bin() -> None:
    histogram = np.array(
        [[0, 4, 0, 4, 0], [2, 4, 2, 0, 2], [0, 0, 0, 0, 0], [0, 5, 0, 0, 0], [1, 8, 0, 0, 1]],
        dtype=np.uint32,
    )
    lower = np.array([1.0, 0.0, 0.0, 7.5, 7.5])
    width = np.array([1.0, 2.0, 1.0, 0.0, 0.0])
    found = quantiles(histogram, lower, width, [0.05, 0.25, 0.5, 0.75, 0.95])
    nan = np.nan
    expected = [
        [1.1, 1.5, 2.0, 3.5, 3.9],
        [nan, 0.25, 1.5, 3.5, nan],
        [nan] * 5,
        [7.5] * 5,
        [nan, 7.5, 7.5, 7.5, nan],
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_the_number_of_points_must_be_that_of_the_run() -> None:
    with pytest.raises(ValueError, match="1 points given"):
        to_dataset(RunResults(GRID, statistics(SINGLE, 0), complete=True))


# --- first order in 1/N ---------------------------------------------------------------------------


def test_first_order_is_that_of_each_point() -> None:
    ds = to_dataset(RunResults(GRID, statistics(GRID, 0), complete=True))
    for width, k in ((6, 0.0), (12, np.inf)):
        one = ds.sel(width=width, k=k, sigma_b=0.0)
        found = first_order(3, width=width, k=k, sigma_w=float(one.sigma_w), correlation=0.5)
        for name in FIRST_ORDER:
            np.testing.assert_allclose(one[f"{name}_theory_1n"], found.mean[name], rtol=1e-9)
            np.testing.assert_allclose(one[f"{name}_theory_1n_std"], found.std[name], rtol=1e-9)
    assert ds.angle_theory_1n.attrs["units"] == "rad"


def test_first_order_of_pairs_of_a_file_has_their_lengths() -> None:
    matrix = np.random.default_rng(2).normal(size=(4, 8)) * [[1.0], [2.0], [0.5], [1.0]]
    pairs = ((0, 1), (2, 3))
    run = inputs_run(matrix, pairs)
    ds = to_dataset(RunResults(run, statistics(run, 0), complete=True))
    for number, (first, second) in enumerate(pairs):
        x, y = matrix[first], matrix[second]
        found = first_order(
            3,
            width=32,
            q1=float((x**2).mean()),
            q2=float((y**2).mean()),
            correlation=float(x @ y / np.sqrt((x @ x) * (y @ y))),
        )
        np.testing.assert_allclose(
            ds.log_distance_theory_1n.sel(pair=number), found.mean["log_distance"], rtol=1e-9
        )
        np.testing.assert_allclose(ds.log_q2_theory_1n.sel(pair=number), found.mean["log_q2"])


def inputs_run(matrix: Floats, pairs: tuple[tuple[int, int], ...]) -> Run:
    """A run through networks of width 32, whose inputs are in the memory."""
    inputs = InputSet(
        digest="0" * 64,
        count=len(matrix),
        size=matrix.shape[1],
        pairs=pairs,
        q1=tuple((matrix[a] ** 2).mean() for a, _ in pairs),
        q2=tuple((matrix[b] ** 2).mean() for _, b in pairs),
        distance=tuple(0.5 for _ in pairs),
    )
    object.__setattr__(inputs, "load", lambda: matrix)
    return Run(depth=3, width=(32,), inputs=inputs, trials=64, keep=0)


@pytest.mark.parametrize(
    ("changes", "absent"),
    [
        ({"ensemble": "rai"}, FIRST_ORDER),
        ({"weights": "laplace", "sampler": "dense"}, FIRST_ORDER),
        ({"width": (3,), "depth": 4}, FIRST_ORDER),
        ({"distance": (0.0, 0.5)}, ("log_distance",)),
        ({"width": (2, 64)}, ()),
        ({"width": (), "layer_widths": (8, 16, 4)}, ()),
    ],
)
def test_first_order_is_absent_where_it_does_not_apply(
    changes: dict[str, Any], absent: tuple[str, ...]
) -> None:
    small: dict[str, Any] = {"depth": 3, "width": (16,), "trials": 64, "keep": 0}
    run = Run(**small | changes)
    ds = to_dataset(RunResults(run, statistics(run, 0), complete=True))
    for name in FIRST_ORDER:
        for variable in (f"{name}_theory_1n", f"{name}_theory_1n_std"):
            assert (variable in ds) == (name not in absent), variable
            if variable in ds:
                assert np.isfinite(ds[variable]).all()

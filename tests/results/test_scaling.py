from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr

import simcore
from simcore.physics.observables import COVARIANCE
from simcore.results.scaling import scaling
from simcore.runs.run import Run


@pytest.fixture(scope="module")
def controlled() -> xr.Dataset:
    run = Run(depth=6, width=(32, 64, 128, 256), ensemble="correlated", k=(0.0, 1.0), trials=1000)
    return simcore.simulate(run)


@pytest.fixture(scope="module")
def runs(controlled: xr.Dataset) -> xr.Dataset:
    """The same run without control variates."""
    return controlled.drop_vars([name for name in controlled if "_controlled" in str(name)])


def test_means_with_control_variates_are_fitted_where_all_widths_have_them(
    controlled: xr.Dataset, runs: xr.Dataset
) -> None:
    assert "at the last layer, to means with control variates:" in str(scaling(controlled))
    plain = scaling(runs)
    assert "at the last layer, to plain means:" in str(plain)
    # Networks of this point may die at one of the widths.
    missing = (controlled["k"] == 1.0) & (controlled["width"] == 32)
    names = [f"{o}_controlled{end}" for o in COVARIANCE for end in ("", "_stderr")]
    some = controlled.assign({name: controlled[name].where(~missing) for name in names})
    found = scaling(some)
    assert "with control variates where all widths have them, else plain ones:" in str(found)
    for name in found.fits:
        fits = found.fits[name]
        np.testing.assert_array_equal(fits.sel(k=1.0), plain.fits[name].sel(k=1.0))
        if str(name).endswith("_limit"):
            whole = scaling(controlled).fits[name]
            np.testing.assert_allclose(fits.sel(k=0.0), whole.sel(k=0.0), rtol=1e-12)


@pytest.mark.parametrize("terms", [2, 3])
def test_limits_of_controlled_means_have_honest_errors(
    controlled: xr.Dataset, runs: xr.Dataset, terms: int
) -> None:
    """Their errors hold what the series leaves out, and are still far below those of plain means.

    Of 20 seeds the largest |z| was 4.0. With two terms and no prior of the next it is 6.1 here.
    """
    fits, plain = scaling(controlled, terms=terms).fits, scaling(runs, terms=terms).fits
    for name in COVARIANCE:
        limit, slope = fits[f"{name}_limit"], fits[f"{name}_slope"]
        z = (limit - fits[f"{name}_mean_field"]) / fits[f"{name}_limit_stderr"]
        # Twelve values each, correlated: |z| > 4.5 is a false alarm in fewer than 1 of 1,000 cases.
        assert abs(z).max() < 4.5
        z = (slope - fits[f"{name}_slope_theory"]) / fits[f"{name}_slope_stderr"]
        assert abs(z).max() < 4.5
        gain = plain[f"{name}_limit_stderr"] / fits[f"{name}_limit_stderr"]
        # Layer 1, whose controlled means may be exact, is fitted by plain ones.
        assert float(gain.isel(layer=slice(1, None)).min()) > 5.0


def test_the_next_term_of_the_series_is_a_normal_prior(controlled: xr.Dataset) -> None:
    """Generalised least squares, its covariance written out, with the prior of `_next_term`."""
    found = scaling(controlled, observables=["log_distance"], terms=2).fits.isel(k=1, layer=0)
    at = controlled.isel(k=1, layer=0)
    error = at["log_distance_controlled_stderr"].to_numpy()
    unit = 32.0 / controlled["width"].to_numpy()
    design = np.stack([np.ones(4), unit], axis=1)

    def fitted(covariance: npt.NDArray[np.float64]) -> Any:
        inverse = np.linalg.inv(covariance)
        square = np.linalg.inv(design.T @ inverse @ design)
        return square @ design.T @ inverse @ at["log_distance_controlled"].to_numpy(), square

    (_, slope), _ = fitted(np.diag(error**2))
    size = abs(slope) * 1.0 / 32.0  # layer 1 of 32 nodes
    best, square = fitted(np.diag(error**2) + size**2 * np.outer(unit**2, unit**2))
    np.testing.assert_allclose(found.log_distance_limit, best[0], rtol=1e-9)
    np.testing.assert_allclose(found.log_distance_slope, best[1] * 32.0, rtol=1e-6)
    np.testing.assert_allclose(found.log_distance_limit_stderr, square[0, 0] ** 0.5, rtol=1e-6)
    np.testing.assert_allclose(found.log_distance_slope_stderr, square[1, 1] ** 0.5 * 32, rtol=1e-6)


def test_a_correlation_that_rounds_to_1_is_fitted_by_its_distance() -> None:
    run = Run(depth=3, width=(32, 64, 128), distance=(1e-20, 0.5), trials=100)
    found = scaling(simcore.simulate(run), observables=["correlation", "distance"])
    fits, near = found.fits, found.fits.sel(initial_distance=1e-20)
    for part, sign in (("slope", -1.0), ("limit_z", -1.0), ("limit_stderr", 1.0), ("slope_z", -1)):
        for own in (near, fits.sel(initial_distance=0.5)):
            c, distance = own[f"correlation_{part}"], own[f"distance_{part}"]
            np.testing.assert_allclose(
                c, sign * distance, rtol=1e-5, atol=1e-12 * (part[-1] == "z")
            )
    assert (near.correlation_limit == 1.0).all()
    assert (near.correlation_mean_field == 1.0).all()
    # Six values each, correlated: |z| > 4.5 is a false alarm in fewer than 1 of 1,000 cases.
    assert abs(near.correlation_limit_z).max() < 4.5
    assert abs(near.correlation_slope_z).max() < 4.5
    limit = fits.correlation_limit.sel(initial_distance=0.5).to_numpy()[-1]
    assert f"distance = 0.5: c: limit {limit:.4f}" in str(found)
    assert "distance = 1e-20: c: limit 1 ± " in str(found)


def test_a_law_in_the_width_is_found(runs: xr.Dataset) -> None:
    n = runs["width"]
    exact = runs.assign(correlation=0.5 + 3.0 / n - 40.0 / n**2 + 0.0 * runs["correlation"])
    fits = scaling(exact, observables=["correlation"]).fits
    np.testing.assert_allclose(fits.correlation_limit, 0.5, rtol=1e-9)
    np.testing.assert_allclose(fits.correlation_slope, 3.0, rtol=1e-7)
    np.testing.assert_allclose(fits.correlation_curvature, -40.0, rtol=1e-6)
    np.testing.assert_allclose(fits.correlation_chi2, 0.0, atol=1e-9)
    assert fits.correlation_limit.dims == ("k", "layer")


def test_errors_are_those_of_weighted_least_squares(runs: xr.Dataset) -> None:
    at = runs.isel(k=1, layer=3)
    found = scaling(runs, observables=["log_q1"], terms=2).fits.isel(k=1, layer=3)
    error = at["log_q1_stderr"].to_numpy()
    design = np.stack([np.ones(4), 1.0 / runs["width"].to_numpy()], axis=1) / error[:, None]
    expected = np.linalg.lstsq(design, at["log_q1"].to_numpy() / error, rcond=None)[0]
    errors = np.sqrt(np.diag(np.linalg.inv(design.T @ design)))
    np.testing.assert_allclose([found.log_q1_limit, found.log_q1_slope], expected, rtol=1e-9)
    np.testing.assert_allclose(
        [found.log_q1_limit_stderr, found.log_q1_slope_stderr], errors, rtol=1e-9
    )


def test_simulations_reach_mean_field_with_the_slope_of_first_order(runs: xr.Dataset) -> None:
    found = scaling(runs)
    fits = found.fits
    assert found.terms == 3
    for name in found.observables:
        # Twelve values each, correlated: |z| > 4.5 is a false alarm in fewer than 1 of 1,000 cases.
        limit = (fits[f"{name}_limit"] - fits[f"{name}_mean_field"]) / fits[f"{name}_limit_stderr"]
        slope = (fits[f"{name}_slope"] - fits[f"{name}_slope_theory"]) / fits[
            f"{name}_slope_stderr"
        ]
        assert abs(limit).max() < 4.5
        assert abs(slope).max() < 4.5
    # One layer's own sampling: E ln(chi²_N/N) = −1/N − ….
    np.testing.assert_allclose(fits.log_q1_slope_theory.isel(layer=0), -1.0, rtol=1e-5)
    text = str(found)
    assert "k = 1: ln q: limit" in text
    assert "Fits of a + b/N + c/N² over N = 32, 64, 128, 256" in text
    assert "<li>" in found._repr_html_()


def test_the_reach_of_first_order_ends_where_it_fails(runs: xr.Dataset) -> None:
    wrong = runs.copy()
    limit = 4 / 128
    shape = runs["layer"] / runs["width"]
    off = 10.0 * (shape > limit)
    wrong["correlation"] = runs["correlation_theory_1n"] + off
    fits = scaling(wrong, observables=["correlation"]).fits
    assert fits.correlation_first_order_reach.values.tolist() == [limit, limit]


def test_two_widths_allow_a_line(runs: xr.Dataset) -> None:
    found = scaling(runs.isel(width=[0, 3], k=0), observables=["angle"])
    assert found.terms == 2
    assert found.fits.angle_slope.attrs["units"] == "rad"
    assert found.fits.angle_chi2.attrs["units"] == "1"
    assert found.fits.angle_chi2.values == pytest.approx(0.0, abs=1e-9)


def test_theory_that_depends_on_the_width_is_no_limit() -> None:
    run = Run(ensemble="rai", width=(16, 64), depth=4, trials=128)
    found = scaling(simcore.simulate(run), observables=["log_q1", "dead_network1"])
    # Layer 1 of random inputs has q = sigma_w^2 + 1/2 at any width, where q0 = 1.
    assert np.isnan(found.fits.log_q1_mean_field.sel(layer=slice(2, None))).all()
    assert np.isfinite(found.fits.log_q1_limit).all()
    assert "theory" not in str(found)


def test_a_slope_is_only_where_first_order_applies(tmp_path: Path) -> None:
    for name, weights, sampler in (("a", "normal", "gram"), ("b", "laplace", "dense")):
        run = Run(width=(16, 32), depth=3, trials=64, weights=weights, sampler=sampler)
        simcore.simulate(run, output=tmp_path / f"{name}.h5")
    fits = scaling(simcore.open_run(str(tmp_path / "*.h5"))).fits
    assert np.isfinite(fits.log_q1_slope_theory.sel(weights="normal")).all()
    assert np.isnan(fits.log_q1_slope_theory.sel(weights="laplace")).all()
    assert np.isfinite(fits.log_q1_limit).all()


def test_points_that_no_file_has_change_nothing(tmp_path: Path) -> None:
    he, other = Run(width=(16, 64), depth=6, trials=64), {"ensemble": "correlated", "k": (1.0,)}
    simcore.simulate(he, output=tmp_path / "a.h5")
    simcore.simulate(Run(width=(32,), depth=6, trials=64, **other), output=tmp_path / "b.h5")  # type: ignore[arg-type]
    ds = simcore.open_run(str(tmp_path / "*.h5"))
    found, alone = scaling(ds), scaling(simcore.open_run(tmp_path / "a.h5"))
    for name in alone.fits:
        own = found.fits[name].sel(k=0.0)
        np.testing.assert_allclose(own, alone.fits[name], rtol=1e-9)
    assert "k = 1: ln q: no fit" in str(found)
    assert float(found.fits.log_q1_first_order_reach.sel(k=1.0)) <= 6 / 32


def test_networks_much_deeper_than_wide_are_no_error() -> None:
    ds = simcore.simulate(Run(width=(8, 32, 128), depth=200, trials=64))
    fits = scaling(ds, observables=["log_distance", "distance", "q1"]).fits
    assert np.isfinite(fits.log_distance_limit.isel(layer=slice(0, 20))).all()


def test_mistakes(runs: xr.Dataset) -> None:
    with pytest.raises(simcore.InputError, match="has one width"):
        scaling(runs.isel(width=0))
    with pytest.raises(simcore.InputError, match="terms"):
        scaling(runs.isel(width=[0, 1]), terms=3)
    with pytest.raises(simcore.InputError, match="colour"):
        scaling(runs, observables=["colour"])
    with pytest.raises(simcore.InputError, match="unfinished"):
        scaling(runs.drop_vars([n for n in runs if "theory" in str(n)]))


def test_widths_of_shaped_networks_have_no_fit() -> None:
    """Their slopes follow the width, and ln q = 1/sqrt(N) + ... is no series in 1/N."""
    run = Run(depth=3, width=(32, 64), slopes="shaped:0,-1", trials=64)
    dataset = simcore.simulate(run)
    assert "correlation_theory_1n" in dataset
    with pytest.raises(simcore.InputError, match="slopes that follow the width"):
        scaling(dataset)
    assert "ln q" in str(simcore.compare(dataset))


def test_widths_of_a_run_with_gradients_have_fits() -> None:
    run = Run(depth=2, width=(16, 32), k=(1.0,), ensemble="correlated", trials=64, gradients=True)
    dataset = simcore.simulate(run)
    assert "log_gradient1_theory_1n" in dataset
    assert "log_q1_slope_theory" in scaling(dataset).fits


def test_slopes_of_first_order_are_those_of_the_activation() -> None:
    given: dict[str, Any] = {"depth": 3, "width": (1024, 2048), "slopes": "1,0.2", "trials": 64}
    dataset = simcore.simulate(Run(**given))
    shift = dataset["log_q1_theory_1n"] - dataset["log_q1_theory"]
    expected = float((dataset["width"] * shift).isel(width=-1, layer=-1))
    found = float(scaling(dataset).fits["log_q1_slope_theory"].isel(layer=-1))
    assert found == pytest.approx(expected, rel=0.01)

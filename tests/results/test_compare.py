"""`simcore.compare`: its joint test, and its verdicts on runs with known answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr
from scipy import stats

import simcore
from simcore.errors import InputError
from simcore.physics.observables import COVARIANCE
from simcore.results.compare import compare, skewness, z_scores
from simcore.results.joint_test import critical_value, joint_test, shrunk, symmetric
from simcore.runs.run import Run

Floats = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def narrow() -> xr.Dataset:
    """ln q1 lies fifteen errors off mean field, and within noise of first order."""
    he = simcore.Ensemble.he()
    return simcore.simulate(he, width=256, depth=20, trials=2000, controls="off")


@pytest.fixture(scope="module")
def controlled() -> xr.Dataset:
    return simcore.simulate(simcore.Ensemble.he(), width=256, depth=20, trials=2000)


@pytest.fixture(scope="module")
def grid() -> xr.Dataset:
    run = Run(depth=8, width=(32, 64), ensemble="correlated", k=(0.0, 1.0, np.inf), trials=256)
    return simcore.simulate(run)


# --- the joint test -------------------------------------------------------------------------------


def chain(rng: np.random.Generator, draws: int, layers: int, correlation: float) -> Floats:
    """Normals of variance 1, each correlated with the one before."""
    z = rng.normal(size=(draws, layers))
    for i in range(1, layers):
        z[:, i] = correlation * z[:, i - 1] + np.sqrt(1.0 - correlation**2) * z[:, i]
    return z


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("largest", [2.5, 3.3])
def test_the_probability_is_that_of_a_chain(correlation: float, largest: float) -> None:
    z = chain(np.random.default_rng(4), 200_000, 12, correlation)
    found = (np.abs(z).max(axis=1) > largest).mean()
    error = np.sqrt(found / len(z))
    p = joint_test(largest, np.full(11, correlation), 10**9)
    # A bound from above, the looser the closer the layers. Four errors: a false alarm in 1 of 2,000
    # for all eight cases together.
    loose = 1.4 if correlation > 0.95 else 1.25 if correlation > 0.6 else 1.05
    assert found - 4.0 * error < p < loose * found + 4.0 * error


def test_one_layer_and_equal_layers_are_student_s_test() -> None:
    p = 2.0 * stats.t.sf(2.7, 9)
    assert joint_test(2.7, np.empty(0), 10) == pytest.approx(p)
    assert joint_test(2.7, np.ones(5), 10) == pytest.approx(p)


def test_a_huge_deviation_has_a_probability_that_is_right_or_zero() -> None:
    assert joint_test(20.0, np.zeros(3), 10**9) == pytest.approx(8.0 * stats.norm.sf(20.0))
    assert joint_test(60.0, np.zeros(3), 10**9) == 0.0


@pytest.mark.parametrize("correlation", [np.empty(0), np.full(7, 0.8), np.ones(3)])
def test_the_critical_value_is_the_inverse(correlation: Floats) -> None:
    limit = critical_value(0.01, correlation, 50)
    assert joint_test(limit, correlation, 50) == pytest.approx(0.01, rel=5e-3)


def test_correlations_are_shrunk_where_trials_are_few() -> None:
    correlation = 0.6 ** np.abs(np.subtract.outer(np.arange(9), np.arange(9)))
    assert shrunk(correlation, 10**7) == pytest.approx(0.6)
    assert (shrunk(correlation, 6) < 0.5).all()
    assert shrunk(np.ones((4, 4)), 3) == pytest.approx(1.0)
    assert shrunk(np.ones((1, 1)), 3).size == 0
    assert not shrunk(np.eye(3), 3).any()


def test_skewed_trials_have_symmetric_scores() -> None:
    """Means of 64 exponential trials: skewness 2, and z-scores of skewness −0.5 before."""
    x = np.random.default_rng(8).exponential(size=(40_000, 64))
    z = (x.mean(axis=1) - 1.0) / (x.std(axis=1, ddof=1) / 8.0)
    fair = symmetric(z, np.full(len(z), 2.0), 64)
    assert stats.skew(z) < -0.4
    assert abs(np.median(fair)) < 0.02
    low, high = (fair < -1.96).mean(), (fair > 1.96).mean()
    assert abs(low - high) < 0.25 * abs((z < -1.96).mean() - (z > 1.96).mean())


def test_the_skewness_of_histograms_is_that_of_the_trials() -> None:
    run = Run(depth=4, width=(32,), trials=2048, keep=2048)
    ds = simcore.simulate(run)
    for name in ("log_q1", "correlation", "log_distance"):
        trials = ds[f"{name}_trajectories"].sel(layer=list(run.covariance_layers))
        expected = stats.skew(trials, axis=0, nan_policy="omit")
        np.testing.assert_allclose(skewness(ds, name), expected, atol=0.12)
    assert abs(expected).max() > 0.2


# --- z-scores and verdicts ------------------------------------------------------------------------


def test_z_is_the_deviation_in_errors(narrow: xr.Dataset) -> None:
    z = z_scores(narrow)
    for name in ("log_q1", "cosine", "inactive_both"):
        gap = narrow[name] - narrow[f"{name}_theory"]
        np.testing.assert_allclose(z[f"{name}_z"], gap / narrow[f"{name}_stderr"])
        gap = narrow[name] - narrow[f"{name}_theory_1n"]
        np.testing.assert_allclose(z[f"{name}_z_1n"], gap / narrow[f"{name}_stderr"])
    assert np.isnan(z.dead_network1_z).all()  # no network died: there is no error


def test_finite_width_is_seen_and_explained(narrow: xr.Dataset) -> None:
    found = {(v.observable, v.against): v for v in compare(narrow).verdicts}
    assert len(found) == 6
    length = found["log_q1", "mean field"]
    assert length.agrees is False
    assert length.p_value is not None
    assert length.p_value < 1e-20
    assert length.layer == 20
    assert length.deviation == pytest.approx(length.expected, abs=4.0 * (length.error or 0.0))
    assert length.from_layer is not None
    assert length.from_layer < 6
    # z = 14 falls like the root of the width to about 3.
    assert length.agrees_from_width == pytest.approx(256 * (14 / 3) ** 2, rel=0.5)
    assert found["log_distance", "mean field"].agrees is False
    for name in ("log_q1", "correlation", "log_distance"):
        better = found[name, "first order in 1/N"]
        assert better.agrees
        assert better.agrees_from_width is None


def test_gradients_have_verdicts_where_a_run_has_them(narrow: xr.Dataset) -> None:
    """ln |δ|² by itself; the others only where asked, for they have no first order."""
    run = simcore.simulate(
        simcore.Ensemble.he(),
        width=64,
        depth=6,
        trials=1000,
        gradients=True,
        controls="off",
        seed=2,
    )
    found = compare(run)
    own = {v.against: v for v in found.verdicts if v.observable == "log_gradient1"}
    assert own["mean field"].agrees is False
    assert own["first order in 1/N"].agrees
    assert "ln grad" in str(found)
    assert "explains" in found.conclusion
    assert {v.observable for v in found.verdicts} == {*COVARIANCE, "log_gradient1"}
    more = compare(run, observables=[*COVARIANCE, "log_gradient1", "tangent12"])
    assert [v.against for v in more.verdicts if v.observable == "tangent12"] == ["mean field"]
    assert more.conclusion
    with pytest.raises(InputError, match="log_gradient1"):
        compare(narrow, observables=["log_gradient1"])


def test_verdicts_are_on_controlled_means(controlled: xr.Dataset) -> None:
    """The same 2,000 networks see what first order leaves of ln(1 − c), some parts in a hundred."""
    z = z_scores(controlled)
    for name in ("log_q1", "cosine", "inactive_both"):
        gap = controlled[f"{name}_controlled"] - controlled[f"{name}_theory_1n"]
        error = controlled[f"{name}_controlled_stderr"]
        np.testing.assert_allclose(z[f"{name}_z_1n"][1:], (gap / error)[1:])
    assert np.isnan(z.log_q1_z_1n[0])  # ln q is exact in layer 1: there is no error
    found = {(v.observable, v.against): v for v in compare(controlled).verdicts}
    for name in ("log_q1", "correlation", "log_distance"):
        away = found[name, "mean field"]
        assert away.agrees is False
        assert abs(away.z or 0.0) > 30.0
        assert away.agrees_from_width is None  # its error falls faster than the deviation
    assert found["log_q1", "first order in 1/N"].agrees  # second order is in it
    left = found["log_distance", "first order in 1/N"]
    assert left.agrees is False
    assert left.expected is not None
    assert 0.001 < abs((left.deviation or 0.0) / left.expected) < 0.1
    assert "% of what first order adds to mean field" in left.words
    assert left.agrees_from_width is not None


def test_the_answer_is_in_words(narrow: xr.Dataset) -> None:
    lines = str(compare(narrow)).splitlines()
    assert lines[0].startswith("ln q deviates from mean field (p = ")
    assert "at layer 20" in lines[0]
    assert "It would agree from about width" in lines[0]
    assert lines[1].startswith("ln q agrees with first order in 1/N (p = ")
    assert lines[-1] == "(Where theory holds, each deviates by chance in 1 % of all cases.)"


def test_a_grid_has_a_verdict_for_each_point(grid: xr.Dataset) -> None:
    found = compare(grid)
    assert len(found.verdicts) == 6 * 3 * 2
    first = found.verdicts[0]
    assert first.point == {"width": 32, "k": 0.0}
    assert {v.observable for v in found.verdicts[:6]} == {"log_q1", "correlation", "log_distance"}
    assert "of 6 points deviate (0.06 would by chance)" in str(found)
    table = found.to_dataframe()
    assert len(table) == 36
    assert table.columns[:3].tolist() == ["width", "k", "observable"]
    one = compare(grid.sel(width=64, k=np.inf))
    assert [v.p_value for v in one.verdicts] == [
        v.p_value for v in found.verdicts if v.point == {"width": 64, "k": np.inf}
    ]
    page = found._repr_html_()
    assert "<li" in page
    assert "ln(1 - c)" in page


def test_the_error_of_theory_counts(tmp_path: Path) -> None:
    ds = simcore.simulate(simcore.Ensemble.rai(), width=32, depth=4, trials=128)
    z = z_scores(ds)
    total = np.hypot(ds.log_q1_stderr, ds.log_q1_theory_stderr)
    np.testing.assert_allclose(z.log_q1_z, (ds.log_q1 - ds.log_q1_theory) / total)
    verdicts = compare(ds).verdicts
    assert {v.against for v in verdicts} == {"mean field"}
    assert all(v.agrees_from_width is None for v in verdicts)


def test_what_can_not_be_judged_says_why() -> None:
    single = simcore.simulate(simcore.Ensemble.he(), width=32, depth=3, trials=1)
    assert all(v.agrees is None for v in compare(single).verdicts)
    assert "needs 3 trials with a value at every layer, and 1 has one" in str(compare(single))
    equal = simcore.simulate(simcore.Ensemble.he(), width=32, depth=3, distance=0.0, trials=64)
    words = {v.observable: v.words for v in compare(equal).verdicts}
    assert "no trial has a value" in words["log_distance"]
    assert "all trials have the same value" in words["correlation"]
    older = equal.drop_vars([n for n in equal if str(n).startswith("log_q1_covariance")])
    assert "its covariance is not in the file" in compare(older).verdicts[0].words


def test_files_of_different_depth_keep_their_verdicts(tmp_path: Path) -> None:
    """Each was given its own layers of covariances, which are united."""
    alone = []
    for depth, width in ((20, 64), (33, 128)):
        run = Run(depth=depth, width=(width,), trials=500)
        alone.append(simcore.simulate(run, output=tmp_path / f"{width}.h5"))
    both = compare(simcore.open_run(str(tmp_path / "*.h5")))
    for ds, width in zip(alone, (64, 128), strict=True):
        expected = [(v.p_value, v.from_layer, v.agrees_from_width) for v in compare(ds).verdicts]
        own = [v for v in both.verdicts if v.point == {"width": width}]
        assert [(v.p_value, v.from_layer, v.agrees_from_width) for v in own] == expected
        assert expected[0][0] is not None
        assert expected[0][0] < 1e-20


def test_layers_can_be_chosen(narrow: xr.Dataset) -> None:
    first = compare(narrow.sel(layer=slice(1, 9)))
    assert first.verdicts[0].layer is not None
    assert first.verdicts[0].layer <= 9
    assert compare(narrow.isel(layer=[-1])).verdicts[0].layer == 20
    with pytest.raises(simcore.InputError, match=r"isel\(layer=\[-1\]\)"):
        compare(narrow.isel(layer=-1))


def test_few_trials_come_with_a_caveat() -> None:
    ds = simcore.simulate(simcore.Ensemble.he(), width=32, depth=3, trials=20)
    assert str(compare(ds)).endswith("with fewer than 64 trials, as here, a few times more often.)")


def test_a_width_of_agreement_that_can_not_be_is_not_named() -> None:
    ds = simcore.simulate(Run(depth=1000, width=(32,), trials=64))
    for verdict in compare(ds).verdicts:
        assert verdict.agrees_from_width is None or verdict.agrees_from_width <= 2**25


def test_mistakes(narrow: xr.Dataset) -> None:
    with pytest.raises(simcore.InputError, match="angle: has no joint verdict"):
        compare(narrow, observables=["angle"])
    for rate in (0.0, 1e-300, "0.01"):
        with pytest.raises(simcore.InputError, match="false_alarm"):
            compare(narrow, false_alarm=rate)  # type: ignore[arg-type]
    for names in ("correlation", ()):
        with pytest.raises(simcore.InputError, match="in a list"):
            compare(narrow, observables=names)
    unfinished = narrow.drop_vars([n for n in narrow if "theory" in str(n)])
    with pytest.raises(simcore.InputError, match="simcore resume"):
        compare(unfinished)


def test_near_one_deviations_have_the_digits_of_the_distance() -> None:
    """Where c is 1 but for 1e-9, mean less theory is that of 1 - c, not what rounding leaves."""
    ensemble = simcore.Ensemble.correlated(k=-0.5)
    run = simcore.simulate(ensemble, width=64, depth=60, trials=64).isel(layer=slice(50, None))
    for verdict in compare(run, observables=["correlation"]).verdicts:
        at = run.sel(layer=verdict.layer)
        suffix = "theory" if verdict.against == "mean field" else "theory_1n"
        gap = float(at[f"distance_{suffix}"] - at["distance_controlled"])
        assert abs(gap) < 1e-6
        assert verdict.deviation == pytest.approx(gap, rel=1e-12)
        assert verdict.error == pytest.approx(float(at["distance_controlled_stderr"]))

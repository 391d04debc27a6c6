from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.stats import CensoredData, bootstrap, ecdf

from simcore.errors import InputError
from simcore.training.differences import Difference, _corrected, differences
from simcore.training.statistics import (
    baseline_of,
    curves,
    dead_units,
    final,
    reference_loss,
    reference_losses,
    steps_to_reach,
    trained,
)
from simcore.training.verdict import grid_words, scale_words, verdict
from tests.training.synthetic import LAST, STEPS, runs


def one(found: tuple[Difference, ...], measure: str, ensemble: str = "other") -> Difference:
    """The difference in a measure; of several targets the first."""
    return next(d for d in found if d.measure == measure and d.ensemble == ensemble)


def until(dataset: xr.Dataset, step: int) -> xr.Dataset:
    """The same runs, ended earlier."""
    return dataset.sel(step=dataset["step"] <= step)


# --- one ensemble ---------------------------------------------------------------------------------


def test_curves_are_quantiles_over_seeds() -> None:
    ds = runs({"he": 1.0, "other": 2.0}, task="digits")
    found = curves(ds)
    for name in ("loss", "train_loss", "accuracy"):
        levels = ds[name].quantile([0.16, 0.5, 0.84], "seed").rename(quantile="level")
        expected = levels.transpose(*found[name].dims)
        np.testing.assert_allclose(found[name], expected, rtol=1e-12)


def test_diverged_runs_are_the_worst_there_are() -> None:
    gone = {"he": dict.fromkeys(range(4), 100)}
    found = curves(runs({"he": 1.0, "other": 2.0}, diverged=gone, task="digits"))
    own, late = found.sel(ensemble="he"), found["step"] >= 100
    np.testing.assert_array_equal(np.isinf(own["loss"].sel(level=0.84)), late)
    assert np.isfinite(found.sel(level=[0.16, 0.5])).all()
    ends = final(runs(diverged=gone, task="digits")).sel(ensemble="he")
    assert int(ends["diverged"]) == 4
    np.testing.assert_array_equal(np.isinf(ends["loss"]), ends["accuracy"] == 0.0)
    more = final(runs(diverged={"he": dict.fromkeys(range(11), 0)})).sel(level=0.5)
    assert np.isinf(more["loss_quantile"]).all()


def test_a_loss_that_stays_finite_until_the_divergence_counts_no_more() -> None:
    ds = runs(diverged={"he": {0: 100}})
    ds["loss"] = ds["loss"].fillna(1e-9)
    assert np.isinf(final(ds)["loss"].sel(seed=0)).all()


def test_steps_to_a_loss_are_those_of_the_law() -> None:
    ds = runs({"he": 1.0, "other": 0.1})
    found = steps_to_reach(ds, [0.5, 0.1, 2.0])
    at_last = ds["loss"].isel(step=-1)
    speed = (1.0 / at_last - 1.0) * 30.0 / LAST
    exact = 30.0 * (1.0 / found["target"] - 1.0) / speed
    exact = exact.clip(min=0.0).where(exact <= LAST, np.inf).transpose("ensemble", "seed", "target")
    shown, inside = found["steps"].to_numpy(), np.isfinite(exact.to_numpy())
    np.testing.assert_array_equal(np.isfinite(shown), inside)
    assert 0 < (~inside).sum() < inside.sum()
    # ln loss is bent between two recorded steps, a fifth apart: less than one per cent in the step.
    np.testing.assert_allclose(shown[inside], exact.to_numpy()[inside], rtol=0.01)
    np.testing.assert_array_equal(found["censored"], ~inside)
    assert (found["steps"].sel(target=2.0) == 0.0).all()


def test_quantiles_of_steps_are_those_of_kaplan_and_meier() -> None:
    ds = runs({"he": 0.8, "other": 0.5}, seeds=21, diverged={"other": {0: 3}})
    found = steps_to_reach(ds, [0.04])
    assert (found["reached"] > 0).all()
    assert (found["reached"] < 21).all()
    assert bool(found["censored"].sel(ensemble="other", seed=0).any()) is False
    for name in ("he", "other"):
        steps = found["steps"].sel(ensemble=name, target=0.04).to_numpy()
        here = np.isfinite(steps)
        times = CensoredData(steps[here], right=np.full((~here).sum(), float(LAST)))
        survival = ecdf(times).sf
        past = survival.quantiles[survival.probabilities <= 0.5 + 1e-12]
        shown = float(found["quantile"].sel(ensemble=name, target=0.04, level=0.5))
        assert shown == (pytest.approx(past[0]) if here.sum() >= 11 else math.inf)


def test_dead_units_are_means_over_runs_that_did_not_diverge() -> None:
    ds = runs(diverged={"he": {2: 10}})
    ds["dead_after"][0, 2] = 1.0
    found = dead_units(ds).sel(ensemble="he")
    kept = np.delete(ds["dead_after"].to_numpy()[0], 2, axis=0)
    np.testing.assert_allclose(found["after"], kept.mean(axis=0))
    np.testing.assert_allclose(found["after_stderr"], kept.std(axis=0, ddof=1) / math.sqrt(19))
    assert (int(found["before_count"]), int(found["after_count"])) == (20, 19)
    np.testing.assert_allclose(found["before"], ds["dead_before"].to_numpy()[0].mean(axis=0))
    assert np.isnan(dead_units(runs(seeds=1, diverged={"he": {0: 0}}))["after"]).all()


def test_reference_losses() -> None:
    ds = runs({"he": 1.0, "other": 0.1})
    own = reference_loss(ds, "he")
    assert own is not None
    lowest = ds["loss"].sel(ensemble="he").min("step")
    assert 15 <= int((lowest <= own).sum()) <= 17
    assert reference_losses(ds) == sorted({0.5, 0.1, own}, reverse=True)
    assert reference_losses(until(ds, 5)) == [reference_loss(until(ds, 5), "he")]
    # What runs had before they diverged is no loss that training reaches.
    for step in (0, 500):
        gone = {"he": dict.fromkeys(range(6), step)}
        assert reference_loss(runs(diverged=gone), "he") is None
    digits = reference_losses(runs(task="digits"))
    assert 1.15 in digits
    assert 0.23 in digits
    stuck = ds.assign(loss=xr.ones_like(ds["loss"]))
    assert reference_losses(stuck) == []
    assert steps_to_reach(stuck).sizes["target"] == 0
    assert one(differences(stuck), "loss").interval == (0.0, 0.0)


# --- pairs ----------------------------------------------------------------------------------------


def test_differences_are_those_of_the_law() -> None:
    # The interval misses the truth in 5 % of all cases; this seed was not chosen among others.
    ds = runs({"he": 1.0, "other": 2.0}, seed=1)
    d = one(differences(ds, losses=[0.1]), "steps")
    assert d.estimate[0] == d.estimate[1]
    assert d.interval[0] < math.log(0.5) < d.interval[1] < 0.0
    assert d.better + d.worse == d.pairs == 20
    assert d.decided
    assert d.is_better
    backward = one(differences(ds, "other", [0.1]), "steps", "he")
    assert backward.estimate[0] == pytest.approx(-d.estimate[0])
    assert (backward.better, backward.worse) == (d.worse, d.better)


def test_what_pairs_share_cancels() -> None:
    speeds = {"he": 1.0, "other": 2.0}
    calm, wild = (differences(runs(speeds, pair_scatter=x), losses=[0.5]) for x in (0.0, 0.7))
    # What is left is the interpolation, and that the law of the loss is no power in the end.
    for measure, left in (("steps", 0.02), ("loss", 0.15)):
        np.testing.assert_allclose(
            one(wild, measure).interval, one(calm, measure).interval, atol=left
        )


def test_intervals_are_those_of_scipys_bootstrap() -> None:
    ds = runs({"he": 1.0, "other": 1.4})
    shown = one(differences(ds), "loss").interval
    last = np.log(ds["loss"].isel(step=-1).to_numpy())

    def ends(level: float) -> tuple[float, float]:
        of: Any = bootstrap(
            (last[1] - last[0],),
            np.median,
            confidence_level=level,
            method="percentile",
            rng=np.random.default_rng(5),
        )
        return float(of.confidence_interval.low), float(of.confidence_interval.high)

    # Medians of resamples lie on few values, so that the ends hardly depend on the resamples.
    np.testing.assert_allclose(shown, ends(0.95), atol=1e-3)
    assert not np.allclose(shown, ends(0.9), atol=1e-3)


def test_whatever_comes_after_the_end_the_interval_holds() -> None:
    whole = runs({"he": 1.0, "other": 0.7}, scatter=0.6)
    full = one(differences(whole, losses=[0.1]), "steps")
    cut = [one(differences(until(whole, s), losses=[0.1]), "steps") for s in (900, 500, 250, 20)]
    for d in cut:
        assert d.interval[0] <= full.interval[0] + 1e-9
        assert d.interval[1] >= full.interval[1] - 1e-9
        assert d.estimate[0] <= full.estimate[0] + 1e-9
        assert d.estimate[1] >= full.estimate[1] - 1e-9
    assert cut[0].interval[1] < math.inf
    assert cut[-1].interval == (-math.inf, math.inf)
    assert cut[-1].p_value == 1.0


def test_divergence_counts_against_an_ensemble() -> None:
    gone = {"other": dict.fromkeys(range(15), 60)}
    calm: dict[str, Any] = {"scatter": 0.05, "pair_scatter": 0.1}
    ds = runs({"he": 1.0, "other": 2.0}, diverged=gone, task="digits", **calm)
    found = differences(ds, losses=[1.5, 0.2])
    early, late = (d for d in found if d.measure == "steps")
    # They are through 1.5 when they diverge, and not through 0.2.
    assert early.is_better
    for d in (late, one(found, "loss"), one(found, "accuracy")):
        assert d.worse >= 15
        assert not d.is_better
    assert late.estimate == one(found, "loss").estimate == (math.inf, math.inf)
    both = {name: dict.fromkeys(range(20), 0) for name in ("he", "other")}
    for d in differences(runs({"he": 1.0, "other": 2.0}, diverged=both), losses=[0.1]):
        assert d.estimate == (0.0, 0.0)
        assert d.p_value == 1.0


def test_holms_correction() -> None:
    def with_p(p: float) -> Difference:
        return Difference("a", "he", "loss", None, 9, (0.0, 0.0), (0.0, 0.0), 0, 0, p)

    corrected = _corrected([with_p(p) for p in (0.04, 0.01, 0.03, 0.02)])
    np.testing.assert_allclose([d.p_corrected for d in corrected], [0.06, 0.04, 0.06, 0.06])


def test_intervals_cover_and_decisions_hold() -> None:
    files = 120
    missed, alarms = 0, 0
    for seed in range(files):
        ds = runs({"he": 1.0, "other": 1.0}, seed=seed, layers=1)
        found = differences(ds, losses=[0.1], resamples=999)
        low, high = one(found, "steps").interval
        missed += not low <= 0.0 <= high
        alarms += any(d.decided for d in found)
    # They miss in 4 to 6 % of all cases (400 files of each of three kinds): more than 15 of 120 has
    # a probability of 0.3 % at 6 %. The sign test errs in at most 5 %: more than 14 has 0.2 %.
    assert missed <= 15
    assert alarms <= 14


# --- words ----------------------------------------------------------------------------------------


def test_the_verdict_in_words() -> None:
    speeds = {"he": 1.0, "quick": 2.5, "slow": 0.2, "same": 1.0, "wild": 1.0, "later": 1.0}
    ds = runs(speeds, diverged={"wild": {3: 10, 5: 0, 6: 1}, "he": {1: 500}})
    ds["extended"][[1, 2]] = 1
    ds["at_edge"][2] = 1
    ds["loss"][5] = np.nan
    lines = verdict(ds).splitlines()
    assert lines[0] == "No result yet for later: not trained to the end."
    assert lines[1].startswith("quick trains faster than he: it takes ")
    assert ". Its final loss is lower: " in lines[1]
    assert lines[2].startswith("slow trains more slowly than he: it takes at least ")
    assert lines[3].startswith("same is not shown to train faster or more slowly than he: ")
    assert "Its final loss is not shown to differ" in lines[3]
    assert "Diverged: 1 of 20 runs of he and 3 of 20 runs of wild." in lines[5]
    assert lines[6].startswith("The best learning rate of slow (0.1) is at the edge of the grid.")
    assert lines[7].startswith("For quick the grid of learning rates was extended")
    assert "Medians over 20 pairs" in lines[-1]
    assert "all 20 differences" in lines[-1]
    assert verdict(ds) == verdict(ds)


def test_the_verdict_tells_scales_and_rates() -> None:
    ds = runs({"he": 1.0, "rai": 2.0, "orthogonal": 1.0})
    (told,) = scale_words(ds, "he")
    assert "a factor of 1 for he, and by another one for rai (0.76; he@1.24)." in told
    assert "orthogonal" not in told
    assert scale_words(runs({"he": 1.0, "rai": 2.0, "he@1.24": 2.0}), "he") == []
    assert "Learning rates: 0.1, he 0.1." in verdict(ds).splitlines()[0]
    assert any("Learning rates are up to a factor of 3.3 apart" in x for x in grid_words(ds))
    ds["pilot_diverged"][0, 3] = 1  # at 0.3, beside the 0.1 that was chosen
    assert any("The learning rate of he (0.1) is the largest" in x for x in grid_words(ds))
    (one,) = grid_words(ds.isel(rate=[2]))
    assert one.startswith("All were trained at one learning rate, 0.1")


def test_the_verdict_is_on_the_losses_that_were_asked_for() -> None:
    ds = runs({"he": 1.0, "other": 3.0})
    told = verdict(ds, found=differences(ds, losses=[0.3]))
    assert "other trains faster than he: it takes" in told
    assert "to a test loss of 0.3." in told


def test_rates_at_which_pilots_diverged_are_told() -> None:
    ds = runs({"he": 1.0, "wild": 1.0})
    ds["pilot_loss"][1] = np.nan
    ds["at_edge"][1] = 1
    line, _ = grid_words(ds)
    assert line.startswith("Some pilot of wild diverged at every learning rate of the grid")
    ds["learning_rate"][:] = np.nan
    assert grid_words(ds) == []


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ({"seeds": 1}, "it can call none"),
        ({"seeds": 5}, "With fewer than 6 pairs, as here, it can call none"),
        ({"seeds": 6}, "With 6 pairs it can call none of so many"),
        ({"diverged": {"he": dict.fromkeys(range(12), 0)}}, "speeds can't be compared"),
        ({"diverged": {"he": dict.fromkeys(range(20), 3)}}, "speeds can't be compared"),
        ({"speed": {"he": 1.0}}, "There is nothing to compare he to."),
        ({"speed": {"rai": 1.0, "torch": 3.0}}, "torch trains faster than rai"),
    ],
)
def test_the_verdict_says_what_it_cannot(made: dict[str, Any], words: str) -> None:
    ds = runs(**{"speed": {"he": 1.0, "other": 3.0}} | made)
    assert words in verdict(ds)


def test_an_unfinished_file_has_statistics_of_what_is_there() -> None:
    ds = runs({"he": 1.0, "other": 2.0})
    ds["loss"][1, 3, 20:] = np.nan
    assert trained(ds) == ["he"]
    assert differences(ds) == ()
    assert curves(ds).sizes["ensemble"] == 1
    ds["loss"][:] = np.nan
    assert "Nothing can be compared to he." in verdict(ds)
    assert reference_losses(ds) == []
    assert steps_to_reach(ds).sizes["ensemble"] == final(ds).sizes["ensemble"] == 0


def test_bad_input_is_told() -> None:
    ds = runs()
    with pytest.raises(InputError, match="is not in the file"):
        baseline_of(ds, "raai:3")
    for bad in (0.0, -1.0, math.nan):
        with pytest.raises(InputError, match="must be positive"):
            steps_to_reach(ds, [bad])


def test_the_recorded_steps_begin_before_training() -> None:
    assert STEPS[0] == 0
    assert STEPS[-1] == LAST

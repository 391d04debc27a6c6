"""Gradients of a pair: bytes, threads, deaths, equal signals, merging. Their law: tests/verify."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import simcore
from simcore.errors import InputError
from simcore.physics.observables import GRADIENT_NAMES
from simcore.runs.run import Run
from simcore.sampling.contract import Signals
from simcore.sampling.pair.cpu import PairGradientSampler, PairSampler
from simcore.statistics.blocks import Task
from tests.support.pair_driver import walk


def one(width: int, depth: int, **options: object) -> Run:
    return Run(depth=depth, width=(width,), gradients=True, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("width", [3, 70])
def test_the_way_forward_keeps_its_bytes(width: int) -> None:
    """Also the columns of control variates, which wide networks have."""
    run, task = one(width, 5, trials=64), Task(0, 0, 1, 64)
    there = PairSampler(replace(run, gradients=False)).run(task, None, Signals.sharing())
    back = PairGradientSampler(run).run(task, None, Signals.sharing())
    forward = there.moments.mean.shape[1]
    assert forward == len(run.columns.forward)
    assert ("correlation_controlled" in run.columns.forward) == (width == 70)
    assert back.moments.mean[:, :forward].tobytes() == there.moments.mean.tobytes()
    assert back.moments.m2[:, :forward].tobytes() == there.moments.m2.tobytes()
    assert back.kept.tobytes() == there.kept.tobytes()


def test_threads_that_share_a_block_change_no_byte() -> None:
    run, task = one(100, 6, k=(1.0,), trials=50), Task(0, 0, 1, 50)
    sampler = PairGradientSampler(run)
    alone = sampler.run(task, None, Signals.sharing())
    with ThreadPoolExecutor(3) as pool:
        shared = sampler.run_shared(task, None, Signals.sharing(), pool, 3)
    for a, b in zip(alone.moments, shared.moments, strict=True):
        assert a.tobytes() == b.tobytes()
    assert alone.histogram.tobytes() == shared.histogram.tobytes()


def test_equal_signals_have_equal_gradients() -> None:
    seen = walk(one(70, 8, distance=(0.0,)), 20)
    assert (seen["gradient_correlation"] == 1.0).all()
    assert seen["log_gradient1"].tobytes() == seen["log_gradient2"].tobytes()
    assert np.array_equal(seen["tangent11"], seen["tangent12"])


def test_nearly_equal_signals_have_nearly_equal_gradients() -> None:
    """At 1 - c = 1e-30 no mask differs, and nothing but rounding lies between the two."""
    seen = walk(one(70, 8, distance=(1e-30,)), 20)
    assert np.abs(seen["gradient_correlation"] - 1.0).max() < 1e-15
    assert np.abs(seen["log_gradient1"] - seen["log_gradient2"]).max() < 1e-12


def test_a_dead_signal_has_no_gradient_in_any_layer() -> None:
    seen = walk(one(2, 6), 400)
    for which in "12":
        dead = seen[f"dead_network{which}"][:, -1] == 1.0
        assert 0 < dead.sum() < 400
        assert np.isnan(seen[f"log_gradient{which}"][dead]).all()
        assert not np.isnan(seen[f"log_gradient{which}"][~dead]).any()
        assert (seen[f"tangent{which}{which}"][dead] == 0.0).all()
        assert (seen["tangent12"][dead] == 0.0).all()
        assert np.isnan(seen["gradient_correlation"][dead]).all()


def test_a_bias_revives_signals_but_no_gradient_below() -> None:
    """A layer without an active node passes nothing on; the layers above it have gradients."""
    seen = walk(one(2, 6, sigma_b=(0.5,)), 400)
    gone = np.isnan(seen["log_gradient1"])
    assert gone[:, 0].sum() > gone[:, -1].sum() > 0
    assert (gone[:, :-1] >= gone[:, 1:]).all()  # once 0, it stays 0 on the way back


def test_the_tangent_kernel_adds_up_layers() -> None:
    """With W alone its terms are the weight gradients times sigma_w²."""
    seen = walk(one(50, 5), 10)
    terms = np.diff(seen["tangent11"], axis=1, prepend=0.0)
    assert np.allclose(terms, 2.0 * seen["weight_gradient1"], rtol=1e-12)


def test_values_beyond_float64_are_left_out() -> None:
    seen = walk(one(64, 300, sigma_w=(0.01,)), 3)
    assert np.isfinite(seen["log_gradient1"]).all()
    assert np.abs(seen["log_gradient1"]).max() > 1000.0
    assert np.isnan(seen["weight_gradient1"][:, -1]).all()


def test_files_are_merged_and_extended_to_the_bytes_of_one_run(tmp_path: Path) -> None:
    options = {"width": 40, "depth": 3, "gradients": True, "k": 1.0}
    paths = [tmp_path / f"{name}.h5" for name in ("whole", "a", "b", "merged")]
    whole, a, b, merged = paths
    simcore.simulate(trials=200, output=whole, **options)  # type: ignore[arg-type]
    simcore.simulate(trials=128, output=a, threads=1, **options)  # type: ignore[arg-type]
    simcore.simulate(trials=72, first_trial=128, output=b, **options)  # type: ignore[arg-type]
    simcore.merge([a, b], merged)
    simcore.resume(a, trials=200)
    expected = simcore.open_run(whole)
    assert set(GRADIENT_NAMES) <= set(expected)
    for path in (merged, a):
        found = simcore.open_run(path)
        for name in expected:
            assert expected[name].values.tobytes() == found[name].values.tobytes(), name


def test_a_target_of_a_gradient_needs_gradients() -> None:
    with pytest.raises(InputError, match="is of the way back"):
        Run(depth=2, width=(8,), until_stderr="tangent12=0.1")
    target = one(8, 2, until_stderr="tangent12=0.1").target
    assert target is not None
    assert target.observable == "tangent12"

"""The way back of batches as array code: the CPU's numbers, and its law where a factor is free."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from simcore.physics.observables import GRADIENT_NAMES
from simcore.runs.run import Run
from simcore.sampling.batch import arrays_back
from tests.sampling.test_batch_arrays import differences, run_of
from tests.sampling.test_batch_way_back import FALSE_ALARM, agreement, batch
from tests.support.array_driver import Strict, array_rows, cpu_rows
from tests.support.two_samples import Sample

LAWS: tuple[tuple[str, str, float, Any], ...] = (
    ("gram", "he", 0.0, (0.0,)),
    ("gram", "correlated", -0.5, (0.3,)),
    ("gram", "correlated", math.inf, (0.3,)),
    ("dense", "correlated", 1.0, (0.3,)),
    ("dense", "raai", 1.0, None),
)
"""Sampler, ensemble, k and σ_b."""

each_law = pytest.mark.parametrize(("sampler", "ensemble", "k", "sigma_b"), LAWS)


def back_of(*law: Any, **changes: Any) -> Run:
    """Return a run with gradients, of pairs that are equal but for 1e-30 among others."""
    settings: dict[str, Any] = {"gradients": True, "controls": "off", "depth": 4}
    settings |= {"layer_widths": (50, 33, 70, 40)}
    return run_of(*law, **(settings | changes))


def off_by(run: Run, made: Any, expected: Any) -> float:
    """Return the largest difference of a gradient's observable; of lengths, relative to them."""
    off = differences(run, made, expected)
    relative = ("weight_gradient1", "tangent11", "tangent22")
    worst = 0.0
    for name in GRADIENT_NAMES:
        size = np.abs(expected[..., run.columns.of(name)]) if name in relative else 1.0
        worst = max(worst, float(np.nanmax(off[name] / np.where(size == 0.0, 1.0, size))))
    return worst


@each_law
def test_gradients_are_the_cpus(sampler: str, ensemble: str, k: float, sigma_b: Any) -> None:
    """To rounding, of products in float64 and in float32; the way forward keeps its bytes."""
    run = back_of(sampler, ensemble, k, sigma_b)
    expected, there = cpu_rows(run, 3), replace(run, gradients=False)
    forward = [name for name in run.columns.of_pair if name not in GRADIENT_NAMES]
    for dtype, rounding in ((np.float64, 1e-11), (np.float32, 1e-3)):
        made = array_rows(run, 3, dtype=dtype)
        assert off_by(run, made, expected) < rounding
        without = array_rows(there, 3, dtype=dtype)
        for name in forward:
            a, b = made[..., run.columns.of(name)], without[..., there.columns.of(name)]
            assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("sampler", ["gram", "dense"])
def test_gradients_with_slopes_are_the_cpus(sampler: str) -> None:
    run = back_of(sampler, "correlated", 0.5, (0.2,), slopes="1,-0.3")
    expected = cpu_rows(run, 3)
    assert off_by(run, array_rows(run, 3, dtype=np.float64), expected) < 1e-11
    assert (expected[..., run.columns.of("gradient_correlation")] < 0.0).any()


@pytest.mark.parametrize("weights", ["rademacher", "student:5", "bernoulli:0.3"])
def test_explicit_weights_of_few_nodes(weights: str) -> None:
    """Deaths, ties, more signals than nodes, a pair of its own."""
    few: dict[str, Any] = {"layer_widths": (3, 5, 2, 4), "weights": weights}
    for sigma_b, own in (((0.0,), {}), ((0.3,), {"shared_network": False, "distance": (0.7,)})):
        run = back_of("dense", "correlated", 1.0, sigma_b, **(few | own))
        expected = cpu_rows(run, 20)
        assert off_by(run, array_rows(run, 20, dtype=np.float64), expected) < 1e-11
        assert np.isnan(expected).any()


@each_law
def test_gradients_need_of_a_namespace_the_standard(
    sampler: str, ensemble: str, k: float, sigma_b: Any
) -> None:
    run = back_of(sampler, ensemble, k, sigma_b, depth=2, layer_widths=(20, 15))
    made, expected = array_rows(run, 2, xp=Strict()), array_rows(run, 2)
    np.testing.assert_allclose(made, expected, rtol=1e-12)


@pytest.mark.parametrize("sigma_w", [0.01, 30.0])
def test_great_depth_keeps_gradients(sigma_w: float) -> None:
    """They leave float64 by hundreds of decades; the tangent kernel is then undefined."""
    deep: dict[str, Any] = {"depth": 200, "layer_widths": None, "width": (20,)}
    deep |= {"distance": (0.5, 1e-150)}
    run = back_of("gram", "correlated", 1.0, (0.0,), **(deep | {"sigma_w": (sigma_w,)}))
    made = array_rows(run, 1)
    logarithm = made[..., run.columns.of("log_gradient1")]
    assert np.isfinite(logarithm).all()
    assert abs(logarithm[0, 0, 0]) > 700
    assert np.isnan(made[..., run.columns.of("tangent11")]).any()


def sampled(run: Run, trials: int) -> Sample:
    rows = array_rows(run, trials, tile=5)
    return {n: np.moveaxis(rows[:, :, run.columns.of(n)], 2, 1) for n in GRADIENT_NAMES}


FREE: dict[str, Any] = {"sampler": "gram", "k": -0.9, "file": True}
"""Fewer nodes than signals, inputs that repeat: R is not determined, and only the law is the same.

Tried on 20 seeds.
"""


def test_gradients_have_the_law_where_a_factor_is_not_determined() -> None:
    assert agreement(batch(**FREE), 2000, sampled) > FALSE_ALARM


def test_forgotten_reflectors_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays_back, "turned", lambda xp, factors, columns: columns)
    assert agreement(batch(**FREE), 2000, sampled) < FALSE_ALARM

"""Gradients of batches and of explicit weights: their law, its faults, bytes, merging."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import simcore
from simcore.errors import InputError
from simcore.inputs.input_set import InputSet
from simcore.physics.observables import GRADIENT_NAMES
from simcore.runs.run import Run
from simcore.sampling.batch import gram, way_back
from simcore.sampling.batch.cpu import BatchGradientSampler, BatchSampler
from simcore.sampling.contract import Signals
from simcore.statistics.blocks import Task
from tests.support import oracle
from tests.support.two_samples import Sample, worst

FALSE_ALARM = 1e-4
"""Of each case, by Bonferroni over its comparisons; seeds are fixed."""

OVERLAPS = (0.9, -0.4)
PAIRS = ((0, 1), (2, 3), (0, 4), (5, 2))


def rows() -> Any:
    """Return inputs of unequal lengths: one twice, two opposite, one zero, one constant."""
    x = 0.2 + np.random.default_rng(5).standard_normal((6, 7))
    x[1], x[2], x[4], x[5] = x[0], -2.0 * x[3], 0.0, 1.0
    return x


def batch(k: float = 0.0, sigma_b: float | None = 0.0, width: int = 6, **more: Any) -> Run:
    options: dict[str, Any] = {
        "depth": 4,
        "width": (width,),
        "controls": "off",
        "gradients": True,
        "seed": 3,
    }
    if "ensemble" not in more:
        options["ensemble"] = "correlated"
    if more.pop("file", False):
        more["inputs"] = InputSet.read(rows(), pairs=np.array(PAIRS))
    elif more.pop("shared_network", True):
        more |= {"shared_network": True, "correlation": OVERLAPS}
    else:
        more["correlation"] = OVERLAPS[:1]
    bias = None if sigma_b is None else (sigma_b,)
    return Run(k=(k,), sigma_b=bias, **options | more)


def sampled(run: Run, trials: int) -> Sample:
    sampler = BatchGradientSampler(run)
    found = np.empty((trials, run.depth, run.columns.count))
    sampler.advance(0, 0, 0, sampler.carry(0, 1), found, Signals.sharing())
    return {n: np.moveaxis(found[:, :, run.columns.of(n)], 2, 1) for n in GRADIENT_NAMES}


def agreement(run: Run, trials: int, sampled: Callable[[Run, int], Sample] = sampled) -> float:
    """Return the least p-value against explicit networks, times the number of comparisons."""
    point = run.points[0]
    asymmetric = run.ensemble in ("rai", "raai")
    law = oracle.Law(
        tuple(int(n) for n in point.layer_widths(run.depth)),
        point.g,
        point.sigma_w,
        point.sigma_b,
        asymmetric=asymmetric,
        weights=run.weights,
        slopes=point.slopes,
    )
    inputs: oracle.Inputs = oracle.RandomPairs(OVERLAPS[: run.pairs or 1])
    if run.inputs is not None:
        inputs = oracle.FixedInputs(rows(), PAIRS)
    rng = np.random.default_rng(7)
    expected = oracle.simulate_shared(law, inputs, trials, rng, gradients=True)
    return worst(sampled(run, trials), expected, (1, 2, run.depth))[0]


CASES = (
    {"k": 1.0, "sigma_b": 0.3},
    {"k": -0.5, "width": 3},
    {"k": math.inf, "sigma_b": 0.3, "width": 3},
    {"k": 0.0, "width": 16, "file": True},
    {"k": 1.0, "width": 3, "sigma_b": 0.3, "file": True},
    {"k": 1.0, "sampler": "dense", "weights": "rademacher", "width": 5},
    {"k": math.inf, "sigma_b": 0.3, "sampler": "dense", "file": True},
    {"k": 1.0, "sigma_b": None, "ensemble": "raai"},
    {"ensemble": "rai", "sigma_b": 0.3, "shared_network": False},
    {"k": 1.0, "sigma_b": 0.3, "slopes": "1,-0.5"},
    {"k": -0.5, "width": 5, "file": True, "slopes": "1,0.2"},
    {"k": 1.0, "sampler": "dense", "weights": "rademacher", "width": 5, "slopes": "0.7,-0.3"},
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_have_the_law_of_explicit_back_propagation(case: dict[str, Any]) -> None:
    sampler = {} if "ensemble" in case else {"sampler": "gram"}
    assert agreement(batch(**sampler | case), 1000) > FALSE_ALARM


_BY_LAW, _CENTRE, _MASKS = way_back._by_law, way_back._centre, way_back.active_nodes
_FORWARD = gram.gram_layer


def _fresh(layer: Any, factors: gram.Factors, delta: Any) -> Any:
    """Condition on the normals of another network, which is not to condition."""
    return _BY_LAW(layer._replace(trial=layer.trial + 10**6), factors, delta)


def _no_bias_row(layer: Any, signals: Signals) -> gram.Factors:
    """Return the factors of what the weights alone read."""
    t = layer.t[:, : layer.x.shape[1]].copy()
    _FORWARD(layer, signals)
    return gram.Factors(t)


def _twice(layer: Any, products: Any) -> None:
    _CENTRE(layer, products)
    products *= math.sqrt(products.shape[1]) / layer.law.sigma_w
    _CENTRE(layer, products)


def _revived(layer: Any) -> Any:
    active = _MASKS(layer)
    active[~active.any(axis=1), ::2] = True
    return active


FAULTS = (
    (way_back, "_by_law", _fresh, {"k": -0.9}, 1500),
    (gram, "gram_layer", _no_bias_row, {"k": -0.9, "sigma_b": 3.0}, 3500),
    (way_back, "active_nodes", _revived, {"width": 3}, 300),
    (way_back, "_centre", _twice, {"k": -0.9}, 300),
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f[2].__name__)
def test_faults_are_noticed(fault: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them at all of 20 seeds, with a p-value below 1e-8."""
    where, name, wrong, case, trials = fault
    monkeypatch.setattr(where, name, wrong)
    assert agreement(batch(sampler="gram", **case), trials) < FALSE_ALARM


@pytest.mark.parametrize(
    "options", [{"sampler": "gram", "file": True}, {"sampler": "dense"}], ids=str
)
def test_the_way_forward_keeps_its_bytes_and_threads_change_none(options: dict[str, Any]) -> None:
    run, task = batch(k=1.0, width=20, trials=20, **options), Task(0, 0, 1, 20)
    sampler = BatchGradientSampler(run)
    there = BatchSampler(replace(run, gradients=False)).run(task, None, Signals.sharing())
    back = sampler.run(task, None, Signals.sharing())
    with ThreadPoolExecutor(2) as pool:
        shared = sampler.run_shared(task, None, Signals.sharing(), pool, 2)
    forward = there.moments.mean.shape[1]
    assert forward == sampler.forward.size
    assert back.moments.mean[:, sampler.forward].tobytes() == there.moments.mean.tobytes()
    for a, b in zip(back.moments, shared.moments, strict=True):
        assert a.tobytes() == b.tobytes()


def test_files_are_merged_and_extended_to_the_bytes_of_one_run(tmp_path: Path) -> None:
    np.save(tmp_path / "inputs.npy", rows())
    inputs = str(tmp_path / "inputs.npy")
    options: dict[str, Any] = {"width": 8, "depth": 2, "gradients": True, "inputs": inputs}
    whole, a, b, merged = (tmp_path / f"{name}.h5" for name in ("whole", "a", "b", "merged"))
    simcore.simulate(trials=100, output=whole, **options)
    simcore.simulate(trials=64, output=a, threads=1, **options)
    simcore.simulate(trials=36, first_trial=64, output=b, **options)
    simcore.merge([a, b], merged)
    simcore.resume(a, trials=100)
    expected = simcore.open_run(whole)
    assert set(GRADIENT_NAMES) <= set(expected)
    for path in (merged, a):
        found = simcore.open_run(path)
        for name in GRADIENT_NAMES:
            assert expected[name].values.tobytes() == found[name].values.tobytes(), name


def test_what_no_sampler_follows_is_refused() -> None:
    assert batch(ensemble="rai", sigma_b=None).sampler == "dense"
    with pytest.raises(InputError, match="through explicit weights"):
        batch(ensemble="rai", sigma_b=None, sampler="gram")

"""Probabilities of dead networks from conditional ones, against counting and other programs."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import simcore
from simcore import Ensemble, Run
from simcore.calls import _run_of
from simcore.physics.observables import CONTROLLED, HAZARDS, NAMES, Columns
from simcore.sampling import row as shown
from simcore.sampling.contract import Signals
from simcore.sampling.pair.cpu import PairSampler
from tests.support.measured import measured

Floats = npt.NDArray[np.float64]

DEEP = 10
SHARED: dict[str, Any] = {"shared_network": True, "correlation": [0.0, 0.8], "depth": 5}
DENSE = {"sampler": "dense"}
CASES: dict[str, tuple[Ensemble, int, dict[str, Any]]] = {
    "rai, 3": (Ensemble.rai(), 3, {}),
    "rai, 6": (Ensemble.rai(), 6, {}),
    "rai without bias, 3": (Ensemble.rai(sigma_b=0.0), 3, {}),
    "raai, k = 1, 3": (Ensemble.raai(k=1.0), 3, {}),
    "raai, k = 10, 3": (Ensemble.raai(k=10.0), 3, {}),
    "raai, k = 1, 6": (Ensemble.raai(k=1.0), 6, {}),
    "raai, k = 10, 6": (Ensemble.raai(k=10.0), 6, {}),
    "he, 3": (Ensemble.he(), 3, {}),
    "he with bias, 2": (Ensemble.he(sigma_b=0.3), 2, {}),
    "correlated, k = 1, 3": (Ensemble.correlated(k=1.0), 3, {}),
    "weights that sum to 0, 2": (Ensemble.correlated(k=math.inf), 2, {}),
    "rai, explicit weights, 3": (Ensemble.rai(), 3, DENSE),
    "correlated, explicit weights, 2": (Ensemble.correlated(k=1.0, sigma_b=0.2), 2, DENSE),
    "raai, a batch, 3": (Ensemble.raai(k=1.0), 3, SHARED | {"trials": 4000}),
    "he, a batch, 3": (Ensemble.he(), 3, SHARED | {"trials": 4000}),
}


def z_scores(
    ensemble: Ensemble, width: int, options: dict[str, Any], seed: int, factor: float = 1.0
) -> Floats:
    """Return hazards of 2,000 networks less counts of 40,000 others, in standard errors.

    The hazards are multiplied by a factor first. `options` may have another number of counts.
    """
    settings: dict[str, Any] = {"depth": DEEP, "trials": 40_000} | options
    counts = settings["trials"]
    settings["width"] = width
    others = settings | {"seed": seed + 1000, "controls": "off"}
    many: Any = measured(_run_of(ensemble, others, None))
    few: Any = measured(_run_of(ensemble, settings | {"seed": seed, "trials": 2000}, None))
    found = []
    for name in HAZARDS:
        if f"{name}_controlled" not in few:
            continue
        value = factor * few[f"{name}_controlled"].to_numpy()
        error = factor * few[f"{name}_controlled_stderr"].to_numpy()
        # Of the probability: where no network has died the count has an error, too.
        counted = np.sqrt(value * (1.0 - value) / counts)
        found.append(np.ravel((value - many[name].to_numpy()) / np.hypot(error, counted)))
    return np.concatenate(found)


@pytest.mark.parametrize("case", CASES)
def test_hazards_are_the_shares_of_dead_networks(case: str) -> None:
    # 400 scores of all cases, each beyond 5 in one of 1.7e6: false alarm below 3e-4.
    z = z_scores(*CASES[case], seed=1)
    assert np.abs(z).max() < 5.0, z


@pytest.mark.parametrize("case", ["rai, 3", "he, 3", "rai, explicit weights, 3"])
def test_hazards_that_are_a_little_wrong_are_found(case: str) -> None:
    assert np.abs(z_scores(*CASES[case], seed=1, factor=1.07)).max() > 5.0


@pytest.mark.parametrize(("width", "probability"), [(24, 3.722e-8), (40, 6.643e-13)])
def test_small_probabilities_need_no_deaths(width: int, probability: float) -> None:
    # By a program apart: layer 1 of 60,000 networks, T by quadrature, error 0.4 %. The
    # error of 4,096 networks is 1.6 %, and 5 % are 3 of them: false alarm 2e-3 each.
    ds = simcore.simulate(Ensemble.rai(), width=width, depth=DEEP, trials=4096, seed=1)
    for name in ("dead_network1", "dead_network2"):
        assert float(ds[name][-1]) == 0.0
        assert float(ds[f"{name}_controlled"][-1]) == pytest.approx(probability, rel=0.05)


@pytest.mark.parametrize(("width", "probability"), [(24, 2.504e-12), (40, 7.44e-20)])
def test_so_do_those_of_both_signals(width: int, probability: float) -> None:
    # Layer 1, by the same program; its error is 0.4 and 0.5 %, that of 4,096 networks 1.4 and
    # 2.1 %: 7 % are at least 3 of both, false alarm 2e-3.
    ds = simcore.simulate(Ensemble.rai(), width=width, depth=2, trials=4096, seed=1)
    assert float(ds.dead_network_both_controlled[0]) == pytest.approx(probability, rel=0.07)


def test_the_first_layer_is_exact() -> None:
    ds = simcore.simulate(Ensemble.he(), width=[3, 40], depth=2, correlation=[-0.5, 0.5], trials=64)
    first = ds.dead_network_both_controlled.sel(layer=1)
    for c, per_node in ((-0.5, 1.0 / 6.0), (0.5, 1.0 / 3.0)):
        for width in (3, 40):
            value = float(first.sel(width=width, overlap=c))
            assert value == pytest.approx(per_node**width, rel=1e-12)
    assert (ds.dead_network_both_controlled_stderr.sel(layer=1) == 0.0).all()


def test_plain_columns_do_not_depend_on_hazards() -> None:
    for run in (
        Run(depth=4, width=(5, 40), trials=64),
        Run(depth=4, width=(5, 70), ensemble="rai", trials=64),
    ):
        on, off = simcore.simulate(run), simcore.simulate(replace(run, controls=False))
        for name in off.data_vars:
            np.testing.assert_array_equal(on[name], off[name])


def test_hazards_stand_behind_what_controls_read() -> None:
    run = Run(depth=6, width=(40,), trials=64)
    assert run.columns == Columns(1, False, (*CONTROLLED, "dead_network_both"))
    rows = _rows(run, len(run.columns.of_pair))
    plain = _rows(run, len(NAMES) + len(CONTROLLED))
    alone = _rows(run, len(NAMES) + 1)
    np.testing.assert_array_equal(rows[:, :, :-1], plain)
    np.testing.assert_array_equal(rows[:, :, -1], alone[:, :, -1])
    np.testing.assert_array_equal(alone[:, :, : shown.FEATURES], plain[:, :, : shown.FEATURES])
    assert run.columns.of("dead_network_both_controlled") == [rows.shape[2] - 1]


def _rows(run: Run, columns: int) -> Floats:
    sampler = PairSampler(run)
    rows = np.empty((64, run.depth, columns))
    sampler.advance(0, 0, 0, sampler.carry(0, 64), rows, Signals.sharing())
    return rows


def test_a_chance_beyond_float64_counts_as_zero() -> None:
    ds = simcore.simulate(Ensemble.he(), width=[300, 400], depth=2, trials=64)
    first = ds.dead_network_both_controlled.sel(layer=1)
    assert float(first.sel(width=300)) == pytest.approx(3.0**-300, rel=1e-11)
    assert float(first.sel(width=400)) == 0.0

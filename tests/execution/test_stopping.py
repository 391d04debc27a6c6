"""The error that decides when a point ends: by the law of ln(1 − c) near 1, else its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simcore.execution.execute import execute
from simcore.execution.stopping import PILOT, deciding_error, needed
from simcore.physics.observables import KEPT
from simcore.results.open_run import to_dataset
from simcore.runs.run import Run
from simcore.runs.target import Target


def decided(observable: str, **options: Any) -> tuple[float, Any]:
    plain = {"controls": "off"} | options
    run = Run(depth=6, width=(32,), trials=PILOT, keep=PILOT, **plain)
    point = execute(run).points[0]
    moments = point.published()
    assert moments is not None
    return deciding_error(run, moments, observable), point.trajectories


@pytest.mark.parametrize("observable", ["correlation", "distance"])
@pytest.mark.parametrize("distance", [1e-6, 1e-60])
def test_near_1_the_law_of_the_logarithm_decides(observable: str, distance: float) -> None:
    error, kept = decided(observable, distance=distance)
    logs = kept[:, :, KEPT.index("log_distance")]
    v = logs.var(axis=0, ddof=1)
    law = np.exp(logs.mean(axis=0) + v / 2.0) * np.sqrt(np.expm1(v) / PILOT)
    assert error == pytest.approx(law.max(), rel=1e-9, abs=0.0)
    plain = np.exp(logs).std(axis=0, ddof=1) / np.sqrt(PILOT)
    assert error != pytest.approx(plain.max(), rel=1e-3, abs=0.0)


@pytest.mark.parametrize("observable", ["correlation", "log_q1", "inactive_both"])
def test_elsewhere_the_standard_error_decides(observable: str) -> None:
    error, kept = decided(observable, correlation=0.5)
    values = kept[:, :, KEPT.index(observable)]
    assert error == pytest.approx(
        (values.std(axis=0, ddof=1) / np.sqrt(PILOT)).max(), rel=1e-12, abs=0.0
    )


@pytest.mark.parametrize("distance", [0.5, 1e-60])
@pytest.mark.parametrize("observable", ["correlation", "log_q1"])
def test_errors_of_controlled_means_decide(observable: str, distance: float) -> None:
    """Those that the file will have; of c near 1 from its distance, since c has lost the digits."""
    run = Run(depth=6, width=(32,), trials=PILOT, distance=(distance,))
    results = execute(run).results
    moments = results.points[0].published()
    assert moments is not None
    near = observable == "correlation" and distance < 1e-3
    name = "distance" if near else observable
    errors = to_dataset(results)[f"{name}_controlled_stderr"].to_numpy()
    assert deciding_error(run, moments, observable) == pytest.approx(
        errors.max(), rel=1e-9, abs=0.0
    )


def test_a_share_of_0_has_an_error() -> None:
    """As if one network more of each kind had been seen: not one of 256 died."""
    error, _ = decided("dead_network1")
    assert error == pytest.approx(np.sqrt(1.0 / 258.0 * 257.0 / 258.0 / 256.0), rel=1e-12, abs=0.0)


def test_signals_that_are_parallel_have_no_error() -> None:
    assert decided("correlation", correlation=1.0)[0] == 0.0


@pytest.mark.parametrize(
    ("given", "target", "plain"),
    [
        (1e-3, Target("correlation", 1e-3), 1e-3),
        ("0.001", Target("correlation", 1e-3), 1e-3),
        ("correlation=1e-3", Target("correlation", 1e-3), 1e-3),
        (" log-q1 = 2", Target("log_q1", 2.0), "log_q1=2.0"),
    ],
)
def test_targets_as_given(given: Any, target: Target, plain: Any) -> None:
    run = Run(depth=1, width=(2,), until_stderr=given)
    assert run.target == target
    assert run.config()["until_stderr"] == run.until_stderr == plain
    assert Run.from_config(run.config()) == run


def test_another_observable_ends_a_run() -> None:
    run = Run(depth=3, width=(16,), until_stderr="log_q1=0.02", keep=0)
    outcome = execute(run)
    moments = outcome.points[0].published()
    assert moments is not None
    assert outcome.points[0].trials() > PILOT
    assert deciding_error(run, moments, "log_q1") <= 0.02
    first = execute(Run(depth=3, width=(16,), trials=PILOT)).points[0].published()
    assert first is not None
    pilot = deciding_error(run, first, "log_q1")
    assert outcome.points[0].trials() >= needed(PILOT, pilot, 0.02)

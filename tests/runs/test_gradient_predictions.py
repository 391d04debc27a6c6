"""Predictions of runs with gradients: which there are, and that they are those of the theory."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

import simcore
from simcore.files.layout import fields
from simcore.physics.observables import GRADIENT_FIRST_ORDER, GRADIENT_NAMES, NAMES
from simcore.runs.predictions import first_order_predictions, predictions
from simcore.runs.run import Run
from simcore.theory import gradient_trajectory
from simcore.theory.gradient_widths import gradient_law

Floats = npt.NDArray[np.float64]


def limit(run: Run, name: str) -> Floats:
    """Return a prediction at infinite width, shape (point, layer)."""
    return np.asarray(predictions(run)["theory"][run.columns.names.index(name), :, 0])


def test_a_grid_has_the_predictions_of_its_points() -> None:
    run = Run(
        depth=4, width=(64,), k=(0.0, math.inf), sigma_b=(0.0, 0.3), distance=(0.7,), gradients=True
    )
    for i, point in enumerate(run.points):
        law: dict[str, Any] = {
            "k": point.k,
            "sigma_w": point.sigma_w,
            "sigma_b": point.sigma_b or 0.0,
        }
        back = gradient_trajectory(4, distance=0.7, **law)
        for name in GRADIENT_NAMES:
            np.testing.assert_allclose(limit(run, name)[i], back.observable(name), rtol=1e-12)


def test_runs_without_gradients_have_the_predictions_of_the_way_forward_alone() -> None:
    run = Run(depth=2, width=(64,))
    assert len(predictions(run)["theory"]) == len(NAMES)
    assert not set(GRADIENT_FIRST_ORDER) & set(first_order_predictions(run)["theory_1n"])


def test_finite_width_is_that_of_each_point() -> None:
    run = Run(depth=3, layer_widths=(32, 16, 24), sigma_b=(0.0, 0.3), q0=(0.5,), gradients=True)
    found = first_order_predictions(run)
    mean, std = gradient_law(
        3,
        widths=[[32, 16, 24]] * 2,
        g=[0.0, 0.0],
        sigma_w=[math.sqrt(2.0)] * 2,
        sigma_b=[0.0, 0.3],
        q1=[0.5, 0.5],
        q2=[0.5, 0.5],
    )
    for name in GRADIENT_FIRST_ORDER:
        np.testing.assert_allclose(found["theory_1n"][name][:, 0], mean[name], rtol=1e-12)
        np.testing.assert_allclose(found["theory_1n_std"][name][:, 0], std[name], rtol=1e-12)


def test_a_run_shows_its_predictions() -> None:
    """The mean is exact, so that few networks show what is wrong by 5 standard errors."""
    ds = simcore.simulate(
        simcore.Ensemble.he(sigma_b=0.2), width=32, depth=4, trials=2000, gradients=True, seed=5
    )
    for name in GRADIENT_FIRST_ORDER:
        z = (ds[name] - ds[f"{name}_theory_1n"]) / ds[f"{name}_stderr"]
        assert float(np.abs(z).max()) < 5.0, name
    field = (ds.log_gradient1 - ds.log_gradient1_theory) / ds.log_gradient1_stderr
    assert float(np.abs(field).max()) > 10.0
    assert "tangent12_theory" in ds
    assert "tangent12_theory_1n" not in ds


def test_the_file_says_what_is_exact() -> None:
    """With independent weights all of one signal's; else only what is so on the way forward."""
    for k, exact in ((0.0, True), (1.0, False)):
        run = Run(depth=2, width=(64,), ensemble="correlated", k=(k,), gradients=True)
        words = {field.path: field.long_name for field in fields(run, complete=True)}
        for name in GRADIENT_FIRST_ORDER:
            for kind in ("theory_1n", "theory_1n_std"):
                assert words[f"{name}/{kind}"].endswith(", exact at any width") == exact
        assert words["log_q1/theory_1n"].endswith(": prediction at first order in 1/N")

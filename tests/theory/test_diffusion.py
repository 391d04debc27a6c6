"""The limit of depth with width: its law against paths of the equation, and against networks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from simcore import theory
from simcore.errors import InputError
from simcore.runs.run import Run
from simcore.theory import diffusion
from tests.support.pair_driver import walk

Floats = npt.NDArray[np.float64]
PATHS = 40_000


def rho_paths(kink: float, start: float, end: float) -> Floats:
    """Paths of dρ as published, in ρ itself, by Euler's scheme with 1,000 steps."""
    rng, rho, step = np.random.default_rng(3), np.full(PATHS, start), end / 1000
    for _ in range(1000):
        nu = kink * (np.sqrt(1.0 - rho**2) - rho * np.arccos(rho))
        noise = math.sqrt(step) * rng.standard_normal(PATHS)
        rho = rho + (nu - 0.5 * rho * (1.0 - rho**2)) * step + (1.0 - rho**2) * noise
        rho = np.clip(rho, -1.0, 1.0)
    return rho


@pytest.mark.parametrize("shape", [(0.0, -1.0), (1.0, -1.0), (0.5, 0.5)])
def test_shaped_relu_is_its_equation(shape: tuple[float, float]) -> None:
    """4.5 standard errors and 2e-3 for Euler's steps; by chance in 1e-5 of the comparisons."""
    law = theory.sde(1.0, shape=shape, correlation=0.3)
    rho = rho_paths((shape[0] - shape[1]) ** 2 / (2.0 * math.pi), 0.3, 1.0)
    error = 4.5 * rho.std() / math.sqrt(PATHS) + 2e-3
    assert law.mean[0] == pytest.approx(rho.mean(), abs=error)
    assert law.std[0] == pytest.approx(rho.std(), abs=error)
    reached = (rho[:, None] <= law.quantile([0.1, 0.5, 0.9])[0]).mean(axis=0)
    np.testing.assert_allclose(reached, [0.1, 0.5, 0.9], atol=4.5 * 0.5 / math.sqrt(PATHS) + 2e-3)


def test_relu_is_its_equation() -> None:
    """In ln q, by Euler's scheme with steps of 1 % in t; bounds as above, times the scales."""
    rng, times = np.random.default_rng(3), np.geomspace(1e-3, 1.0, 700)
    s = math.log(4.5 * math.pi**2) + math.sqrt(8e-3 / 3.0) * rng.standard_normal(PATHS)
    for t, step in zip(times[:-1], np.diff(times), strict=True):
        root = np.exp(0.5 * s) * math.sqrt(2.0) / (3.0 * math.pi)
        noise = math.sqrt(8.0 * step) * rng.standard_normal(PATHS)
        s = s + (2.0 / t * (1.0 - root) - 2.0) * step + noise
    law, q = theory.sde(1.0), np.exp(s)
    assert law.mean[0] == pytest.approx(q.mean(), abs=4.5 * q.std() / math.sqrt(PATHS) + 0.5)
    reached = (q[:, None] <= law.quantile([0.1, 0.5, 0.9])[0]).mean(axis=0)
    np.testing.assert_allclose(reached, [0.1, 0.5, 0.9], atol=4.5 * 0.5 / math.sqrt(PATHS) + 5e-3)


def test_relu_starts_from_criticality() -> None:
    """9π²/2 of theory.md (7d), and ln q of variance 8t/3."""
    law = theory.sde([1e-4, 1e-3])
    np.testing.assert_allclose(law.mean, 4.5 * math.pi**2, rtol=1e-3)
    np.testing.assert_allclose(law.std / law.mean, np.sqrt(8.0 / 3.0 * law.time), rtol=1e-2)


def test_without_a_kink_the_law_is_symmetric() -> None:
    law = theory.sde([0.5, 2.0], shape=(1.0, 1.0), correlation=0.0)
    np.testing.assert_allclose(law.mean, 0.0, atol=1e-12)
    np.testing.assert_allclose(law.quantile(0.2), -law.quantile(0.8), atol=1e-9)
    np.testing.assert_allclose(law.probability(0.0)[:, 0], 0.5, atol=1e-12)


def test_the_error_is_that_of_the_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against twice as many cells and steps, with a factor of 3 to spare."""
    laws = []
    for factor in (1, 2):
        monkeypatch.setattr(diffusion, "CELLS", 300 * factor)
        monkeypatch.setattr(diffusion, "STEPS", 100 * factor)
        laws.append([theory.sde([0.3, 1.0], shape=(1.0, -1.0), correlation=-0.9), theory.sde(0.5)])
    for one, other in zip(*laws, strict=True):
        assert (np.abs(one.mean - other.mean) <= 3.0 * one.mean_error + 1e-9).all()
        assert (np.abs(one.std - other.std) <= 3.0 * one.std_error + 1e-9).all()
        assert (one.mean_error < 1e-3 * np.abs(one.mean)).all()


def test_networks_have_the_law() -> None:
    """Kolmogorov and Smirnov's test of c at L = N = 64, p > 1e-4; without the kink it fails."""
    width, trials = 64, 1000
    run = Run(depth=width, width=(width,), slopes="shaped:0,-1", correlation=(0.3,), seed=4, keep=0)
    c = walk(run, trials)["correlation"]
    for layer, t in ((16, 0.25), (64, 1.0)):
        assert p_value(c[:, layer - 1], theory.sde(t, shape=(0.0, -1.0), correlation=0.3)) > 1e-4
    assert p_value(c[:, -1], theory.sde(1.0, shape=(0.0, 0.0), correlation=0.3)) < 1e-4


def p_value(values: Floats, law: theory.DepthWidthLaw) -> float:
    return float(stats.kstest(values, lambda x: law.probability(x)[0]).pvalue)


def test_bad_arguments_are_refused() -> None:
    bad: list[dict[str, Any]] = [
        {"times": []},
        {"times": [1.0, 0.5]},
        {"times": 0.0},
        {"times": 1.0, "correlation": 0.5},
        {"times": 1.0, "shape": (1.0,)},
        {"times": 1.0, "shape": (0.0, math.inf)},
        {"times": 1.0, "shape": (0.0, -1.0), "correlation": 1.0},
    ]
    for given in bad:
        with pytest.raises(InputError):
            theory.sde(**given)
    with pytest.raises(InputError, match="levels"):
        theory.sde(1.0).quantile(1.5)

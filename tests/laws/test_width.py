"""What finite width does: the approach to mean field, exact means, the death of networks."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest

from simcore.execution.execute import execute
from simcore.physics.observables import column
from simcore.physics.parameters import correlation_strength
from simcore.runs.run import Run
from simcore.theory import trajectory

SIGMAS = 4.0
"""Tolerance of a single comparison in standard errors: a false alarm in 16,000."""


def means_and_errors(run: Run, *names: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield mean and standard error of observables of the first point, per layer."""
    moments = execute(run, threads=2).points[0].published()
    assert moments is not None
    for i in map(column, names):
        n = moments.count[:, i]
        yield moments.mean[:, i], np.sqrt(moments.m2[:, i] / (n - 1.0) / n)


def test_the_mean_correlation_approaches_mean_field_like_one_over_the_width() -> None:
    """k = 1, layer 12, N = 2⁶ … 2¹⁰; the deviation is 23 standard errors at 2⁶ and 6 at 2¹⁰.

    Terms of order 1/N² change the fitted slope by at most 0.05: N times the deviation is constant
    within 3 % of its value from N = 64 on.
    """
    depth = 12
    expected = trajectory(depth, k=1.0, correlation=0.5).correlation[-1]
    widths = 2 ** np.arange(6, 11)
    deviations, errors = [], []
    for width in widths.tolist():
        run = Run(
            depth=depth, width=(width,), k=(1.0,), ensemble="correlated", trials=65536, keep=0
        )
        ((mean, error),) = means_and_errors(run, "correlation")
        deviations.append(mean[-1] - expected)
        errors.append(error[-1])
    assert min(d / e for d, e in zip(deviations, errors, strict=True)) > 3.0
    relative = np.array(errors) / np.array(deviations)
    fit, covariance = np.polyfit(
        np.log(widths), np.log(deviations), 1, w=1.0 / relative, cov="unscaled"
    )
    assert abs(fit[0] + 1.0) < 0.05 + SIGMAS * math.sqrt(covariance[0, 0])


@pytest.mark.parametrize("sigma_b", [0.0, 0.5])
@pytest.mark.parametrize("k", [-0.5, 0.0, 1.0, math.inf])
@pytest.mark.parametrize("width", [5, 16])
def test_the_mean_of_q_is_exact_at_any_width(width: int, k: float, sigma_b: float) -> None:
    """theory.md 4, last equation: 96 comparisons, which all hold but for 1 in 170 seeds."""
    depth, sigma_w = 6, 1.3
    run = Run(
        depth=depth,
        width=(width,),
        ensemble="correlated",
        k=(k,),
        sigma_w=(sigma_w,),
        sigma_b=(sigma_b,),
        trials=64 * 600,
        keep=0,
    )
    g = correlation_strength(k)
    rate = 0.5 - g / (2 * math.pi) - (g / width) * (0.5 - 1 / (2 * math.pi))
    expected = [sigma_w**2 + sigma_b**2]
    while len(expected) < depth:
        expected.append(sigma_w**2 * rate * expected[-1] + sigma_b**2)
    for mean, error in means_and_errors(run, "q1", "q2"):
        z = (mean - expected) / error
        assert np.all(np.abs(z) < SIGMAS), z
        wrong = (mean - np.multiply(expected, 1.05)) / error
        assert np.any(np.abs(wrong) > SIGMAS)


@pytest.mark.parametrize(("k", "sigma_b"), [(0.0, 0.0), (3.0, 0.3)])
def test_the_probability_of_a_dead_network(k: float, sigma_b: float) -> None:
    """N = 3, L = 20, 10⁶ trials: within 3 standard errors of 1 − (1 − 2⁻³)²⁰.

    Two signals in two cases: a false alarm in 100 seeds (the signals of a pair are correlated).
    """
    run = Run(
        depth=20,
        width=(3,),
        ensemble="correlated",
        k=(k,),
        sigma_b=(sigma_b,),
        trials=10**6,
        keep=0,
    )
    moments = execute(run, threads=2).points[0].published()
    assert moments is not None
    expected = 1.0 - (1.0 - 2.0**-3) ** 20
    error = math.sqrt(expected * (1.0 - expected) / 10**6)
    for name in ("dead_network1", "dead_network2"):
        z = (moments.mean[-1, column(name)] - expected) / error
        assert abs(z) < 3.0, (name, z)
    both = moments.mean[:, column("dead_network_both")]
    assert np.all(np.diff(both) >= 0.0)
    assert 0.0 < both[0] < both[-1] < expected

"""Moments of a node against closed forms in multiple precision, down to tiny angles."""

from __future__ import annotations

import math

import numpy as np
import pytest
from mpmath import mp, mpf

from simcore.theory.node_moments import Angle, factor, mean_curves, node_covariance, raw_moments
from tests.theory.node_oracle import residual

Phi = tuple[float, float]

TS = (-600.0, -200.0, -30.0, -8.0, -2.0, -0.5, -1e-3, 0.0, 0.3, 2.0, 20.0)
"""ln tan(θ/2)."""

MEANS = ((1, 0), (2, 0), (0, 1), (1, 1), (0, 2))
TOLERANCE = 1e-12

SLOPES = ((1.0, 0.0), (1.0, 0.25), (1.0, -1.0), (0.75, -0.5), (1.0, 1.0), (1.0, 1.0 - 2.0**-20))
"""ReLU, leaky, even, odd ones out, linear and nearly so; all exact numbers."""


def angle_and_unit(t: float) -> tuple[object, object]:
    theta = 2 * mp.atan(mp.exp(mpf(t)))
    return theta, mp.sin(theta) if t < 0 else mpf(1)


def expected(t: float, p: int, q: int, slopes: Phi) -> float:
    # E r̄⁴ is a difference of terms θ⁻⁴ times as large.
    with mp.workdps(60 + int(4 * abs(t) / 2.3)):
        theta, unit = angle_and_unit(t)
        return float(residual(p, q, theta, unit, slopes))


def expected_slope(t: float, p: int, q: int, slopes: Phi) -> float:
    """d/dt at fixed S, by a central difference in multiple precision."""
    with mp.workdps(120 + int(4 * abs(t) / 2.3)):
        step, (_, unit) = mpf(10) ** -25, angle_and_unit(t)
        ends = [2 * mp.atan(mp.exp(mpf(t) + sign * step)) for sign in (1, -1)]
        values = [residual(p, q, theta, unit, slopes) for theta in ends]
        return float((values[0] - values[1]) / (2 * step))


@pytest.mark.parametrize("slopes", SLOPES)
@pytest.mark.parametrize("t", TS)
def test_moments_and_their_slopes_match_closed_forms(t: float, slopes: Phi) -> None:
    found = raw_moments(Angle.of(np.array([t])), slopes)
    assert len(found.value) == 14
    for (p, q), value in found.value.items():
        assert value[0] == pytest.approx(expected(t, p, q, slopes), rel=TOLERANCE, abs=TOLERANCE), (
            p,
            q,
        )
        slope = found.slope[p, q][0]
        change = expected_slope(t, p, q, slopes)
        assert slope == pytest.approx(change, rel=TOLERANCE, abs=TOLERANCE), (p, q)


@pytest.mark.parametrize("phi", SLOPES)
@pytest.mark.parametrize("t", TS)
def test_means_match_closed_forms_relative_to_themselves(t: float, phi: Phi) -> None:
    """Near-linear slopes keep their digits, too: nothing in the means cancels."""
    values, slopes, bends = mean_curves(Angle.of(np.array([t])), phi)
    with mp.workdps(200 + int(4 * abs(t) / 2.3)):
        step, (_, unit) = mpf(10) ** -40, angle_and_unit(t)
        for i, (p, q) in enumerate(MEANS):
            low, middle, high = (
                residual(p, q, 2 * mp.atan(mp.exp(mpf(t) + j * step)), unit, phi)
                for j in (-1, 0, 1)
            )
            assert values[i, 0] == pytest.approx(float(middle), rel=TOLERANCE), i
            slope, bend = (high - low) / (2 * step), (high - 2 * middle + low) / (2 * step**2)
            least = 1e-150 if phi == (1.0, 1.0) else 1e-300  # where ours is exactly 0
            assert slopes[i, 0] == pytest.approx(float(slope), rel=TOLERANCE, abs=least), i
            assert bends[i, 0] == pytest.approx(float(bend), rel=1e-11, abs=1e-14), i


def test_an_angle_keeps_its_digits() -> None:
    t = np.array([-2000.0, -690.0, -1.0, 0.0, 1.0, 700.0, math.inf])
    angle = Angle.of(t)
    assert np.all(np.isfinite([angle.theta, angle.sin, angle.cos, angle.log_unit]))
    assert angle.log_unit[0] == pytest.approx(math.log(2.0) - 2000.0)
    assert angle.theta[-1] == math.pi
    assert angle.cos[-1] == -1.0
    assert angle.relative_drop[2] == pytest.approx(math.tan(0.5 * angle.theta[2]))


@pytest.mark.parametrize("t", [-200.0, -1.0, 0.5, 30.0])
def test_the_factor_of_a_covariance_gives_it_back(t: float) -> None:
    """At t = 30 the signals are opposite, and r̄x = −x²."""
    angle = Angle.of(np.array([t]))
    values, slopes, _ = mean_curves(angle)
    covariance, _ = node_covariance(angle, values, slopes)
    columns = factor(covariance)
    assert np.allclose(np.triu(columns[:, :, 0], 1), 0.0)
    rebuilt = np.einsum("idp,jdp->ijp", columns, columns)
    assert np.abs(rebuilt - covariance).max() < 1e-13
    assert np.count_nonzero(np.diag(columns[:, :, 0])) == (5 if t < 10.0 else 4)


def test_the_factor_of_nothing_is_nothing() -> None:
    assert not factor(np.zeros((3, 3, 2))).any()

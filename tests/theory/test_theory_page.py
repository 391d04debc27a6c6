"""The closed formulas of docs/theory.md, sections 4 and 5, as the page has them, and the code."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf

from simcore import theory
from simcore.physics.parameters import correlation_strength
from simcore.physics.weight_laws import parse_weights
from simcore.theory.width_step import Laws, Nodes, State, advance, rescaled
from tests.theory.test_finite_width import Oracle

LAWS: list[dict[str, Any]] = [
    {"k": -0.5},
    {"k": 1.0},
    {"k": math.inf, "sigma_w": 0.7},
    {"k": 1.0, "sigma_w": 1.3, "sigma_b": 0.3},
    {"k": 1.0, "sigma_w": 1.5, "sigma_b": 0.3},
    {"k": math.inf, "sigma_w": 1.65, "sigma_b": 2.0},
    {"k": 1.0, "sigma_w": 1.9, "sigma_b": 0.3},
    {"k": -0.5, "sigma_w": 1.9, "sigma_b": 0.3},
]
"""Without bias; with bias: bounded q on both sides of σ_w² = 2, and unbounded q."""


def bend(angle: float) -> float:
    """G(θ) of (7a)."""
    return (math.sin(angle) - angle * math.cos(angle)) / (1.0 - math.cos(angle))


def growth(law: dict[str, Any]) -> float:
    """λ_q of (7c)."""
    variance = law.get("sigma_w", math.sqrt(2.0)) ** 2
    return float(0.5 * variance * (1.0 - correlation_strength(law["k"]) / math.pi))


def late_g(law: dict[str, Any]) -> float:
    """The g̃ of theory.md 4."""
    if law.get("sigma_b", 0.0) > 0.0 and growth(law) < 1.0:
        return float(math.pi * (1.0 - 2.0 / law["sigma_w"] ** 2))
    return correlation_strength(law["k"])


def relu_kernel(c: float) -> float:
    return (math.sqrt(1.0 - c * c) + c * (0.5 * math.pi + math.asin(c))) / (2.0 * math.pi)


@pytest.mark.parametrize("angle", [0.1, 1.0, 2.5])
def test_g_is_the_loss_of_overlap(angle: float) -> None:
    c = math.cos(angle)
    loss = (1.0 - c) * (math.pi - bend(angle)) / (2.0 * math.pi)
    assert loss == pytest.approx(0.5 - relu_kernel(c), rel=1e-12)


@pytest.mark.parametrize("law", [law for law in LAWS if growth(law) < 1.0 or "sigma_b" not in law])
def test_the_map_in_the_angle_and_its_slope(law: dict[str, Any]) -> None:
    """(7a)."""
    step = 1e-6
    for c in (-0.5, 0.2, 0.9):
        angle = math.acos(c)
        mapped = (1.0 - c) * (math.pi - bend(angle)) / (math.pi - late_g(law))
        assert theory.distance_map(1.0 - c, **law) == pytest.approx(mapped, rel=1e-12)
        ends = theory.correlation_map(np.array([c - step, c + step]), **law)
        slope = (math.pi - angle) / (math.pi - late_g(law))
        assert (ends[1] - ends[0]) / (2.0 * step) == pytest.approx(slope, rel=1e-8)


@pytest.mark.parametrize("law", LAWS)
def test_the_fixed_point_and_the_depth_scales(law: dict[str, Any]) -> None:
    """(7b), (7c)."""
    found = theory.fixed_point(**law)
    g = late_g(law)
    if g > 0.0:
        assert bend(found.angle) == pytest.approx(g, rel=1e-12)
    else:
        assert found.angle == 0.0
    assert found.correlation == math.cos(found.angle)
    slope = (math.pi - found.angle) / (math.pi - g)
    assert found.slope == pytest.approx(slope, rel=1e-14)
    assert found.depth_scale_correlation == pytest.approx(-1.0 / math.log(slope), rel=1e-12)
    if "sigma_w" in law:
        rate = growth(law)
        assert found.growth == pytest.approx(rate, rel=1e-14)
        assert found.depth_scale_q == pytest.approx(1.0 / abs(math.log(rate)), rel=1e-12)
        if rate < 1.0 and "sigma_b" in law:
            assert found.q == pytest.approx(law["sigma_b"] ** 2 / (1.0 - rate), rel=1e-12)


def test_the_fixed_point_of_weakly_anticorrelated_weights() -> None:
    for g in (1e-2, 1e-4):
        found = theory.fixed_point(k=g / (1.0 - g))
        assert found.angle == pytest.approx(1.5 * g, rel=g)
        assert found.distance == pytest.approx(9.0 * g * g / 8.0, rel=g)


@pytest.mark.parametrize("k", [1.0, math.inf])
@pytest.mark.parametrize("sigma_b", [0.1, 2.0])
def test_the_line_between_order_and_chaos(k: float, sigma_b: float) -> None:
    """σ_w² = 2 where q is bounded: the slope at c = 1 is σ_w²/2, whatever k and σ_b."""
    for variance, phase in ((1.9, "ordered"), (2.0, "critical"), (2.1, "chaotic")):
        law: dict[str, Any] = {"k": k, "sigma_w": math.sqrt(variance), "sigma_b": sigma_b}
        assert theory.phase(**law) == phase
        assert theory.distance_map(1e-24, **law) / 1e-24 == pytest.approx(variance / 2.0, rel=1e-9)
    for gap in (1e-3, 1e-5):
        for side, factor in ((-1.0, 2.0), (1.0, 4.0)):
            found = theory.fixed_point(k=k, sigma_w=math.sqrt(2.0 + side * gap), sigma_b=sigma_b)
            assert found.depth_scale_correlation == pytest.approx(factor / gap, rel=gap)


def test_critical_signals_merge_by_a_power_law() -> None:
    """(7d), and the order (ln l)/l of its correction."""
    depth = 100_000
    path = theory.trajectory(depth, correlation=0.5).distance
    off = [path[n - 1] * 2.0 * n * n / (9.0 * math.pi**2) - 1.0 for n in (1000, 10_000, depth)]
    scaled = [x * n / math.log(n) for x, n in zip(off, (1000, 10_000, depth), strict=True)]
    assert abs(off[2]) < 1e-3
    assert all(0.5 < abs(x) < 5.0 for x in scaled)


def test_the_fourth_moment_of_sparse_weights() -> None:
    assert parse_weights("bernoulli:0.01").fourth_moment == pytest.approx(300.0)


# --- (8b): the fold -----------------------------------------------------------------------------


def state(t: float, fold: float) -> State:
    covariance = np.array([[0.02, 0.003, -0.004], [0.003, 0.001, 0.0004], [-0.004, 0.0004, 0.01]])
    means = np.array([[0.3], [0.2], [t]])
    none = np.zeros((3, 3, 3, 1))
    folds = np.array([fold])
    return rescaled((means[0], means[1], means[2]), np.zeros(1), covariance[..., None], none, folds)


def expected_fold(before: State, after: State, oracle: Oracle) -> float:
    """(8b), its derivatives as differences of the mean-field map, (5) and (6)."""
    unit, new_unit = (math.exp(float(x.log_unit[0])) for x in (before, after))
    omega, mean = float(before.fold[0]) / unit**2, float(before.ratio[0]) * unit
    variance = float(before.covariance[1, 1, 0]) * unit**2
    new_variance = float(after.covariance[1, 1, 0]) * new_unit**2

    def mapped(delta: Any) -> tuple[Any, Any]:
        angle = mpf(float(before.angle.t[0])) + mp.log(1 + omega * delta**2) / 2
        _, ratio, t = oracle.at([mpf(float(before.log_k[0])), mpf(mean) + delta, angle])
        return ratio, t

    step = mpf(10) ** -12
    (high_ratio, high), (_, middle), (low_ratio, low) = (mapped(x) for x in (step, mpf(0), -step))
    beta = (high_ratio - low_ratio) / (2 * step) * variance / new_variance
    bent = (high - 2 * middle + low) / step**2
    return max(0.0, float(beta**2 * bent)) * new_unit**2


@pytest.mark.parametrize("t", [-0.6, -3.0])
@pytest.mark.parametrize("fold", [0.0, 3.0])
@pytest.mark.parametrize("k", [-0.5, 1.0])
def test_the_recursion_of_the_fold(k: float, fold: float, t: float) -> None:
    g, sigma_w, sigma_b = correlation_strength(k), 1.3, 0.7
    weight, bias = 2.0 * math.log(sigma_w), 2.0 * math.log(sigma_b)
    law = Laws(np.array([g]), np.array([weight]), np.array([bias]))
    before = state(t, fold)
    after = advance(before, Nodes.of(before, np.array([50.0])), law)
    with mp.workdps(60):
        expected = expected_fold(before, after, Oracle(g, sigma_w, sigma_b))
    assert expected > 0.0
    assert after.fold[0] == pytest.approx(expected, rel=1e-8)

"""Mean field of activations with slopes, against multiple-precision arithmetic and quadrature."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf

from simcore import theory
from simcore.errors import InputError
from simcore.physics.slopes import RELU, Slopes, norm_preserving_sigma_w
from simcore.theory import Phase

Number = Any
SLOPES: tuple[Slopes, ...] = ((1.0, 0.2), (1.0, -1.0), (0.7, -0.3), (1.0, 1.0), (0.2, 1.0))
KS = (-0.5, 0.0, 1.0, math.inf)
DEPTH = 12


def strength(k: float) -> Number:
    return mpf(1) if math.isinf(k) else mpf(k) / (1 + mpf(k))


def kernel(c: Number, slopes: Slopes) -> Number:
    """E φ(u)φ(v) of standard normals of correlation c, by its definition with Cho and Saul's J."""
    above, below = map(mpf, slopes)
    j = (mp.sqrt(1 - c * c) + c * (mp.pi / 2 + mp.asin(c))) / (2 * mp.pi)
    return above * below * c + (above - below) ** 2 * j


def followed(k: float, slopes: Slopes, sigma_b: float, distance: float) -> list[Number]:
    """1 − c of layers 1…DEPTH of signals with q = 1 and q = 2, by the recursion as it stands."""
    g, above, below = strength(k), *map(mpf, slopes)
    mean2, square = (above - below) ** 2 / (2 * mp.pi), (above**2 + below**2) / 2
    w, s = 1 / (square - g * mean2), mpf(sigma_b) ** 2
    k11, k22, k12 = w + s, 2 * w + s, w * mp.sqrt(2) * (1 - mpf(distance)) + s
    found = []
    for _ in range(DEPTH):
        root = mp.sqrt(k11 * k22)
        found.append(1 - k12 / root)
        inner = root * (kernel(k12 / root, slopes) - g * mean2)
        k11, k22 = (w * q * (square - g * mean2) + s for q in (k11, k22))
        k12 = w * inner + s
    return found


@pytest.mark.parametrize("slopes", SLOPES, ids=str)
@pytest.mark.parametrize("k", KS)
def test_the_distance_is_right_down_to_1e_30(slopes: Slopes, k: float) -> None:
    for sigma_b in (0.0, 0.4):
        for distance in (1.3, 0.5, 1e-8, 1e-30):
            with mp.workdps(90):
                exact = [float(x) for x in followed(k, slopes, sigma_b, distance)]
            made = theory.trajectory(
                DEPTH, k=k, sigma_b=sigma_b, q2=2.0, distance=distance, slopes=slopes
            ).distance
            np.testing.assert_allclose(made, exact, rtol=1e-11)


@pytest.mark.parametrize("slopes", SLOPES, ids=str)
def test_moments_of_the_activations(slopes: Slopes) -> None:
    """Against quadrature over the two normals, in polar coordinates: the kinks are at angles."""
    path = theory.trajectory(3, correlation=-0.3, q1=1.0, q2=4.0, slopes=slopes)
    angle = (np.arange(20_000) + 0.5) * 2.0 * np.pi / 20_000

    def phi(x: Any) -> Any:
        return slopes[0] * np.maximum(x, 0.0) + slopes[1] * np.minimum(x, 0.0)

    for layer in range(3):
        theta = path.angle[layer]
        x = math.sqrt(path.q1[layer]) * phi(np.cos(angle))
        y = math.sqrt(path.q2[layer]) * phi(np.cos(angle - theta))
        product, square = 2.0 * np.mean(x * y), 2.0 * np.mean(x * x)
        cosine = np.mean(x * y) / math.sqrt(np.mean(x * x) * np.mean(y * y))
        assert path.product[layer] == pytest.approx(product, abs=1e-7)
        assert path.cosine[layer] == pytest.approx(cosine, abs=1e-7)
        assert path.variance[layer] == pytest.approx(np.mean((x - y) ** 2), rel=1e-6)
        assert path.mean1[layer] == pytest.approx(math.sqrt(math.pi / 2) * x.mean(), abs=1e-7)
        assert path.mean2[layer] == pytest.approx(math.sqrt(math.pi / 2) * y.mean(), abs=1e-7)
        assert path.log_sine[layer] == pytest.approx(math.log(1.0 - cosine**2), abs=1e-6)
        expected = path.q1[layer] * (slopes[0] ** 2 + slopes[1] ** 2) / 2
        assert square == pytest.approx(expected)


def test_the_norm_is_preserved() -> None:
    """He's gain of a leaky ReLU, 2/(1 + a²), and every other slope and k."""
    assert norm_preserving_sigma_w(0.0, (1.0, 0.2)) ** 2 == pytest.approx(2 / 1.04, rel=1e-14)
    assert norm_preserving_sigma_w(0.0, (1.0, -1.0)) == pytest.approx(1.0, rel=1e-14)
    for slopes in SLOPES:
        for k in KS:
            path = theory.trajectory(50, k=k, correlation=0.5, slopes=slopes)
            np.testing.assert_allclose(path.q1[1:], path.q1[0], rtol=1e-13)
            given = theory.trajectory(
                50, k=k, correlation=0.5, slopes=slopes, sigma_w=norm_preserving_sigma_w(k, slopes)
            )
            np.testing.assert_allclose(given.distance, path.distance, rtol=1e-13)


def test_relu_is_one_of_the_family() -> None:
    path = theory.trajectory(5, k=1.0, sigma_b=0.1, correlation=0.2)
    same = theory.trajectory(5, k=1.0, sigma_b=0.1, correlation=0.2, slopes=RELU)
    assert path.distance.tobytes() == same.distance.tobytes()
    scaled = theory.trajectory(5, k=1.0, correlation=0.2, slopes=(3.0, 0.0))
    np.testing.assert_allclose(
        scaled.distance, theory.trajectory(5, k=1.0, correlation=0.2).distance, rtol=1e-14
    )


@pytest.mark.parametrize("slopes", [s for s in SLOPES if s[0] != s[1]], ids=str)
def test_without_bias_the_fixed_point_does_not_depend_on_the_slopes(slopes: Slopes) -> None:
    for k in (0.5, 1.0, 10.0, math.inf):
        point, of_relu = (theory.fixed_point(k=k, slopes=s) for s in (slopes, RELU))
        assert point.distance == pytest.approx(of_relu.distance, rel=1e-14)
        assert point.phase == Phase.CHAOTIC
        c = point.correlation
        assert theory.correlation_map(c, k=k, slopes=slopes) == pytest.approx(c, abs=1e-14)
        step = 1e-6
        rise = [theory.correlation_map(c + x, k=k, slopes=slopes) for x in (-step, step)]
        assert point.slope == pytest.approx((rise[1] - rise[0]) / (2 * step), abs=1e-8)
        if point.slope > 0.01:
            scale = -1.0 / math.log(point.slope)
            assert point.depth_scale_correlation == pytest.approx(scale, rel=1e-9)


def test_an_even_activation_forgets_at_once_where_weights_sum_to_zero() -> None:
    point = theory.fixed_point(k=math.inf, slopes=(1.0, -1.0))
    assert point.correlation == pytest.approx(0.0, abs=1e-15)
    assert (point.slope, point.depth_scale_correlation) == pytest.approx((0.0, 0.0), abs=0.03)


def test_phases() -> None:
    def phase(**law: Any) -> Phase:
        return theory.phase(**law)

    assert [phase(k=k, slopes=(1.0, 0.2)) for k in (-0.5, 0.0, 1.0)] == [
        Phase.ORDERED,
        Phase.CRITICAL,
        Phase.CHAOTIC,
    ]
    assert all(phase(k=k, slopes=(1.0, 1.0)) == Phase.CRITICAL for k in KS)
    line = 1.0 / math.sqrt(0.5 * (0.7**2 + 0.3**2))
    law = {"k": 1.0, "sigma_b": 0.3, "slopes": (0.7, -0.3)}
    assert phase(sigma_w=line * 0.999, **law) == Phase.ORDERED
    assert phase(sigma_w=line, **law) == Phase.CRITICAL
    assert phase(sigma_w=line * 1.001, **law) == Phase.CHAOTIC
    linear = theory.fixed_point(k=1.0)
    assert math.isnan(theory.fixed_point(slopes=(1.0, 1.0)).correlation)
    assert theory.fixed_point(sigma_w=0.9, sigma_b=0.1, slopes=(1.0, 1.0)).correlation == 1.0
    assert linear.bounded


def test_bias_and_bounded_q() -> None:
    """c* solves 1 − c = σ_w²(A − Q(c)), and the slope at 1 is σ_w²A."""
    slopes, sigma_w = (1.0, -1.0), 1.05
    point = theory.fixed_point(k=1.0, sigma_w=sigma_w, sigma_b=0.3, slopes=slopes)
    with mp.workdps(40):
        rest = sigma_w**2 * (1 - kernel(mpf(point.correlation), slopes))
        assert point.distance == pytest.approx(float(rest), rel=1e-12)
    assert point.bounded
    assert 0.0 < point.slope < 1.0
    path = theory.trajectory(
        400, k=1.0, sigma_w=sigma_w, sigma_b=0.3, correlation=0.2, slopes=slopes
    )
    assert path.correlation[-1] == pytest.approx(point.correlation, abs=1e-9)
    assert path.q1[-1] == pytest.approx(point.q, rel=1e-9)


def test_merging_at_criticality_takes_longer_with_less_of_a_kink() -> None:
    """θ = 3π/(ηl), theory.md (7d)."""
    for slopes, eta in (((1.0, 0.2), 0.64 / 1.04), ((1.0, -1.0), 2.0)):
        path = theory.trajectory(40_000, correlation=0.5, slopes=slopes)
        assert path.angle[-1] * 40_000 == pytest.approx(3 * math.pi / eta, rel=1e-2)


def test_opposite_signals_have_the_same_even_activations() -> None:
    path = theory.trajectory(3, correlation=-1.0, slopes=(1.0, -1.0))
    np.testing.assert_allclose(path.correlation, [-1.0, 1.0, 1.0], rtol=0, atol=1e-15)
    linear = theory.trajectory(3, correlation=-1.0, slopes=(1.0, 1.0))
    np.testing.assert_allclose(linear.correlation, -1.0, atol=1e-15)


def test_bad_slopes_are_refused() -> None:
    for slopes in ((0.0, 1.0), (1.0,), (1.0, math.inf), (-1.0, 0.0)):
        with pytest.raises(InputError, match="slopes"):
            theory.fixed_point(slopes=slopes)  # type: ignore[arg-type]

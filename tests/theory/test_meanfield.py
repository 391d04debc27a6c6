"""Mean-field theory against multiple-precision arithmetic on theory.md (5) to (7) as they stand."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import pytest
from mpmath import mp, mpf

from simcore import theory
from simcore.errors import InputError
from simcore.physics.parameters import norm_preserving_sigma_w
from simcore.theory import Phase

Number: TypeAlias = Any
Triple: TypeAlias = tuple[Number, Number, Number]

KS = (-0.9, -0.5, 0.0, 1.0, math.inf)
DISTANCES = (1.0, 0.5, 1e-8, 1e-30, 1e-280, 2.0)
BIAS_SETTINGS = ((None, 0.0), (0.97, 0.5), (1.1, 0.5))
"""(σ_w over its norm-preserving value, σ_b): no bias, bounded q, unbounded q."""

RELATIVE = 5e-14
"""Of 1 − c, θ and q over 25 layers: some 100 rounding errors of float64."""


def strength(k: float) -> Number:
    return mpf(1) if math.isinf(k) else mpf(k) / (1 + mpf(k))


def weight_variance(k: float, sigma_w: float | None) -> Number:
    return 2 * mp.pi / (mp.pi - strength(k)) if sigma_w is None else mpf(sigma_w) ** 2


def relu_kernel(c: Number) -> Number:
    return (mp.sqrt(1 - c * c) + c * (mp.pi / 2 + mp.asin(c))) / (2 * mp.pi)


@lru_cache(maxsize=64)
def k_matrices(
    depth: int,
    k: float,
    sigma_w: float | None,
    sigma_b: float | tuple[float, ...],
    q1: float,
    q2: float,
    distance: float,
    digits: int,
) -> list[Triple]:
    """(K₁₁, K₂₂, K₁₂) of layers 1…depth: K¹ of theory.md 1, then (5) and (6)."""
    with mp.workdps(digits):
        w, g = weight_variance(k, sigma_w), strength(k)
        scales = sigma_b if isinstance(sigma_b, tuple) else (sigma_b,) * depth
        s = mpf(scales[0]) ** 2
        k11, k22 = w * q1 + s, w * q2 + s
        k12 = w * mp.sqrt(mpf(q1) * q2) * (1 - mpf(distance)) + s
        layers = [(k11, k22, k12)]
        for scale in scales[1:]:
            s = mpf(scale) ** 2
            root = mp.sqrt(k11 * k22)
            # At c = ±1 the quotient can pass 1 by a rounding error of the last digit.
            c = max(mpf(-1), min(mpf(1), k12 / root))
            k12 = w * root * (relu_kernel(c) - g / (2 * mp.pi)) + s
            k11 = w / 2 * (1 - g / mp.pi) * k11 + s
            k22 = w / 2 * (1 - g / mp.pi) * k22 + s
            layers.append((k11, k22, k12))
        return layers


def correlations(layers: list[Triple]) -> list[Number]:
    return [max(mpf(-1), k12 / mp.sqrt(k11 * k22)) for k11, k22, k12 in layers]


def floats(values: list[Number]) -> np.ndarray:
    return np.array([float(value) for value in values])


def digits_for(distance: float) -> int:
    """Enough for 30 correct digits of 1 − c after 25 layers of the fastest decay, 1e-15."""
    return 100 if distance >= 1e-30 else 480


def sigma_w_of(k: float, factor: float | None) -> float | None:
    return None if factor is None else factor * norm_preserving_sigma_w(k)


@pytest.mark.parametrize("distance", [2.0, 0.5, 1e-8])
@pytest.mark.parametrize("q2", [1.0, 9.0])
@pytest.mark.parametrize("k", KS)
def test_a_bias_for_each_layer(k: float, q2: float, distance: float) -> None:
    biases = (0.3, 0.0, 2.0, 0.0, 1e-3, 0.7)
    got = theory.trajectory(6, k=k, sigma_w=1.2, sigma_b=biases, q2=q2, distance=distance)
    layers = k_matrices(6, k, 1.2, biases, 1.0, q2, distance, 60)
    with mp.workdps(60):
        distances = floats([1 - c for c in correlations(layers)])
    np.testing.assert_allclose(got.q1, floats([k11 for k11, _, _ in layers]), rtol=RELATIVE)
    np.testing.assert_allclose(got.q2, floats([k22 for _, k22, _ in layers]), rtol=RELATIVE)
    np.testing.assert_allclose(got.distance, distances, rtol=RELATIVE)
    with pytest.raises(InputError, match="one for each of the 3 layers"):
        theory.trajectory(3, sigma_b=biases, distance=0.5)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("q2", [1.0, 9.0])
@pytest.mark.parametrize(("factor", "sigma_b"), BIAS_SETTINGS)
@pytest.mark.parametrize("k", KS)
def test_trajectory_is_the_k_matrix_recursion(
    k: float, factor: float | None, sigma_b: float, q2: float, distance: float
) -> None:
    sigma_w = sigma_w_of(k, factor)
    got = theory.trajectory(
        25, k=k, sigma_w=sigma_w, sigma_b=sigma_b, q1=1.0, q2=q2, distance=distance
    )
    digits = digits_for(distance)
    layers = k_matrices(25, k, sigma_w, sigma_b, 1.0, q2, distance, digits)
    with mp.workdps(digits):
        cs = correlations(layers)
        products = [
            mp.sqrt(a * b) * relu_kernel(c) for (a, b, _), c in zip(layers, cs, strict=True)
        ]
        expected = {
            "q1": floats([k11 for k11, _, _ in layers]),
            "q2": floats([k22 for _, k22, _ in layers]),
            "distance": floats([1 - c for c in cs]),
            "angle": floats([mp.acos(c) for c in cs]),
            "mean1": floats([mp.sqrt(k11 / (2 * mp.pi)) for k11, _, _ in layers]),
            "mean2": floats([mp.sqrt(k22 / (2 * mp.pi)) for _, k22, _ in layers]),
            "variance": floats(
                [(a + b) / 4 - p for (a, b, _), p in zip(layers, products, strict=True)]
            ),
        }
        absolute = {
            "log_q1": floats([mp.log(k11) for k11, _, _ in layers]),
            "log_q2": floats([mp.log(k22) for _, k22, _ in layers]),
            "log_distance": floats([mp.log(1 - c) for c in cs]),
            "correlation": floats(cs),
            "cosine": floats([2 * relu_kernel(c) for c in cs]),
            "log_sine": floats([mp.log(1 - (2 * relu_kernel(c)) ** 2) for c in cs]),
            "inactive_both": floats([mpf(1) / 4 + mp.asin(c) / (2 * mp.pi) for c in cs]),
        }
    for name, values in expected.items():
        np.testing.assert_allclose(
            got.observable(name), values, rtol=RELATIVE, atol=0.0, err_msg=name
        )
    sizes = np.sqrt(got.q1 * got.q2)  # the product itself may be 0
    assert np.all(np.abs(got.product - floats(products)) <= RELATIVE * sizes)
    for name, values in absolute.items():
        # The rounding of a logarithm near -645 is itself 1e-13.
        slack = RELATIVE + 2.3e-16 * np.abs(values)
        assert np.all(np.abs(got.observable(name) - values) <= slack), name


def deep_log_distance(depth: int, digits: int, **law: Any) -> tuple[theory.Trajectory, float]:
    got = theory.trajectory(depth, **law)
    arguments = {"k": 0.0, "sigma_w": None, "sigma_b": 0.0, "q1": 1.0, "q2": 1.0} | law
    with mp.workdps(digits):
        layers = k_matrices(depth, digits=digits, **arguments)
        return got, float(mp.log(1 - correlations(layers[-1:])[0]))


@pytest.mark.parametrize(
    ("depth", "digits", "law"),
    [
        pytest.param(700, 450, {"k": -0.9, "distance": 1e-3}, id="ordered-underflowing"),
        pytest.param(
            700,
            450,
            {"k": -0.9, "sigma_w": 0.4, "sigma_b": 0.2, "q2": 9.0, "distance": 0.3},
            id="ordered-bias-underflowing",
        ),
        pytest.param(
            700,
            450,
            {"k": -0.5, "sigma_w": 0.9, "sigma_b": 0.2, "q2": 9.0, "distance": 0.0},
            id="lengths-decay-slower-than-the-angle",
        ),
        pytest.param(1650, 330, {"k": math.inf, "distance": 1e-280}, id="chaotic-from-1e-280"),
        pytest.param(
            2000,
            60,
            {"sigma_w": 2.0, "sigma_b": 1.0, "q2": 9.0, "distance": 0.5},
            id="exploding-bias",
        ),
        pytest.param(
            2000, 60, {"k": 1.0, "sigma_w": 0.5, "q2": 9.0, "distance": 0.5}, id="vanishing"
        ),
        pytest.param(
            2000, 60, {"k": 1.0, "sigma_b": 0.1, "q2": 1e6, "distance": 1e-5}, id="linear-growth"
        ),
    ],
)
def test_deep_trajectories(depth: int, digits: int, law: dict[str, Any]) -> None:
    got, log_distance = deep_log_distance(depth, digits, **law)
    # A rate rounded to float64, and three rounded operations, enter each layer.
    tolerance = 5e-16 * depth + 4.5e-16 * abs(log_distance)
    assert abs(got.log_distance[-1] - log_distance) <= tolerance
    assert got.distance[-1] == pytest.approx(math.exp(log_distance), rel=2.0 * tolerance, abs=0.0)


def test_a_tiny_angle_between_very_unequal_signals_is_not_yet_linear() -> None:
    """θ is 1e-50 in layer 1; in layer 2 the bias is as large as the signals and θ is O(1)."""
    law: dict[str, Any] = {"sigma_w": 1e-50, "sigma_b": 1e-100, "q2": 9.0, "distance": 0.0}
    assert theory.trajectory(1, **law).angle[0] < 1e-49
    got, log_distance = deep_log_distance(2, 250, **law)
    assert log_distance > -5.0
    # Logarithms of 1e±200 meet in the weight of the bias, each with a rounding error of 6e-14.
    assert got.log_distance[-1] == pytest.approx(log_distance, abs=2e-13)


@pytest.mark.parametrize(("sigma_w", "limit"), [(2.0, math.inf), (0.5, 0.0)])
def test_log_q_outlives_q(sigma_w: float, limit: float) -> None:
    depth = 3000
    got = theory.trajectory(depth, sigma_w=sigma_w, q1=1.0, q2=9.0, distance=0.5)
    assert got.q1[-1] == got.q2[-1] == limit
    for log_q, start in ((got.log_q1, 1.0), (got.log_q2, 9.0)):
        exact = math.log(sigma_w**2 * start) + np.arange(depth) * math.log(sigma_w**2 / 2.0)
        np.testing.assert_allclose(log_q, exact, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("k", [-0.9, -0.5])
def test_distance_decays_at_the_slope_for_thousands_of_layers(k: float) -> None:
    got = theory.trajectory(4000, k=k, distance=1e-40)
    with mp.workdps(30):
        rate = float(mp.log(mp.pi / (mp.pi - strength(k))))
    measured = (got.log_distance[-1] - got.log_distance[500]) / (3999 - 500)
    assert measured == pytest.approx(rate, rel=1e-13)


def test_lengths_of_the_two_inputs_are_interchangeable() -> None:
    one = theory.trajectory(30, k=1.0, sigma_w=1.4, sigma_b=0.3, q1=1.0, q2=9.0, distance=1e-9)
    two = theory.trajectory(30, k=1.0, sigma_w=1.4, sigma_b=0.3, q1=9.0, q2=1.0, distance=1e-9)
    np.testing.assert_array_equal(one.q1, two.q2)
    np.testing.assert_array_equal(one.distance, two.distance)
    assert np.all(one.q1 < two.q1)


def test_layer_one_reads_the_inputs_without_relu() -> None:
    got = theory.trajectory(1, k=1.0, sigma_w=1.5, sigma_b=0.5, q1=2.0, q2=8.0, correlation=0.25)
    assert got.q1.shape == (1,)
    assert got.q1[0] == pytest.approx(2.25 * 2.0 + 0.25, rel=1e-15)
    assert got.q2[0] == pytest.approx(2.25 * 8.0 + 0.25, rel=1e-15)
    c = (2.25 * 4.0 * 0.25 + 0.25) / math.sqrt(4.75 * 18.25)
    assert got.correlation[0] == pytest.approx(c, rel=1e-15)


@pytest.mark.parametrize(("correlation", "inactive"), [(1.0, 0.5), (0.0, 0.25), (-1.0, 0.0)])
def test_both_inactive_at_the_three_plain_angles(correlation: float, inactive: float) -> None:
    got = theory.trajectory(2, correlation=correlation)
    assert got.inactive_both[0] == inactive
    assert got.correlation[0] == pytest.approx(correlation, abs=1e-16)
    assert got.inactive1.tolist() == got.inactive2.tolist() == [0.5, 0.5]


@pytest.mark.parametrize("k", KS)
def test_correlation_and_distance_are_two_spellings(k: float) -> None:
    by_c = theory.trajectory(20, k=k, sigma_b=0.1, q2=4.0, correlation=0.75)
    by_d = theory.trajectory(20, k=k, sigma_b=0.1, q2=4.0, distance=0.25)
    for field in fields(by_c):
        np.testing.assert_array_equal(by_c.observable(field.name), by_d.observable(field.name))


@pytest.mark.parametrize("sigma_b", [0.0, 0.5])
def test_parallel_equal_inputs_stay_parallel(sigma_b: float) -> None:
    got = theory.trajectory(50, k=1.0, sigma_b=sigma_b, distance=0.0)
    assert np.all(got.distance == 0.0)
    assert np.all(got.correlation == 1.0)
    assert np.all(got.cosine == 1.0)
    assert np.all(np.isnan(got.log_distance))


def test_parallel_inputs_of_unequal_length_part_only_through_the_bias() -> None:
    without = theory.trajectory(10, k=1.0, q2=9.0, distance=0.0)
    with_bias = theory.trajectory(10, k=1.0, sigma_b=0.5, q2=9.0, distance=0.0)
    assert np.all(without.distance == 0.0)
    assert np.all(with_bias.distance > 1e-3)


def test_observables_are_those_of_the_table() -> None:
    names = "q1 q2 log_q1 log_q2 correlation distance log_distance angle cosine"
    inactive = "inactive1 inactive2 inactive_both mean1 mean2 product variance log_sine"
    got = theory.trajectory(3, distance=0.5)
    assert [field.name for field in fields(got)] == [*names.split(), *inactive.split()]
    assert got.observable("angle") is got.angle
    with pytest.raises(InputError, match="dead_network1: has no theory here"):
        got.observable("dead_network1")
    with pytest.raises(FrozenInstanceError):
        got.q1 = got.q2  # type: ignore[misc]


MAP_LAWS: list[tuple[float, float | None, float]] = [(k, None, 0.0) for k in KS]
MAP_LAWS += [(k, 0.97 * norm_preserving_sigma_w(k), 0.7) for k in KS]


def exact_map(k: float, sigma_w: float | None, sigma_b: float) -> Callable[[Number], Number]:
    """(7) without bias; with bias (6) for q₁ = q₂ = q*."""
    g = strength(k)
    if sigma_b == 0.0:
        return lambda c: (2 * mp.pi * relu_kernel(c) - g) / (mp.pi - g)
    w, s = weight_variance(k, sigma_w), mpf(sigma_b) ** 2
    q = s / (1 - w / 2 * (1 - g / mp.pi))
    return lambda c: (w * q * (relu_kernel(c) - g / (2 * mp.pi)) + s) / q


@pytest.mark.parametrize(("k", "sigma_w", "sigma_b"), MAP_LAWS)
def test_maps_are_the_closed_forms(k: float, sigma_w: float | None, sigma_b: float) -> None:
    law: dict[str, Any] = {"k": k, "sigma_w": sigma_w, "sigma_b": sigma_b}
    c = np.linspace(-1.0, 1.0, 41)
    d = np.concatenate((np.logspace(-300.0, 0.0, 31), np.linspace(0.02, 2.0, 100)))
    with mp.workdps(640):
        f = exact_map(k, sigma_w, sigma_b)
        mapped_c = floats([f(mpf(x)) for x in c])
        mapped_d = floats([1 - f(1 - mpf(x)) for x in d])
    np.testing.assert_allclose(theory.correlation_map(c, **law), mapped_c, rtol=0.0, atol=2e-15)
    # 1/(1 - λ_q) amplifies the rounding of σ_w² in q*, but not in the map.
    np.testing.assert_allclose(theory.distance_map(d, **law), mapped_d, rtol=2e-15, atol=0.0)


def test_maps_keep_the_shape_and_the_kind() -> None:
    grid = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])
    assert theory.correlation_map(grid, k=1.0).shape == (2, 3)
    assert theory.distance_map(grid, k=1.0)[1, 2] == theory.distance_map(0.6, k=1.0)
    assert type(theory.correlation_map(0.5)) is type(theory.distance_map(0.5)) is float
    assert theory.distance_map(0.0, k=1.0) == 0.0


FIXED: list[tuple[float, float | None, float]] = [
    (math.inf, None, 0.0),
    (1.0, 0.3, 0.0),
    (0.01, None, 0.0),
    (1e-9, None, 0.0),
    (1e-60, None, 0.0),
    (1.0, 1.5, 0.1),
    (math.inf, 1.6, 2.0),
    (1.0, math.sqrt(2.0) * (1.0 + 1e-9), 0.1),
    (1.0, 1.6, 0.5),
    (math.inf, None, 0.5),
]
"""Chaotic laws: without bias, with bias and bounded q, with bias and unbounded q."""


def late_map(k: float, sigma_w: float | None, sigma_b: float) -> Callable[[Number], Number]:
    """The map at late layers, by theory.md 4: (7) where q is unbounded."""
    growth = weight_variance(k, sigma_w) * (1 - strength(k) / mp.pi) / 2
    return exact_map(k, sigma_w, sigma_b if growth < 1 - mpf(10) ** -30 else 0.0)


@pytest.mark.parametrize(("k", "sigma_w", "sigma_b"), FIXED)
def test_chaotic_fixed_points(k: float, sigma_w: float | None, sigma_b: float) -> None:
    got = theory.fixed_point(k=k, sigma_w=sigma_w, sigma_b=sigma_b)
    with mp.workdps(300):
        f = late_map(k, sigma_w, sigma_b)
        bracket = (mpf(got.angle) * 0.9, mpf(got.angle) * 1.1)
        theta = mp.findroot(
            lambda t: (f(mp.cos(t)) - mp.cos(t)) / t**2,
            bracket,
            solver="illinois",
            tol=mpf(10) ** -250,
        )
        slope = mp.diff(f, mp.cos(theta), h=mpf(10) ** -150)
        expected = {
            "angle": theta,
            "distance": 2 * mp.sin(theta / 2) ** 2,
            "slope": slope,
            "depth_scale_correlation": -1 / mp.log(slope),
        }
        expected = {name: float(value) for name, value in expected.items()}
        assert abs(got.correlation - mp.cos(theta)) <= 3e-16
    assert got.phase is Phase.CHAOTIC
    assert got.slope < 1.0 or k < 1e-15
    for name, value in expected.items():
        assert getattr(got, name) == pytest.approx(value, rel=1e-14, abs=0.0), name


@pytest.mark.parametrize(
    ("k", "sigma_w", "sigma_b"),
    [(-0.9, None, 0.0), (-0.5, 3.0, 0.0), (0.0, 1.2, 0.3), (1.0, 1.3, 0.3), (-0.5, 2.0, 0.3)],
)
def test_ordered_fixed_points(k: float, sigma_w: float | None, sigma_b: float) -> None:
    got = theory.fixed_point(k=k, sigma_w=sigma_w, sigma_b=sigma_b)
    assert got.phase is Phase.ORDERED
    assert (got.correlation, got.distance, got.angle) == (1.0, 0.0, 0.0)
    with mp.workdps(200):
        step = mpf(10) ** -80
        # One-sided: the map ends at c = 1, and its next term is of order step^(1/2).
        slope = (1 - late_map(k, sigma_w, sigma_b)(1 - step)) / step
        scale = float(-1 / mp.log(slope))
        assert got.slope == pytest.approx(float(slope), rel=1e-14)
    assert got.depth_scale_correlation == pytest.approx(scale, rel=1e-14)


@pytest.mark.parametrize(
    "law", [{}, {"sigma_b": 0.1}, {"k": 1.0, "sigma_w": math.sqrt(2.0), "sigma_b": 0.1}]
)
def test_critical_fixed_points(law: dict[str, Any]) -> None:
    got = theory.fixed_point(**law)
    assert got.phase is Phase.CRITICAL
    assert (got.distance, got.slope, got.depth_scale_correlation) == (0.0, 1.0, math.inf)


def test_a_norm_preserving_sigma_w_is_one_for_every_k_in_spite_of_rounding() -> None:
    ks = [float(k) for k in np.concatenate((np.linspace(-0.99, 0.99, 67), np.logspace(0.0, 9.0)))]
    for k in ks:
        got = theory.fixed_point(k=k, sigma_w=norm_preserving_sigma_w(k), sigma_b=0.1)
        assert (got.growth, got.q, got.bounded) == (1.0, math.inf, False)
        assert got.angle == theory.fixed_point(k=k).angle


@pytest.mark.parametrize(
    ("law", "q", "bounded"),
    [
        ({"sigma_w": 1.0, "sigma_b": 0.5}, 0.5, True),
        ({"k": math.inf, "sigma_w": 1.0, "sigma_b": 1.0}, 1.0 / (0.5 + 0.5 / math.pi), True),
        ({"sigma_w": 1.0}, 0.0, True),
        ({"sigma_w": 1.5}, math.inf, False),
        ({"sigma_w": 1.5, "sigma_b": 0.5}, math.inf, False),
        ({"sigma_b": 0.5}, math.inf, False),
        ({"k": 1.0, "sigma_w": norm_preserving_sigma_w(1.0), "sigma_b": 0.5}, math.inf, False),
        ({"k": 1.0}, math.nan, True),
    ],
)
def test_where_q_goes(law: dict[str, Any], q: float, bounded: bool) -> None:
    got = theory.fixed_point(**law)
    assert got.q == pytest.approx(q, rel=1e-15, nan_ok=True)
    assert got.bounded is bounded


@pytest.mark.parametrize("law", [{"k": 1.0}, {"k": 1.0, "sigma_w": 1.5, "sigma_b": 0.1}])
def test_correlation_depth_scale_is_the_decay_of_the_trajectory(law: dict[str, Any]) -> None:
    fixed = theory.fixed_point(**law)
    start = 1.0 if "sigma_w" not in law else fixed.q
    inputs = start if "sigma_w" not in law else (start - 0.01) / 2.25
    left = theory.trajectory(200, q1=inputs, distance=0.5, **law).distance - fixed.distance
    # Where |c - c*| is 1e-6 the quadratic term of the map changes the rate by about as much.
    layer = int(np.argmax(np.abs(left) < 1e-6))
    measured = -1.0 / math.log(left[layer + 1] / left[layer])
    assert measured == pytest.approx(fixed.depth_scale_correlation, rel=1e-4)


def test_length_depth_scale_is_the_decay_of_the_trajectory() -> None:
    law: dict[str, Any] = {"k": 1.0, "sigma_w": 1.5, "sigma_b": 0.5}
    fixed = theory.fixed_point(**law)
    left = theory.trajectory(60, q1=30.0, distance=0.5, **law).q1 - fixed.q
    assert -1.0 / math.log(left[31] / left[30]) == pytest.approx(fixed.depth_scale_q, rel=1e-12)
    assert fixed.growth == pytest.approx(math.exp(-1.0 / fixed.depth_scale_q), rel=1e-14)


def test_unequal_lengths_hold_up_the_ordered_phase_by_the_square_of_growth() -> None:
    law: dict[str, Any] = {"k": -0.5, "sigma_w": 1.2, "sigma_b": 0.5}
    fixed = theory.fixed_point(**law)
    assert fixed.growth**2 > fixed.slope
    unequal = theory.trajectory(900, q1=1.0, q2=9.0, distance=0.5, **law)
    equal = theory.trajectory(900, distance=0.5, **law)
    rates = [np.diff(t.log_distance)[-1] for t in (unequal, equal)]
    np.testing.assert_allclose(rates, [2.0 * math.log(fixed.growth), math.log(fixed.slope)], 1e-12)


@pytest.mark.parametrize(
    ("k", "sigma_w", "sigma_b", "expected"),
    [
        (1e-300, None, 0.0, "chaotic"),
        (-1e-300, None, 0.0, "ordered"),
        (0.0, 0.1, 0.0, "critical"),
        (0.0, 7.0, 0.0, "critical"),
        (math.inf, 0.01, 0.0, "chaotic"),
        (-0.9, 5.0, 0.0, "ordered"),
        (1.0, math.sqrt(2.0) - 1e-12, 0.1, "ordered"),
        (1.0, math.sqrt(2.0), 0.1, "critical"),
        (1.0, math.sqrt(2.0) + 1e-12, 0.1, "chaotic"),
        (1.0, 9.0, 0.1, "chaotic"),
        (-0.5, 9.0, 0.1, "ordered"),
        (-0.5, None, 0.1, "ordered"),
        (0.0, 1.4, 0.1, "ordered"),
        (0.0, 9.0, 0.1, "critical"),
    ],
)
def test_phases(k: float, sigma_w: float | None, sigma_b: float, expected: str) -> None:
    assert theory.phase(k=k, sigma_w=sigma_w, sigma_b=sigma_b) == Phase(expected)
    assert theory.fixed_point(k=k, sigma_w=sigma_w, sigma_b=sigma_b).phase == Phase(expected)


def test_dead_network_is_the_product() -> None:
    widths = [700, 64, 60, 3, 1, 2, 4096, 8]
    alive, expected = mpf(1), []
    with mp.workdps(400):
        for width in widths:
            alive *= 1 - mpf(2) ** -width
            expected.append(float(1 - alive))
    np.testing.assert_allclose(theory.dead_network(widths), expected, rtol=1e-15, atol=0.0)
    np.testing.assert_array_equal(theory.dead_network(np.array([1, 1])), [0.5, 0.75])


BAD_TRAJECTORIES: list[tuple[str, dict[str, Any]]] = [
    ("k", {"k": -1.0}),
    ("k", {"k": math.nan}),
    ("sigma_w", {"sigma_w": 0.0}),
    ("sigma_w", {"sigma_w": math.nan}),
    ("sigma_b", {"sigma_b": -0.1}),
    ("sigma_b", {"sigma_b": math.inf}),
    ("q1", {"q1": 0.0}),
    ("q2", {"q2": math.nan}),
    ("depth", {"depth": 0}),
    ("depth", {"depth": 2.5}),
    ("distance", {"distance": -1e-9}),
    ("distance", {"distance": 2.1}),
    ("distance", {"distance": math.nan}),
    ("distance", {"distance": None}),
    ("distance", {"correlation": 0.5}),
    ("correlation", {"distance": None, "correlation": 1.0000001}),
    ("correlation", {"distance": None, "correlation": math.nan}),
]


@pytest.mark.parametrize(("field", "change"), BAD_TRAJECTORIES)
def test_bad_trajectories_name_the_field(field: str, change: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        theory.trajectory(**({"depth": 3, "distance": 0.5} | change))
    assert caught.value.field == field


BAD_CALLS: list[tuple[str, Callable[[], object]]] = [
    ("c", lambda: theory.correlation_map(1.5)),
    ("c", lambda: theory.correlation_map(np.array([0.0, math.nan]))),
    ("distance", lambda: theory.distance_map(-0.5)),
    ("k", lambda: theory.phase(k=-2.0)),
    ("sigma_w", lambda: theory.fixed_point(sigma_w=-1.0)),
    ("sigma_w", lambda: theory.correlation_map(0.5, sigma_w=1.5, sigma_b=0.1)),
    ("sigma_w", lambda: theory.distance_map(0.5, k=1.0, sigma_b=0.1)),
    ("widths", lambda: theory.dead_network([])),
    ("widths", lambda: theory.dead_network([4, 0])),
    ("widths", lambda: theory.dead_network(np.array([[4, 4]]))),
    ("widths", lambda: theory.dead_network(np.array([4.0]))),
]


@pytest.mark.parametrize(("field", "call"), BAD_CALLS)
def test_bad_calls_name_the_field(field: str, call: Callable[[], object]) -> None:
    with pytest.raises(InputError) as caught:
        call()
    assert caught.value.field == field

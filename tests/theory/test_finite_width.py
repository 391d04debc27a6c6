"""First order in 1/N against theory.md (8) worked out from K itself in multiple precision."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf

import simcore
from simcore.errors import InputError
from simcore.physics.parameters import correlation_strength
from simcore.physics.slopes import norm_preserving_sigma_w
from simcore.theory import FIRST_ORDER, first_order, first_order_grid, trajectory
from simcore.theory.finite_width import length_bend
from simcore.theory.width_step import Laws, Nodes, State, advance, rescaled
from tests.theory.node_oracle import averages, covariance

KS = (-0.9, -0.5, 0.0, 1.0, math.inf)
SETTINGS = ((None, 0.0), (None, 0.3), (1.1, 0.5))
"""(σ_w, σ_b): no bias, unbounded q, bounded q."""

Phi = tuple[float, float]
RELU, SLOPES = (1.0, 0.0), ((1.0, 0.2), (0.7, -0.3), (1.0, -1.0), (1.0, 0.9))
"""s₊ and s₋ of ReLU and of others."""


# --- the oracle: (8) from its definition ------------------------------------------------------


class Oracle:
    """U, F, Γ and B of theory.md (8) from the matrices K, without any scaling."""

    def __init__(self, g: float, sigma_w: float, sigma_b: float, phi: Phi = RELU) -> None:
        self.g, self.w, self.s = mpf(g), mpf(sigma_w) ** 2, mpf(sigma_b) ** 2
        self.phi = phi

    def update(self, state: list[Any], m: list[Any]) -> list[Any]:
        """State of the next layer from averages of x, y, x², xy, y² in units of their √K."""
        k11, ratio = mp.exp(state[0]), mp.exp(state[1])
        cross = k11 * mp.sqrt(ratio)
        new11 = self.w * k11 * (m[2] - self.g * m[0] ** 2) + self.s
        new12 = self.w * cross * (m[3] - self.g * m[0] * m[1]) + self.s
        new22 = self.w * k11 * ratio * (m[4] - self.g * m[1] ** 2) + self.s
        theta = mp.acos(new12 / mp.sqrt(new11 * new22))
        return [mp.log(new11), mp.log(new22 / new11), mp.log(mp.tan(theta / 2))]

    def at(self, state: list[Any]) -> list[Any]:
        """F."""
        return self.update(state, averages(2 * mp.atan(mp.exp(state[2])), self.phi))

    def noise(self, state: list[Any]) -> tuple[Any, list[Any], list[list[Any]], Any]:
        """Γ, B, U_M and U_MM [ΣU_M, ΣU_M] by differences."""
        theta = 2 * mp.atan(mp.exp(state[2]))
        mean, sigma = averages(theta, self.phi), covariance(theta, self.phi)
        function = partial(self.update, state)
        gradient = slopes(function, mean)
        gamma = [[bilinear(sigma, gradient[i], gradient[j]) for j in range(3)] for i in range(3)]
        hessian = hessians(function, mean)
        shift = [
            sum(hessian[i][a][b] * sigma[a, b] for a in range(5) for b in range(5)) / 2
            for i in range(3)
        ]
        pushes = [
            [sum(sigma[a, b] * row[b] for b in range(5)) for a in range(5)] for row in gradient
        ]
        second = [
            [[bilinear(mp.matrix(hessian[i]), p, q) for q in pushes] for p in pushes]
            for i in range(3)
        ]
        return gamma, shift, gradient, second

    def step(self, state: list[Any], c: list[list[Any]], width: int) -> tuple[Any, Any, Any]:
        """Mean and covariance of the next layer, and its third cumulants from a normal state."""
        gradient, hessian = slopes(self.at, state), hessians(self.at, state)
        gamma, shift, _, second = self.noise(state)
        here = self.at(state)
        spread = mp.matrix(c)
        mean = [
            here[i]
            + sum(hessian[i][a][b] * spread[a, b] for a in range(3) for b in range(3)) / 2
            + shift[i] / width
            for i in range(3)
        ]
        covariance_ = [
            [bilinear(spread, gradient[i], gradient[j]) + gamma[i][j] / width for j in range(3)]
            for i in range(3)
        ]
        pushes = [
            [sum(spread[a, b] * row[b] for b in range(3)) for a in range(3)] for row in gradient
        ]
        drift = slopes(lambda s: [x for row in self.noise(s)[0] for x in row], state)
        skew = np.zeros((3, 3, 3), dtype=object)
        for i, j, k in np.ndindex(3, 3, 3):
            for a, b, d in ((i, j, k), (j, i, k), (k, i, j)):
                skew[i, j, k] += bilinear(mp.matrix(hessian[a]), pushes[b], pushes[d])
                skew[i, j, k] += second[a][b][d] / width**2
                along = drift[3 * b + d]
                skew[i, j, k] += sum(along[m] * pushes[a][m] for m in range(3)) / width
        return mean, covariance_, skew


def bilinear(matrix: Any, left: list[Any], right: list[Any]) -> Any:
    return sum(
        left[a] * matrix[a, b] * right[b] for a in range(len(left)) for b in range(len(right))
    )


def moved(point: list[Any], *steps: tuple[int, Any]) -> list[Any]:
    result = list(point)
    for index, step in steps:
        result[index] += step
    return result


def slopes(function: Callable[[list[Any]], list[Any]], point: list[Any]) -> list[list[Any]]:
    step = mpf(10) ** (-mp.dps // 5)
    columns = []
    for a in range(len(point)):
        high, low = function(moved(point, (a, step))), function(moved(point, (a, -step)))
        columns.append([(x - y) / (2 * step) for x, y in zip(high, low, strict=True)])
    return [list(row) for row in zip(*columns, strict=True)]


def hessians(function: Callable[[list[Any]], list[Any]], point: list[Any]) -> list[list[list[Any]]]:
    step, size = mpf(10) ** (-mp.dps // 5), len(point)
    result = [[[mpf(0)] * size for _ in range(size)] for _ in function(point)]
    for a in range(size):
        for b in range(a + 1):
            corners = [
                (x * y, function(moved(point, (a, x * step), (b, y * step))))
                for x in (1, -1)
                for y in (1, -1)
            ]
            for i, matrix in enumerate(result):
                value = sum(sign * corner[i] for sign, corner in corners) / (4 * step**2)
                matrix[a][b] = matrix[b][a] = value
    return result


# --- one step ---------------------------------------------------------------------------------

COVARIANCE = np.array([[0.02, 0.003, -0.004], [0.003, 0.001, 0.0004], [-0.004, 0.0004, 0.01]])


def one_step(
    g: float, sigma_w: float, sigma_b: float, state: list[float], width: int, phi: Phi
) -> State:
    with np.errstate(divide="ignore"):
        log_bias = 2 * np.log(np.array([sigma_b]))
    law = Laws(np.array([g]), np.array([2 * math.log(sigma_w)]), log_bias, phi)
    means = np.array(state)[:, None]
    before = rescaled(
        (means[0], means[1], means[2]),
        np.zeros(1),
        COVARIANCE[:, :, None],
        np.zeros((3, 3, 3, 1)),
        np.zeros(1),
    )
    return advance(before, Nodes.of(before, np.array([float(width)]), phi), law)


@pytest.mark.parametrize("k", [-0.5, 0.0, math.inf])
@pytest.mark.parametrize("sigma_b", [0.0, 0.7])
@pytest.mark.parametrize("state", [[0.3, 0.4, -0.6], [0.1, -0.7, 0.8], [-0.2, 0.1, -4.0]])
def test_a_step_is_that_of_the_definition(k: float, sigma_b: float, state: list[float]) -> None:
    """Also the third cumulant, whose terms (8) does not name."""
    check_step(k, sigma_b, state)


@pytest.mark.parametrize("phi", SLOPES)
def test_a_step_of_slopes_is_that_of_the_definition(phi: Phi) -> None:
    check_step(1.0, 0.7, [0.3, 0.4, -0.6], phi)
    check_step(math.inf, 0.0, [0.1, -0.7, 0.8], phi)


def check_step(k: float, sigma_b: float, state: list[float], phi: Phi = RELU) -> None:
    g, sigma_w, width = correlation_strength(k), 1.3, 50
    after = one_step(g, sigma_w, sigma_b, state, width, phi)
    with mp.workdps(60):
        oracle = Oracle(g, sigma_w, sigma_b, phi)
        spread = [[mpf(float(x)) for x in row] for row in COVARIANCE]
        mean, cov, skew = oracle.step([mpf(x) for x in state], spread, width)
    unit = np.array([1.0, math.exp(float(after.log_unit[0])), 1.0])
    found = np.array([after.log_k[0], after.ratio[0] * unit[1], after.angle.t[0]])
    found[2] += 0.5 * after.fold[0] * after.covariance[1, 1, 0]
    assert found == pytest.approx(np.array(mean, dtype=float), rel=1e-9, abs=1e-10)
    scaled = after.covariance[:, :, 0] * unit * unit[:, None]
    assert scaled == pytest.approx(np.array(cov, dtype=float), rel=1e-8, abs=1e-12)
    third = after.skew[..., 0] * unit * unit[:, None] * unit[:, None, None]
    along = scaled[1] * math.sqrt(after.fold[0]) / unit[1]
    for order in ((0, 1, 2), (2, 0, 1), (1, 2, 0)):
        third += np.multiply.outer([0.0, 0.0, 1.0], np.outer(along, along)).transpose(order)
    assert third == pytest.approx(skew.astype(float), rel=1e-7, abs=1e-11)


def test_third_cumulants_are_carried_by_the_slope() -> None:
    """Without spread and with infinite width a step multiplies them by ∂F, thrice."""
    state, k = [0.3, 0.4, -0.6], 1.0
    g, sigma_w, sigma_b = correlation_strength(k), 1.3, 0.7
    rng = np.random.default_rng(0)
    cube = rng.normal(size=(3, 3, 3))
    orders = [order for order in np.ndindex(3, 3, 3) if len(set(order)) == 3]
    cube = np.sum([cube.transpose(order) for order in orders], axis=0)
    means = np.array(state)[:, None]
    before = rescaled(
        (means[0], means[1], means[2]),
        np.zeros(1),
        np.zeros((3, 3, 1)),
        cube[..., None],
        np.zeros(1),
    )
    weight, bias = 2.0 * math.log(sigma_w), 2.0 * math.log(sigma_b)
    law = Laws(np.array([g]), np.array([weight]), np.array([bias]))
    after = advance(before, Nodes.of(before, np.array([math.inf])), law)
    with mp.workdps(60):
        exact = slopes(Oracle(g, sigma_w, sigma_b).at, [mpf(x) for x in state])
    slope = np.array(exact, dtype=float)
    unit = np.array([1.0, math.exp(float(after.log_unit[0])), 1.0])
    third = after.skew[..., 0] * unit * unit[:, None] * unit[:, None, None]
    assert third == pytest.approx(np.einsum("ia,jb,kc,abc->ijk", slope, slope, slope, cube))


# --- trajectories -----------------------------------------------------------------------------


def grid(
    depth: int, cases: list[dict[str, Any]], widths: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """`first_order_grid` for arguments of `first_order`."""
    ks = [case["k"] for case in cases]
    return first_order_grid(
        depth,
        widths=np.broadcast_to(widths, (len(cases), depth)),
        g=[correlation_strength(k) for k in ks],
        sigma_w=[
            case["sigma_w"] or norm_preserving_sigma_w(case["k"], case.get("slopes", RELU))
            for case in cases
        ],
        sigma_b=[case["sigma_b"] for case in cases],
        q1=np.ones(len(cases)),
        q2=[case["q2"] for case in cases],
        distance=[case["distance"] for case in cases],
        slopes=(
            [case.get("slopes", RELU)[0] for case in cases],
            [case.get("slopes", RELU)[1] for case in cases],
        ),
    )


def test_infinite_width_is_mean_field() -> None:
    keys = ("k", "sigma_w", "sigma_b", "q2", "distance")
    cases = [
        dict(zip(keys, (k, *setting, q2, distance), strict=True))
        for k in KS
        for setting in SETTINGS
        for q2 in (1.0, 3.0, 1e8)
        for distance in (1e-250, 1e-20, 0.5, 1.7, 2.0)
    ]
    cases += [
        dict(zip((*keys, "slopes"), (k, *setting, q2, distance, slopes), strict=True))
        for slopes in SLOPES
        for k in (-0.5, 1.0, math.inf)
        for setting in SETTINGS
        for q2, distance in ((1.0, 1e-250), (3.0, 1e-20), (3.0, 0.5), (1.0, 1.5))
    ]
    means, stds = grid(30, cases, 1e60)
    for i, case in enumerate(cases):
        exact = trajectory(30, **case)
        for name in FIRST_ORDER:
            least = 0.0 if name in ("distance", "angle") else 1e-9
            wanted = exact.observable(name)
            assert means[name][i] == pytest.approx(wanted, rel=1e-9, abs=least), (case, name)
            assert np.all(stds[name][i] < 1e-9), (case, name)


@pytest.mark.parametrize(
    ("k", "expected"),
    [(0.0, 5.0), (math.inf, (1.25 - 3 / math.pi + (1 - 1 / math.pi) / math.pi) * 4)],
)
def test_the_variance_of_a_step_of_ln_k(k: float, expected: float) -> None:
    """theory.md 5, 'Yardsticks' [HN]; without bias the steps of ln K are independent."""
    width, depth = 300, 12
    if math.isinf(k):
        expected /= (2 * (0.5 - 1 / (2 * math.pi))) ** 2
        assert expected == pytest.approx(4.408, abs=5e-4)
    found = first_order(depth, width=width, k=k, correlation=0.5)
    for name in ("log_q1", "log_q2"):
        steps = (found.std[name] ** 2 * width - 2.0) / np.maximum(1, np.arange(depth))
        assert steps[1:] == pytest.approx(expected, rel=1e-12)


def test_the_mean_of_ln_q_of_he() -> None:
    """ln((2/N) χ²_m) with m ~ Binomial(N, ½) nodes, exactly, up to 1/N³ [BD]."""
    width, depth = 300, 12
    found = first_order(depth, width=width, correlation=0.5)
    with mp.workdps(30):
        half = mpf(width) / 2
        active = [(mp.binomial(width, m), mpf(m) / 2) for m in range(1, width + 1)]
        step = sum(share * (mp.digamma(m) - mp.log(half / 2)) for share, m in active) / 2**width
        own = mp.digamma(half) - mp.log(half)
    expected = math.log(2.0) + float(step) * np.arange(depth) + float(own)
    missing = 20.0 * np.arange(depth) / width**3 + 1.0 / width**4
    assert (np.abs(found.mean["log_q1"] - expected) < missing).all()
    assert found.mean["log_q2"] == pytest.approx(found.mean["log_q1"], rel=1e-12)


@pytest.mark.parametrize("k", [-0.5, 1.0, math.inf])
def test_the_mean_of_ln_q_to_second_order(k: float) -> None:
    """Against 8,000 networks with controls; terms of 1/N² count for 5 to 8 standard errors.

    |z| < 4: 2e-4 false alarms over the three; 20 seeds gave at most 2.3.
    """
    law = simcore.Ensemble.correlated(k=k)
    found = simcore.simulate(law, width=64, depth=5, trials=8000, seed=1).isel(layer=-1)
    error = float(found["log_q1_controlled_stderr"])
    gap = float(found["log_q1_controlled"] - found["log_q1_theory_1n"])
    missing = 4 * float(length_bend(np.array([correlation_strength(k)]))[0]) / 64**2
    assert abs(gap) < 4.0 * error < abs(gap + missing)


@pytest.mark.parametrize("slopes", [(1.0, 0.2), (1.0, -1.0)])
def test_what_slopes_leave_is_of_second_order(slopes: Phi) -> None:
    """Means of networks with controls less (8), times N², are at most 15: N = 256, L = 6, k = 1.

    Within 4 standard errors: 1e-3 false alarms over the 40 of them. Mean field of ln q₁
    leaves 1,900. Standard deviations are right to 12 %, 7 of their errors. 20 seeds did not fail.
    """
    law, square = simcore.Ensemble.correlated(k=1.0), 256.0**2
    found = simcore.simulate(law, width=256, depth=6, trials=2000, seed=20, slopes=slopes)
    for name in ("correlation", "log_q1", "log_distance", "cosine"):
        mean, error = found[f"{name}_controlled"], found[f"{name}_controlled_stderr"]
        gap = np.abs(mean - found[f"{name}_theory_1n"])
        assert (square * gap < 15.0 + 4.0 * square * error).all(), name
        ratio = found[f"{name}_std"] / found[f"{name}_theory_1n_std"]
        assert (np.abs(ratio - 1.0) < 0.12).all(), name
    gap = np.abs(found["log_q1_controlled"] - found["log_q1_theory"])
    assert square * float(gap[-1]) > 1500.0


@pytest.mark.parametrize("sigma_b", [0.0, 0.4])
def test_swapped_signals_give_swapped_results(sigma_b: float) -> None:
    """Only λ and ln K₁₁ together know which signal is which; what differs is of order 1/N²."""
    one = first_order(25, width=2000, k=1.0, sigma_b=sigma_b, q1=1.0, q2=2.5, correlation=0.3)
    two = first_order(25, width=2000, k=1.0, sigma_b=sigma_b, q1=2.5, q2=1.0, correlation=0.3)
    for name in FIRST_ORDER:
        other = name.translate(str.maketrans("12", "21"))
        assert two.mean[other] == pytest.approx(one.mean[name], rel=1e-3, abs=1e-4), name
        assert two.std[other] == pytest.approx(one.std[name], rel=4e-3), name


def test_widths_of_single_layers_count() -> None:
    """The nodes of layer l act on layer l's own sampling and on layers after it."""
    widths = [100, 200, 50, 100]
    found = first_order(4, width=widths, correlation=0.5)
    steps = np.concatenate(([0.0], np.cumsum(5.0 / np.array(widths[:-1]))))
    assert found.std["log_q1"] ** 2 == pytest.approx(steps + 2.0 / np.array(widths), rel=1e-12)
    assert found.std["inactive1"] == pytest.approx(0.5 / np.sqrt(widths))


def test_a_grid_equals_its_points() -> None:
    cases: list[dict[str, Any]] = [
        {"k": 0.0, "sigma_w": None, "sigma_b": 0.0, "q2": 1.0, "distance": 0.5},
        {"k": 1.0, "sigma_w": None, "sigma_b": 0.3, "q2": 4.0, "distance": 0.0},
        {"k": math.inf, "sigma_w": 1.1, "sigma_b": 0.3, "q2": 1.0, "distance": 1e-30},
        {"k": -0.5, "sigma_w": None, "sigma_b": 0.0, "q2": 2.0, "distance": 0.0},
        {"k": -0.5, "sigma_w": None, "sigma_b": 0.0, "q2": 2.0, "distance": 2.0},
    ]
    depth = 15
    widths = np.arange(20, 25)[:, None] + np.arange(depth)
    means, stds = grid(depth, cases, widths)
    for i, case in enumerate(cases):
        single = first_order(depth, width=widths[i].tolist(), **case)
        for name in FIRST_ORDER:
            assert means[name][i] == pytest.approx(single.mean[name], rel=1e-11, nan_ok=True)
            assert stds[name][i] == pytest.approx(single.std[name], rel=1e-11, nan_ok=True)


@pytest.mark.parametrize("sigma_b", [0.0, 0.3])
def test_parallel_signals(sigma_b: float) -> None:
    found = first_order(50, width=30, k=1.0, sigma_b=sigma_b, distance=0.0)
    assert np.all(found.mean["correlation"] == 1.0)
    for name in ("distance", "angle"):
        assert not found.mean[name].any()
    for name in ("correlation", "distance", "angle", "cosine"):
        assert not found.std[name].any()
    assert np.isnan(found.mean["log_distance"]).all()
    assert found.mean["inactive_both"] == pytest.approx(0.5)
    assert found.std["inactive_both"] == pytest.approx(found.std["inactive1"])
    assert found.mean["log_q2"] == pytest.approx(found.mean["log_q1"])


def test_opposite_signals() -> None:
    found = first_order(3, width=64, distance=2.0)
    assert found.mean["correlation"][0] == -1.0
    assert found.std["correlation"][0] == 0.0
    assert found.mean["inactive_both"][0] == pytest.approx(0.0, abs=1e-15)
    assert found.mean["correlation"][1] == pytest.approx(0.0, abs=0.02)


@pytest.mark.parametrize("width", [1, 2, 5])
def test_narrow_and_deep_is_silent(width: int) -> None:
    """Warnings are errors here. What leaves float64 is NaN in mean and deviation alike."""
    cases = [
        {"k": k, "sigma_w": None, "sigma_b": sigma_b, "q2": q2, "distance": distance}
        for k in KS
        for sigma_b in (0.0, 0.3)
        for q2 in (1.0, 5.0)
        for distance in (1e-300, 0.5, 2.0)
    ]
    means, stds = grid(300, cases, width)
    for name in FIRST_ORDER:
        assert np.array_equal(np.isnan(means[name]), np.isnan(stds[name]))
    for name in ("log_q1", "log_q2", "inactive1"):
        assert np.isfinite(means[name]).all(), name
    plain = np.array([case["sigma_b"] == 0.0 for case in cases])
    assert np.isfinite(means["correlation"][plain]).all()
    assert np.isfinite(means["log_distance"][plain]).all()


def test_no_prediction_where_bias_makes_angles_of_lengths() -> None:
    """k < 0 with bias: θ falls below the spread of ln(K₂₂/K₁₁), which stays."""
    found = first_order(60, width=256, k=-0.5, sigma_b=0.3, correlation=0.5)
    there = np.isfinite(found.mean["log_distance"])
    assert there[:12].all()
    assert not there[20:].any()
    assert np.isfinite(found.mean["log_q1"]).all()
    assert np.isfinite(first_order(60, width=256, k=-0.5, correlation=0.5).mean["angle"]).all()


def test_angles_below_the_range_of_their_squares() -> None:
    """The ordered phase at k = −0.9: θ passes e^-300, and ln(1 − c) still moves."""
    depth = 400
    found = first_order(depth, width=10**6, k=-0.9, q2=1.5, distance=1e-300)
    exact = trajectory(depth, k=-0.9, q2=1.5, distance=1e-300)
    assert exact.log_distance[-1] < -1200.0
    shift = found.mean["log_distance"] - exact.log_distance
    assert np.all(np.abs(shift) < 0.05)
    assert np.all(np.diff(found.std["log_distance"]) > 0.0)


def test_a_bias_for_each_layer() -> None:
    given: dict[str, Any] = {"k": 1.0, "sigma_w": 1.3, "q2": 2.0, "distance": 0.4, "width": 50}
    one, many = (first_order(4, sigma_b=bias, **given) for bias in (0.3, [0.3] * 4))
    other = first_order(4, sigma_b=[0.3, 0.3, 0.3, 0.9], **given)
    for name, mean in one.mean.items():
        np.testing.assert_array_equal(mean, many.mean[name])
        np.testing.assert_array_equal(mean[:3], other.mean[name][:3])
    # Independent of (8): E K of layer 4 is σ_w²(1 − g/π)/2 E q + σ_b², E q that of layer 3.
    rise = trajectory(4, k=1.0, sigma_w=1.3, sigma_b=[0.3, 0.3, 0.3, 0.9], q2=2.0, distance=0.4).q1
    base = trajectory(4, k=1.0, sigma_w=1.3, sigma_b=0.3, q2=2.0, distance=0.4).q1
    np.testing.assert_allclose(rise - base, [0.0, 0.0, 0.0, 0.9**2 - 0.3**2], atol=1e-14)
    assert other.mean["correlation"][3] > one.mean["correlation"][3]
    with pytest.raises(InputError, match="one for each of the 4 layers"):
        first_order(4, sigma_b=[0.3, 0.1], **given)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"depth": 0}, "depth"),
        ({"depth": 2.5}, "depth"),
        ({"width": 0}, "width"),
        ({"width": [3, 4]}, "width"),
        ({"width": 2.5}, "width"),
        ({"k": -1.0}, "k"),
        ({"sigma_w": 0.0}, "sigma_w"),
        ({"sigma_b": -1.0}, "sigma_b"),
        ({"q1": 0.0}, "q1"),
        ({"distance": 2.5}, "distance"),
        ({"correlation": 0.5}, "distance"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], field: str) -> None:
    given: dict[str, Any] = {"depth": 3, "width": 8, "distance": 0.5} | arguments
    depth = given.pop("depth")
    with pytest.raises(InputError) as error:
        first_order(depth, **given)
    assert error.value.field == field

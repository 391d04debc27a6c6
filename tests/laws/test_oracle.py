"""The oracle itself, against exact facts of theory.md 1 to 4.

A moment may be off by `SIGMAS` = 5 standard errors, taken from its own sample: a false alarm with a
probability of 6e-7 for each of some 350 moments, 2e-4 in all. A whole distribution may have a
p-value of `FALSE_ALARM` = 1e-4, shared by Bonferroni among what a test compares: a dozen tests,
1.2e-3 in all.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from simcore.physics.observables import NAMES, NETWORK_NAMES
from tests.support.observe import rate_bin
from tests.support.oracle import (
    NETWORK,
    FixedInputs,
    Law,
    RandomPairs,
    pre_activations,
    simulate,
    simulate_shared,
    standardised,
)
from tests.support.two_samples import one_pair, worst

Floats = npt.NDArray[np.float64]

SIGMAS = 5.0
FALSE_ALARM = 1e-4

X = np.array(
    [[1.3, 0.2, -0.4], [-0.5, 0.9, 1.1], [0.8, 0.0, 2.0], [0.3, 1.7, 0.6]],
)
"""Three inputs at four nodes, of unequal means; layer 1 reads them without ReLU."""

WEIGHTS = ("normal", "uniform", "rademacher", "laplace", "student:9", "bernoulli:0.3")


def rng_of(*seed: int) -> np.random.Generator:
    return np.random.default_rng([20, *seed])


def deviation(samples: Floats, expected: Floats | float) -> float:
    """Return the largest deviation of means over the first axis, in standard errors."""
    error = samples.std(axis=0, ddof=1) / math.sqrt(len(samples))
    off = np.abs(samples.mean(axis=0) - expected)
    return float(np.max(np.where(off > 1e-12, off / np.maximum(error, 1e-300), 0.0)))


# --- pre-activations given the activations: (2) and (3) -----------------------------------------


def rows(law: Law, nodes: int, rng: np.random.Generator) -> Floats:
    """Return h of independent nodes that all read X, shape (node, input)."""
    return pre_activations(law, 1, np.broadcast_to(X, (nodes, *X.shape)), rng)[:, 0]


def covariance(law: Law, x: Floats, s: Floats, sigma_b: float) -> Floats:
    """K of (2), for given X and s = Xᵀ1."""
    n = len(X)
    inner = x.T @ x - (law.g / n) * np.outer(s, s)
    return np.asarray(law.sigma_w**2 / n * inner + sigma_b**2)


def exact_moments(law: Law) -> tuple[Floats, Floats]:
    """Return E h and E h hᵀ of a node that reads X, by (2) or the mixture (3)."""
    n, inputs = X.shape
    sigma_b = law.sigma_w / math.sqrt(n) if law.sigma_b is None else law.sigma_b
    total = X.sum(axis=0)
    if not law.asymmetric:
        return np.zeros(inputs), covariance(law, X, total, sigma_b)
    beta, beta_squared = 2.0 / 3.0, 1.0 / 2.0
    ones = np.ones(inputs)
    means, squares = [beta * ones], [beta_squared + covariance(law, X, total, 0.0)]
    for j in range(n):
        others = np.delete(X, j, axis=0)
        means.append(beta * X[j])
        squares.append(
            beta_squared * np.outer(X[j], X[j]) + covariance(law, others, total - X[j], sigma_b)
        )
    return np.mean(means, axis=0), np.mean(squares, axis=0)


def moments_deviation(sampled: Law, expected: Law, rng: np.random.Generator) -> float:
    """Return by how many standard errors the nodes of a law miss the moments of another."""
    h = rows(sampled, 150_000, rng)
    mean, square = exact_moments(expected)
    products = h[:, :, np.newaxis] * h[:, np.newaxis, :]
    return max(deviation(h, mean), deviation(products, square))


LAWS = [
    Law((4,), g=g, sigma_w=0.9, sigma_b=sigma_b, asymmetric=asymmetric)
    for g in (0.0, 0.5, 1.0)
    for asymmetric, sigma_b in ((False, 0.0), (False, 0.6), (True, None), (True, 0.0), (True, 0.6))
]


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_the_moments_of_a_node_given_its_inputs_are_exact(law: Law) -> None:
    assert moments_deviation(law, law, rng_of(1)) < SIGMAS


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("asymmetric", [False, True])
def test_every_law_of_the_weights_has_the_same_first_two_moments(
    weights: str, asymmetric: bool
) -> None:
    law = Law((4,), g=0.5, sigma_w=0.9, sigma_b=0.4, asymmetric=asymmetric, weights=weights)
    assert moments_deviation(law, law, rng_of(2)) < SIGMAS


RIGHT = Law((4,), g=0.5, sigma_w=0.9, sigma_b=None, asymmetric=True)
WRONG = {
    "always the first": replace(RIGHT, replaced="first"),
    "never the bias": replace(RIGHT, replaced="weights"),
    "nothing replaced": replace(RIGHT, replaced="none"),
    "g + 0.15": replace(RIGHT, g=0.65),
    "g - 0.15": replace(RIGHT, g=0.35),
    "no bias of its own": replace(RIGHT, sigma_b=0.0),
}


@pytest.mark.parametrize("how", WRONG)
def test_wrong_laws_miss_the_moments(how: str) -> None:
    assert moments_deviation(WRONG[how], RIGHT, rng_of(3)) > 2.0 * SIGMAS


def test_a_given_bias_of_0_is_still_replaced() -> None:
    """Of a dead input only the bias is left: +β in one node of n + 1, 0 in the others."""
    nodes, n = 50_000, 4
    law = Law((n,), g=0.5, sigma_b=0.0, asymmetric=True)
    h = pre_activations(law, 1, np.zeros((nodes, n, 2)), rng_of(4))[:, 0]
    assert np.array_equal(h[:, 0], h[:, 1])
    beta = h[h[:, 0] != 0.0, 0]
    assert stats.binomtest(beta.size, nodes, 1 / (n + 1)).pvalue > FALSE_ALARM
    assert stats.kstest(beta, stats.beta(2, 1).cdf).pvalue > FALSE_ALARM


def test_the_bias_may_be_left_to_the_fan_in_of_asymmetric_laws_only() -> None:
    assert Law((4,), sigma_w=0.6, sigma_b=None, asymmetric=True).bias_scale(9) == pytest.approx(0.2)
    with pytest.raises(ValueError, match="asymmetric"):
        Law((4,), sigma_b=None)


# --- laws of the weights ------------------------------------------------------------------------

KURTOSIS = {
    "normal": 3.0,
    "uniform": 9.0 / 5.0,
    "rademacher": 1.0,
    "laplace": 6.0,
    "student:9": 3.0 * 7.0 / 5.0,
    "bernoulli:0.3": 3.0 / 0.3,
}


@pytest.mark.parametrize("weights", WEIGHTS)
def test_the_laws_of_the_weights_have_variance_1_and_their_own_fourth_moment(weights: str) -> None:
    z = standardised(weights, (300_000,), rng_of(5))
    powers = np.stack([z, z**2, z**3, z**4], axis=1)
    assert deviation(powers, np.array([0.0, 1.0, 0.0, KURTOSIS[weights]])) < SIGMAS


def test_unknown_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="cauchy"):
        standardised("cauchy", (1,), rng_of(5))


# --- networks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [2, 3, 5])
@pytest.mark.parametrize(("g", "sigma_b"), [(0.0, 0.0), (0.5, 0.3), (1.0, 0.0), (-1.0, 0.3)])
def test_the_mean_square_follows_its_exact_recursion(width: int, g: float, sigma_b: float) -> None:
    """E q' of theory.md 4, at any width; dead networks count as 0."""
    law = Law((width,) * 3, g=g, sigma_w=1.3, sigma_b=sigma_b, q0=0.7)
    factor = 0.5 - g / (2.0 * math.pi) - g / width * (0.5 - 1.0 / (2.0 * math.pi))
    q = [law.sigma_w**2 * law.q0 + sigma_b**2]
    for _ in law.widths[1:]:
        q.append(law.sigma_w**2 * factor * q[-1] + sigma_b**2)
    found = simulate(law, 40_000, rng_of(6, width))
    assert deviation(found["q1"], np.array(q)) < SIGMAS
    assert deviation(found["q2"], np.array(q)) < SIGMAS


def fits(values: Floats, probabilities: Floats) -> float:
    """Return the p-value of a χ² test; cells that expect fewer than 10 are taken together."""
    observed = np.bincount(values.astype(int), minlength=probabilities.size).astype(float)
    expected = probabilities * values.size
    rare = expected < 10.0
    if rare.any():
        observed = np.append(observed[~rare], observed[rare].sum())
        expected = np.append(expected[~rare], expected[rare].sum())
    return float(stats.chisquare(observed, expected).pvalue)


@pytest.mark.parametrize("g", [-1.0, 0.0, 1.0])
def test_the_number_of_inactive_nodes_is_binomial(g: float) -> None:
    """Given a live signal each node is inactive with probability ½; given a dead one, all are."""
    width, overlap = 4, 0.3
    found = simulate(Law((width,) * 4, g=g, overlap=overlap), 40_000, rng_of(7))
    half = stats.binom(width, 0.5).pmf(np.arange(width + 1))
    all_inactive = np.eye(width + 1)[width]
    for layer in range(4):
        dead = 1.0 - (1.0 - 0.5**width) ** layer
        law = (1.0 - dead) * half + dead * all_inactive
        for name in ("inactive1", "inactive2"):
            assert fits(np.rint(width * found[name][:, layer]), law) > FALSE_ALARM / 9
    both = stats.binom(width, (math.pi - math.acos(overlap)) / (2.0 * math.pi))
    first = np.rint(width * found["inactive_both"][:, 0])
    assert fits(first, both.pmf(np.arange(width + 1))) > FALSE_ALARM / 9


@pytest.mark.parametrize("width", [2, 4])
def test_networks_die_at_the_exact_rate(width: int) -> None:
    trials = 40_000
    found = simulate(Law((width,) * 4, g=0.5), trials, rng_of(8))
    for layer in range(4):
        dead = 1.0 - (1.0 - 0.5**width) ** (layer + 1)
        number = int(found["dead_network1"][:, layer].sum())
        assert stats.binomtest(number, trials, dead).pvalue > FALSE_ALARM / 4


def test_signals_are_parallel_only_by_a_single_direction() -> None:
    """No distance lies between the rounding of parallel signals and what networks reach."""
    found = simulate(Law((3,) * 5), 20_000, rng_of(9))
    distance = found["distance"]
    assert np.mean(distance[:, 4] == 0.0) > 0.1
    assert np.nanmin(np.where(distance > 0.0, distance, np.nan)) > 1e-17


@pytest.mark.parametrize("sigma_b", [None, 0.0])
def test_dead_signals_of_an_asymmetric_law_revive_alike(sigma_b: float | None) -> None:
    law = Law((2,) * 3, sigma_w=0.6, sigma_b=sigma_b, asymmetric=True)
    found = simulate(law, 20_000, rng_of(10))
    just_died = found["inactive_both"][:, 1] == 1.0
    distance, q1, q2 = (found[name][just_died, 2] for name in ("distance", "q1", "q2"))
    assert just_died.sum() > 500
    assert np.array_equal(q1, q2)
    assert np.array_equal(distance == 0.0, q1 > 0.0)
    assert np.array_equal(np.isnan(distance), q1 == 0.0)
    assert np.any(q1 == 0.0) == (sigma_b == 0.0)


# --- several inputs through one network ---------------------------------------------------------


def some_rows(inputs: int, n0: int) -> Floats:
    return rng_of(11).standard_normal((inputs, n0)) + 0.3


SHARED = (
    Law((5,) * 3),
    Law((5, 3, 6), g=1.0, sigma_b=0.3),
    Law((5,) * 3, g=0.5, sigma_w=0.6, sigma_b=None, asymmetric=True),
    Law((4,) * 3, g=0.5, weights="rademacher"),
)
PAIRS = RandomPairs((0.5, -0.2, 0.5))


@pytest.mark.parametrize("law", SHARED, ids=str)
def test_each_pair_of_a_shared_network_has_the_law_of_a_single_pair(law: Law) -> None:
    shared = simulate_shared(law, PAIRS, 8_000, rng_of(12))
    for pair, overlap in enumerate(PAIRS.overlaps):
        single = simulate(replace(law, overlap=overlap), 8_000, rng_of(13, pair))
        p, where = worst(one_pair(shared, pair), single, (1, 2, 3))
        assert p > FALSE_ALARM / len(PAIRS.overlaps), f"pair {pair}: {where}: p = {p:.2g}"


def test_the_comparison_tells_pairs_of_different_overlap() -> None:
    shared = simulate_shared(SHARED[2], PAIRS, 8_000, rng_of(12))
    single = simulate(replace(SHARED[2], overlap=0.3), 8_000, rng_of(13))
    p, _ = worst(one_pair(shared, 0), single, (1, 2, 3))
    assert p < FALSE_ALARM


WRONG_NETWORKS: dict[str, tuple[int, Law, Law]] = {
    "always the first": (4_000, SHARED[2], replace(SHARED[2], replaced="first")),
    "never the bias": (4_000, SHARED[2], replace(SHARED[2], replaced="weights")),
    "nothing replaced": (4_000, SHARED[2], replace(SHARED[2], replaced="none")),
    "g + 0.3, asymmetric": (20_000, SHARED[2], replace(SHARED[2], g=0.8)),
    "g + 0.15": (20_000, SHARED[0], replace(SHARED[0], g=0.15)),
}


@pytest.mark.parametrize("how", WRONG_NETWORKS)
def test_wrong_laws_show_in_shared_networks(how: str) -> None:
    networks, *laws = WRONG_NETWORKS[how]
    right, wrong = (
        simulate_shared(law, PAIRS, networks, rng_of(14, i)) for i, law in enumerate(laws)
    )
    p, _ = worst(right, wrong, (1, 2, 3))
    assert p < FALSE_ALARM


def test_two_samples_of_one_law_agree_in_pairs_and_network() -> None:
    a, b = (simulate_shared(SHARED[2], PAIRS, 8_000, rng_of(16, seed)) for seed in (1, 2))
    p, where = worst(a, b, (1, 2, 3))
    assert p > FALSE_ALARM, f"{where}: p = {p:.2g}"


def test_the_two_signals_of_a_network_are_its_observables_for_two_inputs() -> None:
    found = simulate_shared(Law((3,) * 4, g=0.5), RandomPairs((0.2,)), 500, rng_of(17))
    one = one_pair(found, 0)
    half = (one["dead_network1"] + one["dead_network2"]) / 2.0
    assert np.array_equal(found["dead"], one["inactive_both"])
    assert np.array_equal(found["dead_inputs"], half)
    assert np.array_equal(found["dead_network_all"], one["dead_network_both"])


def test_observables_of_a_shared_network_are_what_their_definitions_say() -> None:
    """All 25 inputs and layer 1 only, so that the same draws give h itself."""
    law, inputs = Law((40,)), FixedInputs(some_rows(25, 6), ((3, 1),))
    found = simulate_shared(law, inputs, 200, rng_of(18))
    h = pre_activations(law, 40, np.broadcast_to(inputs.rows.T, (200, 6, 25)), rng_of(18))
    rates = found["activation_rate"][:, 0]
    assert np.array_equal(found["dead"][:, 0], np.all(h <= 0.0, axis=2).mean(axis=1))
    assert np.array_equal(found["dead_inputs"][:, 0], np.all(h <= 0.0, axis=1).mean(axis=1))
    assert np.array_equal(rates[:, 0], found["dead"][:, 0])
    assert np.array_equal(rates[:, -1], np.all(h > 0.0, axis=2).mean(axis=1))
    assert rates.sum(axis=1) == pytest.approx(1.0)
    low = np.mean(h > 0.0, axis=2)
    assert rates[:, 3] == pytest.approx(np.mean((low > 2 / 20) & (low <= 3 / 20), axis=1))
    assert found["q1"][:, 0, 0] == pytest.approx(np.mean(h[:, :, 3] ** 2, axis=1))
    assert found["q2"][:, 0, 0] == pytest.approx(np.mean(h[:, :, 1] ** 2, axis=1))


@pytest.mark.parametrize("inputs", [1, 2, 3, 7, 19, 20, 21, 40, 64, 1000])
def test_bins_of_the_activation_rate(inputs: int) -> None:
    """Against fractions: bin b holds (b − 1)/20 < rate ≤ b/20, rates 0 and 1 are apart."""
    for active in range(inputs + 1):
        rate = Fraction(active, inputs)
        inside = [b for b in range(1, 21) if Fraction(b - 1, 20) < rate <= Fraction(b, 20)]
        expected = 0 if rate == 0 else 21 if rate == 1 else inside[0]
        assert rate_bin(np.array([active]), inputs)[0] == expected


def test_shapes_and_names_are_those_of_the_register() -> None:
    found = simulate_shared(Law((3, 4)), FixedInputs(some_rows(5, 3), ((0, 1),)), 7, rng_of(19))
    assert set(found) == {*NAMES, *NETWORK_NAMES}
    assert set(NETWORK) == set(NETWORK_NAMES)
    assert {found[name].shape for name in NAMES} == {(7, 1, 2)}
    assert {found[name].shape for name in NETWORK[:3]} == {(7, 2)}
    assert found["activation_rate"].shape == (7, 2, 22)
    assert {x.shape for x in simulate(Law((3, 4)), 7, rng_of(19)).values()} == {(7, 2)}


def test_fixed_inputs_are_read_as_they_are() -> None:
    """Layer 1 has E q of (2), with the inputs' own lengths and means."""
    rows_, law = some_rows(4, 3), Law((5,), g=0.5, sigma_b=0.3)
    found = simulate_shared(law, FixedInputs(rows_, ((0, 2),)), 40_000, rng_of(21))
    for name, x in (("q1", rows_[0]), ("q2", rows_[2])):
        q = law.sigma_w**2 / 3 * (x @ x - law.g / 3 * x.sum() ** 2) + 0.3**2
        assert deviation(found[name][:, 0], q) < SIGMAS


def test_equal_inputs_stay_equal_and_a_zero_input_dies_at_once() -> None:
    rows_ = some_rows(4, 5)
    rows_[1] = rows_[0]
    rows_[3] = 0.0
    found = simulate_shared(Law((6,) * 3), FixedInputs(rows_, ((0, 1), (2, 3))), 300, rng_of(22))
    live = found["dead_network1"][:, 0] == 0.0
    assert np.all(found["distance"][:, 0][live] == 0.0)
    assert np.all(found["q2"][:, 1] == 0.0)
    assert np.all(found["dead_network2"][:, 1] == 1.0)
    assert np.all(found["dead_inputs"] >= 0.25)
    assert np.all(np.isnan(found["correlation"][:, 1]))

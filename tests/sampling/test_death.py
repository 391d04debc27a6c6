"""The exact probability that a node is inactive, given the activations that it reads.

Of `rai` and `raai` (`asymmetric.death`, `death_of_both`) against theory.md (3) in many digits, of
`he` and `correlated` (`pair.physics.inactive_chances`) against the angle; all against a million
nodes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from numba import njit
from scipy.special import ndtr

from simcore.numerics.lanes import LANES
from simcore.physics.observables import NAMES
from simcore.runs.run import Run
from simcore.sampling.asymmetric import death, death_of_both, nodes
from simcore.sampling.asymmetric import physics as moves
from simcore.sampling.asymmetric.cpu import AsymmetricSampler
from simcore.sampling.contract import Signals
from simcore.sampling.pair import physics as pair_physics
from tests.support.death import (
    exact_chance,
    exact_chance_of_both,
    exact_tail,
    exact_tail_of_both,
    mp,
)
from tests.support.pair_driver import walk_on

Floats = npt.NDArray[np.float64]
TAIL_ERROR = 2e-15
"""What the docstring of `average_tail` states; 1.5e-15 is the most in 10⁴ arguments, near a = ½."""

ERROR = 1e-13
"""Relative, of p."""

ERROR_OF_BOTH = 5e-5
"""Relative, of p for both signals at few nodes; that of one node is up to 1e-3."""


@njit
def _tail(a: float) -> Any:  # pragma: no cover - compiled
    return death.average_tail(a)


@pytest.mark.parametrize("a", [0.01, 0.3, 0.5, 1.0, 2.5, 7.0])
def test_the_closed_form_is_the_integral_over_beta(a: float) -> None:
    integral = mp.quad(lambda beta: 2 * beta * mp.ncdf(-beta * a), [0, 1])
    assert float(exact_tail(mp.mpf(a)) / integral - 1) == pytest.approx(0.0, abs=1e-40)


def test_the_tail_is_as_accurate_as_stated() -> None:
    rng = np.random.default_rng(1)
    near, far = rng.uniform(0.0, 10.0, 1500), 10.0 ** rng.uniform(-12.0, 7.0, 500)
    beside = rng.uniform(0.49, 0.54, 500)
    ends = [1e-300, 0.5, math.nextafter(0.5, 0.0), 31.9, 32.0, 1e100, 1e150]
    for a in (*near, *far, *beside, *ends):
        error = abs(mp.mpf(_tail(float(a))) / exact_tail(mp.mpf(float(a))) - 1)
        assert error < TAIL_ERROR, a
    assert _tail(0.0) == 0.5


# --- rai and raai: both signals of a node ---------------------------------------------------------


@njit
def _tail_of_both(a: float, b: float, x: float, y: float) -> Any:  # pragma: no cover - compiled
    tail_a, tail_b = death.average_tail(abs(a)), death.average_tail(abs(b))
    return death_of_both.tail_of_both(a, tail_a, b, tail_b, x, y)


def by_definition(a: float, b: float, theta: float) -> float:
    """Return P(z₁ ≤ −βa, z₂ ≤ −βb), by Gauss points in β and z₁."""
    points, weights = np.polynomial.legendre.leggauss(120)
    beta = 0.5 * (points[:, None] + 1.0)
    z = -beta * a - 6.0 * (points + 1.0)
    inner = ndtr((-beta * b - math.cos(theta) * z) / math.sin(theta))
    inner *= np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    return float(np.sum(weights[:, None] * weights * beta * inner) * 6.0)


@pytest.mark.parametrize("theta", [0.3, 1.0, 2.0, 2.9])
@pytest.mark.parametrize(("a", "b"), [(0.0, 0.0), (0.5, 2.0), (3.0, 3.0), (-1.0, 0.7), (-2.0, -1)])
def test_the_integral_over_the_angle_is_the_definition(a: float, b: float, theta: float) -> None:
    assert exact_tail_of_both(a, b, theta) == pytest.approx(by_definition(a, b, theta), abs=1e-9)


def some_pairs() -> list[tuple[float, float, float]]:
    """Return a, b and θ: as layers have them, and closer to each other, to 0 and to π."""
    rng = np.random.default_rng(2)
    found = []
    for i in range(300):
        a, b = np.abs(rng.normal(0.0, 1.5, 2))
        b = a * (1.0 + rng.normal() * 10.0 ** rng.uniform(-6.0, 0.0)) if i % 3 == 0 else b
        a = 0.0 if i % 10 == 0 else -a if i % 7 == 0 else a
        b = 0.0 if i % 20 == 0 else -b if i % 11 == 0 else b
        small = 10.0 ** rng.uniform(-8.0, 0.0)
        theta = (math.pi * rng.random(), small, math.pi - small)[i % 5 % 3]
        found.append((float(a), float(b), float(theta)))
    return found


def test_the_chance_for_both_is_as_accurate_as_stated() -> None:
    errors = []
    for a, b, theta in some_pairs():
        exact = exact_tail_of_both(a, b, theta)
        found = _tail_of_both(a, b, math.cos(theta), math.sin(theta))
        errors.append(abs(found - exact) / max(exact, 1e-6))
    assert max(errors) < 1e-3
    assert np.mean(errors) < 5e-6


@pytest.mark.parametrize("a", [-2.0, -1e-3, 0.0, 0.3, 5.0, 1e8])
def test_signals_that_are_equal_or_opposite_have_the_chance_of_one(a: float) -> None:
    tail = _tail(abs(a))
    chance = tail if a >= 0.0 else 1.0 - tail
    assert _tail_of_both(a, a, 1.0, 0.0) == chance
    assert _tail_of_both(a, -a, -1.0, 0.0) == pytest.approx(0.0, abs=1e-90)
    assert _tail_of_both(a, 0.5 * a, 3.0, 0.0) == min(chance, _tail_of_both(0.5 * a, 0.5 * a, 1, 0))


@pytest.mark.parametrize("across", [1e-300, 1e-9, 1.0, 1e9, 1e300])
@pytest.mark.parametrize("size", [0.0, 1e-300, 1.0, 1e150])
def test_a_chance_for_both_is_one_at_any_scale(size: float, across: float) -> None:
    for along in (-1.0, 0.0, 1.0):
        assert 0.0 <= _tail_of_both(size, 0.7, along, min(across, 1e150)) <= 0.5


def test_arrays_have_the_chances_of_single_nodes() -> None:
    a, b, theta = np.array(some_pairs()).T
    along, across = np.cos(theta), np.sin(theta)
    tails = death.xp_average_tail(np, np.abs(a)), death.xp_average_tail(np, np.abs(b))
    found = death_of_both.xp_tail_of_both(np, a, tails[0], b, tails[1], along, across)
    one_by_one = [
        _tail_of_both(*map(float, each)) for each in zip(a, b, along, across, strict=True)
    ]
    np.testing.assert_allclose(found, one_by_one, rtol=1e-9, atol=1e-15)


def test_points_and_weights_are_those_of_gauss_and_legendre() -> None:
    points, weights = np.polynomial.legendre.leggauss(len(death_of_both.TABLE))
    power = 100.0 ** (0.5 * (points + 1.0))
    expected = (power - 1.0) / 99.0, 0.5 * weights * math.log(100.0) * power / 99.0
    np.testing.assert_allclose(np.array(death_of_both.TABLE).T, expected, rtol=1e-12)


# --- rai and raai: a layer ------------------------------------------------------------------------


class Given:
    """What a trial of a run carries before a layer (from 0), and the p of both signals from it."""

    def __init__(self, run: Run, trial: int, layer: int) -> None:
        sampler = AsymmetricSampler(run)
        carried = sampler.carry(0, 1)
        rows = np.empty((1, layer, len(NAMES)))
        sampler.advance(0, trial, 0, carried, rows, Signals.sharing())
        self.point, self.n = run.points[0], int(sampler.fan_ins[0][layer])
        self.state, nodes_of = carried[0, : moves.HEAD], carried[0, moves.HEAD :]
        self.x, self.r = nodes_of[: nodes_of.size // 2], nodes_of[nodes_of.size // 2 :]
        self.law = np.empty(nodes.LAW)
        moves.write_law(sampler.physics[0], self.n, self.state, self.law)

    def chances(self) -> tuple[float, float]:
        work = np.empty((4, LANES))
        found = []
        for second in (False, True):
            of_signal = death.signal_law(second, self.state, self.law)
            total = death.all_chances(self.n, self.x, self.r, of_signal, work)
            found.append(death.inactive_chance(total, self.n, of_signal))
        return found[0], found[1]

    def chance_of_both(self) -> float:
        """Return p of both signals. Lanes one by one, as on a GPU, have the same bytes."""
        law, n = death_of_both.law_of_both(self.state, self.law), self.n
        work = np.empty((death_of_both.ROWS, LANES))
        one, other, both = death_of_both.all_chances(n, self.x, self.r, law, work)
        found = (
            death.inactive_chance(one, n, law.first),
            death.inactive_chance(other, n, law.second),
        )
        lanes = [_lane_of_both(lane, n, self.x, self.r, law) for lane in range(LANES)]
        assert sum(lanes) == both
        assert found == self.chances()
        p: float = death_of_both.inactive_chance(both, n, law)
        return p

    def activations(self) -> tuple[list[Any], list[Any]]:
        """Return both signals' activations; those of rounding count as 0, as for the sampler."""
        state, slope = self.state, mp.mpf(float(self.state[moves.SLOPE]))
        unit_x, unit_r = (mp.mpf(2) ** int(state[i]) for i in (moves.POWER_X, moves.POWER_R))
        kappa = mp.mpf(float(state[moves.KAPPA]))
        x = [mp.mpf(float(a)) for a in self.x[: self.n]]
        r = [mp.mpf(float(b)) - slope * a for a, b in zip(x, self.r, strict=False)]
        y = [kappa * a - b for a, b in zip(x, r, strict=True)]
        noise = [mp.mpf("1e-14") * abs(kappa * a) for a in x]
        y = [b if abs(b) > least else mp.mpf(0) for b, least in zip(y, noise, strict=True)]
        return [a * unit_x for a in x], [b * unit_r for b in y]


CASES = [
    (0.0, (3, 3, 3, 3), None, 1.0, 0.6007),
    (0.0, (1, 2, 1, 3, 2), None, 0.3, 0.6007),
    (1.0, (20, 33, 16, 48), None, 1e-10, 0.6007),
    (math.inf, (3, 5, 4, 4), None, 1e-4, 1.5),
    (math.inf, (40, 7, 40, 10), 0.3, 1e-20, 0.6007),
    (-0.5, (10, 10, 10, 10), 0.0, 1e-3, 0.6007),
    (0.0, (64, 100, 80, 70), None, 1.5, 0.01),
    (1.0, (70, 90, 65), 1e-3, 2.0, 3.0),
]


def asymmetric_run(case: tuple[Any, ...]) -> Run:
    k, widths, sigma_b, distance, sigma_w = case
    return Run(
        depth=len(widths),
        layer_widths=widths,
        ensemble="rai" if k == 0.0 else "raai",
        k=(k,),
        sigma_b=None if sigma_b is None else (sigma_b,),
        sigma_w=(sigma_w,),
        distance=(distance,),
    )


@pytest.mark.parametrize("case", CASES)
def test_p_of_asymmetric_nodes_is_that_of_the_explicit_law(case: tuple[Any, ...]) -> None:
    """Both signals before every layer, the inputs of layer 1 among them, to a relative 1e-13."""
    run = asymmetric_run(case)
    for trial in range(4):
        for layer in range(run.depth):
            given = Given(run, trial, layer)
            exact = [exact_chance(given.point, signal) for signal in given.activations()]
            for found, expected in zip(given.chances(), exact, strict=True):
                assert found == pytest.approx(float(expected), rel=ERROR), (trial, layer)
            if trial < 2:
                both = exact_chance_of_both(given.point, *given.activations())
                found = given.chance_of_both()
                assert found == pytest.approx(both, rel=ERROR_OF_BOTH, abs=1e-7), (trial, layer)


@pytest.mark.parametrize("n", [1, 15, 16, 40])
def test_lanes_one_by_one_have_the_bytes_of_all_at_once(n: int) -> None:
    """As the threads of a GPU sum them."""
    given = Given(asymmetric_run((1.0, (n, n), None, 0.4, 0.6007)), 0, 1)
    for second in (False, True):
        of_signal = death.signal_law(second, given.state, given.law)
        lanes = [_lane(lane, n, given.x, given.r, of_signal) for lane in range(LANES)]
        whole = death.all_chances(n, given.x, given.r, of_signal, np.empty((4, LANES)))
        assert sum(lanes) == whole


@njit
def _lane(lane: int, n: int, x: Any, r: Any, s: Any) -> Any:  # pragma: no cover - compiled
    return death.lane_chances(lane, n, x, r, s)


@njit
def _lane_of_both(lane: int, n: int, x: Any, r: Any, s: Any) -> Any:  # pragma: no cover - compiled
    return death_of_both.lane_chances(lane, n, x, r, s)


@pytest.mark.parametrize(("layer", "width", "counts"), [(1, 4096, 1), (2, 63, 1), (2, 64, 0)])
def test_deaths_that_matter(layer: int, width: int, counts: int) -> None:
    assert death.may_die(layer, width) == bool(counts)


# --- he and correlated ----------------------------------------------------------------------------

PAIRS = [(0.0, 0.0, 0.5), (1.0, 0.3, 1e-8), (math.inf, 0.0, 1.9), (-0.5, 0.2, 2.0 - 1e-12)]


def pair_run(k: float, sigma_b: float, distance: float, widths: tuple[int, ...]) -> Run:
    return Run(
        depth=len(widths),
        layer_widths=widths,
        ensemble="correlated",
        k=(k,),
        sigma_b=(sigma_b,),
        distance=(distance,),
    )


def test_the_chance_for_both_keeps_its_digits_up_to_opposite_signals() -> None:
    state = np.zeros(pair_physics.STATE)
    state[pair_physics.MANTISSA], state[pair_physics.LIVE] = 1.7, pair_physics.BOTH
    for rest in (1e-300, 1e-20, 1e-8, 0.1, 1.5, 3.0):  # π − θ
        state[pair_physics.KAPPA] = -math.cos(rest)
        state[pair_physics.GAMMA] = math.sqrt(1.7) * math.sin(rest)
        one, other, both = pair_physics.inactive_chances(state)
        assert (one, other) == (0.5, 0.5)
        assert both == pytest.approx(rest / (2.0 * math.pi), rel=1e-15)


@pytest.mark.parametrize(("kappa", "chances"), [(2.0, (0.5, 0.5, 0.5)), (-2.0, (0.5, 0.5, 0.0))])
def test_parallel_and_opposite_signals(kappa: float, chances: tuple[float, ...]) -> None:
    state = np.zeros(pair_physics.STATE)
    state[pair_physics.MANTISSA], state[pair_physics.LIVE] = 1.0, pair_physics.BOTH
    state[pair_physics.KAPPA] = kappa
    assert pair_physics.inactive_chances(state) == chances


@pytest.mark.parametrize(
    ("live", "chances"),
    [(pair_physics.ONE_LEFT, (0.5, 1.0, 0.5)), (pair_physics.NONE_LEFT, (1.0, 1.0, 1.0))],
)
def test_a_dead_signal_is_surely_inactive(live: float, chances: tuple[float, ...]) -> None:
    state = np.zeros(pair_physics.STATE)
    state[pair_physics.MANTISSA], state[pair_physics.LIVE] = 1.0, live
    assert pair_physics.inactive_chances(state) == chances


# --- a million nodes ------------------------------------------------------------------------------

MILLION = 1_000_000
BOUND = 5.0
"""Standard errors; exceeded by chance in 6e-7 of the counts."""


def check(share: float, p: float) -> None:
    assert abs(share - p) < BOUND * math.sqrt(p * (1.0 - p) / MILLION)


MANY = [
    (0.0, (3, MILLION), None, 1.0, 0.6007),
    (0.0, (MILLION,), None, 0.5, 0.05),
    (math.inf, (12, 40, MILLION), 0.2, 1.5, 1.0),
    (-0.5, (8, 8, 8, MILLION), None, 0.5, 0.6007),
]


@pytest.mark.parametrize("case", MANY)
def test_a_million_asymmetric_nodes_are_inactive_with_p(case: tuple[Any, ...]) -> None:
    """Given layers that are drawn once, the nodes of the next are counted."""
    run = asymmetric_run(case)
    given = Given(run, 0, run.depth - 1)
    p = *given.chances(), given.chance_of_both()
    sampler, rows = AsymmetricSampler(run), np.empty((1, run.depth, len(NAMES)))
    sampler.advance(0, 0, 0, sampler.carry(0, 1), rows, Signals.sharing())
    for name, expected in zip(("inactive1", "inactive2", "inactive_both"), p, strict=True):
        check(rows[0, -1, NAMES.index(name)], expected)


@pytest.mark.parametrize(("k", "sigma_b", "distance"), PAIRS)
def test_a_million_nodes_are_inactive_for_both_signals_with_p(
    k: float, sigma_b: float, distance: float
) -> None:
    run = pair_run(k, sigma_b, distance, (5, 9, MILLION))
    physics, widths = pair_physics.Physics.of(run.points[0]), np.array([5, 9, MILLION])
    states = np.empty((1, pair_physics.STATE))
    pair_physics.start(physics, states)
    walk_on(physics, widths[:2], states)
    p = pair_physics.inactive_chances(states[0])[2]
    check(walk_on(physics, widths, states, layer0=2)["inactive_both"][0, -1], p)

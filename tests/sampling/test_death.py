"""The exact probability that a node is inactive, given the activations that it reads.

Of `rai` and `raai` (`asymmetric.death`) against theory.md (3) in many digits, of `he` and
`correlated` (`pair.physics.inactive_chances`) against the angle; both against a million nodes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from numba import njit

from simcore.numerics.lanes import LANES
from simcore.physics.observables import NAMES
from simcore.runs.run import Run
from simcore.sampling.asymmetric import death, nodes
from simcore.sampling.asymmetric import physics as moves
from simcore.sampling.asymmetric.cpu import AsymmetricSampler
from simcore.sampling.contract import Signals
from simcore.sampling.pair import physics as pair_physics
from tests.support.death import exact_chance, exact_tail, mp
from tests.support.pair_driver import walk_on

Floats = npt.NDArray[np.float64]
TAIL_ERROR = 2e-15
"""What the docstring of `average_tail` states; 1.5e-15 is the most in 10⁴ arguments, near a = ½."""

ERROR = 1e-13
"""Relative, of p."""


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
    p = Given(run, 0, run.depth - 1).chances()
    sampler, rows = AsymmetricSampler(run), np.empty((1, run.depth, len(NAMES)))
    sampler.advance(0, 0, 0, sampler.carry(0, 1), rows, Signals.sharing())
    for name, expected in zip(("inactive1", "inactive2"), p, strict=True):
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

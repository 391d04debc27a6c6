"""Jobs that are left: pilots at each rate, an extension of the grid, measured networks.

Everything follows from the results so far, so a resumed run needs no other record of progress.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

from .jobs import Job, Pilots
from .plan import RATE_LIMITS, Plan
from .results import Results

EXTENSION = 2
"""Number of rates by which a grid is extended where its best one lies at its edge."""


class Choice(NamedTuple):
    """The learning rate of an ensemble, as far as its pilots decide it.

    `rate` is None before all rates of the grid were tried, `missing` holds those that are still to
    be tried, and `at_edge` is true if the best is the smallest or largest of all that were tried.
    """

    rate: float | None
    missing: tuple[float, ...]
    extended: bool
    at_edge: bool


def choose_rate(grid: tuple[float, ...], tried: Mapping[float, Pilots]) -> Choice:
    """Choose a rate by the one rule for all ensembles.

    The best has the lowest mean validation loss among the rates at which no pilot diverged; where
    pilots diverged at all rates it is the smallest. If it is the first or the last of the grid, the
    grid is extended on that side by two rates of its spacing, once. `grid`, ascending, is the same
    for all ensembles; `tried` holds the results of pilots by rate.
    """
    extension: tuple[float, ...] = ()
    if not set(grid) - set(tried):
        extension = _extension(grid, _best(grid, tried))
    rates, extended = tuple(sorted((*grid, *extension))), bool(extension)
    missing = tuple(rate for rate in (*grid, *extension) if rate not in tried)
    if missing:
        return Choice(None, missing, extended, at_edge=False)
    best = _best(rates, tried)
    return Choice(best, (), extended, best in (rates[0], rates[-1]))


def _best(rates: tuple[float, ...], tried: Mapping[float, Pilots]) -> float:
    usable = [rate for rate in rates if not tried[rate].diverged]
    return min(usable, key=lambda rate: tried[rate].loss) if usable else rates[0]


def _extension(grid: tuple[float, ...], best: float) -> tuple[float, ...]:
    """Return the rates beyond the edge at which the best one lies, within `RATE_LIMITS`.

    A single rate has no spacing, so its grid is not extended.
    """
    if len(grid) < 2 or best not in (grid[0], grid[-1]):
        return ()
    # The ratios at the edge are repeated: 0.01, 0.03, 0.1 continues as 0.3, 1.
    edge = grid[:3] if best == grid[0] else grid[:-4:-1]
    ratios = [inner / outer for outer, inner in pairwise(edge)]
    rate, found = best, []
    for number in range(EXTENSION):
        rate /= ratios[-1 - number % len(ratios)]
        found.append(float(f"{rate:.12g}"))
    return tuple(rate for rate in found if RATE_LIMITS[0] <= rate <= RATE_LIMITS[1])


def outstanding(plan: Plan, results: Results) -> list[Job]:
    """Return the jobs that are not done and need no other job's result."""
    jobs = []
    for label in plan.ensembles:
        choice = choose_rate(plan.grid, results.pilots_of(label))
        jobs += [Job(label, "pilot", rate, 0, plan.pilots) for rate in choice.missing]
        if choice.rate is not None:
            for first in range(0, plan.seeds, plan.group):
                if not results.is_done(label, first):
                    end = min(first + plan.group, plan.seeds)
                    jobs.append(Job(label, "measured", choice.rate, first, end))
    return jobs


def networks_in_all(plan: Plan, results: Results) -> int:
    """Return the number of networks that the whole run trains, as far as it is known."""
    networks = 0
    for label in plan.ensembles:
        tried = results.pilots_of(label)
        choice = choose_rate(plan.grid, tried)
        networks += plan.pilots * len({*plan.grid, *tried, *choice.missing}) + plan.seeds
    return networks

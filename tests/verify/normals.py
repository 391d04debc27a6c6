"""The normals of the pair sampler are independent standard normals: a battery of 24 tests."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from tests.numerics.randomness import battery
from tests.numerics.randomness.battery import Source
from tests.verify.check import Check, Effort, Outcome

__all__ = ["CHECKS", "KEY", "MANY", "TESTS", "WRONG", "rejected"]

KEY = 0x452821E638D01377
MANY = 10**8

FALSE_ALARM = 6.3e-5
"""Four standard errors of a Gaussian, two-sided."""
TESTS = 24


def rejected(source: Source, normals: int) -> dict[str, float]:
    """Return the p-values of the tests that reject a source of normals."""
    p_values = battery.p_values(battery.tally(source, normals))
    return {name: p for name, p in p_values.items() if p < FALSE_ALARM}


def judged(effort: Effort, *, source: Source) -> Outcome:
    """Least p-value of the battery."""
    found = battery.p_values(
        battery.tally(replace(source, key=source.key + effort.seed - 1), effort.of(2 * MANY))
    )
    where = min(found, key=lambda name: found[name])
    figure = f"p = {found[where]:.2g} ({where}), the least of {len(found)}"
    return Outcome(figure, found[where] >= FALSE_ALARM)


def check(source: Source, wrong: str = "") -> Check:
    return Check(
        name=f"normals/battery{wrong}",
        source="Box and Muller 1958; Philox, Salmon et al. 2011",
        bound=f"p >= {FALSE_ALARM:.1e}",
        false_alarm=TESTS * FALSE_ALARM,
        measure=partial(judged, source=source),
    )


def _shift(normals: battery.Normals) -> None:
    normals += 7e-4


CHECKS = [check(Source(KEY))]
WRONG = [check(Source(KEY, normals=_shift), ": mean 7e-4")]

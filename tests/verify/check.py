"""A check: a figure from simulations, its bound, and how often the bound is exceeded by chance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["FULL", "SMALL", "Check", "Effort", "Outcome", "smallest_p"]


@dataclass(frozen=True)
class Effort:
    """Size and seed of the simulations: `factor` times the number of networks of a check."""

    factor: float
    seed: int = 1

    def of(self, networks: int) -> int:
        """Return how many networks to simulate, for the number of a check."""
        return round(networks * self.factor)


SMALL, FULL = Effort(0.5), Effort(4.0)


@dataclass(frozen=True)
class Outcome:
    """The figure of a check, with its error where it has one, and whether it is in bounds."""

    figure: str
    holds: bool


@dataclass(frozen=True)
class Check:
    """One line of the table.

    Parameters
    ----------
    name
        Family and case, separated by a slash.
    source
        Where the expected law or value stands.
    bound
        What the figure must satisfy.
    false_alarm
        Upper bound of the probability that the check fails although all is right.
    measure
        Simulates and compares.
    """

    name: str
    source: str
    bound: str
    false_alarm: float
    measure: Callable[[Effort], Outcome]


def smallest_p(p: float, where: str, bound: float) -> Outcome:
    """Outcome of several comparisons: the least p-value, times their number, is above a bound."""
    return Outcome(f"p = {min(p, 1.0):.2g} ({where})", p > bound)

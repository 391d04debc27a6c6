"""Gradients drawn without weights have the law of explicit back-propagation: two-sample tests.

As `pairs`, for the observables of the way back, whose values belong to the depth of the network:
all layers are compared but those between the first two and the last.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from simcore.physics.observables import GRADIENT_NAMES
from tests.support import oracle
from tests.support.two_samples import Sample, worst
from tests.support.way_back import FAULTS, regressed
from tests.verify.check import Check, Effort, Outcome, smallest_p
from tests.verify.pairs import Case as PairCase

__all__ = ["CHECKS", "WRONG"]

FALSE_ALARM = 1e-3


@dataclass(frozen=True)
class Case(PairCase):
    """One law, and how many networks of it are compared."""

    overlap: float = 0.3

    def __str__(self) -> str:
        return super().__str__().replace(" ", f" L={len(self.widths)} ", 1)

    @property
    def layers(self) -> tuple[int, ...]:
        """Layers that are compared, from 1."""
        return tuple(sorted({1, 2, len(self.widths)}))

    def sample(self, effort: Effort) -> Sample:
        """Return the observables of the way back."""
        run = self.walked(effort, gradients=True)
        return {name: run[name] for name in GRADIENT_NAMES}


def cases() -> Iterator[Case]:
    for k in (-0.5, 0.0, 1.0, math.inf):
        for sigma_b in (0.0, 0.3):
            yield Case((3,) * 4, k, sigma_b, 8_000)  # signals die and become parallel all the time
            yield Case((6,) * 4, k, sigma_b, 6_000)
    yield Case((16,) * 3, 1.0, 0.3, 3_000)
    yield Case((64,) * 2, math.inf, 0.0, 1_000)
    yield Case((5, 8, 4, 7, 3, 6, 9, 4), 0.0, 0.0, 6_000)
    yield Case((2, 4, 1, 3), math.inf, 0.3, 8_000)
    yield Case((5,) * 3, 1.0, 0.3, 6_000, overlap=1.0)
    yield Case((5,) * 3, -0.5, 0.0, 6_000, overlap=-1.0)
    yield Case((5,) * 3, 0.0, 0.3, 6_000, overlap=0.999)
    yield from sloped_cases()


def sloped_cases() -> Iterator[Case]:
    """Other activations than ReLU."""
    yield Case((5,) * 4, -0.5, 0.0, 6_000, slopes=(1.0, 0.2))
    yield Case((3,) * 4, math.inf, 0.3, 8_000, slopes=(1.0, -1.0))
    yield Case((16,) * 3, 1.0, 0.0, 3_000, slopes=(0.7, -0.3))
    yield Case((64,) * 2, 1.0, 0.3, 1_000, slopes=(1.0, 0.2))
    yield Case((5,) * 3, 0.0, 0.0, 6_000, overlap=-1.0, slopes=(0.7, -0.3))
    yield Case((3,) * 4, 0.0, 0.0, 6_000, slopes=(0.5, 0.0))


CASES = tuple(cases())
FALSE_ALARM_OF_CASE = FALSE_ALARM / len(CASES)


def compare(case: Case, effort: Effort) -> Outcome:
    """Compare the sampler with explicit back-propagation."""
    rng = np.random.default_rng([effort.seed, *case.widths])
    expected = oracle.simulate(case.law(), effort.of(case.trials), rng, gradients=True)
    return smallest_p(*worst(case.sample(effort), expected, case.layers), FALSE_ALARM_OF_CASE)


def without_weights(case: Case, fault: str, effort: Effort) -> Outcome:
    """Compare the sampler with (B1) in plain NumPy, perhaps with a fault in it."""
    rng = np.random.default_rng([effort.seed, *case.widths])
    inputs, law = oracle.RandomPairs((case.overlap,)), case.law()
    layers = list(oracle.forward(law, inputs, effort.of(case.trials), rng))
    deltas = regressed(law, layers, rng, fault)
    rows = list(oracle.observe_back(law, layers, deltas, inputs))
    expected = {name: np.stack([row[name][:, 0] for row in rows], axis=1) for name in rows[0]}
    return smallest_p(*worst(case.sample(effort), expected, case.layers), FALSE_ALARM_OF_CASE)


FAULTY = (
    Case((6,) * 4, -0.9, 0.0, 6_000),
    Case((3,) * 4, 0.0, 0.0, 8_000),
    Case((3,) * 4, 1.0, 0.0, 24_000),
    Case((6,) * 4, 0.0, 1.0, 6_000),
)
"""For each of `FAULTS` a case where it shows."""


def checks() -> Iterator[Check]:
    for case in CASES:
        yield _check(str(case), "explicit back-propagation", partial(compare, case))
    for case in FAULTY[2:]:
        name = f"{case}, (B1)"
        yield _check(name, "theory.md (B1) in NumPy", partial(without_weights, case, ""))


def wrong_checks() -> Iterator[Check]:
    for case, fault in zip(FAULTY, FAULTS, strict=True):
        yield _check(f"{case}: {fault}", "theory.md (B1)", partial(without_weights, case, fault))


def _check(name: str, source: str, measure: partial[Outcome]) -> Check:
    bound = f"p > {FALSE_ALARM_OF_CASE:.1e}"
    return Check(f"gradients/{name}", source, bound, FALSE_ALARM_OF_CASE, measure)


CHECKS = list(checks())
WRONG = list(wrong_checks())

"""The pair sampler has the law of explicit networks: two-sample tests of every observable.

In each case the sampler and the oracle (every weight drawn) simulate as many independent networks,
and whole distributions are compared at several layers. All cases together raise a false alarm with
a probability of at most `FALSE_ALARM` = 1e-3 (Bonferroni over the cases, and in a case over its
comparisons). Laws close to the right one are noticed even with the small number of networks.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from simcore.physics.observables import HAZARDS, NAMES
from simcore.physics.parameters import correlation_strength
from simcore.physics.slopes import RELU, Slopes, norm_preserving_sigma_w
from simcore.runs.run import Run
from tests.support.oracle import Law, simulate
from tests.support.pair_driver import Walk, walk
from tests.support.two_samples import Sample, worst
from tests.verify.check import Check, Effort, Outcome, smallest_p

__all__ = ["CHECKS", "WRONG"]

FALSE_ALARM = 1e-3
LAYERS = (1, 2, 3, 6)


@dataclass(frozen=True)
class Case:
    """One law, and how many networks of it are compared."""

    widths: tuple[int, ...]
    k: float
    sigma_b: float
    trials: int
    overlap: float = 0.5
    slopes: Slopes = RELU

    def __str__(self) -> str:
        widths = "-".join(map(str, dict.fromkeys(self.widths)))
        phi = "" if self.slopes == RELU else f" slopes={self.slopes[0]:g},{self.slopes[1]:g}"
        return f"N={widths} k={self.k:g} sigma_b={self.sigma_b:g} c0={self.overlap:g}{phi}"

    def law(self) -> Law:
        """Return the case in the oracle's terms."""
        return Law(
            self.widths,
            correlation_strength(self.k),
            norm_preserving_sigma_w(self.k, self.slopes),
            self.sigma_b,
            self.overlap,
            slopes=self.slopes,
        )

    def walked(self, effort: Effort, **more: Any) -> Walk:
        """Run the sampler, with more options."""
        plan = Run(
            depth=len(self.widths),
            layer_widths=self.widths,
            ensemble="correlated",
            k=(self.k,),
            sigma_b=(self.sigma_b,),
            correlation=(self.overlap,),
            slopes=self.slopes,
            seed=effort.seed,
            **more,
        )
        return walk(plan, effort.of(self.trials))

    def sample(self, effort: Effort) -> Sample:
        """Return the observables of the way forward."""
        run = self.walked(effort)
        alive = HAZARDS if self.slopes[1] else ()
        return {name: run[name] for name in NAMES if name not in alive}


SIZES = ((5, 12_000), (16, 6_000), (64, 2_500))
"""Width and trials."""


def wide_cases() -> Iterator[Case]:
    for width, trials in SIZES:
        for k in (-0.5, 0.0, 1.0, math.inf):
            for sigma_b in (0.0, 0.3):
                yield Case((width,) * 6, k, sigma_b, trials)


def narrow_cases() -> Iterator[Case]:
    """Layers so narrow that signals die, revive and become parallel all the time."""
    for width in (1, 2, 3):
        for k in (0.0, math.inf):
            for sigma_b in (0.0, 0.3):
                yield Case((width,) * 6, k, sigma_b, 12_000)


def profile_cases() -> Iterator[Case]:
    """Layers of different width, and inputs far from and opposite to each other."""
    for k in (0.0, math.inf):
        for sigma_b in (0.0, 0.3):
            yield Case((5, 16, 7, 3, 6, 4), k, sigma_b, 12_000)
    yield Case((8, 2, 9, 1, 6, 4), math.inf, 0.0, 12_000)
    yield Case((5,) * 6, 1.0, 0.0, 12_000, overlap=-1.0)
    yield Case((5,) * 6, -0.5, 0.3, 12_000, overlap=0.99)


SLOPES = ((1.0, 0.2), (1.0, -1.0), (0.7, -0.3))


def sloped_cases() -> Iterator[Case]:
    """Other activations than ReLU; each k, bias and width with each of them is `every_slope`."""
    sizes = SIZES
    for i, slopes in enumerate(SLOPES):
        for j, k in enumerate((-0.5, 0.0, 1.0, math.inf)):
            width, trials = sizes[(i + j) % 3]
            yield Case((width,) * 6, k, 0.3 * ((i + j // 2) % 2), trials, slopes=slopes)
        yield Case((2,) * 6, math.inf, 0.0, 12_000, slopes=slopes)
    yield Case((5, 1, 7, 3, 6, 4), 1.0, 0.0, 12_000, overlap=-0.5, slopes=(1.0, -1.0))
    yield Case((5,) * 6, 0.0, 0.0, 12_000, slopes=(0.5, 0.0))
    yield Case((5,) * 6, 1.0, 0.3, 12_000, overlap=-1.0, slopes=(0.7, -0.3))


def every_slope() -> Iterator[Case]:
    """72 cases, for `python -m tests.verify.slopes`."""
    for slopes, (width, trials) in itertools.product(SLOPES, SIZES):
        for k, sigma_b in itertools.product((-0.5, 0.0, 1.0, math.inf), (0.0, 0.3)):
            yield Case((width,) * 6, k, sigma_b, trials, slopes=slopes)


CASES = (*wide_cases(), *narrow_cases(), *profile_cases(), *sloped_cases())


FALSE_ALARM_OF_CASE = FALSE_ALARM / len(CASES)


def compare(case: Case, law: Law, effort: Effort) -> Outcome:
    """Compare the sampler with explicit networks of a law."""
    return smallest_p(*p_value(case, law, effort), FALSE_ALARM_OF_CASE)


def p_value(case: Case, law: Law, effort: Effort) -> tuple[float, str]:
    """Return `two_samples.worst` of all observables at some layers."""
    rng = np.random.default_rng([effort.seed, *case.widths])
    expected = simulate(law, effort.of(case.trials), rng)
    # A law of more layers than the case is compared by its last layers.
    expected = {name: x[:, -len(case.widths) :] for name, x in expected.items()}
    return worst(case.sample(effort), expected, LAYERS)


def wrong(case: Case, how: str) -> Law:
    """Return a law close to the case's; σ_w and q₀ follow g, so that the lengths hardly tell."""
    law = case.law()
    if how == "one layer more":
        return replace(law, widths=(*law.widths, law.widths[0]))
    if how == "no bias":
        return replace(law, sigma_b=0.0)
    g = law.g + (0.15 if how == "g + 0.15" else -0.15)
    sigma_w = math.sqrt(2.0 * math.pi / (math.pi - g))
    return replace(law, g=g, sigma_w=sigma_w, q0=(law.sigma_w / sigma_w) ** 2)


def check(case: Case, law: Law, name: str) -> Check:
    return Check(
        name=f"pair/{name}",
        source="theory.md 1-3, explicit weights",
        bound=f"p > {FALSE_ALARM_OF_CASE:.1e}",
        false_alarm=FALSE_ALARM_OF_CASE,
        measure=partial(compare, case, law),
    )


def wrong_checks() -> Iterator[Check]:
    laws = ("g + 0.15", "g - 0.15", "one layer more", "no bias")
    sizes = [(5, 40_000, "g + 0.15"), (64, 2_500, "g + 0.15"), *((16, 12_000, how) for how in laws)]
    for width, trials, how in sizes:
        case = Case((width,) * 6, 0.0, 0.3 if how == "no bias" else 0.0, trials)
        yield check(case, wrong(case, how), f"{case}: {how}")


CHECKS = [check(case, case.law(), str(case)) for case in CASES]
WRONG = list(wrong_checks())

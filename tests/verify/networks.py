"""Every ensemble, sampler and batch has the law of explicit networks: whole distributions.

The reference of each case is the oracle, which draws every weight with NumPy. All cases of a test
together raise a false alarm with a probability of at most `FALSE_ALARM` (Bonferroni over the cases,
and in a case over its comparisons). Laws that are nearly right are noticed even with the small
number of networks: a wrong replaced index, a bias that is never replaced, g off by 0.15.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from simcore.inputs.input_set import InputSet
from simcore.physics.ensembles import ASYMMETRIC
from simcore.physics.observables import MORTAL
from simcore.physics.parameters import correlation_strength
from simcore.physics.slopes import RELU, Slopes, norm_preserving_sigma_w
from simcore.runs.run import Run
from simcore.theory.scales import default_sigma_w
from tests.support.network_driver import sample
from tests.support.oracle import FixedInputs, Inputs, Law, RandomPairs, simulate, simulate_shared
from tests.support.two_samples import worst
from tests.verify.check import Check, Effort, Outcome, smallest_p

__all__ = ["CHECKS", "WRONG"]

Floats = npt.NDArray[np.float64]

FALSE_ALARM = 1e-3
LAYERS = (1, 2, 3, 6)
DEPTH = 6


@dataclass(frozen=True)
class Case:
    """One law with its inputs, and how many networks of it are compared."""

    ensemble: str
    sampler: str
    width: int
    trials: int
    k: float = 0.0
    sigma_b: float | None = None
    weights: str = "normal"
    inputs: str = "pair"
    widths: tuple[int, ...] = ()
    sigma_w: float | None = None
    slopes: Slopes = RELU

    def __str__(self) -> str:
        phi = "" if self.slopes == RELU else f" slopes={self.slopes[0]:g},{self.slopes[1]:g}"
        bias = "" if self.sigma_b is None else f" sigma_b={self.sigma_b:g}"
        scale = "" if self.sigma_w is None else f" sigma_w={self.sigma_w:g}"
        name = f"{self.ensemble} {self.sampler} {self.inputs} N={self.width} k={self.k:g}"
        return f"{name}{bias}{scale} {self.weights}{phi}"

    @property
    def profile(self) -> tuple[int, ...]:
        return self.widths or (self.width,) * DEPTH

    def law(self) -> Law:
        """Return the case in the oracle's terms."""
        asymmetric = self.ensemble in ASYMMETRIC
        return Law(
            widths=self.profile,
            g=correlation_strength(self.k),
            sigma_w=self.sigma_w or self._default(),
            sigma_b=self.sigma_b if asymmetric else self.sigma_b or 0.0,
            asymmetric=asymmetric,
            weights=self.weights,
            slopes=self.slopes,
        )

    def _default(self) -> float:
        if self.slopes != RELU:
            return norm_preserving_sigma_w(self.k, self.slopes)
        return default_sigma_w(self.ensemble, self.k)

    def run(self, seed: int, folder: Path) -> Run:
        """Return the case as a run."""
        inputs = batch(self.inputs)
        more: dict[str, object] = {}
        if isinstance(inputs, FixedInputs):
            np.save(folder / "inputs.npy", inputs.rows)
            np.save(folder / "pairs.npy", np.array(inputs.pairs))
            source, pairs = str(folder / "inputs.npy"), str(folder / "pairs.npy")
            more["inputs"] = InputSet.read(source, pairs=pairs)
        elif self.inputs != "pair":
            more |= {"shared_network": True, "correlation": inputs.overlaps}
        return Run(
            depth=DEPTH,
            layer_widths=self.profile,
            ensemble=self.ensemble,
            k=(self.k,),
            sigma_w=None if self.sigma_w is None else (self.sigma_w,),
            sigma_b=None if self.sigma_b is None else (self.sigma_b,),
            sampler=self.sampler,
            weights=self.weights,
            slopes=self.slopes,
            seed=seed,
            **more,  # type: ignore[arg-type]
        )


def batch(name: str) -> Inputs:
    """Return what goes through a network: a pair, two pairs, or inputs of a file.

    ``eight`` has an input twice, a zero one, two that are opposite and one that is constant;
    ``many`` is more inputs than most of the widths here.
    """
    if name in ("pair", "one pair"):
        return RandomPairs((0.5,))
    if name == "two pairs":
        return RandomPairs((0.9, -0.4))
    rng = np.random.default_rng(5)
    if name == "many":
        return FixedInputs(0.3 + rng.standard_normal((24, 5)), ((0, 1), (22, 23)))
    rows = 0.2 + rng.standard_normal((8, 7))
    rows[1] = rows[0]
    rows[2] = -rows[3]
    rows[4] = 0.0
    rows[5] = 1.0
    return FixedInputs(rows, ((0, 1), (2, 3), (0, 4), (5, 6), (7, 2)))


def compare(case: Case, law: Law, effort: Effort) -> Outcome:
    """Compare the case's sampler with explicit networks of a law: `two_samples.worst`."""
    rng = np.random.default_rng([effort.seed, case.width])
    trials = effort.of(case.trials)
    with TemporaryDirectory() as folder:
        sampled = sample(case.run(effort.seed, Path(folder)), trials)
    if case.slopes[1]:
        assert all(np.isnan(sampled.pop(name)).all() for name in MORTAL if name in sampled)
    if case.inputs == "pair":
        expected = simulate(law, trials, rng)
    else:
        expected = simulate_shared(law, batch(case.inputs), trials, rng)
    return smallest_p(*worst(sampled, expected, LAYERS), FALSE_ALARM_OF_CASE)


# --- the cases ----------------------------------------------------------------------------------

RICHEST = (("correlated", 1.0), ("raai", 1.0))
"""Laws that need all of the code: `he` and `rai` are theirs at k = 0, and compared at N = 6."""

SMALL, LARGER = (6, 8_000), ((20, 4_000), (64, 1_500))
"""Width and trials."""

FEW, LARGER_FEW = (6, 2_000), ((20, 1_500), (64, 1_000))
"""The same for batches of several pairs, which tell more of each network. A batch has more columns
than a layer of 6 nodes, and fewer than the others."""


def asymmetric_pairs() -> Iterator[Case]:
    for width, trials in (SMALL, *LARGER):
        laws = (("rai", 0.0), ("raai", 1.0), ("raai", math.inf), ("raai", -0.5))
        for ensemble, k in laws if width < 64 else laws[:2]:
            for sigma_b in (None, 0.0, 0.3):
                yield Case(ensemble, "gram", width, trials, k, sigma_b)
    for width in (1, 2, 3):
        for k in (0.0, math.inf):
            for sigma_b in (None, 0.0):
                yield Case("raai", "gram", width, 8_000, k, sigma_b)
    yield Case("raai", "gram", 5, 8_000, 1.0, widths=(5, 16, 7, 3, 6, 4))
    yield Case("rai", "gram", 6, 8_000, sigma_b=0.0, sigma_w=1.5)


def dense_pairs() -> Iterator[Case]:
    for ensemble, k in (("he", 0.0), ("rai", 0.0), *RICHEST, ("raai", math.inf)):
        yield Case(ensemble, "dense", *SMALL, k)
    for width, trials in LARGER:
        for ensemble, k in RICHEST:
            yield Case(ensemble, "dense", width, trials, k)
    yield Case("correlated", "dense", 6, 8_000, math.inf, 0.3)
    yield Case("raai", "dense", 6, 8_000, -0.5, 0.0)
    yield Case("raai", "dense", 5, 8_000, 1.0, widths=(5, 16, 7, 3, 6, 4))


def other_weights() -> Iterator[Case]:
    """Yield each law, and two also with what is no weight: replacements, and a bias."""
    for weights in ("uniform", "rademacher", "laplace", "student:5", "bernoulli:0.3"):
        yield Case("correlated", "dense", 6, 8_000, 1.0, 0.0, weights)
    for weights in ("rademacher", "bernoulli:0.3"):
        yield Case("raai", "dense", 6, 8_000, 1.0, None, weights)
        yield Case("he", "dense", 20, 4_000, 0.0, 0.3, weights)


def batches() -> Iterator[Case]:
    for sampler in ("gram", "dense"):
        for ensemble in ("he", "rai"):
            yield Case(ensemble, sampler, *FEW, inputs="two pairs")
        yield Case("correlated", sampler, *FEW, 1.0, inputs="eight")
        for width, trials in LARGER_FEW:
            for ensemble, k in RICHEST:
                yield Case(ensemble, sampler, width, trials, k, inputs="eight")
        yield Case("raai", sampler, *SMALL, 1.0, inputs="one pair")
        for width, trials in LARGER:
            yield Case("correlated", sampler, width, trials, 1.0, inputs="one pair")
        yield Case("correlated", sampler, *FEW, math.inf, 0.3, inputs="eight")
        yield Case("raai", sampler, *FEW, math.inf, 0.0, inputs="eight")
        yield Case("raai", sampler, 5, 2_000, 1.0, inputs="eight", widths=(5, 16, 7, 3, 6, 4))
    yield Case("raai", "gram", *FEW, 1.0, inputs="many")
    yield Case("raai", "dense", *FEW, 1.0, None, "rademacher", inputs="many")


def sloped() -> Iterator[Case]:
    """Other activations than ReLU; ``eight`` has an input that is 0 and two that are opposite."""
    for sampler in ("gram", "dense"):
        yield Case("correlated", sampler, 5, 2_000, -0.5, 0.0, inputs="eight", slopes=(1.0, 0.2))
        yield Case("correlated", sampler, 16, 1_500, 1.0, 0.3, inputs="eight", slopes=(0.7, -0.3))
        yield Case("correlated", sampler, 5, 2_000, inputs="two pairs", slopes=(1.0, -1.0))
        yield Case("correlated", sampler, 5, 2_000, 1.0, inputs="two pairs", slopes=(0.5, 0.0))
    yield Case("correlated", "dense", 16, 4_000, math.inf, 0.3, slopes=(1.0, -1.0))
    yield Case("correlated", "dense", 6, 8_000, 1.0, 0.0, "rademacher", slopes=(0.7, -0.3))
    yield Case("he", "dense", 5, 8_000, 0.0, 0.0, "bernoulli:0.3", slopes=(1.0, 0.2))


CASES = (*asymmetric_pairs(), *dense_pairs(), *other_weights(), *batches(), *sloped())


FALSE_ALARM_OF_CASE = FALSE_ALARM / len(CASES)

NEARLY_RIGHT = [
    ("wrong replaced index", Case("raai", "gram", 6, 40_000, 1.0)),
    ("wrong replaced index", Case("rai", "dense", *FEW, inputs="eight")),
    ("no bias replaced", Case("rai", "gram", 6, 8_000)),
    ("no bias replaced", Case("rai", "dense", *FEW, inputs="two pairs")),
    ("g + 0.15", Case("raai", "gram", 6, 80_000, 0.5)),
    ("g + 0.15", Case("correlated", "dense", *FEW, 0.5, inputs="eight")),
    ("normal weights", Case("he", "dense", *SMALL, weights="uniform")),
]
"""What it takes to notice a law does not depend on the sampler, so the quicker one is taken."""


def wrong(law: Law, how: str) -> Law:
    """Return a law that is nearly the right one."""
    if how == "wrong replaced index":
        return replace(law, replaced="first")
    if how == "no bias replaced":
        return replace(law, replaced="weights")
    if how == "normal weights":
        return replace(law, weights="normal")
    return replace(law, g=law.g + 0.15)


def check(case: Case, law: Law, name: str) -> Check:
    return Check(
        name=f"networks/{name}",
        source="theory.md 1-3, explicit weights",
        bound=f"p > {FALSE_ALARM_OF_CASE:.1e}",
        false_alarm=FALSE_ALARM_OF_CASE,
        measure=partial(compare, case, law),
    )


CHECKS = [check(case, case.law(), str(case)) for case in CASES]
WRONG = [check(case, wrong(case.law(), how), f"{case}: {how}") for how, case in NEARLY_RIGHT]

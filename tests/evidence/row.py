"""A row of evidence: a published number, our command, our value, and the verdict."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy import stats
from simcore.cli.config import Given
from simcore.cli.request import build_request
from simcore.cli.simulate import app
from typer.main import get_command

from simcore.numerics.text import with_error
from tests.support.measured import measured

__all__ = [
    "CONTRADICTED",
    "FULL",
    "REPRODUCED",
    "SIGMAS",
    "SMALL",
    "Effort",
    "Found",
    "Row",
    "Sample",
    "Spread",
    "at_infinity",
    "compared",
    "same_ends",
    "same_law",
    "simulated",
    "std_error",
    "within",
]

Floats = npt.NDArray[np.float64]

REPRODUCED, CONTRADICTED = "reproduced", "contradicted"

SIGMAS = 4.0
"""Standard errors at which a number is contradicted: by chance in 6e-5 of the comparisons."""

SMALLEST_P = 1e-4
"""Probability below which a law is contradicted."""

LEAST = 64
"""Networks of the smallest run."""


@dataclass(frozen=True)
class Effort:
    """Size and seed of the simulations: every number of networks is divided by `divisor`."""

    divisor: int
    seed: int = 0

    def of(self, networks: int) -> int:
        """Return how many networks are simulated, of those of the full size."""
        return (
            networks if self.divisor == 1 else min(networks, max(LEAST, networks // self.divisor))
        )


FULL, SMALL = Effort(1), Effort(25)


@dataclass(frozen=True)
class Sample:
    """Two samples of one quantity for a QQ plot: ours, and that of the published law."""

    quantity: str
    ours: Floats
    published: Floats


@dataclass(frozen=True)
class Spread:
    """Standard deviations over networks, by layer: of ln of a batch's mean q, of ln q of one input.

    With the mean correlation of two inputs, and the error of the last batch's.
    """

    batch: Floats
    single: Floats
    correlation: Floats
    error: float


@dataclass(frozen=True)
class Found:
    """Our value in words, the verdict, and what is drawn: a whole law, or spreads by label."""

    value: str
    verdict: str
    sample: Sample | None = None
    spread: Mapping[str, Spread] | None = None


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Parameters
    ----------
    name
        Source and quantity, separated by a slash.
    source
        Authors, arXiv number, and the figure or statement.
    command
        What gives our value.
    published
        The published value, in words.
    measure
        Simulates and compares.
    expected
        The verdict as it was found in full; another one is a failure.
    why
        The reason where the verdict is not that the value is reproduced, or a remark.
    """

    name: str
    source: str
    command: str
    published: str
    measure: Callable[[Effort], Found]
    expected: str = REPRODUCED
    why: str = ""


# --- runs -----------------------------------------------------------------------------------------


@cache
def simulated(
    command: str, effort: Effort, inputs: Callable[[], Floats] | None = None
) -> xr.Dataset:
    """Return the Dataset of a `simulate` command, with the networks and the seed of an effort.

    `inputs` makes the array of the file INPUTS.npy that the command names. No file of results is
    written, and nothing is predicted, which take longer than the simulation.
    """
    words = shlex.split(command)
    assert words[0] == "simulate"
    for option in ("--trials", "--keep"):
        if option in words:
            at = words.index(option) + 1
            words[at] = str(effort.of(int(words[at])))
    with TemporaryDirectory() as folder:
        if inputs is not None:
            given = Path(folder) / "INPUTS.npy"
            np.save(given, inputs())
            words[words.index("INPUTS.npy")] = str(given)
        context = get_command(app).make_context(
            "simulate", [*words[1:], "--seed", str(effort.seed)]
        )
        return measured(build_request(Given.typed(context.params)).run)


# --- verdicts -------------------------------------------------------------------------------------


def compared(value: float, error: float, published: float, slack: float = 0.0) -> Found:
    """Compare a value with a published one, whose own rounding and error are `slack`."""
    reach = SIGMAS * error + slack
    verdict = REPRODUCED if abs(value - published) <= reach else CONTRADICTED
    return Found(with_error(value, error), verdict)


def within(value: float, error: float, low: float, high: float) -> Found:
    """Compare a value with a published range."""
    inside = low - SIGMAS * error <= value <= high + SIGMAS * error
    return Found(with_error(value, error), REPRODUCED if inside else CONTRADICTED)


def at_infinity(values: Floats, errors: Floats) -> tuple[float, float]:
    """Extrapolate in 1/N to N = ∞, from widths of which each is 4 times the one before.

    A line through two widths leaves −b/(N₁N₂) of a term b/N², 2e-7 b from N = 1024 and 4096; a
    parabola through three leaves c/(N₁N₂N₃) of c/N³.
    """
    inverse = 4.0 ** -np.arange(len(values))
    others = [np.delete(inverse, i) for i in range(len(values))]
    shares = [np.prod(x / (x - own)) for own, x in zip(inverse, others, strict=True)]
    weights = np.array(shares)
    return float(weights @ values), float(np.linalg.norm(weights * errors))


def same_ends(values: Floats, count: int, low: float, high: float) -> Found:
    """Compare the least and the largest of `count` networks with published ones.

    The law of one network is lognormal with mean and spread of `values`, whose own errors make it
    Student's. The probabilities of ends below the published ones are exact.
    """
    logs, n = np.log(values), values.size
    law = stats.t(n - 1, logs.mean(), logs.std(ddof=1) * math.sqrt(1.0 + 1.0 / n))
    below = 1.0 - (1.0 - law.cdf(math.log(low))) ** count, law.cdf(math.log(high)) ** count
    middle = law.ppf(1.0 - 0.5 ** (1.0 / count)), law.ppf(0.5 ** (1.0 / count))
    p = min(2.0 * min(x, 1.0 - x) for x in below)
    text = " to ".join(
        f"{math.exp(x):.3g} ({b:.1%} below)" for x, b in zip(middle, below, strict=True)
    )
    return Found(text, REPRODUCED if p > SMALLEST_P else CONTRADICTED)


def same_law(quantity: str, ours: Floats, published: Floats) -> Found:
    """Compare a sample with one of a published law by Kolmogorov and Smirnov's test."""
    p = float(stats.ks_2samp(ours, published).pvalue)
    verdict = REPRODUCED if p > SMALLEST_P else CONTRADICTED
    return Found(f"KS p = {p:.2g} of {ours.size}", verdict, Sample(quantity, ours, published))


def std_error(values: Floats) -> float:
    """Return the standard error of a sample's standard deviation, from its fourth moment."""
    centred = values - values.mean()
    second = float(np.mean(centred**2))
    excess = float(np.mean(centred**4)) / second**2 - 1.0
    return math.sqrt(second * excess / values.size) / 2.0

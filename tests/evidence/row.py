"""A row of evidence: a published number, our command, our value, and the verdict."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy import stats
from simcore.cli.simulate import main as simulate

from simcore.numerics.text import with_error
from simcore.results.open_run import open_run

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
    "compared",
    "same_law",
    "simulated",
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
class Found:
    """Our value in words, the verdict, and the samples where a whole law is compared."""

    value: str
    verdict: str
    sample: Sample | None = None


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

    `inputs` makes the array of the file INPUTS.npy that the command names.
    """
    words = shlex.split(command)
    assert words[0] == "simulate"
    for option in ("--trials", "--keep"):
        if option in words:
            at = words.index(option) + 1
            words[at] = str(effort.of(int(words[at])))
    with TemporaryDirectory() as folder:
        path, given = Path(folder) / "run.h5", Path(folder) / "INPUTS.npy"
        if inputs is not None:
            np.save(given, inputs())
            words[words.index("INPUTS.npy")] = str(given)
        code = simulate([*words[1:], "--seed", str(effort.seed), "-o", str(path), "--quiet"])
        assert code == 0, command
        with open_run(path) as ds:
            return ds.load()


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

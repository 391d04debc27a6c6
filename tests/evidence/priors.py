"""Priors over functions: one output of a network at initialization."""

from __future__ import annotations

import math
from functools import cache, partial

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.special import gammaln, kve

from tests.evidence.row import (
    CONTRADICTED,
    REPRODUCED,
    SMALLEST_P,
    Effort,
    Found,
    Row,
    Sample,
    same_law,
    simulated,
)

Floats = npt.NDArray[np.float64]

ZAVATONE = "Zavatone-Veth & Pehlevan, arXiv 2104.11734"
NETWORKS = 10_000
WIDTHS = (1, 2, 5, 10, 100)


def prior_command(width: int, hidden: int = 1) -> str:
    return (
        f"simulate --widths {width}x{hidden},1 --controls off --trials {NETWORKS} --keep {NETWORKS}"
    )


@cache
def exact_cdf(width: int) -> tuple[Floats, Floats]:
    """Return ln |f| and its distribution function, the atom at 0 left out, one hidden layer.

    Given K active units f = √(4/N) z, whose density z^ν K_ν(z)/(√π 2^ν Γ(K/2)), ν = (K − 1)/2, is
    the Meijer G function of the source; K has the weight C(N, K) 2⁻ᴺ.
    """
    log_z = np.linspace(math.log(1e-9), math.log(200.0), 20_000)
    z = np.exp(log_z)
    density = np.zeros_like(z)
    for active in range(1, width + 1):
        nu = 0.5 * (active - 1)
        weight = stats.binom.logpmf(active, width, 0.5) - math.log1p(-(0.5**width))
        with np.errstate(divide="ignore", over="ignore"):
            bessel = np.log(kve(nu, z)) - z
        shape = nu * log_z + bessel - nu * math.log(2.0) - 0.5 * math.log(math.pi)
        part = weight + shape - gammaln(0.5 * active) + math.log(2.0) + log_z
        density += np.where(np.isfinite(part), np.exp(part), 0.0)
    steps = 0.5 * (density[1:] + density[:-1]) * np.diff(log_z)
    cdf = np.concatenate([[0.0], np.cumsum(steps)])
    return log_z + 0.5 * math.log(4.0 / width), cdf / cdf[-1]


def outputs(effort: Effort, command: str) -> Floats:
    """Return ln |f| of the networks whose output is not 0."""
    values = 0.5 * simulated(command, effort).log_q1_trajectories.isel(layer=-1).values
    return np.asarray(values[np.isfinite(values)])


def prior(effort: Effort, width: int, scale: float = 1.0) -> Found:
    ours = outputs(effort, prior_command(width))
    at, cdf = exact_cdf(width)
    at = at + math.log(scale)
    p = float(stats.kstest(ours, lambda x: np.interp(x, at, cdf)).pvalue)
    published = np.interp((np.arange(2_000) + 0.5) / 2_000, cdf, at)
    verdict = REPRODUCED if p > SMALLEST_P else CONTRADICTED
    sample = Sample(f"ln |f|, N = {width}", ours, published)
    return Found(f"KS p = {p:.2g} of {ours.size}", verdict, sample)


def atom(effort: Effort, width: int) -> Found:
    """Compare the share of networks whose output is 0 with the atom."""
    command = prior_command(width)
    dead = int(simulated(command, effort).dead_network1.sel(layer=1) * effort.of(NETWORKS) + 0.5)
    p = float(stats.binomtest(dead, effort.of(NETWORKS), 0.5**width).pvalue)
    share = dead / effort.of(NETWORKS)
    return Found(f"{share:.4f} (p = {p:.2g})", REPRODUCED if p > SMALLEST_P else CONTRADICTED)


def deeper(effort: Effort, width: int, hidden: int) -> Found:
    """Compare with the mixture of products over the hidden layers, drawn by its factors."""
    rng = np.random.default_rng(6)
    total = math.log(2.0) + np.log(rng.chisquare(1, 200_000))
    for _ in range(hidden):
        active = rng.binomial(width, 0.5, total.size)
        with np.errstate(divide="ignore"):
            total += np.log(4.0 / width * rng.standard_gamma(active / 2.0))
    ours = outputs(effort, prior_command(width, hidden))
    return same_law(f"ln |f|, N = {width}, {hidden} layers", ours, 0.5 * total[np.isfinite(total)])


def rows() -> list[Row]:
    found = [
        Row(
            f"zavatone-veth-pehlevan/prior, N = {width}",
            f"{ZAVATONE}: mixture over C(n, k)2⁻ⁿ of Meijer G functions, one hidden layer",
            prior_command(width),
            "the whole law, KS",
            partial(prior, width=width),
        )
        for width in WIDTHS
    ]
    found += [
        Row(
            f"zavatone-veth-pehlevan/atom, N = {width}",
            f"{ZAVATONE}: the output is 0 with probability 2⁻ⁿ",
            prior_command(width),
            f"{0.5**width:.5f}",
            partial(atom, width=width),
        )
        for width in (1, 2, 5)
    ]
    return found + [
        Row(
            f"zavatone-veth-pehlevan/prior, N = 5, {hidden} layers",
            f"{ZAVATONE}: the same, deeper",
            prior_command(5, hidden),
            "the whole law, KS",
            partial(deeper, width=5, hidden=hidden),
        )
        for hidden in (2, 4)
    ]


ROWS = rows()
WRONG = [
    Row(
        "zavatone-veth-pehlevan/prior, twice as wide",
        ZAVATONE,
        prior_command(10),
        "",
        partial(prior, width=10, scale=2.0),
    )
]

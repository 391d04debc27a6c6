"""Scales: WhestBench, NFNets and timm, AnyInit."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import numpy.typing as npt
import xarray as xr

from simcore.numerics.text import with_error
from simcore.physics.parameters import norm_preserving_sigma_w
from simcore.theory import trajectory
from tests.evidence.row import (
    CONTRADICTED,
    REPRODUCED,
    SIGMAS,
    Effort,
    Found,
    Row,
    Spread,
    compared,
    same_ends,
    simulated,
    std_error,
)

Floats = npt.NDArray[np.float64]

# --- the variance over inputs ---------------------------------------------------------------------

WHEST = (
    "ARC, WhestBench (AIcrowd/whestbench, 2026), avg_variance = E⟨x²⟩ − E⟨x x′⟩ of the last layer"
)


def whest_command(width: int, depth: int) -> str:
    trials = 20_000 if width == 256 else 40_000
    return f"simulate --width {width} --depth {depth} --correlation 0 --trials {trials}"


def variance(effort: Effort, width: int, depth: int, published: float, slack: float) -> Found:
    at = simulated(whest_command(width, depth), effort).isel(layer=-1)
    return compared(float(at.variance), float(at.variance_stderr), published, slack)


WHEST_NETWORKS = (
    "simulate --width 256 --depth 8 --shared-network --pairs 64 --correlation 0 --trials 1"
)


def variance_range(effort: Effort, low: float, high: float) -> Found:
    """Compare the ends of `variance` over 100 networks, each the mean of 64 pairs of inputs."""
    count = 100 if effort.divisor == 1 else 4
    networks = [
        float(simulated(WHEST_NETWORKS, Effort(1, seed)).variance.isel(layer=-1).mean())
        for seed in range(100 * effort.seed, 100 * effort.seed + count)
    ]
    if effort.divisor == 1:
        return same_ends(np.array(networks), 100, low, high)
    # So few say nothing about ends: each must be of the lognormal law whose 100 end at ±2.5 sd.
    z = (np.log(networks) - 0.5 * math.log(low * high)) / (math.log(high / low) / 5.0)
    verdict = REPRODUCED if np.abs(z).max() < SIGMAS else CONTRADICTED
    return Found(f"{min(networks):.3f} to {max(networks):.3f} of {count}", verdict)


def mean_field_variance(depth: int) -> float:
    """Return `variance` at infinite width for orthogonal inputs."""
    return float(trajectory(depth, distance=1.0).variance[-1])


def whest() -> list[Row]:
    return [
        Row(
            "whestbench/256 x 8",
            f"{WHEST}; page: about 0.18",
            whest_command(256, 8),
            f"0.18 (rounded); mean field {mean_field_variance(8):.4f}",
            partial(variance, width=256, depth=8, published=0.18, slack=0.005),
        ),
        Row(
            "whestbench/256 x 8, range of 100 networks",
            WHEST,
            WHEST_NETWORKS + ", of seeds 0 to 99",
            "0.11 to 0.27",
            partial(variance_range, low=0.11, high=0.27),
            why="medians of the ends of 100, by a lognormal law with our mean and spread; in "
            "brackets how often the end is below theirs",
        ),
        Row(
            "whestbench/256 x 32",
            f"{WHEST}; the page has 0.18 here, too",
            whest_command(256, 32),
            f"0.18; mean field {mean_field_variance(32):.4f}",
            partial(variance, width=256, depth=32, published=0.18, slack=0.005),
            expected=CONTRADICTED,
            why="0.18 is the value of 8 layers; inputs merge with depth",
        ),
        Row(
            "whestbench/256 x 32, mean field",
            "infinite width",
            whest_command(256, 32),
            f"{mean_field_variance(32):.4f}",
            partial(variance, width=256, depth=32, published=mean_field_variance(32), slack=0.0),
            expected=CONTRADICTED,
            why="off by two at L/N = 1/8: few networks, whose signals stay apart, carry the mean",
        ),
        Row(
            "whestbench/1024 x 16, mean field",
            "infinite width",
            whest_command(1024, 16),
            f"{mean_field_variance(16):.4f}",
            partial(variance, width=1024, depth=16, published=mean_field_variance(16), slack=0.0),
            expected=CONTRADICTED,
            why="low by 6 %, the term of order L/N",
        ),
    ]


# --- gains ----------------------------------------------------------------------------------------

NFNETS = "NFNets (Brock and others, arXiv 2101.08692) and timm: γ = 1.7139588594436646 for ReLU"
GAIN = 1.7139588594436646
OF_GAIN = f"simulate --width 256 --depth 40 --k inf --sigma-w {GAIN} --trials 4000"


def exact_gain(effort: Effort, published: float, slack: float) -> Found:
    value = norm_preserving_sigma_w(math.inf)
    return Found(f"{value:.10f}", compared(value, 0.0, published, slack).verdict)


def growth(effort: Effort, published: float) -> Found:
    """Return the factor of E q per layer, from layer 1 to 40."""
    ds = simulated(OF_GAIN, effort)
    first, last = (ds.q1_controlled.sel(layer=layer).item() for layer in (1, 40))
    errors = [ds.q1_controlled_stderr.sel(layer=layer).item() for layer in (1, 40)]
    value = (last / first) ** (1 / 39)
    return compared(value, value / 39 * math.hypot(errors[0] / first, errors[1] / last), published)


def exact_growth(n: int, gain: float) -> float:
    """Return E q′/q of zero-sum weights of fan-in n, (γ²/2)(1 − 1/π)(1 − 1/n)."""
    return gain**2 / 2.0 * (1.0 - 1.0 / math.pi) * (1.0 - 1.0 / n)


NFROWS = [
    Row(
        "nfnets/gain of ReLU",
        NFNETS,
        "simcore theory fixed-point --k inf",
        str(GAIN),
        partial(exact_gain, published=GAIN, slack=0.0),
        expected=CONTRADICTED,
        why="theirs is an estimate from samples, 0.064 % high; exact is √(2/(1 − 1/π))",
    ),
    Row(
        "nfnets/exact gain",
        "√(2/(1 − 1/π)), k = ∞ at infinite width",
        "simcore theory fixed-point --k inf",
        "1.7128585504",
        partial(exact_gain, published=1.7128585504, slack=5e-11),
    ),
    Row(
        "nfnets/growth at fan-in 256",
        "E q′/q = (γ²/2)(1 − 1/π)(1 − 1/n), so γ² = 2π/(π − 1) · n/(n − 1) preserves the norm",
        OF_GAIN,
        f"{exact_growth(256, GAIN):.6f} a layer",
        partial(growth, published=exact_growth(256, GAIN)),
    ),
]


# --- the batch mean of q --------------------------------------------------------------------------

ANYINIT = (
    "AnyInit 0.4.0 (documentation): 20 layers, width 128, batch 4096, 16 seeds, E[a²] at the end"
)
SEEDS = 192


def batch_command(k: str, pairs: int = 256) -> str:
    return (
        f"simulate --width 128 --depth 20 --k {k} --shared-network --pairs {pairs} --correlation 0 "
        f"--trials {SEEDS} --keep {SEEDS}"
    )


def batches(effort: Effort, k: str) -> xr.Dataset:
    return simulated(batch_command(k, 256 if effort.divisor == 1 else 64), effort)


def batch_means(effort: Effort, k: str) -> Floats:
    """Return the mean of q over the inputs of networks, over its start, (network, layer)."""
    ds = batches(effort, k)
    q = 0.5 * (np.exp(ds.log_q1_trajectories) + np.exp(ds.log_q2_trajectories))
    values = q.mean("pair").transpose("trial", "layer").values
    start = float(ds.q1.isel(layer=0).mean())
    return np.asarray(values / start)


def range_of_16(effort: Effort, k: str, low: float, high: float) -> Found:
    """Compare the ends of the batch means of 16 networks."""
    return same_ends(batch_means(effort, k)[:, -1], 16, low, high)


def spread_against(effort: Effort) -> Found:
    """Return the spread over networks of the batch mean for k = 0, 1, ∞, with its reason.

    Centred, it must be below the others by more than four standard errors.
    """
    curves = {f"k = {'∞' if k == 'inf' else k}": spread_of(effort, k) for k in ("0", "1", "inf")}
    last = {label: curve.batch[-1] for label, curve in curves.items()}
    errors = {label: curve.error for label, curve in curves.items()}
    centred = last["k = ∞"] + SIGMAS * errors["k = ∞"]
    least = min(last[x] - SIGMAS * errors[x] for x in ("k = 0", "k = 1"))
    text = ", ".join(f"{with_error(last[x], errors[x])} ({x})" for x in curves)
    verdict = REPRODUCED if centred < least else CONTRADICTED
    return Found(f"std of its logarithm {text}", verdict, spread=curves)


def spread_of(effort: Effort, k: str) -> Spread:
    """Return the spread of the batch mean and of one input, and the mean correlation, by layer."""
    ds = batches(effort, k)
    logs = np.log(batch_means(effort, k))
    one = ds.log_q1_trajectories.isel(pair=0).transpose("trial", "layer").values
    return Spread(
        batch=logs.std(axis=0, ddof=1),
        single=one.std(axis=0, ddof=1),
        correlation=ds.correlation.mean("pair").values,
        error=std_error(logs[:, -1]),
    )


ANYROWS = [
    Row(
        "anyinit/batch mean of 16 networks",
        ANYINIT,
        batch_command("0"),
        "0.11 to 2.25",
        partial(range_of_16, k="0", low=0.11, high=2.25),
        why="medians of the ends of 16, likewise; 512 inputs stand for their 4,096",
    ),
    Row(
        "anyinit/batch mean of 16 networks, centred",
        f"{ANYINIT}, with centring (k = ∞)",
        batch_command("inf"),
        "0.78 to 1.22",
        partial(range_of_16, k="inf", low=0.78, high=1.22),
        why="as above",
    ),
    Row(
        "anyinit/why centring steadies it",
        "inputs become one under independent weights, and a batch is one input; not when centred",
        batch_command("0") + "; likewise k = 1, inf",
        "centred, it is smaller",
        spread_against,
        why="figure below",
    ),
]

ROWS = [*whest(), *NFROWS, *ANYROWS]
WRONG = [
    Row(
        "whestbench/256 x 8, mean field",
        WHEST,
        whest_command(256, 8),
        "",
        partial(variance, width=256, depth=8, published=2.0 * mean_field_variance(8), slack=0.0),
    ),
    Row(
        "anyinit/batch mean of 16 networks, centred, those of the others",
        ANYINIT,
        batch_command("inf"),
        "",
        partial(range_of_16, k="inf", low=0.11, high=2.25),
    ),
]

"""Means and standard deviations at first order in 1/N, against simulated networks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from simcore.physics.observables import column
from simcore.runs.run import Run
from simcore.theory import FIRST_ORDER, first_order, trajectory
from tests.verify.check import Check, Effort, Outcome
from tests.verify.width import chance, moments_of

__all__ = ["CHECKS", "WRONG"]

Floats = npt.NDArray[np.float64]

SIGMAS = 4.5
"""Tolerance in standard errors: a false alarm in 150,000 comparisons."""

REMAINDER = 0.02
"""Bound of the terms of order (L/N)² in a mean, in standard deviations, at L/N ≤ 0.08; at most
0.016 was found with 10⁵ trials (bench/first_order.py)."""

STD_REMAINDER = 0.05
"""The same of a standard deviation, relative; at k = ∞ 0.03 was found at N = 256."""

TRIALS = 64 * 512
WIDTH, DEPTH = 128, 10

CASES: list[tuple[float, float | None, float]] = [
    (-0.5, None, 0.0),
    (0.0, None, 0.0),
    (1.0, None, 0.0),
    (math.inf, None, 0.0),
    (0.0, None, 0.3),
    (1.0, 1.3, 0.3),
]
"""k, σ_w and σ_b."""


def measured(effort: Effort, **ensemble: Any) -> tuple[Floats, Floats, Floats]:
    """Means, standard deviations and counts, each of shape (depth, observable)."""
    options: dict[str, Any] = {
        name: (value,) for name, value in ensemble.items() if value is not None
    }
    run = Run(
        depth=DEPTH,
        width=(WIDTH,),
        ensemble="correlated",
        correlation=(0.5,),
        trials=effort.of(TRIALS),
        keep=0,
        seed=effort.seed - 1,
        **options,
    )
    moments = moments_of(run)
    return moments.mean, np.sqrt(moments.m2 / (moments.count - 1.0)), moments.count


def first_order_of(effort: Effort, *, k: float, sigma_w: float | None, sigma_b: float) -> Outcome:
    """Largest deviation of a mean or a standard deviation from (8), as a share of its tolerance."""
    ensemble = {"k": k, "sigma_w": sigma_w, "sigma_b": sigma_b}
    mean, std, count = measured(effort, **ensemble)
    order = first_order(DEPTH, width=WIDTH, correlation=0.5, **ensemble)  # type: ignore[arg-type]
    shares: dict[str, float] = {}
    for name in FIRST_ORDER:
        i = column(name)
        off = np.abs(mean[:, i] - order.mean[name]) / std[:, i]
        shares[f"mean of {name}"] = np.max(off / (SIGMAS / np.sqrt(count[:, i]) + REMAINDER))
        # The error of a standard deviation; √2 allows for a kurtosis of 5.
        error = math.sqrt(2.0) / np.sqrt(2.0 * count[:, i])
        ratio = np.abs(std[:, i] / order.std[name] - 1.0)
        shares[f"std of {name}"] = np.max(ratio / (SIGMAS * error + STD_REMAINDER))
    where = max(shares, key=lambda name: shares[name])
    holds = all(share < 1.0 for share in shares.values())
    return Outcome(f"{shares[where]:.2f} of the tolerance ({where})", holds)


def mean_field_of(effort: Effort, *, name: str) -> Outcome:
    """The same deviation of a mean from mean field instead, in the last layer at k = 0.

    It is 0.2 to 0.4 standard deviations. The tolerance is one and a half that of (8).
    """
    mean, std, count = measured(effort, k=0.0)
    i = column(name)
    off = abs(mean[-1, i] - trajectory(DEPTH, correlation=0.5).observable(name)[-1]) / std[-1, i]
    share = float(off / (1.5 * (SIGMAS / math.sqrt(count[-1, i]) + REMAINDER)))
    return Outcome(f"{share:.2f} of the tolerance", share < 1.0)


def checks() -> Iterator[Check]:
    for k, sigma_w, sigma_b in CASES:
        scale = "default" if sigma_w is None else f"{sigma_w:g}"
        yield Check(
            name=f"first order/k={k:g} sigma_w={scale} sigma_b={sigma_b:g}",
            source="theory.md (8)",
            bound=f"< 1: {SIGMAS:g} errors + {REMAINDER:g} std (mean), {STD_REMAINDER:.0%} (std)",
            false_alarm=chance(SIGMAS, 2 * DEPTH * len(FIRST_ORDER)),
            measure=partial(first_order_of, k=k, sigma_w=sigma_w, sigma_b=sigma_b),
        )


CHECKS = list(checks())
WRONG = [
    Check(
        name=f"first order/mean field instead, {name}",
        source="theory.md (8)",
        bound=f"< 1: 1.5 ({SIGMAS:g} errors + {REMAINDER:g} std)",
        false_alarm=chance(SIGMAS),
        measure=partial(mean_field_of, name=name),
    )
    for name in ("log_q1", "log_q2", "log_distance")
]

"""Depth in proportion to width: Li, Nica and Roy's diffusion of shaped ReLU."""

from __future__ import annotations

import math
from functools import partial

from scipy import stats

from simcore.theory import sde
from tests.evidence.row import (
    CONTRADICTED,
    REPRODUCED,
    SMALLEST_P,
    Effort,
    Found,
    Row,
    compared,
    simulated,
    std_error,
)

__all__ = ["ROWS", "WRONG"]

LI = "Li, Nica & Roy, arXiv 2206.02768, theorem 3.2"
SHAPE, START = (0.0, -1.0), 0.3
TRIALS = {64: 20_000, 256: 5_000, 1024: 1_000}
APPROACH = 0.6
"""What a mean or standard deviation at finite width may be off, times N."""


def command(width: int) -> str:
    """Return the command of networks as deep as they are wide."""
    shape = ",".join(f"{c:g}" for c in SHAPE)
    trials = TRIALS[width]
    return (
        f"simulate --width {width} --depth {width} --slopes shaped:{shape} "
        f"--correlation {START} --trials {trials} --keep {trials}"
    )


def moment(effort: Effort, width: int, name: str, shape: tuple[float, float] = SHAPE) -> Found:
    """Compare the mean or the standard deviation at t = 1 with those of a shape."""
    law = sde(1.0, shape=shape, correlation=START)
    c = simulated(command(width), effort).correlation_trajectories.values[:, -1]
    if name == "mean":
        value, error, published = c.mean(), c.std() / math.sqrt(c.size), law.mean[0]
    else:
        value, error, published = c.std(), std_error(c), law.std[0]
    return compared(float(value), float(error), float(published), APPROACH / width)


def whole_law(effort: Effort, width: int) -> Found:
    """Compare the law of c at t = 1 by Kolmogorov and Smirnov's test."""
    law = sde(1.0, shape=SHAPE, correlation=START)
    c = simulated(command(width), effort).correlation_trajectories.values[:, -1]
    p = float(stats.kstest(c, lambda x: law.probability(x)[0]).pvalue)
    verdict = REPRODUCED if p > SMALLEST_P else CONTRADICTED
    return Found(f"KS p = {p:.2g} of {c.size}", verdict)


def rows() -> list[Row]:
    law = sde(1.0, shape=SHAPE, correlation=START)
    found = []
    for width in TRIALS:
        for name, value in (("mean", law.mean[0]), ("std", law.std[0])):
            found.append(
                Row(
                    f"li-nica-roy/{name} of c at t = 1, N = {width}",
                    LI,
                    command(width),
                    f"{value:.4f}",
                    partial(moment, width=width, name=name),
                    why=f"within {APPROACH}/N, the approach to the limit",
                )
            )
        found.append(
            Row(
                f"li-nica-roy/law of c at t = 1, N = {width}",
                LI,
                command(width),
                "the diffusion",
                partial(whole_law, width=width),
            )
        )
    return found


ROWS = rows()
WRONG = [
    Row(
        "li-nica-roy/another kink",
        LI,
        command(64),
        f"{sde(1.0, shape=(2.0, -2.0), correlation=START).mean[0]:.4f}",
        partial(moment, width=64, name="mean", shape=(2.0, -2.0)),
    )
]

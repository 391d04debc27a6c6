"""Leaky ReLU and the absolute value: gains, fixed points, phases."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from simcore.physics.slopes import Slopes, mean_square, norm_preserving_sigma_w
from simcore.theory import fixed_point
from tests.evidence.phases import (
    GRID,
    SHARED,
    controlled,
    crossing,
    located,
    named,
    parting,
)
from tests.evidence.row import Effort, Found, Row, compared, simulated

__all__ = ["ROWS", "WRONG"]

HE = "He et al., arXiv 1502.01852, equation 15"
FIXED = "infinite width, theory.md (7g): c* is that of ReLU, for all slopes"
PHASES = "infinite width, theory.md 4"
LEAKY, ABS = (1.0, 0.2), (1.0, -1.0)
OF_GAIN = "simulate --width 1024 --depth 40 --slopes leaky:{a} --trials 2000"
OF_LEAKY = f"{GRID} --depth 150 --slopes leaky:0.2 --k 1,3,inf --correlation 0.5 --trials 600"
OF_ABS = f"{GRID} --depth 40 --slopes abs --k 1,3,inf --correlation 0.5 --trials 1000"
OF_CHAOS = (
    f"{GRID} --depth 60 --slopes abs --k 1,inf --sigma-w 0.974679,1,1.024695 --sigma-b 0.5 "
    "--distance 1e-18 --trials 1000"
)
OF_BOUND = (
    f"{GRID} --depth 49 --slopes abs --k=-0.5,1,inf --sigma-b 0.5 --correlation 0.5 --trials 1000"
)


def gain(effort: Effort, a: float, published: float) -> Found:
    """Return the σ_w² that keeps E q, to which its growth is proportional."""
    ds = simulated(OF_GAIN.format(a=a), effort).sel(layer=[1, 40])
    q, error = controlled(ds, "q1")
    value = norm_preserving_sigma_w(0.0, (1.0, a)) ** 2 * (q[1] / q[0]) ** (-1 / 39)
    return compared(float(value), float(value / 39 * np.linalg.norm(error / q)), published)


def limit(effort: Effort, command: str, k: float, published: float) -> Found:
    """Return c* extrapolated in N, from the last layer."""
    at = simulated(command, effort).sel(k=k).isel(layer=-1)
    return located(*controlled(at, "correlation"), published)


def order_to_chaos(effort: Effort, k: float, published: float) -> Found:
    """Return the σ_w² at which neighbours neither part nor meet, with bias, q at q*."""
    ds = simulated(OF_CHAOS, effort)
    rates = parting(ds.sel(k=k), 30, 60, "sigma_w")
    roots = np.array([crossing(np.log(ds.sigma_w.values**2), *x) for x in zip(*rates, strict=True)])
    values = np.exp(roots[:, 0])
    return located(values, values * roots[:, 1], published)


def bounded_to_unbounded(effort: Effort, k: float, published: float) -> Found:
    """Return the σ_w² at which q, with bias, rises as fast late as early."""
    q, error = controlled(simulated(OF_BOUND, effort).sel(k=k, layer=[1, 25, 49]), "q1")
    rises, own = np.diff(q), np.hypot(error[:, 1:], error[:, :-1])
    values = preserving(k) * (rises[:, 1] / rises[:, 0]) ** (-1 / 24)
    return located(values, values / 24 * np.linalg.norm(own / rises, axis=1), published)


def preserving(k: float) -> float:
    return norm_preserving_sigma_w(k, ABS) ** 2


def of_fixed_points(label: str, slopes: Slopes, command: str) -> list[Row]:
    """Return the rows of c* of an activation."""
    found = []
    for k in (1.0, 3.0, math.inf):
        star = fixed_point(k=k, slopes=slopes).correlation
        found.append(
            Row(
                f"slopes/c* of {label}, k = {named(k)}",
                FIXED,
                command,
                f"{abs(star):.5f}",
                partial(limit, command=command, k=k, published=star),
            )
        )
    return found


def rows() -> list[Row]:
    gains = [
        Row(
            f"he/gain of a leaky ReLU, a = {a}",
            HE,
            OF_GAIN.format(a=a),
            f"2/(1 + a²) = {2.0 / (1.0 + a * a):.4f}",
            partial(gain, a=a, published=2.0 / (1.0 + a * a)),
        )
        for a in (0.01, 0.25)
    ]
    return [
        *gains,
        *of_fixed_points("leaky ReLU, a = 0.2", LEAKY, OF_LEAKY),
        *of_fixed_points("the absolute value", ABS, OF_ABS),
        *(
            Row(
                f"slopes/order to chaos of the absolute value, k = {named(k)}",
                f"{PHASES}: with bias, q bounded: σ_w² = 1/A for every k > 0",
                OF_CHAOS,
                f"{1.0 / mean_square(ABS):g}",
                partial(order_to_chaos, k=k, published=1.0 / mean_square(ABS)),
                why=f"where ln(1 − c) is level from layer 30 to 60; {SHARED}",
            )
            for k in (1.0, math.inf)
        ),
        *(
            Row(
                f"slopes/bounded to unbounded q of the absolute value, k = {named(k)}",
                f"{PHASES}: with bias, σ_w² = 1/(1 − 2k/(π(1 + k)))",
                OF_BOUND,
                f"{preserving(k):.5f}",
                partial(bounded_to_unbounded, k=k, published=preserving(k)),
                why=f"where q rises as fast from layer 25 to 49 as from 1 to 25; {SHARED}",
            )
            for k in (-0.5, 1.0, math.inf)
        ),
    ]


ROWS = rows()
WRONG = [
    Row(
        "he/gain of a leaky ReLU, a = 0.25, that of ReLU",
        HE,
        OF_GAIN.format(a=0.25),
        "",
        partial(gain, a=0.25, published=2.0),
    )
]

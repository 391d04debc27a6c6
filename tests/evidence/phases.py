"""The phase diagram of correlated weights, measured on a grid with control variates."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt
import xarray as xr

from simcore.numerics.text import with_error
from simcore.physics.parameters import correlation_strength
from simcore.theory import fixed_point, trajectory
from tests.evidence.row import (
    CONTRADICTED,
    REPRODUCED,
    Effort,
    Found,
    Row,
    at_infinity,
    compared,
    simulated,
)

Floats = npt.NDArray[np.float64]

SINGH = "Singh & Sreejith, arXiv 2103.12499"
GRID = "simulate --width 256,1024,4096"
STRENGTHS = (-0.5, 0.5, 1.0, 3.0, 10.0, math.inf)
OF_K = "--k=-0.5,0.5,1,3,10,inf"
OF_NORM = f"{GRID} --depth 200 {OF_K} --correlation 0.5 --trials 800"
OF_BOUND = f"{GRID} --depth 41 {OF_K} --sigma-b 0.5 --correlation 0.5 --trials 800"
OF_CHAOS = (
    f"{GRID} --depth 120 --k 0.5,1,3,10,inf --sigma-w 1.407125,1.414214,1.421267 --sigma-b 0.5 "
    "--distance 1e-18 --trials 500"
)
OF_SIGN = (
    f"{GRID} --depth 60 --k=-0.1,0,0.1 --sigma-w 1.8 --sigma-b 0.5 --distance 1e-18 --trials 500"
)
OF_BOUNDED = (
    f"{GRID} --depth 200 --k 1,3,10,inf --sigma-w 1.48324 --sigma-b 0.5 --correlation 0.5 "
    "--trials 400"
)
SHARED = "errors are upper bounds: layers share their networks"


def named(k: float) -> str:
    return "inf" if math.isinf(k) else f"{k:g}"


def located(values: Floats, errors: Floats, published: float) -> Found:
    """Compare the extrapolation to N = ∞ with a published value; show each width, too."""
    found = compared(*at_infinity(values, errors), published)
    widths = ", ".join(with_error(v, e) for v, e in zip(values, errors, strict=True))
    return replace(found, value=f"{found.value}; {widths} at N = 256, 1024, 4096")


def controlled(ds: xr.Dataset, name: str, *other: str) -> tuple[Floats, Floats]:
    """Return means and errors along the widths, the layers where there are several, and `other`.

    By control variates, where the run has them.
    """
    order = [dim for dim in ("width", "layer", *other) if dim in ds.dims]
    ds = ds.sortby("width") if "width" in ds.dims else ds
    name = f"{name}_controlled" if f"{name}_controlled" in ds else name
    pair = (ds[f"{name}{end}"] for end in ("", "_stderr"))
    values, errors = (x.transpose(*order).values for x in pair)
    return values, errors


# --- without bias ---------------------------------------------------------------------------------


def sigma2(k: float) -> float:
    """Return the norm-preserving σ_w²."""
    return 2.0 / (1.0 - correlation_strength(k) / math.pi)


def limit(effort: Effort, k: float, published: float) -> Found:
    """Return c* extrapolated in N, from the last layer."""
    at = simulated(OF_NORM, effort).sel(k=k).isel(layer=-1)
    return located(*controlled(at, "correlation"), published)


def norm_preserving(effort: Effort, k: float, published: float) -> Found:
    """Return the σ_w² at which E q is kept: growth is proportional to σ_w².

    Deeper q has a long tail, and so wrong errors, and tells no more of a layer.
    """
    q, error = controlled(simulated(OF_NORM, effort).sel(k=k, layer=[1, 11]), "q1")
    values = sigma2(k) * (q[:, 1] / q[:, 0]) ** (-1 / 10)
    return located(values, values / 10 * np.linalg.norm(error / q, axis=1), published)


def depth_scale(effort: Effort, k: float, published: float) -> Found:
    """Return −1/ln of the factor of c − c*, extrapolated in N.

    The map is not linear yet 1½ to 2½ depth scales deep, where c − c* is still large: the value is
    multiplied by that of mean field at c*, over that of mean field at these layers.
    """
    ds = simulated(OF_NORM, effort).sel(k=k)
    ends = (round(1.5 * published), round(2.5 * published))
    c, error = controlled(ds, "correlation")
    found = [scale_between(*ends, own, e) for own, e in zip(c, error, strict=True)]
    path = trajectory(200, k=k, correlation=0.5).correlation
    ratio = published / scale_between(*ends, path, np.zeros(200))[0]
    values, errors = ratio * np.array(found).T
    return located(values, errors, published)


def scale_between(first: int, last: int, c: Floats, error: Floats) -> tuple[float, float]:
    """Return the depth scale of c between two layers, towards the deepest, and its error."""
    ends = [first - 1, last - 1]
    gaps = c[ends] - c[-1]
    value = (first - last) / math.log(gaps[1] / gaps[0])
    own = float(np.hypot(*(np.hypot(error[ends], error[-1]) / gaps)))
    return value, value**2 / (last - first) * own


def ordered_scale(effort: Effort, k: float, published: float) -> Found:
    """Return the depth scale of 1 − c in the ordered phase, where c* = 1."""
    rates, errors = parting(simulated(OF_NORM, effort).sel(k=k), 80, 120)
    return located(-1.0 / rates, errors / rates**2, published)


# --- the boundaries -------------------------------------------------------------------------------


def parting(ds: xr.Dataset, first: int, last: int, *other: str) -> tuple[Floats, Floats]:
    """Return how fast ln(1 − c) rises from layer to layer."""
    logs, errors = controlled(ds.sel(layer=[first, last]), "log_distance", *other)
    layers = last - first
    return (logs[:, 1] - logs[:, 0]) / layers, np.hypot(errors[:, 0], errors[:, 1]) / layers


def crossing(at: Floats, rates: Floats, errors: Floats) -> tuple[float, float]:
    """Return where the line through rates is 0, and its error."""
    (slope, start), covariance = np.polyfit(at, rates, 1, w=1.0 / errors, cov="unscaled")
    root = -start / slope
    way = np.array([root, 1.0])
    return float(root), math.sqrt(way @ covariance @ way) / abs(slope)


def order_to_chaos(effort: Effort, k: float, published: float) -> Found:
    """Return the σ_w² at which neighbours neither part nor meet, with bias, q at q*."""
    ds = simulated(OF_CHAOS, effort)
    rates = parting(ds.sel(k=k), 80, 120, "sigma_w")
    squares = ds.sigma_w.values**2
    roots = [crossing(np.log(squares / 2.0), *x) for x in zip(*rates, strict=True)]
    values = 2.0 * np.exp([root for root, _ in roots])
    return located(values, values * [error for _, error in roots], published)


def sign_of_k(effort: Effort, published: float) -> Found:
    """Return the g = k/(1 + k) at which neighbours neither part nor meet, q unbounded.

    Mean field is a line in −ln(1 − g/π), and so is what is fitted.
    """
    ds = simulated(OF_SIGN, effort)
    rates = parting(ds, 40, 60, "k")
    at = -np.log1p([-correlation_strength(k) / math.pi for k in ds.k.values])
    roots = np.array([crossing(at, *x) for x in zip(*rates, strict=True)])
    return located(-math.pi * np.expm1(-roots[:, 0]), math.pi * roots[:, 1], published)


def bounded_to_unbounded(effort: Effort, k: float, published: float) -> Found:
    """Return the σ_w² at which q, with bias, rises as fast late as early.

    E q' = λ E q + σ_b² at every width, and λ is proportional to σ_w².
    """
    q, error = controlled(simulated(OF_BOUND, effort).sel(k=k, layer=[1, 21, 41]), "q1")
    rises, own = np.diff(q), np.hypot(error[:, 1:], error[:, :-1])
    values = sigma2(k) * (rises[:, 1] / rises[:, 0]) ** (-1 / 20)
    return located(values, values / 20 * np.linalg.norm(own / rises, axis=1), published)


def bounded_chaos(effort: Effort) -> Found:
    """Tell whether q is at its fixed point and c below 1, the same for all k."""
    at = simulated(OF_BOUNDED, effort).isel(layer=-1)
    found = []
    for k in STRENGTHS[2:]:
        point = fixed_point(k=k, sigma_w=1.48324, sigma_b=0.5)
        for name, published in (("q1", point.q), ("correlation", point.correlation)):
            found.append(compared(*at_infinity(*controlled(at.sel(k=k), name)), published))
    text = f"q = {_list(found[::2])}; c = {_list(found[1::2])}"
    every = all(part.verdict == REPRODUCED for part in found)
    return Found(text, REPRODUCED if every else CONTRADICTED)


def _list(found: list[Found]) -> str:
    return ", ".join(part.value for part in found)


# --- rows -----------------------------------------------------------------------------------------


def unbiased() -> list[Row]:
    """Return the rows without bias."""
    found = []
    for k in STRENGTHS:
        published = sigma2(k)
        found.append(
            Row(
                f"singh-sreejith/norm-preserving sigma_w^2, k = {named(k)}",
                f"{SINGH}: σ_w² = 2/(1 − k/(π(1 + k)))",
                OF_NORM,
                f"{published:.5f}",
                partial(norm_preserving, k=k, published=published),
            )
        )
    for k in STRENGTHS[1:]:
        star = fixed_point(k=k).correlation
        found.append(
            Row(
                f"singh-sreejith/c*, k = {named(k)}",
                f"{SINGH}: the fixed point of the correlation at the norm-preserving σ_w",
                OF_NORM,
                f"{abs(star):.5f}",
                partial(limit, k=k, published=star),
            )
        )
    for k in STRENGTHS:
        scale = fixed_point(k=k).depth_scale_correlation
        found.append(
            Row(
                f"singh-sreejith/depth scale, k = {named(k)}",
                f"{SINGH}: −1/ln of the slope of the map at c*",
                OF_NORM,
                f"{scale:.4f}",
                partial(depth_scale if k > 0.0 else ordered_scale, k=k, published=scale),
                why="between 1½ and 2½ of it, times the ratio of mean field at c* and there"
                if k > 0.0
                else f"of 1 − c, from layer 80 to 120; {SHARED}",
            )
        )
    return found


def boundaries() -> list[Row]:
    """Return the rows with bias."""
    point = fixed_point(k=1.0, sigma_w=1.48324, sigma_b=0.5)
    lengths = [f"{fixed_point(k=k, sigma_w=1.48324, sigma_b=0.5).q:.4f}" for k in STRENGTHS[2:]]
    return [
        *(
            Row(
                f"singh-sreejith/order to chaos, k = {named(k)}",
                f"{SINGH}: with bias, q bounded: σ_w² = 2 for every k > 0",
                OF_CHAOS,
                "2",
                partial(order_to_chaos, k=k, published=2.0),
                why=f"where ln(1 − c) is level from layer 80 to 120; {SHARED}",
            )
            for k in STRENGTHS[1:]
        ),
        Row(
            "singh-sreejith/order to chaos, q unbounded",
            f"{SINGH}: with bias, q unbounded (σ_w² = 3.24): k = 0",
            OF_SIGN,
            "g = k/(1 + k) = 0",
            partial(sign_of_k, published=0.0),
            why=f"where ln(1 − c) is level from layer 40 to 60; {SHARED}",
        ),
        *(
            Row(
                f"singh-sreejith/bounded to unbounded q, k = {named(k)}",
                f"{SINGH}: with bias, σ_w² = 2/(1 − k/(π(1 + k)))",
                OF_BOUND,
                f"{sigma2(k):.5f}",
                partial(bounded_to_unbounded, k=k, published=sigma2(k)),
                why=f"where q rises as fast from layer 21 to 41 as from 1 to 21; {SHARED}",
            )
            for k in STRENGTHS
        ),
        Row(
            "singh-sreejith/bounded chaotic phase",
            f"{SINGH}: for k > 0 between σ_w² = 2 and 2/(1 − g/π) signals part and q is bounded",
            OF_BOUNDED,
            f"q = {', '.join(lengths)} for k = 1, 3, 10, ∞; c* = {point.correlation:.4f} for all "
            "(σ_w² = 2.2, σ_b = 0.5)",
            bounded_chaos,
        ),
    ]


ROWS = [*unbiased(), *boundaries()]
WRONG = [
    Row(
        "singh-sreejith/order to chaos, the norm-preserving value",
        SINGH,
        OF_CHAOS,
        "",
        partial(order_to_chaos, k=1.0, published=sigma2(1.0)),
    )
]

"""The phase diagram of correlated weights, measured on a grid with control variates."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import numpy.typing as npt
import xarray as xr

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
STRENGTHS = (0.5, 1.0, 4.0, math.inf)
OF_NORM = "simulate --width 1024,4096 --depth 120 --k 0.5,1,4,inf --correlation 0.5 --trials 1000"
OF_CHAOS = (
    "simulate --width 256,1024,4096 --depth 100 --k 1 --sigma-w 1.378405,1.414214,1.449138 "
    "--sigma-b 0.5 --distance 1e-18 --trials 600"
)
OF_BOUNDED = (
    "simulate --width 1024,4096 --depth 200 --k 1 --sigma-w 1.48324 --sigma-b 0.5 "
    "--correlation 0.5 --trials 400"
)


def of_k(effort: Effort, k: float) -> xr.Dataset:
    return simulated(OF_NORM, effort).sel(k=k).sortby("width")


def limit(effort: Effort, k: float, published: float) -> Found:
    """Return c* extrapolated in N, from the last layer."""
    at = of_k(effort, k).isel(layer=-1)
    return compared(
        *at_infinity(at.correlation_controlled.values, at.correlation_controlled_stderr.values),
        published,
    )


def norm_preserving(effort: Effort, k: float, published: float) -> Found:
    """Return the σ_w² at which E q is kept, extrapolated in N: growth is proportional to σ_w²."""
    ds = of_k(effort, k)
    first, last = (ds.q1_controlled.sel(layer=layer).values for layer in (1, 40))
    errors = [ds.q1_controlled_stderr.sel(layer=layer).values for layer in (1, 40)]
    sigma2 = 2.0 / (1.0 - correlation_strength(k) / math.pi)
    values = sigma2 * (last / first) ** (-1 / 39)
    error = values / 39 * np.hypot(errors[0] / first, errors[1] / last)
    return compared(*at_infinity(values, error), published)


def order_to_chaos(effort: Effort, published: float) -> Found:
    """Return the σ_w² at which neighbours neither part nor meet: ln(1 − c) is level."""
    ds = simulated(OF_CHAOS, effort).sortby("width")
    ends = [ds.log_distance_controlled.sel(layer=layer) for layer in (80, 100)]
    errors = [ds.log_distance_controlled_stderr.sel(layer=layer) for layer in (80, 100)]
    rates = ((ends[1] - ends[0]) / 20).transpose("width", "sigma_w").values
    error = (np.hypot(errors[0], errors[1]) / 20).transpose("width", "sigma_w").values
    logs = np.log(ds.sigma_w.values**2)
    roots, root_errors = [], []
    for rate, own in zip(rates, error, strict=True):
        slope, intercept = np.polyfit(logs, rate, 1)
        roots.append(math.exp(-intercept / slope))
        root_errors.append(roots[-1] * float(np.sqrt(np.mean(own**2) / len(own))) / slope)
    return compared(*at_infinity(np.array(roots), np.array(root_errors)), published)


def depth_scale(effort: Effort, published: float) -> Found:
    """Return −1/ln of the factor of c − c* from layer 25 to 35 at k = 1, extrapolated in N.

    The map is not linear there yet: the value is multiplied by that of mean field at c*, over that
    of mean field at these layers.
    """
    ds = of_k(effort, 1.0).transpose("width", "layer", ...)
    found = [
        scale_between(c, error)
        for c, error in zip(
            ds.correlation_controlled.values, ds.correlation_controlled_stderr.values, strict=True
        )
    ]
    values, errors = np.array(found).T
    path = trajectory(120, k=1.0, correlation=0.5).correlation
    ratio = published / scale_between(path, np.zeros(120))[0]
    return compared(*at_infinity(ratio * values, ratio * errors), published)


def scale_between(c: Floats, error: Floats) -> tuple[float, float]:
    """Return the depth scale of c from layer 25 to 35, towards the last layer, and its error."""
    gaps = c[[24, 34]] - c[-1]
    value = -10.0 / math.log(gaps[1] / gaps[0])
    own = float(np.hypot(*(np.hypot(error[[24, 34]], error[-1]) / gaps)))
    return value, value**2 / 10.0 * own


def bounded_chaos(effort: Effort) -> Found:
    """Tell whether q is at its fixed point and c below 1, between the two boundaries."""
    at = simulated(OF_BOUNDED, effort).sortby("width").isel(layer=-1)
    point = fixed_point(k=1.0, sigma_w=1.48324, sigma_b=0.5)
    names = {"q": ("q1", point.q), "c": ("correlation", point.correlation)}
    parts = {
        short: compared(
            *at_infinity(at[f"{name}_controlled"].values, at[f"{name}_controlled_stderr"].values),
            published,
        )
        for short, (name, published) in names.items()
    }
    text = ", ".join(f"{short} = {found.value}" for short, found in parts.items())
    both = all(found.verdict == REPRODUCED for found in parts.values())
    return Found(text, REPRODUCED if both else CONTRADICTED)


def rows() -> list[Row]:
    found = []
    for k in STRENGTHS:
        sigma2 = 2.0 / (1.0 - correlation_strength(k) / math.pi)
        name = "inf" if math.isinf(k) else f"{k:g}"
        found.append(
            Row(
                f"singh-sreejith/norm-preserving sigma_w^2, k = {name}",
                f"{SINGH}: σ_w² = 2/(1 − k/(π(1 + k)))",
                OF_NORM,
                f"{sigma2:.5f}",
                partial(norm_preserving, k=k, published=sigma2),
            )
        )
    for k in STRENGTHS[1:]:
        star = fixed_point(k=k).correlation
        name = "inf" if math.isinf(k) else f"{k:g}"
        found.append(
            Row(
                f"singh-sreejith/c*, k = {name}",
                f"{SINGH}: the fixed point of the correlation at the norm-preserving σ_w",
                OF_NORM,
                f"{abs(star):.5f}",
                partial(limit, k=k, published=star),
            )
        )
    scale = fixed_point(k=1.0).depth_scale_correlation
    point = fixed_point(k=1.0, sigma_w=1.48324, sigma_b=0.5)
    return [
        *found,
        Row(
            "singh-sreejith/order to chaos, k = 1",
            f"{SINGH}: with bias at σ_w² = 2 for every k",
            OF_CHAOS,
            "2",
            partial(order_to_chaos, published=2.0),
        ),
        Row(
            "singh-sreejith/depth scale, k = 1",
            f"{SINGH}: −1/ln of the slope of the map at c*",
            OF_NORM,
            f"{scale:.4f}",
            partial(depth_scale, published=scale),
            why="from layer 25 to 35, times the ratio of mean field at c* and there, 1.023",
        ),
        Row(
            "singh-sreejith/bounded chaotic phase",
            f"{SINGH}: for k > 0 between σ_w² = 2 and 2/(1 − g/π) signals part and q is bounded",
            OF_BOUNDED,
            f"q = {point.q:.4f}, c* = {point.correlation:.4f} (σ_w² = 2.2, k = 1, σ_b = 0.5)",
            bounded_chaos,
        ),
    ]


ROWS = rows()
WRONG = [
    Row(
        "singh-sreejith/order to chaos, the norm-preserving value",
        SINGH,
        OF_CHAOS,
        "",
        partial(order_to_chaos, published=2.0 / (1.0 - 0.5 / math.pi)),
    )
]

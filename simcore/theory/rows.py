"""Values of a table of theory at one point of its grid."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from simcore.physics.parameters import correlation_strength
from simcore.physics.slopes import RELU, Slopes, norm_preserving_sigma_w

from . import fixed_points, meanfield
from .gradients import GradientTrajectory, gradient_trajectory
from .grid import Grid, Scales
from .law import law_of
from .meanfield import Trajectory

POINTS_AT_ONCE = 256
"""Points that the first order takes together: more is no faster and needs more memory."""

_OBSERVABLES = tuple(field.name for field in fields(Trajectory))
_BACK = tuple(field.name for field in fields(GradientTrajectory))


def _start(point: dict[str, float]) -> dict[str, float]:
    """Take the inputs' overlap out of a point, as an argument of the theory."""
    if "overlap" in point:
        return {"correlation": point.pop("overlap")}
    return {"distance": point.pop("initial_distance")}


def mean_field(
    *, depth: int, gradients: bool, q0: float, slopes: Slopes, **point: Any
) -> dict[str, Any]:
    """Follow a pair at infinite width, theory.md (5), (6), and its gradients, (13)."""
    start: dict[str, Any] = _start(point) | {"slopes": slopes}
    path = meanfield.trajectory(depth, q1=q0, **point, **start)
    found = {name: path.observable(name) for name in _OBSERVABLES}
    if gradients:
        back = gradient_trajectory(depth, q1=q0, **point, **start)
        found |= {name: back.observable(name) for name in _BACK}
    return found


def first_orders(
    grid: Grid, depth: int, scales: Scales, slopes: Slopes, *, gradients: bool
) -> dict[str, Any]:
    """Compute many points at once, a fiftieth of the time of one after the other."""
    from .finite_width import first_order_grid
    from .gradient_widths import gradient_law

    points = grid.columns()
    strength = np.array([correlation_strength(k) for k in points["k"]])
    sigma_w = points.get("sigma_w")
    if sigma_w is None:
        sigma_w = np.array([scales.of(k) for k in points["k"]])
    overlap = points.get("overlap")
    distance = points["initial_distance"] if overlap is None else 1.0 - overlap
    parts: dict[str, list[Any]] = {}
    for first in range(0, strength.size, POINTS_AT_ONCE):
        part = slice(first, first + POINTS_AT_ONCE)
        law: dict[str, Any] = {
            "widths": np.repeat(points["width"][part, None], depth, axis=1),
            "g": strength[part],
            "sigma_w": sigma_w[part],
            "sigma_b": points["sigma_b"][part],
            "q1": points["q0"][part],
            "q2": points["q0"][part],
        }
        found = [first_order_grid(depth, distance=distance[part], slopes=slopes, **law)]
        found += [gradient_law(depth, **law, slopes=slopes)] if gradients else []
        for mean, std in found:
            for name in mean:
                parts.setdefault(f"{name}_1n", []).append(mean[name])
                parts.setdefault(f"{name}_1n_std", []).append(std[name])
    return {name: grid.shaped(name, np.concatenate(part)) for name, part in parts.items()}


def dead(*, depth: int, width: int, k: float = 0.0, sigma_b: float = 0.0) -> dict[str, Any]:
    """Return the probability of a dead network of one width, which k and σ_b change at width 1."""
    zero_sum = k == math.inf and sigma_b == 0.0
    dead = meanfield.dead_network(np.full(depth, width), zero_sum=zero_sum)
    return {"dead_network1": dead, "dead_network2": dead}


def population(
    *, depth: int, scales: Scales, width: int, k: float, q0: float, **point: float
) -> dict[str, Any]:
    """Follow a pair through `rai` or `raai` at a fan-in, theory.md 4."""
    from .population import population_trajectory

    start = _start(point)
    distance = start["distance"] if "distance" in start else 1.0 - start["correlation"]
    sigma_w = point.pop("sigma_w", None)
    path = population_trajectory(
        [max(width, 3)] + [width] * (depth - 1),
        k=k,
        sigma_w=scales.of(k) if sigma_w is None else sigma_w,
        sigma_b=point.get("sigma_b"),
        q0=q0,
        distance=distance,
    )
    means = {name: path.observable(name) for name in _OBSERVABLES}
    return means | {f"{name}_stderr": path.errors.observable(name) for name in _OBSERVABLES}


def fixed_point_row(**law: Any) -> dict[str, Any]:
    """Return the fixed point of one law, theory.md 4."""
    found = asdict(fixed_points.fixed_point(**law))
    fixed = {f"fixed_{name}": found.pop(name) for name in ("correlation", "distance", "angle", "q")}
    at_one = math.pi / (math.pi - law_of(**{"sigma_w": None, **law}).late_g)
    slopes = {"slope": found.pop("slope"), "slope_at_one": at_one}
    return {**fixed, **slopes, **found, "phase": str(found["phase"])}


def growth_row(
    *,
    asymmetric: bool,
    scales: Scales,
    k: float,
    sigma_w: float | None = None,
    slopes: Slopes = RELU,
) -> dict[str, Any]:
    """Return how q grows per layer under one law."""
    if asymmetric:
        from .asymmetric import late_growth

        growth = late_growth(scales.of(k) if sigma_w is None else sigma_w, k)
        log_growth = math.log(growth)
    else:
        law = law_of(k, sigma_w, 0.0, slopes)
        growth, log_growth = law.growth, law.log_growth
    scale = 1.0 / abs(log_growth) if log_growth else math.inf
    return {"growth": growth, "log_growth": log_growth, "depth_scale_q": scale}


def preserving(asymmetric: bool, slopes: Slopes) -> Callable[..., dict[str, Any]]:
    """Return a function of k that finds the norm-preserving σ_w."""
    if not asymmetric:
        return lambda k: {"norm_preserving_sigma_w": norm_preserving_sigma_w(k, slopes)}
    from .asymmetric import norm_preserving_sigma_w as found

    return lambda k: {"norm_preserving_sigma_w": found(k)}

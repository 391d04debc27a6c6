"""Tables of theory over grids of parameters, as xarray Datasets: `simcore theory` in Python.

Every parameter takes one value or several; several are a dimension, one is a scalar coordinate.
Variables and coordinates have long names and units, as in a run (`simcore.open_run`).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from simcore.checks import check_integer
from simcore.ensembles import ASYMMETRIC, correlation_strength, norm_preserving_sigma_w
from simcore.errors import InputError

from . import meanfield
from .grid import (
    MAX_VALUES,
    Grid,
    Scales,
    Values,
    check_q0,
    checked_widths,
    described,
    exclusive,
    overlap_of,
)
from .law import law_of
from .meanfield import Trajectory

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["fixed_points", "growth_rates", "maps", "phase_diagram", "trajectories"]

_OBSERVABLES = tuple(field.name for field in fields(Trajectory))


def trajectories(
    depth: int,
    *,
    ensemble: str = "correlated",
    k: Values = 0.0,
    sigma_w: Values | str | None = None,
    sigma_b: Values | None = None,
    correlation: Values | None = None,
    distance: Values | None = None,
    q0: Values = 1.0,
    width: Values | None = None,
) -> xr.Dataset:
    """Tabulate every observable of a pair along the layers, theory.md 4 and, with widths, (8).

    Parameters
    ----------
    depth
        Number of layers.
    ensemble
        ``"he"``, ``"correlated"``, ``"rai"`` or ``"raai"``; `he` and `rai` have k = 0. The last two
        are followed by population dynamics at the fan-in `width`, seconds for each point.
    k, sigma_w, sigma_b
        The weights and biases, as for `simcore.Ensemble`; σ_w ``"critical"`` or None follows k.
    correlation, distance
        c₀ or 1 − c₀ of the inputs, one of the two; both None is c₀ = 0.5.
    q0
        Mean square of each input.
    width
        Nodes of a layer; None is infinite width alone.

    Returns
    -------
    xarray.Dataset
        Each observable of theory.md 3 at infinite width, with dimension ``layer`` last; with widths
        also ``_1n`` and ``_1n_std``, mean and standard deviation over networks to first order in
        1/N, and ``dead_network1`` and ``dead_network2``, exact at any width. For `rai` and `raai`
        ``_stderr`` is the standard error of the population.

    Raises
    ------
    InputError
        If a parameter is out of range, parameters exclude each other, or a width is missing.
    """
    check_integer("depth", depth, 1, MAX_VALUES)
    scales = Scales(ensemble, k, sigma_w)
    overlap = overlap_of(correlation, distance)
    inputs = {**overlap, "q0": q0}
    check_q0(q0)
    widths = None if width is None else checked_widths(width)
    if ensemble in ASYMMETRIC:
        if widths is None:
            rule = f"is missing, and the theory of {ensemble} is that of a fan-in"
            raise InputError("width", "", rule, "Give the nodes of a layer: --width 4096.")
        grid = Grid.of(width=widths, k=k, sigma_w=scales.swept, sigma_b=sigma_b, **inputs)
        compute = functools.partial(_population, depth=depth, scales=scales)
        variables = grid.tabulate(compute, ("layer",), depth)
    else:
        bias = 0.0 if sigma_b is None else sigma_b
        grid = Grid.of(k=k, sigma_w=scales.swept, sigma_b=bias, **inputs)
        compute = functools.partial(_mean_field, depth=depth)
        variables = grid.tabulate(compute, ("layer",), depth)
        if widths is not None:
            finite = Grid.of(width=widths)
            dead = functools.partial(_dead, depth=depth)
            variables |= finite.tabulate(dead, ("layer",), depth)
            grid = Grid(finite.axes | grid.axes)
            first = functools.partial(_first_order, depth=depth)
            variables |= grid.tabulate(first, ("layer",), depth)
    coordinates = {**grid.coordinates(), **scales.coordinates(), "layer": np.arange(1, depth + 1)}
    title = "Signal propagation through random ReLU networks: theory"
    return _dataset("trajectory", title, variables, coordinates, ensemble)


def maps(
    *,
    k: Values = 0.0,
    sigma_w: Values | str | None = None,
    sigma_b: Values = 0.0,
    correlation: Values | None = None,
    distance: Values | None = None,
) -> xr.Dataset:
    """Tabulate the correlation one layer on, theory.md (7), with bias (6) at q*.

    Parameters
    ----------
    k, sigma_w, sigma_b
        The ensembles `he` (k = 0) and `correlated`.
    correlation, distance
        c, or 1 − c which resolves the neighbourhood of c = 1; both None is 201 values of c.

    Returns
    -------
    xarray.Dataset
        ``mapped_correlation`` and ``mapped_distance`` along ``c`` (or ``one_minus_c``), and
        ``fixed_correlation``, c*.

    Raises
    ------
    InputError
        If a parameter is out of range, or q is unbounded with bias.
    """
    scales = Scales("correlated", k, sigma_w)
    grid = Grid.of(k=k, sigma_w=scales.swept, sigma_b=sigma_b)
    if correlation is None and distance is None:
        correlation = [float(c) for c in np.linspace(-1.0, 1.0, 201).round(2)]
    (field, values), *others = Grid.of(correlation=correlation, distance=distance).axes.items()
    if others:
        raise exclusive()
    axis, dim = np.array(values), "c" if field == "correlation" else "one_minus_c"

    def compute(**law: Any) -> dict[str, Any]:
        if field == "distance":
            mapped = meanfield.distance_map(axis, **law)
            both = 1.0 - mapped, mapped
        else:
            c = meanfield.correlation_map(axis, **law)
            both = c, 1.0 - c
        return {"mapped_correlation": both[0], "mapped_distance": both[1]}

    def fixed(**law: Any) -> dict[str, Any]:
        return {"fixed_correlation": meanfield.fixed_point(**law).correlation}

    variables = grid.tabulate(compute, (dim,), axis.size) | grid.tabulate(fixed)
    coordinates = {**grid.coordinates(), **scales.coordinates(), dim: axis}
    return _dataset("map", "Correlation of a pair from layer to layer", variables, coordinates)


def fixed_points(
    *, k: Values = 0.0, sigma_w: Values | str | None = None, sigma_b: Values = 0.0
) -> xr.Dataset:
    """Tabulate where pairs of signals go and how fast, theory.md 4 'Phases' [P], [SS].

    Parameters
    ----------
    k, sigma_w, sigma_b
        The ensembles `he` (k = 0) and `correlated`, as for `simcore.theory.fixed_point`.

    Returns
    -------
    xarray.Dataset
        ``fixed_correlation``, ``fixed_distance``, ``fixed_angle``, ``fixed_q``, ``slope`` at the
        fixed point, ``slope_at_one`` at c = 1, ``growth``, the depth scales
        ``depth_scale_correlation`` and ``depth_scale_q`` in layers, ``phase``, ``bounded``.

    Raises
    ------
    InputError
        If a parameter is out of range.
    """
    scales = Scales("correlated", k, sigma_w)
    grid = Grid.of(k=k, sigma_w=scales.swept, sigma_b=sigma_b)
    variables = grid.tabulate(_fixed_point)
    coordinates = grid.coordinates() | scales.coordinates()
    return _dataset("fixed-point", "Fixed points of signal propagation", variables, coordinates)


def phase_diagram(
    *, k: Values | None = None, sigma_w: Values | str | None = None, sigma_b: Values = 1.0
) -> xr.Dataset:
    """Tabulate the phases over σ_w² and k, theory.md 4 'Phases' [SS].

    With bias there are three boundaries: k = 0 where q is unbounded, σ_w² = 2 where it is bounded,
    and σ_w² = 2π/(π − g) between the two. Between the last two lies the phase of [SS], chaotic with
    bounded q. The size of the bias only scales q.

    Parameters
    ----------
    k, sigma_w
        Axes; None is 81 values with g from −1 to 1 (k = ∞), and 121 with σ_w² from 1 to 4.
    sigma_b
        Bias scale, one value.

    Returns
    -------
    xarray.Dataset
        As `fixed_points`, with ``unbounded_from`` = 2π/(π − g) of each k, and the coordinate
        ``weight_variance`` = σ_w².

    Raises
    ------
    InputError
        If a parameter is out of range, or an axis has one value only.
    """
    if k is None:
        strengths = np.linspace(-1.0, 1.0, 81).round(12)
        k = [math.inf if g == 1.0 else float(g / (1.0 - g)) for g in strengths]
    if sigma_w is None:
        sigma_w = [math.sqrt(variance) for variance in np.linspace(1.0, 4.0, 121).round(12)]
    if isinstance(sigma_w, str):
        rule = "must be numbers, for it is an axis of the diagram"
        raise InputError("sigma_w", sigma_w, rule, "Give a range start:stop:count, or leave it.")
    axes = Grid.of(k=k, sigma_w=sigma_w)
    for name, values in axes.axes.items():
        if len(values) < 2:
            rule = "must have several values, for it is an axis of the diagram"
            raise InputError(name, values[0], rule, "Give a range start:stop:count, or leave it.")
    bias = Grid.of(sigma_b=sigma_b).axes["sigma_b"]
    if len(bias) > 1:
        rule = "must be one value, for it is no axis of the diagram"
        raise InputError("sigma_b", bias[1], rule, "Any above 0 gives the same phases.")
    table = fixed_points(k=k, sigma_w=sigma_w, sigma_b=sigma_b)
    border = Grid.of(k=k).tabulate(
        lambda k: {"unbounded_from": 2.0 * math.pi / (math.pi - correlation_strength(k))}
    )
    variance = ("sigma_w", np.array(axes.axes["sigma_w"]) ** 2, described("weight_variance"))
    table = table.assign(border).assign_coords(weight_variance=variance)
    return table.assign_attrs(title="Phase diagram of signal propagation", table="phase-diagram")


def growth_rates(
    *, ensemble: str = "correlated", k: Values = 0.0, sigma_w: Values | str | None = None
) -> xr.Dataset:
    """Tabulate by which factor q changes per layer without bias, theory.md 4.

    Parameters
    ----------
    ensemble
        ``"he"`` and ``"correlated"``: λ_q = σ_w²(1 − g/π)/2. ``"rai"`` and ``"raai"``: the growth
        at great depth without the terms of order 1/n, a fraction of a second for each point.
    k, sigma_w
        Values; σ_w None is a range about the norm-preserving values, ``"critical"`` these values.

    Returns
    -------
    xarray.Dataset
        ``growth``, ``log_growth``, ``depth_scale_q`` = 1/abs(ln growth) in layers, and
        ``norm_preserving_sigma_w`` of each k.

    Raises
    ------
    InputError
        If a parameter is out of range.
    """
    asymmetric = ensemble in ASYMMETRIC
    if sigma_w is None:
        low, high = (0.5, 1.2) if asymmetric else (0.8, 2.2)
        sigma_w = [float(s) for s in np.linspace(low, high, 15).round(12)]
    scales = Scales(ensemble, k, sigma_w)
    grid = Grid.of(k=k, sigma_w=scales.swept)
    compute = functools.partial(_growth, asymmetric=asymmetric, scales=scales)
    variables = grid.tabulate(compute) | Grid.of(k=k).tabulate(_preserving(asymmetric))
    coordinates = grid.coordinates() | scales.coordinates()
    title = "Growth of the mean square from layer to layer"
    return _dataset("growth", title, variables, coordinates, ensemble)


# --- one point ----------------------------------------------------------------------------------


def _start(point: dict[str, float]) -> dict[str, float]:
    """Take the inputs' overlap out of a point, as an argument of the theory."""
    if "overlap" in point:
        return {"correlation": point.pop("overlap")}
    return {"distance": point.pop("initial_distance")}


def _mean_field(*, depth: int, q0: float, **point: float) -> dict[str, Any]:
    start = _start(point)
    path = meanfield.trajectory(depth, q1=q0, **point, **start)
    return {name: path.observable(name) for name in _OBSERVABLES}


def _first_order(*, depth: int, width: int, q0: float, **point: float) -> dict[str, Any]:
    from .finite_width import first_order

    start = _start(point)
    found = first_order(depth, width=width, q1=q0, **point, **start)
    means = {f"{name}_1n": values for name, values in found.mean.items()}
    return means | {f"{name}_1n_std": values for name, values in found.std.items()}


def _dead(*, depth: int, width: int) -> dict[str, Any]:
    dead = meanfield.dead_network(np.full(depth, width))
    return {"dead_network1": dead, "dead_network2": dead}


def _population(
    *, depth: int, scales: Scales, width: int, k: float, q0: float, **point: float
) -> dict[str, Any]:
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


def _fixed_point(**law: Any) -> dict[str, Any]:
    point = meanfield.fixed_point(**law)
    return {
        "fixed_correlation": point.correlation,
        "fixed_distance": point.distance,
        "fixed_angle": point.angle,
        "fixed_q": point.q,
        "slope": point.slope,
        "slope_at_one": math.pi / (math.pi - law_of(**{"sigma_w": None, **law}).late_g),
        "growth": point.growth,
        "depth_scale_correlation": point.depth_scale_correlation,
        "depth_scale_q": point.depth_scale_q,
        "phase": str(point.phase),
        "bounded": point.bounded,
    }


def _growth(
    *, asymmetric: bool, scales: Scales, k: float, sigma_w: float | None = None
) -> dict[str, Any]:
    if asymmetric:
        from .asymmetric import late_growth

        growth = late_growth(scales.of(k) if sigma_w is None else sigma_w, k)
        log_growth = math.log(growth)
    else:
        law = law_of(k, sigma_w, 0.0)
        growth, log_growth = law.growth, law.log_growth
    scale = 1.0 / abs(log_growth) if log_growth else math.inf
    return {"growth": growth, "log_growth": log_growth, "depth_scale_q": scale}


def _preserving(asymmetric: bool) -> Callable[..., dict[str, Any]]:
    if not asymmetric:
        return lambda k: {"norm_preserving_sigma_w": norm_preserving_sigma_w(k)}
    from .asymmetric import norm_preserving_sigma_w as found

    return lambda k: {"norm_preserving_sigma_w": found(k)}


def _dataset(
    table: str,
    title: str,
    variables: dict[str, Any],
    coordinates: dict[str, Any],
    ensemble: str = "correlated",
) -> xr.Dataset:
    import xarray as xr

    dataset = xr.Dataset(variables, coordinates)
    for name in dataset.coords:
        dataset[name].attrs.update(described(str(name)))
    return dataset.assign_attrs(title=title, table=table, ensemble=ensemble)

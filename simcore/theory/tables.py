"""Tables of theory over grids of parameters, as xarray Datasets: `simcore theory` in Python.

Every parameter takes one value or several; several are a dimension, one is a scalar coordinate.
Variables and coordinates have long names and units, as in a run (`simcore.open_run`).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from simcore.errors import InputError
from simcore.physics.ensembles import ASYMMETRIC
from simcore.physics.parameters import correlation_strength, whole
from simcore.physics.slopes import (
    RELU,
    Slopes,
    mean_square,
    silent,
    unevenness,
)

from . import grid as grids
from . import meanfield, rows
from .fixed_points import fixed_point
from .grid import Grid, Scales, Values

if TYPE_CHECKING:
    import xarray as xr


Look = Callable[[str], object]
"""Told how far a table is."""

MIN_ASYMMETRIC_SIGMA_W = 0.4
"""Below it the growth of `rai` and `raai` takes more and more layers, and seconds, to settle."""


_TITLE = "Signal propagation through random ReLU networks: theory"


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
    slopes: Slopes | str | None = None,
    gradients: bool = False,
    look: Look = str,
) -> xr.Dataset:
    """Tabulate every observable of a pair along the layers, theory.md 4 and, with widths, (8).

    Parameters
    ----------
    depth
        Number of layers.
    ensemble
        One of `simcore.Ensemble`; `he` and `rai` have k = 0. `rai` and `raai` are followed by
        population dynamics at the fan-in `width`, seconds for each point.
    k, sigma_w, sigma_b
        The weights and biases, as for `simcore.Ensemble`; σ_w ``"critical"`` or None follows k.
    correlation, distance
        c₀ or 1 − c₀ of the inputs, one of the two; both None is c₀ = 0.5.
    q0
        Mean square of each input.
    width
        Nodes of a layer; None is infinite width alone.
    slopes
        s₊ and s₋ of the activation, or a text like ``"leaky:0.01"``, of one width also
        ``"shaped:0,-1"``; None is ReLU, `rai` and `raai` have no other.
    gradients
        Whether to add the observables of the way back, theory.md 7; not for `rai` and `raai`.
    look
        Called before each point that takes seconds, with its number in words.

    Returns
    -------
    xarray.Dataset
        Each observable of theory.md 3 at infinite width, with dimension ``layer`` last; with widths
        also ``_1n`` and ``_1n_std``, mean and standard deviation over networks at first order, and
        ``dead_network1`` and ``dead_network2`` where signals can die, exact at any width, which
        depend on k and σ_b where a width is 1. `rai` and `raai` have ``_stderr``, the standard
        error of the population.

    Raises
    ------
    InputError
        If a parameter is out of range or missing, or two exclude each other.
    """
    depth = whole("depth", depth, 1, grids.MAX_VALUES)
    widths = None if width is None else grids.checked_widths(width)
    phi = grids.fixed_slopes(slopes, widths or ())
    scales, inputs = Scales(ensemble, k, sigma_w, phi), grids.inputs_of(correlation, distance, q0)
    if ensemble not in ASYMMETRIC:
        bias = 0.0 if sigma_b is None else sigma_b
        limit = Grid.of(k=k, sigma_w=scales.swept, sigma_b=bias, **inputs)
        grid = Grid(Grid.of(width=widths).axes | limit.axes)
        variables = _gaussian(grid, limit, depth, scales, phi, gradients=gradients)
    elif gradients:
        rule = f"have no theory for {ensemble}"
        raise InputError("gradients", "on", rule, "Take he or correlated, or leave it out.")
    elif widths is None:
        rule = f"is missing, and the theory of {ensemble} is that of a fan-in"
        raise InputError("width", "", rule, "Give the nodes of a layer: --width 4096.")
    else:
        grid = Grid.of(width=widths, k=k, sigma_w=scales.swept, sigma_b=sigma_b, **inputs)
        follow = functools.partial(rows.population, depth=depth, scales=scales)
        variables = grid.tabulate(follow, ("layer",), depth, look)
    coordinates = {**grid.coordinates(), **scales.coordinates(), "layer": np.arange(1, depth + 1)}
    return _dataset("trajectory", _TITLE, variables, coordinates, ensemble, phi)


def _gaussian(
    grid: Grid, limit: Grid, depth: int, scales: Scales, slopes: Slopes, *, gradients: bool
) -> dict[str, xr.Variable]:
    """Return trajectories on `limit`, a grid without widths; with widths also those on `grid`."""
    grids.check_size(grid, depth)
    follow = functools.partial(rows.mean_field, depth=depth, gradients=gradients, slopes=slopes)
    variables = limit.tabulate(follow, ("layer",), depth)
    if "width" in grid.axes and silent(slopes):
        deaths = functools.partial(rows.dead, depth=depth)
        names = ("width", "k", "sigma_b") if 1 in grid.axes["width"] else ("width",)
        deadly = Grid({name: grid.axes[name] for name in names})
        variables |= deadly.tabulate(deaths, ("layer",), depth)
    if "width" in grid.axes:
        variables |= rows.first_orders(grid, depth, scales, slopes, gradients=gradients)
    return variables


def maps(
    *,
    k: Values = 0.0,
    sigma_w: Values | str | None = None,
    sigma_b: Values = 0.0,
    correlation: Values | None = None,
    distance: Values | None = None,
    slopes: Slopes | str | None = None,
) -> xr.Dataset:
    """Tabulate the correlation one layer on, theory.md (7), with bias (6) at q*.

    Parameters
    ----------
    k, sigma_w, sigma_b
        The ensembles `he` (k = 0) and `correlated`.
    correlation, distance
        c, or 1 − c which resolves the neighbourhood of c = 1; both None is 201 values of c.
    slopes
        s₊ and s₋ of the activation, or a text like ``"leaky:0.01"``; None is ReLU.

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
    phi = grids.fixed_slopes(slopes)
    scales = Scales("correlated", k, sigma_w, phi)
    grid = Grid.of(k=k, sigma_w=scales.swept, sigma_b=sigma_b)
    if correlation is None and distance is None:
        correlation = [float(c) for c in np.linspace(-1.0, 1.0, 201).round(2)]
    (field, values), *others = Grid.of(correlation=correlation, distance=distance).axes.items()
    if others:
        raise grids.exclusive()
    grids.check_overlap(field, values)
    axis, dim = np.array(values), "c" if field == "correlation" else "one_minus_c"

    def compute(**law: Any) -> dict[str, Any]:
        other = "correlation" if field == "distance" else "distance"
        mapped = getattr(meanfield, f"{field}_map")(axis, **law, slopes=phi)
        found = {f"mapped_{field}": mapped, f"mapped_{other}": 1.0 - mapped}
        return {name: found[name] for name in ("mapped_correlation", "mapped_distance")}

    def fixed(**law: Any) -> dict[str, Any]:
        return {"fixed_correlation": fixed_point(**law, slopes=phi).correlation}

    variables = grid.tabulate(compute, (dim,), axis.size) | grid.tabulate(fixed)
    coordinates = {**grid.coordinates(), **scales.coordinates(), dim: axis}
    title = "Correlation of a pair from layer to layer"
    return _dataset("map", title, variables, coordinates, slopes=phi)


def fixed_points(
    *,
    k: Values = 0.0,
    sigma_w: Values | str | None = None,
    sigma_b: Values = 0.0,
    slopes: Slopes | str | None = None,
) -> xr.Dataset:
    """Tabulate where pairs of signals go and how fast, theory.md 4 'Phases' [P], [SS].

    Parameters
    ----------
    k, sigma_w, sigma_b
        The ensembles `he` (k = 0) and `correlated`, as for `simcore.theory.fixed_point`.
    slopes
        s₊ and s₋ of the activation, or a text like ``"leaky:0.01"``; None is ReLU.

    Returns
    -------
    xarray.Dataset
        ``fixed_correlation``, ``fixed_distance``, ``fixed_angle``, ``fixed_q``, ``slope`` at the
        fixed point, ``slope_at_one`` at c = 1, ``growth``, the depth scales
        ``depth_scale_correlation`` and ``depth_scale_q`` in layers, ``chi``, ``chi_pair`` and
        ``depth_scale_gradient`` of the gradients (theory.md 7), ``phase``, ``bounded``.

    Raises
    ------
    InputError
        If a parameter is out of range.
    """
    phi = grids.fixed_slopes(slopes)
    scales = Scales("correlated", k, sigma_w, phi)
    grid = Grid.of(k=k, sigma_w=scales.swept, sigma_b=sigma_b)
    variables = grid.tabulate(functools.partial(rows.fixed_point_row, slopes=phi))
    coordinates = grid.coordinates() | scales.coordinates()
    title = "Fixed points of signal propagation"
    return _dataset("fixed-point", title, variables, coordinates, slopes=phi)


def phase_diagram(
    *,
    k: Values | None = None,
    sigma_w: Values | str | None = None,
    sigma_b: Values = 1.0,
    slopes: Slopes | str | None = None,
) -> xr.Dataset:
    """Tabulate the phases over σ_w² and k, theory.md 4 'Phases' [SS].

    With bias there are three boundaries: k = 0 where q is unbounded, σ_w² = 1/A where it is
    bounded, and σ_w² = 1/[A(1 − ηg/π)] between the two (A = ½ and η = 1 for ReLU). Between the last
    two lies the phase of [SS], chaotic with bounded q. The size of the bias only scales q.

    Parameters
    ----------
    k, sigma_w
        Axes; None is 81 values with g from −1 to 1 (k = ∞), and 121 with σ_w² from half of 1/A to
        twice of it, or more where q is bounded beyond: 1 to 4 for ReLU.
    sigma_b
        Bias scale, one value.
    slopes
        s₊ and s₋ of the activation, or a text like ``"leaky:0.01"``; None is ReLU.

    Returns
    -------
    xarray.Dataset
        As `fixed_points`, with ``unbounded_from`` = 1/[A(1 − ηg/π)] of each k, and the coordinate
        ``weight_variance`` = σ_w².

    Raises
    ------
    InputError
        If a parameter is out of range, or an axis has one value only.
    """
    if k is None:
        strengths = np.linspace(-1.0, 1.0, 81).round(12)
        k = [math.inf if g == 1.0 else float(g / (1.0 - g)) for g in strengths]
    phi = grids.fixed_slopes(slopes)
    square, eta = mean_square(phi), unevenness(phi)
    if sigma_w is None:
        last = max(2.0, 1.25 * math.pi / (math.pi - eta))
        variances = (np.linspace(0.5, last, 121) / square).round(12)
        sigma_w = [math.sqrt(variance) for variance in variances]
    rule = "because it is an axis of the diagram"
    remedy = "Give a range start:stop:count, or leave it out."
    if isinstance(sigma_w, str):
        raise InputError("sigma_w", sigma_w, f"must be numbers, {rule}", remedy)
    axes = Grid.of(k=k, sigma_w=sigma_w)
    for name, values in axes.axes.items():
        if len(values) < 2:
            raise InputError(name, values[0], f"must have several values, {rule}", remedy)
    bias = Grid.of(sigma_b=sigma_b).axes["sigma_b"]
    if len(bias) > 1:
        rule = "must be one value, because it is no axis of the diagram"
        raise InputError("sigma_b", bias[1], rule, "Any above 0 gives the same phases.")
    table = fixed_points(k=k, sigma_w=sigma_w, sigma_b=sigma_b, slopes=phi)
    border = Grid.of(k=k).tabulate(
        lambda k: {"unbounded_from": math.pi / (square * (math.pi - eta * correlation_strength(k)))}
    )
    variance = ("sigma_w", np.array(axes.axes["sigma_w"]) ** 2, grids.described("weight_variance"))
    table = table.assign(border).assign_coords(weight_variance=variance)
    return table.assign_attrs(title="Phase diagram of signal propagation", table="phase-diagram")


def growth_rates(
    *,
    ensemble: str = "correlated",
    k: Values = 0.0,
    sigma_w: Values | str | None = None,
    slopes: Slopes | str | None = None,
    look: Look = str,
) -> xr.Dataset:
    """Tabulate by which factor q changes per layer without bias, theory.md 4.

    Parameters
    ----------
    ensemble
        ``"he"`` and ``"correlated"``: λ_q = σ_w²A(1 − ηg/π). ``"rai"`` and ``"raai"``: the growth
        at great depth without the terms of order 1/n, a fraction of a second for each point.
    k, sigma_w
        Values; σ_w None is a range about the norm-preserving values, ``"critical"`` these values.
    slopes
        s₊ and s₋ of the activation, or a text like ``"leaky:0.01"``; None is ReLU.
    look
        Called before each point with its number, in words.

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
    asymmetric, phi = ensemble in ASYMMETRIC, grids.fixed_slopes(slopes)
    if sigma_w is None:
        low, high = (0.5, 1.2) if asymmetric else (0.8, 2.2)
        unit = math.sqrt(0.5 / mean_square(phi))
        sigma_w = [float(s) for s in (unit * np.linspace(low, high, 15)).round(12)]
    scales = Scales(ensemble, k, sigma_w, phi)
    grid = Grid.of(k=k, sigma_w=scales.swept)
    for value in grid.axes.get("sigma_w", ()):
        if asymmetric and value < MIN_ASYMMETRIC_SIGMA_W:
            rule = f"must be at least {MIN_ASYMMETRIC_SIGMA_W} for {ensemble}"
            remedy = "Below it the growth needs too many layers to settle."
            raise InputError("sigma_w", value, rule, remedy)
    law: dict[str, Any] = {"asymmetric": asymmetric, "scales": scales, "slopes": phi}
    variables = grid.tabulate(functools.partial(rows.growth_row, **law), look=look)
    variables |= Grid.of(k=k).tabulate(rows.preserving(asymmetric, phi), look=look)
    coordinates = grid.coordinates() | scales.coordinates()
    title = "Growth of the mean square from layer to layer"
    return _dataset("growth", title, variables, coordinates, ensemble, phi)


def _dataset(
    table: str,
    title: str,
    variables: dict[str, Any],
    coordinates: dict[str, Any],
    ensemble: str = "correlated",
    slopes: Slopes = RELU,
) -> xr.Dataset:
    """Return the table; slopes other than those of ReLU are scalar coordinates."""
    import xarray as xr

    if slopes != RELU:
        coordinates |= {"positive_slope": slopes[0], "negative_slope": slopes[1]}
    dataset = xr.Dataset(variables, coordinates)
    for name in dataset.coords:
        dataset[name].attrs.update(grids.described(str(name)))
    return dataset.assign_attrs(title=title, table=table, ensemble=ensemble)

"""Grids of parameters, and the labelled tables that functions of a point make on them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from simcore.errors import InputError
from simcore.physics.ensembles import ASYMMETRIC, CRITICAL, ENSEMBLES, check_ensemble
from simcore.physics.observables import BY_NAME, GRADIENTS, OBSERVABLES
from simcore.physics.parameters import (
    PARAMETERS,
    check_choice,
    correlation_strength,
    sorted_grid,
    whole,
)
from simcore.physics.slopes import RELU, SHAPED, Slopes, parse_slopes, slopes_at

from .checks import MEAN_SQUARES, within
from .scales import default_sigma_w

if TYPE_CHECKING:
    import xarray as xr


Values: TypeAlias = float | Sequence[float]
"""One value of a parameter, or those to sweep."""

MAX_VALUES = 10_000_000
"""Values of one quantity in a table."""

_FIELDS = {"overlap": "correlation", "initial_distance": "distance"}
"""Names of coordinates as arguments, where these are others."""

_MEANINGS: dict[str, tuple[str, str]] = {
    **{o.name: (o.long_name, o.units) for o in OBSERVABLES + GRADIENTS},
    **{name: (parameter.long_name, "1") for name, parameter in PARAMETERS.items()},
    "weight_variance": ("square of the weight scale", "1"),
    "layer": ("layer", "1"),
    "c": (BY_NAME["correlation"].long_name, "1"),
    "one_minus_c": (BY_NAME["distance"].long_name, "1"),
    "mapped_correlation": ("correlation one layer on", "1"),
    "mapped_distance": ("1 - correlation one layer on", "1"),
    "fixed_correlation": ("fixed point of the correlation", "1"),
    "fixed_distance": ("1 - fixed point of the correlation", "1"),
    "fixed_angle": ("angle at the fixed point", "rad"),
    "slope": ("slope of the correlation map at its fixed point", "1"),
    "slope_at_one": ("slope of the correlation map at c = 1", "1"),
    "fixed_q": ("mean squared pre-activation at great depth", "1"),
    "growth": ("factor by which q changes per layer", "1"),
    "log_growth": ("natural logarithm of the factor by which q changes per layer", "1"),
    "depth_scale_correlation": ("depth scale of the correlation", "layer"),
    "depth_scale_q": ("depth scale of q", "layer"),
    "chi": ("factor by which squared gradients change per layer on the way back", "1"),
    "chi_pair": ("likewise the inner product of two signals' gradients at the fixed point", "1"),
    "depth_scale_gradient": ("depth scale of gradients", "layer"),
    "phase": ("whether nearby signals merge", "1"),
    "bounded": ("whether q stays bounded", "1"),
    "norm_preserving_sigma_w": ("weight scale that preserves q at great depth", "1"),
    "unbounded_from": ("square of the weight scale from which a bias makes q unbounded", "1"),
}

_SUFFIXES = {
    "_stderr": "standard error of the prediction",
    "_1n": "mean to first order in 1/N",
    "_1n_std": "standard deviation over networks to first order in 1/N",
}


def described(name: str) -> dict[str, str]:
    """Return the attributes ``long_name`` and ``units`` of a variable or coordinate."""
    for suffix in sorted(_SUFFIXES, key=len, reverse=True):
        if name.endswith(suffix):
            long_name, units = _MEANINGS[name.removesuffix(suffix)]
            return {"long_name": f"{long_name}: {_SUFFIXES[suffix]}", "units": units}
    long_name, units = _MEANINGS[name]
    return {"long_name": long_name, "units": units}


@dataclass(frozen=True)
class Grid:
    """A Cartesian product of parameters; those with one value are no dimensions.

    `axes` are all parameters with their values, sorted, in the order of the dimensions.
    """

    axes: dict[str, tuple[float, ...]]

    @classmethod
    def of(cls, **values: Values | None) -> Grid:
        """Return the grid of some parameters, without those that are None.

        InputError if a value is NaN or named twice.
        """
        axes = {}
        for name, given in values.items():
            if given is not None:
                ordered = sorted_grid(_FIELDS.get(name, name), given)
                axes[name] = ordered if name == "width" else tuple(float(x) for x in ordered)
        return cls(axes)

    @property
    def swept(self) -> tuple[str, ...]:
        """Names of the parameters with more than one value: the dimensions."""
        return tuple(name for name, values in self.axes.items() if len(values) > 1)

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of values along each dimension."""
        return tuple(len(self.axes[name]) for name in self.swept)

    def tabulate(
        self,
        function: Callable[..., Mapping[str, Any]],
        dims: tuple[str, ...] = (),
        size: int = 1,
        look: Callable[[str], object] = str,
    ) -> dict[str, xr.Variable]:
        """Return the values of a function at every point, as labelled arrays.

        It takes the parameters of a point by name and returns, by name, numbers, texts or arrays of
        `size` values along `dims`. `look` is called before each point with its number, in words.
        InputError if the table would be too large.
        """
        check_size(self, size)
        points, rows = list(itertools.product(*self.axes.values())), []
        for i, point in enumerate(points):
            look(f"point {i + 1} of {len(points)}")
            rows.append(function(**dict(zip(self.axes, point, strict=True))))
        return {
            name: self.shaped(name, np.array([row[name] for row in rows]), dims) for name in rows[0]
        }

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """Return the parameters of every point, in row-major order."""
        columns = zip(*itertools.product(*self.axes.values()), strict=True)
        return {name: np.array(values) for name, values in zip(self.axes, columns, strict=True)}

    def shaped(
        self, name: str, values: npt.NDArray[Any], dims: tuple[str, ...] = ("layer",)
    ) -> xr.Variable:
        """Return values of every point, a row each, as a labelled array."""
        import xarray as xr

        shape = self.shape + values.shape[1:]
        return xr.Variable((*self.swept, *dims), values.reshape(shape), described(name))

    def coordinates(self) -> dict[str, xr.Variable]:
        """Return the parameters as coordinates, g beside k."""
        import xarray as xr

        found = {}
        for name, values in self.axes.items():
            dims = (name,) if len(values) > 1 else ()
            array = np.array(values if dims else values[0])
            found[name] = xr.Variable(dims, array, described(name))
            if name == "k":
                g = np.array([correlation_strength(k) for k in values])
                found["g"] = xr.Variable(dims, g if dims else g[0], described("g"))
        return found


def check_size(grid: Grid, size: int) -> None:
    """Raise InputError if a table with so many values for each point would be too large."""
    count = math.prod(grid.shape) * size
    if count > MAX_VALUES:
        rule = f"must have at most {MAX_VALUES} values"
        raise InputError("grid", f"{count} values", rule, "Take fewer points or layers.")


class Scales:
    """σ_w as an axis, or following k and the slopes.

    InputError unless ensemble, k, σ_w and slopes are possible.
    """

    def __init__(
        self, ensemble: str, k: Values, sigma_w: Values | str | None, slopes: Slopes = RELU
    ) -> None:
        check_choice("ensemble", ensemble, ENSEMBLES)
        if slopes != RELU and ensemble in ASYMMETRIC:
            text = parse_slopes(slopes)
            raise InputError("slopes", text, f"are not for {ensemble}", "Take he or correlated.")
        if isinstance(sigma_w, str):
            check_choice("sigma_w", sigma_w, (CRITICAL,))
        self.swept = None if isinstance(sigma_w, str) else sigma_w
        strengths = Grid.of(k=k).axes["k"]
        for value in strengths:
            for scale in Grid.of(sigma_w=self.swept).axes.get("sigma_w", (None,)):
                check_ensemble(ensemble, value, scale)
        self._of_k: dict[float, float] = {}
        if self.swept is None:
            critical = sigma_w == CRITICAL
            self._of_k = {
                x: default_sigma_w(ensemble, x, critical=critical, slopes=slopes) for x in strengths
            }

    def of(self, k: float) -> float:
        """Return the σ_w that follows k."""
        return self._of_k[k]

    def coordinates(self) -> dict[str, Any]:
        """Return σ_w as a coordinate where it follows k."""
        if not self._of_k:
            return {}
        values = np.array(list(self._of_k.values()))
        several = values.size > 1
        data = values if several else values[0]
        return {"sigma_w": (("k",) if several else (), data, described("sigma_w"))}


def fixed_slopes(given: Slopes | str | None, widths: Sequence[int] = ()) -> Slopes:
    """Return s₊ and s₋ of slopes as `parse_slopes` takes them; None is ReLU.

    InputError if they are unknown, or those of shaped ReLU, which follow a width, without one.
    """
    text = None if given is None else parse_slopes(given)
    if text is not None and text.startswith(SHAPED) and len(widths) != 1:
        rule = f"follow the width, and this theory has {'several' if widths else 'none'}"
        remedy = "Give 1 + c/sqrt(N) as two numbers: 1,0.9375 for shaped:0,-1 at N = 256."
        raise InputError("slopes", text, rule, remedy)
    return slopes_at(text, widths[0] if widths else 1)


def exclusive() -> InputError:
    """Return the error of both a correlation and a distance."""
    rule = "excludes correlation, which is 1 - distance"
    return InputError("distance", "", rule, "Give one of the two.")


def inputs_of(correlation: Values | None, distance: Values | None, q0: Values) -> dict[str, Values]:
    """Return the parameters of a grid that describe the inputs; c₀ = 0.5 by default.

    InputError if a value is out of range, or both `correlation` and `distance` are given.
    """
    within("q0", Grid.of(q0=q0).axes["q0"], *MEAN_SQUARES)
    if correlation is not None and distance is not None:
        raise exclusive()
    if distance is None:
        values = 0.5 if correlation is None else correlation
        check_overlap("correlation", Grid.of(overlap=values).axes["overlap"])
        return {"overlap": values, "q0": q0}
    check_overlap("distance", Grid.of(distance=distance).axes["distance"])
    return {"initial_distance": distance, "q0": q0}


def check_overlap(field: str, values: tuple[float, ...]) -> None:
    """Raise InputError unless every ``"correlation"`` or ``"distance"`` of a pair is possible."""
    within(field, values, *((-1.0, 1.0) if field == "correlation" else (0.0, 2.0)))


def checked_widths(width: Values) -> tuple[int, ...]:
    """Return widths; InputError if one is no whole number of at least 1."""
    widths = Grid.of(width=width).axes["width"]
    return tuple(whole("width", value, 1, MAX_VALUES) for value in widths)

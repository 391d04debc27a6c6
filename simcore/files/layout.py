"""The schema of results: names, dimensions, types and meanings of arrays and coordinates.

The one source for what a file holds (`simcore.files.run_file` writes it) and for what a Dataset
holds (`simcore.results.open_run` wraps it).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simcore.physics.ensembles import ASYMMETRIC
from simcore.physics.observables import (
    BY_NAME,
    CONTROL,
    EXACT,
    FIRST_ORDER,
    GRADIENT_FIRST_ORDER,
    GRADIENTS,
    HAZARDS,
    KEPT,
    MORTAL,
    NETWORK,
    NETWORK_NAMES,
    OBSERVABLES,
    RATE_BINS,
    Observable,
)
from simcore.physics.parameters import PARAMETERS
from simcore.runs.grid import has_slopes, never_dies
from simcore.runs.network_predictions import predicted_of_network
from simcore.runs.predictions import exact_first_order, has_first_order
from simcore.runs.run import Run

Numbers = npt.NDArray[Any]

GRID = "..."
"""Stands for the swept parameters in the dimensions of a field."""


class Array(NamedTuple):
    """Values with the names of their dimensions, a meaning and a unit."""

    dims: tuple[str, ...]
    values: Numbers
    long_name: str
    units: str = "1"


@dataclass(frozen=True)
class Field:
    """One array of a run, apart from its values.

    Parameters
    ----------
    path
        Place in a file, below /entry: ``"correlation/mean"``.
    variable
        Name in a Dataset: ``"correlation"``; empty where it is not published.
    dims
        Names of the dimensions.
    dtype
        NumPy's name of the type.
    long_name, units
        Meaning and unit.
    """

    path: str
    variable: str
    dims: tuple[str, ...]
    dtype: str
    long_name: str
    units: str = "1"
    optional: bool = False
    """True if files may lack it: where it has no value, or from before it was added."""

    @property
    def is_curve(self) -> bool:
        """True if a viewer should draw curves of it: its other form, an image, has no axis for k.

        Curves run along the last dimension; k, which may be infinite, and layers are chosen.
        """
        return self.dims[-1:] in (("layer",), ("level",), ("rate",)) and "trial" not in self.dims

    def array(self, values: Numbers, run: Run) -> Array:
        """Give `values`, points first, the shape of the grid."""
        shaped = values.reshape(shape_of(self.dims, sizes(run)))
        return Array(self.dims, shaped.astype(self.dtype, copy=False), self.long_name, self.units)


OVERLAID = ("theory", "theory_1n")
"""Predictions that a viewer draws over the mean."""

ESTIMATORS = {
    "q1": "mean over trials of <h1^2>, uncentred, over the nodes of the layer",
    "q2": "mean over trials of <h2^2>, uncentred, over the nodes of the layer",
    "log_q1": "mean over trials of ln <h1^2>; trials with <h1^2> = 0 are left out",
    "log_q2": "mean over trials of ln <h2^2>; trials with <h2^2> = 0 are left out",
    "correlation": "mean over trials of the per-trial correlation coefficient "
    "<h1 h2>/sqrt(<h1^2> <h2^2>); trials with a dead signal are left out",
    "distance": "mean over trials of 1 - <h1 h2>/sqrt(<h1^2> <h2^2>), not formed by subtraction; "
    "trials with a dead signal are left out",
    "log_distance": "mean over trials of ln(1 - <h1 h2>/sqrt(<h1^2> <h2^2>)); trials with a dead "
    "signal or with exactly parallel signals are left out",
    "angle": "mean over trials of the angle between h1 and h2; trials with a dead signal are left "
    "out",
    "cosine": "mean over trials of <x1 x2>/sqrt(<x1^2> <x2^2>), x = max(h, 0); trials with no "
    "active node are left out",
    "inactive1": "mean over trials of the fraction of nodes with h1 <= 0",
    "inactive2": "mean over trials of the fraction of nodes with h2 <= 0",
    "inactive_both": "mean over trials of the fraction of nodes with h1 <= 0 and h2 <= 0",
    "dead_network1": "fraction of trials in which some layer so far has h1 <= 0 at every node",
    "dead_network2": "fraction of trials in which some layer so far has h2 <= 0 at every node",
    "dead_network_both": "fraction of trials that are dead for signal 1 and for signal 2",
    "mean1": "mean over trials of <x1>, x = max(h, 0), over the nodes of the layer",
    "mean2": "mean over trials of <x2>, x = max(h, 0), over the nodes of the layer",
    "product": "mean over trials of <x1 x2>, x = max(h, 0)",
    "variance": "mean over trials of <(x1 - x2)^2>/2, x = max(h, 0)",
    "log_sine": "mean over trials of ln(1 - <x1 x2>^2/(<x1^2> <x2^2>)), x = max(h, 0); trials with "
    "no active node or with exactly parallel activations are left out",
    "log_gradient1": "mean over trials of ln |d1|^2, d = df/dh, f = v x/sqrt(N) of the last layer, "
    "v standard normal; trials with d1 = 0 are left out",
    "log_gradient2": "mean over trials of ln |d2|^2; trials with d2 = 0 are left out",
    "gradient_correlation": "mean over trials of d1 d2/(|d1| |d2|); trials with d1 = 0 or d2 = 0 "
    "are left out",
    "weight_gradient1": "mean over trials of |d1|^2 <x1^2>, x of the layer before: |df/dW|^2 over "
    "the fan-in",
    "tangent11": "mean over trials of the sum over layers so far of "
    "(sigma_w^2 <x1^2> + sigma_b^2) |d1|^2, x of the layer before",
    "tangent12": "mean over trials of the sum over layers so far of "
    "(sigma_w^2 <x1 x2> + sigma_b^2) d1 d2, x of the layer before",
    "tangent22": "mean over trials of the sum over layers so far of "
    "(sigma_w^2 <x2^2> + sigma_b^2) |d2|^2, x of the layer before",
    "dead": "mean over trials of the fraction of nodes with h <= 0 for every input",
    "dead_inputs": "mean over trials of the fraction of inputs for which some layer so far has "
    "h <= 0 at every node",
    "dead_network_all": "fraction of trials in which every input has died in that sense",
    "activation_rate": "mean over trials of the fraction of nodes whose share of inputs with h > 0 "
    "lies in a bin",
}
"""Meaning of `mean` for each observable, in words: ⟨c⟩ is not ⟨K₁₂⟩/⟨K⟩."""


# --- names and dimensions ------------------------------------------------------------------------


def sizes(run: Run) -> dict[str, int]:
    """Return the size of every dimension of a run's arrays (`node` apart)."""
    chosen = len(run.covariance_layers)
    return {
        **{name: len(values) for name, values in run.dimensions.items()},
        "layer": run.depth,
        "pair": run.columns.pairs,
        "rate": RATE_BINS,
        "level": len(run.levels),
        "bin": run.bins + 2,
        "trial": run.kept,
        "covariance_layer": chosen,
        "covariance_layer_2": chosen,
        "point": math.prod(run.shape),
    }


def shape_of(dims: Sequence[str], size: Mapping[str, int]) -> tuple[int, ...]:
    """Return the shape of an array with these dimensions."""
    return tuple(size[name] for name in dims)


def observables_of(run: Run) -> tuple[Observable, ...]:
    """Return the observables that a run has."""
    found = OBSERVABLES + GRADIENTS * run.gradients + NETWORK * run.shared
    absent = MORTAL if never_dies(run) else ()
    return tuple(observable for observable in found if observable.name not in absent)


def base(name: str) -> str:
    """Return the observable that a column is of: its own, or that of a controlled value."""
    return name.removesuffix(CONTROL)


def dims_of(run: Run, name: str, dims: Sequence[str]) -> tuple[str, ...]:
    """Return the dimensions of a column's array: points or nodes, pairs, then the others."""
    pair = ("pair",) if run.shared and base(name) not in NETWORK_NAMES else ()
    rate = ("rate",) if BY_NAME[base(name)].rates else ()
    return (dims[0], *pair, *dims[1:], *rate)


def columns_of(run: Run, name: str) -> slice:
    """Return the columns of a name as a slice, which takes no copy: one for each pair, or bin."""
    own = run.columns.of(name)
    return slice(own[0], own[-1] + 1, own[1] - own[0] if len(own) > 1 else 1)


def squared(units: str) -> str:
    """Return the unit of a square."""
    return units if units == "1" else f"{units}2"


class _Kind(NamedTuple):
    """An array that every observable of a set has; `{}` stands for the observable."""

    name: str
    variable: str
    dims: tuple[str, ...]
    dtype: str
    long_name: str
    own_units: bool = True


_BASIC = (
    _Kind("mean", "{}", (GRID, "layer"), "f8", "mean over trials"),
    _Kind("mean_errors", "{}_stderr", (GRID, "layer"), "f8", "standard error of the mean"),
    _Kind("std", "{}_std", (GRID, "layer"), "f8", "standard deviation over trials (ddof 1)"),
    _Kind("count", "{}_count", (GRID, "layer"), "i8", "number of trials with a value", False),
)
_CONTROLLED = (
    _Kind(
        "controlled", "{}_controlled", (GRID, "layer"), "f8", "mean estimated with control variates"
    ),
    _Kind(
        "controlled_errors",
        "{}_controlled_stderr",
        (GRID, "layer"),
        "f8",
        "standard error of the mean estimated with control variates",
    ),
)
_SUMMED = "estimated with control variates", "of a sum of conditional probabilities"
_THEORY = _Kind("theory", "{}_theory", (GRID, "layer"), "f8", "prediction at infinite width")
_THEORY_ERRORS = _Kind(
    "theory_errors", "{}_theory_stderr", (GRID, "layer"), "f8", "standard error of the prediction"
)
_FIRST_ORDER = (
    _Kind("theory_1n", "{}_theory_1n", (GRID, "layer"), "f8", "prediction at first order in 1/N"),
    _Kind(
        "theory_1n_std",
        "{}_theory_1n_std",
        (GRID, "layer"),
        "f8",
        "predicted standard deviation over trials at first order in 1/N",
    ),
)
_SPREAD = (
    _Kind("quantile", "{}_quantile", (GRID, "layer", "level"), "f8", "quantile over trials"),
    _Kind("histogram", "{}_histogram", (GRID, "layer", "bin"), "u4", "trials per bin", False),
    _Kind("bin_lower", "{}_bin_lower", (GRID, "layer"), "f8", "lower edge of bin 1"),
    _Kind(
        "bin_width", "{}_bin_width", (GRID, "layer"), "f8", "width of bins 1 to the last but one"
    ),
)
_TRAJECTORY = _Kind("{}", "{}_trajectories", (GRID, "trial", "layer"), "f8", "of single trials")
_PAIR = ("covariance_layer", "covariance_layer_2")
_COVARIANCE = (
    _Kind("{}", "{}_covariance", (GRID, *_PAIR), "f8", "covariance over trials (ddof 1)"),
    _Kind("{}_mean", "{}_covariance_mean", (GRID, _PAIR[0]), "f8", "mean over the same trials"),
    _Kind("{}_count", "{}_covariance_count", (GRID,), "i8", "trials defined at all of them", False),
)


_ADDED = ("mean1", "mean2", "product", "variance", "log_sine")
"""Observables that files before format 1.5 lack."""


def _field(run: Run, folder: str, kind: _Kind, name: str) -> Field:
    observable = BY_NAME[base(name)]
    dims = tuple(run.dimensions) + dims_of(run, name, kind.dims)[1:]
    units = observable.units if kind.own_units else "1"
    if kind.name == "{}" and folder == "covariance":
        units = squared(units)
    exact = kind is _THEORY and name in EXACT and has_first_order(run)
    meaning = "exact at any width" if exact else kind.long_name
    if kind in _FIRST_ORDER and name in exact_first_order(run):
        meaning = meaning.replace(" at first order in 1/N", ", exact at any width")
    if name in HAZARDS:
        meaning = meaning.replace(*_SUMMED)
    return Field(
        path=f"{folder}/{kind.name.format(name)}",
        variable=kind.variable.format(name),
        dims=dims,
        dtype=kind.dtype,
        long_name=f"{observable.long_name}: {meaning}",
        units=units,
        optional=kind in _FIRST_ORDER + _CONTROLLED
        or (name in NETWORK_NAMES and kind in (_THEORY, _THEORY_ERRORS))
        or (folder, name) == ("covariance", "log_q1")
        or name in _ADDED,
    )


def fields(run: Run, *, complete: bool) -> tuple[Field, ...]:
    """Return every published array of a run's file, in the order in which it is written.

    A checkpoint has the moments and the kept trajectories only.
    """
    found, of_network = [], predicted_of_network(run)
    predicted = (_THEORY, _THEORY_ERRORS) if run.ensemble in ASYMMETRIC else (_THEORY,)
    for observable in observables_of(run):
        name = observable.name
        kinds = _BASIC + (_CONTROLLED if name in run.columns.controlled else ())
        kinds += predicted if complete and name not in NETWORK_NAMES else ()
        if complete:
            parts = of_network.get(name, ())
            kinds += tuple(kind for kind in (_THEORY, _THEORY_ERRORS) if kind.name in parts)
        if complete and name in FIRST_ORDER + GRADIENT_FIRST_ORDER and has_first_order(run):
            kinds += _FIRST_ORDER
        if complete and name in run.columns.histogrammed:
            kinds += _SPREAD
        found += [_field(run, name, kind, name) for kind in kinds]
    if run.kept:
        found += [_field(run, "trajectories", _TRAJECTORY, name) for name in KEPT]
    if complete:
        found += [
            _field(run, "covariance", kind, name)
            for name in run.columns.covariance
            for kind in _COVARIANCE
        ]
    return tuple(found)


_MEANINGS = {
    **{name: parameter.long_name for name, parameter in PARAMETERS.items()},
    "input_q1": "mean square of the first input of the pair",
    "input_q2": "mean square of the second input of the pair",
    "rate_lower": "lower end of a bin of the activation rate, not in it",
    "rate_upper": "upper end of a bin of the activation rate",
}


Add = Callable[..., None]


def _add_pairs(run: Run, add: Add) -> None:
    """Add the coordinates of the pairs of a shared network, and of bins of the activation rate."""
    dims = ("pair",)
    add("pair", dims, np.arange(run.columns.pairs))
    distance = np.array(run.points[0].distances)
    overlap = 1.0 - distance if run.correlation is None else np.array(run.correlation)
    add("overlap", dims, overlap)
    add("initial_distance", dims, distance)
    if run.inputs is not None:
        first, second = zip(*run.inputs.pairs, strict=True)
        add("first_input", dims, first, "row of the first input, from 0")
        add("second_input", dims, second, "row of the second input, from 0")
        add("input_q1", dims, run.inputs.q1)
        add("input_q2", dims, run.inputs.q2)
    edges = np.linspace(0.0, 1.0, RATE_BINS - 1)
    add("rate", ("rate",), np.arange(RATE_BINS), "bin of the activation rate; the ends are 0 and 1")
    add("rate_lower", ("rate",), np.concatenate([[0.0], edges]))
    add("rate_upper", ("rate",), np.concatenate([edges, [1.0]]))


def _add_slopes(run: Run, found: dict[str, Array]) -> None:
    """Add the slopes of the activation, and a default σ_w, along the parameters they follow."""
    shape = tuple(len(values) for values in run.dimensions.values())

    def add(name: str, values: list[float], dims: tuple[str, ...]) -> None:
        array = np.array(values).reshape(shape)
        array = np.array(array[tuple(slice(None) if d in dims else 0 for d in run.dimensions)])
        kept = tuple(d for d in run.dimensions if d in dims)
        found.setdefault(name, Array(kept, array, _MEANINGS[name]))

    add("positive_slope", [p.slopes[0] for p in run.points], ("width",))
    add("negative_slope", [p.slopes[1] for p in run.points], ("width", "negative_slope"))
    add("sigma_w", [p.sigma_w for p in run.points], ("width", "k", "negative_slope"))


def coordinates(run: Run) -> dict[str, Array]:
    """Return the coordinates of a run's arrays by name: parameters, layers, levels, bins, trials.

    A parameter that is not swept has no dimension; one that follows another (g and a default
    sigma_w follow k) has that one's.
    """
    found: dict[str, Array] = {}

    def add(name: str, dims: tuple[str, ...], values: object, meaning: str = "") -> None:
        real = name in _MEANINGS and name not in ("width", "pair")
        dtype = np.float64 if real else np.int64
        found[name] = Array(dims, np.array(values, dtype=dtype), meaning or _MEANINGS[name])

    of = {name: (name,) if name in run.dimensions else () for name in run.axes}
    for name, values in run.axes.items():
        add(name, of[name], values if of[name] else values[0])
    if run.layer_widths is not None:
        add("width", ("layer",), run.layer_widths)
    by_k = {point.k: point for point in run.points}
    points = [by_k[k] for k in run.k]
    add("g", of["k"], [p.g for p in points] if of["k"] else points[0].g)
    if has_slopes(run):
        _add_slopes(run, found)
    if run.sigma_w_of_k is not None:
        scales = [scale for _, scale in run.sigma_w_of_k]
        add("sigma_w", of["k"], scales if of["k"] else scales[0])
    if run.shared:
        _add_pairs(run, add)
    else:
        given, other = ("overlap", "initial_distance")[:: 1 if "overlap" in run.axes else -1]
        add(other, of[given], 1.0 - found[given].values)

    add("layer", ("layer",), np.arange(1, run.depth + 1), "layer, from 1")
    found["level"] = Array(("level",), np.array(run.levels), "level of a quantile")
    add("bin", ("bin",), np.arange(run.bins + 2), "bin; the first and the last are open")
    if run.kept:
        trials = run.first_trial + np.arange(run.kept)
        add("trial", ("trial",), trials, "number of the trial")
    for name in _PAIR:
        add(name, (name,), run.covariance_layers, "layer, from 1, chosen for covariances")
    return found

"""Infinite-width theory of a pair under `rai` and `raai`, where pre-activations are not Gaussian.

The law of one signal is solved by quadrature (`asymmetric`). Of the joint law (`pair_law`) the part
where signal 2 is active just as signal 1 is goes to the next layer by quadrature, too. The rest is
taken from a population of pairs (`particles`). Few nodes belong to it at a small angle, so the
sampling noise vanishes with the angle, whatever the depth. Independent replicas give the errors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from simcore.errors import InputError
from simcore.physics.parameters import whole

from .asymmetric import (
    AsymmetricLaw,
    Layer,
    Measure,
    advance,
    asymmetric_law,
    given_inputs,
    late_growth,
    norm_preserving_sigma_w,
    normal_inputs,
)
from .checks import mean_square, numbers, single, whole_numbers
from .law import FloatArray
from .meanfield import Trajectory, of_angle
from .pair_law import Pairs, activation_angle, joint_of, moments_of, pre_activation_angle
from .particles import REPLICAS, SIZES, given_pairs, next_pairs, random_pairs

__all__ = [
    "PopulationTrajectory",
    "late_growth",
    "norm_preserving_sigma_w",
    "population_trajectory",
]

_RESOLUTION = 0.75
"""Of the quadratures: q is right to 1e-5 at any fan-in, mostly to 1e-8."""


OF_PAIR = ("cosine", "log_sine", "product", "variance")
"""Observables of both activations."""


@dataclass(frozen=True, eq=False)
class PopulationTrajectory(Trajectory):
    """The `theory` column of theory.md 3 for `rai` and `raai`, arrays of shape (depth,).

    q1, q2, their logarithms, inactive1, inactive2, mean1 and mean2 come from quadrature; the rest
    are means over replicas of the population.
    """

    errors: Trajectory
    """Standard errors of the means over replicas; 0 for what comes from quadrature."""

    def observable(self, name: str) -> FloatArray:
        """Return the array of the observable `name`; InputError if there is none."""
        return self.errors.observable(name) if name == "errors" else super().observable(name)


@dataclass(frozen=True, eq=False)
class _Angles:
    """Contribution of the joint law to a layer's theory, each array of shape (replica,)."""

    angle: FloatArray
    """θ of the pre-activations over 2^exponent."""
    exponent: int
    of_activations: dict[str, FloatArray]
    """`pair_law.activation_angle`."""
    only_second: FloatArray
    """Probability that signal 2 alone is active."""


def _follow(
    pairs: Pairs,
    law: AsymmetricLaw,
    layers: Sequence[Layer],
    symmetric: bool,
    rng: np.random.Generator,
) -> Iterator[_Angles]:
    before = layers[0].before
    # Random inputs have the zero mean and the overlap of theory.md 1 exactly.
    moments = moments_of(pairs, before.first, before.second, False)
    for number, layer in enumerate(layers):
        with np.errstate(invalid="ignore"):
            joint = joint_of(pairs, moments, law, layer, symmetric)
        exponent = pairs.exponent
        angle = pre_activation_angle(moments, joint, layer, exponent)
        seen = math.ldexp(float(angle.max()), exponent)
        if math.isnan(seen):
            # The residual was lost to rounding beside a bias far larger than the signals.
            lost = np.full(REPLICAS, np.nan)
            yield from [_Angles(lost, 0, dict.fromkeys(OF_PAIR, lost), lost)] * (
                len(layers) - number
            )
            return
        size = next(size for bound, size in SIZES if seen >= bound)
        pairs, only_second = next_pairs(pairs, joint, layer, size, rng)
        moments = moments_of(pairs, layer.after.first, layer.after.second, symmetric)
        seen_after = activation_angle(pairs, moments, layer.after.second)
        yield _Angles(angle, exponent, seen_after, only_second)


def _layers(measure: Measure, law: AsymmetricLaw, fan_ins: Sequence[int]) -> list[Layer]:
    layers = []
    for fan_in in fan_ins:
        layers.append(advance(measure, law, fan_in, _RESOLUTION))
        measure = layers[-1].after
    return layers


def _column(layers: Sequence[Layer], name: str) -> FloatArray:
    return np.array([getattr(layer, name) for layer in layers], dtype=np.float64)


def _observables(
    first: Sequence[Layer], second: Sequence[Layer], angles: Sequence[_Angles]
) -> dict[str, FloatArray]:
    """Every observable of every replica, shape (depth, replica)."""
    mantissa = np.stack([a.angle for a in angles])
    exponent = np.array([a.exponent for a in angles])[:, None]
    log_q1, log_q2 = _column(first, "log_q")[:, None], _column(second, "log_q")[:, None]
    inactive1, inactive2 = _column(first, "inactive"), _column(second, "inactive")
    values = of_angle(mantissa, exponent)
    angle = values["angle"]
    with np.errstate(over="ignore", under="ignore"):
        values |= {"q1": np.exp(log_q1), "q2": np.exp(log_q2)}
        after = [[layer.after for layer in layers] for layers in (first, second)]
        units = [np.exp([[m.log_unit] for m in of]) for of in after]
        means = [unit * [[m.first] for m in of] for unit, of in zip(units, after, strict=True)]
        seen = {name: np.stack([a.of_activations[name] for a in angles]) for name in OF_PAIR}
        seen |= {name: units[0] ** 2 * seen[name] for name in ("product", "variance")}
    values |= seen | {"mean1": means[0], "mean2": means[1]}
    values |= {
        "log_q1": log_q1,
        "log_q2": log_q2,
        "inactive1": inactive1[:, None],
        "inactive2": inactive2[:, None],
        "inactive_both": inactive1[:, None] - np.stack([a.only_second for a in angles]),
    }
    return {name: np.broadcast_to(value, angle.shape) for name, value in values.items()}


def _deviations(values: FloatArray) -> FloatArray:
    """Differences from the first replica: 0 where they are equal, be they infinite."""
    with np.errstate(invalid="ignore"):
        return np.where(values == values[:, :1], 0.0, values - values[:, :1])


def _standard_error(values: FloatArray) -> FloatArray:
    # The spread of equal numbers is 0, which the rounding of their mean would spoil.
    with np.errstate(over="ignore", invalid="ignore"):
        spread = _deviations(values).std(axis=1, ddof=1)
    return np.asarray(spread / math.sqrt(values.shape[1]))


def _mean(values: FloatArray) -> FloatArray:
    return np.asarray(values[:, 0] + _deviations(values).mean(axis=1))


def _checked_inputs(inputs: npt.ArrayLike) -> FloatArray:
    array = numbers("inputs", inputs)
    if array.ndim != 2 or array.shape[1] != 2 or not np.isfinite(array).all():
        field, rule = "inputs", "must be finite numbers of shape (n, 2)"
        raise InputError(field, f"array of shape {array.shape}", rule, "Give a column per input.")
    if not array.any(axis=0).all():
        field, rule = "inputs", "must not have a column of zeros"
        raise InputError(field, "a zero input", rule, "It has no direction, so leave it out.")
    return array


def population_trajectory(
    fan_ins: Sequence[int] | npt.NDArray[np.integer],
    *,
    k: float = 0.0,
    sigma_w: float,
    sigma_b: float | None = None,
    q0: float = 1.0,
    distance: float = 1.0,
    inputs: npt.ArrayLike | None = None,
    seed: int = 0,
) -> PopulationTrajectory:
    """Follow a pair of signals through `rai` (k = 0) or `raai` at infinite width, theory.md 4.

    Every layer has the terms of order 1/n of its fan-in n, and the law of infinitely many nodes.
    Expectations take the place of averages over nodes: q1 = ⟨h₁²⟩, correlation = ⟨h₁h₂⟩/√(q1 q2),
    cosine = ⟨x₁x₂⟩/√(⟨x₁²⟩⟨x₂²⟩), inactive_both = P(h₁ ≤ 0, h₂ ≤ 0).

    Parameters
    ----------
    fan_ins
        Fan-in of each layer, shape (depth,); of layer 1 the length of the inputs.
    k, sigma_w, sigma_b
        The ensemble; sigma_b None is σ_w/√n.
    q0, distance
        Mean square and 1 − c₀ of two inputs whose components are jointly normal with mean 0.
    inputs
        Shape (n, 2): the components of two given inputs, instead of q0 and distance.
    seed
        Of the random numbers; the same arguments give the same result.

    Returns
    -------
    PopulationTrajectory
        Arrays of shape (depth,), with standard errors from independent replicas; all NaN where
        scales are so far apart that their products leave float64.

    Raises
    ------
    InputError
        If a parameter is out of range.
    """
    checked = whole_numbers("fan_ins", fan_ins, "fan-in").tolist()
    law = asymmetric_law(k, sigma_w, sigma_b)
    rng = np.random.default_rng(whole("seed", seed, 0, 2**64 - 1))
    names = [field.name for field in fields(Trajectory)]
    try:
        with np.errstate(over="raise", divide="raise", invalid="raise"):
            if inputs is None:
                measure = normal_inputs(mean_square("q0", q0))
                pairs = random_pairs(measure, single("distance", distance, 0.0, 2.0), rng)
                first = second = _layers(measure, law, checked)
            else:
                given = _checked_inputs(inputs)
                measures = [given_inputs(column) for column in given.T]
                pairs = given_pairs(measures[0], given)
                first, second = (_layers(measure, law, checked) for measure in measures)
            angles = list(_follow(pairs, law, first, inputs is None, rng))
    except ArithmeticError:  # scales whose products leave float64
        none = dict.fromkeys(names, np.full(len(checked), np.nan))
        return PopulationTrajectory(**none, errors=Trajectory(**none))
    values = _observables(first, second, angles)
    errors = {name: _standard_error(value) for name, value in values.items()}
    means = {name: _mean(values[name]) for name in names}
    return PopulationTrajectory(**means, errors=Trajectory(**errors))

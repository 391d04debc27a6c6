"""Mean-field theory of the ensembles `he` and `correlated`, exact as the width goes to infinity.

Everything rests on the angle θ of the pre-activations of a pair and on one function of it,

    G(θ) = (sin θ − θ cos θ)/(1 − cos θ),    Δ = J(1) − J(cos θ) = sin²(θ/2) (1 − G(θ)/π),

so that theory.md (7) reads 1 − c' = (1 − c)(π − G(θ))/(π − g), with no difference of nearly equal
numbers at any θ. `fixed_points` has the limit of great depth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TypeVar, cast

import numpy as np
import numpy.typing as npt

from simcore.errors import InputError
from simcore.physics.parameters import check_scale
from simcore.physics.slopes import RELU, Slopes, mean_square, unevenness

from .checks import layers, overlaps, whole_numbers, within
from .checks import lengths as start_lengths
from .law import FloatArray, Law, bend, kept, kept_at, law_of

Values = TypeVar("Values", float, FloatArray)

_LINEAR_BELOW = -100
"""Binary exponent of θ and of the gap in length below which a layer is linear in them."""


def _mapped_distance(distance: FloatArray, correlation: FloatArray, law: Law) -> FloatArray:
    if law.bias_variance > 0.0 and not law.bounded:
        field, given = "sigma_w", math.sqrt(law.weight_variance)
        rule = "makes q grow without bound at this k and sigma_b, so no one map holds at all layers"
        remedy = "Give sigma_w with sigma_w^2 (1 - g/pi) < 2, or use trajectory."
        raise InputError(field, given, rule, remedy)
    angle = np.arctan2(np.sqrt(distance * (1.0 + correlation)), correlation)
    if law.eta == 1.0:
        return np.asarray(distance * (math.pi - bend(angle)) / (math.pi - law.late_g))
    return np.asarray(distance * math.pi * kept(angle, law.eta) / (math.pi - law.late_g))


def correlation_map(
    c: Values,
    *,
    k: float = 0.0,
    sigma_w: float | None = None,
    sigma_b: float = 0.0,
    slopes: Slopes = RELU,
) -> Values:
    """Return the correlation one layer on, theory.md (7) [SS], or (6) [P] at q* with bias.

    Parameters
    ----------
    c
        Correlation of the pre-activations, −1 ≤ c ≤ 1, a scalar or an array of any shape.
    k, sigma_w, sigma_b, slopes
        The ensemble, as for `fixed_point`. Without bias sigma_w does not matter; with bias both
        signals have the length q* of theory.md (5).

    Returns
    -------
    float or ndarray
        c' in the shape of `c`; `distance_map` is the one to use near c = 1.

    Raises
    ------
    InputError
        If a parameter is out of range, or there is a bias and q is unbounded.
    """
    correlation = within("c", c, -1.0, 1.0)
    law = law_of(k, sigma_w, sigma_b, slopes)
    mapped = 1.0 - _mapped_distance(1.0 - correlation, correlation, law)
    return cast("Values", mapped if mapped.ndim else float(mapped))


def distance_map(
    distance: Values,
    *,
    k: float = 0.0,
    sigma_w: float | None = None,
    sigma_b: float = 0.0,
    slopes: Slopes = RELU,
) -> Values:
    """Return 1 − c one layer on to full relative accuracy, theory.md (7) [SS].

    Parameters
    ----------
    distance
        1 − c of the pre-activations, between 0 and 2, a scalar or an array of any shape.
    k, sigma_w, sigma_b, slopes
        As for `correlation_map`, which also says what is returned and raised.
    """
    checked = within("distance", distance, 0.0, 2.0)
    mapped = _mapped_distance(checked, 1.0 - checked, law_of(k, sigma_w, sigma_b, slopes))
    return cast("Values", mapped if mapped.ndim else float(mapped))


@dataclass(frozen=True, eq=False)
class Trajectory:
    """The `theory` column of theory.md 3; each array has shape (depth,), layer 1 first."""

    q1: FloatArray
    """Mean squared pre-activation of signal 1; inf or 0 beyond the range of float64."""
    q2: FloatArray
    log_q1: FloatArray
    """Natural logarithm of `q1`, finite at every depth."""
    log_q2: FloatArray
    correlation: FloatArray
    """c of the pre-activations."""
    distance: FloatArray
    """1 − c to full relative accuracy; 0 below the range of float64."""
    log_distance: FloatArray
    """ln(1 − c) at any depth; NaN where 1 − c is exactly 0, which a simulation leaves out too."""
    angle: FloatArray
    """θ = arccos c in radians."""
    cosine: FloatArray
    """Cosine of the angle between the activations, 2J(c) [JN]."""
    inactive1: FloatArray
    """Fraction of nodes with h ≤ 0, one half."""
    inactive2: FloatArray
    inactive_both: FloatArray
    """Fraction of nodes with h ≤ 0 for both signals, (π − θ)/(2π)."""
    mean1: FloatArray
    """⟨x₁⟩ of the activations, √(q₁/(2π))."""
    mean2: FloatArray
    product: FloatArray
    """⟨x₁x₂⟩, √(q₁q₂)J(c)."""
    variance: FloatArray
    """⟨(x₁ − x₂)²⟩/2."""
    log_sine: FloatArray
    """ln(1 − (2J)²); NaN where `log_distance` is."""

    def observable(self, name: str) -> FloatArray:
        """Return the array of the observable `name`; InputError if there is none."""
        names = [field.name for field in fields(self)]
        if name not in names:
            field, remedy = "observable", f"Choose one of: {', '.join(names)}."
            raise InputError(field, name, "has no theory here", remedy)
        return cast("FloatArray", getattr(self, name))


@dataclass(frozen=True, eq=False)
class _Lengths:
    """Two logarithms for layers 1…L, two for what enters them (layers 0…L−1), shape (L,)."""

    log_q1: FloatArray
    log_q2: FloatArray
    log_bias: FloatArray
    """ln(σ_b²/(σ_w² R)), R = √(q₁q₂), from layer 2 on 2A √(q₁q₂)."""
    log_gap: FloatArray
    """ln(|√q₁ − √q₂|/√R), −inf without bias: only through the bias does it act on the angle."""


def _lengths(depth: int, law: Law, q1: float, q2: float) -> _Lengths:
    """Solve theory.md (5) in closed form, in units of σ_b² (without bias, of 1)."""
    has_bias = law.bias_variance > 0.0
    log_unit = math.log(law.bias_variance) if has_bias else 0.0
    log_bias = 0.0 if has_bias else -math.inf
    log_power = np.arange(depth) * law.log_growth
    log_weight = math.log(law.weight_variance)
    from_bias = log_bias + np.logaddexp.accumulate(log_power)
    log_q, entering = [], []
    for log_input in (math.log(q1) - log_unit, math.log(q2) - log_unit):
        log_q.append(np.logaddexp(log_input + log_weight + log_power, from_bias))
        entering.append(np.concatenate(([log_input], log_q[-1][:-1])))
    log_gap = np.full(depth, -math.inf)
    if q1 != q2 and has_bias:
        log_gap = _log_gap(math.log(abs(q1 - q2)) - log_unit, law, entering)
    log_share = log_bias - log_weight - 0.5 * (entering[0] + entering[1])
    log_share[1:] -= math.log(law.gain)
    return _Lengths(log_q[0] + log_unit, log_q[1] + log_unit, log_share, log_gap)


def _log_gap(log_difference: float, law: Law, entering: list[FloatArray]) -> FloatArray:
    """Return ln(|√q₁ − √q₂|/√R) of what enters the layers, from ln|q₁ − q₂| of the inputs."""
    # The difference q₁ − q₂ has no bias in it; δ = |ln(q₁/q₂)|, and the gap is 2 sinh(δ/4).
    log_power = np.arange(len(entering[0]) - 1) * law.log_growth
    scaling = np.concatenate(([0.0], math.log(law.weight_variance) + log_power))
    log_ratio = log_difference + scaling - np.minimum(*entering)
    delta = np.logaddexp(0.0, np.maximum(log_ratio, -40.0))
    gap = np.log(2.0 * np.sinh(0.25 * delta)) + np.minimum(log_ratio + 40.0, 0.0)
    return np.asarray(gap, dtype=np.float64)


def _lengths_of_biases(log_bias: FloatArray, law: Law, q1: float, q2: float) -> _Lengths:
    """Follow theory.md (5) with a bias variance for each layer."""
    log_weight = math.log(law.weight_variance)
    log_q, entering = [], []
    for start in (q1, q2):
        path, factor = [math.log(start)], log_weight
        for bias in log_bias.tolist():
            path.append(float(np.logaddexp(path[-1] + factor, bias)))
            factor = law.log_growth
        log_q.append(np.array(path[1:]))
        entering.append(np.array(path[:-1]))
    log_gap = np.full(log_bias.shape, -math.inf)
    if q1 != q2:
        log_gap = _log_gap(math.log(abs(q1 - q2)), law, entering)
    log_share = log_bias - log_weight - 0.5 * (entering[0] + entering[1])
    log_share[1:] -= math.log(law.gain)
    return _Lengths(log_q[0], log_q[1], log_share, log_gap)


def _covariance(
    drop: float, gap: float, overlap: float, self_overlap: float, log_bias: float
) -> tuple[float, float]:
    """√det' and K₁₂' of theory.md 4 in units of σ_w² R + σ_b², from √Δ, the gap, j, j₀.

    `drop` = √Δ and `gap` may carry a common factor, which √det' then carries too.
    """
    smaller = math.exp(-abs(log_bias))
    shares = smaller / (1.0 + smaller), 1.0 / (1.0 + smaller)
    bias, weight = shares if log_bias < 0.0 else shares[::-1]
    together = max(0.0, self_overlap + overlap)  # 0 but for rounding where φ is linear and c = −1
    by_angle = drop * math.sqrt(weight * (weight * together + 2.0 * bias))
    by_lengths = gap * math.sqrt(bias * weight * self_overlap)
    return math.hypot(by_angle, by_lengths), weight * overlap + bias


def _angles(
    lengths: _Lengths, law: Law, distance: float, correlation: float
) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """θ of layers 1…L as mantissa and binary exponent, the latter 0 unless θ is tiny."""
    log_bias, log_gap = lengths.log_bias.tolist(), lengths.log_gap.tolist()
    mantissas, exponents = np.empty(len(log_gap)), np.zeros(len(log_gap), dtype=np.int64)
    start = _covariance(math.sqrt(distance), math.exp(log_gap[0]), correlation, 1.0, log_bias[0])
    angle, exponent = math.atan2(*start), 0
    mantissas[0] = angle
    j0 = 0.5 - law.eta * law.g / (2.0 * math.pi)
    for layer in range(1, len(log_gap)):
        log_angle = math.log2(angle) + exponent if angle > 0.0 else -math.inf
        top = max(log_angle, log_gap[layer] / math.log(2.0))
        chosen = math.floor(top) if -math.inf < top < _LINEAR_BELOW else 0
        angle, exponent = math.ldexp(angle, exponent - chosen), chosen
        half = 0.5 * angle if exponent else math.sin(0.5 * angle)
        drop = half * math.sqrt(kept_at(math.ldexp(angle, exponent), law.eta))
        gap = math.exp(log_gap[layer] - exponent * math.log(2.0))
        j = j0 - math.ldexp(drop, exponent) ** 2
        root_det, k12 = _covariance(drop, gap, j, j0, log_bias[layer])
        angle = root_det / k12 if exponent else math.atan2(root_det, k12)
        mantissas[layer], exponents[layer] = angle, exponent
    return mantissas, exponents


def of_angle(mantissas: FloatArray, exponents: npt.NDArray[np.int64]) -> dict[str, FloatArray]:
    """Return the observables that are functions of θ = mantissa · 2^exponent.

    They are `angle`, `correlation`, `distance` and `log_distance`, each in the shape of θ.
    """
    with np.errstate(over="ignore", under="ignore", divide="ignore"):
        angle = np.ldexp(mantissas, exponents)
        half = np.where(exponents < 0, 0.5 * mantissas, np.sin(0.5 * angle))
        log_distance = 2.0 * np.log(half) + math.log(2.0) * (1 + 2 * exponents)
        distance = 2.0 * np.ldexp(half, exponents) ** 2
    return {
        "angle": angle,
        "correlation": np.cos(angle),
        "distance": distance,
        "log_distance": np.where(mantissas == 0.0, np.nan, log_distance),
    }


def of_activations(
    log_q1: FloatArray,
    log_q2: FloatArray,
    found: dict[str, FloatArray],
    slopes: Slopes = RELU,
) -> dict[str, FloatArray]:
    """Return the observables of the activations, of normal pre-activations.

    `found` is of `of_angle`. They are `cosine`, `mean1`, `mean2`, `product`, `variance` and
    `log_sine`, each in the shape of θ.
    """
    # 1 − Q/A = (1 − c)(1 − ηG/π), which keeps its digits at small angles.
    rest, square = kept(found["angle"], unevenness(slopes)), mean_square(slopes)
    apart = found["distance"] * rest
    cosine = 1.0 - apart
    step, root = slopes[0] - slopes[1], math.sqrt(2.0 * math.pi)
    with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
        both = square * np.exp(0.5 * (log_q1 + log_q2))
        lengths = 2.0 * np.log(np.abs(np.expm1(0.5 * (log_q1 - log_q2))))
        by_lengths = 0.5 * square * np.exp(log_q2 + lengths)
        sine = found["log_distance"] + np.log(rest) + np.log1p(cosine)
        return {
            "cosine": cosine,
            "mean1": step * np.exp(0.5 * log_q1) / root,
            "mean2": step * np.exp(0.5 * log_q2) / root,
            "product": np.where(cosine != 0.0, both * cosine, 0.0),
            "variance": np.where(apart > 0.0, both * apart, 0.0) + by_lengths,
            "log_sine": np.where(np.isfinite(sine), sine, np.nan),
        }


def trajectory(
    depth: int,
    *,
    k: float = 0.0,
    sigma_w: float | None = None,
    sigma_b: float | Sequence[float] | FloatArray = 0.0,
    q1: float = 1.0,
    q2: float | None = None,
    distance: float | None = None,
    correlation: float | None = None,
    slopes: Slopes = RELU,
) -> Trajectory:
    """Follow a pair of signals through layers 1…depth, theory.md (5), (6) [CS], [P], [SS].

    Layer 1 reads the inputs as they are, by K¹ of theory.md 1. The relative error of 1 − c is a
    few 1e-16 per layer where nothing contracts it.

    Parameters
    ----------
    depth
        Number of layers, at least 1.
    k, sigma_w, sigma_b
        The ensemble, as for `fixed_point`; `sigma_b` one number, or one for each layer.
    q1, q2
        Mean squares |x|²/N₀ of the two inputs; `q2` None is equal lengths.
    distance, correlation
        1 − c₀ or c₀ of the inputs, exactly one; below 1e-16 only 1 − c₀ can express it.
    slopes
        s₊ and s₋ of the activation.

    Raises
    ------
    InputError
        If a parameter is out of range, or not exactly one of distance and correlation is given.
    """
    count = layers(depth)
    overlap, starts = overlaps(distance, correlation), start_lengths(q1, q2)
    if isinstance(sigma_b, list | tuple) or (isinstance(sigma_b, np.ndarray) and sigma_b.ndim):
        law = law_of(k, sigma_w, 0.0, slopes)
        lengths = _lengths_of_biases(_log_biases(sigma_b, count), law, *starts)
    else:
        law = law_of(k, sigma_w, sigma_b, slopes)  # type: ignore[arg-type]
        lengths = _lengths(count, law, *starts)
    found = of_angle(*_angles(lengths, law, *overlap))
    angle = found["angle"]
    with np.errstate(over="ignore", under="ignore"):
        found |= {"q1": np.exp(lengths.log_q1), "q2": np.exp(lengths.log_q2)}
    return Trajectory(
        log_q1=lengths.log_q1,
        log_q2=lengths.log_q2,
        inactive1=np.full_like(angle, 0.5),
        inactive2=np.full_like(angle, 0.5),
        inactive_both=(math.pi - angle) / (2.0 * math.pi),
        **found,
        **of_activations(lengths.log_q1, lengths.log_q2, found, slopes),
    )


def _log_biases(sigma_b: Sequence[float] | FloatArray, depth: int) -> FloatArray:
    """Return ln σ_b² of each layer; InputError unless there are `depth`."""
    scales = np.array([check_scale("sigma_b", x, positive=False) for x in sigma_b])
    if scales.shape != (depth,):
        rule = f"must be one number, or one for each of the {depth} layers"
        raise InputError("sigma_b", f"{scales.size} numbers", rule, "Change it, or the depth.")
    with np.errstate(divide="ignore"):
        return np.asarray(2.0 * np.log(scales))


def dead_network(
    widths: Sequence[int] | npt.NDArray[np.integer], *, zero_sum: bool = False
) -> FloatArray:
    """Return the probability 1 − Π_{m≤l}(1 − 2^−N_m) of no active node in some layer up to l.

    Parameters
    ----------
    widths
        Widths N_1…N_L, at least 1. Exact at any N for Gaussian rows of nonzero variance, whatever
        k and bias, theory.md 3 and 'Dead layers' of 4 [L].
    zero_sum
        Whether the weights of a node sum to zero (k = ∞) and there is no bias. The only weight of a
        node is then zero, so that a layer after one of width 1 is dead. Layer 1 has several inputs.

    Returns
    -------
    ndarray
        Shape (L,), to full relative accuracy however small.

    Raises
    ------
    InputError
        If `widths` is not a nonempty sequence of integers of at least 1.
    """
    array = whole_numbers("widths", widths, "width")
    dead = -np.expm1(np.cumsum(np.log1p(-np.exp2(-array.astype(np.float64)))))
    if zero_sum:
        dead[1:][np.logical_or.accumulate(array == 1)[:-1]] = 1.0
    return np.asarray(dead)

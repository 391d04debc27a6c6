"""First order in 1/N: mean and standard deviation over networks of finite width, theory.md (8)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.polynomial import Polynomial
from numpy.polynomial.hermite_e import hermegauss

from simcore.errors import InputError
from simcore.physics.observables import FIRST_ORDER
from simcore.physics.parameters import check_scale, several
from simcore.physics.slopes import RELU, Slopes, check_slopes

from .checks import array_of, layers, lengths, overlaps
from .law import FloatArray, law_of
from .node_moments import Phi
from .width_step import Laws, Nodes, State, advance, log_half_tangent, rescaled, spread

__all__ = ["FIRST_ORDER", "FirstOrder", "first_order", "first_order_grid"]

_HERMITE = 9
"""Points of the quadrature over a normal variable."""

_SKEWEST = 1.0
"""Largest skewness that is believed."""

_TINY = 1e-200

_LEAST_FOLD = 1e-12
"""Fold below which nothing is folded."""

_MOST_FOLD = 0.1
"""Fold above which there is no first order: what a spread in length adds to θ² over θ² itself."""

_OF_ONE_SIGNAL = ("log_q1", "log_q2", "inactive1", "inactive2")
"""Observables of one signal."""

_BLOCK = 2**13
"""Values averaged at a time, to save memory."""

_NEARLY_PARALLEL = -300.0
"""ln tan(θ/2) that stands for parallel signals."""

_PARALLEL = {
    "correlation": (1.0, 0.0),
    "distance": (0.0, 0.0),
    "log_distance": (math.nan, math.nan),
    "angle": (0.0, 0.0),
    "cosine": (1.0, 0.0),
}
"""Mean and standard deviation of what does not vary between parallel signals."""


@dataclass(frozen=True, eq=False)
class FirstOrder:
    """Predictions at first order in 1/N, theory.md (8); NaN where there is none."""

    mean: Mapping[str, FloatArray]
    """Mean over networks of each of `FIRST_ORDER`, shape (depth,)."""
    std: Mapping[str, FloatArray]
    """Standard deviation over networks, shape (depth,)."""


class _Marginal(NamedTuple):
    """Mean, variance and third cumulant of one variable over networks, each of one shape."""

    mean: FloatArray
    variance: FloatArray
    skew: FloatArray
    fold: FloatArray
    """The variable is this normal one plus ½ ln(1 + fold z²), z an independent normal one."""


def _start(law: Laws, q1: FloatArray, q2: FloatArray, distance: FloatArray) -> State:
    """K¹ of theory.md 1, in units of σ_w² √(q₁q₂)."""
    size = 0.25 * (np.log(q1) - np.log(q2))
    log_scale = law.log_weight + 0.5 * (np.log(q1) + np.log(q2))
    bias = np.exp(law.log_bias - log_scale)
    first, second = np.exp(2.0 * size) + bias, np.exp(-2.0 * size) + bias
    gap = 4.0 * np.sinh(size) ** 2 + 2.0 * distance
    determinant = distance * (2.0 - distance) + bias * gap
    t = log_half_tangent(0.5 * np.log(determinant), (1.0 - distance) + bias)
    # Parallel signals are parted by an angle so small that it acts on nothing.
    t = np.where(np.isneginf(t), _NEARLY_PARALLEL, t)
    share = -2.0 * np.sinh(2.0 * size) / first
    near = np.log1p(np.maximum(share, -0.5))
    ratio = np.where(np.abs(share) < 0.5, near, np.log(second / first))
    log_k = np.logaddexp(law.log_weight + np.log(q1), law.log_bias)
    zeros = np.zeros((3, 3, 3, t.size))
    return rescaled((log_k, ratio, t), np.zeros_like(t), zeros[0], zeros, zeros[0, 0, 0])


def _average(
    function: Callable[[FloatArray], FloatArray], law: _Marginal
) -> tuple[FloatArray, FloatArray]:
    """Return mean and standard deviation of a function of a nearly normal variable.

    At first order in 1/N this is the delta method. It is kept here as an integral over
    m + √V (z + γ(z² − 1)/6), z normal and γ the skewness, since the function may bend more within
    a standard deviation than two derivatives tell.
    """
    if law.mean.size > _BLOCK and law.mean.shape[0] > 1:
        halves = zip(*(np.array_split(array, 2) for array in law), strict=True)
        found = zip(*(_average(function, _Marginal(*half)) for half in halves), strict=True)
        mean, std = (np.concatenate(parts) for parts in found)
        return mean, std
    points, weights = _nodes(law)
    values = function(points)
    # About the middle value, so that rounding does not move the mean of equal values.
    middle = values[..., values.shape[-1] // 2]
    departures = values - middle[..., None]
    shift = departures @ weights
    variance = ((departures - shift[..., None]) ** 2) @ weights
    return np.asarray(middle + shift), np.sqrt(variance)


def _nodes(law: _Marginal) -> tuple[FloatArray, FloatArray]:
    """Points and weights of a quadrature over the variable, shapes (..., n) and (n,)."""
    nodes, weights = hermegauss(_HERMITE)
    weights = weights / weights.sum()
    skewness = np.clip(law.skew / np.maximum(law.variance, _TINY) ** 1.5, -_SKEWEST, _SKEWEST)
    moved = nodes + skewness[..., None] * (nodes**2 - 1.0) / 6.0
    moved = moved / np.sqrt(1.0 + skewness[..., None] ** 2 / 18.0)
    points = law.mean[..., None] + np.sqrt(law.variance)[..., None] * moved
    if not np.any(law.fold > _LEAST_FOLD):
        return points, weights
    sides, shares = hermegauss(2 * _HERMITE)
    sides, shares = sides[_HERMITE:], 2.0 * shares[_HERMITE:] / shares.sum()
    lifts = 0.5 * np.log1p(law.fold[..., None] * sides**2)
    points = points[..., None, :] + lifts[..., None]
    return points.reshape(*law.mean.shape, -1), np.outer(shares, weights).ravel()


_OF_T: dict[str, Callable[[FloatArray], FloatArray]] = {
    "correlation": lambda t: -np.tanh(t),
    "distance": lambda t: 2.0 / (1.0 + np.exp(-2.0 * t)),
    "log_distance": lambda t: math.log(2.0) - np.logaddexp(0.0, -2.0 * t),
    "angle": lambda t: 2.0 * np.arctan(np.exp(t)),
}
"""Observables that are functions of t = ln tan(θ/2)."""


class _Path(NamedTuple):
    """Variables from which the observables of all layers follow, each of shape (P, depth)."""

    log_q1: _Marginal
    log_q2: _Marginal
    t: _Marginal
    cosine_t: _Marginal
    """ln tan(θ/2) of the angle θ between the activations."""


def _observables(
    path: _Path, widths: FloatArray, bends: FloatArray
) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Mean and standard deviation of every observable, the sampling of its own layer included.

    N nodes have ln⟨h²⟩ with mean ln K − 1/N − 1/(3N²) and variance 2/N, and an angle whose
    ln tan(θ/2) has mean t − cos θ/(2N) and variance 1/N, given K. `bends`, shape (P, 1), are those
    of `length_bend`, 0 with bias.
    """
    steps = bends / widths**2
    lift = np.cumsum(steps, axis=1) - steps - 1.0 / widths - 1.0 / (3.0 * widths**2)
    t = path.t
    shift = 0.5 * np.tanh(t.mean) / widths
    sampled = _Marginal(t.mean + shift, t.variance + 1.0 / widths, t.skew, t.fold)
    of_t = {name: _average(function, sampled) for name, function in _OF_T.items()}
    theta, theta_std = _average(_OF_T["angle"], t)
    both, both_std = (math.pi - theta) / (2.0 * math.pi), theta_std / (2.0 * math.pi)
    own = (both * (1.0 - both) - both_std**2) / widths
    lost = np.maximum.accumulate(t.fold, axis=1) > _MOST_FOLD
    half = np.full_like(theta, 0.5), 0.5 / np.sqrt(widths)
    cosine, gap = (_average(_OF_T[name], path.cosine_t) for name in ("correlation", "distance"))
    lengths_of = {
        name: (log_k.mean + lift, np.sqrt(log_k.variance + 2.0 / widths))
        for name, log_k in (("log_q1", path.log_q1), ("log_q2", path.log_q2))
    }
    found = lengths_of | of_t
    found |= {
        "correlation": (of_t["correlation"][0], of_t["distance"][1]),
        "cosine": (cosine[0], gap[1]),
        "inactive1": half,
        "inactive2": (half[0].copy(), half[1].copy()),
        "inactive_both": (both, np.sqrt(np.maximum(own, 0.0) + both_std**2)),
    }
    for name in FIRST_ORDER:
        if name not in _OF_ONE_SIGNAL:
            found[name] = np.where(lost, np.nan, found[name][0]), found[name][1]
    return found


def length_bend(g: FloatArray, phi: Phi = RELU) -> FloatArray:
    """Return the coefficient of 1/N² in the mean growth of ln K₁₁ from layer to layer, shape (P,).

    Without bias the growth is ln(σ_w² a), a = ⟨x²⟩ − g⟨x⟩² of N independent nodes whatever the
    state. With a = ā(1 + u/√N − v/N), v = gε²/ā and ε, u the deviations of √N⟨x⟩ and of what is
    linear in a, the logarithm has the terms of order 1/N², theory.md 5. For ReLU and g = 0 it is
    −49/12. `phi` has the slopes of the activation.
    """
    above, below = np.broadcast_arrays(*phi)
    each = [
        _central_moments(*map(float, own)) for own in np.stack([above.ravel(), below.ravel()]).T
    ]
    central = {power: np.array([own[power] for own in each]) for power in each[0]}
    mean = (above - below) * _X
    level = 0.5 * (above**2 + below**2) - g * mean**2
    of_x, of_x2 = -2.0 * g * mean / level, 1.0 / level

    def moment(power: int, more: int = 0) -> FloatArray:
        """Return E u^power ε^more of one node."""
        terms = [
            math.comb(power, i) * of_x ** (power - i) * of_x2**i * central[power - i + more, i]
            for i in range(power + 1)
        ]
        return np.asarray(sum(terms))

    share, square, own = g / level, moment(2), central[2, 0]
    third = moment(3) / 3.0 + share * moment(1, 2)
    fourth = 0.75 * square**2 + share * (square * own + 2.0 * moment(1, 1) ** 2)
    return np.asarray(third - fourth - 1.5 * (share * own) ** 2)


@lru_cache(maxsize=1024)
def _central_moments(above: float, below: float) -> dict[tuple[int, int], float]:
    """Return E (x − E x)^i (x² − E x²)^j, i + j ≤ 3, of x = φ(z) with slopes, z a normal number."""
    powers = range(7)
    half = [2.0 ** (p / 2 - 1) * math.gamma((p + 1) / 2) / math.sqrt(math.pi) for p in powers[1:]]
    raw = [1.0, *(h * (above**p + (-below) ** p) for p, h in enumerate(half, start=1))]
    first, second = Polynomial([-raw[1], 1.0]), Polynomial([-raw[2], 0.0, 1.0])
    return {
        (i, j): float(np.dot((first**i * second**j).coef, raw[: i + 2 * j + 1]))
        for i in range(4)
        for j in range(4 - i)
    }


_X = 1.0 / math.sqrt(2.0 * math.pi)
"""E x of a rectified normal number."""


def _follow(law: Laws, biases: FloatArray, state: State, widths: FloatArray) -> _Path:
    """Take the states through the layers, each with its σ_b, collecting what observables need."""
    columns = []
    none, plain = np.zeros_like(law.g), law.plain
    for layer, width in enumerate(widths.T):
        nodes = Nodes.of(state, width, law.phi)
        h, c = np.exp(state.log_unit), state.covariance
        seen = spread(state, nodes, plain, (2,))
        second = c[0, 0] + 2.0 * h * c[0, 1] + h * h * c[1, 1]
        columns.append(
            (
                (state.log_k, c[0, 0], none, none),
                (state.log_k + h * state.ratio, second, none, none),
                (state.angle.t, c[2, 2], state.skew[2, 2, 2], state.fold * c[1, 1]),
                (seen.mean[0], seen.covariance[0, 0], seen.skew[0, 0, 0], seen.fold * c[1, 1]),
            )
        )
        if layer + 1 < widths.shape[1]:
            law = replace(law, log_bias=2.0 * np.log(biases[:, layer + 1]))
            state = advance(state, nodes, law)
    stacked = np.moveaxis(np.array(columns), 0, -1)
    return _Path(*(_Marginal(*marginal) for marginal in stacked))


def first_order_grid(
    depth: int,
    *,
    widths: npt.ArrayLike,
    g: npt.ArrayLike,
    sigma_w: npt.ArrayLike,
    sigma_b: npt.ArrayLike,
    q1: npt.ArrayLike,
    q2: npt.ArrayLike,
    distance: npt.ArrayLike,
    slopes: tuple[npt.ArrayLike, npt.ArrayLike] = RELU,
) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """Return mean and standard deviation for P points at once, theory.md (8).

    Parameters
    ----------
    depth
        Number of layers.
    widths
        Width of every layer, shape (P, depth).
    g, sigma_w, sigma_b
        The ensembles, g = k/(1 + k), each of shape (P,); `sigma_b` also (P, depth).
    q1, q2, distance
        Mean squares and 1 − c₀ of the inputs, each of shape (P,). They are not checked here.
    slopes
        s₊ and s₋ of the activation, each a number or of shape (P,). They are not checked here.

    Returns
    -------
    tuple of dict
        Mean and standard deviation of each of `FIRST_ORDER`, shape (P, depth); both NaN where one
        is not finite, for `log_distance` of parallel signals, and for what two signals share where
        the angle that bias makes of a random difference in length is no small correction (k < 0
        with bias: from the layer on where it adds a tenth to θ²).
    """
    nodes = np.asarray(widths, dtype=np.float64).reshape(-1, depth)
    strength, scale, first, second, gap = (
        np.broadcast_to(np.asarray(value, dtype=np.float64), nodes.shape[:1])
        for value in (g, sigma_w, q1, q2, distance)
    )
    above, below = (
        np.broadcast_to(np.asarray(value, dtype=np.float64), nodes.shape[:1]) for value in slopes
    )
    given = np.asarray(sigma_b, dtype=np.float64)
    biases = np.broadcast_to(given if given.ndim > 1 else given.reshape(-1, 1), nodes.shape)
    with np.errstate(all="ignore"):
        law = Laws(strength, 2.0 * np.log(scale), 2.0 * np.log(biases[:, 0]), (above, below))
        state = _start(law, first, second, gap)
        plain = (biases == 0.0).all(axis=1, keepdims=True)
        bends = np.where(plain, length_bend(strength, law.phi)[:, None], 0.0)
        found = _observables(_follow(law, biases, state, nodes), nodes, bends)
    parallel = (gap == 0.0) & ((biases == 0.0).all(axis=1) | (first == second))
    for name, constants in _PARALLEL.items():
        for array, constant in zip(found[name], constants, strict=True):
            array[parallel] = constant
    for array, alone in zip(found["inactive_both"], found["inactive1"], strict=True):
        array[parallel] = alone[parallel]
    for mean, std in found.values():
        lost = ~(np.isfinite(mean) & np.isfinite(std))
        mean[lost] = np.nan
        std[lost] = np.nan
    return {n: found[n][0] for n in FIRST_ORDER}, {n: found[n][1] for n in FIRST_ORDER}


def first_order(
    depth: int,
    *,
    width: int | Sequence[int],
    k: float = 0.0,
    sigma_w: float | None = None,
    sigma_b: float | Sequence[float] | FloatArray = 0.0,
    q1: float = 1.0,
    q2: float | None = None,
    distance: float | None = None,
    correlation: float | None = None,
    slopes: Slopes = RELU,
) -> FirstOrder:
    """Follow a pair of signals through networks of finite width, theory.md (8).

    Mean and standard deviation over networks, of order L/N off mean field and right to order
    (L/N)²; the sampling of the observed layer's own nodes is included.

    Parameters
    ----------
    depth
        Number of layers, at least 1.
    width
        Nodes per layer, one number or one per layer.
    k, sigma_w, sigma_b, q1, q2, distance, correlation, slopes
        As for `trajectory`.

    Returns
    -------
    FirstOrder
        Arrays of shape (depth,), layer 1 first; NaN as in `first_order_grid`.

    Raises
    ------
    InputError
        If a parameter is out of range, or not exactly one of distance and correlation is given.
    """
    count = layers(depth)
    bias = np.array([check_scale("sigma_b", x, positive=False) for x in several(sigma_b)])
    if bias.size not in (1, count):
        rule = f"must be one number, or one for each of the {count} layers"
        raise InputError("sigma_b", f"{bias.size} numbers", rule, "Change it, or the depth.")
    law, (gap, _) = law_of(k, sigma_w, 0.0, slopes), overlaps(distance, correlation)
    start1, start2 = lengths(q1, q2)
    means, stds = first_order_grid(
        count,
        widths=[_checked_widths(width, count)],
        g=[law.g],
        sigma_w=[math.sqrt(law.weight_variance)],
        sigma_b=[bias],
        q1=[start1],
        q2=[start2],
        distance=[gap],
        slopes=check_slopes(slopes),
    )
    return FirstOrder(
        {name: array[0] for name, array in means.items()},
        {name: array[0] for name, array in stds.items()},
    )


def _checked_widths(width: int | Sequence[int], depth: int) -> FloatArray:
    array = array_of("width", width)
    whole = array.dtype.kind in "iu" and array.shape in ((), (depth,))
    if not whole or array.min() < 1:
        rule = f"must be an integer of at least 1, or {depth} of them"
        raise InputError("width", width, rule, "Give one width for all layers or one per layer.")
    return np.broadcast_to(array.astype(np.float64), (depth,))

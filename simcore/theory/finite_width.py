"""First order in 1/N: mean and standard deviation over networks of finite width, theory.md (8)."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.polynomial.hermite_e import hermegauss

from simcore.ensembles import SCALE_LIMITS
from simcore.errors import InputError

from .jets import Jet
from .law import FloatArray, law_of
from .meanfield import _overlap, _within
from .node_moments import FEATURES, Angle, factor, mean_curves, node_covariance

_HERMITE = 9
"""Points of the quadrature over a normal variable."""

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

FIRST_ORDER = (
    "log_q1",
    "log_q2",
    "correlation",
    "distance",
    "log_distance",
    "angle",
    "cosine",
    "inactive1",
    "inactive2",
    "inactive_both",
)
"""The observables that (8) covers."""


@dataclass(frozen=True, eq=False)
class FirstOrder:
    """Predictions at first order in 1/N, theory.md (8); NaN where there is none."""

    mean: Mapping[str, FloatArray]
    """Mean over networks of each of `FIRST_ORDER`, shape (depth,)."""
    std: Mapping[str, FloatArray]
    """Standard deviation over networks, shape (depth,)."""


@dataclass(frozen=True, eq=False)
class _Laws:
    """The ensembles of P points, arrays of shape (P,)."""

    g: FloatArray
    log_weight: FloatArray
    """ln σ_w²."""
    log_bias: FloatArray
    """ln σ_b², −inf without bias."""


@dataclass(frozen=True, eq=False)
class _State:
    """Mean and covariance over networks of (ln K₁₁, λ/h, ln tan(θ/2)) of a layer, P points.

    λ = ln(K₂₂/K₁₁) has the size of θ, so it is held in units of h = exp(log_unit) lest its
    variance underflows.
    """

    log_k: FloatArray
    ratio: FloatArray
    """λ/h."""
    angle: Angle
    log_unit: FloatArray
    covariance: FloatArray
    """Shape (3, 3, P)."""


def _log_unit(log_size: FloatArray, ratio: FloatArray, angle: Angle) -> FloatArray:
    """ln h: the largest of f = S √(K₂₂/K₁₁), and of λ and its spread up to 1, exp(log_size)."""
    return np.asarray(np.maximum(angle.log_unit + 0.5 * ratio, np.minimum(log_size, 0.0)))


def _state(
    log_k: FloatArray,
    ratio: FloatArray,
    unit: FloatArray,
    t: FloatArray,
    columns: FloatArray,
) -> _State:
    """Return a state given λ and the columns of its covariance's root in units of exp(unit)."""
    angle = Angle.of(t)
    size = np.hypot(ratio, np.sqrt((columns[1] ** 2).sum(axis=0)))
    new_unit = _log_unit(np.log(size) + unit, ratio * np.exp(unit), angle)
    change = np.exp(unit - new_unit)
    scaled = columns * np.stack((np.ones_like(change), change, np.ones_like(change)))[:, None]
    covariance = np.einsum("idp,jdp->ijp", scaled, scaled)
    return _State(log_k, ratio * change, angle, new_unit, covariance)


def _start(law: _Laws, q1: FloatArray, q2: FloatArray, distance: FloatArray) -> _State:
    """K¹ of theory.md 1, in units of σ_w² √(q₁q₂)."""
    size = 0.25 * (np.log(q1) - np.log(q2))
    log_scale = law.log_weight + 0.5 * (np.log(q1) + np.log(q2))
    bias = np.exp(law.log_bias - log_scale)
    first, second = np.exp(2.0 * size) + bias, np.exp(-2.0 * size) + bias
    gap = 4.0 * np.sinh(size) ** 2 + 2.0 * distance
    t = _log_half_tangent(
        np.log(distance * (2.0 - distance) + bias * gap) * 0.5, (1.0 - distance) + bias
    )
    log_k = np.logaddexp(law.log_weight + np.log(q1), law.log_bias)
    share = -2.0 * np.sinh(2.0 * size) / first
    ratio = np.where(np.abs(share) < 0.5, np.log1p(np.maximum(share, -0.5)), np.log(second / first))
    zero = np.zeros_like(t)
    return _state(log_k, ratio, zero, t, np.zeros((3, 1, t.size)))


def _log_half_tangent(log_y: FloatArray, x: FloatArray) -> FloatArray:
    """ln tan(θ/2) of the angle of a point with ordinate exp(log_y) and abscissa x."""
    smaller = log_y - np.log(np.hypot(np.exp(log_y), x) + np.abs(x))
    return np.where(x < 0.0, -smaller, smaller)


@dataclass(frozen=True, eq=False)
class _Inputs:
    """What the update (4) reads, as jets along 3 directions of the state and 5 of the means."""

    log_k: Jet
    kappa: Jet
    rho: Jet
    """ρ/h."""
    log_share: FloatArray
    """ln(f/h), shape (P,)."""
    means: tuple[Jet, ...]
    """⟨x⟩, ⟨x²⟩, ⟨r̄⟩, ⟨r̄x⟩, ⟨r̄²⟩."""


def _inputs(state: _State, width: FloatArray) -> _Inputs:
    """Expand what (4) reads about the mean state and the mean of the node averages."""
    angle, h = state.angle, np.exp(state.log_unit)
    values, slopes, bends = mean_curves(angle)
    nodes = factor(node_covariance(angle, values)) / np.sqrt(width)
    move = factor(state.covariance)
    v_log, v_ratio, v_t = move
    none = np.zeros((FEATURES, h.size))

    def jet(value: FloatArray, slope: FloatArray, bend: FloatArray) -> Jet:
        """Extend a jet along the directions of the state by those of the means."""
        return Jet(value, np.concatenate((slope, none)), np.concatenate((bend, none)))

    stretch = 0.5 * h * v_ratio
    one = np.ones_like(h)
    longer = jet(one, stretch, 0.5 * stretch**2)
    c, s = angle.cos, angle.sin
    cosine = jet(c, -(s * s) * v_t, -(s * s) * c * v_t**2)
    root = np.exp(0.5 * state.ratio * h)
    kappa = (longer * cosine).times(root)
    log_share = angle.log_unit + 0.5 * state.ratio * h - state.log_unit
    share = np.exp(log_share)
    half = 0.5 * state.ratio
    rho_value = angle.relative_drop * share - half * _expm1_ratio(half * h)
    # The slopes of ρ/h are those of −κ/h, whose terms are formed without h lest they underflow.
    sine = angle.relative_sin * share
    slope = sine * s * v_t - 0.5 * root * c * v_ratio
    bend = sine * s * c * v_t**2 + 0.5 * sine * s * v_t * h * v_ratio
    bend = bend - 0.125 * root * c * h * v_ratio**2
    means = []
    for i in range(FEATURES):
        curve = jet(values[i], slopes[i] * v_t, bends[i] * v_t**2)
        if i in (2, 3):
            curve = curve * longer
        elif i == 4:
            curve = curve * longer.square()
        curve.slope[3:] = nodes[i]
        means.append(curve)
    return _Inputs(
        jet(state.log_k, v_log, np.zeros_like(v_log)),
        kappa,
        jet(rho_value, slope, bend),
        log_share,
        tuple(means),
    )


def _expm1_ratio(x: FloatArray) -> FloatArray:
    """(eˣ − 1)/x."""
    small = np.abs(x) < 1e-300
    return np.where(small, 1.0, np.expm1(x) / np.where(small, 1.0, x))


def _log1p_ratio(x: FloatArray) -> FloatArray:
    """ln(1 + x)/x."""
    small = np.abs(x) < 1e-300
    return np.where(small, 1.0, np.log1p(x) / np.where(small, 1.0, x))


def _update(
    given: _Inputs, g: FloatArray, log_weight: FloatArray, log_bias: FloatArray, unit: FloatArray
) -> tuple[Jet, Jet, Jet]:
    """Return ln K₁₁', λ'/h and ln tan(θ'/2) by theory.md (4), h = exp(unit) that of the input."""
    x1, x2, r1, rx, r2 = given.means
    share, rho, kappa = np.exp(given.log_share), given.rho, given.kappa
    h, two = np.exp(unit), np.full_like(unit, 2.0)
    a = x2 - x1.square().times(g)
    b = rx - (r1 * x1).times(g)
    d = r2 - r1.square().times(g)
    log_level = log_bias - log_weight - given.log_k.value
    first = given.log_k.slope
    level = np.exp(log_level)
    total = a + Jet(level, -level * first, 0.5 * level * first**2)
    # γ'² in units of (h m)², where m is the larger of f/h and √s, so that neither term underflows.
    log_m = np.maximum(given.log_share, 0.5 * log_level)
    determinant = (a * d - b.square()).times(np.exp(2.0 * (given.log_share - log_m)))
    rho_a, b = rho * a, b.times(share)
    if np.any(level > 0.0):
        relative = np.exp(log_level - 2.0 * log_m)
        bias = Jet(relative, -relative * first, 0.5 * relative * first**2)
        determinant = determinant + bias * (d.times(share**2) + rho * (b.times(two) + rho_a))
    scaled = determinant / total.square()
    gamma2 = scaled.times(np.exp(2.0 * log_m))
    new_rho = (rho_a + b) / total
    overlap = (kappa.value * a.value - h * b.value + level) / total.value
    new_kappa = Jet(overlap, -h * new_rho.slope, -h * new_rho.bend)
    z = (gamma2 + new_rho.square()).times(h) - new_rho.times(two)
    length2 = overlap**2 + h * h * gamma2.value
    far = np.abs(h * z.value) > 0.5
    log_ratio = np.where(far, np.log(length2) / h, z.value * _log1p_ratio(h * z.value))
    new_ratio = z.through(log_ratio, 1.0 / length2, -0.5 * h / length2**2)
    # ln tan(θ'/2) from the side on which nothing cancels.
    sign = np.where(overlap < 0.0, -1.0, 1.0)
    squared = Jet(length2, z.slope * h, z.bend * h)
    reach = squared.sqrt() + new_kappa.times(sign)
    half = np.full_like(h, 0.5)
    log_gamma = scaled.log().times(half).plus(unit + log_m)
    new_t = (log_gamma - reach.log()).times(sign)
    grown = total.log() + given.log_k
    return grown.plus(log_weight), new_ratio, new_t


def _advanced(parts: tuple[Jet, Jet, Jet], unit: FloatArray) -> _State:
    """Return the state of the next layer, theory.md (8)."""
    means = [part.value + part.bend.sum(axis=0) for part in parts]
    columns = np.stack([part.slope for part in parts])
    return _state(means[0], means[1], unit, means[2], columns)


def _average(
    function: Callable[[FloatArray], FloatArray], mean: FloatArray, variance: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return mean and standard deviation of a function of a normal variable, any shape.

    At first order in 1/N this is the delta method. It is kept here as an integral, since the
    function may bend more within a standard deviation than two derivatives tell.
    """
    nodes, weights = hermegauss(_HERMITE)
    weights = weights / weights.sum()
    values = function(mean[..., None] + np.sqrt(variance)[..., None] * nodes)
    average = values @ weights
    # Deviations from the value at the mean, which are 0 where the function is constant.
    spread = ((values - average[..., None]) ** 2) @ weights
    return np.asarray(average), np.sqrt(spread)


def _theta(t: FloatArray) -> FloatArray:
    return np.asarray(2.0 * np.arctan(np.exp(t)))


def _distance(t: FloatArray) -> FloatArray:
    return np.asarray(2.0 / (1.0 + np.exp(-2.0 * t)))


def _log_distance(t: FloatArray) -> FloatArray:
    return np.asarray(math.log(2.0) - np.logaddexp(0.0, -2.0 * t))


@dataclass(frozen=True, eq=False)
class _Path:
    """What the observables of all layers are made of, each of shape (P, depth)."""

    log_k1: FloatArray
    log_k2: FloatArray
    variance1: FloatArray
    variance2: FloatArray
    t: FloatArray
    variance: FloatArray
    """Of t."""
    cosine_t: FloatArray
    """Mean of ln tan(θ/2), θ the angle between the activations."""
    cosine_variance: FloatArray


def _observables(path: _Path, widths: FloatArray) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Mean and standard deviation of every observable, the sampling of its own layer included.

    N nodes have ln⟨h²⟩ with mean ln K − 1/N and variance 2/N, and an angle whose ln tan(θ/2) has
    mean t − cos θ/(2N) and variance 1/N, given K.
    """
    sampled_t = path.t + 0.5 * np.tanh(path.t) / widths
    sampled_variance = path.variance + 1.0 / widths
    distance = _average(_distance, sampled_t, sampled_variance)
    theta, theta_std = _average(_theta, path.t, path.variance)
    both, both_std = (math.pi - theta) / (2.0 * math.pi), theta_std / (2.0 * math.pi)
    within = (both * (1.0 - both) - both_std**2) / widths
    half = np.full_like(theta, 0.5), 0.5 / np.sqrt(widths)
    correlation = _average(_correlation, sampled_t, sampled_variance)
    return {
        "log_q1": (path.log_k1 - 1.0 / widths, np.sqrt(path.variance1 + 2.0 / widths)),
        "log_q2": (path.log_k2 - 1.0 / widths, np.sqrt(path.variance2 + 2.0 / widths)),
        "correlation": (correlation[0], distance[1]),
        "distance": distance,
        "log_distance": _average(_log_distance, sampled_t, sampled_variance),
        "angle": _average(_theta, sampled_t, sampled_variance),
        "cosine": (
            _average(_correlation, path.cosine_t, path.cosine_variance)[0],
            _average(_distance, path.cosine_t, path.cosine_variance)[1],
        ),
        "inactive1": half,
        "inactive2": half,
        "inactive_both": (both, np.sqrt(np.maximum(within, 0.0) + both_std**2)),
    }


def _correlation(t: FloatArray) -> FloatArray:
    return np.asarray(-np.tanh(t))


def _follow(law: _Laws, state: _State, widths: FloatArray) -> _Path:
    """Take the states through the layers, collecting what the observables need."""
    columns: list[tuple[FloatArray, ...]] = []
    none = np.zeros_like(law.g)
    no_bias = np.full_like(law.g, -np.inf)
    for layer, width in enumerate(widths.T):
        given = _inputs(state, width)
        _, _, seen = _update(given, none, none, no_bias, state.log_unit)
        h, c = np.exp(state.log_unit), state.covariance
        columns.append(
            (
                state.log_k,
                state.log_k + h * state.ratio,
                c[0, 0],
                c[0, 0] + 2.0 * h * c[0, 1] + h * h * c[1, 1],
                state.angle.t,
                c[2, 2],
                seen.value + seen.bend.sum(axis=0),
                (seen.slope**2).sum(axis=0),
            )
        )
        if layer + 1 < widths.shape[1]:
            parts = _update(given, law.g, law.log_weight, law.log_bias, state.log_unit)
            state = _advanced(parts, state.log_unit)
    return _Path(*(np.stack(column, axis=1) for column in zip(*columns, strict=True)))


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
) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """Return mean and standard deviation for P points at once, theory.md (8).

    Parameters
    ----------
    depth
        Number of layers.
    widths
        Width of every layer, shape (P, depth).
    g, sigma_w, sigma_b
        The ensembles, g = k/(1 + k), each of shape (P,).
    q1, q2, distance
        Mean squares and 1 − c₀ of the inputs, each of shape (P,). They are not checked here.

    Returns
    -------
    tuple of dict
        Mean and standard deviation of each of `FIRST_ORDER`, shape (P, depth); both NaN where one
        is not finite, and for `log_distance` of parallel signals.
    """
    nodes = np.asarray(widths, dtype=np.float64).reshape(-1, depth)
    strength, scale, bias, first, second, gap = (
        np.broadcast_to(np.asarray(value, dtype=np.float64), nodes.shape[:1])
        for value in (g, sigma_w, sigma_b, q1, q2, distance)
    )
    with np.errstate(all="ignore"):
        law = _Laws(strength, 2.0 * np.log(scale), 2.0 * np.log(bias))
        state = _start(law, first, second, gap)
        parallel = np.isneginf(state.angle.t)
        found = _observables(_follow(law, _apart(state, parallel), nodes), nodes)
    for name, (value, spread) in _PARALLEL.items():
        found[name][0][parallel] = value
        found[name][1][parallel] = spread
    for mean, std in found.values():
        lost = ~(np.isfinite(mean) & np.isfinite(std))
        mean[lost] = np.nan
        std[lost] = np.nan
    return {n: found[n][0] for n in FIRST_ORDER}, {n: found[n][1] for n in FIRST_ORDER}


def _apart(state: _State, parallel: npt.NDArray[np.bool_]) -> _State:
    """Part parallel signals by an angle so small that it acts on nothing."""
    angle = Angle.of(np.where(parallel, _NEARLY_PARALLEL, state.angle.t))
    length = state.ratio * np.where(parallel, np.exp(state.log_unit), 1.0)
    unit = np.where(parallel, _log_unit(np.log(np.abs(length)), length, angle), state.log_unit)
    ratio = np.where(parallel, length * np.exp(-unit), state.ratio)
    return _State(state.log_k, ratio, angle, unit, state.covariance)


def first_order(
    depth: int,
    *,
    width: int | Sequence[int],
    k: float = 0.0,
    sigma_w: float | None = None,
    sigma_b: float = 0.0,
    q1: float = 1.0,
    q2: float | None = None,
    distance: float | None = None,
    correlation: float | None = None,
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
    k, sigma_w, sigma_b, q1, q2, distance, correlation
        As for `trajectory`.

    Returns
    -------
    FirstOrder
        Arrays of shape (depth,), layer 1 first.

    Raises
    ------
    InputError
        If a parameter is out of range, or not exactly one of distance and correlation is given.
    """
    layers = _checked_depth(depth)
    law, (gap, _) = law_of(k, sigma_w, sigma_b), _overlap(distance, correlation)
    low, high = SCALE_LIMITS[0] ** 2, SCALE_LIMITS[1] ** 2
    start1 = float(_within("q1", q1, low, high))
    start2 = start1 if q2 is None else float(_within("q2", q2, low, high))
    means, stds = first_order_grid(
        layers,
        widths=[_checked_widths(width, layers)],
        g=[law.g],
        sigma_w=[math.sqrt(law.weight_variance)],
        sigma_b=[sigma_b],
        q1=[start1],
        q2=[start2],
        distance=[gap],
    )
    return FirstOrder(
        {name: array[0] for name, array in means.items()},
        {name: array[0] for name, array in stds.items()},
    )


def _checked_depth(depth: int) -> int:
    if not hasattr(depth, "__index__") or operator.index(depth) < 1:
        field, rule = "depth", "must be an integer of at least 1"
        raise InputError(field, depth, rule, "Give the number of layers.")
    return operator.index(depth)


def _checked_widths(width: int | Sequence[int], depth: int) -> FloatArray:
    array = np.asarray(width)
    whole = array.dtype.kind in "iu" and array.shape in ((), (depth,))
    if not whole or array.min() < 1:
        rule = f"must be an integer of at least 1, or {depth} of them"
        raise InputError("width", width, rule, "Give one width for all layers or one per layer.")
    return np.broadcast_to(array.astype(np.float64), (depth,))

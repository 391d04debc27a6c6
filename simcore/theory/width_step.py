"""One layer of (8): the law over networks of a pair's covariance, from layer to layer.

The state of a pair is s = (ln K₁₁, λ, t), λ = ln(K₂₂/K₁₁), t = ln tan(θ/2). The update (4) is a
function U of s and of the five node averages M. Given s, these have mean μ(θ) and covariance
Σ(θ)/N; so mean and covariance of s in the next layer follow from first and second derivatives of U
along directions that are standard deviations of s and M, and so does the third cumulant.

With bias a difference in length turns into an angle: θ'² gains a term in λ², and where signals
merge θ falls below the spread of λ, so that t is no smooth function of λ any more. Therefore t is
held as τ + ½ ln(1 + ω δ²), δ the deviation of λ from its mean, with the ω of each layer that takes
the curvature along δ out of τ. Means, slopes and (8) stay what they are; bends move.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from simcore.physics.slopes import RELU

from .jets import Jet
from .law import FloatArray
from .node_moments import FEATURES, Angle, Phi, factor, mean_curves, node_covariance

SIZE = 3
"""Components of s."""

_UNITS = (0, 0, 1, 1, 2)
"""Powers of the unit of the residual in the five node averages."""

_LARGEST_T = 300.0
"""Largest t; beyond it the angle is π."""

_LARGEST_FOLD = 1e3
"""Largest ω times the variance of δ: far above, the angle means nothing, but ln K₁₁ still does."""


@dataclass(frozen=True, eq=False)
class Laws:
    """The ensembles of P points, arrays of shape (P,)."""

    g: FloatArray
    log_weight: FloatArray
    """ln σ_w²."""
    log_bias: FloatArray
    """ln σ_b², −inf without bias."""
    phi: Phi = RELU
    """Slopes of the activation."""

    @property
    def plain(self) -> Laws:
        """The same without bias and correlations: the angle is then that of the activations."""
        none = np.zeros_like(self.g)
        return Laws(none, none, np.full_like(none, -np.inf), self.phi)


@dataclass(frozen=True, eq=False)
class State:
    """The law over networks of (ln K₁₁, λ/h, τ) in a layer.

    λ has the size of θ; its variance would underflow, so its unit is h = exp(log_unit).
    """

    log_k: FloatArray
    """Mean of ln K₁₁, shape (P,)."""
    ratio: FloatArray
    """Mean of λ/h."""
    angle: Angle
    """At the mean of τ."""
    log_unit: FloatArray
    covariance: FloatArray
    """Shape (3, 3, P)."""
    skew: FloatArray
    """Third cumulants, shape (3, 3, 3, P)."""
    fold: FloatArray
    """ω, for δ in units of h, shape (P,)."""


def log_half_tangent(log_y: FloatArray, x: FloatArray) -> FloatArray:
    """Return ln tan(θ/2) of the angle of a point with ordinate exp(log_y) and abscissa x."""
    smaller = log_y - np.log(np.hypot(np.exp(log_y), x) + np.abs(x))
    return np.asarray(np.where(x < 0.0, -smaller, smaller))


def rescaled(
    means: tuple[FloatArray, FloatArray, FloatArray],
    log_unit: FloatArray,
    covariance: FloatArray,
    skew: FloatArray,
    fold: FloatArray,
) -> State:
    """Return a state given in units h = exp(log_unit) of λ, in units that suit it.

    The new h is the largest of f = S √(K₂₂/K₁₁) and, up to 1, of λ and its spread.
    """
    log_k, ratio, t = means
    angle = Angle.of(np.minimum(t, _LARGEST_T))
    size = np.log(np.hypot(ratio, np.sqrt(covariance[1, 1]))) + log_unit
    own = angle.log_unit + 0.5 * ratio * np.exp(log_unit)
    unit = np.maximum(own, np.minimum(size, 0.0))
    change = np.exp(log_unit - unit)
    scale = np.stack((np.ones_like(change), change, np.ones_like(change)))
    covariance = covariance * scale * scale[:, None]
    skew = skew * scale * scale[:, None] * scale[:, None, None]
    fold = np.minimum(fold / change**2, _LARGEST_FOLD / np.maximum(covariance[1, 1], 1e-300))
    return State(log_k, ratio * change, angle, unit, covariance, skew, fold)


@dataclass(frozen=True, eq=False)
class Nodes:
    """Contribution of one layer's nodes to a state."""

    values: FloatArray
    """μ, shape (5, P)."""
    slopes: FloatArray
    """dμ/dt, and half the second derivative."""
    bends: FloatArray
    root: FloatArray
    """W with W Wᵀ = Σ/N, shape (5, 5, P)."""
    change: FloatArray
    """(dΣ/dt)/N, shape (5, 5, P)."""

    @classmethod
    def of(cls, state: State, width: FloatArray, phi: Phi = RELU) -> Nodes:
        """Return the nodes of a layer of `width` nodes, shape (P,); `phi` has their slopes."""
        values, slopes, bends = mean_curves(state.angle, phi)
        covariance, change = node_covariance(state.angle, values, slopes, phi)
        return cls(values, slopes, bends, factor(covariance) / np.sqrt(width), change / width)


@dataclass(frozen=True, eq=False)
class Directions:
    """Directions of the state and of the node averages, shapes (3, D, P) and (5, D, P)."""

    state: FloatArray
    nodes: FloatArray

    def combined(self, weights: FloatArray) -> Directions:
        """Return linear combinations by weights of shape (new, D, P)."""
        return Directions(
            np.einsum("adp,ndp->anp", self.state, weights),
            np.einsum("adp,ndp->anp", self.nodes, weights),
        )

    def joined(self, other: Directions) -> Directions:
        """Return the directions of both."""
        return Directions(
            np.concatenate((self.state, other.state), axis=1),
            np.concatenate((self.nodes, other.nodes), axis=1),
        )


def _deviations(state: State, nodes: Nodes) -> Directions:
    """Return independent standard deviations of the state and of the node averages."""
    own = factor(state.covariance)
    points = own.shape[-1]
    return Directions(
        np.concatenate((own, np.zeros((SIZE, FEATURES, points))), axis=1),
        np.concatenate((np.zeros((FEATURES, SIZE, points)), nodes.root), axis=1),
    )


def _axes(points: int) -> Directions:
    """Return a unit step of each component of the state, then of each node average."""
    steps = np.repeat(np.eye(SIZE + FEATURES)[:, :, None], points, axis=2)
    return Directions(steps[:SIZE], steps[SIZE:])


@dataclass(frozen=True, eq=False)
class Inputs:
    """Input of the update (4), expanded along some directions."""

    log_k: Jet
    kappa: FloatArray
    """Shape (P,)."""
    rho: Jet
    """ρ/h."""
    log_share: FloatArray
    """ln(f/h), shape (P,)."""
    means: tuple[Jet, ...]
    """⟨x⟩, ⟨x²⟩, ⟨r̄⟩, ⟨r̄x⟩, ⟨r̄²⟩ in units of the mean state's f."""


def expand(state: State, nodes: Nodes, directions: Directions, *, own: bool = False) -> Inputs:
    """Expand what (4) reads about the mean state and the mean of the node averages.

    Directions of the node averages are in units of the mean state's S; or, if `own`, of the S of
    each state, which follows the angle.
    """
    angle, h = state.angle, np.exp(state.log_unit)
    v_log, v_ratio, v_t = directions.state
    stretch = 0.5 * h * v_ratio
    longer = Jet(np.ones_like(h), stretch, 0.5 * stretch**2)
    log_length = 0.5 * state.ratio * h
    root = np.exp(log_length)
    log_share = angle.log_unit + log_length - state.log_unit
    share = np.exp(log_share)
    s, c = angle.sin, angle.cos
    # ρ = 1 − e^{λ/2} cos θ over h, each term formed without h, which could underflow.
    sine = angle.relative_sin * share * s
    half = 0.5 * state.ratio
    t_bend = 0.5 * state.fold * v_ratio**2
    growth = np.where(angle.t < 0.0, c, 0.0)  # d ln S/dt
    rho = Jet(
        angle.relative_drop * share - half * _over_x(np.expm1, half * h),
        sine * v_t - 0.5 * root * c * v_ratio,
        sine * ((c * v_t + stretch) * v_t + t_bend) - 0.25 * root * c * stretch * v_ratio,
    )
    means = []
    for i, (value, slope, bend) in enumerate(
        zip(nodes.values, nodes.slopes, nodes.bends, strict=True)
    ):
        along = directions.nodes[i]
        curve = Jet(value, slope * v_t + along, bend * v_t**2 + slope * t_bend)
        if own:
            curve = Jet(curve.value, curve.slope, curve.bend + _UNITS[i] * growth * v_t * along)
        if i in (2, 3):
            curve = curve * longer
        elif i == 4:
            curve = curve * longer.square()
        means.append(curve)
    log_k = Jet(state.log_k, v_log, np.zeros_like(v_log))
    return Inputs(log_k, root * c, rho, log_share, tuple(means))


def _over_x(function: Callable[[FloatArray], FloatArray], x: FloatArray) -> FloatArray:
    """(eˣ − 1)/x or ln(1 + x)/x, both 1 at 0."""
    small = np.abs(x) < 1e-300
    return np.where(small, 1.0, function(x) / np.where(small, 1.0, x))


@dataclass(frozen=True, eq=False)
class _Sums:
    """The terms of (4) over σ_w² K₁₁, b in units of h; γ'² in units of (hm)²."""

    a: Jet
    b: Jet
    total: Jet
    """K₁₁'."""
    level: FloatArray
    """s, shape (P,)."""
    gamma2: Jet
    log_m: FloatArray
    """ln of the larger of f/h and √s, in units of which neither term of γ' underflows."""


def _sums(given: Inputs, g: FloatArray, log_level: FloatArray) -> _Sums:
    x1, x2, r1, rx, r2 = given.means
    share, first = np.exp(given.log_share), given.log_k.slope
    a = x2 - x1.square().times(g)
    b = rx - (r1 * x1).times(g)
    d = r2 - r1.square().times(g)
    level = np.exp(log_level)
    total = a + Jet(level, -level * first, 0.5 * level * first**2)
    log_m = np.maximum(given.log_share, 0.5 * log_level)
    determinant = (a * d - b.square()).times(np.exp(2.0 * (given.log_share - log_m)))
    b = b.times(share)
    if np.any(level > 0.0):
        relative = np.exp(log_level - 2.0 * log_m)
        bias = Jet(relative, -relative * first, 0.5 * relative * first**2)
        cross = b.times(np.full_like(share, 2.0)) + given.rho * a
        determinant = determinant + bias * (d.times(share**2) + given.rho * cross)
    return _Sums(a, b, total, level, determinant / total.square(), log_m)


def update(given: Inputs, law: Laws, unit: FloatArray) -> tuple[Jet, Jet, Jet]:
    """Return ln K₁₁', λ'/h and t' by theory.md (4), h = exp(unit) that of the input."""
    h, two = np.exp(unit), np.full_like(unit, 2.0)
    sums = _sums(given, law.g, law.log_bias - law.log_weight - given.log_k.value)
    rho = (given.rho * sums.a + sums.b) / sums.total
    overlap = (given.kappa * sums.a.value - h * sums.b.value + sums.level) / sums.total.value
    gamma2 = sums.gamma2.times(np.exp(2.0 * sums.log_m))
    # K₂₂'/K₁₁' = 1 + h z.
    z = (gamma2 + rho.square()).times(h) - rho.times(two)
    length2 = overlap**2 + h * h * gamma2.value
    far = np.abs(h * z.value) > 0.5
    log_ratio = np.where(far, np.log(length2) / h, z.value * _over_x(np.log1p, h * z.value))
    ratio = z.through(log_ratio, 1.0 / length2, -0.5 * h / length2**2)
    # ln tan(θ'/2) from the side on which nothing cancels.
    sign = np.where(overlap < 0.0, -1.0, 1.0)
    kappa = Jet(overlap, -h * rho.slope, -h * rho.bend)
    reach = Jet(length2, z.slope * h, z.bend * h).sqrt() + kappa.times(sign)
    log_gamma = sums.gamma2.log().times(1.0 / two).plus(unit + sums.log_m)
    t = (log_gamma - reach.log()).times(sign)
    return (sums.total.log() + given.log_k).plus(law.log_weight), ratio, t


@dataclass(frozen=True, eq=False)
class Spread:
    """Mean, covariance and third cumulants of some functions of a layer's state and nodes."""

    mean: FloatArray
    """Shape (n, P)."""
    covariance: FloatArray
    """Shape (n, n, P)."""
    skew: FloatArray
    """Shape (n, n, n, P)."""
    fold: FloatArray
    """ω of the last function, shape (P,)."""


def _fold(t: Jet, length: FloatArray, before: FloatArray) -> FloatArray:
    """Return ω' from the curvature of t' along δ, the slopes of δ', and the variance of δ.

    Of δ² that part is folded that δ' knows: with β the regression of δ on δ', β²δ'².
    """
    axis = t.slope.shape[0] - FEATURES - SIZE + 1
    after = (length[: axis - 1] ** 2).sum(axis=0)
    known = length[axis] * before / np.where(after > 0.0, after, 1.0)
    return np.asarray(np.maximum(0.0, 2.0 * t.bend[axis] * known**2))


def _outcomes(
    state: State, nodes: Nodes, law: Laws, directions: Directions, rows: tuple[int, ...]
) -> tuple[list[Jet], FloatArray]:
    """Return the components of U in `rows`, and the slope of δ', which is δ if λ' is not in."""
    parts = update(expand(state, nodes, directions), law, state.log_unit)
    return [parts[i] for i in rows], parts[1].slope if 1 in rows else directions.state[1]


def spread(state: State, nodes: Nodes, law: Laws, rows: tuple[int, ...]) -> Spread:
    """Return the law of some of the components of U, the last of them t', theory.md (8).

    Of the third cumulant it has what accumulates like (L/N)², with p = Cov(z) ∇U for z = (s, M):
    what the state brings, U''[p, p], and how the variance of the node averages follows the angle.
    """
    points = nodes.values.shape[-1]
    deviations = _deviations(state, nodes)
    size = deviations.state.shape[1]
    parts, length = _outcomes(state, nodes, law, deviations.joined(_axes(points)), rows)
    fold = _fold(parts[-1], length, state.covariance[1, 1])
    slopes = np.stack([part.slope for part in parts])
    axes, slopes = slopes[:, size:], slopes[:, :size]
    mean = np.stack([part.value + part.bend[:size].sum(axis=0) for part in parts])
    mean[-1] -= 0.5 * fold * (length[:size] ** 2).sum(axis=0)
    second = _second(state, nodes, law, deviations, rows, slopes, fold)
    by_state, by_nodes = axes[:, :SIZE], axes[:, SIZE:]
    change = np.einsum("iap,abp,jbp->ijp", by_nodes, nodes.change, by_nodes)
    follows = np.einsum("dp,ndp->np", deviations.state[2], slopes)
    second = second + np.einsum("jkp,ip->ijkp", change, follows)
    skew = second + second.transpose(1, 0, 2, 3) + second.transpose(1, 2, 0, 3)
    carried = np.einsum("iap,abcp->ibcp", by_state, state.skew)
    carried = np.einsum("jbp,ibcp->ijcp", by_state, carried)
    skew = skew + np.einsum("kcp,ijcp->ijkp", by_state, carried)
    return Spread(mean, np.einsum("idp,jdp->ijp", slopes, slopes), skew, fold)


def _second(
    state: State,
    nodes: Nodes,
    law: Laws,
    deviations: Directions,
    rows: tuple[int, ...],
    slopes: FloatArray,
    fold: FloatArray,
) -> FloatArray:
    """Return U_i''[p_j, p_k], shape (n, n, n, P), by polarisation."""
    count, points = len(rows), slopes.shape[-1]
    pairs = [(i, j) for i in range(count) for j in range(i)]
    sums = [slopes[i] + slopes[j] for i, j in pairs]
    probes = deviations.combined(np.stack([*slopes, *sums]))
    parts, length = _outcomes(state, nodes, law, probes, rows)
    bends = np.stack([part.bend for part in parts])
    bends[-1] -= 0.5 * fold * length**2
    second = np.empty((count, count, count, points))
    for i in range(count):
        second[:, i, i] = 2.0 * bends[:, i]
    for n, (i, j) in enumerate(pairs):
        second[:, i, j] = second[:, j, i] = bends[:, count + n] - bends[:, i] - bends[:, j]
    return second


def advance(state: State, nodes: Nodes, law: Laws) -> State:
    """Return the state of the next layer."""
    found = spread(state, nodes, law, (0, 1, 2))
    log_k, ratio, t = found.mean
    means = log_k, ratio, t
    return rescaled(means, state.log_unit, found.covariance, found.skew, found.fold)

"""The update (4) to second order about a path near that of infinite width, for control variates.

Variables are z = (s, m): the state s = (ln K₁₁, λ/h, t) of a pair and the deviations m of the five
node averages from their conditional means (theory.md 5), with the residual in units of the
network's own S. So the derivatives along s are those of F, and along m those of U.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simcore.physics.slopes import RELU, Slopes

from .jets import Jet
from .law import FloatArray
from .meanfield import trajectory
from .node_moments import FEATURES, Angle, Phi, mean_curves, node_covariance
from .width_step import SIZE, Directions, Laws, Nodes, State, expand, rescaled, update

VARIABLES = SIZE + FEATURES

_MOST_T = 300.0
"""Largest |t|: what stands for parallel and for opposite signals."""

_BLOCK = 2**12
"""Layers expanded at a time, to save memory."""

SHARE = 0.5
"""Halfway to the mean of finite networks: best by measurement.

About the infinite-width path controls remove less of 1 − c where signals merge and of c for k = ∞
(N = 1024, L = 50: by factors of 1.5 and 1.1), about the mean itself less of c for k = 0 (by 1.1).
"""

_MOST_SHIFT = 1.0
"""Largest deviation from the infinite-width path, in each component."""


@dataclass(frozen=True, eq=False)
class Expansion:
    """Derivatives at every layer of P paths of L layers."""

    log_k: FloatArray
    """ln K₁₁ of the path, shape (P, L)."""
    log_ratio: FloatArray
    """λ of the path, shape (P, L)."""
    unit: FloatArray
    """h, the unit of λ in this layer, shape (P, L)."""
    t: FloatArray
    """ln tan(θ/2) of the path, shape (P, L)."""
    gradient: FloatArray
    """Of the next layer's (ln K₁₁, λ/h', t), shape (P, L, 3, 8)."""
    hessian: FloatArray
    """Second derivatives of the same, shape (P, L, 3, 8, 8)."""
    activation_t: FloatArray
    """ln tan(θ/2) of the angle between the activations, shape (P, L)."""
    activation_gradient: FloatArray
    """Shape (P, L, 8)."""
    activation_hessian: FloatArray
    """Shape (P, L, 8, 8)."""


@dataclass(frozen=True)
class Start:
    """An ensemble and a pair of inputs, as for `meanfield.trajectory`: what a path depends on."""

    k: float
    sigma_w: float
    sigma_b: float
    q1: float
    q2: float
    distance: float
    slopes: Slopes = RELU


def expansion(starts: list[Start], widths: npt.NDArray[np.int64]) -> Expansion:
    """Expand the update about the paths of some pairs, for theory.md (9) to (11).

    Parameters
    ----------
    starts
        P pairs, whose parameters are not checked here but by `trajectory` (InputError).
    widths
        Nodes of every layer, shape (P, L). The path deviates from that of infinite width by half
        of what finite networks do in the mean (`SHARE`).

    Returns
    -------
    Expansion
        Arrays of shape (P, L, …), pure numbers.
    """
    depth = widths.shape[1]
    columns = [_path(start, depth) for start in starts]
    log_k, ratio, t = (np.stack([column[i] for column in columns]) for i in range(SIZE))
    g = np.array([start.k / (1.0 + start.k) if np.isfinite(start.k) else 1.0 for start in starts])
    weight = 2.0 * np.log([start.sigma_w for start in starts])
    with np.errstate(divide="ignore"):
        bias = 2.0 * np.log([start.sigma_b for start in starts])
    phi = np.array([start.slopes for start in starts]).T
    laws = [np.repeat(array, depth) for array in (g, weight, bias, *phi)]
    limit = _about(log_k, ratio, t, laws)
    shift = SHARE * _mean_deviation(limit, widths, (laws[3], laws[4]))
    shift = np.nan_to_num(np.clip(shift, -_MOST_SHIFT, _MOST_SHIFT))
    near = np.clip(t + shift[..., 2], -_MOST_T, _MOST_T)
    return _about(log_k + shift[..., 0], ratio + limit.unit * shift[..., 1], near, laws)


def _about(
    log_k: FloatArray, ratio: FloatArray, t: FloatArray, laws: list[FloatArray]
) -> Expansion:
    """Expand the update about states of shape (P, L); `laws` has arrays of shape (P · L,)."""
    (count, depth), later = t.shape, np.roll(np.arange(t.size), -1)
    # The last layer has no next one: its own unit does.
    later[depth - 1 :: depth] = np.arange(depth - 1, t.size, depth)
    columns = log_k.ravel(), ratio.ravel(), t.ravel()
    unit = _state(*columns).log_unit
    found: list[tuple[FloatArray, ...]] = []
    with np.errstate(all="ignore"):
        for first in range(0, t.size, _BLOCK):
            part = slice(first, first + _BLOCK)
            g, weight, bias, above, below = (array[part] for array in laws)
            law = Laws(g, weight, bias, (above, below))
            state = _state(*(column[part] for column in columns))
            found.append(_expanded(state, law, np.exp(unit[part] - unit[later[part]])))
    gradient, hessian, value, slope, bend = (
        np.concatenate(parts) for parts in zip(*found, strict=True)
    )
    shape = count, depth
    return Expansion(
        log_k=log_k,
        log_ratio=ratio,
        unit=np.exp(unit).reshape(shape),
        t=t,
        gradient=gradient.reshape(*shape, *gradient.shape[1:]),
        hessian=hessian.reshape(*shape, *hessian.shape[1:]),
        activation_t=value.reshape(shape),
        activation_gradient=slope.reshape(*shape, VARIABLES),
        activation_hessian=bend.reshape(*shape, VARIABLES, VARIABLES),
    )


def _mean_deviation(path: Expansion, widths: npt.NDArray[np.int64], phi: Phi) -> FloatArray:
    """Return the mean deviation of s from a path, to first order in 1/N, shape (P, L, 3).

    The mean of (10), were Σ not subtracted there.
    """
    angle = Angle.of(path.t.ravel())
    means, slopes, _ = mean_curves(angle, phi)
    covariance, _ = node_covariance(angle, means, slopes, phi)
    nodes = np.moveaxis(covariance, -1, 0).reshape(*path.t.shape, FEATURES, FEATURES)
    both = np.zeros((len(path.t), VARIABLES, VARIABLES))
    mean = np.zeros((len(path.t), SIZE))
    found = np.zeros((*path.t.shape, SIZE))
    with np.errstate(all="ignore"):
        for layer, width in enumerate(widths.T.astype(np.float64)):
            found[:, layer] = mean
            both[:, SIZE:, SIZE:] = nodes[:, layer] / width[:, None, None]
            slope, bend = path.gradient[:, layer], path.hessian[:, layer]
            spread = (bend * both[:, None]).reshape(len(mean), SIZE, -1).sum(axis=-1)
            mean = (slope[:, :, :SIZE] @ mean[:, :, None])[:, :, 0] + 0.5 * spread
            both[:, :SIZE, :SIZE] = slope @ both @ slope.swapaxes(1, 2)
    return found


def _path(start: Start, depth: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return ln K₁₁, λ and t at infinite width, each of shape (depth,)."""
    path = trajectory(
        depth,
        k=start.k,
        sigma_w=start.sigma_w,
        sigma_b=start.sigma_b,
        q1=start.q1,
        q2=start.q2,
        distance=start.distance,
        slopes=start.slopes,
    )
    half = np.exp(path.log_distance) / 2.0  # sin²(θ/2)
    with np.errstate(divide="ignore"):
        t = 0.5 * (path.log_distance - np.log(2.0) - np.log1p(-np.minimum(half, 1.0)))
    t = np.where(path.distance == 0.0, -_MOST_T, np.clip(t, -_MOST_T, _MOST_T))
    return path.log_q1, path.log_q2 - path.log_q1, t


def _state(log_k: FloatArray, ratio: FloatArray, t: FloatArray) -> State:
    """Return the state without spread in units that suit it."""
    zeros = np.zeros((SIZE, SIZE, SIZE, t.size))
    with np.errstate(divide="ignore"):
        return rescaled((log_k, ratio, t), np.zeros_like(t), zeros[0], zeros, zeros[0, 0, 0])


def _expanded(state: State, law: Laws, change: FloatArray) -> tuple[FloatArray, ...]:
    """Return the arrays of an `Expansion` of some layers, points first.

    `change` is h/h' of each layer.
    """
    points = change.size
    values, slopes, bends = mean_curves(state.angle, law.phi)
    none = np.zeros((FEATURES, FEATURES, points))
    nodes = Nodes(values, slopes, bends, none, none)

    def after(directions: Directions) -> tuple[Jet, ...]:
        given = expand(state, nodes, directions, own=True)
        log_k, ratio, t = update(given, law, state.log_unit)
        return log_k, ratio.times(change), t, update(given, law.plain, state.log_unit)[2]

    value, slope, bend = _derivatives(after, points)
    next_one = slice(0, SIZE)
    return slope[:, next_one], bend[:, next_one], value[:, SIZE], slope[:, SIZE], bend[:, SIZE]


def _derivatives(
    function: Callable[[Directions], tuple[Jet, ...]], points: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return values, gradients and Hessians, points first, by polarisation of a jet's bends."""
    pairs = [(i, j) for i in range(VARIABLES) for j in range(i)]
    axes = np.eye(VARIABLES)
    steps = np.stack([*axes, *(axes[i] + axes[j] for i, j in pairs)], axis=1)
    steps = np.repeat(steps[:, :, None], points, axis=2)
    jets = function(Directions(steps[:SIZE], steps[SIZE:]))
    values = np.stack([jet.value for jet in jets], axis=-1)
    slopes = np.stack([jet.slope[:VARIABLES] for jet in jets])
    hessian = np.empty((points, len(jets), VARIABLES, VARIABLES))
    for row, jet in enumerate(jets):
        single = jet.bend[:VARIABLES]
        for i in range(VARIABLES):
            hessian[:, row, i, i] = 2.0 * single[i]
        for n, (i, j) in enumerate(pairs):
            mixed = jet.bend[VARIABLES + n] - single[i] - single[j]
            hessian[:, row, i, j] = hessian[:, row, j, i] = mixed
    return values, slopes.transpose(2, 0, 1), hessian

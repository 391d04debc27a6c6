"""Networks in a nutshell: node averages drawn as normal numbers, without the nodes.

Where L/N is not small a control of second order may add more noise than it takes away. What share
of each control is best is found from networks that no result counts: given its state, a layer's
averages M and w are normal numbers with their exact mean and covariance here, whatever the width,
and the update (4), the observables and the controls are those of real networks. The shares only
decide about variance, never about a mean, so it does not matter that M is only nearly normal.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from simcore.numerics.arithmetic import at_least_0
from simcore.numerics.kernels import njit
from simcore.physics.observables import CONTROLLED, NAMES
from simcore.sampling import row as shown
from simcore.sampling.pair import physics as of_pairs
from simcore.sampling.pair.sums import SUMS, TOTALS
from simcore.statistics.blocks import BLOCK

from . import follow, places
from .node_law import node_law, x_law
from .own_law import mean_correlation
from .program import program_of

Floats = npt.NDArray[np.float64]

NETWORKS, SEGMENT = BLOCK, 32
"""Networks and layers that are taken at a time."""

NORMALS = places.AVERAGES + places.OWN
SEED = 20260101
LEAST = 0.05
"""Least ⟨z²⟩ of a layer, which a normal number may undercut."""

FITTED = 50
"""Layers in which shares are fitted, at most; in others they are interpolated."""

STEPS = 2.0**12
"""A share is a multiple of 1/STEPS: the same on every machine."""

MOST_SHARE = 2.0
DOUBT = 4.0
"""Variances of a fitted share at which its distance from 1 counts half."""

COLUMNS = len(NAMES) + len(CONTROLLED)
OBSERVED = slice(places.OBSERVED, places.ONE)


@njit(nogil=True, cache=True)
def _draw(slopes, width, state, normals, totals, room):
    """Write the sums of a layer to `totals`, as if `width` nodes had been drawn."""
    cosine, sine, _, _, _, _ = of_pairs.direction(state)
    law = node_law(slopes, cosine, sine)
    mean, root = room[places.AVERAGES], room[: places.AVERAGES]
    mean[0], mean[1], root[0, 0], root[1, 0], root[1, 1] = x_law(slopes)
    mean[2], mean[3], mean[4] = law[1], law[2], law[3]
    root[2, 0], root[2, 1], root[2, 2] = law[4], law[5], law[6]
    root[3, 0], root[3, 1], root[3, 2], root[3, 3] = law[7], law[8], law[9], law[10]
    for j in range(places.AVERAGES):
        root[4, j] = law[11 + j]
    for j in range(places.AVERAGES):  # Cholesky's factor, in place; Σ may be singular
        for k in range(j):
            root[j, j] -= root[j, k] * root[j, k]
        pivot = math.sqrt(at_least_0(root[j, j]))
        root[j, j] = pivot
        for i in range(j + 1, places.AVERAGES):
            for k in range(j):
                root[i, j] -= root[i, k] * root[j, k]
            root[i, j] = root[i, j] / pivot if pivot > 1e-9 else 0.0
    spread = math.sqrt(1.0 / width)
    for i in range(places.AVERAGES):
        value = mean[i]
        for j in range(i + 1):
            value += spread * root[i, j] * normals[j]
        totals[i] = width * value
    w = normals[places.AVERAGES :]
    totals[5] = width * max(LEAST, 1.0 + math.sqrt(2.0) * spread * w[0])
    totals[6] = width * spread * w[1]
    totals[7] = width * max(LEAST, 1.0 + math.sqrt(2.0) * spread * w[2])
    for i in range(SUMS, TOTALS):
        totals[i] = 0.5  # neither none nor all of the nodes are inactive


@njit(nogil=True, cache=True)
def run_surrogates(physics, widths, states, normals, rows):
    """Take networks through their layers; `normals` has shape (network, layer, NORMALS)."""
    totals = np.empty(TOTALS)
    room = np.empty((places.AVERAGES + 1, places.AVERAGES))
    for t in range(states.shape[0]):
        for layer in range(widths.size):
            _draw(physics.slopes, widths[layer], states[t], normals[t, layer], totals, room)
            of_pairs.finish_layer(physics, widths[layer], totals, states[t], rows[t, layer])


def _states(start: tuple[float, float, float]) -> Floats:
    """Return the states of networks before layer 1, from ln K₁₁, λ and t."""
    log_k, ratio, t = start
    power = round(log_k / math.log(4.0))
    root = math.exp(0.5 * (log_k - power * math.log(4.0)))
    cosine, sine = -math.tanh(t), 1.0 / math.cosh(t)
    longer = math.exp(0.5 * ratio)
    state = np.zeros(of_pairs.STATE)
    state[of_pairs.MANTISSA], state[of_pairs.POWER] = root * root, power
    # 1 − e^{λ/2} cos θ, without a difference of nearly equal numbers.
    drop = sine * sine / (1.0 + cosine) if cosine > 0.0 else 1.0 - cosine
    state[of_pairs.RHO] = longer * drop - math.expm1(0.5 * ratio)
    state[of_pairs.KAPPA] = longer * cosine
    state[of_pairs.GAMMA] = root * longer * sine
    state[of_pairs.LIVE] = of_pairs.BOTH
    return np.repeat(state[None], NETWORKS, axis=0)


def fitted(
    k: Floats,
    start: tuple[float, float, float],
    physics: of_pairs.Physics,
    widths: npt.NDArray[np.int64],
) -> Floats:
    """Return coefficients with the best shares of first and second order of each observable.

    Parameters
    ----------
    k
        Coefficients of a pair (`path.coefficients`), shape (depth, COEFFICIENTS).
    start
        ln K₁₁, λ and t of layer 1.
    physics, widths
        Those of the point.
    """
    depth, states = len(k), _states(start)
    generator = np.random.Generator(np.random.PCG64(SEED))
    observed = k[:, OBSERVED].reshape(depth, len(CONTROLLED), 3)
    both = [_with_observed(k, observed * np.array(kept)) for kept in ((1, 0, 0), (0, 1, 1))]
    program = program_of(k)
    controls = [follow.controls_of(part[None], program, COLUMNS, physics.slopes) for part in both]
    layers = np.unique(np.linspace(0, depth - 1, FITTED).astype(int))
    parts: list[list[Floats]] = [[], [], []]
    for layer0 in range(0, depth, SEGMENT):
        own = widths[layer0 : layer0 + SEGMENT]
        normals = generator.standard_normal((NETWORKS, own.size, NORMALS))
        rows = np.empty((NETWORKS, own.size, COLUMNS))
        run_surrogates(physics, own, states, normals, rows)
        here = layers[(layers >= layer0) & (layers < layer0 + own.size)] - layer0
        values = _values(rows[:, here], k[layer0 + here])
        parts[0].append(values)
        for one, part in zip(controls, parts[1:], strict=True):
            changed = rows.copy()
            follow.follow(one, widths, layer0, changed)
            part.append(values - changed[:, here, shown.FEATURES :])
    shares = _shares(*(np.concatenate(part, axis=1) for part in parts))
    first, second = (_in_all_layers(share, layers, depth) for share in shares)
    return _with_observed(k, observed * np.stack([first, second, second], axis=-1))


def _with_observed(k: Floats, observed: Floats) -> Floats:
    found = k.copy()
    found[:, OBSERVED] = observed.reshape(len(k), -1)
    return found


def _in_all_layers(shares: Floats, layers: npt.NDArray[np.int64], depth: int) -> Floats:
    """Interpolate shares, (layer, observable), between some layers."""
    columns = [np.interp(np.arange(depth), layers, column) for column in shares.T]
    return np.asarray(np.round(STEPS * np.stack(columns, axis=1)) / STEPS)


@njit(nogil=True, cache=True)
def _mean_correlations(k, cosine, sine, values):
    for t in range(cosine.shape[0]):
        for j in range(cosine.shape[1]):
            mean, gap = mean_correlation(k[j], places.LOST, cosine[t, j], sine[t, j])
            values[t, j, places.CORRELATION], values[t, j, places.DISTANCE] = mean, gap


def _values(rows: Floats, k: Floats) -> Floats:
    """Return the observables that have controls, or their means given the state, as `follow`.

    `k`, shape (layer, COEFFICIENTS), is that of the layers of `rows`.
    """
    values = rows[:, :, list(places.COLUMNS)]
    cosine, sine = rows[:, :, shown.FEATURES], rows[:, :, shown.FEATURES + 1]
    _mean_correlations(k, cosine, sine, values)
    values[:, :, places.INACTIVE] = (math.pi - np.arctan2(sine, cosine)) * places.PER_TURN
    w1, w2, w3 = np.moveaxis(rows[:, :, shown.FEATURES + places.FIRST_OWN :][:, :, :3], -1, 0)
    second = 1.0 + cosine**2 * w1 - 2.0 * cosine * sine * w2 + sine**2 * w3
    with np.errstate(invalid="ignore", divide="ignore"):  # normal w may leave no ⟨h²⟩ > 0
        for i, own in enumerate((1.0 + w1, second)):
            values[:, :, i] /= own
            values[:, :, i + 2] -= np.log(own)
    return values


def _shares(f: Floats, one: Floats, two: Floats) -> tuple[Floats, Floats]:
    """Return the regression coefficients of f on two controls, shape (layer, observable).

    Values that are undefined are left out. 1 where no coefficient is: where nothing varies.
    """
    known = np.isfinite(f) & np.isfinite(one) & np.isfinite(two)
    count = np.maximum(known.sum(axis=0), 1)
    parts = [np.where(known, x, 0.0) for x in (f, one, two)]
    f, one, two = (np.where(known, x - x.sum(axis=0) / count, 0.0) for x in parts)
    a, b, c = (one * one).sum(axis=0), (one * two).sum(axis=0), (two * two).sum(axis=0)
    p, q = (f * one).sum(axis=0), (f * two).sum(axis=0)
    determinant = a * c - b * b
    with np.errstate(all="ignore"):
        sound = determinant > 1e-9 * a * c
        first = np.where(sound, (c * p - b * q) / determinant, 1.0)
        second = np.where(sound, (a * q - b * p) / determinant, 1.0)
        # Errors from each network's own remainder: large ones come with large controls.
        rest = (f - first * one - second * two) / determinant
        errors = [
            (((u * x - b * y) * rest) ** 2).sum(axis=0)
            for u, x, y in ((c, one, two), (a, two, one))
        ]
    found = []
    for share, error in zip((first, second), errors, strict=True):
        # 1 is best to leading order in 1/N: what noise can explain counts little beside it.
        gap = share - 1.0
        with np.errstate(all="ignore"):
            trusted = np.clip(1.0 + gap * gap**2 / (gap**2 + DOUBT * error), 0.0, MOST_SHARE)
        within = np.where(np.isfinite(trusted), trusted, 1.0)
        found.append(within)
    return found[0], found[1]

"""Batches of many trials at once, as array code on a namespace `xp`: NumPy's or CuPy's.

The formulas, columns, units and thresholds are those of `cpu_kernels` and `cpu_observe`, with an
axis of trials before all others. State and sums are float64. This module holds the part of a layer
before the weights; `draws` has the weights, `array_observe` what comes after, `arrays_back` the way
back.

The namespace has the array API standard with `linalg.solve`, `ldexp`, `frexp`, and `linalg.qr`
with the mode "raw".
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

from simcore.numerics.rng import Stream
from simcore.physics import activation
from simcore.physics.rounding import DIFFERENCE
from simcore.physics.weight_laws import NORMAL

from .physics import MOST_COTANGENT, RANGE, Law, bias_scale

Array = Any
"""An array of the namespace."""

INPUT_LAYER = 0
"""The layer of the counter that random inputs have."""

sigma_b_of: Any = bias_scale.py_func
"""σ_b of a layer, of the law and the fan-in."""

leaks: Any = activation.leaks.py_func
"""Whether inactive nodes send something."""

derivatives: Any = activation.derivatives.py_func
"""φ′ of an active and of an inactive unit."""


class Source(Protocol):
    """Draws for consecutive trials, B of them, under the key of a point."""

    def variates(
        self, law: int, parameter: float, stream: int, rows: range, columns: int, layer: int
    ) -> Array:
        """Return standardised variates, float32, shape (B, rows, columns)."""

    def choices(self, nodes: int, n: int, layer: int) -> tuple[Array, Array]:
        """Return replaced indices 0 … n, int64, and the weights in their place, (B, nodes)."""


class Pairs(NamedTuple):
    """Columns of the pairs: `physics.Pairing` with an array of `xp`."""

    first: Array
    explicit: int
    inputs: int
    network: bool


class Group(NamedTuple):
    """State of B trials between layers: `cpu_kernels.Batch` with an axis of trials.

    `signals` has the activations and residuals over nodes, shape (B, C, n).
    """

    signals: Array
    square: Array
    power: Array
    kappa: Array
    rho: Array
    died: Array
    died_input: Array
    hazard: Array


def _sum(xp: Any, a: Array) -> Array:
    return xp.sum(a, axis=-1)


def scaled(xp: Any, a: Array, exponent: Array) -> Array:
    """Return a·2^exponent, of whole numbers in float64."""
    return xp.ldexp(a, xp.astype(exponent, xp.int32))


# --- the first layer ------------------------------------------------------------------------------


def _group(xp: Any, signals: Array, kappa: Array, pairs: int) -> Group:
    trials, columns, _ = signals.shape
    zeros = xp.zeros((trials, columns), dtype=xp.float64)
    died = xp.zeros((trials, pairs, 2), dtype=xp.float64)
    died_input = xp.zeros((trials, columns - pairs), dtype=xp.float64)
    hazard = xp.zeros((trials, pairs, 3), dtype=xp.float64)
    return Group(signals, zeros, zeros, kappa, 1.0 - kappa, died, died_input, hazard)


def start_pairs(
    xp: Any, source: Source, trials: int, n0: int, q0: float, distances: Array
) -> Group:
    """Draw the inputs of random pairs and regress the second on the first (theory.md 1).

    `distances` holds 1 − c₀ of each pair, shape (P,).
    """
    pairs = distances.shape[0]
    stream, rows = int(Stream.INPUT), range(2 * pairs)
    z = source.variates(NORMAL, 0.0, stream, rows, n0, INPUT_LAYER)
    z = xp.astype(xp.reshape(z, (trials, pairs, 2, n0)), xp.float64)
    e1, e2 = z[:, :, 0, :], z[:, :, 1, :]
    for _ in range(2):  # what rounding has left of the mean and the overlap goes the second time
        e1 = e1 - (_sum(xp, e1) / n0)[..., None]
        e2 = e2 - (_sum(xp, e2) / n0)[..., None]
        e2 = e2 - (_sum(xp, e1 * e2) / _sum(xp, e1 * e1))[..., None] * e1
    length = math.sqrt(q0 * n0)
    sine = xp.sqrt(distances * (2.0 - distances))[:, None]
    x = e1 * (length / xp.sqrt(_sum(xp, e1 * e1)))[..., None]
    residual = e2 * (length / xp.sqrt(_sum(xp, e2 * e2)))[..., None] * -sine
    rho = xp.broadcast_to(distances, (trials, pairs)) + 0.0
    group = _group(xp, xp.concat([x, residual], axis=1), 1.0 - rho, pairs)
    return group._replace(rho=rho)


def start_inputs(xp: Any, trials: int, inputs: Array, residuals: Array, kappa: Array) -> Group:
    """Take given inputs, shape (M, N₀), and the residuals of pairs, (P, N₀), with their κ, (P,)."""
    x = xp.concat([inputs, residuals], axis=0)
    signals = xp.broadcast_to(x, (trials, *x.shape)) + 0.0
    pairs = kappa.shape[0]
    return _group(xp, signals, xp.broadcast_to(kappa, (trials, pairs)) + 0.0, pairs)


# --- before the weights ---------------------------------------------------------------------------


def normalised(xp: Any, x: Array, power: Array) -> tuple[Array, Array, Array]:
    """Bring columns to units in RANGE; return them, their powers and sums of squares."""
    square = _sum(xp, x * x)
    _, exponent = xp.frexp(square)
    far = (square > 0.0) & ((square <= 1.0 / RANGE) | (square >= RANGE))
    half = xp.where(far, xp.astype(exponent // 2, xp.float64), 0.0)
    x = scaled(xp, x, -half[..., None])
    power = xp.where(square > 0.0, power + half, 0.0)
    return x, power, scaled(xp, square, -2.0 * half)


def centred(xp: Any, law: Law, x: Array) -> Array:
    """Return (σ_w/√n)(x − a x̄), with the mean subtracted twice."""
    n = x.shape[-1]
    scale = law.sigma_w / math.sqrt(n)
    if law.a == 0.0:
        return scale * x
    mean = (_sum(xp, x) / n)[..., None]
    rest = (_sum(xp, x - mean) / n)[..., None]
    return scale * ((x - law.a * mean) - law.a * rest)


def layer_factor(
    xp: Any, law: Law, pairs: Pairs, group: Group
) -> tuple[Group, Array, Array | None]:
    """Return the group with its residuals regressed, and T of theory.md 2, "A batch".

    T comes as the columns over the nodes, shape (B, C, n), and over the bias, (B, C); None without
    bias.
    """
    explicit, n = pairs.explicit, group.signals.shape[-1]
    x, power, square = normalised(xp, group.signals, group.power)
    t = centred(xp, law, x)
    x_e, t_e, power_e = x[:, :explicit, :], t[:, :explicit, :], power[:, :explicit]
    before = law.sigma_w * law.sigma_w * (square / n)
    a = _sum(xp, t_e * t_e)
    left = a > DIFFERENCE * before[:, :explicit]
    t_e, a = xp.where(left[..., None], t_e, 0.0), xp.where(left, a, 0.0)
    sigma_b = sigma_b_of(law, n)
    bias_e = scaled(xp, xp.full(power_e.shape, sigma_b, dtype=xp.float64), -power_e)
    group = group._replace(power=power)
    group, r, t_r, bias_r = _regressed(
        xp, law, pairs, group, x, t, (t_e, a, square, before, bias_e)
    )
    t, bias = xp.concat([t_e, t_r], axis=1), xp.concat([bias_e, bias_r], axis=1)
    square = xp.concat([a, _sum(xp, t_r * t_r)], axis=1) + bias * bias
    group = group._replace(signals=xp.concat([x_e, r], axis=1), square=square)
    return group, t, bias if sigma_b > 0.0 else None


def _regressed(
    xp: Any, law: Law, pairs: Pairs, group: Group, x: Array, t: Array, of_first: tuple[Array, ...]
) -> tuple[Group, Array, Array, Array]:
    """Regress the residuals on their first inputs (`cpu_kernels._regress`).

    Returns the group with κ and ρ, the residuals, and their columns of T over nodes and bias.
    """
    explicit, first, n = pairs.explicit, pairs.first, x.shape[-1]
    t_e, a_e, squares, befores, bias_e = of_first
    x1, tx, a = xp.take(x, first, axis=1), xp.take(t_e, first, axis=1), xp.take(a_e, first, axis=1)
    bias1, power1 = xp.take(bias_e, first, axis=1), xp.take(group.power, first, axis=1)
    r, t_r, square = x[:, explicit:, :], t[:, explicit:, :], squares[:, explicit:]
    before, up = befores[:, explicit:], group.power[:, explicit:] - power1
    kappa, rho = group.kappa, group.rho
    sigma_b = sigma_b_of(law, n)
    variance = xp.full(kappa.shape, sigma_b * sigma_b, dtype=xp.float64)
    if law.asymmetric:
        variance = variance + xp.where(kappa > 1.0, 0.5 / (n + 1), 0.0 * variance)
    s = scaled(xp, variance, -2.0 * power1)
    on = (a + s > 0.0) & ~((kappa == 0.0) & (square == 0.0))
    whole = xp.where(on, a + s, 1.0)
    b = _sum(xp, tx * t_r)
    e = xp.where(on, (b - scaled(xp, rho * s, -up)) / whole, 0.0)
    b = scaled(xp, b, up)
    new_kappa = xp.where(on, (kappa * a - b + s) / whole, kappa)
    new_rho = xp.where(on, (rho * a + b) / whole, rho)
    t_r, r = t_r - e[..., None] * tx, r - e[..., None] * x1
    came_from = square + e * e * xp.take(squares, first, axis=1)
    none_left = on & (_sum(xp, r * r) <= DIFFERENCE * came_from)
    r = xp.where(none_left[..., None], 0.0, r)
    before = before + e * e * a
    left = _sum(xp, t_r * t_r)
    t_r = xp.where((left <= DIFFERENCE * before)[..., None], 0.0, t_r)
    bias = -scaled(xp, new_rho * bias1, -up)
    was = scaled(xp, rho * bias1, -up)
    bias = xp.where(left + bias * bias <= DIFFERENCE * (before + was * was), 0.0, bias)
    return group._replace(kappa=new_kappa, rho=new_rho), r, t_r, bias


# --- what a layer carries -------------------------------------------------------------------------


def cotangents(xp: Any, pairs: Pairs, group: Group) -> Array:
    """Return κ in units of the residuals, shape (B, P)."""
    up = group.power[:, pairs.explicit :] - xp.take(group.power, pairs.first, axis=1)
    return xp.clip(scaled(xp, group.kappa, -up), -MOST_COTANGENT, MOST_COTANGENT)

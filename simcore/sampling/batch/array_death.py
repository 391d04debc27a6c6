"""Probabilities that a layer of a batch is dead, as array code on a namespace `xp` (`death`)."""

from __future__ import annotations

from typing import Any, NamedTuple

from simcore.physics.rounding import DIFFERENCE, VARIANCE
from simcore.sampling.asymmetric.death import may_die, xp_average_tail
from simcore.sampling.asymmetric.death_of_both import NEGLIGIBLE, xp_tail_of_both
from simcore.sampling.asymmetric.nodes import SMALL
from simcore.sampling.pair.physics import TWO_PI
from simcore.sampling.row import SMALLEST_CHANCE

from .arrays import Array, Group, Pairs, cotangents, scaled, sigma_b_of
from .death import MOST_RATIO
from .physics import Law

matters: Any = may_die.py_func


def add_hazards(xp: Any, law: Law, pairs: Pairs, group: Group, layer: int, width: int) -> Group:
    """Return the group with the probabilities of dying in a layer, given those before, added.

    The group is that before the layer is observed; `layer` counts from 1.
    """
    if not law.asymmetric:
        term = _of_all(xp, _both(xp, law, pairs, group), width)
        return _added(xp, group, [term, 0.0 * term, 0.0 * term])
    if not matters(layer, width):
        return group
    first, second = (_signal(xp, law, *signal) for signal in _signals(xp, pairs, group))
    one, other = _of_all(xp, first.chance, width), _of_all(xp, second.chance, width)
    live1, live2 = group.died[..., 0] == 0.0, group.died[..., 1] == 0.0
    both, rarest = 0.0 * one, xp.minimum(one, other)
    if width < SMALL or bool(xp.any(rarest > NEGLIGIBLE)):
        every = _of_all(xp, _replaced_both(xp, law, pairs, group, first, second), width)
        both = xp.where((rarest > NEGLIGIBLE) | (width < SMALL), every, both)
    one, other = xp.where(live1, one, 0.0), xp.where(live2, other, 0.0)
    return _added(xp, group, [one, other, xp.where(live1 & live2, both, one + other)])


def _added(xp: Any, group: Group, terms: list[Array]) -> Group:
    return group._replace(hazard=group.hazard + xp.stack(terms, axis=-1))


def _of_all(xp: Any, chance: Array, width: int) -> Array:
    """Return the probability that all nodes are inactive, each with this chance."""
    every = chance**width
    return xp.where(every >= SMALLEST_CHANCE, every, 0.0)


def _both(xp: Any, law: Law, pairs: Pairs, group: Group) -> Array:
    """Return the probability that a node leaves dead what still lives, by Gaussian rows, (B, P)."""
    r = group.signals[:, pairs.explicit :, :]
    root = xp.sqrt(xp.take(group.square, pairs.first, axis=1))
    across = xp.sqrt(group.square[:, pairs.explicit :])
    along = cotangents(xp, pairs, group) * root
    lives = root > 0.0
    sigma_b = sigma_b_of(law, r.shape[-1])
    bias = xp.full(root.shape, sigma_b, dtype=xp.float64)
    bias = scaled(xp, bias, -xp.take(group.power, pairs.first, axis=1))
    zeros = lives & (along == 0.0) & ~xp.any(r != 0.0, axis=-1)  # of an input, seen by the bias
    shared = bias * sigma_b / xp.where(lives, root, 1.0)
    rest = sigma_b * sigma_b - shared * shared
    along = xp.where(zeros, shared, along)
    across = xp.where(zeros, xp.sqrt(xp.where(rest > 0.0, rest, 0.0)), across)
    chance1 = xp.where(lives, 0.5 + 0.0 * root, 1.0)
    chance2 = xp.where((along != 0.0) | (across > 0.0), 0.5 + 0.0 * root, 1.0)
    both = xp.atan2(across, -along) / TWO_PI
    both = xp.where((chance1 == 1.0) | (chance2 == 1.0), chance1 * chance2, both)
    died1, died2 = group.died[..., 0] == 1.0, group.died[..., 1] == 1.0
    one = xp.where(died1, chance2, xp.where(died2, chance1, both))
    return xp.where(died1 & died2, 0.0, one)


def _signals(xp: Any, pairs: Pairs, group: Group) -> list[tuple[Array, Array]]:
    """Return the activations of both signals of pairs, (B, P, n), and the powers of their units.

    The second one's are κx − r, in the larger unit of the two.
    """
    x, r = xp.take(group.signals, pairs.first, axis=1), group.signals[:, pairs.explicit :, :]
    power1, power2 = xp.take(group.power, pairs.first, axis=1), group.power[:, pairs.explicit :]
    kappa, exponent = xp.frexp(group.kappa)
    power_x = power1 + xp.astype(exponent, xp.float64)
    any_x, any_r = (kappa != 0.0) & xp.any(x != 0.0, axis=-1), xp.any(r != 0.0, axis=-1)
    unit = xp.where(any_x & any_r, xp.maximum(power_x, power2), xp.where(any_x, power_x, power2))
    unit = xp.where(any_x | any_r, unit, 0.0)
    y = scaled(xp, kappa[..., None] * x, (power_x - unit)[..., None])
    return [(x, power1), (y - scaled(xp, r, (power2 - unit)[..., None]), unit)]


class Signal(NamedTuple):
    """A signal of pairs: v/σ and T(|v/σ|) of nodes and bias, (B, P, n + 1), and what follows.

    `random`, of the same shape, is false where h has no variance without the replaced weight;
    `chance`, (B, P), is the probability (3a) of an inactive node.
    """

    a: Array
    tail: Array
    random: Array
    each: Array
    chance: Array


def _signal(xp: Any, law: Law, signal: Array, power: Array) -> Signal:
    """Return what concerns one signal of pairs, in units of 2^power, (B, P)."""
    n = signal.shape[-1]
    per_node = law.sigma_w * law.sigma_w / n
    one = scaled(xp, xp.ones(power.shape, dtype=xp.float64), -power)
    own, level, _ = _covariance(xp, law, signal, signal)
    own = xp.where(own > DIFFERENCE * per_node * xp.sum(signal * signal, axis=-1), own, 0.0)
    bias = sigma_b_of(law, n) * one
    whole = (own + bias * bias)[..., None]
    linear = (2.0 * per_node * law.g * level)[..., None]
    square = whole + signal * (linear - per_node * (1.0 + law.g / n) * signal)
    random = xp.concat([square > VARIANCE * whole, (own > 0.0)[..., None]], axis=-1)
    square = xp.concat([square, own[..., None]], axis=-1)
    v = xp.concat([signal, one[..., None]], axis=-1)
    a = v / xp.sqrt(xp.where(random, square, 1.0))
    tail = xp_average_tail(xp, xp.abs(a))
    sure = xp.where(a > 0.0, 0.0, 1.0 + 0.0 * tail)
    each = xp.where(random, xp.where(a >= 0.0, tail, 1.0 - tail), sure)
    return Signal(a, tail, random, each, xp.sum(each, axis=-1) / (n + 1.0))


def _covariance(xp: Any, law: Law, a: Array, b: Array) -> tuple[Array, Array, Array]:
    """Return the covariance of columns' pre-activations without the bias, and both means."""
    n = a.shape[-1]
    mean_a, mean_b = xp.sum(a, axis=-1) / n, xp.sum(b, axis=-1) / n
    spread = xp.sum((a - mean_a[..., None]) * (b - mean_b[..., None]), axis=-1)
    whole = spread + (1.0 - law.g) * n * mean_a * mean_b
    return law.sigma_w * law.sigma_w / n * whole, mean_a, mean_b


def _replaced_both(
    xp: Any, law: Law, pairs: Pairs, group: Group, first: Signal, second: Signal
) -> Array:
    """Return the probability (3c) of a node that is inactive for both signals, (B, P)."""
    x, r = xp.take(group.signals, pairs.first, axis=1), group.signals[:, pairs.explicit :, :]
    n, power_r = x.shape[-1], group.power[:, pairs.explicit :]
    per_node, bias = law.sigma_w * law.sigma_w / n, sigma_b_of(law, n)
    one = scaled(xp, xp.ones(power_r.shape), -xp.take(group.power, pairs.first, axis=1))
    one_r = -xp.clip(scaled(xp, group.rho, -power_r), -MOST_RATIO, MOST_RATIO)
    kappa = xp.clip(cotangents(xp, pairs, group), -MOST_RATIO, MOST_RATIO)[..., None]

    def replaced(a: Array, b: Array, one_a: Array, one_b: Array) -> tuple[Array, Array]:
        own, mean_a, mean_b = _covariance(xp, law, a, b)
        whole = (own + bias * bias * one_a * one_b)[..., None]
        mixed = mean_b[..., None] * a + mean_a[..., None] * b
        each = whole + per_node * (law.g * mixed - (1.0 + law.g / n) * a * b)
        return xp.concat([each, own[..., None]], axis=-1), whole

    (xx, _), (xr, _) = replaced(x, x, one, one), replaced(x, r, one, one_r)
    rr, whole = replaced(r, r, one_r, one_r)
    random = first.random & second.random
    root = xp.sqrt(xp.where(random, xx, 1.0))
    rest = rr - xr * xr / (root * root)
    across = xp.sqrt(xp.where(rest > VARIANCE * whole, rest, 0.0))
    along = kappa * root - xr / root
    both = xp_tail_of_both(xp, first.a, first.tail, second.a, second.tail, along, across)
    each = xp.where(random, both, first.each * second.each)
    return xp.sum(each, axis=-1) / (n + 1.0)

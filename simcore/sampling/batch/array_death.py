"""Probabilities that a layer of a batch is dead, as array code on a namespace `xp` (`death`)."""

from __future__ import annotations

from typing import Any

from simcore.physics.rounding import DIFFERENCE, VARIANCE
from simcore.sampling.asymmetric.death import may_die, xp_average_tail
from simcore.sampling.pair.physics import TWO_PI
from simcore.sampling.row import SMALLEST_CHANCE

from .arrays import Array, Group, Pairs, cotangents, scaled, sigma_b_of
from .physics import Law

matters: Any = may_die.py_func


def add_hazards(xp: Any, law: Law, pairs: Pairs, group: Group, layer: int, width: int) -> Group:
    """Return the group with the probabilities of dying in a layer, given those before, added.

    The group is that before the layer is observed; `layer` counts from 1.
    """
    if not law.asymmetric:
        term = _of_all(xp, _both(xp, law, pairs, group), width)
        return group._replace(hazard=group.hazard + xp.stack([term, 0.0 * term], axis=-1))
    if not matters(layer, width):
        return group
    terms = [
        _of_all(xp, _inactive_chance(xp, law, *signal), width)
        for signal in _signals(xp, pairs, group)
    ]
    return group._replace(hazard=group.hazard + (1.0 - group.died) * xp.stack(terms, axis=-1))


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


def _inactive_chance(xp: Any, law: Law, signal: Array, power: Array) -> Array:
    """Return the probability (3a) of an inactive node, for signals in units of 2^power, (B, P)."""
    n = signal.shape[-1]
    per_node = law.sigma_w * law.sigma_w / n
    one = scaled(xp, xp.ones(power.shape, dtype=xp.float64), -power)
    level = xp.sum(signal, axis=-1) / n
    spread = signal - level[..., None]
    own = xp.sum(spread * spread, axis=-1) + (1.0 - law.g) * n * level * level
    own = xp.where(own > DIFFERENCE * xp.sum(signal * signal, axis=-1), per_node * own, 0.0)
    bias = sigma_b_of(law, n) * one
    whole = (own + bias * bias)[..., None]
    linear = (2.0 * per_node * law.g * level)[..., None]
    square = whole + signal * (linear - per_node * (1.0 + law.g / n) * signal)
    random = square > VARIANCE * whole
    tail = xp_average_tail(xp, xp.abs(signal) / xp.sqrt(xp.where(random, square, 1.0)))
    sure = xp.where(signal > 0.0, 0.0, 1.0 + 0.0 * tail)
    chance = xp.where(random, xp.where(signal >= 0.0, tail, 1.0 - tail), sure)
    of_bias = xp_average_tail(xp, one / xp.sqrt(xp.where(own > 0.0, own, 1.0)))
    return (xp.sum(chance, axis=-1) + xp.where(own > 0.0, of_bias, 0.0)) / (n + 1.0)

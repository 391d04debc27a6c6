"""Probabilities that a layer of a batch is dead for the signals of a pair (theory.md (3b)).

They follow from the activations that the layer reads, which are still there after its draws. With
normal weights they are those of `pair.physics` and of `asymmetric.death`.
"""

from __future__ import annotations

import math

import numpy as np

from simcore.numerics.arithmetic import arctan2
from simcore.numerics.kernels import njit
from simcore.numerics.lanes import LANES, mean, product
from simcore.physics.rounding import DIFFERENCE
from simcore.sampling.asymmetric import death
from simcore.sampling.pair.physics import TWO_PI
from simcore.sampling.row import chance_of_all

from .physics import in_units

FAR_BELOW = -100_000
"""Stands for the exponent of 0."""


@njit(nogil=True, cache=True)
def add_hazards(layer, p):
    """Add to the state of a pair the probabilities of dying in a layer, given those before."""
    if not layer.law.asymmetric:
        layer.batch.hazard[p, 0] += _of_both(layer, p)
        return
    if not death.may_die(layer.number, layer.h.shape[1]):
        return
    signal, work = np.empty(layer.x.shape[1]), np.empty((4, LANES))
    for which in range(2):
        if layer.batch.died[p, which] == 0.0:
            power = _read_signal(layer, p, which == 1, signal)
            chance = _inactive_chance(layer, signal, power, work)
            layer.batch.hazard[p, which] += chance_of_all(chance, layer.h.shape[1])


@njit(nogil=True, cache=True)
def _of_both(layer, p):
    """Return the probability that a layer with Gaussian rows leaves both signals dead."""
    batch, column = layer.batch, layer.pairing.explicit + p
    first = layer.pairing.first[p]
    root, across = math.sqrt(batch.square[first]), math.sqrt(batch.square[column])
    along = in_units(batch.kappa[p], int(batch.power[column] - batch.power[first])) * root
    if along == 0.0 and root > 0.0 and not layer.x[column].any():  # an input of zeros: the bias
        along = math.ldexp(layer.sigma_b, -int(batch.power[first])) * layer.sigma_b / root
        across = math.sqrt(max(0.0, layer.sigma_b * layer.sigma_b - along * along))
    chance1 = 0.5 if root > 0.0 else 1.0
    chance2 = 0.5 if along != 0.0 or across > 0.0 else 1.0
    died1, died2 = batch.died[p, 0] == 1.0, batch.died[p, 1] == 1.0
    if died1 and died2:
        return 0.0
    if died1 or died2:
        chance = chance2 if died1 else chance1
    elif chance1 == 1.0 or chance2 == 1.0:
        chance = chance1 * chance2
    else:
        chance = arctan2(across, -along) / TWO_PI
    return chance_of_all(chance, layer.h.shape[1])


@njit(nogil=True, cache=True)
def _read_signal(layer, p, second, signal):
    """Write the activations of a signal of a pair, and return the power of their unit.

    The second one's are κx − r, in the larger unit of the two.
    """
    first, column = layer.pairing.first[p], layer.pairing.explicit + p
    x, r, power = layer.x[first], layer.x[column], layer.batch.power
    if not second:
        signal[:] = x
        return int(power[first])
    kappa, exponent = math.frexp(layer.batch.kappa[p])
    of_x = int(power[first]) + exponent if kappa != 0.0 and x.any() else FAR_BELOW
    of_r = int(power[column]) if r.any() else FAR_BELOW
    unit = max(of_x, of_r)
    if unit == FAR_BELOW:
        signal[:] = 0.0
        return 0
    for j in range(signal.size):
        signal[j] = math.ldexp(kappa * x[j], max(of_x - unit, FAR_BELOW))
        signal[j] -= math.ldexp(r[j], max(of_r - unit, FAR_BELOW))
    return unit


@njit(nogil=True, cache=True)
def _inactive_chance(layer, signal, power, work):
    """Return the probability (3a) that a node is inactive for a signal, in units of 2^power."""
    law, n = layer.law, signal.size
    per_node, coupling = law.sigma_w * law.sigma_w / n, law.g / n
    one = math.ldexp(1.0, -power)
    square = product(signal, signal, work[0])
    level = mean(signal, 0.0, work[0])
    spread = 0.0
    for j in range(n):
        spread += (signal[j] - level) ** 2
    own = spread + (1.0 - law.g) * n * level * level
    own = per_node * own if own > DIFFERENCE * square else 0.0
    whole = own + (layer.sigma_b * one) ** 2
    linear = 2.0 * per_node * coupling * n * level
    square = per_node * (1.0 + coupling)
    of = death.SignalLaw(1.0, 0.0, 0.0, whole, linear, square, own, one)
    return death.inactive_chance(death.all_chances(n, signal, signal, of, work), n, of)

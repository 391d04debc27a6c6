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
from simcore.sampling.asymmetric import death, death_of_both
from simcore.sampling.pair.physics import TWO_PI
from simcore.sampling.row import chance_of_all

from .physics import in_units

FAR_BELOW = -100_000
"""Stands for the exponent of 0."""

MOST_RATIO = 1e150
"""Of κ and ρ in units of the residual: beyond it signals are as good as parallel."""


@njit(nogil=True, cache=True)
def add_hazards(layer, p):
    """Add to the state of a pair the probabilities of dying in a layer, given those before."""
    if not layer.law.asymmetric:
        layer.batch.hazard[p, 0] += _of_both(layer, p)
        return
    width, hazard = layer.h.shape[1], layer.batch.hazard
    live1, live2 = layer.batch.died[p, 0] == 0.0, layer.batch.died[p, 1] == 0.0
    if not (death.may_die(layer.number, width) and (live1 or live2)):
        return
    work = np.empty((death_of_both.ROWS, LANES))
    law = _law(layer, p, work[0])
    x, r = layer.x[layer.pairing.first[p]], layer.x[layer.pairing.explicit + p]
    found = death_of_both.chances_of_death(live1 and live2, width, x.size, x, r, law, work)
    one, other, both = death_of_both.terms(live1, live2, found[0], found[1], found[2])
    hazard[p, 0] += one
    hazard[p, 1] += other
    hazard[p, 2] += both


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
def _second_signal(layer, p):
    """Return the power of the unit of a pair's second signal, and what makes it from x and r.

    It is κx − r, in the larger unit of the two.
    """
    first, column = layer.pairing.first[p], layer.pairing.explicit + p
    kappa, exponent = math.frexp(layer.batch.kappa[p])
    any_x = kappa != 0.0 and layer.x[first].any()
    of_x = int(layer.batch.power[first]) + exponent if any_x else FAR_BELOW
    of_r = int(layer.batch.power[column]) if layer.x[column].any() else FAR_BELOW
    unit = max(of_x, of_r)
    if unit == FAR_BELOW:
        return 0, 0.0, 0.0
    along = math.ldexp(kappa, max(of_x - unit, FAR_BELOW))
    return unit, along, math.ldexp(1.0, max(of_r - unit, FAR_BELOW))


@njit(nogil=True, cache=True)
def _covariance(law, a, b, lanes):
    """Return the covariance of two columns' pre-activations without the bias, and both means."""
    n = a.size
    mean_a, mean_b = mean(a, 0.0, lanes), mean(b, 0.0, lanes)
    spread = 0.0
    for j in range(n):
        spread += (a[j] - mean_a) * (b[j] - mean_b)
    whole = spread + (1.0 - law.g) * n * mean_a * mean_b
    return law.sigma_w * law.sigma_w / n * whole, mean_a, mean_b


@njit(nogil=True, cache=True)
def _signal_law(layer, signal, power, along, across, lanes):
    """Return the `SignalLaw` of a signal in units of 2^power."""
    law, n = layer.law, signal.size
    per_node = law.sigma_w * law.sigma_w / n
    one = math.ldexp(1.0, -power)
    own, level, _ = _covariance(law, signal, signal, lanes)
    own = own if own > DIFFERENCE * per_node * product(signal, signal, lanes) else 0.0
    whole = own + (layer.sigma_b * one) ** 2
    square = per_node * (1.0 + law.g / n)
    linear = 2.0 * per_node * law.g * level
    return death.SignalLaw(along, across, 0.0, whole, linear, square, own, one)


@njit(nogil=True, cache=True)
def _law(layer, p, lanes):
    """Return the law of both signals of a pair, beside x and r."""
    law, batch = layer.law, layer.batch
    column = layer.pairing.explicit + p
    x, r = layer.x[layer.pairing.first[p]], layer.x[column]
    power_x, power_r = int(batch.power[layer.pairing.first[p]]), int(batch.power[column])
    first = _signal_law(layer, x, power_x, 1.0, 0.0, lanes)
    unit, along, across = _second_signal(layer, p)
    signal = np.empty(x.size)
    for j in range(x.size):
        signal[j] = along * x[j] - across * r[j]
    second = _signal_law(layer, signal, unit, along, across, lanes)
    per_node = law.sigma_w * law.sigma_w / x.size
    own_xr, mean_x, mean_r = _covariance(law, x, r, lanes)
    own_rr, _, _ = _covariance(law, r, r, lanes)
    bias, one_r = layer.sigma_b, -_limited(math.ldexp(batch.rho[p], -power_r))
    return death_of_both.Law(
        first,
        second,
        _limited(math.ldexp(batch.kappa[p], power_x - power_r)),
        0.0,
        first.square,
        per_node * law.g * mean_x,
        per_node * law.g * mean_r,
        own_xr + bias * bias * first.one * one_r,
        own_rr + (bias * one_r) ** 2,
        own_xr,
        own_rr,
    )


@njit(inline="always")
def _limited(ratio):
    """Return a ratio to a residual, against squares beyond float64."""
    return min(max(ratio, -MOST_RATIO), MOST_RATIO)

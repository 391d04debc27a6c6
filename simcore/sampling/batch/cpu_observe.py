"""A layer of a batch on the CPU after the weights: observables, and the activation."""

from __future__ import annotations

import math

import numpy as np

from simcore.numerics.kernels import njit
from simcore.numerics.lanes import LANES, fold
from simcore.physics.activation import inactive, leaks, second_inactive, sent, transformed
from simcore.physics.observables import RATE_BINS
from simcore.physics.rounding import DIFFERENCE
from simcore.sampling import row as shown

from .death import add_hazards
from .physics import in_units

SUMS = 11
"""Of a pair: u², us, s², x², rx, r², nodes inactive for the first, the second, both; x, r."""

DEAD, DEAD_INPUTS, DEAD_ALL, RATES = range(4)
"""Columns of the network, after those of the pairs."""


@njit(inline="always")
def _add_node(sums, lane, slopes, u, p, s):
    x, r = sent(slopes, u, p, s)
    sums[0, lane] += u * u
    sums[1, lane] += u * s
    sums[2, lane] += s * s
    sums[3, lane] += x * x
    sums[4, lane] += r * x
    sums[5, lane] += r * r
    first = 1.0 if inactive(u) else 0.0
    second = 1.0 if second_inactive(p, s) else 0.0
    sums[6, lane] += first
    sums[7, lane] += second
    sums[8, lane] += first * second
    sums[9, lane] += x
    sums[10, lane] += r


@njit(nogil=True, cache=True)
def _pair_sums(u, s, kappa, slopes, sums, total):
    """Sum over the nodes of a pair; κ is in units of the residual."""
    n = u.size
    full = n // LANES
    sums[:] = 0.0
    for k in range(full):
        for lane in range(LANES):
            i = k * LANES + lane
            _add_node(sums, lane, slopes, u[i], kappa * u[i], s[i])
    for i in range(full * LANES, n):
        _add_node(sums, i % LANES, slopes, u[i], kappa * u[i], s[i])
    for k in range(SUMS):
        total[k] = fold(sums[k])


@njit(inline="always")
def _part_across(sums, lane, u, s, node, slope, slope_active):
    x, r = node
    across = s - slope * u
    across_active = r - slope_active * x
    sums[0, lane] += across * across
    sums[1, lane] += across_active * across_active


@njit(nogil=True, cache=True)
def _across(u, s, kappa, slopes, slope, slope_active, sums):
    """Return squares of the parts of s across u and of r across x; r takes the place of s."""
    n = u.size
    sums[:2] = 0.0
    full = n // LANES
    for k in range(full):
        for lane in range(LANES):
            i = k * LANES + lane
            node = sent(slopes, u[i], kappa * u[i], s[i])
            _part_across(sums, lane, u[i], s[i], node, slope, slope_active)
            s[i] = node[1]
    for i in range(full * LANES, n):
        node = sent(slopes, u[i], kappa * u[i], s[i])
        _part_across(sums, i % LANES, u[i], s[i], node, slope, slope_active)
        s[i] = node[1]
    return fold(sums[0]), fold(sums[1])


@njit(nogil=True, cache=True)
def _count_pair(u, s, kappa, active):
    for i in range(u.size):
        active[i] += 0 if inactive(u[i]) else 1
        active[i] += 0 if second_inactive(kappa * u[i], s[i]) else 1


@njit(nogil=True, cache=True)
def _show(k11, gamma2, kappa, per_node, total, row):
    """Write what control variates read (`control.follow`): cos θ, sin θ, M and w.

    Given K a node has u = √K₁₁ z₁ and s = γz₂, as in theory.md (4); κ and γ are in units of s.
    Exactly parallel signals have no z₂, and nothing depends on it.
    """
    root, gamma = math.sqrt(k11), math.sqrt(gamma2)
    x = kappa * root
    r = math.sqrt(x * x + gamma2)
    at = shown.FEATURES
    if r == 0.0:
        return
    row[at], row[at + 1] = x / r, gamma / r
    unit = gamma if x > 0.0 else r
    share = 1.0 / unit if unit > 0.0 else 0.0
    row[at + 2] = total[9] * per_node / root
    row[at + 3] = total[3] * per_node / k11
    row[at + 4] = total[10] * per_node * share
    row[at + 5] = total[4] * per_node / root * share
    row[at + 6] = total[5] * per_node * share * share if unit > 0.0 else 0.5
    row[at + 7] = total[0] * per_node / k11 - 1.0
    row[at + 8] = total[1] * per_node / root / gamma if gamma > 0.0 else 0.0
    row[at + 9] = total[2] * per_node / gamma2 - 1.0 if gamma > 0.0 else 0.0


@njit(nogil=True, cache=True)
def _put_hazards(hazard, row):
    number = shown.hazards(row)
    for i in range(number):
        row[row.size - number + i] = hazard[i]


@njit(inline="always")
def _sending(slopes, width, total, kappa):
    """Return how many nodes send something, of the first signal, of the second, of any of the two.

    With slopes that leak all do, unless a signal is 0.
    """
    if not leaks(slopes):
        return width - total[6], width - total[7], width - total[8]
    first = 0.0 if total[0] == 0.0 else 1.0 * width
    second = 0.0 if total[2] == 0.0 and (first == 0.0 or kappa == 0.0) else 1.0 * width
    return first, second, max(first, second)


@njit(nogil=True, cache=True)
def _observe_activations(total, signed, sending, kappa, rho, powers, width, row):
    """Write the means and products of the activations; x₁ − x₂ = ρx₁ + r."""
    unit, up = math.ldexp(1.0, int(powers[0])), int(powers[1] - powers[0])
    xx, rx, rr = total[3], math.ldexp(total[4], up), math.ldexp(total[5], 2 * up)
    x, r = total[9], math.ldexp(total[10], up)
    shown.put_signed_mean(signed, x / width, unit, row, shown.MEAN1)
    apart = rho * rho * xx + 2.0 * rho * rx + rr
    shown.put_mean(0.5 * apart / width, unit * unit, row, shown.VARIANCE)
    row[shown.MEAN2] = row[shown.PRODUCT] = 0.0
    if sending[1] == 0.0:
        return
    shown.put_signed_mean(signed, (kappa * x - r) / width, unit, row, shown.MEAN2)
    if sending[0] > 0.0:
        product = (kappa * xx - rx) / width
        shown.put_signed_mean(signed, product, unit * unit, row, shown.PRODUCT)


@njit(nogil=True, cache=True)
def _finish_pair(layer, slopes, p, sums, total, active, row):
    """Observe a pair and turn its residual into that of the activations."""
    pairing, batch = layer.pairing, layer.batch
    first, column = pairing.first[p], pairing.explicit + p
    u, s = layer.h[first], layer.h[column]
    width = u.size
    up = int(batch.power[column] - batch.power[first])
    kappa = batch.kappa[p]
    cotangent = in_units(kappa, up)
    _pair_sums(u, s, cotangent, slopes, sums, total)
    uu, us, ss, xx, rx, rr, n1, n2, both, _, _ = total
    powers = batch.power[first], batch.power[column]
    signed, sending = leaks(slopes), _sending(slopes, width, total, kappa)
    _observe_activations(total, signed, sending, kappa, batch.rho[p], powers, width, row)
    if shown.hazards(row) > 0 and not signed:
        add_hazards(layer, p)
        _put_hazards(batch.hazard[p], row)
    if shown.has_features(row) and batch.square[first] > 0.0:
        _show(batch.square[first], batch.square[column], cotangent, 1.0 / width, total, row)
    if active.size and pairing.inputs != pairing.explicit:
        _count_pair(u, s, cotangent, active)
    if signed:
        batch.died[p] = np.nan
    elif n1 == width:
        batch.died[p, 0] = 1.0
    if n2 == width and not signed:
        batch.died[p, 1] = 1.0
    slope = us / uu if uu > 0.0 else 0.0
    slope_active = rx / xx if xx > 0.0 else 0.0
    across, across_active = _across(u, s, cotangent, slopes, slope, slope_active, sums)
    across = 0.0 if across <= DIFFERENCE * ss else math.ldexp(math.sqrt(across), up)
    across_active = (
        0.0 if across_active <= DIFFERENCE * rr else math.ldexp(math.sqrt(across_active), up)
    )
    shown.write_counts(width, n1, n2, both, batch.died[p, 0], batch.died[p, 1], row)
    shown.write_length(uu / width, batch.power[first], row, shown.Q1, shown.LOG_Q1)
    if uu > 0.0:
        along = (kappa - math.ldexp(slope, up)) * math.sqrt(uu)
        square = along * along + across * across
        shown.write_length(square / width, batch.power[first], row, shown.Q2, shown.LOG_Q2)
        if square > 0.0:
            shown.write_angle(along, across, row)
    else:
        shown.write_length(ss / width, batch.power[column], row, shown.Q2, shown.LOG_Q2)
    if sending[0] > 0.0 and sending[1] > 0.0:
        along = (kappa - math.ldexp(slope_active, up)) * math.sqrt(xx)
        shown.put_activation_angle(along, across_active, sending[2], row)
        shown.finish_log(row, shown.LOG_SINE, 2.0, 0.0)
    if sending[1] == 0.0:
        # Where both send nothing, they are the same: 1 − κ has to be 0 and not rounding.
        batch.rho[p] = 0.0 if sending[0] == 0.0 else 1.0
        batch.kappa[p] = 1.0 - batch.rho[p]
        s[:] = 0.0


@njit(nogil=True, cache=True)
def _finish_explicit(layer, slopes, active):
    """Apply the activation to the explicit columns, and note which inputs have died."""
    pairing, h, batch = layer.pairing, layer.h, layer.batch
    given = pairing.inputs == pairing.explicit
    for c in range(pairing.explicit):
        u = h[c]
        alive = 0
        for i in range(u.size):
            on = 0 if inactive(u[i]) else 1
            alive += on
            if given and active.size:
                active[i] += on
            u[i] = transformed(slopes, u[i])
        if leaks(slopes):
            batch.died_input[c] = np.nan
        elif alive == 0:
            batch.died_input[c] = 1.0


@njit(nogil=True, cache=True)
def _observe_network(layer, active, row):
    """Write the observables of the network from the number of inputs that activate each node."""
    pairing, batch = layer.pairing, layer.batch
    inputs = pairing.inputs
    bins = np.zeros(RATE_BINS, np.int64)
    for i in range(active.size):
        count = active[i]
        if count == 0:
            bins[0] += 1
        elif count == inputs:
            bins[RATE_BINS - 1] += 1
        else:
            bins[1 + (20 * count - 1) // inputs] += 1
    died = 0.0
    if inputs == pairing.explicit:
        for c in range(inputs):
            died += batch.died_input[c]
    else:
        for p in range(pairing.first.size):
            died += batch.died[p, 0] + batch.died[p, 1]
    row[DEAD] = bins[0] / active.size
    row[DEAD_INPUTS] = died / inputs
    row[DEAD_ALL] = died if np.isnan(died) else (1.0 if died == inputs else 0.0)
    for b in range(RATE_BINS):
        row[RATES + b] = bins[b] / active.size


@njit(nogil=True, cache=True)
def finish_layer(layer, slopes, row):
    """Turn pre-activations of a layer into activations and their residuals, and observe them.

    `slopes` are those of `activation.sent`.
    `row` is written: the observables of the pairs one after the other, then the network's.
    """
    pairing = layer.pairing
    sums, total = np.empty((SUMS, LANES)), np.empty(SUMS)
    active = np.zeros(layer.h.shape[1] if pairing.network else 0, np.int64)
    row[:] = np.nan
    pairs = pairing.first.size
    of_network = RATES + RATE_BINS if pairing.network else 0
    columns = (row.size - of_network) // pairs
    for p in range(pairs):
        part = row[p * columns : (p + 1) * columns]
        _finish_pair(layer, slopes, p, sums, total, active, part)
    _finish_explicit(layer, slopes, active)
    if pairing.network:
        _observe_network(layer, active, row[pairs * columns :])

"""A layer of a batch after the weights, as array code: observables and activations (`arrays`)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from simcore.physics import activation
from simcore.physics.activation import Sent
from simcore.physics.observables import RATE_BINS, Columns
from simcore.physics.rounding import DIFFERENCE
from simcore.sampling.row import DISTANCE_FLOOR, LN4, Q_RANGE, SMALLEST_NORMAL

from .arrays import Array, Group, Pairs, cotangents, derivatives, leaks, scaled


def _sum(xp: Any, a: Array) -> Array:
    return xp.sum(a, axis=-1)


class Sums(NamedTuple):
    """Sums over the nodes of a layer for every pair, shape (B, P): `cpu_observe.SUMS`.

    The nodes `sending` something are those of the first signal, the second, any of the two.
    """

    uu: Array
    us: Array
    ss: Array
    xx: Array
    rx: Array
    rr: Array
    inactive1: Array
    inactive2: Array
    both: Array
    sending1: Array
    sending2: Array
    sending: Array
    x: Array
    r: Array
    across: Array
    across_active: Array


def finish_layer(
    xp: Any, slopes: Sent, pairs: Pairs, group: Group, h: Array, of_run: Columns
) -> tuple[Group, Array]:
    """Return the group with its activations, and the observables of a layer, (B, column).

    `h` has the pre-activations, shape (B, C, N). The columns are those `of_run`; in the places of
    controlled values is what control variates read.
    """
    explicit, width = pairs.explicit, h.shape[-1]
    u_e, s = h[:, :explicit, :], h[:, explicit:, :]
    u = xp.take(u_e, pairs.first, axis=1)
    p = cotangents(xp, pairs, group)[..., None] * u
    r, sums = _pair_sums(xp, slopes, u, p, s)
    leaky = leaks(slopes)
    if leaky:
        sums = _sending(xp, group.kappa, width, sums)
    now = xp.stack([sums.sending1 == 0.0, sums.sending2 == 0.0], axis=-1)
    died = xp.maximum(group.died, xp.astype(now, xp.float64))
    active_e = u_e > 0.0
    none_active = xp.astype(~xp.any(active_e, axis=-1), xp.float64)
    died_input = xp.maximum(group.died_input, none_active)
    if leaky:
        died, died_input = math.nan * died, math.nan * died_input
        group = group._replace(hazard=math.nan * group.hazard)
    columns = _observed(xp, leaky, pairs, group._replace(died=died), width, sums)
    if of_run.variates:
        columns += _shown(xp, slopes, pairs, group, width, sums)
    columns += [group.hazard[..., i] for i in range(len(of_run.hazards))]
    row = xp.reshape(xp.stack(columns, axis=-1), (h.shape[0], s.shape[1] * len(columns)))
    if pairs.network:
        if pairs.inputs == explicit:
            counts = xp.sum(xp.astype(active_e, xp.int64), axis=1)
            lost = xp.sum(died_input, axis=1)
        else:
            both = xp.astype(u > 0.0, xp.int64) + xp.astype(p > s, xp.int64)
            counts, lost = xp.sum(both, axis=1), xp.sum(died, axis=(1, 2))
        row = xp.concat([row, _observed_network(xp, pairs.inputs, counts, lost)], axis=1)
    # Where both send nothing, they are the same: 1 − κ has to be 0 and not rounding.
    rho = xp.where(now[..., 1], xp.where(now[..., 0], 0.0, 1.0 + 0.0 * group.rho), group.rho)
    kappa = xp.where(now[..., 1], 1.0 - rho, group.kappa)
    r = xp.where(now[..., 1][..., None], 0.0, r)
    signals = xp.concat([activation.xp_transformed(xp, slopes, u_e), r], axis=1)
    group = group._replace(signals=signals, kappa=kappa, rho=rho, died=died, died_input=died_input)
    return group, row


def _pair_sums(xp: Any, slopes: Sent, u: Array, p: Array, s: Array) -> tuple[Array, Sums]:
    """Return the residuals κφ(u) − φ(v) of pairs, with p = κu and s = κu − v, and all sums.

    Nodes send something where they are active; `_sending` is about others.
    """
    x, r, off1, off2 = activation.xp_nodes(xp, slopes, u, p, s)
    width = u.shape[-1]
    uu, us, ss = _sum(xp, u * u), _sum(xp, u * s), _sum(xp, s * s)
    xx, rx, rr = _sum(xp, x * x), _sum(xp, r * x), _sum(xp, r * r)
    across = s - _slope(xp, us, uu)[..., None] * u
    across_active = r - _slope(xp, rx, xx)[..., None] * x
    n1, n2, both = (_sum(xp, xp.astype(off, xp.float64)) for off in (off1, off2, off1 & off2))
    sums = Sums(
        *(uu, us, ss, xx, rx, rr),
        *(n1, n2, both, width - n1, width - n2, width - both),
        *(_sum(xp, x), _sum(xp, r)),
        _sum(xp, across * across),
        _sum(xp, across_active * across_active),
    )
    return r, sums


def _sending(xp: Any, kappa: Array, width: int, sums: Sums) -> Sums:
    """Return sums of slopes that leak: all nodes send something, unless a signal is 0."""
    first = xp.where(sums.uu == 0.0, 0.0, 1.0 * width + 0.0 * kappa)
    zero = (sums.ss == 0.0) & ((sums.uu == 0.0) | (kappa == 0.0))
    second = xp.where(zero, 0.0, 1.0 * width + 0.0 * kappa)
    return sums._replace(sending1=first, sending2=second, sending=xp.maximum(first, second))


def _slope(xp: Any, product: Array, square: Array) -> Array:
    return product / xp.where(square > 0.0, square, 1.0)


def _across(xp: Any, square: Array, of: Array, up: Array) -> Array:
    """Return a length from its square, 0 where this is rounding of another square."""
    return xp.where(square <= DIFFERENCE * of, 0.0, scaled(xp, xp.sqrt(square), up))


def _observed(
    xp: Any, leaky: bool, pairs: Pairs, group: Group, width: int, sums: Sums
) -> list[Array]:
    """Return the observables of all pairs, each (B, P), in the order of `row`."""
    kappa = group.kappa
    power1 = xp.take(group.power, pairs.first, axis=1)
    power2 = group.power[:, pairs.explicit :]
    up = power2 - power1
    across = _across(xp, sums.across, sums.ss, up)
    along = (kappa - scaled(xp, _slope(xp, sums.us, sums.uu), up)) * xp.sqrt(sums.uu)
    square = along * along + across * across
    alive1 = sums.uu > 0.0
    q1 = _lengths(xp, sums.uu / width, power1)
    q2 = _lengths(xp, xp.where(alive1, square, sums.ss) / width, xp.where(alive1, power1, power2))
    angle = _angles(xp, along, across, alive1 & (square > 0.0))
    across = _across(xp, sums.across_active, sums.rr, up)
    along = (kappa - scaled(xp, _slope(xp, sums.rx, sums.xx), up)) * xp.sqrt(sums.xx)
    length = xp.sqrt(along * along + across * across)
    both = (sums.sending1 > 0.0) & (sums.sending2 > 0.0) & (length > 0.0)
    length = xp.where(length > 0.0, length, 1.0)
    cosine = xp.where(both, along / length, math.nan)
    sine = across / length
    bent = both & (sine >= SMALLEST_NORMAL) & (sums.sending > 1.0)
    log_sine = xp.where(bent, 2.0 * xp.log(xp.where(bent, sine, 1.0)), math.nan)
    shares = [n / width for n in (sums.inactive1, sums.inactive2, sums.both)]
    died = [group.died[..., 0], group.died[..., 1], group.died[..., 0] * group.died[..., 1]]
    means = _means(xp, leaky, group, (power1, up), width, sums)
    return [q1[0], q2[0], q1[1], q2[1], *angle, cosine, *shares, *died, *means, log_sine]


def _means(
    xp: Any, signed: bool, group: Group, powers: tuple[Array, Array], width: int, sums: Sums
) -> list[Array]:
    """Return means and products of the activations (`cpu_observe._observe_activations`)."""
    power, up = powers
    kappa, rho = group.kappa, group.rho
    rx, rr, r = scaled(xp, sums.rx, up), scaled(xp, sums.rr, 2.0 * up), scaled(xp, sums.r, up)
    live2 = sums.sending2 > 0.0
    live = live2 & (sums.sending1 > 0.0)
    apart = rho * rho * sums.xx + 2.0 * rho * rx + rr
    return [
        _mean(xp, signed, sums.x / width, power),
        _mean(xp, signed, xp.where(live2, kappa * sums.x - r, 0.0) / width, power),
        _mean(xp, signed, xp.where(live, kappa * sums.xx - rx, 0.0) / width, 2.0 * power),
        _mean(xp, False, 0.5 * apart / width, 2.0 * power),
    ]


def _mean(xp: Any, signed: bool, value: Array, power: Array) -> Array:
    """Return value·2^power, undefined beyond Q_RANGE (`row.put_signed_mean`)."""
    none = value == 0.0 if signed else value <= 0.0
    value = scaled(xp, xp.where(none, 0.0, value), power)
    size = xp.abs(value)
    within = ((size >= Q_RANGE[0]) & (size <= Q_RANGE[1])) | none
    return xp.where(within, value, math.nan)


def _shown(
    xp: Any, slopes: Sent, pairs: Pairs, group: Group, width: int, sums: Sums
) -> list[Array]:
    """Return what control variates read, each (B, P): cos θ, sin θ, M, w (`cpu_observe._show`)."""
    above, below = derivatives(slopes)
    parallel = 0.5 * (above * above + below * below)
    k11 = xp.take(group.square, pairs.first, axis=1)
    gamma2 = group.square[:, pairs.explicit :]
    defined = k11 > 0.0
    k11 = xp.where(defined, k11, 1.0)
    root, gamma = xp.sqrt(k11), xp.sqrt(gamma2)
    x = cotangents(xp, pairs, group) * root
    length = xp.sqrt(x * x + gamma2)
    defined = defined & (length > 0.0)
    length = xp.where(defined, length, 1.0)
    unit = xp.where(x > 0.0, gamma, length)
    apart, across = unit > 0.0, gamma > 0.0
    share = xp.where(apart, 1.0 / xp.where(apart, unit, 1.0), 0.0)
    gamma = xp.where(across, gamma, 1.0)
    found = [
        x / length,
        xp.sqrt(gamma2) / length,
        sums.x / width / root,
        sums.xx / width / k11,
        sums.r / width * share,
        sums.rx / width / root * share,
        xp.where(apart, sums.rr / width * share * share, parallel),
        sums.uu / width / k11 - 1.0,
        xp.where(across, sums.us / width / root / gamma, 0.0),
        xp.where(across, sums.ss / width / (gamma * gamma) - 1.0, 0.0),
    ]
    return [xp.where(defined, each, math.nan) for each in found]


def _lengths(xp: Any, q: Array, power: Array) -> tuple[Array, Array]:
    """Return q·4^power, undefined beyond Q_RANGE, and its logarithm, undefined at 0."""
    value = scaled(xp, q, 2.0 * power)
    within = ((value >= Q_RANGE[0]) & (value <= Q_RANGE[1])) | (q == 0.0)
    logarithm = xp.log(xp.where(q > 0.0, q, 1.0)) + power * LN4
    return xp.where(within, value, math.nan), xp.where(q > 0.0, logarithm, math.nan)


def _angles(xp: Any, x: Array, y: Array, defined: Array) -> list[Array]:
    """Return correlation, distance, its logarithm and the angle of points (x, y), y ≥ 0."""
    x, y = xp.where(defined, x, 1.0), xp.where(defined, y, 0.0)
    h = xp.sqrt(x * x + y * y)
    near = y / xp.sqrt(xp.where(x > 0.0, h * (h + x), 1.0))
    half_sine = xp.where(x > 0.0, near, xp.sqrt(xp.where(x > 0.0, 1.0, 1.0 - x / h)))
    distance = half_sine * half_sine
    shown = defined & ((half_sine == 0.0) | (distance >= DISTANCE_FLOOR))
    apart = defined & (half_sine >= SMALLEST_NORMAL)
    logarithm = 2.0 * xp.log(xp.where(apart, half_sine, 1.0))
    return [
        xp.where(defined, x / h, math.nan),
        xp.where(shown, distance, math.nan),
        xp.where(apart, logarithm, math.nan),
        xp.where(defined, xp.atan2(y, x), math.nan),
    ]


def _observed_network(xp: Any, inputs: int, counts: Array, lost: Array) -> Array:
    """Return the observables of the networks, shape (B, 3 + RATE_BINS).

    `counts` are the inputs that activate each node, (B, N); `lost` those for which some layer so
    far was inactive, (B,).
    """
    bins = 1 + (20 * counts - 1) // inputs
    bins = xp.where(counts == 0, 0, xp.where(counts == inputs, RATE_BINS - 1, bins))
    width = counts.shape[-1]
    rates = [_sum(xp, xp.astype(bins == b, xp.float64)) / width for b in range(RATE_BINS)]
    all_lost = xp.where(xp.isnan(lost), lost, xp.astype(lost == inputs, xp.float64))
    return xp.stack([rates[0], lost / inputs, all_lost, *rates], axis=-1)

"""Batches of many trials at once, as array code on a namespace `xp`: NumPy's or CuPy's.

The formulas, columns, units and thresholds are those of `cpu_kernels` and `cpu_observe`, with an
axis of trials before all others. State and sums are float64. This module holds the parts of a layer
before and after the weights; `draws` has the weights, `arrays_back` the way back.

The namespace has the array API standard with `linalg.solve`, `ldexp`, `frexp`, and `linalg.qr`
with the mode "raw".
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

from simcore.numerics.rng import Stream
from simcore.physics import activation
from simcore.physics.observables import RATE_BINS, Columns
from simcore.physics.rounding import DIFFERENCE
from simcore.physics.weight_laws import NORMAL
from simcore.sampling.row import DISTANCE_FLOOR, LN4, Q_RANGE, SMALLEST_NORMAL

from .physics import MOST_COTANGENT, RANGE, Law, bias_scale

Array = Any
"""An array of the namespace."""

INPUT_LAYER = 0
"""The layer of the counter that random inputs have."""

sigma_b_of: Any = bias_scale.py_func
"""σ_b of a layer, of the law and the fan-in."""

leaks: Any = activation.leaks.py_func
"""Whether inactive nodes send something."""

Slopes = tuple[float, ...]
"""As in `activation.sent`."""


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


# --- after the weights ----------------------------------------------------------------------------


def cotangents(xp: Any, pairs: Pairs, group: Group) -> Array:
    """Return κ in units of the residuals, shape (B, P)."""
    up = group.power[:, pairs.explicit :] - xp.take(group.power, pairs.first, axis=1)
    return xp.clip(scaled(xp, group.kappa, -up), -MOST_COTANGENT, MOST_COTANGENT)


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
    xp: Any, slopes: Slopes, pairs: Pairs, group: Group, h: Array, of_run: Columns
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
        columns += _shown(xp, pairs, group, width, sums)
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


def _pair_sums(xp: Any, slopes: Slopes, u: Array, p: Array, s: Array) -> tuple[Array, Sums]:
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


def _shown(xp: Any, pairs: Pairs, group: Group, width: int, sums: Sums) -> list[Array]:
    """Return what control variates read, each (B, P): cos θ, sin θ, M, w (`cpu_observe._show`)."""
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
        xp.where(apart, sums.rr / width * share * share, 0.5),
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

"""A layer of a batch on the CPU: inputs, the factor T before the weights, replaced weights.

`gram` and `dense` draw what lies between; `cpu_observe` has the part after the weights. Sums over
nodes run in sixteen lanes, node i in lane i mod 16, and over the lanes in order.

Array code on NumPy (`arrays`, `draws`) for the same was measured against these kernels with one
thread, 2 and 64 pairs, widths of 64 and 1024. It takes 0.8 to 4.3 times the CPU time (median 1.9)
with all trials together, and 1.8 to 16 times (median 3.8) for one trial at a time. Its logarithms
and arctan2 are NumPy's, whose bits differ between machines. Hence both.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simcore.numerics.kernels import njit
from simcore.numerics.lanes import LANES, mean, product
from simcore.physics.rounding import DIFFERENCE
from simcore.physics.update import next_kappa, next_rho
from simcore.sampling.random_inputs import draw_pair

from .physics import RANGE, Law, Pairing, bias_scale

Floats = npt.NDArray[np.float64]
Words = npt.NDArray[np.uint32]


class Batch(NamedTuple):
    """State of a trial between layers.

    `signals` and `other` have room for the columns over the nodes of the widest layer, (C ·
    nodes,): in turn one holds the activations and the other receives the next pre-activations.
    `square`, (C,), are the variances of the columns' pre-activations in the present layer. `power`,
    (C,), are exponents of the columns' units, whole numbers. `kappa` and `rho` are κ and 1 − κ,
    (P,). `died`, (P, 2), is 1 where some layer so far had every node inactive for the first or
    second input of a pair; `died_input` is the same for the explicit columns, (E,). `hazard`, (P,
    3), are sums of probabilities (theory.md (3b)): of the death of each signal and of both where
    weights are replaced, else the first of both.
    """

    signals: Floats
    other: Floats
    square: Floats
    power: Floats
    kappa: Floats
    rho: Floats
    died: Floats
    died_input: Floats
    hazard: Floats

    @classmethod
    def room(cls, columns: int, pairs: int, nodes: int) -> Batch:
        """Return room for a trial."""
        return cls(
            np.empty(columns * nodes),
            np.empty(columns * nodes),
            np.empty(columns),
            np.empty(columns),
            np.empty(pairs),
            np.empty(pairs),
            np.empty((pairs, 2)),
            np.empty(columns - pairs),
            np.empty((pairs, 3)),
        )


class Trial(NamedTuple):
    """A trial on its way through layers of given fan-ins and widths, shape (layer,).

    `t` has room for T of any layer, (C · (nodes + 1),); `words` is scratch, (4, ROOM).
    """

    law: Law
    pairing: Pairing
    batch: Batch
    fan_ins: npt.NDArray[np.int64]
    widths: npt.NDArray[np.int64]
    number: int
    t: Floats
    words: Words


class Layer(NamedTuple):
    """A layer of a trial: n activations, N pre-activations, C columns.

    The point, σ_b of the layer, the pairs, the state of the trial; numbers of the trial, and of the
    layer from 1; activations x, (C, n); the columns t of T (theory.md 2, "A batch"), (C, n + 1)
    with the bias at the end, (C, n) without bias; pre-activations h, (C, N); scratch of
    `fill_variates`.
    """

    law: Law
    sigma_b: float
    pairing: Pairing
    batch: Batch
    trial: int
    number: int
    x: Floats
    t: Floats
    h: Floats
    words: Words


@njit(nogil=True, cache=True)
def open_layer(trial, layer):
    """Return a layer of a trial, counted from 0, in the room of the trial."""
    batch = trial.batch
    columns = batch.power.size
    n, width = trial.fan_ins[layer], trial.widths[layer]
    even = layer % 2 == 0
    x = (batch.signals if even else batch.other)[: columns * n].reshape(columns, n)
    h = (batch.other if even else batch.signals)[: columns * width].reshape(columns, width)
    sigma_b = bias_scale(trial.law, n)
    rows = n + 1 if sigma_b > 0.0 else n
    t = trial.t[: columns * rows].reshape(columns, rows)
    return Layer(
        trial.law, sigma_b, trial.pairing, batch, trial.number, layer + 1, x, t, h, trial.words
    )


def opened(trial: Trial, layer: int) -> Layer:
    """Return `open_layer` for kernels that Python calls.

    Numba gives an unsigned integer back as a plain one, so the words of the key would have another
    type than in a trial, and everything would be compiled again for it.
    """
    return open_layer(trial, layer)._replace(law=trial.law)  # type: ignore[no-any-return]


# --- the first layer ------------------------------------------------------------------------------


@njit(nogil=True, cache=True)
def start_pairs(law, n0, q0, distances, trial, batch, words):
    """Draw the inputs of random pairs (theory.md 1) and regress the second on the first.

    `distances` holds 1 − c₀ of each pair, shape (P,).
    """
    pairs = distances.size
    x = batch.signals[: 2 * pairs * n0].reshape(2 * pairs, n0)
    for p in range(pairs):
        d = distances[p]
        draw_pair(n0, q0, 2 * p, trial, law.key0, law.key1, words, x[p], x[pairs + p])
        sine = -math.sqrt(d * (2.0 - d))
        for i in range(n0):
            x[pairs + p, i] *= sine
        batch.kappa[p] = 1.0 - d
        batch.rho[p] = d
    batch.power[:] = 0.0
    batch.died[:] = 0.0
    batch.died_input[:] = 0.0
    batch.hazard[:] = 0.0


@njit(nogil=True, cache=True)
def start_inputs(inputs, residuals, kappa, batch):
    """Take given inputs, shape (M, N₀), and the residuals of pairs, (P, N₀), with their κ, (P,)."""
    explicit, n0 = inputs.shape
    pairs = residuals.shape[0]
    x = batch.signals[: (explicit + pairs) * n0].reshape(explicit + pairs, n0)
    x[:explicit] = inputs
    x[explicit:] = residuals
    for p in range(pairs):
        batch.kappa[p] = kappa[p]
        batch.rho[p] = 1.0 - kappa[p]
    batch.power[:] = 0.0
    batch.died[:] = 0.0
    batch.died_input[:] = 0.0
    batch.hazard[:] = 0.0


# --- before the weights ---------------------------------------------------------------------------


@njit(nogil=True, cache=True)
def normalise(x, square, power, column):
    """Bring a column, of which the sum of squares is given, to a unit in RANGE; return that sum."""
    if square == 0.0:
        power[column] = 0.0
        return 0.0
    if 1.0 / RANGE < square < RANGE:
        return square
    _, exponent = math.frexp(square)
    half = exponent // 2
    scale = math.ldexp(1.0, -half)
    for i in range(x.size):
        x[i] *= scale
    power[column] += half
    return math.ldexp(square, -2 * half)


@njit(nogil=True, cache=True)
def centred(law, x, lanes, t):
    """Write (σ_w/√n)(x − a x̄) to t.

    The mean is subtracted twice, so that a constant leaves only rounding.
    """
    n = x.size
    scale = law.sigma_w / math.sqrt(n)
    level = rest = 0.0
    if law.a != 0.0:
        level = mean(x, 0.0, lanes)
        rest = law.a * mean(x, level, lanes)
        level *= law.a
    for i in range(n):
        t[i] = scale * ((x[i] - level) - rest)


@njit(nogil=True, cache=True)
def _explicit_factor(layer, column, lanes):
    """Write an explicit column of T and return its square without the bias."""
    law, power, x, t = layer.law, layer.batch.power, layer.x[column], layer.t[column]
    n = x.size
    square = normalise(x, product(x, x, lanes), power, column)
    centred(law, x, lanes, t)
    a = product(t[:n], t[:n], lanes)
    if a <= DIFFERENCE * law.sigma_w * law.sigma_w * (square / n):
        t[:n] = 0.0
        a = 0.0
    bias = 0.0
    if t.size > n:
        t[n] = bias = math.ldexp(layer.sigma_b, -int(power[column]))
    layer.batch.square[column] = a + bias * bias
    return a


@njit(nogil=True, cache=True)
def _regress(layer, p, a, lanes):
    """Write a residual's column of T, after regression on its first input, theory.md (4).

    `a` is the square of that input's column of T without the bias. κ, ρ and the residual r follow.
    Any κ is right, as long as y = κx − r. That of a dead second signal stays 0. Where κ is above 1,
    the positive weight that may stand for a bias, in one of n + 1 nodes and ½ in the mean square,
    counts as bias: else a node with it has u and s that leave nothing of v.
    """
    law, batch, power = layer.law, layer.batch, layer.batch.power
    first, column = layer.pairing.first[p], layer.pairing.explicit + p
    x, tx, r, t = layer.x[first], layer.t[first], layer.x[column], layer.t[column]
    n = x.size
    square = normalise(r, product(r, r, lanes), power, column)
    centred(law, r, lanes, t)
    kappa, rho = batch.kappa[p], batch.rho[p]
    up = int(power[column] - power[first])
    b = product(tx[:n], t[:n], lanes)
    bias = tx[n] if tx.size > n else 0.0
    before = law.sigma_w * law.sigma_w * (square / n)
    variance = layer.sigma_b * layer.sigma_b
    if law.asymmetric and kappa > 1.0:
        variance += 0.5 / (n + 1)
    s = math.ldexp(variance, -2 * int(power[first]))
    dead = kappa == 0.0 and square == 0.0
    if a + s > 0.0 and not dead:
        e = (b - math.ldexp(rho * s, -up)) / (a + s)
        b = math.ldexp(b, up)
        batch.kappa[p] = next_kappa(kappa, a, b, s, a + s)
        batch.rho[p] = next_rho(rho, a, b, a + s)
        for i in range(n):
            t[i] -= e * tx[i]
            r[i] -= e * x[i]
        came_from = square + e * e * product(x, x, lanes)
        if product(r, r, lanes) <= DIFFERENCE * came_from:
            r[:] = 0.0
        before += e * e * a
    left = product(t[:n], t[:n], lanes)
    if left <= DIFFERENCE * before:
        t[:n] = 0.0
        left = 0.0
    batch.square[column] = left
    if t.size > n:
        t[n] = -math.ldexp(batch.rho[p] * bias, -up)
        bias = math.ldexp(rho * bias, -up)
        if left + t[n] * t[n] <= DIFFERENCE * (before + bias * bias):
            t[n] = 0.0
        batch.square[column] += t[n] * t[n]


@njit(nogil=True, cache=True)
def layer_factor(layer):
    """Write T of a layer; bring its columns to units in RANGE, and regress the residuals."""
    lanes = np.empty(LANES)
    explicit = layer.pairing.explicit
    squares = np.empty(explicit)
    for c in range(explicit):
        squares[c] = _explicit_factor(layer, c, lanes)
    for p in range(layer.pairing.first.size):
        _regress(layer, p, squares[layer.pairing.first[p]], lanes)


@njit(nogil=True, cache=True)
def replace_weights(layer, index, old, new):
    """Replace a weight of each node, or its bias, in its pre-activations (theory.md (3)).

    `index` is the replaced weight of each node (n is the bias), `old` and `new` are its values;
    shape (N,).
    """
    batch, x, h = layer.batch, layer.x, layer.h
    n = x.shape[1]
    for c in range(x.shape[0]):
        bias = math.ldexp(1.0, -int(batch.power[c]))
        if c >= layer.pairing.explicit:
            p = c - layer.pairing.explicit
            bias = -math.ldexp(batch.rho[p], -int(batch.power[c]))
        for i in range(h.shape[1]):
            j = index[i]
            h[c, i] += (new[i] - old[i]) * (bias if j == n else x[c, j])

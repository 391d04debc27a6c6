"""Control variates of networks, from layer to layer (theory.md (9) to (11)).

Along a path that no network touches, A, B and second derivatives of the update (4) are numbers
(`path`). Per network δ, Z and ε of theory.md 6 are carried, each with mean exactly 0. What a layer
needs is O(1) beside its O(N) draws.

The equations are passes over rows (`program`). A row has a number of each network, in lanes: 64 of
a block on a CPU, where a pass is a vector loop, and a single one in a thread of a GPU. As one loop
over passes they compile in a fraction of the time that they take written out.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simcore.numerics.arithmetic import log, times
from simcore.numerics.kernels import njit
from simcore.physics.activation import Sent
from simcore.physics.observables import CONTROLLED
from simcore.sampling import row as shown
from simcore.statistics.blocks import BLOCK

from .node_law import node_law, x_law
from .own_law import log_shift, mean_correlation
from .places import (
    AFTER,
    CARRIED,
    COLUMNS,
    CONTROL,
    CORRELATION,
    COS,
    DELTA,
    DISTANCE,
    FIRST_OWN,
    INACTIVE,
    LENGTHS,
    LOST,
    MEAN,
    ONES,
    PER_TURN,
    ROWS,
    SEEN,
    SHARE,
    SIGMA,
    SIN,
    THETA,
)
from .program import FORM, FROM, MANY, PRODUCTS, TO, Steps

Floats = npt.NDArray[np.float64]

_u64: Any = np.uint64


class Controls(NamedTuple):
    """Control variates of the pairs of up to 64 networks; of no pairs where there are none."""

    k: Floats
    """Coefficients (`path.coefficients`), shape (pair, depth, COEFFICIENTS)."""
    carried: Floats
    """δ, ε and Z, shape (pair, CARRIED, BLOCK)."""
    rows: Floats
    """Scratch, ROWS rows in one, shape (ROWS · BLOCK,)."""
    program: Steps
    columns: int
    """Columns of a pair in a row."""
    slopes: Sent = ()
    """As in `activation.sent`; their number is part of the type."""


def controls_of(k: Floats, program: Steps, columns: int, slopes: Sent = ()) -> Controls:
    """Return the controls of a block, before `start`, from coefficients and passes of its pairs."""
    carried, rows = np.zeros((len(k), CARRIED, BLOCK)), np.zeros(ROWS * BLOCK)
    return Controls(k, carried, rows, program, columns, slopes)


# --- one layer ------------------------------------------------------------------------------------


@njit(nogil=True, cache=True, forceinline=True, error_model="numpy")
def _find_law(slopes, w, lanes):
    """Write θ, μ(θ) and Σ(θ) of a node, but what never changes.

    Where `lanes` is a constant, and no division is checked, this becomes a vector loop.
    """
    for t in range(lanes):
        (
            w[THETA * lanes + t],
            w[(MEAN + 2) * lanes + t],
            w[(MEAN + 3) * lanes + t],
            w[(MEAN + 4) * lanes + t],
            w[(SIGMA + 3) * lanes + t],
            w[(SIGMA + 4) * lanes + t],
            w[(SIGMA + 5) * lanes + t],
            w[(SIGMA + 6) * lanes + t],
            w[(SIGMA + 7) * lanes + t],
            w[(SIGMA + 8) * lanes + t],
            w[(SIGMA + 9) * lanes + t],
            w[(SIGMA + 10) * lanes + t],
            w[(SIGMA + 11) * lanes + t],
            w[(SIGMA + 12) * lanes + t],
            w[(SIGMA + 13) * lanes + t],
            w[(SIGMA + 14) * lanes + t],
        ) = node_law(slopes, w[COS * lanes + t], w[SIN * lanes + t])


@njit(inline="always")
def _write_constants(slopes, w, lanes):
    """Write what never changes; rows to which no pass adds are 0."""
    mean1, mean2, x_x, x2_x, x2_x2 = x_law(slopes)
    for i in range(ROWS * lanes):
        w[i] = 0.0
    for t in range(lanes):
        w[MEAN * lanes + t] = mean1
        w[(MEAN + 1) * lanes + t] = mean2
        w[SIGMA * lanes + t] = x_x
        w[(SIGMA + 1) * lanes + t] = x2_x
        w[(SIGMA + 2) * lanes + t] = x2_x2
        w[ONES * lanes + t] = 1.0


@njit(inline="always")
def _take_passes(program, k, w, lanes):
    """Take all passes of a layer; no place is negative, which would cost a test in every loop."""
    wide = _u64(lanes)
    for n in range(program.shape[0]):
        to, onto, form = (
            _u64(program[n, TO]) * wide,
            _u64(program[n, FROM]) * wide,
            program[n, FORM],
        )
        k0, k1 = k[program[n, 3]], k[program[n, 6]]
        a0, a1 = _u64(program[n, 4]) * wide, _u64(program[n, 7]) * wide
        if form == 0:
            for lane in range(lanes):
                t = _u64(lane)
                w[to + t] = w[onto + t] + times(k0, w[a0 + t]) + times(k1, w[a1 + t])
            continue
        b0, b1 = _u64(program[n, 5]) * wide, _u64(program[n, 8]) * wide
        if form == PRODUCTS:
            for lane in range(lanes):
                t = _u64(lane)
                some = w[onto + t] + times(k0, times(w[a0 + t], w[b0 + t]))
                w[to + t] = some + times(k1, times(w[a1 + t], w[b1 + t]))
            continue
        k2, k3 = k[program[n, 9]], k[program[n, 12]]
        a2, a3 = _u64(program[n, 10]) * wide, _u64(program[n, 13]) * wide
        if form == MANY:
            for lane in range(lanes):
                t = _u64(lane)
                some = w[onto + t] + times(k0, w[a0 + t]) + times(k1, w[a1 + t])
                w[to + t] = some + times(k2, w[a2 + t]) + times(k3, w[a3 + t])
            continue
        b2, b3 = _u64(program[n, 11]) * wide, _u64(program[n, 14]) * wide
        for lane in range(lanes):
            t = _u64(lane)
            some = w[onto + t] + times(k0, times(w[a0 + t], w[b0 + t]))
            some = some + times(k1, times(w[a1 + t], w[b1 + t]))
            some = some + times(k2, times(w[a2 + t], w[b2 + t]))
            w[to + t] = some + times(k3, times(w[a3 + t], w[b3 + t]))


@njit(inline="always")
def _own_lengths(shift, w, lanes):
    """Write ⟨h²⟩/K of the two signals: χ²/N each, whatever the state, and so known in law."""
    for t in range(lanes):
        cosine, sine, first = w[COS * lanes + t], w[SIN * lanes + t], w[FIRST_OWN * lanes + t]
        both = times(2.0, times(times(cosine, sine), w[(FIRST_OWN + 1) * lanes + t]))
        across = times(times(sine, sine), w[(FIRST_OWN + 2) * lanes + t]) - both
        of_first = 1.0 + first
        of_second = 1.0 + (times(times(cosine, cosine), first) + across)
        w[SHARE * lanes + t], w[(SHARE + 1) * lanes + t] = of_first, of_second
        w[(SHARE + 2) * lanes + t] = log(of_first) - shift
        w[(SHARE + 3) * lanes + t] = log(of_second) - shift


@njit(inline="always")
def _write_values(k, rows, t, j, w, lanes):
    """Replace what a network's row has behind its observables by controlled values."""
    begin = shown.FEATURES
    correlation, distance = mean_correlation(k, LOST, w[COS * lanes + t], w[SIN * lanes + t])
    for i in range(len(CONTROLLED)):
        value = rows[t, j, COLUMNS[i]]
        if i == INACTIVE:
            value = times(math.pi - w[THETA * lanes + t], PER_TURN)
        elif i == CORRELATION:
            value = correlation
        elif i == DISTANCE:
            value = distance
        elif i < LENGTHS // 2:
            value = value / w[(SHARE + i) * lanes + t]
        elif i < LENGTHS:
            value = value - w[(SHARE + i) * lanes + t]
        rows[t, j, begin + i] = value - w[(CONTROL + i) * lanes + t]


@njit(nogil=True, cache=True)
def start(controls):
    """Begin with the first layer: every control is 0 there but for the layer's own sampling."""
    controls.carried[:] = 0.0


@njit(nogil=True, cache=True, error_model="numpy")
def follow(controls, widths, layer0, rows):
    """Replace what samplers see of pairs by controlled values, in consecutive layers.

    Parameters
    ----------
    controls
        They move on.
    widths
        Nodes of every layer, shape (depth,).
    layer0
        The first layer, from 0.
    rows
        Shape (trial, layer, column), of at most 64 trials. Each pair has its observables, and then
        what samplers write from `row.FEATURES` on, which is replaced.
    """
    for pair in range(controls.k.shape[0]):
        own = rows[:, :, pair * controls.columns : (pair + 1) * controls.columns]
        carried, given = controls.carried[pair], (controls.program, controls.k[pair])
        follow_pair(controls.slopes, given, widths, layer0, carried, own, controls.rows, BLOCK)


@njit(inline="always")
def follow_pair(slopes, given, widths, layer0, carried, rows, w, lanes):
    """Do so for the trials of one pair, of which the scratch `w` has as many lanes, or more.

    `given` has the passes of a layer, and the coefficients of the pair.
    """
    begin, (program, k) = shown.FEATURES, given
    _write_constants(slopes, w, lanes)
    for i in range(CARRIED):
        for t in range(lanes):
            w[(DELTA + i) * lanes + t] = carried[i, t]
    for j in range(rows.shape[1]):
        for t in range(rows.shape[0]):
            for i in range(SEEN):
                w[i * lanes + t] = rows[t, j, begin + i]
        _find_law(slopes, w, lanes)
        _take_passes(program, k[layer0 + j], w, lanes)
        _own_lengths(log_shift(widths[layer0 + j]), w, lanes)
        for t in range(rows.shape[0]):
            _write_values(k[layer0 + j], rows, t, j, w, lanes)
        for i in range(CARRIED):
            for t in range(lanes):
                w[(DELTA + i) * lanes + t] = w[(AFTER + i) * lanes + t]
    for i in range(CARRIED):
        for t in range(lanes):
            carried[i, t] = w[(DELTA + i) * lanes + t]

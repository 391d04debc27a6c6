"""The pair sampler of `rai` and `raai`: two signals, node by node from their exact law.

Given the activations of a layer, a node of the next is Gaussian about β times the activations of
the one node whose weight was replaced (theory.md (3)). So the activations of the layer before are
kept, and a layer costs O(N).

State. The second signal is carried as its difference from a multiple of the first: h₂ = κ h₁ − s
for pre-activations, x₂ = κ x₁ − r for activations, where κ = K₁₂/K₁₁ is that of the layer's full
law (without replacement). Unlike h₁ − h₂ this keeps the angle where lengths differ. A constant node
of activation 1 stands for the bias: its r is κ − 1. From layer to layer κ changes by −e, where
e = ⟨r, x⟩/⟨x, x⟩ in the inner product of the full covariance, and every r, the constant node's
included, becomes r − e x. The full law then has no covariance between h₁ and s.

Units. x is in units of 2^`POWER_X` and r in units of 2^`POWER_R`, which follow the sums of squares
by exact powers of two: neither growth over any depth nor 1 − c down to 1e-280 leaves float64.

Rounding. The thresholds are those of `physics.rounding`. Below 64 nodes the sums without one node
are formed without subtracting it.

Order of summation (it fixes the bytes): as `numerics.lanes`; lanes sum in float64 over a chunk of
512 nodes, and chunks are added to the lane's total in order.

Counter: node i has group i to itself, in row 0. Words 0 and 1 are its two normals, word 2 gives the
replaced index ⌊w (n + 1)/2³²⌋, and word 3 its weight β = √u, u = (w' + ½)/2³¹ of the high 31 bits;
normals, u and β are float32. The rest is float64, but for roots in `usual_signals`.

Here are the loops of the CPU. The functions of a node are in `nodes`, those of a layer's law in
`physics`; the threads of a GPU call the same (`cuda_kernels`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simcore.numerics.arithmetic import float_to_bits, fma64
from simcore.numerics.kernels import njit
from simcore.numerics.lanes import LANES, load, store
from simcore.numerics.rng import ONLY_ROW, ROOM, _make_normals, as_normal, fill_words
from simcore.sampling.random_inputs import draw_pair
from simcore.sampling.row import (
    FEATURES,
    LOGS,
    finish_angle,
    finish_row_log,
    hazards,
)

from . import death, death_of_both
from . import nodes as node_laws
from . import physics as moves
from .nodes import CHUNK, LAW, SMALL, SUMS
from .physics import CHANGE, HEAD, PLACES

__all__ = ["HEAD", "PARTS", "Scratch", "advance", "scratch"]

PARTS = 2
"""Arrays of nodes that a trial carries after its state: x and r."""

_u32 = np.uint32
NO_FLAG, ANY = _u32(0), _u32(1)


class Scratch(NamedTuple):
    """Working arrays of one thread.

    `words` uint32 (4, ROOM); `work` float64 (4 · ROOM,): x and r of the replaced nodes, then h₁
    and s; `sums` float64 (SUMS · LANES,) of a chunk, `layer` of the layer; `flags` int64 (LANES,),
    three counts packed; `which` from `_find_biases`; `totals` (PLACES,); `law` (LAW,); `change`
    (CHANGE,); `others` from `sums_of_others`; `chances` of `all_chances`; `x` and `r` of a layer.
    """

    words: npt.NDArray[np.uint32]
    work: npt.NDArray[np.float64]
    sums: npt.NDArray[np.float64]
    layer: npt.NDArray[np.float64]
    flags: npt.NDArray[np.int64]
    which: npt.NDArray[np.int64]
    totals: npt.NDArray[np.float64]
    law: npt.NDArray[np.float64]
    change: npt.NDArray[np.float64]
    others: npt.NDArray[np.float64]
    chances: npt.NDArray[np.float64]
    x: npt.NDArray[np.float64]
    r: npt.NDArray[np.float64]


@njit(nogil=True, cache=True)
def scratch(room):
    """Return working arrays for layers of fewer than `room` nodes."""
    return Scratch(
        np.empty((4, ROOM), np.uint32),
        np.empty(4 * ROOM),
        np.empty(SUMS * LANES),
        np.empty(SUMS * LANES),
        np.empty(LANES, np.int64),
        np.empty(ROOM + 1, np.int64),
        np.empty(PLACES),
        np.empty(LAW),
        np.empty(CHANGE),
        np.empty((5, SMALL)),
        np.empty((death_of_both.ROWS, LANES)),
        np.empty(room),
        np.empty(room),
    )


# --- one layer of nodes ---------------------------------------------------------------------------
# In short passes over one-dimensional arrays with constant distances, for the reasons that
# `rng._make_normals` gives.


@njit(inline="always")
def _choose(flat, rounds, n):
    """Turn words 2 into replaced indices and words 3 into the bits of β."""
    choices = node_laws.choices_of(n)
    for b in range(rounds):
        for lane in range(LANES):
            j = b * LANES + lane
            flat[2 * ROOM + j] = node_laws.replaced_index(flat[2 * ROOM + j], choices)
    for b in range(rounds):
        for lane in range(LANES):
            j = b * LANES + lane
            flat[3 * ROOM + j] = _u32(float_to_bits(node_laws.weight(flat[3 * ROOM + j])))


@njit(nogil=True, cache=True)
def _any_bias(flat, rounds, n):
    """Return whether an index is n, the bias; maybe that of a node beyond the last."""
    bias, some = _u32(n), NO_FLAG
    for b in range(rounds):
        for lane in range(LANES):
            equal = flat[2 * ROOM + b * LANES + lane] == bias
            some = _u32(some | (ANY if equal else NO_FLAG))
    return some != NO_FLAG


@njit(nogil=True, cache=True)
def _gather(flat, rounds, slope, x, r, work):
    """Read the activations whose weights are replaced; those of the bias, at index n, are 0."""
    for b in range(rounds):
        for lane in range(LANES):
            j = b * LANES + lane
            work[j] = x[flat[2 * ROOM + j]]
    for b in range(rounds):
        for lane in range(LANES):
            j = b * LANES + lane
            work[ROOM + j] = fma64(-slope, work[j], r[flat[2 * ROOM + j]])


@njit(inline="always")
def _draws(flat, j):
    """Return the normals of node j and its β in float64."""
    z1, z2 = np.float64(as_normal(flat[j])), np.float64(as_normal(flat[ROOM + j]))
    return z1, z2, np.float64(as_normal(flat[3 * ROOM + j]))


@njit(nogil=True, cache=True, error_model="numpy")
def _draw_signals(flat, rounds, law, work):
    """Write (h₁, s) of nodes none of which has its bias replaced."""
    k = node_laws.scales(law)
    for b in range(rounds):
        for lane in range(LANES):
            j = b * LANES + lane
            z1, z2, beta = _draws(flat, j)
            u, s = node_laws.usual_signals(work[j], work[ROOM + j], z1, z2, beta, k)
            work[2 * ROOM + j] = u
            work[3 * ROOM + j] = s


@njit(nogil=True, cache=True)
def _find_biases(flat, nodes, n, which):
    """List the nodes whose bias is replaced: which[1 …], and their number in which[0]."""
    which[0] = 0
    for j in range(nodes):
        if flat[2 * ROOM + j] == n:
            which[0] += 1
            which[which[0]] = j


@njit(nogil=True, cache=True)
def _draw_replaced_biases(flat, which, law, work):
    """Write (h₁, s) of the nodes whose bias is replaced: about one in a layer."""
    for k in range(1, which[0] + 1):
        j = which[k]
        z1, z2, beta = _draws(flat, j)
        u, s = node_laws.signals(z1, z2, beta, node_laws.own_law(law))
        work[2 * ROOM + j], work[3 * ROOM + j] = u, s


@njit(nogil=True, cache=True)
def _draw_few(flat, nodes, n, law, x, r, others, work):
    """Write (h₁, s) where the layer before has fewer than SMALL nodes, biases replaced or not."""
    for i in range(nodes):
        z1, z2, beta = _draws(flat, i)
        j = np.int64(flat[2 * ROOM + i])
        if j == n:
            u, s = node_laws.signals(z1, z2, beta, node_laws.own_law(law))
        else:
            u, s = node_laws.signals(z1, z2, beta, node_laws.few_law(j, law, x, r, others))
        work[2 * ROOM + i], work[3 * ROOM + i] = u, s


@njit(nogil=True, cache=True)
def _draw_nodes(physics, trial, layer, first, nodes, n, x, r, room):
    """Draw (h₁, s) of at most ROOM nodes from node `first` on, into work[2 · ROOM …]."""
    rounds = (nodes + LANES - 1) // LANES
    words, work, law, which, others = room.words, room.work, room.law, room.which, room.others
    flat = words.reshape(4 * ROOM)
    fill_words(
        words,
        first,
        rounds * LANES,
        node_laws.ASYMMETRIC_STREAM,
        ONLY_ROW,
        trial,
        layer,
        physics.key0,
        physics.key1,
    )
    _make_normals(flat, 0, rounds)
    _choose(flat, rounds, n)
    if n < SMALL:
        if first == 0:
            node_laws.sums_of_others(n, x, r, others)
        _draw_few(flat, nodes, n, law, x, r, others, work)
        return
    _gather(flat, rounds, law[node_laws.READ_SLOPE], x, r, work)
    biases = _any_bias(flat, rounds, n)
    if biases:
        _find_biases(flat, nodes, n, which)
    _draw_signals(flat, rounds, law, work)
    if biases:
        _draw_replaced_biases(flat, which, law, work)


@njit(nogil=True, cache=True)
def _sum_nodes(work, nodes, numbers, x, r, sums, flags):
    """Add nodes to the sums of their lanes, and write their activations to x and r."""
    u, s = work[2 * ROOM : 3 * ROOM], work[3 * ROOM : 4 * ROOM]
    fours = nodes // (4 * LANES)
    for b in range(fours):
        for lane in range(LANES):
            j = b * 4 * LANES + lane
            c = load(sums, flags, lane)
            c = node_laws.add_node(c, j, u[j], s[j], numbers, x, r)
            j += LANES
            c = node_laws.add_node(c, j, u[j], s[j], numbers, x, r)
            j += LANES
            c = node_laws.add_node(c, j, u[j], s[j], numbers, x, r)
            j += LANES
            c = node_laws.add_node(c, j, u[j], s[j], numbers, x, r)
            store(c, sums, flags, lane)
    for j in range(fours * 4 * LANES, nodes):
        lane = j % LANES
        c = node_laws.add_node(load(sums, flags, lane), j, u[j], s[j], numbers, x, r)
        store(c, sums, flags, lane)


@njit(nogil=True, cache=True)
def _draw_layer(physics, trial, layer, width, n, old_x, old_r, new_x, new_r, room):
    """Draw a layer: its activations go to new_x and new_r, its sums to `room.totals`."""
    work, sums, flags = room.work, room.sums, room.flags
    numbers = node_laws.of_activation(room.law)
    room.layer[:] = 0.0
    flags[:] = 0
    for chunk in range(0, width, CHUNK):
        sums[:] = 0.0
        for first in range(chunk, min(chunk + CHUNK, width), ROOM):
            nodes = min(ROOM, width - first)
            _draw_nodes(physics, trial, layer, first, nodes, n, old_x, old_r, room)
            x, r = new_x[first : first + nodes], new_r[first : first + nodes]
            _sum_nodes(work, nodes, numbers, x, r, sums, flags)
        for i in range(SUMS * LANES):
            room.layer[i] += sums[i]
    _fold(room)


@njit(nogil=True, cache=True)
def _fold(room):
    """Add the lanes in order."""
    totals = room.totals
    totals[:] = 0.0
    for lane in range(LANES):
        for i in range(SUMS):
            totals[i] += room.layer[i * LANES + lane]
        packed = room.flags[lane]
        totals[node_laws.N1] += packed & node_laws.FIELD_MASK
        totals[node_laws.N2] += (packed >> node_laws.FIELD) & node_laws.FIELD_MASK
        totals[node_laws.BOTH] += packed >> (2 * node_laws.FIELD)


@njit(nogil=True, cache=True)
def _sum_across(physics, trial, layer, width, n, slope, x, r, room):
    """Draw a layer again and return the sum of (s − slope · h₁)²."""
    work, total = room.work, 0.0
    for first in range(0, width, ROOM):
        nodes = min(ROOM, width - first)
        _draw_nodes(physics, trial, layer, first, nodes, n, x, r, room)
        for j in range(nodes):
            across = fma64(-slope, work[2 * ROOM + j], work[3 * ROOM + j])
            total = fma64(across, across, total)
    return total


@njit(nogil=True, cache=True)
def _observe(physics, trial, layer, width, n, x, r, room, state, row):
    """Write the observables of a layer that is drawn from x and r."""
    totals = room.totals
    rest, slope, recount = moves.first_across(width, totals)
    if recount:
        rest = _sum_across(physics, trial, layer, width, n, slope, x, r, room)
    moves.observe_layer(width, moves.settled_across(rest, totals), totals, state, row)
    for which in range(LOGS):
        finish_row_log(which, totals[moves.LOG_POWER_X], totals[moves.LOG_POWER_R], row)
    finish_angle(row, totals[moves.ALONG])


@njit(nogil=True, cache=True)
def _add_hazards(layer, width, n, x, r, room, state):
    """Add the probabilities that the signals which live die in the layer drawn next."""
    live1, live2 = state[moves.DIED1] == 0.0, state[moves.DIED2] == 0.0
    if not (death.may_die(layer, width) and (live1 or live2)):
        return
    law, work = death_of_both.law_of_both(state, room.law), room.chances
    found = death_of_both.chances_of_death(live1 and live2, width, n, x, r, law, work)
    one, other, both = death_of_both.terms(live1, live2, found[0], found[1], found[2])
    state[moves.HAZARD1] += one
    state[moves.HAZARD2] += other
    state[moves.HAZARD_BOTH] += both


# --- from a layer to the next ---------------------------------------------------------------------


@njit(nogil=True, cache=True)
def _change_nodes(n, totals, change, x, r):
    """Change n nodes as planned, and sum their r anew where that says so."""
    steps = moves.steps_of(change)
    r1 = rx = r2 = 0.0
    for i in range(n):
        xi, ri = moves.changed_node(x[i], r[i], steps)
        x[i] = xi
        r[i] = ri
        r1 += ri
        rx = fma64(ri, xi, rx)
        r2 = fma64(ri, ri, r2)
    if change[moves.SUBTRACT] == 0.0:
        return
    if moves.finish_subtraction(r1, rx, r2, totals):
        r[:n] = 0.0


@njit(nogil=True, cache=True)
def _move(physics, n, state, x, r, room):
    """Make the law of the next layer of the activations x and r of n nodes, and their sums."""
    totals, change = room.totals, room.change
    moves.plan_move(physics, n, totals, state, change)
    if change[moves.CHANGED] == 1.0:
        _change_nodes(n, totals, change, x, r)
    moves.finish_move(physics, n, totals, state)
    x[n] = 0.0
    r[n] = 0.0


@njit(nogil=True, cache=True)
def _start(physics, n, trial, state, x, r, room):
    """Draw the inputs and make the law of the first layer."""
    draw_pair(n, physics.q0, ONLY_ROW, trial, physics.key0, physics.key1, room.words, x, r)
    moves.begin_state(physics.distance, state)
    totals, across = room.totals, moves.input_across(physics.distance)
    totals[:] = 0.0
    for i in range(n):
        r[i] *= across
        totals[node_laws.X1] += x[i]
        totals[node_laws.X2] = fma64(x[i], x[i], totals[node_laws.X2])
        totals[node_laws.R1] += r[i]
        totals[node_laws.RX] = fma64(r[i], x[i], totals[node_laws.RX])
        totals[node_laws.R2] = fma64(r[i], r[i], totals[node_laws.R2])
    _move(physics, n, state, x, r, room)


@njit(nogil=True, cache=True)
def advance(physics, fan_ins, widths, first_trial, layer0, carried, rows, stop, progress):
    """Take consecutive trials through consecutive layers; the first layer, `layer0`, counts from 0.

    `fan_ins` and `widths` are of every layer, shape (depth,). `carried` has shape (trial, HEAD +
    PARTS · room), more than the nodes of any layer or input being the room; of one trial only,
    where all layers are taken in this call. Written: `rows`, (trial, layer, observable), NaN where
    undefined. Once stop[0] is not 0 the call returns early, and its results mean nothing; the node
    updates done are added to progress[0].
    """
    size = (carried.shape[1] - HEAD) // PARTS
    room = scratch(size)
    for t in range(rows.shape[0]):
        place = carried[t % carried.shape[0]]
        state = place[:HEAD]
        own_x, own_r = place[HEAD : HEAD + size], place[HEAD + size : HEAD + 2 * size]
        x, r, new_x, new_r = own_x, own_r, room.x, room.r
        trial = first_trial + t
        if layer0 == 0:
            _start(physics, fan_ins[0], trial, state, x, r, room)
        for j in range(rows.shape[1]):
            if stop[0] != 0:
                return
            layer, n, width = layer0 + j + 1, fan_ins[layer0 + j], widths[layer0 + j]
            moves.write_law(physics, n, state, room.law)
            if hazards(rows[t, j]) > 0:
                _add_hazards(layer, width, n, x, r, room, state)
            _draw_layer(physics, trial, layer, width, n, x, r, new_x, new_r, room)
            _observe(physics, trial, layer, width, n, x, r, room, state, rows[t, j])
            for signal in range(hazards(rows[t, j])):
                rows[t, j, FEATURES + signal] = state[moves.HAZARD1 + signal]
            _move(physics, width, state, new_x, new_r, room)
            x, r, new_x, new_r = new_x, new_r, x, r
            progress[0] += width
        if rows.shape[1] % 2 == 1:
            own_x[:] = x
            own_r[:] = r

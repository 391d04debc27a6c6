"""The pair sampler on the CPU: two signals through independent networks, without weight matrices.

Given the activations of a layer, the pre-activations of the next are exactly independent Gaussian
pairs (theory.md (2) [BD]), so a layer costs 2N normals. Here are the loops over trials and layers;
`sums` draws and sums one layer, `physics` observes it and moves the state on.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simcore.numerics.kernels import njit
from simcore.numerics.lanes import LANES
from simcore.sampling.control import follow as control
from simcore.statistics.blocks import BLOCK
from simcore.statistics.moments import collect, finish_block, join_blocks

from . import sums as in_lanes
from .physics import LIVE, NONE_LEFT, STATE, finish_layer, start, take_aim
from .sums import AIM, CHUNK, GROUPS, SLOTS, SUMS, TOTALS


class Scratch(NamedTuple):
    """Working arrays of one thread: see `chunk_sums` and `fold_chunk`."""

    words: npt.NDArray[np.uint32]
    sums: npt.NDArray[np.float32]
    flags: npt.NDArray[np.int32]
    accumulators: in_lanes.Accumulators
    totals: npt.NDArray[np.float64]
    aim: npt.NDArray[np.float64]


@njit(inline="always")
def draw_layer(physics, trial, layer, width, state, scratch):
    """Draw a layer of one trial and leave its sums in `scratch.totals`."""
    take_aim(state, scratch.aim)
    if width < in_lanes.SMALL:
        aim = in_lanes.double(scratch.aim)
        in_lanes.small_layer(physics, trial, layer, width, aim, scratch.words, scratch.totals)
        return
    chunks = (width + CHUNK - 1) // CHUNK
    for slot in range(min(chunks, SLOTS)):
        for chunk in range(slot, chunks, SLOTS):
            in_lanes.chunk_sums(
                physics,
                trial,
                layer,
                chunk,
                min(CHUNK, width - chunk * CHUNK),
                in_lanes.single(scratch.aim),
                scratch.words,
                scratch.sums,
                scratch.flags,
            )
            in_lanes.fold_chunk(chunk, chunks, scratch.sums, scratch.flags, scratch.accumulators)
    in_lanes.fold_lanes(scratch.accumulators, scratch.totals)


@njit(nogil=True, cache=True)
def advance(physics, widths, first_trial, layer0, states, rows, stop, progress):
    """Take consecutive trials through consecutive layers; the first layer, `layer0`, counts from 0.

    `widths` is of every layer, shape (depth,). `states`, (trial, STATE), move on in place. Written:
    `rows`, (trial, layer, observable), NaN where undefined. Once stop[0] is not 0 the call returns
    early, and its results mean nothing; the node updates done are added to progress[0].
    """
    scratch = Scratch(
        np.empty((4, GROUPS), np.uint32),
        np.empty(SUMS * LANES, np.float32),
        np.empty(LANES, np.int32),
        in_lanes.accumulators(),
        np.empty(TOTALS, np.float64),
        np.empty(AIM, np.float64),
    )
    for t in range(states.shape[0]):
        for j in range(rows.shape[1]):
            if stop[0] != 0:
                return
            width = widths[layer0 + j]
            if states[t, LIVE] > NONE_LEFT:
                draw_layer(physics, first_trial + t, layer0 + j + 1, width, states[t], scratch)
            finish_layer(physics, width, scratch.totals, states[t], rows[t, j])
            progress[0] += width


@njit(nogil=True, cache=True)
def run_blocks(physics, widths, first_trial, trials, segment, controls, collector, watched):
    """Run `trials` trials from `first_trial` on, block by block, into a `moments.Collector`.

    `controls` are those of a block (`control.follow`), `watched` the arrays `stop` and `progress`.

    Layers are taken `segment` at a time, which bounds the memory and changes no byte.
    """
    depth, columns = collector.moments.count.shape[1:]
    stop, progress = watched
    states = np.empty((BLOCK, STATE))
    room = np.empty(BLOCK * min(segment, depth) * columns)
    for block in range((trials + BLOCK - 1) // BLOCK):
        n = min(BLOCK, trials - block * BLOCK)
        first = first_trial + block * BLOCK
        start(physics, states[:n])
        control.start(controls)
        for layer0 in range(0, depth, segment):
            layers = min(segment, depth - layer0)
            rows = room[: n * layers * columns].reshape(n, layers, columns)
            advance(physics, widths, first, layer0, states[:n], rows, stop, progress)
            if stop[0] != 0:
                return
            control.follow(controls, widths, layer0, rows)
            collect(collector, block, layer0, rows)
        finish_block(collector, block, n)
    join_blocks(collector, (trials + BLOCK - 1) // BLOCK)


@njit(nogil=True, cache=True)
def chunk_range(physics, trial, layer, width, first_chunk, state, sums, flags, stop):
    """Sum the chunks `first_chunk` … of one layer into sums[chunk] and flags[chunk].

    The part of a layer that one thread takes where a trial is shared between threads.
    """
    aim = np.empty(AIM)
    take_aim(state, aim)
    words = np.empty((4, GROUPS), np.uint32)
    for c in range(sums.shape[0]):
        if stop[0] != 0:
            return
        chunk = first_chunk + c
        nodes = min(CHUNK, width - chunk * CHUNK)
        in_lanes.chunk_sums(
            physics, trial, layer, chunk, nodes, in_lanes.single(aim), words, sums[c], flags[c]
        )


@njit(nogil=True, cache=True)
def fold_range(sums, flags, totals):
    """Fold all chunks of a layer, in order."""
    into = in_lanes.accumulators()
    chunks = sums.shape[0]
    for slot in range(min(chunks, SLOTS)):
        for chunk in range(slot, chunks, SLOTS):
            in_lanes.fold_chunk(chunk, chunks, sums[chunk], flags[chunk], into)
    in_lanes.fold_lanes(into, totals)

"""Kernels for CUDA that draw the variates of a batch: the bytes of `variates`, on a device.

The scalar functions and the counters are those of the CPU. A thread makes the variates of one group
of columns at a time, four of one word each or two of two words; sixteen consecutive threads write
sixteen consecutive columns. Threads share nothing.

Only the driver `cuda` imports this module.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import cuda, njit

from simcore.numerics.lanes import LANES
from simcore.numerics.rng import LOW, counter_word0, counter_word3, normal_pair, philox
from simcore.physics.weight_laws import BERNOULLI, NORMAL, STUDENT
from simcore.sampling.cuda.kernels import kernel
from simcore.sampling.variates import PAIRS, SINGLES, choice, law_constants, single, sparse, student

THREADS = 128
"""Threads of a block."""

BLOCKS_PER_MULTIPROCESSOR = 10
"""Blocks that must fit; this bounds the registers of a thread by 48."""

ENOUGH_BLOCKS = 2**12
"""Number of blocks beyond which a thread takes several groups of columns."""

_u32, _u64 = np.uint32, np.uint64
U_LANES, U_THREADS, U_ROUNDS, U_ONE = _u32(LANES), _u32(THREADS), _u32(THREADS // LANES), _u32(1)
U_SINGLES, U_PAIRS = _u32(SINGLES), _u32(PAIRS)


constants_of: Any = law_constants
constants_of = constants_of.py_func


class Draw(NamedTuple):
    """Parameters of a draw.

    The code of the law and its constants (`variates.law_constants`); stream and layer of the
    counter; the two words of the key.
    """

    law: np.int32
    high: np.float32
    low: np.float32
    scale: np.float32
    last_kept: np.uint32
    stream: np.uint64
    layer: np.uint64
    key0: np.uint64
    key1: np.uint64

    @classmethod
    def of(
        cls,
        law: int,
        parameter: float,
        stream: int,
        layer: int,
        key: tuple[np.uint64, np.uint64],
    ) -> Draw:
        """Return the parameters for variates of a law, in a stream and a layer from 1."""
        high, low, scale, last_kept = constants_of(law, parameter)
        place = np.uint64(stream), np.uint64(layer)
        return cls(np.int32(law), high, low, scale, last_kept, *place, *key)


def blocks_of(trials: int, threads: int) -> int:
    """Return the number of blocks of a launch, given the threads that a trial could use.

    It is a multiple of the trials.
    """
    needed = -(-threads // THREADS)
    return trials * min(needed, max(1, ENOUGH_BLOCKS // trials))


def threads_of_rows(rows: int, columns: int, law: int) -> int:
    """Return the number of threads that rows of variates could use, one for each group."""
    served = PAIRS if law in (STUDENT, BERNOULLI) else SINGLES
    return rows * -(-columns // served) * LANES


def threads_of_choices(nodes: int) -> int:
    """Return the number of threads that the choices of nodes could use."""
    return -(-nodes // PAIRS) * LANES


@njit(forceinline=True)
def _split(block, blocks, trials):
    """Return the trial of a block, its index within the trial, and the blocks of a trial."""
    of_trial = _u32(_u32(blocks) // _u32(trials))
    return _u32(_u32(block) // of_trial), _u32(_u32(block) % of_trial), of_trial


@njit(forceinline=True)
def _words(draw, group, row, trial):
    """Return the four words of a group of a row."""
    w0, w1, w2, w3 = philox(
        counter_word0(group, draw.stream),
        _u64(row),
        _u64(trial & LOW),
        counter_word3(draw.layer, trial),
        draw.key0,
        draw.key1,
    )
    return _u32(w0), _u32(w1), _u32(w2), _u32(w3)


@njit(forceinline=True)
def _put(out, column, value):
    if column < out.size:
        out[column] = value


@njit(forceinline=True)
def _write(draw, words, column, out):
    """Write the variates of a group to its columns of a row, the first of which is given."""
    w0, w1, w2, w3 = words
    second = _u32(column + U_LANES)
    third, fourth = _u32(second + U_LANES), _u32(second + U_LANES + U_LANES)
    if draw.law == NORMAL:
        z1, z2 = normal_pair(w0, w1)
        z3, z4 = normal_pair(w2, w3)
        _put(out, column, z1)
        _put(out, second, z2)
        _put(out, third, z3)
        _put(out, fourth, z4)
    elif draw.law == STUDENT:
        _put(out, column, student(w0, w1, draw.high, draw.low, draw.scale))
        _put(out, second, student(w2, w3, draw.high, draw.low, draw.scale))
    elif draw.law == BERNOULLI:
        z1, z2 = normal_pair(w0, w1)
        _put(out, column, sparse(z1, w2, draw.last_kept, draw.scale))
        _put(out, second, sparse(z2, w3, draw.last_kept, draw.scale))
    else:
        _put(out, column, single(w0, draw.law))
        _put(out, second, single(w1, draw.law))
        _put(out, third, single(w2, draw.law))
        _put(out, fourth, single(w3, draw.law))


@kernel(launch_bounds=(THREADS, BLOCKS_PER_MULTIPROCESSOR), lto=False, cache=True)
def fill(draw, first_row, first_trial, out):
    """Write the variates of consecutive rows of consecutive trials to `out`, (trial, row, column).

    A launch has `blocks_of` blocks of `THREADS`, equally many for each trial; a thread takes one
    group of columns after the other, in steps of the threads of its trial.
    """
    which, block, blocks = _split(cuda.blockIdx.x, cuda.gridDim.x, out.shape[0])
    thread = _u32(cuda.threadIdx.x)
    rows, columns = _u32(out.shape[1]), _u32(out.shape[2])
    paired = draw.law == STUDENT or draw.law == BERNOULLI
    served = U_PAIRS if paired else U_SINGLES
    rounds = _u32(_u32(columns + served - U_ONE) // served)
    lane = _u32(thread % U_LANES)
    first = _u32(block * U_ROUNDS + thread // U_LANES)
    step = _u32(blocks * U_ROUNDS)
    row, turn = _u32(first // rounds), _u32(first % rounds)
    step_rows, step_turns = _u32(step // rounds), _u32(step % rounds)
    trial = _u64(_u64(first_trial) + _u64(which))
    while row < rows:
        group = _u32(turn * U_LANES + lane)
        words = _words(draw, group, _u64(first_row) + _u64(row), trial)
        _write(draw, words, _u32(turn * served + lane), out[which, row])
        row = _u32(row + step_rows)
        turn = _u32(turn + step_turns)
        if turn >= rounds:
            turn = _u32(turn - rounds)
            row = _u32(row + U_ONE)


@kernel(launch_bounds=(THREADS, BLOCKS_PER_MULTIPROCESSOR), lto=False, cache=True)
def choose(draw, n, first_trial, index, beta):
    """Write the replaced index and the weight in its place of every node, as `fill_choices` does.

    `index` and `beta` are written, int64 and float64, shape (trial, node); `n` is the fan-in; of
    `draw` the law is ignored. A launch is as for `fill`; a thread takes two nodes at a time.
    """
    which, block, blocks = _split(cuda.blockIdx.x, cuda.gridDim.x, index.shape[0])
    nodes = _u32(index.shape[1])
    group = _u32(block * U_THREADS + _u32(cuda.threadIdx.x))
    step = _u32(blocks * U_THREADS)
    trial = _u64(_u64(first_trial) + _u64(which))
    choices = _u64(_u64(n) + _u64(U_ONE))
    node = _u32(group // U_LANES * U_PAIRS + group % U_LANES)
    while node < nodes:
        w0, w1, w2, w3 = _words(draw, group, _u64(0), trial)
        index[which, node], beta[which, node] = choice(w0, w1, choices)
        second = _u32(node + U_LANES)
        if second < nodes:
            index[which, second], beta[which, second] = choice(w2, w3, choices)
        group = _u32(group + step)
        node = _u32(group // U_LANES * U_PAIRS + group % U_LANES)

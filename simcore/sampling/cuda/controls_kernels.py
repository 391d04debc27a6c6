"""The kernel for CUDA that carries controls: a thread for each pair of each trial.

The functions are those of `control.follow`, with a single lane, and so are the bytes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import cuda, types

from simcore.sampling.control.follow import follow_pair
from simcore.sampling.control.places import CARRIED, ROWS
from simcore.statistics.blocks import BLOCK

from .kernels import kernel, own_slopes
from .pieces import POINT, TRIALS

THREADS = 64

PLACE, BEGIN, END = range(3)
PLACE_NUMBERS = 3
"""Of a point: its place among those of the launch, its passes among theirs."""

_u32 = np.uint32
U_BLOCK = _u32(BLOCK)


class Followed(NamedTuple):
    """The points of a launch.

    Of every point of the run the numbers above, (point, PLACE_NUMBERS). Of those of the launch the
    passes of a layer, one point's after the other's; the coefficients, (place, pair, depth,
    COEFFICIENTS); the nodes of the layers, (place, depth); the slopes, (place, 2) or (place, 0).
    `kind` is as long as the slopes of a point.
    """

    places: Any
    programs: Any
    k: Any
    widths: Any
    slopes: Any
    kind: tuple[float, ...] = ()


@kernel(lto=False, cache=True)
def follow(points, blocks, layer0, columns, carried, rows):
    """Replace what samplers see of pairs by controlled values, in consecutive layers.

    As `control.follow.follow`, for the trials of a launch, 64 in each row of the table `blocks`
    (`pieces`). `columns` are those of a pair in a row. δ, ε and Z move on in `carried`, (pair,
    trial, CARRIED), which need not be initialised in the first layer.
    """
    trials, pairs = _u32(rows.shape[0]), _u32(carried.shape[0])
    number = _u32(_u32(cuda.blockIdx.x) * _u32(THREADS) + _u32(cuda.threadIdx.x))
    if number >= _u32(trials * pairs):
        return
    pair, trial = _u32(number // trials), _u32(number % trials)
    block = _u32(trial // U_BLOCK)
    if _u32(trial % U_BLOCK) >= _u32(blocks[block, TRIALS]):
        return
    of_point = points.places[_u32(blocks[block, POINT])]
    place = _u32(of_point[PLACE])
    scratch = cuda.local.array(ROWS, types.float64)
    moving = cuda.local.array((CARRIED, 1), types.float64)
    for i in range(CARRIED):
        moving[i, 0] = carried[pair, trial, i] if layer0 > 0 else 0.0
    own = rows[trial : trial + 1, :, pair * columns : (pair + 1) * columns]
    given = points.programs[_u32(of_point[BEGIN]) : _u32(of_point[END])], points.k[place, pair]
    slopes = own_slopes(points.kind, points.slopes[place])
    follow_pair(slopes, given, points.widths[place], layer0, moving, own, scratch, 1)
    for i in range(CARRIED):
        carried[pair, trial, i] = moving[i, 0]

"""The kernel for CUDA that carries controls: a thread for each pair of each trial.

The functions are those of `control.follow`, with a single lane, and so are the bytes.
"""

from __future__ import annotations

import numpy as np
from numba import cuda, types

from simcore.sampling.control.follow import follow_pair
from simcore.sampling.control.places import CARRIED, ROWS

from .kernels import kernel

THREADS = 64

_u32 = np.uint32


@kernel(lto=False, cache=True)
def follow(program, k, widths, layer0, columns, carried, rows, slopes):
    """Replace what samplers see of pairs by controlled values, in consecutive layers.

    As `control.follow.follow`, for the trials of a launch. `program` has the passes of a layer, `k`
    the shape (pair, depth, COEFFICIENTS); `columns` are those of a pair in a row, `slopes` as in
    `activation.sent`. δ, ε and Z move on in `carried`, (pair, trial, CARRIED), which need not be
    initialised in the first layer.
    """
    trials, pairs = _u32(rows.shape[0]), _u32(k.shape[0])
    number = _u32(_u32(cuda.blockIdx.x) * _u32(THREADS) + _u32(cuda.threadIdx.x))
    if number >= _u32(trials * pairs):
        return
    pair, trial = _u32(number // trials), _u32(number % trials)
    scratch = cuda.local.array(ROWS, types.float64)
    moving = cuda.local.array((CARRIED, 1), types.float64)
    for i in range(CARRIED):
        moving[i, 0] = carried[pair, trial, i] if layer0 > 0 else 0.0
    own = rows[trial : trial + 1, :, pair * columns : (pair + 1) * columns]
    follow_pair(slopes, (program, k[pair]), widths, layer0, moving, own, scratch, 1)
    for i in range(CARRIED):
        carried[pair, trial, i] = moving[i, 0]

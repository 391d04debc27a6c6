"""The kernels that samplers launch, and the types of their parameters."""

from __future__ import annotations

from typing import Any, cast

from numba import types

from simcore.sampling.batch import cuda_kernels as variates_kernels
from simcore.sampling.cuda import controls_kernels
from simcore.sampling.cuda import statistics_kernels as moment_kernels
from simcore.sampling.pair import cuda_back_kernels as pair_back_kernels
from simcore.sampling.pair import cuda_kernels as pair_kernels
from simcore.sampling.pair import cuda_wide_kernels as pair_wide_kernels
from simcore.sampling.pair.physics import Physics
from simcore.statistics.moments import Bins

__all__ = [
    "KERNELS",
    "PHYSICS",
    "SLOPED",
    "SLOPED_FOLLOWED",
    "SLOPED_POINTS",
    "kernel",
    "signature",
]

f32, f64, i32, i64 = types.float32, types.float64, types.int32, types.int64
u32, u64 = types.uint32, types.uint64
_named, _alike = cast(Any, types.NamedTuple), cast(Any, types.NamedUniTuple)
_tuple, _uniform = cast(Any, types.Tuple), cast(Any, types.UniTuple)
ROWS, VALUES, STATES, INTEGERS = f64[:, :, ::1], f64[:, :, :, ::1], f64[:, ::1], i64[::1]
PHYSICS = _named((f64,) * 5 + (u64,) * 2 + (_tuple(()),), Physics)
SLOPED = _named((f64,) * 5 + (u64,) * 2 + (_uniform(f64, 2),), Physics)
"""Of another activation than ReLU."""
MOMENTS, RECORD = STATES, _alike(i64, 3, moment_kernels.Record)
BINS = _alike(ROWS, 2, Bins)
PLACES = _alike(INTEGERS, 4, moment_kernels.Places)
COUNTS, TABLE = u32[:, :, :, ::1], i64[:, ::1]
POINTS, SLOPED_POINTS = (
    _named((STATES, u64[:, ::1], STATES, slopes), pair_kernels.Points)
    for slopes in (_tuple(()), _uniform(f64, 2))
)
FOLLOWED, SLOPED_FOLLOWED = (
    _named((TABLE, i32[:, ::1], VALUES, TABLE, STATES, slopes), controls_kernels.Followed)
    for slopes in (_tuple(()), _uniform(f64, 2))
)
DRAW = _named((i32, f32, f32, f32, u32, u64, u64, u64, u64), variates_kernels.Draw)

KERNELS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "advance": (
        pair_kernels.advance,
        (POINTS, TABLE, TABLE, i64, i64, i64, STATES, ROWS),
    ),
    "sum_chunks": (
        pair_wide_kernels.sum_chunks,
        (PHYSICS, i64, i64, i64, STATES, f32[:, :, ::1], i32[:, :, ::1]),
    ),
    "fold_chunks": (
        pair_wide_kernels.fold_chunks,
        (i64, f32[:, :, ::1], i32[:, :, ::1], f64[:, ::1]),
    ),
    "finish_wide": (
        pair_wide_kernels.finish_wide,
        (PHYSICS, i64, i64, STATES, f64[:, ::1], ROWS),
    ),
    "there": (
        pair_back_kernels.there,
        (PHYSICS, INTEGERS, i64, i64, STATES, ROWS, ROWS),
    ),
    "and_back": (pair_back_kernels.and_back, (PHYSICS, INTEGERS, i64, i64, ROWS, ROWS, ROWS)),
    "collect": (
        moment_kernels.collect,
        (ROWS, TABLE, PLACES, MOMENTS, BINS, COUNTS, VALUES, ROWS),
    ),
    "count_bins": (moment_kernels.count_bins, (ROWS, TABLE, INTEGERS, BINS, COUNTS)),
    "finish_blocks": (moment_kernels.finish_blocks, (VALUES, TABLE, RECORD, MOMENTS)),
    "join_moments": (moment_kernels.join_moments, (TABLE, RECORD, MOMENTS)),
    "join_covariances": (moment_kernels.join_covariances, (TABLE, i64, i64, RECORD, MOMENTS)),
    "follow": (controls_kernels.follow, (FOLLOWED, TABLE, i64, i64, ROWS, ROWS)),
    "fill": (variates_kernels.fill, (DRAW, i64, i64, f32[:, :, ::1])),
    "choose": (variates_kernels.choose, (DRAW, i64, i64, i64[:, ::1], f64[:, ::1])),
}
"""By the name of its function."""


def kernel(name: str) -> Any:
    """Return a kernel."""
    return KERNELS[name][0]


def signature(name: str) -> tuple[Any, ...]:
    """Return the types of its parameters."""
    return KERNELS[name][1]

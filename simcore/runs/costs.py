"""Cost of a layer of a batch with either sampler, by counted operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simcore.physics.ensembles import ASYMMETRIC

if TYPE_CHECKING:
    from .run import Run


SLOW_BLOCK_SECONDS = 5.0
"""Blocks slower than this on one thread are shared by all, so that whole blocks come often."""

WEIGHT_SECONDS = 1.0e-9
"""An explicit weight: drawn and written."""

PRODUCT_SECONDS = 2.5e-11
"""A floating-point operation of a matrix product."""

FACTOR_SECONDS = 5.0e-11
"""A floating-point operation of a QR factorisation."""

START_SECONDS, COLUMN_SECONDS = 5e-6, 1e-6
"""Seconds of a factorisation beside its operations, and of each of its columns."""

BACK_COSTS = {"gram": 2.0, "dense": 0.8}
"""The way back in units of the way forward (measured: 2.0, and 0.7 to 0.9).

It has no say in the choice of a sampler, so that a run with gradients has the forward bytes of the
run without.
"""


def sampler_costs(run: Run) -> dict[str, float]:
    """Return rough seconds of one trial, on one thread, by sampler.

    Only what differs is counted, for the widest point: n fan-in, N width, C columns (inputs, and
    differences of pairs where both inputs are explicit). `dense` draws N·n weights and multiplies
    (2NnC operations). `gram` factors an n × C matrix (2nm² operations for n rows and m = min(n, C)
    columns, rest included) and multiplies N × r normals by an r × C factor, r = min(n + 1, C).
    """
    columns = batch_columns(run)
    widths = list(run.layer_widths or (max(run.width),) * run.depth)
    fan_ins = [max(widths[0], 3) if run.inputs is None else run.inputs.size, *widths[:-1]]
    dense = gram = 0.0
    for width, n in zip(widths, fan_ins, strict=True):
        rank = min(n + 1, columns)
        dense += width * n * (WEIGHT_SECONDS + 2 * columns * PRODUCT_SECONDS)
        factor = 2.0 * n * columns * rank * (2.0 if run.ensemble in ASYMMETRIC else 1.0)
        gram += START_SECONDS + columns * COLUMN_SECONDS + factor * FACTOR_SECONDS
        gram += width * rank * (WEIGHT_SECONDS + 2 * columns * PRODUCT_SECONDS)
    return {"gram": gram, "dense": dense}


def batch_columns(run: Run) -> int:
    """Return C, how many signals and differences a batch carries."""
    if run.inputs is None:
        return 2 * (run.pairs or 1)
    return run.inputs.count + len(run.inputs.pairs)

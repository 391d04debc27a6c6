"""First order in 1/N: mean and standard deviation over networks of finite width, theory.md (8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy.typing as npt

from .law import FloatArray

FIRST_ORDER = (
    "log_q1",
    "log_q2",
    "correlation",
    "distance",
    "log_distance",
    "angle",
    "cosine",
    "inactive1",
    "inactive2",
    "inactive_both",
)
"""The observables that (8) covers."""


@dataclass(frozen=True, eq=False)
class FirstOrder:
    """Predictions at first order in 1/N, theory.md (8); NaN where there is none."""

    mean: Mapping[str, FloatArray]
    """Mean over networks of each of `FIRST_ORDER`, shape (depth,)."""
    std: Mapping[str, FloatArray]
    """Standard deviation over networks, shape (depth,)."""


def first_order(
    depth: int,
    *,
    width: int | Sequence[int],
    k: float = 0.0,
    sigma_w: float | None = None,
    sigma_b: float = 0.0,
    q1: float = 1.0,
    q2: float | None = None,
    distance: float | None = None,
    correlation: float | None = None,
) -> FirstOrder:
    """Follow a pair of signals through networks of finite width, theory.md (8)."""
    raise NotImplementedError


def first_order_grid(
    depth: int,
    *,
    widths: npt.ArrayLike,
    g: npt.ArrayLike,
    sigma_w: npt.ArrayLike,
    sigma_b: npt.ArrayLike,
    q1: npt.ArrayLike,
    q2: npt.ArrayLike,
    distance: npt.ArrayLike,
) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """Return mean and standard deviation for many points at once, each of shape (P, depth)."""
    raise NotImplementedError

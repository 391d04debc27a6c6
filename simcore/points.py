"""Points of a grid, the tasks that their trials are cut into, and the keys of their randomness."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["BLOCK", "Point", "Task", "point_key"]

BLOCK = 64
"""Trials per block. It fixes the arithmetic of the moments and nothing else."""


@dataclass(frozen=True)
class Point:
    """One full set of physical parameters.

    Parameters
    ----------
    index
        Position in the grid, one number per swept dimension.
    widths
        Nodes of each layer: a single number stands for every layer.
    k, g
        Correlation parameter and strength g = k/(1+k).
    sigma_w, sigma_b
        Weight and bias scales (standard deviations).
    distance
        1 − c₀, the initial distance of the pair; kept beside c₀ for values below 1e-16.
    q0
        Mean square |x|²/N₀ of each input.
    key
        The 64-bit Philox key, from the physics and the seed.
    """

    index: tuple[int, ...]
    widths: tuple[int, ...]
    k: float
    g: float
    sigma_w: float
    sigma_b: float
    distance: float
    q0: float
    key: int

    def layer_widths(self, depth: int) -> npt.NDArray[np.int64]:
        """Return the width of each of `depth` layers, shape (depth,)."""
        if len(self.widths) == 1:
            return np.full(depth, self.widths[0], dtype=np.int64)
        return np.array(self.widths[:depth], dtype=np.int64)

    def nodes(self, depth: int) -> int:
        """Return the number of node updates of one trial."""
        if len(self.widths) == 1:
            return self.widths[0] * depth
        return sum(self.widths[:depth])


@dataclass(frozen=True)
class Task:
    """An aligned run of 2^m blocks of one point, or its last, partial block.

    Parameters
    ----------
    point
        Number of the point in `Run.points`.
    first_block, blocks
        First block and how many (a power of two that divides `first_block`).
    trials
        Trials in it: 64 per block, fewer in a partial last block.
    """

    point: int
    first_block: int
    blocks: int
    trials: int

    @property
    def partial(self) -> bool:
        """Whether this is an incomplete last block."""
        return self.trials != self.blocks * BLOCK

    @property
    def level(self) -> int:
        """Level of the node of the tree of moments that this task makes."""
        return self.blocks.bit_length() - 1


def point_key(
    *,
    asymmetric: bool,
    widths: Sequence[int],
    floats: Sequence[float],
    weights: str,
    sampler: str,
    seed: int,
) -> int:
    """Return the 64-bit Philox key of a point: the head of SHA-256 over its physics and seed."""
    record = _record(
        asymmetric=asymmetric,
        widths=widths,
        floats=floats,
        weights=weights,
        sampler=sampler,
        seed=seed,
    )
    return int.from_bytes(hashlib.sha256(record).digest()[:8], "little")


def _record(
    *,
    asymmetric: bool,
    widths: Sequence[int],
    floats: Sequence[float],
    weights: str,
    sampler: str,
    seed: int,
) -> bytes:
    """Serialise the physics of a point, byte by byte the same on every machine.

    Depth is not in it: a shallower run is a prefix of a deeper one.
    """
    parts = [b"simcore-point-1", struct.pack("<B", asymmetric)]
    parts.append(struct.pack(f"<Q{len(widths)}q", len(widths), *widths))
    parts.append(struct.pack(f"<Q{len(floats)}d", len(floats), *(x + 0.0 for x in floats)))
    for text in (weights, sampler):
        parts.append(struct.pack("<Q", len(text)) + text.encode())
    parts.append(struct.pack("<Q", seed))
    return b"".join(parts)

"""Points of a grid and the keys of their randomness."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Point", "point_key"]


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
    sigma_w
        Weight scale (standard deviation).
    sigma_b
        Bias scale; None is σ_w/√n at fan-in n, the default of asymmetric weights.
    distances
        1 − c₀ of each pair through the network; kept beside c₀ for values below 1e-16.
    q0
        Mean square |x|²/N₀ of each input; NaN for inputs from a file.
    key
        The 64-bit Philox key, from the physics and the seed.
    asymmetric
        Whether one weight or the bias of each node is replaced by a positive draw.
    input_size
        N₀, components of an input; 0 is max(N, 3) of the first layer's width N.
    """

    index: tuple[int, ...]
    widths: tuple[int, ...]
    k: float
    g: float
    sigma_w: float
    sigma_b: float | None
    distances: tuple[float, ...]
    q0: float
    key: int
    asymmetric: bool = False
    input_size: int = 0

    @property
    def distance(self) -> float:
        """1 − c₀ of the first pair."""
        return self.distances[0]

    @property
    def inputs_n(self) -> int:
        """N₀: the fan-in of the first layer."""
        return self.input_size or max(self.widths[0], 3)

    def fan_ins(self, depth: int) -> npt.NDArray[np.int64]:
        """Return the fan-in n of each of `depth` layers, shape (depth,)."""
        return np.concatenate([[self.inputs_n], self.layer_widths(depth)[:-1]])

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


def point_key(
    *,
    asymmetric: bool,
    widths: Sequence[int],
    floats: Sequence[float],
    weights: str,
    sampler: str,
    inputs: str = "",
    seed: int,
) -> int:
    """Return the 64-bit Philox key of a point: the head of SHA-256 over its physics and seed.

    `inputs` names what goes through a shared network, beside the overlaps; "" is a single pair.
    """
    record = _record(
        asymmetric=asymmetric,
        widths=widths,
        floats=floats,
        weights=weights,
        sampler=sampler,
        inputs=inputs,
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
    inputs: str,
    seed: int,
) -> bytes:
    """Serialise the physics of a point, byte by byte the same on every machine.

    Depth is not in it: a shallower run is a prefix of a deeper one.
    """
    parts = [b"simcore-point-1", struct.pack("<B", asymmetric)]
    parts.append(struct.pack(f"<Q{len(widths)}q", len(widths), *widths))
    parts.append(struct.pack(f"<Q{len(floats)}d", len(floats), *(x + 0.0 for x in floats)))
    for text in (weights, sampler, inputs) if inputs else (weights, sampler):
        parts.append(struct.pack("<Q", len(text)) + text.encode())
    parts.append(struct.pack("<Q", seed))
    return b"".join(parts)

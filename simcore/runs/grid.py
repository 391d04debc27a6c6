"""Points of a grid and the keys of their randomness."""

from __future__ import annotations

import hashlib
import itertools
import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from simcore.physics.ensembles import ASYMMETRIC
from simcore.physics.parameters import correlation_strength
from simcore.physics.slopes import RELU, Slopes, norm_preserving_sigma_w, silent, slopes_at

if TYPE_CHECKING:
    from .run import Run


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
        Bias scale; None is σ_w/√n at fan-in n: the default of asymmetric weights, and for others
        ``"fan-in"`` where fan-ins differ.
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
    slopes
        s₊ and s₋ of the activation.
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
    slopes: Slopes = RELU

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

    def biases(self, depth: int) -> float | npt.NDArray[np.float64]:
        """Return σ_b: one number, or one for each of `depth` layers where it follows the fan-in."""
        if self.sigma_b is None:
            return np.asarray(self.sigma_w / np.sqrt(self.fan_ins(depth)))
        return self.sigma_b

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


def axes(run: Run) -> dict[str, tuple[float, ...]]:
    """Return every grid parameter of a run with its values, in order; single values included."""
    found: dict[str, tuple[float, ...]] = {}
    if run.layer_widths is None:
        found["width"] = run.width
    found["k"] = run.k
    if isinstance(run.sigma_w, tuple):
        found["sigma_w"] = run.sigma_w
    if isinstance(run.sigma_b, tuple):
        found["sigma_b"] = run.sigma_b
    if run.negative_slope is not None:
        found["negative_slope"] = run.negative_slope
    if not run.shared_network:
        if run.distance is not None:
            found["initial_distance"] = run.distance
        else:
            found["overlap"] = run.correlation or ()
    if run.inputs is None:
        found["q0"] = run.q0
    return found


def grid_points(run: Run) -> Iterator[Point]:
    """Yield the points of a run in row-major order of its grid."""
    names = list(run.axes)
    swept = [i for i, name in enumerate(names) if name in run.dimensions]
    for place in itertools.product(*(range(len(values)) for values in run.axes.values())):
        value = {name: run.axes[name][i] for name, i in zip(names, place, strict=True)}
        k, sigma_b, q0 = value["k"], value.get("sigma_b"), value.get("q0", math.nan)
        widths, distances = run.layer_widths or (int(value["width"]),), _distances(run, value)
        slopes = slopes_of(run, widths[0], value.get("negative_slope"))
        sigma_w = value["sigma_w"] if "sigma_w" in value else _default_scale(run, k, slopes)
        drawn = () if run.inputs is not None else (q0, *distances)
        yield Point(
            index=tuple(place[i] for i in swept),
            widths=widths,
            k=k,
            g=correlation_strength(k),
            sigma_w=sigma_w,
            sigma_b=sigma_b,
            distances=distances,
            q0=q0,
            key=point_key(
                asymmetric=run.ensemble in ASYMMETRIC,
                widths=widths,
                floats=(k, sigma_w, math.nan if sigma_b is None else sigma_b, *drawn),
                texts=(*_texts(run), *(() if slopes == RELU else (f"slopes {slopes}",))),
                seed=run.seed,
            ),
            asymmetric=run.ensemble in ASYMMETRIC,
            input_size=0 if run.inputs is None else run.inputs.size,
            slopes=slopes,
        )


def slopes_of(run: Run, width: int, negative: float | None) -> Slopes:
    """Return the slopes of a point of a run."""
    return slopes_at(run.slopes, width) if negative is None else (1.0, negative)


def has_slopes(run: Run) -> bool:
    """Return whether some point of a run has another activation than ReLU."""
    return run.slopes is not None or run.negative_slope not in (None, (0.0,))


def never_dies(run: Run) -> bool:
    """Return whether inactive nodes send something in all points of a run, so that none can die."""
    return not any(map(silent, all_slopes(run)))


def all_slopes(run: Run) -> list[Slopes]:
    """Return the slopes of all points of a run."""
    widths = run.width or (run.layer_widths or ())[:1]
    return [slopes_of(run, n, a) for n in widths for a in run.negative_slope or (None,)]


def scales(run: Run) -> tuple[float, ...]:
    """Return every σ_w of a run."""
    if isinstance(run.sigma_w, tuple):
        return run.sigma_w
    found = {_default_scale(run, k, slopes) for k in run.k for slopes in all_slopes(run)}
    return tuple(sorted(found))


def _default_scale(run: Run, k: float, slopes: Slopes) -> float:
    """Return the σ_w that stands for a default."""
    if run.sigma_w_of_k is not None:
        return dict(run.sigma_w_of_k)[k]
    return norm_preserving_sigma_w(k, slopes)


def _distances(run: Run, value: dict[str, float]) -> tuple[float, ...]:
    """Return 1 − c₀ of every pair of a point."""
    if run.inputs is not None:
        return run.inputs.distance
    if run.shared_network:
        return run.distance or tuple(1.0 - c for c in run.correlation or ())
    overlap = value.get("overlap")
    return (value["initial_distance"] if overlap is None else 1.0 - overlap,)


def _texts(run: Run) -> tuple[str, ...]:
    """Return law of the weights, sampler and, for a shared network, the law of its inputs."""
    if run.inputs is not None:
        return run.weights, run.sampler, f"{run.inputs.digest} {run.inputs.pairs}"
    return (run.weights, run.sampler, *(("random pairs",) if run.shared_network else ()))


def point_key(
    *,
    asymmetric: bool,
    widths: Sequence[int],
    floats: Sequence[float],
    texts: Sequence[str],
    seed: int,
) -> int:
    """Return the 64-bit Philox key of a point: the head of SHA-256 over its physics and seed.

    The record is byte by byte the same on every machine. Depth is not in it: a shallower run is a
    prefix of a deeper one.
    """
    parts = [b"simcore-point-1", struct.pack("<B", asymmetric)]
    parts.append(struct.pack(f"<Q{len(widths)}q", len(widths), *widths))
    parts.append(struct.pack(f"<Q{len(floats)}d", len(floats), *(x + 0.0 for x in floats)))
    parts += [struct.pack("<Q", len(text)) + text.encode() for text in texts]
    parts.append(struct.pack("<Q", seed))
    return int.from_bytes(hashlib.sha256(b"".join(parts)).digest()[:8], "little")

"""A user's inputs as part of a run: their digest, the pairs that are followed, their geometry."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from simcore.errors import InputError

Floats = npt.NDArray[np.float64]

DEFAULT_PAIRS = 64
"""Number of pairs that are followed by default, or all if there are fewer."""


NOT_KNOWN = "Give them as `inputs`: the file, or in Python the array, with the same numbers."
"""Remedy where the inputs of a run were in memory, or their file is not named."""


@dataclass(frozen=True)
class InputSet:
    """M inputs (`count`), of N₀ components (`size`), and P pairs of them, from 0.

    The `digest`, over shape and values (`rows.digest`), describes the inputs, not the place of
    their file: results can be read without them. `q1`, `q2` are the mean squares |x|²/N₀ of the two
    inputs of each pair, `distance` is 1 − c₀, NaN where an input is zero. `source`, FILE or
    FILE:DATASET, is no part of the description, nor is `matrix`, the inputs that are in memory.
    """

    digest: str
    count: int
    size: int
    pairs: tuple[tuple[int, int], ...]
    q1: tuple[float, ...]
    q2: tuple[float, ...]
    distance: tuple[float, ...]
    source: str = field(default="", compare=False)
    matrix: Floats | None = field(default=None, compare=False, repr=False)

    @classmethod
    def read(cls, source: Any, *, pairs: Any = None, seed: int = 0) -> InputSet:
        """Read the inputs, and choose pairs by number and seed or from a list of them.

        Inputs, and a list of pairs, are a file or an array in memory.

        InputError if the inputs or pairs can't be used.
        """
        from .pairs import pair_geometry, pick_pairs, read_pairs
        from .rows import digest, read_inputs

        matrix = read_inputs(source)
        count, size = matrix.shape
        if pairs is None or isinstance(pairs, int):
            most = count * (count - 1) // 2
            chosen = pick_pairs(count, min(DEFAULT_PAIRS, most) if pairs is None else pairs, seed)
        else:
            chosen = read_pairs(pairs, count)
        of_file = isinstance(source, str | os.PathLike)
        geometry = pair_geometry(matrix, chosen)
        return cls(
            digest=digest(matrix),
            count=count,
            size=size,
            pairs=chosen,
            q1=tuple(geometry.q1.tolist()),
            q2=tuple(geometry.q2.tolist()),
            distance=tuple(geometry.distance.tolist()),
            source=os.fspath(source) if of_file else "",
            matrix=None if of_file else matrix,
        )

    @property
    def absolute_source(self) -> str:
        """The source as an absolute path, for other processes; "" if it is not known."""
        return self.source and os.path.abspath(self.source)  # noqa: PTH100 - FILE:DATASET

    def load(self) -> Floats:
        """Return the inputs, shape (M, N₀); InputError if the file has changed, or is not known."""
        from .rows import digest, read_inputs

        if not self.source and self.matrix is None:
            raise InputError("inputs", "none", "are not known here", NOT_KNOWN)
        matrix = read_inputs(self.source) if self.matrix is None else self.matrix
        if digest(matrix) != self.digest:
            rule = "does not hold the inputs that the run was planned with"
            given, what = self.source or "the array in memory", "file" if self.source else "array"
            raise InputError("inputs", given, rule, f"Give the {what} as it was.")
        return matrix

    def at(self, source: Any) -> InputSet:
        """Return these inputs at another place: a file, or an array in memory."""
        from .rows import read_inputs

        if isinstance(source, str | os.PathLike):
            return replace(self, source=os.fspath(source), matrix=None)
        return replace(self, source="", matrix=read_inputs(source))

    def config(self) -> dict[str, Any]:
        """Return the description as plain values; NaN as null."""
        return {
            "digest": self.digest,
            "count": self.count,
            "size": self.size,
            "pairs": [list(pair) for pair in self.pairs],
            "q1": list(self.q1),
            "q2": list(self.q2),
            "distance": [None if x != x else x for x in self.distance],
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> InputSet:
        """Rebuild from `config`."""

        def numbers(name: str) -> tuple[float, ...]:
            return tuple(np.nan if x is None else float(x) for x in config[name])

        return cls(
            digest=str(config["digest"]),
            count=int(config["count"]),
            size=int(config["size"]),
            pairs=tuple((int(a), int(b)) for a, b in config["pairs"]),
            q1=numbers("q1"),
            q2=numbers("q2"),
            distance=numbers("distance"),
        )

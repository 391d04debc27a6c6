"""Pairs of inputs: choosing them, reading them from a file, and their geometry."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simcore.errors import InputError
from simcore.physics.parameters import whole

from .matrices import matrix_of, row_batches

Floats = npt.NDArray[np.float64]
Pairs = tuple[tuple[int, int], ...]

_WORDS = 2**64
"""Values of one word of the generator that picks the pairs."""


def read_pairs(source: Any, count: int) -> Pairs:
    """Read pairs of `count` inputs: a matrix with two columns of row numbers, counted from 0.

    Source as for `read_inputs`; the dataset taken without being named is ``pairs``. InputError if
    the file can't be read, or a pair is out of range, of one input, or there twice.
    """
    text, values = matrix_of("pairs", source)
    if values.shape[1] != 2:
        rule = f"has {values.shape[1]} columns where a pair has 2"
        raise InputError("pairs", text, rule, "Give two row numbers of the inputs in each row.")
    wrong = np.flatnonzero(((values != np.floor(values)) | (values < 0) | (values >= count)).any(1))
    if wrong.size:
        a, b = values[wrong[0]].tolist()
        rule = f"row {wrong[0]} ({a:g}, {b:g}) does not name two of the {count} inputs"
        raise InputError("pairs", text, rule, f"Give whole numbers from 0 to {count - 1}.")
    pairs = tuple((int(a), int(b)) for a, b in values.tolist())
    _check_distinct(text, pairs)
    return pairs


def _check_distinct(text: str, pairs: Pairs) -> None:
    """Refuse a pair of an input with itself, and a pair that is there twice in either order."""
    rows: dict[tuple[int, int], int] = {}
    for row, (a, b) in enumerate(pairs):
        if a == b:
            rule = f"row {row} pairs input {a} with itself"
            raise InputError("pairs", text, rule, "Name two different inputs.")
        first = rows.setdefault((min(a, b), max(a, b)), row)
        if first != row:
            rule = f"rows {first} and {row} name the same pair ({min(a, b)}, {max(a, b)})"
            raise InputError("pairs", text, rule, "Name each pair once.")


# --- choosing pairs ------------------------------------------------------------------------------


def pick_pairs(count: int, pairs: int, seed: int) -> Pairs:
    """Draw distinct unordered pairs (a, b), a < b, of inputs, all choices equally likely; sorted.

    The pairs are ranked by b(b − 1)/2 + a, and the ranks shuffled by Fisher and Yates, as far as
    needed. Its draws are words of Philox4x64-10 (NumPy's) under the key (seed, count), reduced
    modulo the number of ranks left, words above the largest multiple of it being passed over. More
    pairs of the same inputs and seed therefore contain the fewer. InputError if there are fewer
    than 2 inputs, or not that many pairs of them.
    """
    seed = whole("seed", seed, 0, _WORDS - 1)
    if count < 2:
        rule = "is too few inputs for a pair"
        raise InputError("inputs", count, rule, "Give at least 2 inputs.")
    total = count * (count - 1) // 2
    pairs = whole("pairs", pairs, -_WORDS, _WORDS)
    if not 1 <= pairs <= total:
        rule = f"must be between 1 and {total}, the number of pairs of {count} inputs"
        raise InputError("pairs", pairs, rule, "Choose a value in that range, or give more inputs.")
    return tuple(sorted(_pair(rank) for rank in _draw_ranks(total, pairs, (seed, count))))


def _draw_ranks(total: int, number: int, key: tuple[int, int]) -> list[int]:
    """Draw `number` distinct ranks below `total`: the head of a shuffle, moved ranks only kept."""
    words = _words(key)
    moved: dict[int, int] = {}
    ranks = []
    for place in range(number):
        chosen = place + _below(total - place, words)
        ranks.append(moved.get(chosen, chosen))
        moved[chosen] = moved.pop(place, place)
    return ranks


def _below(bound: int, words: Iterator[int]) -> int:
    """Draw a number from 0 to `bound` − 1, every one equally likely."""
    limit = _WORDS - _WORDS % bound
    return next(word for word in words if word < limit) % bound


def _words(key: tuple[int, int]) -> Iterator[int]:
    """Yield the 64-bit words of Philox4x64-10 under a key."""
    generator = np.random.Philox(key=np.array(key, dtype=np.uint64))
    while True:
        yield from generator.random_raw(256).tolist()


def _pair(rank: int) -> tuple[int, int]:
    """Return the pair (a, b), a < b, with rank b(b − 1)/2 + a."""
    b = (1 + math.isqrt(1 + 8 * rank)) // 2
    return rank - b * (b - 1) // 2, b


# --- geometry ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PairGeometry:
    """Geometry of pairs of inputs, as far as infinitely wide networks see it; arrays (P,).

    Mean squares |x|²/N₀ (`q1`, `q2`) and means (`m1`, `m2`) of the components of both inputs;
    `overlap` c₀ = x₁·x₂/(|x₁||x₂|); `distance` 1 − c₀, computed without cancellation, exactly 0 for
    equal inputs. The last two are NaN where an input is zero.
    """

    q1: Floats
    q2: Floats
    m1: Floats
    m2: Floats
    overlap: Floats
    distance: Floats


def pair_geometry(inputs: Floats, pairs: Sequence[tuple[int, int]]) -> PairGeometry:
    """Compute the terms of K¹ in theory.md (2) for P pairs of the rows of inputs, shape (M, N₀)."""
    index = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    found = np.empty((6, len(index)))
    for rows in row_batches(len(index), inputs.shape[1]):
        x, y = inputs[index[rows, 0]], inputs[index[rows, 1]]
        found[:4, rows] = [_dot(x, x), _dot(y, y), x.sum(axis=1), y.sum(axis=1)]
        found[4:, rows] = _overlap_and_distance(x, y)
    found[:4] /= inputs.shape[1]
    return PairGeometry(*found)


def _dot(x: Floats, y: Floats) -> Floats:
    """Return the dot product of each pair of rows, shape (P,)."""
    products: Floats = (x * y).sum(axis=1)
    return products


def _overlap_and_distance(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return c₀ and 1 − c₀ of each pair of rows, shape (P,).

    y is split into κx and a part r orthogonal to x; with p = κ|x|, c₀ = p/√(p² + r²). A rounded κ
    leaves in r a part along x, near 1e-16 |y|, which a second step takes out; as long as the
    products κx are exact this keeps r right where it is far smaller than that.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        square = _dot(x, x)
        kappa = _dot(x, y) / square
        product, error = _exact_product(kappa[:, None], x)
        residual = (product - y) + error
        excess = _dot(residual, x) / square
        residual -= excess[:, None] * x
        along, across = (kappa - excess) * np.sqrt(square), _dot(residual, residual)
        length = np.sqrt(along * along + across)
        overlap = along / length
        distance = np.where(along > 0.0, across / (length * (length + along)), 1.0 - overlap)
    # 0/0 has a sign bit that a NaN read from a file lacks; the bytes of a run are to be the same.
    one, other = (np.where(np.isnan(part), np.nan, part) for part in (overlap, distance))
    return one, other


def _exact_product(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Return ab as a rounded product and its error (Dekker 1971)."""
    (a1, a2), (b1, b2) = _halves(a), _halves(b)
    product = a * b
    return product, ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2


def _halves(x: Floats) -> tuple[Floats, Floats]:
    """Split numbers into two of half the bits, whose products are exact (Veltkamp)."""
    large = (2.0**27 + 1.0) * x
    high = large - (large - x)
    return high, x - high

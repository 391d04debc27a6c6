"""Slow, obvious Philox, counter layout and Box–Muller: Python integers and extended precision."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Words: TypeAlias = tuple[int, int, int, int]
Uint32s: TypeAlias = npt.NDArray[np.uint32]

WORD = 2**32


def philox(counter: Words, key: tuple[int, int]) -> Words:
    """Philox4x32-10 as in the paper (Salmon et al., SC 2011), on Python integers."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * c0, WORD)
        high1, low1 = divmod(0xCD9E8D57 * c2, WORD)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B9) % WORD, (k1 + 0xBB67AE85) % WORD
    return c0, c1, c2, c3


def counter(*, stream: int, group: int, row: int, trial: int, layer: int) -> Words:
    """Counter of a draw, by arithmetic alone: the table in the docstring of `numerics.rng`."""
    return (
        group * 256 + stream,
        row,
        trial % WORD,
        layer * 256 + trial // WORD,
    )


def unpacked(words: Words) -> dict[str, int]:
    """Inverse of `counter`."""
    return {
        "stream": words[0] % 256,
        "group": words[0] // 256,
        "row": words[1],
        "trial": words[3] % 256 * WORD + words[2],
        "layer": words[3] // 256,
    }


def uniform(radius_words: Uint32s) -> npt.NDArray[np.float32]:
    """u = (w + ½)/2³¹ of the high 31 bits, rounded as the float32 kernel must round it.

    First the integer is rounded to float32, then the sum: it is exact in float64, so that the
    conversion is the one rounding of a fused multiply-add.
    """
    integer = (radius_words >> np.uint32(1)).astype(np.float32)
    return (integer.astype(np.float64) * 2.0**-31 + 2.0**-32).astype(np.float32)


def normal_pairs(radius_words: Uint32s, angle_words: Uint32s) -> npt.NDArray[np.longdouble]:
    """Box–Muller of the rounded uniform and the unrounded 30-bit angle, shape (2, words).

    In extended precision, whose error is below 1e-9 of an ulp of float32.
    """
    radius = np.sqrt(-2.0 * np.log(uniform(radius_words).astype(np.longdouble)))
    signed = (angle_words << np.uint32(2)).view(np.int32)
    pi = np.longdouble("3.14159265358979323846264338327950288")
    angle = signed.astype(np.longdouble) * pi / 2.0**33
    sign = np.where(angle_words & np.uint32(1 << 31), -1.0, 1.0)
    swap = (angle_words & np.uint32(1 << 30)) != 0
    first = np.where(swap, np.sin(angle), np.cos(angle))
    second = np.where(swap, np.cos(angle), np.sin(angle))
    pairs: npt.NDArray[np.longdouble] = sign * radius * np.stack([first, second])
    return pairs

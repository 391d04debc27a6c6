"""The checksum of HDF5's Fletcher-32 filter."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["fletcher32"]


def fletcher32(raw: bytes) -> int:
    """Return HDF5's Fletcher-32 checksum of bytes, which it reads as big-endian 16-bit words."""
    words = np.frombuffer(raw if len(raw) % 2 == 0 else raw + b"\0", dtype="<u2")
    first, second = _word_sums(words)
    # Swapping the two bytes of a word multiplies it by 256 modulo 65535; in this arithmetic of
    # end-around carries only a sum of zeros is 0.
    low, high = (1 + (256 * int(s) - 1) % 65535 if s else 0 for s in (first, second))
    return high << 16 | low


def _sum_words(words: npt.NDArray[np.uint16]) -> tuple[int, int]:  # pragma: no cover - compiled
    first, second = np.uint64(0), np.uint64(0)
    n = words.size
    for i in range(n):
        word = np.uint64(words[i])
        first += word
        second += word * np.uint64(n - i)
    return first, second  # type: ignore[return-value]


_word_sums: Callable[[npt.NDArray[np.uint16]], tuple[int, int]]
_word_sums = njit(nogil=True, cache=True)(_sum_words)

"""Choice of a few places among many, both ends in: lines of a figure, rows of a table."""

from __future__ import annotations

import numpy as np


def evenly(size: int, most: int) -> list[int]:
    """Return up to `most` of the places 0 … size − 1, evenly spaced."""
    return sorted({round(x) for x in np.linspace(0, size - 1, min(size, most)).tolist()})


def logarithmically(size: int, most: int) -> list[int]:
    """Return up to `most` of the places 0 … size − 1, place + 1 evenly spaced in the logarithm."""
    if size <= most:
        return list(range(size))
    return sorted({round(x) - 1 for x in np.geomspace(1, size, most).tolist()})

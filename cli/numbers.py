"""Times, rates and sizes as people read them."""

from __future__ import annotations

from simcore.api import NOTHING, counted, plain, with_error

__all__ = ["NOTHING", "bytes_text", "counted", "duration", "plain", "rate_text", "with_error"]


def duration(seconds: float) -> str:
    """Return a time as 0.048 s, 12 s, 3 min 20 s, 1 h 02 min or 2 d 03 h."""
    if seconds < 10.0:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = whole // 60
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    hours = minutes // 60
    return f"{hours // 24} d {hours % 24:02d} h"


def rate_text(per_second: float) -> str:
    """Return a rate of node updates: 850 M node updates/s."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if per_second >= size:
            return f"{per_second / size:.3g} {unit} node updates/s"
    return f"{per_second:.3g} node updates/s"


def bytes_text(size: float) -> str:
    """Return an amount of memory: 1.2 MB (powers of ten)."""
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.3g} {unit}"
    return f"{size:.0f} B"

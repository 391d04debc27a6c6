"""The exact probability that a node is inactive, in many digits: theory.md (3), word by word."""

from __future__ import annotations

import math
from typing import Any

import mpmath

from simcore.runs.grid import Point

mp = mpmath.mp.clone()
mp.dps = 60


def exact_tail(a: Any) -> Any:
    """Return E Φ(−βa) in many digits: the closed form, with room for its cancellation."""
    if a < 0:
        return 1 - exact_tail(-a)
    with mp.workdps(120):
        if a < mp.mpf("1e-15"):
            return mp.mpf(1) / 2 - 2 * a / (3 * mp.sqrt(2 * mp.pi))
        tail = mp.erfc(a / mp.sqrt(2)) / 2
        return tail + (0.5 - tail) / a**2 - mp.npdf(a) / a


def exact_chance(point: Point, x: list[Any]) -> Any:
    """Return p by theory.md (3), word by word."""
    n = len(x)
    g = _coupling(point)
    w2 = mp.mpf(point.sigma_w) ** 2 / n
    b2 = w2 if point.sigma_b is None else mp.mpf(point.sigma_b) ** 2
    total = mp.mpf(0)
    for j in range(n):
        others = x[:j] + x[j + 1 :]
        s = mp.fsum(others)
        total += _chance(x[j], w2 * (mp.fdot(others, others) - g / n * s * s) + b2)
    s = mp.fsum(x)
    return (total + _chance(mp.mpf(1), w2 * (mp.fdot(x, x) - g / n * s * s))) / (n + 1)


def _chance(mean: Any, variance: Any) -> Any:
    if variance <= mp.mpf("1e-50") * mean * mean:
        return mp.mpf(0) if mean > 0 else mp.mpf(1)
    return exact_tail(mean / mp.sqrt(variance))


def exact_of_both(point: Point, x: list[Any], y: list[Any]) -> tuple[Any, Any, Any]:
    """Return p of Gaussian rows for the first signal, the second, and both."""
    n, g = len(x), _coupling(point)
    w2, b2 = mp.mpf(point.sigma_w) ** 2 / n, mp.mpf(point.sigma_b or 0.0) ** 2

    def covariance(a: list[Any], b: list[Any]) -> Any:
        return w2 * (mp.fdot(a, b) - g / n * mp.fsum(a) * mp.fsum(b)) + b2

    k11, k22, k12 = covariance(x, x), covariance(y, y), covariance(x, y)
    first, second = (mp.mpf(0.5) if k > 0 else mp.mpf(1) for k in (k11, k22))
    if k11 <= 0 or k22 <= 0:
        return first, second, first * second
    across = k11 * k22 - k12 * k12
    return first, second, mp.atan2(mp.sqrt(across if across > 0 else 0), -k12) / (2 * mp.pi)


def _coupling(point: Point) -> Any:
    return mp.mpf(1) if math.isinf(point.k) else mp.mpf(point.k) / (1 + mp.mpf(point.k))

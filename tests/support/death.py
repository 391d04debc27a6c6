"""The exact probability that a node is inactive, in many digits: theory.md (3), word by word."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import mpmath
import numpy as np

from simcore.runs.grid import Point

mp = mpmath.mp.clone()
mp.dps = 60

POINTS, WEIGHTS = np.polynomial.legendre.leggauss(10)


@cache
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


def exact_tail_of_both(a: float, b: float, theta: float) -> float:
    """Return T₂ in float64, theory.md (3c): the law of two normals, integrated from opposite ones.

    By Gauss points in s = ln tan(θ/2), θ of a pair between the two; `tests.sampling.test_death`
    holds it to the definition.
    """
    opposite = max(mp.mpf(0), exact_tail(mp.mpf(a)) + exact_tail(mp.mpf(b)) - 1)
    first = max(math.log(math.tan(theta / 2.0)), -45.0) if theta > 0.0 else -45.0
    ends = np.linspace(first, max(first, 0.0) + 45.0, 200)
    s = ends[:-1, None] + 0.5 * (POINTS + 1.0) * (ends[1] - ends[0])
    v = np.exp(s)
    y = (((a - b) / v) ** 2 + ((a + b) * v) ** 2 + 2.0 * (a * a + b * b)) / 8.0
    h = np.where(y > 1e-12, -np.expm1(-y) / np.where(y > 0.0, y, 1.0), 1.0)
    whole = np.sum(0.5 * (ends[1] - ends[0]) * WEIGHTS * h / np.cosh(s))
    return float(opposite) + float(whole) / (2.0 * math.pi)


def exact_chance_of_both(point: Point, x: list[Any], y: list[Any]) -> float:
    """Return p of both signals by theory.md (3), word by word, T₂ in float64."""
    n, g = len(x), _coupling(point)
    w2 = mp.mpf(point.sigma_w) ** 2 / n
    b2 = w2 if point.sigma_b is None else mp.mpf(point.sigma_b) ** 2
    total = 0.0
    for j in range(n + 1):
        u, v = x[:j] + x[j + 1 :], y[:j] + y[j + 1 :]
        sums, bias = (mp.fsum(u), mp.fsum(v)), b2 if j < n else mp.mpf(0)
        k11 = w2 * (mp.fdot(u, u) - g / n * sums[0] ** 2) + bias
        k22 = w2 * (mp.fdot(v, v) - g / n * sums[1] ** 2) + bias
        k12 = w2 * (mp.fdot(u, v) - g / n * sums[0] * sums[1]) + bias
        a, b = (x[j], y[j]) if j < n else (mp.mpf(1), mp.mpf(1))
        if min(k11 - mp.mpf("1e-50") * a * a, k22 - mp.mpf("1e-50") * b * b) <= 0:
            total += float(_chance(a, k11) * _chance(b, k22))
            continue
        across = k11 * k22 - k12 * k12
        theta = mp.atan2(mp.sqrt(across if across > 0 else 0), k12)
        total += exact_tail_of_both(float(a / mp.sqrt(k11)), float(b / mp.sqrt(k22)), float(theta))
    return total / (n + 1)


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

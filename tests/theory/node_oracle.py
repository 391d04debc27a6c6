"""Moments of a pair of nodes in closed form, in multiple-precision arithmetic; nothing is scaled.

With a, b standard normals at an angle θ, x = φ(a), y = φ(b), φ with the slopes (s₊, s₋).
"""

from __future__ import annotations

from typing import Any

from mpmath import mp, mpf

Number = Any

RELU = (1, 0)


def joint(p: int, q: int, theta: Number, slopes: tuple[Number, Number] = RELU) -> Number:
    """E x^p y^q for p + q ≤ 4: quadrants in which a and b have one sign, then the two others."""
    above, below = mpf(slopes[0]), -mpf(slopes[1])
    same = (above ** (p + q) + below ** (p + q)) * both_active(p, q, theta)
    if not p or not q:
        return same
    others = above**p * below**q + below**p * above**q
    return same + others * both_active(p, q, mp.pi - theta)


def both_active(p: int, q: int, theta: Number) -> Number:
    """E x^p y^q of ReLU."""
    if p < q:
        p, q = q, p
    s, c, psi, pi = mp.sin(theta), mp.cos(theta), mp.pi - theta, mp.pi
    if q == 0:
        pure = (1, 1 / mp.sqrt(2 * pi), mpf(1) / 2, 2 / mp.sqrt(2 * pi), mpf(3) / 2)
        return mpf(pure[p])
    return {
        (1, 1): (s + psi * c) / (2 * pi),
        (2, 1): (1 + c) ** 2 / (2 * mp.sqrt(2 * pi)),
        (2, 2): (3 * s * c + psi * (1 + 2 * c * c)) / (2 * pi),
        (3, 1): (3 * psi * c + s * (2 + c * c)) / (2 * pi),
    }[p, q]


def residual(
    p: int, q: int, theta: Number, unit: Number, slopes: tuple[Number, Number] = RELU
) -> Number:
    """E x^p r̄^q, r̄ = (x cos θ − y)/unit."""
    c = mp.cos(theta)
    terms = (
        mp.binomial(q, j) * c ** (q - j) * (-1) ** j * joint(p + q - j, j, theta, slopes)
        for j in range(q + 1)
    )
    return sum(terms) / unit**q


POWERS = ((1, 0), (0, 1), (2, 0), (1, 1), (0, 2))
"""The five node averages of the oracle: x, y, x², xy, y²."""


def averages(theta: Number, slopes: tuple[Number, Number] = RELU) -> list[Number]:
    return [joint(p, q, theta, slopes) for p, q in POWERS]


def covariance(theta: Number, slopes: tuple[Number, Number] = RELU) -> Any:
    mean = averages(theta, slopes)
    return mp.matrix(
        [
            [
                joint(p + r, q + s, theta, slopes) - mean[i] * mean[j]
                for j, (r, s) in enumerate(POWERS)
            ]
            for i, (p, q) in enumerate(POWERS)
        ]
    )

"""Derive the polynomials of the float32 normals anew and print them beside those in use.

    python bench/fit_polynomials.py

Each polynomial minimises the largest relative error of its function by Lawson's iteration: least
squares on Chebyshev nodes, whose weights are multiplied by the errors until these are level. The
coefficients in use are rounded to float32; their error is shown too, without that of float32
arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.polynomial import Chebyshev, Polynomial

from simcore.numerics import rng

Floats = npt.NDArray[np.float64]

NODES, ROUNDS = 4001, 200
TERMS = 40
"""Of the Taylor series, which have no cancellation at 0 where the closed forms have."""

EDGE = (math.pi / 4.0) ** 2


@dataclass(frozen=True)
class Fit:
    """What a polynomial p stands for: weight · (p − target) is a relative error of the function."""

    name: str
    target: Callable[[Floats], Floats]
    weight: Callable[[Floats], Floats]
    low: float
    high: float
    used: tuple[np.float32, ...]

    def error(self, polynomial: Polynomial) -> float:
        """Return the largest relative error of a polynomial."""
        x = np.linspace(self.low, self.high, 200_000)  # an even number: without the 0 in the middle
        return float(np.max(self.weight(x) * np.abs(polynomial(x) - self.target(x))))


FITS = (
    Fit(
        "-2 ln(1 + f) = -2f + f² p(f)",
        Polynomial([2.0 * (-1.0) ** n / (n + 2) for n in range(TERMS)]),
        lambda f: f * f / np.abs(2.0 * np.log1p(f)),
        -1.0 / 3.0,
        1.0 / 3.0,
        (rng.L0, rng.L1, rng.L2, rng.L3, rng.L4, rng.L5, rng.L6, rng.L7),
    ),
    Fit(
        "sin a = a + a³ p(a²), relative to a",
        Polynomial([-((-1.0) ** n) / math.factorial(2 * n + 3) for n in range(TERMS)]),
        lambda z: z,
        0.0,
        EDGE,
        (rng.S0, rng.S1, rng.S2),
    ),
    Fit(
        "cos a = 1 + a² p(a²)",
        Polynomial([-((-1.0) ** n) / math.factorial(2 * n + 2) for n in range(TERMS)]),
        lambda z: z / np.cos(np.sqrt(z)),
        0.0,
        EDGE,
        (rng.C0, rng.C1, rng.C2),
    ),
)


def minimax(fit: Fit) -> Polynomial:
    """Return the best polynomial of the degree in use that the iteration meets."""
    degree = len(fit.used) - 1
    t = np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)
    x = 0.5 * (fit.low + fit.high) + 0.5 * (fit.high - fit.low) * t
    # The middle node is 0 to rounding, where the weight of the logarithm is 0/0; its limit is 0.
    weight = np.where(np.abs(x) < 1e-12, 0.0, fit.weight(np.where(np.abs(x) < 1e-12, 1e-12, x)))
    target = fit.target(x)
    basis = np.polynomial.chebyshev.chebvander(t, degree)
    importance = np.full(NODES, 1.0 / NODES)
    best, smallest = np.zeros(degree + 1), math.inf
    for _ in range(ROUNDS):
        scale = np.sqrt(importance) * weight
        coefficients = np.linalg.lstsq(basis * scale[:, None], target * scale, rcond=None)[0]
        errors = weight * np.abs(basis @ coefficients - target)
        if errors.max() < smallest:
            best, smallest = coefficients, errors.max()
        importance *= errors
        importance /= importance.sum()
    return Chebyshev(best, domain=[fit.low, fit.high]).convert(kind=Polynomial)


def main() -> None:
    for fit in FITS:
        found, used = minimax(fit), Polynomial(np.array(fit.used, dtype=np.float64))
        print(f"{fit.name}, {fit.low:.4f} to {fit.high:.4f}")
        for derived, current in zip(found.coef, used.coef, strict=True):
            print(f"  derived {derived:+.16e}   in use {current:+.9e}")
        print(f"  error   {fit.error(found):.2e}{'in use':>27} {fit.error(used):.2e}\n")


if __name__ == "__main__":
    main()

"""Means of what a layer's own sampling makes of a state, exact at any width from 20 nodes on.

The N pre-activations of a pair are independent normal pairs with correlation ρ = cos θ. So ⟨h²⟩/K
is χ²/N, and c is the sample correlation of N normal pairs of known mean 0, whose mean is

    E c = ρ (2/N) (Γ((N + 1)/2)/Γ(N/2))² ₂F₁(½, ½; N/2 + 1; ρ²)

(Hotelling 1953, doi:10.1111/j.2517-6161.1953.tb00135.x, with N degrees of freedom). Both are taken
from their series in 1/N.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simcore.numerics.arithmetic import times
from simcore.numerics.kernels import njit

Floats = npt.NDArray[np.float64]

LOST = (
    (1 / 2, 1, 2, 4, 8, 16, 32),
    (-9 / 8, -27 / 4, -63 / 2, -135, -558, -2268),
    (75 / 16, 225 / 4, 1875 / 4, 3375, 22575),
    (-3675 / 128, -18375 / 32, -238875 / 32, -643125 / 8),
    (59535 / 256, 893025 / 128, 2083725 / 16),
    (-2401245 / 1024, -50426145 / 512),
    (57972915 / 2048,),
)
"""(ρ − E c)/(ρ u) = Σ LOST[j][i] uʲ/N^(1+j+i), u = sin²θ; terms of 1/N⁸ are left out."""

TERMS = len(LOST)
"""Powers of u, from 0 on."""


def lost_terms(widths: npt.NDArray[np.int64]) -> Floats:
    """Return the coefficients of powers of u at each width, shape (width, TERMS)."""
    inverse = 1.0 / np.asarray(widths, dtype=np.float64)
    rows, power = [], np.ones_like(inverse)
    for numbers in LOST:
        row = np.zeros_like(inverse)
        for number in reversed(numbers):
            row = (row + number) * inverse
        rows.append(row * power)
        power = power * inverse
    return np.stack(rows, axis=-1)


@njit(inline="always")
def mean_correlation(k, first, cosine, sine):
    """Return E c and 1 − E c; coefficients of powers of u stand in k from `first` on."""
    u = times(sine, sine)
    p = k[first + TERMS - 1]
    for i in range(2, TERMS + 1):
        p = times(p, u) + k[first + TERMS - i]
    lost = times(times(cosine, u), p)
    gap = u / (1.0 + cosine) if cosine > 0.0 else 1.0 - cosine
    return cosine - lost, gap + lost


@njit(inline="always")
def log_shift(width):
    """Return E ln(χ²/N) = ψ(N/2) − ln(N/2), by its asymptotic series.

    From N = 20 on the terms left out are below 1e-13.
    """
    x = 2.0 / width
    y = times(x, x)
    p = 1.0 / 240.0 - times(y, 1.0 / 132.0)
    p = 1.0 / 120.0 - times(y, 1.0 / 252.0 - times(y, p))
    return -times(0.5, x) - times(y, 1.0 / 12.0 - times(y, p))

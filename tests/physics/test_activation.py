"""The activation and its residual against their definition, in exact arithmetic."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numba import njit

from simcore.physics import activation

VALUES = [-3.0, -1.0, -0.25, 0.0, 0.25, 1.0, 3.0]
CASES = [(u, p, s) for u in VALUES for p in VALUES for s in VALUES if u * p > 0.0 or u == p == 0.0]
"""u, p = κu and s = κu − v for κ > 0."""


def relu(x: Fraction) -> Fraction:
    return max(x, Fraction(0))


def expected(u: float, p: float, s: float) -> float:
    """Return κφ(u) − φ(v), without rounding until the end."""
    kappa = Fraction(p) / Fraction(u) if u else Fraction(0)
    return float(kappa * relu(Fraction(u)) - relu(Fraction(p) - Fraction(s)))


@njit
def compiled(u: Any, p: Any, s: Any) -> Any:  # pragma: no cover - compiled
    return (
        activation.activated(u),
        activation.residual(u, p, s),
        activation.inactive(u),
        activation.second_inactive(p, s),
    )


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_scalars_are_the_definition(kind: Any) -> None:
    for u, p, s in CASES:
        x, r, off1, off2 = compiled(kind(u), kind(p), kind(s))
        assert (x, r) == (max(u, 0.0), expected(u, p, s)), (u, p, s)
        assert (off1, off2) == (u <= 0.0, p - s <= 0.0)


def test_the_precision_is_that_of_the_arguments() -> None:
    """The gap s − p is rounded to float32 where its terms are float32."""
    gap = compiled(np.float32(-1.0), np.float32(3e7), np.float32(-0.7))[1]
    assert gap == np.float32(-0.7) - np.float32(3e7)
    assert gap != -0.7 - 3e7


def test_zero_has_one_sign() -> None:
    for u in (-0.0, 0.0, -1.0):
        assert not np.signbit(compiled(u, -1.0, -0.5)[0])
        assert not np.signbit(compiled(u, -0.0, 0.0)[1])


@njit
def compiled_slopes(slopes: Any, u: Any, p: Any, s: Any) -> Any:  # pragma: no cover - compiled
    x, r = activation.sent(slopes, u, p, s)
    return x, r, activation.inactive(u), activation.second_inactive(p, s)


@pytest.mark.parametrize("slopes", [(), (0.25, 0.75), (-1.0, 2.0)])
def test_arrays_are_as_scalars(slopes: tuple[float, ...]) -> None:
    u, p, s = np.array(CASES).T
    arrays = activation.xp_nodes(np, slopes, u, p, s)
    single = [compiled_slopes(slopes, *c) for c in CASES]
    scalars = [np.array(values) for values in zip(*single, strict=True)]
    for made, of_scalars in zip(arrays, scalars, strict=True):
        np.testing.assert_array_equal(made, of_scalars)


def test_other_slopes_are_the_definition() -> None:
    """φ(x) = max(x, 0) + s₋ min(x, 0), s₋ = ¼, in numbers that float64 holds exactly."""
    below = Fraction(1, 4)
    for u, p, s in CASES:
        x, r, _, _ = compiled_slopes((0.25, 0.75), u, p, s)
        kappa = Fraction(p) / Fraction(u) if u else Fraction(0)
        of = [
            max(h, Fraction(0)) + below * min(h, Fraction(0))
            for h in (Fraction(u), Fraction(p) - Fraction(s))
        ]
        assert x == float(of[0])
        assert r == float(kappa * of[0] - of[1]), (u, p, s)

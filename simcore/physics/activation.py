"""The activation φ of a unit, on single numbers for a CPU and a GPU alike, and on arrays.

It is ReLU, or has slopes s₊ above 0 and s₋ below (`physics.slopes`). A pair of pre-activations u, v
is held as u, p = κu and s = κu − v (theory.md 2). The activation of the second signal is then known
by its residual r = κφ(u) − φ(v), which is formed without subtracting nearly equal numbers. Every
sampler takes these functions and no other for φ.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simcore.numerics.arithmetic import times
from simcore.numerics.kernels import njit

_f32 = np.float32

Sent = tuple[float, ...]
"""Slopes as `sent` takes them: none for ReLU, else s₋ and s₊ − s₋."""


@njit(inline="always")
def inactive(u):
    """Return whether a unit with the pre-activation u is inactive."""
    return not u > type(u)(0)


@njit(inline="always")
def second_inactive(p, s):
    """Return whether a unit is inactive for the second signal, whose v is p − s."""
    return p <= s


@njit(inline="always")
def activated(u):
    """Return φ(u), in the precision of u."""
    zero = type(u)(0)  # of the same precision
    return u if u > zero else zero


@njit(inline="always")
def residual(u, p, s):
    """Return κφ(u) − φ(v) with p = κu and s = κu − v, in the precision of u.

    It is min(p, s) where u > 0 and min(s − p, 0) elsewhere. Zero is +0, on every device: `min` of
    two zeros of different signs is not the same everywhere.
    """
    zero = type(u)(0)
    gap = type(u)(s - p)
    smaller = p if p < s else s
    negative = gap if gap < zero else zero
    return smaller if u > zero else negative


@njit(forceinline=True)
def sent(slopes, u, p, s):
    """Return φ(u) and the residual κφ(u) − φ(v), in the precision of u.

    `slopes` is empty for ReLU, else s₋ and s₊ − s₋: φ(u) = s₋u + (s₊ − s₋) max(u, 0), and the
    residual likewise (theory.md 2). Its length is known where this is compiled.
    """
    x, r = activated(u), residual(u, p, s)
    if len(slopes) == 0:
        return x, r
    below, step = slopes
    return times(below, u) + times(step, x), times(below, s) + times(step, r)


@njit(forceinline=True)
def transformed(slopes, u):
    """Return φ(u), in the precision of u; `slopes` as for `sent`."""
    x = activated(u)
    if len(slopes) == 0:
        return x
    return times(slopes[0], u) + times(slopes[1], x)


@njit(forceinline=True)
def in_single(slopes):
    """Return slopes in float32."""
    if len(slopes) == 0:
        return slopes
    return _f32(slopes[0]), _f32(slopes[1])


@njit(forceinline=True)
def leaks(slopes):
    """Return whether inactive nodes send something, so that no signal dies."""
    if len(slopes) == 0:
        return False
    return slopes[0] != 0.0


@njit(forceinline=True)
def derivatives(slopes):
    """Return φ′ of an active and of an inactive unit, s₊ and s₋."""
    if len(slopes) == 0:
        return 1.0, 0.0
    return slopes[0] + slopes[1], slopes[0]


@njit(forceinline=True)
def sent_back(slopes, off, g):
    """Return φ′·g, in the precision of g, of a unit that is inactive where `off`."""
    if len(slopes) == 0:
        return type(g)(0) if off else g
    above, below = derivatives(slopes)
    return times(below if off else above, g)


@njit(forceinline=True)
def even(slopes):
    """Return whether φ(−u) = φ(u)."""
    if len(slopes) == 0:
        return False
    return slopes[1] + slopes[0] + slopes[0] == 0.0


def xp_nodes(xp: Any, slopes: Sent, u: Any, p: Any, s: Any) -> tuple[Any, Any, Any, Any]:
    """Return φ(u), the residual, and both kinds of inactivity, for arrays of one shape.

    `xp` is the arrays' namespace, NumPy's or CuPy's; `slopes` as for `sent`.
    """
    off1, off2, gap = ~(u > 0.0), p <= s, s - p
    r = xp.where(off1, xp.where(gap < 0.0, gap, 0.0), xp.where(p < s, p, s))
    if slopes:
        r = slopes[0] * s + slopes[1] * r
    return xp_transformed(xp, slopes, u), r, off1, off2


def xp_transformed(xp: Any, slopes: Sent, u: Any) -> Any:
    """Return φ of an array."""
    x = xp.where(u > 0.0, u, 0.0)
    return slopes[0] * u + slopes[1] * x if slopes else x

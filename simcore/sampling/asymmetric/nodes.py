"""One node of the pair sampler of `rai` and `raai`: scalar functions for CPU loops and GPU threads.

`cpu_kernels` explains the state and the draws; `physics.write_law` makes the law of a layer.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from simcore.numerics.arithmetic import fma32, fma64, times, wide_product
from simcore.numerics.kernels import njit
from simcore.numerics.rng import Stream
from simcore.physics.activation import activated, inactive, residual, second_inactive
from simcore.physics.rounding import VARIANCE

SUMS = 8
X1, X2, R1, RX, R2, UU, US, SS, N1, N2, BOTH = range(SUMS + 3)
TOTALS = SUMS + 3
"""Sums of a layer: of x, x², r, rx, r²; of h₁², h₁s, s²; nodes inactive for 1, for 2, for both."""

CHUNK = 512

ASYMMETRIC_STREAM = np.uint64(Stream.ASYMMETRIC)

SMALL = 64
"""Below this fan-in the sums without a node are formed without subtraction."""

LAW = 21
(
    READ_SLOPE,  # e of which r − e x is still to be subtracted when r is read
    ROOT_X,  # standard deviations of the full law of h₁, and of s
    ROOT_R,
    A_XX,  # −(σ_w²/n)(1 + g/n), these and the next in units of the full law's variances
    A_XR,
    A_RR,
    MEAN_XX,  # 2 (σ_w²/n)(g/n) times the sum of x, for h₁
    MEAN_XR,  # … half of it in units of both, as a factor of r, and that of r as a factor of x
    MEAN_RX,
    MEAN_RR,
    OWN_XX,  # covariances of (h₁, s) where the bias is replaced
    OWN_XR,
    OWN_RR,
    ONE_AT_X,  # x and r of the constant node
    ONE_AT_R,
    PER_NODE,  # σ_w²/n
    COUPLING,  # g/n
    BIAS_XX,  # what the bias adds to the covariances of (h₁, s)
    BIAS_XR,
    BIAS_RR,
    MULTIPLE,  # κ
) = range(LAW)
"""Numbers of the law of a layer (theory.md (3)), in the units of its input."""

_u32, _u64, _i32, _i64, _f32 = np.uint32, np.uint64, np.int32, np.int64, np.float32
SCALE_31, HALF_STEP = _f32(2.0**-31), _f32(2.0**-32)
SHIFT_1, HALF_WORD = _u32(1), _u64(32)
FIELD = 21
FLAG1, FLAG2, FLAG_BOTH = _i64(1), _i64(1 << FIELD), _i64(1 << (2 * FIELD))
FIELD_MASK = _i64((1 << FIELD) - 1)
NO_FLAG = _i64(0)
LOW = _u64(0xFFFFFFFF)
F_ONE = _f32(1.0)


class Scales(NamedTuple):
    """The numbers of a law that a node without a special case needs; names as in the law."""

    root_x: float
    root_r: float
    a_xx: float
    a_xr: float
    a_rr: float
    mean_xx: float
    mean_xr: float
    mean_rx: float
    mean_rr: float


@njit(inline="always")
def scales(law):
    """Return the `Scales` of a law."""
    return Scales(
        law[ROOT_X],
        law[ROOT_R],
        law[A_XX],
        law[A_XR],
        law[A_RR],
        law[MEAN_XX],
        law[MEAN_XR],
        law[MEAN_RX],
        law[MEAN_RR],
    )


# --- words ----------------------------------------------------------------------------------------


@njit(inline="always")
def choices_of(n):
    """Return how many things a node may have replaced: n weights, or the bias."""
    return _u64(_u64(n + 1) & LOW)


@njit(inline="always")
def replaced_index(word, choices):
    """Return which weight is replaced, uint32, of word 2; n stands for the bias."""
    return _u32(_u64(wide_product(_u64(word), choices) >> HALF_WORD))


@njit(inline="always")
def weight(word):
    """Return β, float32, of word 3."""
    return _f32(math.sqrt(fma32(_f32(_i32(_u32(word >> SHIFT_1))), SCALE_31, HALF_STEP)))


# --- pre-activations ------------------------------------------------------------------------------


@njit(inline="always")
def usual_signals(x, r, z1, z2, beta, k):
    """Return (h₁, s) of a node that has the weight of activations (x, r) replaced.

    Covariances are in units of the full law's variances (`Scales` k), so that their roots can start
    in float32: 1/√ is corrected by a Newton step, to 3e-14; the part of s that is independent of h₁
    keeps the float32 root, a relative error of at most 1.2e-7.
    """
    xx = fma64(x, fma64(k.a_xx, x, k.mean_xx), 1.0)
    xr = fma64(x, fma64(k.a_xr, r, k.mean_rx), times(k.mean_xr, r))
    rr = fma64(r, fma64(k.a_rr, r, k.mean_rr), 1.0)
    safe = xx if xx > VARIANCE else 1.0
    start = np.float64(_f32(F_ONE / _f32(math.sqrt(_f32(safe)))))
    y = times(start, fma64(times(-0.5, safe), times(start, start), 1.5))
    y = y if xx > VARIANCE else 0.0
    tilt = times(xr, y)
    rest = fma64(-tilt, tilt, rr)
    rest = rest if rest > VARIANCE else 0.0
    width = np.float64(_f32(math.sqrt(_f32(rest))))
    u = fma64(times(k.root_x, times(xx, y)), z1, times(beta, x))
    s = fma64(k.root_r, fma64(tilt, z1, times(width, z2)), times(beta, r))
    return u, s


@njit(inline="always")
def signals(z1, z2, beta, law_of_node):
    """Return (h₁, s) of a node by its own law: `own_law`, or `few_law`."""
    xx, xr, rr, at_x, at_r = law_of_node
    root = tilt = width = 0.0
    if xx > 0.0:
        root = math.sqrt(xx)
        tilt = xr / root
    rest = rr - times(tilt, tilt)
    if rest > times(VARIANCE, rr):
        width = math.sqrt(rest)
    u = fma64(root, z1, times(beta, at_x))
    return u, fma64(tilt, z1, fma64(width, z2, times(beta, at_r)))


@njit(inline="always")
def own_law(law):
    """Return the covariances xx, xr, rr of (h₁, s) where the bias is replaced, and what β is of.

    That is about one node in a layer.
    """
    return law[OWN_XX], law[OWN_XR], law[OWN_RR], law[ONE_AT_X], law[ONE_AT_R]


@njit(inline="always")
def few_law(j, law, x, r, others):
    """Return the same where weight j is replaced and the layer before has fewer than SMALL nodes.

    `others` is from `sums_of_others`.
    """
    c, g = law[PER_NODE], law[COUPLING]
    sx, sr = others[0, j], others[1, j]
    xx = times(c, others[2, j] - times(times(g, sx), sx)) + law[BIAS_XX]
    xr = times(c, others[3, j] - times(times(g, sx), sr)) + law[BIAS_XR]
    rr = times(c, others[4, j] - times(times(g, sr), sr)) + law[BIAS_RR]
    return xx, xr, rr, x[j], r[j]


@njit(nogil=True, cache=True, forceinline=True)
def sums_of_others(n, x, r, others):
    """Write the sums of x, r, x², xr, r² over all nodes but one, shape (5, SMALL) by that one.

    From those before it and those after it: nothing cancels, however large the one is.
    """
    a = b = c = d = e = 0.0
    for j in range(n):
        others[0, j], others[1, j] = a, b
        others[2, j], others[3, j], others[4, j] = c, d, e
        a, b, c, d, e = _with_node(a, b, c, d, e, x[j], r[j])
    a = b = c = d = e = 0.0
    for i in range(n):
        j = n - 1 - i
        others[0, j] += a
        others[1, j] += b
        others[2, j] += c
        others[3, j] += d
        others[4, j] += e
        a, b, c, d, e = _with_node(a, b, c, d, e, x[j], r[j])


@njit(inline="always")
def _with_node(a, b, c, d, e, x, r):
    return a + x, b + r, c + times(x, x), d + times(x, r), e + times(r, r)


# --- activations and sums -------------------------------------------------------------------------


@njit(inline="always")
def of_activation(law):
    """Return the numbers of a law that a node's activations need: κ."""
    return (law[MULTIPLE],)


@njit(inline="always")
def _activate(u, s, numbers):
    """Return x, r and the packed counts of a node, never by a difference of near equals."""
    p = times(numbers[0], u)
    off1, off2 = inactive(u), second_inactive(p, s)
    flag1 = FLAG1 if off1 else NO_FLAG
    flag2 = FLAG2 if off2 else NO_FLAG
    both = (FLAG_BOTH if off2 else NO_FLAG) if off1 else NO_FLAG
    return activated(u), residual(u, p, s), _i64(flag1 + _i64(flag2 + both))


@njit(inline="always")
def add_node(c, i, u, s, numbers, x, r):
    """Return a lane's sums with node i added, and write its activations to x[i] and r[i].

    The sums are those of `TOTALS`, the three counts packed in the last; `numbers` are from
    `of_activation`.
    """
    xi, ri, flag = _activate(u, s, numbers)
    x[i] = xi
    r[i] = ri
    return (
        c[0] + xi,
        fma64(xi, xi, c[1]),
        c[2] + ri,
        fma64(ri, xi, c[3]),
        fma64(ri, ri, c[4]),
        fma64(u, u, c[5]),
        fma64(u, s, c[6]),
        fma64(s, s, c[7]),
        _i64(c[8] + flag),
    )

"""Probability that a node of `rai` and `raai` is inactive for both signals, given what it reads.

With a and b for v/σ of the two signals (`death`), and the angle θ of the pair (h₁, h₂) where the
weight of a node is replaced, theory.md (3c):

    p = [T₂(a₀, b₀; θ₀) + … + T₂(aₙ, bₙ; θₙ)]/(n + 1),    T₂ = P(z₁ ≤ −βa, z₂ ≤ −βb)

over β and normals z with E z₁z₂ = cos θ. From θ = 0 or π, where one condition implies the other or
forbids it, with V = tan(θ/2), h(y) = (1 − exp(−y))/y and

    I(a, b, V) = (1/π) ∫₀ⱽ h(y) dv/(1 + v²),    y = (a − b)²/(8v²) + (a + b)² v²/8 + (a² + b²)/4,

    T₂ = min(T(a), T(b)) − I(a, b, V)                       where V ≤ 1
    T₂ = max(0, T(a) + T(b) − 1) + I(a, −b, 1/V)            elsewhere

The integral is a sum over fixed points, h a quotient of polynomials. Relative errors of p are 5e-7
on average, and below 1e-5 in every layer that was tried (3 to 40 nodes, σ_w up to 2): far below
statistical errors of p^N. Equal signals have T₂ = T to the last bit.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from simcore.numerics.arithmetic import at_least_0, fma64, times
from simcore.numerics.kernels import njit
from simcore.numerics.lanes import LANES, fold
from simcore.numerics.rng import ONCE
from simcore.physics.rounding import VARIANCE
from simcore.sampling.row import chance_of_all

from . import death as of_signal
from . import nodes as at
from . import physics as moves
from .death import SignalLaw, average_tail, chance_of, node_tail, signal_law

NEGLIGIBLE = 2.0**-64
"""A layer of SMALL nodes or more that dies more rarely for a signal counts as alive for both."""

MOST = 1e40
"""Of y, so that the polynomials stay within float64."""

ROWS = 8
"""Of the scratch of `all_chances`."""

LEAST = 1e-100
"""Of V, which is divided by."""

INVERSE_PI = 0.3183098861837907

P0, P1, P2, P3, P4, P5 = (
    0.9999986534480022,
    0.2385471495215042,
    0.06202174808100924,
    0.010388192098695816,
    0.000975723045207704,
    0.00018767574522732348,
)
Q1, Q2, Q3, Q4, Q5, Q6 = (
    0.7384990292133462,
    0.26488388919351197,
    0.06077946802826568,
    0.010414788848731342,
    0.0009755164802525766,
    0.00018767600001122226,
)
"""h = (P0 + P1 y + …)/(1 + Q1 y + …) to a relative 1.4e-6, of both signs, at any y ≥ 0."""

TABLE = (
    (0.0004381055715101474, 0.001144813825146091),
    (0.002495421971438308, 0.0031017063580225947),
    (0.007056810839632673, 0.006324269388796842),
    (0.016023421560198887, 0.012221277903302503),
    (0.03320351760561755, 0.023282091850451957),
    (0.06560518103553162, 0.043431299860853596),
    (0.12467053701947402, 0.07731604757587184),
    (0.2255103923646323, 0.12667327422160854),
    (0.38045449129276193, 0.1827058816473425),
    (0.5845572825439637, 0.21918746267251313),
    (0.7998934746378427, 0.19945052923144124),
    (0.958010624983732, 0.10516134546464917),
)
"""Points v/V and weights: those of Gauss and Legendre in u, where v/V = (100ᵘ − 1)/99."""

POINTS = tuple((v * v, 1.0 / (v * v), weight) for v, weight in TABLE)


class Law(NamedTuple):
    """What the probability for both needs beside x and r of the nodes before.

    h₂ = κh₁ − s. Where the weight of (x, r) is replaced, r less `slope` x, (h₁, s) have the
    covariances `first.variance` + x(2 `mean_x` − `square` x), `cross` + r `mean_x` + x(`mean_r` −
    `square` r) and `variance_r` + r(2 `mean_r` − `square` r); `own_…` where the bias is replaced.
    """

    first: SignalLaw
    second: SignalLaw
    kappa: float
    slope: float
    square: float
    mean_x: float
    mean_r: float
    cross: float
    variance_r: float
    own_xr: float
    own_rr: float


# --- of one node ----------------------------------------------------------------------------------


@njit(nogil=True, cache=True, forceinline=True, error_model="numpy")
def _share(point, far, near, rest, square):
    """Return a point's share of the integral."""
    y = fma64(far, point[1], fma64(near, point[0], rest))
    y = y if y < MOST else MOST
    y2 = times(y, y)
    p = fma64(fma64(fma64(P5, y, P4), y2, fma64(P3, y, P2)), y2, fma64(P1, y, P0))
    q = fma64(fma64(fma64(Q6, y2, fma64(Q5, y, Q4)), y2, fma64(Q3, y, Q2)), y2, fma64(Q1, y, 1.0))
    return times(point[2], p) / times(q, fma64(square, point[0], 1.0))


@njit(inline="always")
def integral(a, b, v):
    """Return I(a, b, V) of 0 ≤ V ≤ 1."""
    v = v if v > LEAST else LEAST
    apart, sum_ = (a - b) / v, times(a + b, v)
    far, near = times(0.125, times(apart, apart)), times(0.125, times(sum_, sum_))
    rest, square = times(0.25, times(a, a) + times(b, b)), times(v, v)
    s = _share(POINTS[0], far, near, rest, square)
    s += _share(POINTS[1], far, near, rest, square)
    s += _share(POINTS[2], far, near, rest, square)
    s += _share(POINTS[3], far, near, rest, square)
    s += _share(POINTS[4], far, near, rest, square)
    s += _share(POINTS[5], far, near, rest, square)
    s += _share(POINTS[6], far, near, rest, square)
    s += _share(POINTS[7], far, near, rest, square)
    s += _share(POINTS[8], far, near, rest, square)
    s += _share(POINTS[9], far, near, rest, square)
    s += _share(POINTS[10], far, near, rest, square)
    s += _share(POINTS[11], far, near, rest, square)
    return times(times(INVERSE_PI, v), s)


@njit(inline="always")
def tail_of_both(a, tail_a, b, tail_b, along, across):
    """Return T₂, from a and T(|a|) of both signals, and h₂ along and across h₁."""
    off_a, off_b = 1.0 if a < 0.0 else 0.0, 1.0 if b < 0.0 else 0.0
    rest_a, rest_b = -tail_a if a < 0.0 else tail_a, -tail_b if b < 0.0 else tail_b
    one, other = off_a + rest_a, off_b + rest_b
    least = one if one < other else other
    common = at_least_0((off_a + off_b - 1.0) + (rest_a + rest_b))
    whole = math.sqrt(times(along, along) + times(across, across)) + abs(along)
    half = across / (whole if whole > 0.0 else 1.0)
    acute = along >= 0.0
    part = integral(a, b if acute else -b, half)
    return at_least_0(least - part if acute else common + part)


def xp_tail_of_both(
    xp: Any, a: Any, tail_a: Any, b: Any, tail_b: Any, along: Any, across: Any
) -> Any:
    """Return T₂ of arrays; `xp` is their namespace, NumPy's or CuPy's."""
    one, other = (xp.where(v < 0.0, 1.0 - t, t) for v, t in ((a, tail_a), (b, tail_b)))
    common = xp.where((a < 0.0) & (b < 0.0), 1.0 - tail_a - tail_b, 0.0)
    common = xp.where((a < 0.0) & (b >= 0.0), tail_b - tail_a, common)
    common = xp.where((a >= 0.0) & (b < 0.0), tail_a - tail_b, common)
    whole = xp.sqrt(along * along + across * across) + xp.abs(along)
    v = xp.maximum(across / xp.where(whole > 0.0, whole, 1.0), LEAST + 0.0 * whole)
    acute = along >= 0.0
    b = xp.where(acute, b, -b)
    far, near = 0.125 * ((a - b) / v) ** 2, 0.125 * ((a + b) * v) ** 2
    rest, part = 0.25 * (a * a + b * b), 0.0 * v
    for square, inverse, weight in POINTS:
        y = xp.minimum(far * inverse + near * square + rest, MOST + 0.0 * v)
        p = ((((P5 * y + P4) * y + P3) * y + P2) * y + P1) * y + P0
        q = (((((Q6 * y + Q5) * y + Q4) * y + Q3) * y + Q2) * y + Q1) * y + 1.0
        part = part + weight * p / (q * (v * v * square + 1.0))
    part = INVERSE_PI * v * part
    found = xp.where(
        acute, xp.minimum(one, other) - part, xp.where(common > 0.0, common, 0.0) + part
    )
    return xp.where(found > 0.0, found, 0.0)


@njit(inline="always")
def components(xx, xr, rr, kappa, least):
    """Return h₂ along and across h₁, from covariances of (h₁, s); xx > 0.

    A square across h₁ counts as 0 if it is at most `least`, the rounding of rr.
    """
    root = math.sqrt(xx)
    tilt = xr / root
    rest = fma64(-tilt, tilt, rr)
    return fma64(kappa, root, -tilt), math.sqrt(rest if rest > least else 0.0)


@njit(inline="always")
def node_chances(x, r, s):
    """Return the probabilities of being inactive for the first, the second, and both signals.

    Of a node with the weight of (x, r) replaced.
    """
    a, tail_a, random_a = node_tail(x, r, s.first)
    b, tail_b, random_b = node_tail(x, r, s.second)
    random = random_a and random_b
    own = fma64(-s.slope, x, r)
    xx = fma64(x, fma64(-s.square, x, s.first.linear), s.first.variance)
    xr = fma64(x, fma64(-s.square, own, s.mean_r), fma64(s.mean_x, own, s.cross))
    rr = fma64(own, fma64(-s.square, own, times(2.0, s.mean_r)), s.variance_r)
    least = times(VARIANCE, s.variance_r)
    along, across = components(xx if random else 1.0, xr, rr, s.kappa, least)
    both = tail_of_both(a, tail_a, b, tail_b, along, across)
    one, other = chance_of(a, tail_a, random_a), chance_of(b, tail_b, random_b)
    return one, other, both if random else times(one, other)


# --- of a layer -----------------------------------------------------------------------------------


@njit(inline="always")
def matters(width, chance1, chance2):
    """Return whether the death of a layer for both matters, from those for each signal."""
    return width < at.SMALL or min(chance1, chance2) > NEGLIGIBLE


@njit(nogil=True, cache=True, forceinline=True)
def law_of_both(state, law):
    """Return the `Law`, from what `physics.write_law` has read."""
    return Law(
        signal_law(False, state, law),
        signal_law(True, state, law),
        law[at.MULTIPLE],
        law[at.READ_SLOPE],
        times(law[at.PER_NODE], 1.0 + law[at.COUPLING]),
        state[moves.MEAN_X],
        state[moves.MEAN_R],
        0.0,
        state[moves.VARIANCE_R] + law[at.BIAS_RR],
        law[at.OWN_XR],
        law[at.OWN_RR],
    )


@njit(nogil=True, cache=True, forceinline=True)
def lane_chances(lane, n, x, r, s):
    """Return the sum of a lane's chances for both over the n nodes before."""
    total = 0.0
    for j in range(lane, n, LANES):
        total += node_chances(x[j], r[j], s)[2]
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def _add_blocks(blocks, x, r, s, lanes):
    """Add the three chances of whole blocks of LANES nodes, which LLVM turns into vectors."""
    for b in range(blocks):
        for lane in range(LANES):
            j = b * LANES + lane
            one, other, both = node_chances(x[j], r[j], s)
            lanes[lane] += one
            lanes[LANES + lane] += other
            lanes[2 * LANES + lane] += both


@njit(nogil=True, cache=True)
def all_chances(n, x, r, s, work):
    """Return the three sums over all lanes; `work` is scratch, shape (ROWS, LANES)."""
    lanes, last, last_x, last_r = work[:3], work[3:6], work[6], work[7]
    work[:] = 0.0
    full = n // LANES
    _add_blocks(full, x, r, s, lanes.reshape(3 * LANES))
    rest = n - full * LANES
    if rest > 0:  # as one more vector, on copies: half the time for few nodes
        last_x[:rest], last_r[:rest] = x[n - rest : n], r[n - rest : n]
        _add_blocks(ONCE, last_x, last_r, s, last.reshape(3 * LANES))
        for i in range(3):
            for lane in range(rest):
                lanes[i, lane] += last[i, lane]
    return fold(lanes[0]), fold(lanes[1]), fold(lanes[2])


@njit(nogil=True, cache=True, forceinline=True)
def inactive_chance(total, n, s):
    """Return p of a fan-in n, from the sum over its nodes."""
    bias = 0.0
    if s.first.own > 0.0 and s.second.own > 0.0:
        a, b = s.first.one / math.sqrt(s.first.own), s.second.one / math.sqrt(s.second.own)
        least = times(VARIANCE, s.own_rr)
        along, across = components(s.first.own, s.own_xr, s.own_rr, s.kappa, least)
        bias = tail_of_both(a, average_tail(a), b, average_tail(b), along, across)
    return (total + bias) / (n + 1.0)


@njit(nogil=True, cache=True)
def chances_of_death(both_live, width, n, x, r, s, work):
    """Return the probabilities that a layer is dead for the first, the second, and both signals.

    The last is 0 unless both live. `work` is scratch, shape (ROWS, LANES).
    """
    few, of_both, both = width < at.SMALL, 0.0, 0.0
    if few:
        of_one, of_other, of_both = all_chances(n, x, r, s, work)
    else:
        of_one = of_signal.all_chances(n, x, r, s.first, work[:4])
        of_other = of_signal.all_chances(n, x, r, s.second, work[:4])
    one = chance_of_all(of_signal.inactive_chance(of_one, n, s.first), width)
    other = chance_of_all(of_signal.inactive_chance(of_other, n, s.second), width)
    if both_live and matters(width, one, other):
        if not few:
            _, _, of_both = all_chances(n, x, r, s, work)
        both = chance_of_all(inactive_chance(of_both, n, s), width)
    return one, other, both


@njit(inline="always")
def terms(live1, live2, one, other, both):
    """Return what a layer adds to the hazards of each signal and of both, theory.md (3b)."""
    first, second = one if live1 else 0.0, other if live2 else 0.0
    return first, second, both if live1 and live2 else first + second

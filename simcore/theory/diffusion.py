"""The limit of depth with width, L = tN: the law of the correlation is that of a diffusion.

Shaped ReLU (slopes 1 + c±/√N) of `he` without bias, Li, Nica & Roy (arXiv 2206.02768):

    dρ = [ν(ρ) − ½ρ(1 − ρ²)] dt + (1 − ρ²) dB,    ν(ρ) = (c₊ − c₋)²/(2π) (√(1 − ρ²) − ρ arccos ρ)

so that y = artanh ρ has dy = [ν/(1 − ρ²) + ½ρ] dt + dB. ReLU itself has no such limit of ρ, which
goes to 1, but q = l²(1 − ρ_l) has one (Li & Nica, *Differential equation scaling limits*, 2023):

    d ln q = [(2/t)(1 − √(2q)/(3π)) − 2] dt + √8 dB,    q = 9π²/2 at t = 0

Their Fokker–Planck equations are solved by finite volumes with exponentially fitted fluxes and
Crank–Nicolson steps, on two grids, whose difference is the error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from simcore.errors import InputError
from simcore.physics.parameters import number, several

from .checks import single
from .law import FloatArray, bend

CELLS = 600
"""Cells of the coarser grid; the finer one has twice as many, and twice as many steps."""

STEPS = 200
"""Steps of the coarser grid from one time to the next."""

REACH = 8.0
"""Standard deviations of the noise that the grid holds."""

LONGEST = 100.0
"""Largest t."""

_FIRST = 1e-3
"""Time up to which ln q is nearly normal, of variance 8t/3 about ln(9π²/2) − 4t/3."""

_START_Q = math.log(4.5 * math.pi**2)


@dataclass(frozen=True, eq=False)
class DepthWidthLaw:
    """The law of ρ, or of q = l²(1 − ρ) for ReLU, at times t = l/N; arrays along the times."""

    time: FloatArray
    mean: FloatArray
    std: FloatArray
    mean_error: FloatArray
    """Numerical error of the mean."""
    std_error: FloatArray
    points: FloatArray
    """Values of ρ or q at which `cdf` is known."""
    cdf: FloatArray
    """Probability of a value up to a point, shape (time, point)."""

    def quantile(self, levels: npt.ArrayLike) -> FloatArray:
        """Return quantiles, shape (time, level)."""
        wanted = np.atleast_1d(np.asarray(levels, dtype=np.float64))
        if not ((wanted > 0.0) & (wanted < 1.0)).all():
            raise InputError("levels", str(levels), "must lie between 0 and 1", "Give 0.5, say.")
        return np.array([np.interp(wanted, row, self.points) for row in self.cdf])

    def probability(self, values: npt.ArrayLike) -> FloatArray:
        """Return the probabilities of at most these values, shape (time, value)."""
        at = np.atleast_1d(np.asarray(values, dtype=np.float64))
        return np.array([np.interp(at, self.points, row) for row in self.cdf])


def sde(
    times: npt.ArrayLike,
    *,
    shape: tuple[float, float] | None = None,
    correlation: float | None = None,
) -> DepthWidthLaw:
    """Return the law of the correlation where depth and width grow together, L = tN.

    Parameters
    ----------
    times
        t = l/N, one or several, above 0 and rising.
    shape
        c₊ and c₋ of shaped ReLU, for the law of ρ_t. None is ReLU, for that of q_t = l²(1 − ρ_l),
        which does not depend on the inputs.
    correlation
        c₀ of the inputs of shaped ReLU, between −1 and 1, both excluded.

    Raises
    ------
    InputError
        If a value is out of range.
    """
    at = np.array([single("times", x, 1e-6, LONGEST) for x in several(times)])
    if not at.size or (np.diff(at) <= 0.0).any():
        raise InputError("times", str(times), "must rise", "Give 0.5, or 0.25,0.5,1, say.")
    if shape is None:
        if correlation is not None:
            rule = "has no part in the limit of ReLU"
            raise InputError("correlation", correlation, rule, "Give `shape`, or leave it out.")
        return _solved(at, _Problem(_q_drift, _q_spread(at), np.exp, late=True))
    kink = _kink(shape)
    start = single("correlation", 0.5 if correlation is None else correlation, -1.0, 1.0)
    if abs(start) == 1.0:
        rule = "must not be 1 or -1, where the signals stay parallel"
        raise InputError("correlation", start, rule, "Give 0.5, say.")

    def drift(_: float, y: FloatArray) -> FloatArray:
        angle = 2.0 * np.arctan(np.exp(-y))
        # ν/(1 − ρ²) = kink (1 − ρ) G(θ)/(1 − ρ²)
        return np.asarray(kink * bend(angle) / (1.0 + np.tanh(y)) + 0.5 * np.tanh(y))

    return _solved(at, _Problem(drift, _rho_spread(at, kink, math.atanh(start)), np.tanh))


def _kink(shape: Sequence[float]) -> float:
    """Return (c₊ − c₋)²/(2π)."""
    given = [float(number("shape", x)) for x in several(shape)]
    if len(given) != 2 or not all(abs(x) <= 1e3 for x in given):
        rule = "must be two numbers of at most 1000 in size"
        raise InputError("shape", str(shape), rule, "Give c+ and c-, (0, -1), say.")
    return (given[0] - given[1]) ** 2 / (2.0 * math.pi)


@dataclass(frozen=True)
class _Problem:
    """A diffusion dy = a(t, y) dt + σ dB on a grid around its start, and the value of each y.

    `late` is the limit of ReLU: it runs in ln t from `_FIRST` on, from a normal law, with σ² = 8;
    else σ = 1.
    """

    drift: Callable[[float, FloatArray], FloatArray]
    span: tuple[float, float, float]
    """Start, and ends of the grid."""
    value: Callable[[FloatArray], FloatArray]
    late: bool = False


def _rho_spread(at: FloatArray, kink: float, start: float) -> tuple[float, float, float]:
    """Return start and ends of y: below 0 the drift of ν grows like kink π e^{−2y}/4."""
    last = float(at[-1])
    noise = REACH * math.sqrt(last)
    low = start - noise - 0.5 * last
    if kink > 0.0:
        wall = -0.5 * math.log1p(120.0 / kink)
        low = max(low, min(wall, start - 0.5))
    return start, low, start + noise + (0.5 + kink) * last


def _q_drift(t: float, s: FloatArray) -> FloatArray:
    return np.asarray(2.0 / t * (1.0 - np.exp(0.5 * (s - _START_Q))) - 2.0)


def _q_spread(at: FloatArray) -> tuple[float, float, float]:
    noise = REACH * math.sqrt(8.0 * float(at[-1]))
    return _START_Q, _START_Q - noise - 2.0 * float(at[-1]), _START_Q + min(noise, 14.0)


def _solved(at: FloatArray, problem: _Problem) -> DepthWidthLaw:
    coarse, fine = (_follow(at, problem, refined) for refined in (1, 2))
    moments = []
    for edges, cells in (coarse, fine):
        centre = 0.5 * (edges[1:] + edges[:-1])
        values = problem.value(centre)
        mean = cells @ values
        moments.append((mean, np.sqrt(np.maximum(0.0, cells @ values**2 - mean**2))))
    (mean1, std1), (mean2, std2) = moments
    edges, cells = fine
    cdf = np.concatenate([np.zeros((at.size, 1)), np.cumsum(cells, axis=1)], axis=1)
    return DepthWidthLaw(
        time=at,
        mean=mean2 + (mean2 - mean1) / 3.0,
        std=std2 + (std2 - std1) / 3.0,
        mean_error=np.abs(mean2 - mean1) / 3.0,
        std_error=np.abs(std2 - std1) / 3.0,
        points=problem.value(edges),
        cdf=cdf,
    )


def _follow(at: FloatArray, problem: _Problem, refined: int) -> tuple[FloatArray, FloatArray]:
    """Return the edges of the cells, and their probabilities at each time, (time, cell)."""
    start, low, high = problem.span
    # Cells whose middle one has its centre at the start, on the coarse grid and on the fine one.
    size = (high - low) / (CELLS * refined)
    below = math.ceil((start - low) / size)
    count = below + math.ceil((high - start) / size) + 1
    edges: FloatArray = np.asarray(start + size * (np.arange(count + 1.0) - below - 0.5), float)
    inner = edges[1:-1]
    p, clock = np.zeros(count), 0.0
    p[below] = 1.0
    if problem.late:
        clock = min(_FIRST, 0.01 * float(at[0]))
        p = _normal(edges, start - 4.0 / 3.0 * clock, math.sqrt(8.0 / 3.0 * clock))
    found = []
    for end in at.tolist():
        if problem.late:
            span = math.log(clock), math.log(end), 2 * STEPS * refined
            p = _steps(partial(_in_log_time, problem, inner), span, size, p)
        else:
            rates = problem.drift(0.0, inner), 0.5
            p = _steps(partial(_steady, rates), (clock, end, STEPS * refined), size, p)
        clock = end
        found.append(p)
    return edges, np.array(found)


def _in_log_time(problem: _Problem, y: FloatArray, u: float) -> tuple[FloatArray, float]:
    """Return drift and half the square of the noise per u = ln t, dt = t du."""
    t = math.exp(u)
    return t * problem.drift(t, y), 4.0 * t


def _steady(rates: tuple[FloatArray, float], _: float) -> tuple[FloatArray, float]:
    return rates


def _normal(edges: FloatArray, mean: float, std: float) -> FloatArray:
    from scipy.special import ndtr

    return np.asarray(np.diff(ndtr((edges - mean) / std)))


Coefficients = Callable[[float], tuple[FloatArray, float]]
"""Drift at the inner edges, and half the square of the noise, at a time."""


def _steps(
    of: Coefficients, span: tuple[float, float, int], size: float, p: FloatArray
) -> FloatArray:
    """Take Crank–Nicolson steps; the first are implicit Euler's, which smooth a sharp start."""
    from scipy.linalg import solve_banded

    begin, end, count = span
    step = (end - begin) / count
    sequence = [(0.25 * step, 1.0)] * 4 + [(step, 0.5)] * (count - 1)
    now = begin
    for width, implicit in sequence:
        drift, half_square = of(now + 0.5 * width if implicit < 1.0 else now + width)
        leave, enter = _rates(drift, half_square, size)
        out = np.zeros(p.size)
        out[:-1] += leave
        out[1:] += enter
        explicit = (1.0 - implicit) * width
        known = p * (1.0 - explicit * out)
        known[1:] += explicit * leave * p[:-1]
        known[:-1] += explicit * enter * p[1:]
        bands = np.zeros((3, p.size))
        bands[0, 1:], bands[2, :-1] = -implicit * width * enter, -implicit * width * leave
        bands[1] = 1.0 + implicit * width * out
        p = solve_banded((1, 1), bands, known)
        now += width
    return p


def _rates(drift: FloatArray, half_square: float, size: float) -> tuple[FloatArray, FloatArray]:
    """Return the rates across inner edges, upwards and downwards (Scharfetter and Gummel's)."""
    w = np.clip(drift * size / half_square, -600.0, 600.0)
    small = np.abs(w) < 1e-8
    safe = np.where(small, 1.0, w)
    down = np.where(small, 1.0 - 0.5 * w, safe / np.expm1(safe))
    scale = half_square / size**2
    return scale * (down + w), scale * down

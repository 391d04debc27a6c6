"""One signal at infinite width under the weights of `rai` and `raai`, theory.md 4, by quadrature.

A node reads h = N(0, K) + βx_j with probability n/(n+1), and N(0, K′) + β with probability 1/(n+1),
where j is random in the layer before and β = √U. K is without the replaced weight, K′ without the
bias. The activations x ≥ 0 have an atom at 0 and a density, held as masses on Gauss–Legendre
panels; given x_j the density of h is closed form.

Lengths are in units of √K of their own layer, in which the 1 of the replaced bias is `replaced`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.polynomial.legendre import leggauss

from simcore.physics.parameters import check_scale, correlation_strength
from simcore.physics.parameters import norm_preserving_sigma_w as gaussian_sigma_w

from .checks import single
from .law import FloatArray

Value = TypeVar("Value", float, FloatArray)

_TAIL = 8.5
"""Standard deviations after which a normal density is left out."""

_ORDER = 12
"""Quadrature points of a panel."""

_GROWTH_RATIO = 1.4
"""Ratio of neighbouring edges of panels far from 0."""

_NEAR = 0.5
"""Below this x the integral over β is a quadrature, for its closed form divides by powers of x."""

_LEAST_VARIANCE = 1e-12
"""Least share of σ_w²⟨x²⟩ that the variance by weights may be; less is rounding (k = ∞)."""

_GROWTH_TOLERANCE = 1e-11
"""Relative change in a layer at which the growth counts as converged."""

_MOST_LAYERS = 300

RESOLUTIONS = (0.25, 8.0)
"""Least and largest resolution of a quadrature."""


@dataclass(frozen=True)
class AsymmetricLaw:
    """Parameters of `rai` and `raai`, and the covariances that its weights make."""

    weight_variance: float
    """σ_w²."""
    g: float
    sigma_b: float | None
    """None is σ_w/√n."""

    def bias_variance(self, fan_in: float) -> float:
        """σ_b² at a fan-in, theory.md 1."""
        return self.weight_variance / fan_in if self.sigma_b is None else self.sigma_b**2

    def shared(self, mixed: Value, first: Value, second: Value) -> Value:
        """Covariance by all weights, σ_w²(⟨xy⟩ − g⟨x⟩⟨y⟩), of what has these moments."""
        return self.weight_variance * (mixed - self.g * (first * second))

    def shared_by_others(self, mixed: Value, first: Value, second: Value, fan_in: float) -> Value:
        """Covariance by all weights but the replaced one, theory.md (3), in the mean over j."""
        if fan_in < 2.0:
            return 0.0 * mixed
        lost = 1.0 / fan_in
        kept = (1.0 - lost - self.g * lost**2) * mixed
        return self.weight_variance * (kept - self.g * (1.0 - 2.0 * lost) * (first * second))


def asymmetric_law(k: float, sigma_w: float, sigma_b: float | None) -> AsymmetricLaw:
    """Check the parameters of an asymmetric ensemble; InputError names the one out of range."""
    g = correlation_strength(k)
    scale = float(check_scale("sigma_w", sigma_w, positive=True))
    bias = None if sigma_b is None else float(check_scale("sigma_b", sigma_b, positive=False))
    return AsymmetricLaw(scale**2, g, bias)


@dataclass(frozen=True, eq=False)
class Measure:
    """The law of x but for its atom at 0, in units of √K₁₁ = exp(log_unit)."""

    points: FloatArray
    """Shape (point,); repeated points are allowed."""
    masses: FloatArray
    """Probabilities, shape (point,); what they lack to 1 is the atom at 0."""
    log_unit: float
    first: float
    """⟨x⟩."""
    second: float
    """⟨x²⟩."""


def measure_of(points: FloatArray, masses: FloatArray, log_unit: float) -> Measure:
    """Return a measure with its moments."""
    weighted = masses * points
    return Measure(points, masses, log_unit, float(weighted.sum()), float(weighted @ points))


def normal_inputs(q0: float) -> Measure:
    """Components of the random inputs of theory.md 1 in the limit: normal of variance q₀."""
    points, weights = _panels(np.arange(-9.0, 9.5, 1.0))
    return Measure(points, weights * normal_density(points), 0.5 * math.log(q0), 0.0, 1.0)


def given_inputs(column: FloatArray) -> Measure:
    """Components of one given input, shape (n,), in units of its root mean square."""
    unit = math.sqrt(float(np.mean(column**2)))
    return measure_of(column / unit, np.full(column.size, 1.0 / column.size), math.log(unit))


def normal_density(z: FloatArray) -> FloatArray:
    """Density of a standard normal, elementwise."""
    return np.asarray(np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi))


def _panels(edges: FloatArray, order: int = _ORDER) -> tuple[FloatArray, FloatArray]:
    """Gauss–Legendre nodes and weights on consecutive panels, flattened."""
    nodes, weights = leggauss(order)
    half = 0.5 * np.diff(edges)[:, None]
    middle = 0.5 * (edges[1:] + edges[:-1])[:, None]
    return (middle + half * nodes).ravel(), (half * weights).ravel()


def _edges(top: float, edge: float, width: float, ratio: float) -> FloatArray:
    """Edges of panels from 0 to `top`: of `width` near 0 and near the end of the law of β `edge`.

    Elsewhere the density varies on the scale of x itself, since only the Gaussian part has the
    scale 1.
    """
    near = np.arange(0.0, _TAIL, width)
    steps = max(1, math.ceil(math.log(max(top / near[-1], ratio)) / math.log(ratio)))
    far = near[-1] * ratio ** np.arange(1, steps + 1)
    beside = edge + np.arange(-_TAIL, _TAIL + width, width)
    if edge > 2.0 * _TAIL:
        far = np.concatenate((far[(far < beside[0]) | (far > beside[-1])], beside))
    edges = np.sort(np.concatenate((near, far)))
    return np.concatenate((edges[edges < top * (1.0 - 1e-9)], [top]))


def beta_moments(h: FloatArray, x: FloatArray, powers: tuple[int, ...]) -> list[FloatArray]:
    """Return ∫₀¹ 2β β^p N(h − βx) dβ for each p of `powers`, N the standard normal density.

    Power 0 is the density at h of z + βx, power p that density times ⟨β^p⟩ given h; p is at most 2.
    Each array has shape (h.size, x.size).
    """
    small = np.abs(x) < _NEAR
    beta, weight = _panels(np.array([0.0, 1.0]), 10)
    near = normal_density(h[:, None, None] - beta * x[small][:, None])
    far = _closed_moments(h, x[~small], powers)
    results = []
    for power, values in zip(powers, far, strict=True):
        result = np.empty((h.size, x.size))
        result[:, small] = near @ (2.0 * weight * beta ** (1 + power))
        result[:, ~small] = values
        results.append(result)
    return results


@dataclass(frozen=True, eq=False)
class NormalMoments:
    """Moments of z and β where z + βx = h, each an average given h times the density of h."""

    mass: FloatArray
    z: FloatArray
    zz: FloatArray
    z_beta: FloatArray
    beta: FloatArray
    beta_squared: FloatArray


def normal_moments(h: FloatArray, x: float) -> NormalMoments:
    """Return the moments of z and β at each h, shape (h.size, 1).

    z is small beside h and βx where x is large, so that its moments don't follow from those of β
    without a loss of digits.
    """
    mass, beta, beta_squared = beta_moments(h, np.array([x]), (0, 1, 2))
    if x < _NEAR:
        nodes, weights = _panels(np.array([0.0, 1.0]), 10)
        z = h[:, None] - nodes * x
        density = normal_density(z) * (2.0 * weights * nodes)
        one, two, mixed = ((density * f).sum(axis=1)[:, None] for f in (z, z * z, z * nodes))
        return NormalMoments(mass, one, two, mixed, beta, beta_squared)
    powers = _incomplete_moments(h[:, None] - x, h[:, None], 4)
    h = h[:, None]
    one = 2.0 / x**2 * (h * powers[1] - powers[2])
    two = 2.0 / x**2 * (h * powers[2] - powers[3])
    mixed = 2.0 / x**3 * (h * h * powers[1] - 2.0 * h * powers[2] + powers[3])
    return NormalMoments(mass, one, two, mixed, beta, beta_squared)


def _incomplete_moments(low: FloatArray, high: FloatArray, count: int) -> list[FloatArray]:
    """Integrate t^p N(t) from `low` to `high` for each p < `count`."""
    from scipy.special import ndtr

    at_low, at_high = normal_density(low), normal_density(high)
    moments = [ndtr(high) - ndtr(low), at_low - at_high]
    for order in range(2, count):
        ends = low ** (order - 1) * at_low - high ** (order - 1) * at_high
        moments.append((order - 1) * moments[order - 2] + ends)
    return moments


def _closed_moments(h: FloatArray, x: FloatArray, powers: tuple[int, ...]) -> list[FloatArray]:
    """Integrate over t = βx − h: a polynomial of degree 1 + p in t times N(t)."""
    moments = _incomplete_moments(-h[:, None], x - h[:, None], 2 + max(powers))
    scaled = [moment / x**j for j, moment in enumerate(moments)]
    ratio = h[:, None] / x
    results = []
    for power in powers:
        degree = power + 1
        terms = (
            math.comb(degree, j) * ratio ** (degree - j) * scaled[j] for j in range(degree + 1)
        )
        results.append(np.asarray(2.0 * sum(terms) / x))
    return results


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer of one signal. Unless said otherwise lengths are in units of its √K₁₁."""

    before: Measure
    """Activations that it reads, in the units of the layer before."""
    after: Measure
    """Its activations: first those of `points`, then scale × `fresh`."""
    fan_in: float
    weight_part: float
    """a, the variance by all weights but the replaced one, in units of K₁₁ of the layer before."""
    all_weights: float
    """a where the bias is replaced, σ_w²(⟨x²⟩ − g⟨x⟩²), in the same units."""
    bias_part: float
    """s = σ_b², in the same units."""
    old: float
    """n/(n+1), the probability that it is not the bias that is replaced."""
    replaced: float
    """The 1 that a replaced bias is a fraction β of."""
    scale: float
    """Standard deviation of the Gaussian part where the bias is replaced."""
    points: FloatArray
    weights: FloatArray
    """Quadrature over h > 0, the bias not replaced."""
    fresh: FloatArray
    fresh_weights: FloatArray
    """Quadrature over h > 0, the bias replaced, in units of `scale`."""
    q: float
    """⟨h²⟩."""
    log_q: float
    """ln ⟨h²⟩ in absolute units."""

    @property
    def k11(self) -> float:
        """K₁₁ in units of K₁₁ of the layer before."""
        return self.weight_part + self.bias_part

    @property
    def inactive(self) -> float:
        """Probability of h ≤ 0."""
        return 1.0 - float(self.after.masses.sum())


def advance(measure: Measure, law: AsymmetricLaw, fan_in: float, resolution: float = 1.0) -> Layer:
    """Take one signal through one layer of fan-in n, theory.md 4.

    n = inf leaves out the terms of order 1/n; `resolution` is the factor by which the panels are
    narrower than by default.
    """
    least = _LEAST_VARIANCE * law.weight_variance * measure.second
    moments = measure.second, measure.first, measure.first
    weight_part = max(law.shared_by_others(*moments, fan_in), least)
    all_weights = max(law.shared(*moments), least)
    bias_part = law.bias_variance(fan_in) * math.exp(-2.0 * measure.log_unit)
    k11 = weight_part + bias_part
    log_unit = measure.log_unit + 0.5 * math.log(k11)
    new = 1.0 / (fan_in + 1.0)
    replaced = math.exp(-log_unit) if new else 0.0
    sources, scale = measure.points / math.sqrt(k11), math.sqrt(all_weights / k11)
    width, ratio = 1.0 / resolution, _GROWTH_RATIO ** (1.0 / resolution)
    top = _TAIL + _top(sources, measure.masses)
    points, weights = _panels(_edges(top, replaced, width, ratio))
    masses = (1.0 - new) * weights * _density(points, sources, measure.masses)
    one = replaced / scale
    fresh, fresh_weights = _panels(_edges(_TAIL + one, one, width, ratio))
    fresh_masses = new * fresh_weights * beta_moments(fresh, np.array([one]), (0,))[0][:, 0]
    q = (1.0 - new) * (1.0 + 0.5 * measure.second / k11)
    q += new * (scale**2 + 0.5 * replaced**2)
    after = np.concatenate((points, scale * fresh)), np.concatenate((masses, fresh_masses))
    return Layer(
        before=measure,
        after=measure_of(*after, log_unit),
        fan_in=fan_in,
        weight_part=weight_part,
        all_weights=all_weights,
        bias_part=bias_part,
        old=1.0 - new,
        replaced=replaced,
        scale=scale,
        points=points,
        weights=weights,
        fresh=fresh,
        fresh_weights=fresh_weights,
        q=q,
        log_q=2.0 * log_unit + math.log(q),
    )


def _top(points: FloatArray, masses: FloatArray) -> float:
    """Largest point that matters to ⟨x²⟩ in float64."""
    shares = masses * points**2
    relevant = np.abs(points[shares > 1e-20 * shares.sum()])
    return float(relevant.max(initial=0.0))


def _density(h: FloatArray, points: FloatArray, masses: FloatArray) -> FloatArray:
    """Density at h of z + βx, x from a measure whose missing mass sits at 0."""
    density = (1.0 - masses.sum()) * normal_density(h)
    return np.asarray(density + apply_moments(h, points, {0: masses[:, None]})[0][:, 0])


def apply_moments(h: FloatArray, x: FloatArray, values: dict[int, FloatArray]) -> list[FloatArray]:
    """Return `beta_moments` of each power in `values` times its array of shape (x.size, m).

    The matrices are made for a block of x at a time, to save memory.
    """
    block = max(1, 2**19 // max(1, h.size))
    results = [np.zeros((h.size, array.shape[1])) for array in values.values()]
    for start in range(0, x.size, block):
        part = slice(start, start + block)
        matrices = beta_moments(h, x[part], tuple(values))
        for index, array in enumerate(values.values()):
            results[index] += matrices[index] @ array[part]
    return results


def _converged(law: AsymmetricLaw, measure: Measure, resolution: float) -> tuple[float, Measure]:
    """Iterate the layer without its terms of order 1/n until its factor of growth has converged."""
    previous = math.nan
    for _ in range(_MOST_LAYERS):
        layer = advance(measure, law, math.inf, resolution)
        growth = layer.k11 * layer.after.second / measure.second
        measure = measure_of(layer.after.points, layer.after.masses, 0.0)
        if abs(growth - previous) <= _GROWTH_TOLERANCE * growth:
            break
        previous = growth
    return growth, measure


def late_growth(sigma_w: float, k: float = 0.0, *, resolution: float = 1.0) -> float:
    """Return the factor by which q grows per layer in the end, the terms of order 1/n left out.

    Without them the map h = N(0, σ_w²(⟨x²⟩ − g⟨x⟩²)) + βx_j of theory.md 4 is homogeneous: the law
    of x/√q converges and q changes by a factor, which is below 1 where signals vanish.

    Parameters
    ----------
    sigma_w, k
        The ensemble `raai`; k = 0 is `rai`.
    resolution
        Factor by which the panels of the quadrature are narrower than by default, from 1/4 to 8.
        From the norm-preserving σ_w to twice that value the default agrees with twice the
        resolution to 1e-12. The smaller σ_w, the slower the convergence with depth: see
        `_GROWTH_TOLERANCE`.

    Raises
    ------
    InputError
        If a parameter is out of range.
    """
    resolution = single("resolution", resolution, *RESOLUTIONS)
    return _converged(asymmetric_law(k, sigma_w, 0.0), normal_inputs(1.0), resolution)[0]


def norm_preserving_sigma_w(k: float = 0.0, *, resolution: float = 1.0) -> float:
    """Return the σ_w of `raai` at which q keeps its value in the end, theory.md 4.

    Defined as the root of `late_growth` = 1, which leaves out the terms of order 1/n. Found by
    bisection and interpolation between 0.4 and 0.8 of the norm-preserving σ_w without replacement,
    √(2π/(π − g)), to a relative 1e-11.

    Parameters
    ----------
    k
        Correlation parameter, −1 < k ≤ ∞; 0 is `rai`.
    resolution
        As for `late_growth`. The default and twice the resolution agree to 1e-11.

    Raises
    ------
    InputError
        If k is not above −1.
    """
    from scipy.optimize import brentq

    unit, shape = gaussian_sigma_w(k), normal_inputs(1.0)
    resolution = single("resolution", resolution, *RESOLUTIONS)

    def excess(ratio: float) -> float:
        nonlocal shape
        growth, shape = _converged(asymmetric_law(k, ratio * unit, 0.0), shape, resolution)
        return growth - 1.0

    return unit * float(brentq(excess, 0.4, 0.8, xtol=1e-11, rtol=1e-11))

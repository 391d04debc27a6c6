"""Angles: Jakub and Nica; Hayou and others; Cho and Saul; Dunbar and Aaronson."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache, partial

import numpy as np

from simcore.numerics.text import with_error
from simcore.theory import trajectory
from tests.evidence.row import (
    CONTRADICTED,
    REPRODUCED,
    Effort,
    Found,
    Row,
    at_infinity,
    compared,
    simulated,
)

# --- the angle of the activations -----------------------------------------------------------------

JAKUB = "Jakub & Nica, arXiv 2302.09712, figure 1"
ANGLE = 0.1
TRIAL = " (explicit networks of the figure's setting)"
OF_ANGLE = "simulate --width 256 --depth 32 --correlation 0.9950041652780258 --trials 20000"
WIDTH, FIRST, LAST = 256, 1, 30
CHAINS = 100_000


@cache
def rule(layer: int) -> tuple[float, float]:
    """Return mean and standard deviation of ln sin²θ by their Approximation 1, chained.

    X' = X − (2/3π)θ − ρ(n) + G√(8n)/(n + 5), by 10⁵ chains; as their notebook does.
    """
    n = WIDTH
    rho = math.log((n + 5) / (n - 1)) - 10 * n / (n + 5) ** 2 + 6 * n / (n - 1) ** 2
    rng = np.random.default_rng(1)
    x = np.full(CHAINS, 2.0 * math.log(math.sin(ANGLE)))
    for _ in range(layer):
        theta = np.arcsin(np.exp(0.5 * np.minimum(x, 0.0)))
        x = x - 2.0 / (3.0 * math.pi) * theta - rho
        x = x + math.sqrt(8 * n) / (n + 5) * rng.standard_normal(x.size)
    return float(x.mean()), float(x.std())


def left_out(layer: int) -> float:
    """Return what the rule leaves out: order θ² at infinite width, which is known, and 3 Σ θ/n."""
    x, start = 2.0 * math.log(math.sin(ANGLE)), 1.0 - math.cos(ANGLE)
    exact, total = trajectory(layer, distance=start).log_sine, 0.0
    for _ in range(layer):
        theta = math.asin(math.exp(0.5 * x))
        x, total = x - 2.0 / (3.0 * math.pi) * theta, total + theta / WIDTH
    return abs(float(exact[-1]) - x) + 3.0 * total


def angle_mean(
    effort: Effort, layer: int, published: float, error: float = 0.0, slack: float = 0.0
) -> Found:
    """Compare the mean of ln sin²θ with a published one that has an error of its own."""
    seen = simulated(OF_ANGLE, effort).sel(layer=layer)
    own = float(seen.log_sine_stderr)
    found = compared(float(seen.log_sine), math.hypot(own, error), published, slack)
    return replace(found, value=with_error(float(seen.log_sine), own))


def angle_spread(effort: Effort, published: float, networks: int) -> Found:
    """Compare the standard deviation of ln sin²θ with a published one of so many networks."""
    seen = simulated(OF_ANGLE, effort).sel(layer=LAST)
    std, count = float(seen.log_sine_std), int(seen.log_sine_count)
    own = std / math.sqrt(2.0 * count)
    found = compared(std, math.hypot(own, std / math.sqrt(2.0 * networks)), published)
    return replace(found, value=with_error(std, own))


def not_infinite_width(effort: Effort) -> Found:
    """Compare with the infinite width of the same figure, which must fail."""
    return angle_mean(
        effort, LAST, float(trajectory(LAST, distance=1.0 - math.cos(ANGLE)).log_sine[-1])
    )


def jakub() -> list[Row]:
    rows = []
    for layer, published, error in ((FIRST, -4.639, 0.0012), (LAST, -5.398, 0.006)):
        rows += [
            Row(
                f"jakub-nica/mean of ln sin^2, layer {layer}",
                f"{JAKUB}: N = 256, angle 0.1, 5,000 networks",
                OF_ANGLE,
                f"{published}" + (" ± 0.006" if layer == LAST else "") + TRIAL,
                partial(angle_mean, layer=layer, published=published, error=error),
            ),
            Row(
                f"jakub-nica/their approximation, layer {layer}",
                f"{JAKUB} and Approximation 1",
                OF_ANGLE,
                f"{rule(layer)[0]:.3f}",
                partial(
                    angle_mean,
                    layer=layer,
                    published=rule(layer)[0],
                    error=rule(layer)[1] / math.sqrt(CHAINS),
                    slack=left_out(layer),
                ),
                why=f"within {left_out(layer):.2g} more, what the rule leaves out at orders θ² and "
                "θ/n of a layer",
            ),
        ]
    return [
        *rows,
        Row(
            "jakub-nica/std of ln sin^2, layer 30",
            JAKUB,
            OF_ANGLE,
            "0.852" + TRIAL,
            partial(angle_spread, published=0.852, networks=20_000),
        ),
        Row(
            "jakub-nica/their std, layer 30",
            f"{JAKUB} and Approximation 1",
            OF_ANGLE,
            f"{rule(LAST)[1]:.3f}",
            partial(angle_spread, published=rule(LAST)[1], networks=CHAINS),
        ),
        Row(
            "jakub-nica/infinite width, layer 30",
            f"{JAKUB}, the curve of infinite width",
            OF_ANGLE,
            "-5.167 (theory alone)",
            not_infinite_width,
            expected=CONTRADICTED,
            why="as their figure shows: at L/N = 0.12 the mean falls by 2/N more a layer",
        ),
    ]


# --- the decay of 1 − c ---------------------------------------------------------------------------

OF_DECAY = "simulate --width 1024,4096 --depth 512 --correlation 0 --trials 1000"
EARLY, LATE, FAR = 128, 512, 40_000


def decay(effort: Effort, published: float) -> Found:
    """Return the slope of 1/√(1 − c) in l, extrapolated: its correction falls like ln(l)/l."""
    ds = simulated(OF_DECAY, effort).transpose("width", "layer", ...)
    value, error = _slope(
        *at_infinity_of_layers(ds.distance_controlled.values, ds.distance_controlled_stderr.values)
    )
    # The correction at these depths is that of infinite width, whose recursion has no error.
    exact = _slope(trajectory(LATE, distance=1.0).distance, np.zeros(LATE))[0]
    far = trajectory(FAR, distance=1.0).distance
    limit = (far[-1] ** -0.5 - far[FAR // 2 - 1] ** -0.5) / (FAR // 2)
    return compared(_square(value * limit / exact), _square(value) * 2.0 * error / value, published)


def at_infinity_of_layers(values: np.ndarray, errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Extrapolate in N, layer by layer."""
    found = [at_infinity(v, e) for v, e in zip(values.T, errors.T, strict=True)]
    means, own = np.array(found).T
    return means, own


def _slope(distance: np.ndarray, error: np.ndarray) -> tuple[float, float]:
    ends = distance[[EARLY - 1, LATE - 1]]
    roots = ends**-0.5
    errors = 0.5 * ends**-1.5 * error[[EARLY - 1, LATE - 1]]
    return float(roots[1] - roots[0]) / (LATE - EARLY), float(np.hypot(*errors)) / (LATE - EARLY)


def _square(slope: float) -> float:
    return 1.0 / slope**2


HAYOU = Row(
    "hayou/decay of 1 - c",
    "Hayou, Doucet & Rousseau, arXiv 1902.06853, ReLU at criticality: 1 − c ~ 9π²/(2 l²)",
    OF_DECAY,
    "9π²/2 = 44.41",
    partial(decay, published=4.5 * math.pi**2),
    why="slope of 1/√(1 − c) from layer 128 to 512, extrapolated to N = ∞, times the ratio of "
    "slopes up to layer 40,000 and up to 512 in mean field",
)


# --- arc-cosine kernels ---------------------------------------------------------------------------

OVERLAPS = (-0.9, -0.5, 0.0, 0.5, 0.9)
OF_KERNELS = "simulate --width 1024 --depth 1 --correlation=-0.9,-0.5,0,0.5,0.9 --trials 4000"


def kernel(effort: Effort, degree: int, shift: float = 0.0) -> Found:
    """Compare E⟨x₁x₂⟩, or the share of nodes active for both, with J₁, or J₀: the largest |z|."""
    ds = simulated(OF_KERNELS, effort).isel(layer=0)
    worst = 0.0
    for overlap in OVERLAPS:
        theta = math.acos(overlap)
        bent = math.sin(theta) + (math.pi - theta) * overlap
        at = (
            ds.sel(correlation=overlap, method="nearest")
            if "correlation" in ds.dims
            else ds.sel(overlap=overlap, method="nearest")
        )
        if degree == 1:
            z = (float(at["product"]) - 2.0 * bent / (2.0 * math.pi) - shift) / float(
                at.product_stderr
            )
        else:
            both = (math.pi - theta) / (2.0 * math.pi)
            seen = 1.0 - float(at.inactive1) - float(at.inactive2) + float(at.inactive_both)
            error = math.hypot(
                *(float(at[f"{x}_stderr"]) for x in ("inactive1", "inactive2", "inactive_both"))
            )
            z = (seen - both - shift) / error
        worst = max(worst, abs(z))
    return Found(f"largest |z| {worst:.1f} of 5", REPRODUCED if worst < 4.5 else CONTRADICTED)


CHO = [
    Row(
        f"cho-saul/kernel of degree {degree}",
        "Cho & Saul 2009 (NIPS 22), equations 4 to 6",
        OF_KERNELS,
        {1: "E⟨x₁x₂⟩ = q[sin θ + (π − θ) cos θ]/(2π)", 0: "both active: (π − θ)/(2π)"}[degree],
        partial(kernel, degree=degree),
    )
    for degree in (0, 1)
]


# --- independent outputs --------------------------------------------------------------------------

OF_SHIFT = "simulate --width 1024,4096 --depth 50 --k 0,inf --correlation 0.5 --trials 1000"


def independent(effort: Effort, k: float, layer: int, published: float) -> Found:
    """Compare c of a layer, extrapolated to N = ∞."""
    at = simulated(OF_SHIFT, effort).sel(k=k, layer=layer)
    return compared(
        *at_infinity(at.correlation_controlled.values, at.correlation_controlled_stderr.values),
        published,
    )


def shifted_mean(effort: Effort) -> Found:
    """Return the mean activation over √(q/2): what zero-sum weights subtract, and others keep."""
    ds = simulated(OF_SHIFT, effort).sel(k=0.0, width=4096).isel(layer=0)
    return compared(float(ds.mean1), float(ds.mean1_stderr), 1.0 / math.sqrt(math.pi))


MERGED = float(trajectory(20, correlation=0.5).correlation[-1])
DUNBAR = [
    Row(
        "dunbar-aaronson/E phi = 0",
        "Dunbar & Aaronson, arXiv 2510.06527: outputs nearly independent exactly if E φ = 0",
        OF_SHIFT,
        "correlation 0 (zero-sum weights subtract the mean: φ − ⟨φ⟩)",
        partial(independent, k=math.inf, layer=50, published=0.0),
        why="extrapolated to N = ∞ from N = 1024 and 4096, by control variates",
    ),
    Row(
        "dunbar-aaronson/E phi above 0",
        "the same, for ReLU as it is (E φ = √(q/(2π)))",
        OF_SHIFT,
        f"correlation away from 0; mean field {MERGED:.5f} at layer 20",
        partial(
            independent,
            k=0.0,
            layer=20,
            published=MERGED,
        ),
        why="as above",
    ),
    Row(
        "dunbar-aaronson/mean activation",
        "the shift itself: E φ = √(q/(2π)) at q = 2",
        OF_SHIFT,
        "1/√π = 0.56419",
        shifted_mean,
    ),
]

ROWS = [*jakub(), HAYOU, *CHO, *DUNBAR]
WRONG = [
    Row(
        "jakub-nica/mean at layer 30, of infinite width",
        JAKUB,
        OF_ANGLE,
        "-5.167",
        partial(angle_mean, layer=LAST, published=-5.167, error=0.006),
    ),
    Row(
        "cho-saul/kernel of degree 1, 1 % of q higher",
        "Cho & Saul 2009",
        OF_KERNELS,
        "",
        partial(kernel, degree=1, shift=0.02),
    ),
]

"""Elementary functions against multiple precision, fused multiply-add against exact fractions.

And the promise they are there for: the same bytes on processors with and without wide vectors.
"""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from llvmlite import binding
from mpmath import mp, mpf
from numba import njit

from simcore.numerics import arithmetic

Number: TypeAlias = Any
Floats: TypeAlias = npt.NDArray[np.float64]

COMPILES = settings(deadline=None)
"""The first call of a kernel takes seconds."""

RNG = np.random.default_rng(20250101)

# --- powers of two --------------------------------------------------------------------------------

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@COMPILES
@given(FINITE, st.integers(-4500, 4500) | st.integers(-1100, -1000))
def test_scaling_is_that_of_ldexp(x: float, exponent: int) -> None:
    """Subnormal results are rounded once, of subnormal numbers too."""
    try:
        expected = math.ldexp(x, exponent)
    except OverflowError:
        expected = math.copysign(math.inf, x)
    assert repr(arithmetic.scaled(x, exponent)) == repr(expected)


@COMPILES
@given(
    FINITE.filter(lambda x: 2.0**-1022 <= abs(x) < 2.0**969) | st.just(0.0),
    st.integers(-4500, 4500) | st.integers(-1100, -1000),
)
def test_brief_scaling_is_that_of_ldexp(x: float, exponent: int) -> None:
    try:
        expected = math.ldexp(x, exponent)
    except OverflowError:
        expected = math.copysign(math.inf, x)
    assert repr(arithmetic.scaled_briefly(x, exponent)) == repr(expected)


@COMPILES
@given(FINITE.filter(bool))
def test_exponents_are_those_of_frexp(x: float) -> None:
    assert arithmetic.binary_exponent(x) == math.frexp(x)[1]


# --- log and arctan2 ------------------------------------------------------------------------------

LOG_ULPS = 1.5
"""What the docstring states; 1.001 is the most in 2·10⁷ arguments."""

ARCTAN2_ULPS = 5.0
"""4.27 is the most in 5·10⁷ arguments, just above the angle π/8."""


def worst(
    function: Callable[..., float],
    exact: Callable[..., Number],
    points: Iterable[tuple[float, ...]],
) -> tuple[float, tuple[float, ...]]:
    """Return the largest error in ulps of the exact value, and where it is."""

    def error(point: tuple[float, ...]) -> float:
        value = exact(*(mpf(x) for x in point))
        return float(abs(mpf(function(*point)) - value) / mpf(math.ulp(float(value))))

    with mp.workprec(160):
        return max((error(point), point) for point in points)


def powers(low: float, high: float, count: int = 3000) -> Floats:
    """Random numbers, log-uniform from 2^low to 2^high."""
    return np.asarray(2.0 ** RNG.uniform(low, high, count))


def signs(count: int = 3000) -> Floats:
    return RNG.choice([-1.0, 1.0], count)


LOGARITHMS = {
    "normal numbers": powers(-1022.0, 1023.99),
    "near 1": 1.0 + signs() * powers(-52.0, -1.0),
    "1 ± 2⁻²⁰": 1.0 + signs() * powers(-22.0, -18.0),
    "beside √½": math.sqrt(0.5) * RNG.uniform(0.99, 1.01, 3000) * 2.0 ** RNG.integers(-9, 9, 3000),
    "powers of two": 2.0 ** np.arange(-1022.0, 1024.0),
    "worst known": np.array([0.7070129296157425, 0.7038725136735745]),
    "ends": np.array([2.0**-1022, 1e-300, 1.0 - 2.0**-53, 1.0 + 2.0**-52, 1.7e308]),
}


@pytest.mark.parametrize("x", LOGARITHMS.values(), ids=LOGARITHMS.keys())
def test_log_is_as_accurate_as_stated(x: Floats) -> None:
    points = [(float(value),) for value in x if value != 1.0]
    error, where = worst(arithmetic.log, mp.log, points)
    assert error <= LOG_ULPS, where


def test_log_of_one_is_zero() -> None:
    assert arithmetic.log(1.0) == 0.0


def on_circle(low: float, high: float) -> tuple[Floats, Floats]:
    angle, radius = RNG.uniform(low, high, 3000), powers(-3.0, 3.0)
    return radius * np.sin(angle), radius * np.cos(angle)


POINTS: dict[str, tuple[npt.ArrayLike, npt.ArrayLike]] = {
    "half circle": on_circle(0.0, math.pi),
    "above π/8": on_circle(math.pi / 8.0, 0.4),
    "about π/4": on_circle(math.pi / 4.0 - 1e-9, math.pi / 4.0 + 1e-9),
    "about π/2": on_circle(math.pi / 2.0 - 1e-9, math.pi / 2.0 + 1e-9),
    "below π": on_circle(math.pi - 1e-9, math.pi),
    "moderate ratios": (powers(-60.0, 60.0), signs() * powers(-60.0, 60.0)),
    "huge ratios": (powers(-1000.0, 1000.0), signs() * powers(-1000.0, 1000.0)),
    "subnormal y": (powers(-1074.0, -1022.0), signs() * powers(-3.0, 3.0)),
    "subnormal x": (powers(-3.0, 3.0), signs() * powers(-1074.0, -1022.0)),
    "y = 0": (0.0, signs() * powers(-300.0, 300.0)),
    "x = 0": (powers(-1074.0, 1023.0), 0.0),
    "ends": ([1e-300, 1e308, 5e-324, 1e-300], [1e-300, 1e308, -5e-324, -1.0]),
    "worst known": (
        [3.003380238021651, 0.24880228616471117],
        [7.243802716376696, 0.5947742367355384],
    ),
}


@pytest.mark.parametrize("point", POINTS.values(), ids=POINTS.keys())
def test_arctan2_is_as_accurate_as_stated(point: tuple[npt.ArrayLike, npt.ArrayLike]) -> None:
    y, x = np.broadcast_arrays(*point)
    points = list(zip(np.abs(y).tolist(), x.tolist(), strict=True))
    error, where = worst(arithmetic.arctan2, mp.atan2, points)
    assert error <= ARCTAN2_ULPS, where
    assert all(0.0 <= arithmetic.arctan2(*point) <= math.pi for point in points)


@pytest.mark.parametrize(
    ("y", "x", "angle"),
    [
        (0.0, 0.0, 0.0),
        (0.0, -0.0, 0.0),
        (0.0, 3.0, 0.0),
        (0.0, -3.0, math.pi),
        (3.0, 0.0, math.pi / 2.0),
        (3.0, -0.0, math.pi / 2.0),
        (3.0, 3.0, math.pi / 4.0),
        (3.0, -3.0, 3.0 * math.pi / 4.0),
    ],
)
def test_arctan2_of_the_axes_and_diagonals_is_exact(y: float, x: float, angle: float) -> None:
    assert arithmetic.arctan2(y, x) == angle


# --- exp and powers -------------------------------------------------------------------------------

EXP_ULPS = 1.0
"""What the docstring states; 0.83 is the most in 2·10⁵ arguments."""

EXPONENTS = {
    "down to −700": RNG.uniform(-700.0, 0.0, 3000),
    "small": -powers(-60.0, 3.0),
    "beside multiples of ½ ln 2": -RNG.integers(0, 2000, 3000) * (0.5 * math.log(2.0)),
    "ends": np.array([0.0, -5e-324, -700.0]),
}


@pytest.mark.parametrize("x", EXPONENTS.values(), ids=EXPONENTS.keys())
def test_exp_is_as_accurate_as_stated(x: Floats) -> None:
    points = [(float(value),) for value in x]
    error, where = worst(arithmetic.exp_below_0, mp.exp, points)
    assert error <= EXP_ULPS, where


@pytest.mark.parametrize("n", [0, 1, 2, 3, 64, 1000, 65_537, 1_000_000])
def test_whole_powers_are_as_accurate_as_stated(n: int) -> None:
    """Also where squares beyond the power, which are not formed, would be 0."""
    least = 10.0 ** (-300.0 / max(n, 1))
    for x in (*RNG.uniform(least, 1.0, 50), least, 1.0):
        with mp.workprec(160):
            error = float(abs(mpf(arithmetic.whole_power(x, n)) / mpf(x) ** n - 1))
        assert error <= n * 1.2e-16


def test_powers_below_float64_are_zero() -> None:
    assert arithmetic.whole_power(0.5, 1_000_000) == 0.0
    assert arithmetic.whole_power(0.0, 1) == 0.0
    assert arithmetic.whole_power(0.0, 0) == 1.0


# --- primitives -----------------------------------------------------------------------------------


@njit
def kernel_fma32(a, b, c):  # type: ignore[no-untyped-def]
    return arithmetic.fma32(a, b, c)


@njit
def kernel_fma64(a, b, c):  # type: ignore[no-untyped-def]
    return arithmetic.fma64(a, b, c)


def nearest(exact: Fraction, kind: type[np.float32] | type[np.float64]) -> float:
    """Round a fraction to the nearest float, ties to even, by looking at all candidates."""
    with np.errstate(all="ignore"):
        near = kind(float(exact))
        candidates = (near, np.nextafter(near, kind(-np.inf)), np.nextafter(near, kind(np.inf)))
    bits = {2: np.uint16, 4: np.uint32, 8: np.uint64}[near.itemsize]
    return float(
        min(
            (value for value in candidates if np.isfinite(value)),
            key=lambda value: (abs(Fraction(float(value)) - exact), int(value.view(bits)) % 2),
        )
    )


@COMPILES
@given(*[st.floats(width=32, allow_nan=False, allow_infinity=False)] * 3)
def test_fma32_rounds_once(a: float, b: float, c: float) -> None:
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    assume(abs(exact) <= float(np.finfo(np.float32).max))
    fused = kernel_fma32(np.float32(a), np.float32(b), np.float32(c))
    assert fused == nearest(exact, np.float32)


@COMPILES
@given(*[st.floats(allow_nan=False, allow_infinity=False)] * 3)
def test_fma64_rounds_once(a: float, b: float, c: float) -> None:
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    assume(abs(exact) <= sys.float_info.max)
    assert kernel_fma64(a, b, c) == nearest(exact, np.float64)


@pytest.mark.parametrize(
    ("kernel", "kind", "bits"), [(kernel_fma32, np.float32, 23), (kernel_fma64, np.float64, 52)]
)
def test_fma_is_not_a_product_and_a_sum(
    kernel: Callable[..., float], kind: type[np.float32] | type[np.float64], bits: int
) -> None:
    step = 2.0**-bits
    a, b, c = kind(1.0 + step), kind(1.0 - step), kind(-1.0)
    assert a * b + c == 0.0
    assert kernel(a, b, c) == -(step**2)
    # Random operands, of which cancellation leaves the rounding of the product.
    for x, y in RNG.uniform(1.0, 2.0, (500, 2)).astype(kind):
        product = x * y
        error = Fraction(float(x)) * Fraction(float(y)) - Fraction(float(product))
        assert kernel(x, y, -product) == float(error)


@njit
def kernel_bits(integers, floats, back):  # type: ignore[no-untyped-def]
    for i in range(integers.size):
        floats[i] = arithmetic.float_from_bits(integers[i])
        back[i] = arithmetic.float_to_bits(floats[i])


def test_bits_of_a_float32_and_back() -> None:
    edges = [0, -(2**31), 1, 0x7F800000, 0x7FC00000, 0x007FFFFF, 0x3F800000, -1]
    integers = np.append(edges, RNG.integers(-(2**31), 2**31, 20000)).astype(np.int32)
    floats, back = np.empty(integers.size, np.float32), np.empty_like(integers)
    kernel_bits(integers, floats, back)
    np.testing.assert_array_equal(back, integers)
    np.testing.assert_array_equal(floats.view(np.int32), integers)


# --- the same bytes on every processor ------------------------------------------------------------

SCRIPT = Path(__file__).parent / "randomness" / "same_bytes.py"
HASWELL = ("avx2", "fma", "bmi", "bmi2", "lzcnt", "movbe", "f16c")
SKYLAKE = (*HASWELL, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")
VARIANTS: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "host": ({}, ()),
    "x86-64": ({"NUMBA_CPU_NAME": "generic"}, ()),
    # Without AVX-512 the host itself stands for AVX2, which saves half the time.
    "AVX2": ({"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": ""}, SKYLAKE),
}
"""Settings of Numba, and the features that the processor must have to run the code."""

PARTS = ("normals", "elementary", "trajectories")
TIMEOUT = 600.0


def runs_here(features: tuple[str, ...]) -> bool:
    host = binding.get_host_cpu_features()
    return all(host.get(feature, False) for feature in features)


def start(variant: str, target: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start the script for a target; its kernels are cached, as they take long to compile."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES")
    }
    environment |= target
    return subprocess.Popen(
        [sys.executable, "-W", "error", str(SCRIPT)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def reports() -> dict[str, dict[str, Any]]:
    """Return what the script printed for every variant that this machine can run."""
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("the variants are those of x86-64")
    started = {
        variant: start(variant, target)
        for variant, (target, features) in VARIANTS.items()
        if runs_here(features)
    }
    found = {}
    for variant, process in started.items():
        output, errors = process.communicate(timeout=TIMEOUT)
        assert process.returncode == 0, (variant, errors)
        found[variant] = json.loads(output)
    return found


@pytest.mark.slow
@pytest.mark.processor
@pytest.mark.xdist_group("instructions")
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "host"])
def test_bytes_do_not_depend_on_the_instruction_set(
    variant: str, part: str, reports: dict[str, dict[str, Any]]
) -> None:
    if variant not in reports:
        pytest.skip(f"{variant} is no target beside the host on this processor")
    assert reports[variant][part] == reports["host"][part]


@pytest.mark.slow
@pytest.mark.processor
@pytest.mark.xdist_group("instructions")
def test_the_variants_are_different_programs(reports: dict[str, dict[str, Any]]) -> None:
    # Else equal bytes would show nothing.
    assert not reports["x86-64"]["fused"]
    assert reports["x86-64"]["vectors"] == ["xmm"]
    if runs_here(HASWELL):
        other = reports.get("AVX2", reports["host"])
        assert other["fused"]
        assert "ymm" in other["vectors"]
    if runs_here(SKYLAKE):
        assert "zmm" in reports["host"]["vectors"]

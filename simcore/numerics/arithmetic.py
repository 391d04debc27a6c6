"""Exactly rounded primitives and our own elementary functions, the same bits on every machine.

Results may be built from + − × ÷ √ and explicit fused multiply-add only: these are IEEE operations,
which any processor rounds alike. The polynomials here stand in for libm, whose bits differ between
instruction sets and releases.

Everything here compiles for a CPU and, inlined into a kernel, for a GPU. There a compiler may fuse
a product and a sum into one rounding unless the product says that it must not: code that runs on
both writes `times(a, b)` for a·b. On a CPU that is the plain product.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic

from .kernels import njit

_i32, _i64 = np.int32, np.int64

GPU = "nvptx"
"""Prefix of the triple of a module that is compiled for a GPU."""


def _fma(float_type: Any) -> Any:
    def fma(typing_context: Any, a: Any, b: Any, c: Any) -> Any:  # noqa: ARG001 - numba's signature
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
            return builder.fma(*args)

        return float_type(float_type, float_type, float_type), generate

    return intrinsic(fma)


def _bitcast(source: Any, target: Any, target_ir: Any) -> Any:
    def bitcast(typing_context: Any, x: Any) -> Any:  # noqa: ARG001 - numba's signature
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
            return builder.bitcast(args[0], target_ir)

        return target(source), generate

    return intrinsic(bitcast)


def _times(typing_context: Any, a: Any, b: Any) -> Any:  # noqa: ARG001 - numba's signature
    float_type = types.float64 if types.float64 in (a, b) else types.float32

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if not builder.module.triple.startswith(GPU):
            return builder.fmul(*args)
        value = context.get_value_type(signature.return_type)
        name = "llvm.nvvm.mul.rn." + ("d" if signature.return_type == types.float64 else "f")
        kind = ir.FunctionType(value, [value, value])
        function = get_or_insert_function(builder.module, kind, name)  # type: ignore[no-untyped-call]
        return builder.call(function, args)

    return float_type(float_type, float_type), generate


def _wide_product(typing_context: Any, word: Any, factor: Any) -> Any:  # noqa: ARG001
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
        short, wide = ir.IntType(32), ir.IntType(64)
        if not builder.module.triple.startswith(GPU):
            mask = ir.Constant(wide, 0xFFFFFFFF)
            return builder.mul(*(builder.and_(arg, mask) for arg in args))
        kind = ir.FunctionType(wide, [short, short])
        multiply = ir.InlineAsm(kind, "mul.wide.u32 $0, $1, $2;", "=l,r,r")
        return builder.call(multiply, [builder.trunc(arg, short) for arg in args])

    return types.uint64(types.uint64, types.uint64), generate


times: Any = intrinsic(_times)
"""a·b, rounded once and never fused with a sum; float32 if both are, else float64."""

_wide: Any = intrinsic(_wide_product)

fma32 = _fma(types.float32)
"""a·b + c in float32, rounded once."""

fma64 = _fma(types.float64)
"""a·b + c in float64, rounded once."""

float_to_bits = _bitcast(types.float32, types.int32, ir.IntType(32))
"""The bits of a float32 as an int32."""

float_from_bits = _bitcast(types.int32, types.float32, ir.FloatType())
"""The float32 whose bits an int32 holds."""

_double_to_bits = _bitcast(types.float64, types.int64, ir.IntType(64))
_double_from_bits = _bitcast(types.int64, types.float64, ir.DoubleType())

SQRT_HALF_BITS = 0x3FE6A09E667F3BCD
MANTISSA_BITS = 52
EXPONENT_FIELD = 0x7FF
BIAS, LEAST_NORMAL = 1023, -1022
"""Of the exponents of float64."""

FAR_UP, FAR_DOWN = 2.0**1023, 2.0**-969
SUBNORMAL_SHIFT = 54
LIFT = 2.0**SUBNORMAL_SHIFT
LN2 = 0.6931471805599453
LN2_TAIL = 2.3190468138462996e-17
"""ln 2 − LN2, so that an exponent times ln 2 keeps its last bits."""

INVERSE_LN2 = 1.4426950408889634
HALF_PI = 1.5707963267948966
HALF_PI_TAIL = 6.123233995736766e-17
QUARTER_PI = 0.7853981633974483
TAN_EIGHTH_PI = 0.41421356237309503


@njit(inline="always")
def at_least_0(x):
    """Return x, or 0 where rounding has left less, with one sign of zero on every device."""
    return x if x > 0.0 else 0.0


@njit(inline="always")
def wide_product(word, factor):
    """Return the 64-bit product of the low 32 bits of two uint64.

    One instruction on a GPU, which compilers would not find by themselves.
    """
    return _wide(word, factor)


@njit(nogil=True, cache=True, forceinline=True)
def binary_exponent(x):
    """Return e of |x| = m·2^e with ½ ≤ m < 1, of a finite float64 other than 0, as `frexp` does."""
    field = (_double_to_bits(x) >> MANTISSA_BITS) & EXPONENT_FIELD
    if field == 0:
        lifted = _double_to_bits(times(x, LIFT))
        field = ((lifted >> MANTISSA_BITS) & EXPONENT_FIELD) - SUBNORMAL_SHIFT
    return field - (BIAS - 1)


@njit(nogil=True, cache=True, forceinline=True)
def scaled(x, exponent):
    """Return x·2^exponent, rounded once even where it is subnormal, as `ldexp` does.

    Steps down leave a last one of at least 2⁻⁵³, so that only that one can round.
    """
    for _ in range(2):
        if exponent > BIAS:
            x, exponent = times(x, FAR_UP), exponent - BIAS
        elif exponent < LEAST_NORMAL:
            x, exponent = times(x, FAR_DOWN), exponent - (LEAST_NORMAL + 53)
    exponent = min(max(exponent, LEAST_NORMAL), BIAS)
    return times(x, _double_from_bits((exponent + BIAS) << MANTISSA_BITS))


@njit(nogil=True, cache=True, forceinline=True)
def scaled_briefly(x, exponent):
    """Return `scaled` of a normal x below 2⁹⁶⁹, by two products for a kernel with few registers.

    The second one is the larger step, so that only it can round.
    """
    last = min(max(exponent, LEAST_NORMAL), BIAS)
    first = min(max(exponent - last, LEAST_NORMAL), BIAS)
    x = times(x, _double_from_bits((first + BIAS) << MANTISSA_BITS))
    return times(x, _double_from_bits((last + BIAS) << MANTISSA_BITS))


@njit(nogil=True, cache=True, forceinline=True, error_model="numpy")
def log(x: float) -> float:
    """Natural logarithm of a positive, finite, normal float64, within 1.5 ulp.

    ln m = 2 artanh(s), s = (m − 1)/(m + 1), by its Taylor series: m in [√½, √2) makes |s| < 0.172,
    and eleven terms leave 2e-18.
    """
    bits = _double_to_bits(x)
    exponent = (bits - SQRT_HALF_BITS) >> MANTISSA_BITS
    f = _double_from_bits(bits - (exponent << MANTISSA_BITS)) - 1.0
    s = f / (2.0 + f)
    z = times(s, s)
    p = 1.0 / 23.0
    p = fma64(p, z, 1.0 / 21.0)
    p = fma64(p, z, 1.0 / 19.0)
    p = fma64(p, z, 1.0 / 17.0)
    p = fma64(p, z, 1.0 / 15.0)
    p = fma64(p, z, 1.0 / 13.0)
    p = fma64(p, z, 1.0 / 11.0)
    p = fma64(p, z, 1.0 / 9.0)
    p = fma64(p, z, 1.0 / 7.0)
    p = fma64(p, z, 1.0 / 5.0)
    p = fma64(p, z, 1.0 / 3.0)
    # 2s = f - s f exactly in real numbers; this form keeps the rounding of s out of the first term.
    tail = fma64(times(times(2.0, s), z), p, times(-s, f))
    e = float(exponent)
    result: float = fma64(e, LN2, f + fma64(e, LN2_TAIL, tail))
    return result


@njit(nogil=True, cache=True, forceinline=True)
def exp_below_0(x: float) -> float:
    """Exponential of a number from −700 to 0, within 1 ulp.

    With x = k ln 2 + f, |f| ≤ ½ ln 2, the Taylor series of eᶠ; fourteen terms leave 4e-18.
    """
    k = _i32(times(x, INVERSE_LN2) - 0.5)  # towards zero
    e = float(k)
    f = fma64(-e, LN2_TAIL, fma64(-e, LN2, x))
    p = 1.0 / 6227020800.0
    p = fma64(p, f, 1.0 / 479001600.0)
    p = fma64(p, f, 1.0 / 39916800.0)
    p = fma64(p, f, 1.0 / 3628800.0)
    p = fma64(p, f, 1.0 / 362880.0)
    p = fma64(p, f, 1.0 / 40320.0)
    p = fma64(p, f, 1.0 / 5040.0)
    p = fma64(p, f, 1.0 / 720.0)
    p = fma64(p, f, 1.0 / 120.0)
    p = fma64(p, f, 1.0 / 24.0)
    p = fma64(p, f, 1.0 / 6.0)
    p = fma64(p, f, 0.5)
    p = fma64(p, f, 1.0)
    power = _double_from_bits(_i64(_i64(k + BIAS) << MANTISSA_BITS))
    result: float = times(fma64(p, f, 1.0), power)
    return result


@njit(nogil=True, cache=True, forceinline=True)
def whole_power(x: float, n: int) -> float:
    """Return x^n of x from 0 to 1 and a whole n ≥ 0, to a relative n · 1.2e-16, by squaring.

    No square that is formed is below the result, so that none leaves float64 before it does.
    """
    result = 1.0
    while n > 0:
        if n & 1:
            result = times(result, x)
        n >>= 1
        if n > 0:
            x = times(x, x)
    return result


@njit(nogil=True, cache=True, forceinline=True)
def arctan2(y: float, x: float) -> float:
    """Angle of the point (x, y) for y ≥ 0, in [0, π], within 5 ulp; 0 at the origin.

    The ratio is brought below tan(π/16) by a rotation of π/4 and one half-angle step, where twelve
    terms of the Taylor series leave 1e-17.
    """
    run = abs(x)
    if y == 0.0 and run == 0.0:
        return 0.0
    swap = y > run
    t = run / y if swap else y / run
    turned = t > TAN_EIGHTH_PI
    if turned:
        t = (t - 1.0) / (t + 1.0)
    t = t / (1.0 + math.sqrt(fma64(t, t, 1.0)))
    z = times(t, t)
    p = 1.0 / 25.0
    p = fma64(-p, z, 1.0 / 23.0)
    p = fma64(-p, z, 1.0 / 21.0)
    p = fma64(-p, z, 1.0 / 19.0)
    p = fma64(-p, z, 1.0 / 17.0)
    p = fma64(-p, z, 1.0 / 15.0)
    p = fma64(-p, z, 1.0 / 13.0)
    p = fma64(-p, z, 1.0 / 11.0)
    p = fma64(-p, z, 1.0 / 9.0)
    p = fma64(-p, z, 1.0 / 7.0)
    p = fma64(-p, z, 1.0 / 5.0)
    p = fma64(-p, z, 1.0 / 3.0)
    angle: float = times(2.0, fma64(-times(t, z), p, t))
    if turned:
        angle = QUARTER_PI + angle
    if swap:
        angle = HALF_PI - (angle - HALF_PI_TAIL)
    if x < 0.0:
        angle = 2.0 * HALF_PI - (angle - 2.0 * HALF_PI_TAIL)
    return angle

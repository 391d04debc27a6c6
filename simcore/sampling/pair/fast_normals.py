"""Normals by a GPU's own approximations of the logarithm, the square root, sine and cosine.

The words of Philox, and what their bits mean, are those of `rng.normal_pair`; only the elementary
functions differ, so that the normals of both agree to rounding. A kernel draws these where its
physics is a `FastPhysics`: the type alone chooses, when the kernel is compiled.

PTX promises (ISA 9.1, 9.7.3) lg2 to 2⁻²², absolute for arguments in (½, 2) and relative below; sqrt
to 2⁻²³, relative; sin and cos to 2^−20.5, absolute. With the roundings between, a normal of radius
r is off from Box–Muller's of the same u and angle by at most

    1.2e-6 r + min(3.4e-7 / r, 5.8e-4).

(The exact sampler is within 5 ulp of that.) The second term is the logarithm near u = 1: r² is
known there to 3.4e-7, where the steps of u make 1.2e-7 in either sampler; so the relative error of
r is up to 3.4e-7 / r² there. E z² is off by less than 2e-6 of itself, and by more than half of that
only if all errors of the hardware have one sign.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic

from simcore.numerics.arithmetic import GPU, times
from simcore.numerics.rng import angle_of, signed_radius, swapped, uniform_of

from .physics import FastPhysics

__all__ = ["approximates", "fast_normal_pair"]

TWO_LN2 = np.float32(2.0 * math.log(2.0))


def _approximation(name: str, on_cpu: str) -> Any:
    """Return a function of a float32: PTX's approximation of a name, and what LLVM has on a CPU.

    None of the arguments here is subnormal, nor is any result but one that may as well be 0; with
    ``ftz`` the assembler need not provide for them.
    """

    def approximation(typing_context: Any, x: Any) -> Any:  # noqa: ARG001 - numba's signature
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
            on_gpu = builder.module.triple.startswith(GPU)
            called = f"llvm.nvvm.{name}.approx.ftz.f" if on_gpu else f"llvm.{on_cpu}.f32"
            kind = ir.FunctionType(ir.FloatType(), [ir.FloatType()])
            function = get_or_insert_function(builder.module, kind, called)  # type: ignore[no-untyped-call]
            return builder.call(function, args)

        return types.float32(types.float32), generate

    return intrinsic(approximation)


_lg2, _sqrt = _approximation("lg2", "log2"), _approximation("sqrt", "sqrt")
_sin, _cos = _approximation("sin", "sin"), _approximation("cos", "cos")


def _is_fast(typing_context: Any, physics: Any) -> Any:  # noqa: ARG001 - numba's signature
    fast = physics.instance_class is FastPhysics

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
        return ir.Constant(ir.IntType(1), fast)

    return types.boolean(physics), generate


_type_is_fast: Any = intrinsic(_is_fast)


@njit(inline="always")
def approximates(physics):  # type: ignore[no-untyped-def]
    """Return whether normals are to be approximated: a constant of the compiler."""
    return _type_is_fast(physics)


@njit(inline="always")
def fast_normal_pair(radius_word, angle_word):  # type: ignore[no-untyped-def]
    """Two independent standard normals (float32) from two uint32 words, nearly `rng.normal_pair`'s.

    An approximate logarithm of u near 1 may be above 0: its absolute value, which costs a GPU
    nothing, keeps the square root from NaN.
    """
    r = _sqrt(times(abs(_lg2(uniform_of(radius_word))), TWO_LN2))
    a = angle_of(angle_word)
    return swapped(signed_radius(r, angle_word), _sin(a), _cos(a), angle_word)

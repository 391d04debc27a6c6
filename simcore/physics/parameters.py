"""Parameters of the physics: one register of names and words, and checks of single values."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from textwrap import shorten
from typing import Any

from simcore.errors import InputError

_TEX = {"σ": r"\sigma", "θ": r"\theta", "δ": r"\delta ", "Θ": r"\Theta ", "²": "^2"} | {
    "₁₁": "_{11}",
    "₁₂": "_{12}",
    "₂₂": "_{22}",
    "−": "-",
    "₊": "_+",
    "₋": "_-",
    "₀": "_0",
    "₁": "_1",
    "₂": "_2",
    "ln": r"\ln",
}
_ASCII = str.maketrans("−₊₋₀₁₂", "-+-012")


def tex(symbol: str) -> str:
    """Return a symbol in Unicode, such as ln(1 − c), as TeX; a word stays a word."""
    if len(symbol) > 1 and symbol.isascii() and symbol.isalpha():
        return symbol
    for character, command in _TEX.items():
        symbol = symbol.replace(character, command)
    return f"${symbol}$"


def plain_text(symbol: str) -> str:
    """Return a symbol in Unicode as it is typed on any terminal."""
    return symbol.translate(_ASCII)


@dataclass(frozen=True)
class Parameter:
    """A parameter of the physics, in words: a pure number.

    On the command line, underscores of the name are hyphens. `long_name` is its meaning, for
    readers of a file; `symbol` is in Unicode.
    """

    name: str
    long_name: str
    symbol: str

    @property
    def tex(self) -> str:
        """The symbol for a printed figure."""
        return tex(self.symbol)


PARAMETERS = {
    parameter.name: parameter
    for parameter in (
        Parameter("width", "nodes of a layer", "N"),
        Parameter("k", "correlation parameter of the weights", "k"),
        Parameter("g", "correlation strength of the weights, k/(1 + k)", "g"),
        Parameter("sigma_w", "weight scale (standard deviation)", "σ_w"),
        Parameter("sigma_b", "bias scale (standard deviation)", "σ_b"),
        Parameter("positive_slope", "slope of the activation above 0", "s₊"),
        Parameter("negative_slope", "slope of the activation below 0", "s₋"),
        Parameter("overlap", "initial correlation of the pair", "c₀"),
        Parameter("initial_distance", "1 - initial correlation of the pair", "1 − c₀"),
        Parameter("q0", "mean square of each input", "q₀"),
        Parameter("pair", "number of the pair", "pair"),
    )
}
"""Every parameter of a point by name, in the order of a grid's dimensions; g is beside k."""


def plain(x: float) -> float | str:
    """Return a number as JSON can hold it: infinity as "inf"."""
    return "inf" if math.isinf(x) else x


def shown(values: Sequence[float]) -> str:
    """Return values as a comma list."""
    return ",".join(f"{x:g}" for x in values)


def number(name: str, value: Any) -> float:
    """Return a real number of any type (NumPy's, PyTorch's, a Fraction) as one of Python's own.

    A whole number stays an int, so that a configuration holds it as it was given.

    Raises
    ------
    InputError
        If it is no single real number. Texts and truth values are none.
    """
    if _is_real(value):
        with suppress(TypeError, ValueError, OverflowError, RuntimeError):
            real = float(value)
            with suppress(TypeError):
                return int(operator.index(value))
            return real
    raise InputError(name, _line(value), "must be a number", "Give a single one, such as 0.5.")


WHOLE = "must be a whole number", "Write it as 4096, 4_096 or 1e7."
"""The rule that a whole number breaks, and the remedy."""


def whole(name: str, value: Any, low: int | None = None, high: int | None = None) -> int:
    """Return a whole number of any type, 1e3 among them, as an int.

    Raises
    ------
    InputError
        If it is no whole number, or not between the limits.
    """
    try:
        real = number(name, value)
    except InputError:
        real = math.nan
    if real != real or math.isinf(real) or real != int(real):
        raise InputError(name, _line(value), *WHOLE)
    found = int(real)
    if low is not None and high is not None and not low <= found <= high:
        rule = f"must be between {low} and {high}"
        raise InputError(name, found, rule, "Choose a value in that range.")
    return found


def several(values: Any) -> tuple[Any, ...]:
    """Return a single value, or a list, tuple or array of them, as a tuple.

    A set has no order, so it is one value, and refused where that is looked at.
    """
    single = isinstance(values, str | bytes | set | frozenset) or getattr(values, "ndim", None) == 0
    return (values,) if single or not isinstance(values, Iterable) else tuple(values)


def _is_real(value: Any) -> bool:
    """Return False for truth values, texts, arrays, masked values and complex numbers."""
    if isinstance(value, bool | str | bytes) or (getattr(value, "ndim", 0) or 0) > 0:
        return False
    if is_masked(value):
        return False
    dtype = getattr(value, "dtype", float)
    kind = str(getattr(dtype, "name", getattr(dtype, "__name__", dtype)))
    return "int" in kind or "float" in kind


def is_masked(value: Any) -> bool:
    """Return whether an array of NumPy's module `ma`, or a value of one, hides a value."""
    return type(value).__module__.startswith("numpy.ma") and bool(value.mask.any())


def _line(value: Any) -> Any:
    """Return a refused value as a message shows it, on one line."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return shorten(repr(value), 60, placeholder=" ...")


def sorted_grid(name: str, values: Any) -> tuple[Any, ...]:
    """Return numbers sorted, with −0 as 0; refuse NaN, emptiness and duplicates."""
    numbers = [number(name, x) for x in several(values)]
    ordered = tuple(sorted(x + 0 if isinstance(x, int) else x + 0.0 for x in numbers))
    if any(x != x for x in ordered):
        raise InputError(name, "nan", "must be a number", "Remove the NaN.")
    if not ordered and name != "width":
        raise InputError(name, "none", "is empty", "Give at least one value.")
    if len(set(ordered)) < len(ordered):
        twice = next(x for x, after in pairwise(ordered) if x == after)
        rule = f"names a value twice ({twice:g})"
        told = shown(ordered)
        told = told if len(told) <= 60 else f"{told[:60]}..."
        raise InputError(name, told, rule, "Name each value once.")
    return ordered


def check_choice(name: str, value: str, allowed: Sequence[str]) -> None:
    """Raise InputError unless `value` is one of those allowed."""
    if value not in allowed:
        raise InputError(name, value, "is not known", f"Choose one of: {', '.join(allowed)}.")


MAX_DEPTH = 2**24 - 1
"""Layers: 24 bits in the counter of random numbers, counted from 1."""

SCALE_LIMITS = (1e-100, 1e100)
"""Smallest and largest σ_w, σ_b and √q₀: their squares and the squares' products stay finite."""


def check_scale(field: str, value: Any, *, positive: bool) -> float:
    """Return a standard deviation as a number; InputError unless it is a usable one."""
    scale = number(field, value)
    low, high = SCALE_LIMITS
    if not (low <= scale <= high or (scale == 0.0 and not positive)):
        or_zero = "" if positive else "0 or "
        rule = f"must be {or_zero}between {low:g} and {high:g}"
        raise InputError(field, scale, rule, "Give a finite standard deviation.")
    return scale


def correlation_strength(k: float) -> float:
    """Return g = k/(1+k) ≤ 1, the strength of the correlation among a node's weights.

    theory.md 1 [SS]; −1 < k ≤ ∞, else InputError; positive k is anti-correlated, 0 independent.
    """
    k = number("k", k)
    if not k > -1.0:
        raise InputError(
            "k", k, "must be above -1 (inf is allowed)", "Give a value such as 0, 1 or inf."
        )
    return 1.0 if math.isinf(k) else k / (1.0 + k)


def norm_preserving_sigma_w(k: float) -> float:
    """Return the σ_w that keeps the mean squared pre-activation, σ_w² = 2π/(π − g).

    theory.md 1 [SS], for the `he` and `correlated` ensembles without bias, −1 < k ≤ ∞.
    """
    g = correlation_strength(k)
    return math.sqrt(2.0 * math.pi / (math.pi - g))

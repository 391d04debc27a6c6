"""Parameters of the physics: one register of names and words, and checks of single values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

from simcore.errors import InputError

_TEX = {"σ": r"\sigma", "θ": r"\theta", "−": "-", "₀": "_0", "₁": "_1", "₂": "_2", "ln": r"\ln"}
_ASCII = str.maketrans("−₀₁₂", "-012")


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
        Parameter("overlap", "initial correlation of the pair", "c₀"),
        Parameter("initial_distance", "1 - initial correlation of the pair", "1 − c₀"),
        Parameter("q0", "mean square of each input", "q₀"),
        Parameter("pair", "number of the pair", "pair"),
    )
}
"""Every parameter of a point by name, in the order of a grid's dimensions, and g beside k."""


def plain(x: float) -> float | str:
    """Return a number as JSON can hold it: infinity as "inf"."""
    return "inf" if math.isinf(x) else x


def shown(values: Sequence[float]) -> str:
    """Return values as a comma list."""
    return ",".join(f"{x:g}" for x in values)


def sorted_grid(name: str, values: Sequence[Any]) -> tuple[Any, ...]:
    """Return values sorted, with −0 as 0; refuse NaN, emptiness and duplicates."""
    ordered = tuple(sorted(x + 0 if isinstance(x, int) else x + 0.0 for x in values))
    if any(x != x for x in ordered):
        raise InputError(name, "nan", "must be a number", "Remove the NaN.")
    if not ordered and name != "width":
        raise InputError(name, "none", "is empty", "Give at least one value.")
    if len(set(ordered)) < len(ordered):
        raise InputError(name, shown(ordered), "names a value twice", "Name each value once.")
    return ordered


def check_integer(name: str, value: object, low: int, high: int) -> None:
    """Raise InputError unless `value` is a whole number between two limits."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise InputError(name, value, "must be a whole number", "Give an integer.")
    if not low <= int(value) <= high:
        raise InputError(
            name, value, f"must be between {low} and {high}", "Choose a value in that range."
        )


def check_choice(name: str, value: str, allowed: Sequence[str]) -> None:
    """Raise InputError unless `value` is one of those allowed."""
    if value not in allowed:
        raise InputError(name, value, "is not known", f"Choose one of: {', '.join(allowed)}.")


SCALE_LIMITS = (1e-100, 1e100)
"""Smallest and largest σ_w, σ_b and √q₀: their squares and the squares' products stay finite."""


def check_scale(field: str, value: float, *, positive: bool) -> None:
    """Raise InputError unless `value` is a usable standard deviation."""
    low, high = SCALE_LIMITS
    allowed = (value == 0.0 and not positive) or low <= value <= high
    if not allowed:
        or_zero = "" if positive else "0 or "
        raise InputError(
            field,
            value,
            f"must be {or_zero}between {low:g} and {high:g}",
            "Give a finite standard deviation.",
        )


def correlation_strength(k: float) -> float:
    """Return g = k/(1+k) ≤ 1, the strength of the correlation among a node's weights.

    theory.md 1 [SS]; −1 < k ≤ ∞, else InputError; positive k is anti-correlated, 0 independent.
    """
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

"""Values with first and second directional derivatives, carried exactly through arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .law import FloatArray


@dataclass(frozen=True, eq=False)
class Jet:
    """f(x + εd) = value + ε slope + ε² bend + O(ε³), for several directions d at each of P points.

    Exact derivatives need no step size, which no one choice could give at all angles.
    """

    value: FloatArray
    """Shape (P,)."""
    slope: FloatArray
    """Shape (direction, P)."""
    bend: FloatArray
    """Half the second derivative, shape (direction, P)."""

    def __add__(self, other: Jet) -> Jet:
        return Jet(self.value + other.value, self.slope + other.slope, self.bend + other.bend)

    def __sub__(self, other: Jet) -> Jet:
        return Jet(self.value - other.value, self.slope - other.slope, self.bend - other.bend)

    def __mul__(self, other: Jet) -> Jet:
        bend = self.value * other.bend + self.bend * other.value
        return Jet(
            self.value * other.value,
            self.value * other.slope + self.slope * other.value,
            bend + self.slope * other.slope,
        )

    def __truediv__(self, other: Jet) -> Jet:
        inverse = 1.0 / other.value
        return self * other.through(inverse, -(inverse**2), inverse**3)

    def times(self, factor: FloatArray) -> Jet:
        """Return the product with a constant of each point, shape (P,)."""
        return Jet(self.value * factor, self.slope * factor, self.bend * factor)

    def plus(self, term: FloatArray) -> Jet:
        """Return the sum with a constant of each point, shape (P,)."""
        return Jet(self.value + term, self.slope, self.bend)

    def through(self, value: FloatArray, first: FloatArray, second: FloatArray) -> Jet:
        """Return g(f) from g, g' and g''/2 at the value of f, each of shape (P,)."""
        return Jet(value, first * self.slope, first * self.bend + second * self.slope**2)

    def square(self) -> Jet:
        """Return f²."""
        return self.through(self.value**2, 2.0 * self.value, np.ones_like(self.value))

    def sqrt(self) -> Jet:
        """Return √f."""
        root = np.sqrt(self.value)
        return self.through(root, 0.5 / root, -0.125 / (self.value * root))

    def log(self) -> Jet:
        """Return ln f."""
        slope = self.slope / self.value
        return Jet(np.log(self.value), slope, self.bend / self.value - 0.5 * slope**2)

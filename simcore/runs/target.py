"""The standard error that ends a point of a run: of one observable, at every layer and pair."""

from __future__ import annotations

import math
from typing import NamedTuple

from simcore.errors import InputError
from simcore.physics.observables import GRADIENT_NAMES, NAMES, NETWORK_NAMES
from simcore.physics.parameters import number

DEFAULT = "correlation"
"""The observable that a number alone stands for."""

FORM = "Write it as 1e-3, of the correlation, or as log_q1=1e-3."


class Target(NamedTuple):
    """The standard error that the mean of an observable is to reach."""

    observable: str
    error: float

    @classmethod
    def of(cls, given: float | str) -> Target:
        """Read a number, of the correlation, or a text ``"OBSERVABLE=ERROR"``.

        Raises
        ------
        InputError
            If it is neither, or the error is out of range.
        """
        if not isinstance(given, str):
            return cls(DEFAULT, number("until_stderr", given))._checked(given)
        name, stands, value = given.rpartition("=")
        name = name.strip().replace("-", "_") if stands else DEFAULT
        try:
            error = float(value)
        except ValueError:
            raise InputError("until_stderr", given, "must be a number", FORM) from None
        return cls(name, error)._checked(given)

    def _checked(self, given: object) -> Target:
        known = NAMES + GRADIENT_NAMES + NETWORK_NAMES
        if self.observable not in known:
            remedy = f"Take one of {', '.join(known)}."
            raise InputError("until_stderr", given, "names no observable", remedy)
        highest = 1.0 if self.observable == DEFAULT else math.inf
        if not 0.0 < self.error < highest:
            between = "between 0 and 1" if highest == 1.0 else "above 0, and finite"
            remedy = f"Give the standard error that the mean {self.observable} is to reach."
            raise InputError("until_stderr", given, f"must be a number {between}", remedy)
        return self

    def plain(self) -> float | str:
        """Return the target as a configuration holds it: a number for the correlation."""
        if self.observable == DEFAULT:
            return self.error
        return f"{self.observable}={self.error!r}"

    def __str__(self) -> str:
        return f"{self.error:g} ({self.observable})"

"""The distributions of single weights: names, parameters, fourth moments.

Every law is standardised, mean 0 and variance 1; an ensemble sets the scale. `sampling.variates`
draws them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from simcore.errors import InputError

NORMAL, UNIFORM, RADEMACHER, LAPLACE, STUDENT, BERNOULLI = range(6)
"""Codes that kernels branch on; `WeightLaw.code`."""

_CODES = {
    "normal": NORMAL,
    "uniform": UNIFORM,
    "rademacher": RADEMACHER,
    "laplace": LAPLACE,
    "student": STUDENT,
    "bernoulli": BERNOULLI,
}
_PARAMETERS = {"student": "NU", "bernoulli": "P"}

WEIGHT_LAWS = tuple(
    f"{name}:{_PARAMETERS[name]}" if name in _PARAMETERS else name for name in _CODES
)
"""The laws as a user writes them, with the names of their parameters."""

MAX_STUDENT = 1e9
"""Degrees of freedom beyond which Student's t is a normal law to rounding."""

MIN_BERNOULLI = 1e-6
"""A probability is drawn as a multiple of 2⁻³², which is too coarse below."""


@dataclass(frozen=True)
class WeightLaw:
    """A standardised distribution: mean 0, variance 1, finite fourth moment.

    ``normal``; ``uniform`` on ±√3; ``rademacher``, ±1; ``laplace``; ``student``, Student's t with ν
    degrees of freedom, times √((ν−2)/ν); ``bernoulli``, a standard normal over √P with probability
    P, else 0. The parameter is ν, above 4, or P, in (0, 1]; 0 for the others. InputError if the law
    is unknown, or has no such parameter.
    """

    name: str
    parameter: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in _CODES:
            raise _refusal(self.name, "is not known")
        if self.name == "student":
            _check_student(self)
        elif self.name == "bernoulli":
            _check_bernoulli(self)
        elif self.parameter != 0.0:
            given = f"{self.name}:{_plain(self.parameter)}"
            raise _refusal(given, f"has a parameter, but {self.name} takes none")

    def __str__(self) -> str:
        if self.name in _PARAMETERS:
            return f"{self.name}:{_plain(self.parameter)}"
        return self.name

    @property
    def code(self) -> int:
        """The law as a small integer, for kernels."""
        return _CODES[self.name]

    @property
    def fourth_moment(self) -> float:
        """E z⁴ of the standardised variate z."""
        nu = p = self.parameter
        match self.name:
            case "uniform":
                return 9.0 / 5.0
            case "rademacher":
                return 1.0
            case "laplace":
                return 6.0
            case "student":
                return 3.0 * (nu - 2.0) / (nu - 4.0)
            case "bernoulli":
                return 3.0 / p
        return 3.0


def parse_weights(text: str) -> WeightLaw:
    """Return the law that a text such as ``"normal"`` or ``"student:5"`` names.

    Spaces around name and parameter are ignored. InputError if the law is unknown, or its parameter
    missing, superfluous, malformed or out of range.
    """
    name, colon, number = (part.strip() for part in text.partition(":"))
    if name not in _CODES:
        raise _refusal(text, "is not known")
    if name not in _PARAMETERS:
        if colon:
            raise _refusal(text, f"has a parameter, but {name} takes none")
        return WeightLaw(name)
    if not number:
        raise _refusal(text, f"lacks the parameter {_PARAMETERS[name]}")
    try:
        parameter = float(number)
    except ValueError:
        rule = f"has a parameter {_PARAMETERS[name]} that is not a number"
        raise _refusal(text, rule) from None
    return WeightLaw(name, parameter)


def _check_student(law: WeightLaw) -> None:
    if law.parameter <= 4.0:
        raise InputError(
            "weights",
            str(law),
            "is a distribution without the needed moment: the fourth is finite for NU above 4 only",
            "Choose a larger NU.",
        )
    if not law.parameter <= MAX_STUDENT:
        rule = f"must have a NU above 4 and at most {MAX_STUDENT:g}"
        raise InputError("weights", str(law), rule, "The limit of large NU is normal.")


def _check_bernoulli(law: WeightLaw) -> None:
    if not 0.0 < law.parameter <= 1.0:
        rule = "must have a probability P above 0 and at most 1"
        raise InputError("weights", str(law), rule, "Give a P such as 0.1.")
    if law.parameter < MIN_BERNOULLI:
        rule = f"must have a probability P of at least {MIN_BERNOULLI:g}"
        raise InputError("weights", str(law), rule, "Choose a larger P.")


def _refusal(text: str, rule: str) -> InputError:
    return InputError("weights", text, rule, f"Choose one of: {', '.join(WEIGHT_LAWS)}.")


def _plain(x: float) -> str:
    """Return the shortest text that float() reads back as x, whole numbers without a point."""
    return repr(float(x)).removesuffix(".0") if math.isfinite(x) else str(x)

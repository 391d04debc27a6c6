"""Verdicts of `simcore.compare` in words."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import groupby
from typing import Any

from simcore.numerics.text import counted
from simcore.physics.observables import BY_NAME, COVARIANCE, GRADIENTS, OBSERVABLES
from simcore.physics.parameters import plain_text

SYMBOLS = {o.name: o.name for o in OBSERVABLES + GRADIENTS} | {
    name: BY_NAME[name].heading or plain_text(BY_NAME[name].symbol)
    for name in (*COVARIANCE, "log_q2", "log_gradient1", "log_gradient2")
}
"""Observables as a sentence names them: ``ln q``, ``c``, ``ln(1 - c)``, others by their name."""

MEAN_FIELD = "mean field"

FIRST_ORDER = "first order in 1/N"

ABSENT = "no file has this point"

FEW = 64
"""Trials below which a verdict errs more often than it claims (`comparison`)."""

MAX_LISTED = 12
"""Deviating points that a text names one by one."""


@dataclass(frozen=True)
class Verdict:
    """Agreement of one observable of one point with a theory, all layers taken together.

    Parameters
    ----------
    observable
        Its name.
    against
        ``"mean field"`` or ``"first order in 1/N"``.
    point
        The swept parameters, and the pair of a shared network.
    missing
        Why there is no verdict; "" if there is one.
    agrees
        None if there is no verdict.
    p_value
        Probability of so large a |z| at any of the tested layers if theory holds.
    trials
        Number of trials with a value.
    layer, deviation, error, z
        The tested layer with the largest |z|: mean less theory there, one standard error, their
        ratio.
    expected
        First order in 1/N less mean field there.
    from_layer
        The layer from which on every layer is beyond three errors; None if the last is not.
    agrees_from_width
        Width, roughly, at which as many trials would no longer see it.
    """

    observable: str
    against: str
    point: Mapping[str, Any]
    missing: str = ""
    agrees: bool | None = None
    p_value: float | None = None
    trials: int | None = None
    layer: int | None = None
    deviation: float | None = None
    error: float | None = None
    z: float | None = None
    expected: float | None = None
    from_layer: int | None = None
    agrees_from_width: float | None = None

    @property
    def words(self) -> str:
        """The verdict as one sentence, without the point."""
        symbol = SYMBOLS.get(self.observable, self.observable)
        if self.agrees is None:
            return f"{symbol}: no verdict against {self.against}: {self.missing}."
        if self.agrees:
            text = f"{symbol} agrees with {self.against} (p = {self.p_value:.2g}"
            return text + (f", largest |z| {abs(self.z):.1f})." if self.z is not None else ").")
        parts = [f"{symbol} deviates from {self.against} ({_probability(self.p_value)})"]
        parts += [", ".join(self._size())] if self.layer is not None else []
        return ": ".join(parts) + "." + "".join(f" {more}" for more in self._range())

    def _size(self) -> Iterator[str]:
        yield f"by {self.deviation:+.2g} at layer {self.layer}"
        if self.error:
            yield f"{abs(self.z or 0.0):.1f} standard errors"
        if self.expected is not None and self.against == MEAN_FIELD:
            yield f"where first order in 1/N says {self.expected:+.2g}"
        elif self.expected:
            share = abs((self.deviation or 0.0) / self.expected)
            yield f"{100.0 * share:.2g} % of what first order adds to mean field"

    def _range(self) -> Iterator[str]:
        if self.from_layer is not None:
            yield f"Beyond 3 errors from layer {self.from_layer} on."
        if self.agrees_from_width is not None:
            width = rounded(self.agrees_from_width)
            yield f"It would agree from about width {width} on, with as many trials."

    def row(self) -> dict[str, Any]:
        """Return all of it as one row of a table, the parameters of the point first."""
        own = {field.name: getattr(self, field.name) for field in fields(self)}
        own.pop("point")
        return {**self.point, **own, "words": self.words}


def _probability(value: float | None) -> str:
    return "p below 1e-300" if not value or value < 1e-300 else f"p = {value:.1g}"


def rounded(width: float) -> str:
    """Return a width with two digits."""
    return f"{float(f'{width:.1e}'):,.0f}"


def point_words(point: Mapping[str, Any]) -> str:
    """Return the swept parameters of a point: ``k = 1, width = 256``."""
    parts = [f"{n} = {v:g}" if isinstance(v, float) else f"{n} = {v}" for n, v in point.items()]
    return ", ".join(parts)


def summary(verdicts: Sequence[Verdict], false_alarm: float) -> Iterator[str]:
    """Yield lines on verdicts: all of one point, or how many of a grid deviate and which."""
    if not verdicts:
        yield "There is nothing to compare with theory."
        return
    if len({point_words(verdict.point) for verdict in verdicts}) == 1:
        for verdict in verdicts:
            yield verdict.words
        yield _caveat(verdicts, false_alarm)
        return
    ordered = sorted(verdicts, key=_kind)
    for _, group in groupby(ordered, key=_kind):
        own = list(group)
        observable, against = own[0].observable, own[0].against
        judged = [verdict for verdict in own if verdict.agrees is not None]
        away = sorted((v for v in judged if not v.agrees), key=lambda v: v.p_value or 0.0)
        chance = false_alarm * len(judged)
        symbol = SYMBOLS.get(observable, observable)
        yield (
            f"{symbol} against {against}: {len(away)} of {len(judged)} points "
            f"deviate{'s' * (len(away) == 1)} ({chance:.2g} would by chance)."
        )
        for verdict in away[:MAX_LISTED]:
            yield f"  {point_words(verdict.point)}: {verdict.words}"
        if len(away) > MAX_LISTED:
            yield f"  and {len(away) - MAX_LISTED} more."
        missing = [v for v in own if v.agrees is None and v.missing != ABSENT]
        if missing:
            yield f"  no verdict on {counted(len(missing), 'point')}: {missing[0].missing}."
    yield _caveat(verdicts, false_alarm)


def _caveat(verdicts: Sequence[Verdict], false_alarm: float) -> str:
    text = (
        f"Where theory holds, each deviates by chance in {100.0 * false_alarm:.2g} % of all cases"
    )
    trials = [verdict.trials for verdict in verdicts if verdict.trials is not None]
    if trials and min(trials) < FEW:
        text += f", and with fewer than {FEW} trials, as here, a few times more often"
    return f"({text}.)"


def _kind(verdict: Verdict) -> tuple[str, str]:
    """Return what sorts verdicts: by observable, and mean field first."""
    return verdict.observable, "" if verdict.against == MEAN_FIELD else verdict.against


def listed(lines: Iterable[str]) -> str:
    """Return lines of text as HTML."""
    items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return f"<ul style='list-style: none; padding-left: 0; white-space: pre-wrap'>{items}</ul>"

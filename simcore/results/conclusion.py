"""The conclusion of a comparison: which theory holds, in two or three sentences.

At a grid each observable has as many verdicts as there are points, and some deviate by chance.
Those that count are the ones that Benjamini and Hochberg (1995) keep: where theory holds at every
point, they keep one with the false-alarm probability of a single verdict.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from .words import ABSENT, FIRST_ORDER, MEAN_FIELD, SYMBOLS, Verdict, point_words

COUNTS = {1: "it", 2: "both", 3: "all three", 4: "all four", 5: "all five", 6: "all six"}
"""Pronouns of so many observables."""

SMALL = 0.5
"""Part of the deviation from infinite width up to which first order is said to leave a part."""


@dataclass(frozen=True)
class _Finding:
    """Verdicts on one observable against one theory: those there are, and those that deviate."""

    observable: str
    judged: Sequence[Verdict]
    failing: Sequence[Verdict]

    @property
    def worst(self) -> Verdict:
        return max(self.failing or self.judged, key=lambda verdict: abs(verdict.z or 0.0))

    @property
    def scope(self) -> str:
        """How many points of a grid deviate; "" for a single one."""
        count, total = len(self.failing), len(self.judged)
        if total == 1:
            return ""
        if count == total:
            return " at both points" if total == 2 else f" at all {total} points"
        return f" at {count} of {total} points (first: {point_words(self.failing[0].point)})"


def holds(verdicts: Sequence[Verdict], false_alarm: float) -> bool:
    """Return whether no observable deviates from the best theory that there is for it.

    That is first order in 1/N where it makes a prediction, and infinite width elsewhere.
    """
    best = {}
    for verdict in sorted(verdicts, key=lambda v: v.against == FIRST_ORDER):
        if verdict.agrees is not None:
            best[verdict.observable, point_words(verdict.point)] = verdict
    return not any(finding.failing for finding in _findings(best.values(), false_alarm))


def conclusion(verdicts: Sequence[Verdict], false_alarm: float) -> list[str]:
    """Return sentences: whether infinite width holds, what first order explains, what is open."""
    limit, first = (
        _findings((v for v in verdicts if v.against == against), false_alarm)
        for against in (MEAN_FIELD, FIRST_ORDER)
    )
    told = [*_of_limit(limit), *_of_first_order(limit, first)]
    return [*told, *_open(verdicts, {finding.observable for finding in limit})]


def _findings(verdicts: Iterable[Verdict], false_alarm: float) -> list[_Finding]:
    found: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        if verdict.agrees is not None:
            found.setdefault(verdict.observable, []).append(verdict)
    return [_Finding(name, own, _kept(own, false_alarm)) for name, own in found.items()]


def _kept(judged: Sequence[Verdict], false_alarm: float) -> list[Verdict]:
    """Return the verdicts that deviate, of several those that chance does not explain."""
    ordered = sorted(verdict.p_value or 0.0 for verdict in judged)
    bounds = [false_alarm * (rank + 1) / len(ordered) for rank in range(len(ordered))]
    limit = max((p for p, bound in zip(ordered, bounds, strict=True) if p < bound), default=-1.0)
    return [verdict for verdict in judged if (verdict.p_value or 0.0) <= limit]


def _of_limit(limit: Sequence[_Finding]) -> Iterator[str]:
    failing = [finding for finding in limit if finding.failing]
    agreeing = [finding for finding in limit if not finding.failing]
    largest = _largest(failing or agreeing) if limit else ""
    if failing:
        text = f"Infinite width fails {_listed(failing)} ({largest})"
        yield text + (f"; it holds for {_names(agreeing)}." if agreeing else ".")
    elif agreeing:
        yield f"Infinite width holds for {_names(agreeing)} ({largest})."


def _of_first_order(limit: Sequence[_Finding], first: Sequence[_Finding]) -> Iterator[str]:
    missed = [finding.observable for finding in limit if finding.failing]
    if not first:
        if missed:
            yield "First order in 1/N makes no prediction here."
        return
    explained = [f for f in first if not f.failing and f.observable in missed]
    shares = {finding.observable: _share_left(finding) for finding in first if finding.failing}
    small = [f for f in first if shares.get(f.observable, math.inf) <= SMALL]
    failing = [f for f in first if shares.get(f.observable, 0.0) > SMALL]
    parts = []
    if explained:
        whole = not shares and len(explained) == len(missed)
        parts.append(f"explains {COUNTS[len(explained)] if whole else _names(explained)}")
    if small:
        own = [_part_left(finding, shares[finding.observable]) for finding in small]
        own[0] = own[0].replace(" %", " % of the deviation", 1)
        parts.append(f"leaves {joined(own)} ({_largest(small)})")
    if failing:
        parts.append(f"fails {_listed(failing)} ({_largest(failing)})")
    if parts:
        yield f"First order in 1/N {'; it '.join(parts)}."


def _share_left(finding: _Finding) -> float:
    """Return the largest part of the deviation from infinite width that first order leaves."""
    parts = [abs((v.deviation or 0.0) / v.expected) for v in finding.failing if v.expected]
    return max(parts, default=math.inf)


def _part_left(finding: _Finding, share: float) -> str:
    most = "up to " * (len(finding.failing) > 1)
    return f"{most}{100.0 * share:.2g} % for {SYMBOLS[finding.observable]}{finding.scope}"


def _largest(findings: Sequence[_Finding]) -> str:
    """Return the largest |z| of verdicts, and where it is."""
    worst = max((finding.worst for finding in findings), key=lambda v: abs(v.z or 0.0))
    size = abs(worst.z or 0.0)
    text = f"|z| up to {size:.1f}" if size < 100.0 else f"|z| up to {size:.0f}"
    whose = f" for {SYMBOLS[worst.observable]}" if len(findings) > 1 else ""
    return f"{text}{whose} at {''.join(f'{n}, ' for n in _place(worst))}layer {worst.layer}"


def _place(verdict: Verdict) -> Iterator[str]:
    if verdict.point:
        yield point_words(verdict.point)


def _listed(failing: Sequence[_Finding]) -> str:
    """Return ``for c at 3 of 5 points, for ln q and ln(1 - c) at all 5 points``."""
    ordered = sorted(failing, key=lambda finding: finding.scope)
    groups = groupby(ordered, key=lambda finding: finding.scope)
    return ", ".join(f"for {_names(list(own))}{scope}" for scope, own in groups)


def _open(verdicts: Sequence[Verdict], judged: set[str]) -> Iterator[str]:
    """Yield a sentence for each reason why an observable has no verdict at any point."""
    reasons: dict[str, str] = {}
    for verdict in verdicts:
        if verdict.observable not in judged and verdict.missing != ABSENT:
            reasons.setdefault(verdict.observable, verdict.missing)
    for reason in dict.fromkeys(reasons.values()):
        names = [SYMBOLS[name] for name, own in reasons.items() if own == reason]
        yield f"No verdict on {joined(names)}: {reason}."


def _names(findings: Sequence[_Finding]) -> str:
    return joined([SYMBOLS[finding.observable] for finding in findings])


def joined(names: Sequence[str]) -> str:
    """Return names as a sentence has them: ``a, b and c``."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)

"""The one place where the report calls `simcore.compare` and `simcore.scaling`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from simcore.errors import InputError, SimcoreError

from .points import Point
from .sources import Source

if TYPE_CHECKING:
    import xarray as xr

    from simcore import Scaling


MOST_COMPARED = 2000
"""Points of a run up to which all get a verdict; of larger grids, those that are shown."""

MOST_WORDS = 4
"""Points, apart from their width, whose fits are described in words."""


@dataclass(frozen=True)
class Answer:
    """Result of `simcore.compare` for the points that are shown: words, or why there are none.

    `verdicts` are those of each point, by the values of its swept parameters: dicts of ``agrees``
    and ``words``. `z` are the z-scores along the layers, None without theory. `conclusion` says
    the result in a sentence or two.
    """

    text: str
    verdicts: Mapping[tuple[float, ...], list[dict[str, Any]]] = field(default_factory=dict)
    z: xr.Dataset | None = None
    conclusion: str = ""


@dataclass(frozen=True)
class Widths:
    """Result of `simcore.scaling`: words, the fits, and the data that were fitted."""

    text: str
    fits: xr.Dataset | None = None
    dataset: xr.Dataset | None = None


def answer(source: Source, points: Sequence[Point]) -> Answer:
    """Compare a run with theory, at all its points if they are not too many."""
    import simcore

    try:
        compared = simcore.compare(_part(source, points))
    except SimcoreError as error:
        without = _sentence("No verdict", error)
        return Answer(without, conclusion=without)
    verdicts: dict[tuple[float, ...], list[dict[str, Any]]] = {}
    for verdict in compared.verdicts:
        key = tuple(float(verdict.point[name]) for name in source.swept)
        told = {"agrees": verdict.agrees, "words": verdict.words}
        verdicts.setdefault(key, []).append(told)
    return Answer(str(compared), verdicts, compared.z, compared.conclusion)


def _part(source: Source, points: Sequence[Point]) -> xr.Dataset:
    """Return the part to compare: the whole grid, or of a large one the points that are shown."""
    part = source.dataset
    if source.facts["points"] > MOST_COMPARED:
        for j, name in enumerate(source.swept):
            part = part.isel({name: sorted({point.place[j] for point in points})})
    return part


def across_widths(sources: Sequence[Source]) -> Widths:
    """Fit the means of all runs together against 1/N."""
    import simcore

    complete = [source for source in sources if source.facts["complete"]]
    if not complete:
        return Widths("No fit across widths: every run is unfinished.")
    try:
        together = _together(complete)
        found = simcore.scaling(together)
    except SimcoreError as error:
        return Widths(_sentence("No fit across widths", error))
    return Widths(_words(found), found.fits, together)


def _together(sources: Sequence[Source]) -> xr.Dataset:
    """Return all runs as one, or the first that sweeps the width if they are no parts of one."""
    import simcore

    if len(sources) == 1:
        return sources[0].dataset
    try:
        return simcore.open_run([source.path for source in sources])
    except InputError:
        alone = [source.dataset for source in sources if "width" in source.swept]
        if not alone:
            raise
        return alone[0]


def _words(found: Scaling) -> str:
    """Return the fits in words, or only their number if they are many."""
    sizes = found.fits.sizes
    points = math.prod(sizes[name] for name in sizes if name != "layer")
    if points <= MOST_WORDS:
        return str(found)
    widths = ", ".join(map(str, found.widths))
    return f"Fits over N = {widths} at each of {points:,} points; the figure shows the chosen one."


def _sentence(what: str, error: SimcoreError) -> str:
    if isinstance(error, InputError):
        return f"{what}: {error.value} {error.rule}. {error.remedy}"
    return f"{what}: {error}"

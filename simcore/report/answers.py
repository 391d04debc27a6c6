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

__all__ = ["Answer", "Widths", "across_widths", "answer"]

MOST_COMPARED = 2000
"""Points of a run up to which all get a verdict; of larger grids, those that are shown."""

MOST_TOLD = 4
"""Points, apart from their width, whose fits are told in words."""


@dataclass(frozen=True)
class Answer:
    """What `simcore.compare` says of the points that are shown.

    Parameters
    ----------
    text
        The answer in words; why there is none, if there is none.
    verdicts
        Of each point, by the values of its swept parameters: dicts of observable, against,
        agrees, p_value and words.
    z
        z-scores along the layers; None if there is no theory to compare with.
    """

    text: str
    verdicts: Mapping[tuple[float, ...], list[dict[str, Any]]] = field(default_factory=dict)
    z: xr.Dataset | None = None


@dataclass(frozen=True)
class Widths:
    """What `simcore.scaling` says: words, the fits, and the data they are fits to."""

    text: str
    fits: xr.Dataset | None = None
    dataset: xr.Dataset | None = None


def answer(source: Source, points: Sequence[Point]) -> Answer:
    """Compare a run with theory, at all its points if they are not too many."""
    import simcore

    try:
        compared = simcore.compare(_part(source, points))
    except SimcoreError as error:
        return Answer(_sentence("No verdict", error))
    verdicts: dict[tuple[float, ...], list[dict[str, Any]]] = {}
    for verdict in compared.verdicts:
        key = tuple(float(verdict.point[name]) for name in source.swept)
        verdicts.setdefault(key, []).append(
            {
                "observable": verdict.observable,
                "against": verdict.against,
                "agrees": verdict.agrees,
                "p_value": verdict.p_value,
                "words": verdict.words,
            }
        )
    return Answer(str(compared), verdicts, compared.z)


def _part(source: Source, points: Sequence[Point]) -> xr.Dataset:
    """Return what is compared: the whole grid, or of a large one the points that are shown."""
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
    return Widths(_told(found), found.fits, together)


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


def _told(found: Scaling) -> str:
    """Return the fits in words, if they are few enough to be read."""
    sizes = found.fits.sizes
    points = math.prod(sizes[name] for name in sizes if name != "layer")
    if points <= MOST_TOLD:
        return str(found)
    widths = ", ".join(map(str, found.widths))
    return f"Fits over N = {widths} at each of {points:,} points; the figure has the chosen one."


def _sentence(what: str, error: SimcoreError) -> str:
    if isinstance(error, InputError):
        return f"{what}: {error.value} {error.rule}. {error.remedy}"
    return f"{what}: {error}"

"""Figures of runs, and the door of `simcore plot FILE KIND` for runs and training alike."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from simcore.errors import FileFormatError, InputError
from simcore.file_types import RUN, TRAINING, FileType, file_type
from simcore.physics.observables import GRADIENT_NAMES, HAZARDS
from simcore.results.open_run import open_run
from simcore.training.store import open_training

from .captions import caption_of
from .deviation import check_controls
from .drawings import FIGURES, Kind
from .kinds import OF_TRAINING
from .place import Place
from .style import figure
from .training import KINDS as TRAINING_KINDS
from .training import draw as draw_training

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["KINDS", "SIZE", "TRAINING_KINDS", "Drawn", "draw", "drawn", "plot"]

SIZE = 137.0
"""Width of a figure in mm where it is not given; 86 is one column of most journals, 178 two."""

SIZES = (50.0, 400.0)
ASPECT = 0.62
"""Height of a figure of training, in its widths."""

KINDS = tuple(FIGURES)
"""Names of the figures of runs."""

OF_ONE_LAYER = ("distribution", "scaling")
"""Figures of a single layer; the others show all."""

_KINDS_OF = {RUN.name: KINDS, TRAINING.name: TRAINING_KINDS}
"""Names of the figures by type of file."""


class Drawn(NamedTuple):
    """A figure that was written, and a draft of its caption."""

    path: Path
    caption: str


def plot(
    path: str | Path,
    kind: str,
    output: str | Path,
    *,
    observable: str | None = None,
    layer: int | None = None,
    size: float = SIZE,
    overwrite: bool = False,
) -> Path:
    """Draw one figure of a run: simulation as points with error bars, theory as lines.

    Or one of training.

    Parameters
    ----------
    path
        A `simcore-run` file, or a pattern of several; or a `simcore-training` file.
    kind
        One of `KINDS`; of training one of `TRAINING_KINDS`.
    output
        File to write; its ending chooses the format (pdf, png, svg).
    observable
        What ``deviation``, ``z``, ``distribution`` and ``scaling`` show; left out, the correlation,
        and for the ``z`` of a single point each observable that has a verdict.
    layer
        The layer of ``distribution`` and ``scaling``; left out, the last.
    size
        Width in mm.
    overwrite
        Whether an existing `output` may be replaced; results never are.

    Returns
    -------
    Path
        The figure.

    Raises
    ------
    InputError
        If the kind, the observable, the layer or the format is unknown, the run does not have what
        the figure shows, or `output` may not be replaced.
    FileFormatError
        If `path` is neither a run nor training.
    OutputError
        If the figure can't be written.
    """
    choices: dict[str, Any] = {"observable": observable, "layer": layer, "size": size}
    return drawn(path, kind, output, **choices, overwrite=overwrite).path


def drawn(
    path: str | Path,
    kind: str,
    output: str | Path,
    *,
    observable: str | None = None,
    layer: int | None = None,
    size: float = SIZE,
    overwrite: bool = False,
) -> Drawn:
    """Draw a figure as `plot` does, and return it with a draft of its caption."""
    held = _checked_kind(path, kind)
    if not SIZES[0] <= size <= SIZES[1]:
        rule = f"must lie between {SIZES[0]:g} and {SIZES[1]:g} mm"
        raise InputError("size", size, rule, "86 is one column, 178 two.")
    width = size / 25.4
    with figure(output, (width, ASPECT * width), overwrite=overwrite) as made:
        caption = _DRAWN[held.name](made, path, kind, observable=observable, layer=layer)
    return Drawn(Path(output), caption)


def draw(
    place: Place,
    dataset: xr.Dataset,
    kind: str,
    *,
    observable: str | None = None,
    layer: int | None = None,
) -> str:
    """Draw one figure of results at a place; return a draft of its caption.

    `kind`, `observable` and `layer` are those of `plot`, as are the errors.
    """
    chosen = FIGURES[kind]
    names = _observables(chosen, dataset, kind, observable)
    at = _layer(dataset, kind, layer)
    chosen.draw(place, dataset, chosen._replace(observables=names), at)
    return caption_of(dataset, kind, names, at)


def _draw_run(drawn: Any, path: str | Path, kind: str, **choices: Any) -> str:
    return draw(Place(drawn), open_run(path), kind, **choices)


def _draw_training(drawn: Any, path: str | Path, kind: str, **choices: object) -> str:
    for name, value in choices.items():
        if value is not None:
            raise InputError(name, value, f"can't be chosen for {kind}", "Leave it out.")
    dataset = open_training(path)
    draw_training(drawn.add_subplot(), dataset, kind)
    words, ensembles = OF_TRAINING[kind], ", ".join(map(str, dataset["ensemble"].to_numpy()))
    return f"{words[0].upper()}{words[1:]}. Networks trained from {ensembles}."


_DRAWN: dict[str, Callable[..., str]] = {RUN.name: _draw_run, TRAINING.name: _draw_training}
"""Drawing by type of file."""


def _checked_kind(path: str | Path, kind: str) -> FileType:
    """Return the type of a file that has this kind of figure."""
    one = os.path.isfile(path)  # noqa: PTH113 - no error for names that are refused
    known = any(kind in kinds for kinds in _KINDS_OF.values())
    try:
        held = file_type(path) if one else RUN
    except FileFormatError:
        if known:
            raise
        held = RUN
    kinds = _KINDS_OF[held.name]
    if kind in kinds:
        return held
    this = held.noun if one else "a pattern, which stands for runs"
    rule = f"is no figure of {this}" if known else "is not known"
    raise InputError("kind", kind, rule, f"Choose one of: {', '.join(kinds)}.")


def _observables(
    chosen: Kind, dataset: xr.Dataset, kind: str, observable: str | None
) -> tuple[str, ...]:
    """Return the observables that are shown; InputError if the run lacks what they need."""
    if observable is None:
        several = kind == "z" and dataset["correlation"].ndim == 1
        names = chosen.observables if not chosen.choices or several else ("correlation",)
    elif not chosen.choices:
        rule = f"can't be chosen for {kind}"
        raise InputError("observable", observable, rule, "Leave it out.")
    elif observable not in chosen.choices:
        remedy = f"Choose one of: {', '.join(chosen.choices)}."
        raise InputError("observable", observable, f"has no {kind}", remedy)
    else:
        names = (observable,)
    names = tuple(name for name in names if name in dataset) or names
    if names[0] not in dataset and names[0] in HAZARDS:
        rule = "needs signals that can die, and none does where s- is not 0"
        raise InputError("kind", kind, rule, "Take inactive.")
    if names[0] not in dataset and names[0] in GRADIENT_NAMES:
        rule = "needs gradients, which this run did not follow"
        raise InputError("kind", kind, rule, "Simulate with --gradients.")
    if names[0] not in dataset:
        rule = "needs many inputs through one network, and this run has one pair"
        raise InputError("kind", kind, rule, "Simulate with --inputs or --shared-network.")
    if chosen.choices and f"{names[0]}_theory" not in dataset:
        rule = "needs theory and histograms, which an unfinished run lacks"
        raise InputError("kind", kind, rule, "Finish it with simcore resume.")
    if kind == "deviation":
        check_controls(dataset, kind, names[0])
    if kind == "scaling" and "width" not in dataset.dims:
        rule = "needs several widths, and this run has one"
        raise InputError("kind", kind, rule, "Simulate several, such as --width 256,512,1024.")
    return names


def _layer(dataset: xr.Dataset, kind: str, layer: int | None) -> int:
    last = int(dataset["layer"][-1])
    if layer is not None and kind not in OF_ONE_LAYER:
        raise InputError("layer", layer, f"can't be chosen for {kind}", "Leave it out.")
    if layer is not None and layer not in range(1, last + 1):
        rule = f"must be a whole number between 1 and {last}"
        raise InputError("layer", layer, rule, "Leave it out.")
    return layer or last

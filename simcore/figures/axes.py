"""`simcore.plot`: a figure on axes of matplotlib, in a program or a notebook."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import xarray as xr

from simcore.errors import InputError
from simcore.file_types import TRAINING, file_type
from simcore.results.open_run import open_run
from simcore.results.points import check_dataset
from simcore.training.store import open_training

from .place import Place
from .runs import ASPECT, KINDS, SIZE, TRAINING_KINDS, draw
from .style import STYLE
from .training import draw as draw_training

__all__ = ["plot"]


def plot(
    data: xr.Dataset | str | os.PathLike[str],
    kind: str = "correlation",
    *,
    ax: Any = None,
    observable: str | None = None,
    layer: int | None = None,
) -> Any:
    """Draw a figure of a run, or of training, on axes of matplotlib.

    Parameters
    ----------
    data
        A Dataset of `simulate` or `open_run`, or of `training.open_training`; or a file.
    kind
        What is shown, as for the command: ``"correlation"``, ``"distance"``, ``"q"``,
        ``"inactive"``, ``"dead"``, ``"deviation"``, ``"z"``, ``"distribution"``, ``"scaling"``, …
    ax
        The axes to draw on, which get the first panel only. None makes a figure, whole and in the
        style of the command.
    observable, layer
        As for the command.

    Returns
    -------
    matplotlib.axes.Axes
        The first panel; its ``.figure`` is the figure.

    Raises
    ------
    InputError
        If the kind, the observable or the layer is unknown, or the run does not have what the
        figure shows.
    FileFormatError
        If `data` is a file that is neither a run nor training.

    Examples
    --------
    >>> import simcore
    >>> ax = simcore.plot(simcore.open_run("run.h5"), "deviation")
    """
    if kind not in (*KINDS, *TRAINING_KINDS):
        known = ", ".join(KINDS)
        raise InputError("kind", kind, "is not known", f"Choose one of: {known}.")
    dataset = _dataset(data)
    trained = "correlation" not in dataset
    if kind not in (TRAINING_KINDS if trained else KINDS):
        choice = ", ".join(TRAINING_KINDS if trained else KINDS)
        rule = f"is no figure of {'training' if trained else 'a run'}"
        raise InputError("kind", kind, rule, f"Choose one of: {choice}.")
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    width = SIZE / 25.4
    with nullcontext() if ax is not None else mpl.rc_context(fname=STYLE):
        figure = plt.figure(figsize=(width, ASPECT * width)) if ax is None else ax.figure
        if trained:
            draw_training(ax or figure.add_subplot(), dataset, kind, own=ax is None)
        else:
            draw(Place(figure, ax), dataset, kind, observable=observable, layer=layer)
    return figure.axes[0] if ax is None else ax


def _dataset(data: xr.Dataset | str | os.PathLike[str]) -> xr.Dataset:
    if isinstance(data, xr.Dataset):
        return data
    if not isinstance(data, str | os.PathLike):
        check_dataset(data)
    training = Path(data).is_file() and file_type(data) is TRAINING
    return open_training(data) if training else open_run(data)

"""`simcore.plot`: a figure on axes of matplotlib, in a program or a notebook."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from simcore.errors import InputError
from simcore.file_types import TRAINING, file_type
from simcore.results.open_run import open_run
from simcore.training.store import open_training

from .runs import ASPECT, KINDS, SIZE, TRAINING_KINDS, _panels, draw_on
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
        The axes to draw on; two, one above the other, also take the lower panel of a figure that
        has one. None makes a figure in the style of the command.
    observable, layer
        As for the command.

    Returns
    -------
    matplotlib.axes.Axes or ndarray of them
        The axes, of which ``.figure`` is the figure.

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
    if trained is not (kind in TRAINING_KINDS):
        choice = ", ".join(TRAINING_KINDS if trained else KINDS)
        rule = f"is no figure of {'training' if trained else 'a run'}"
        raise InputError("kind", kind, rule, f"Choose one of: {choice}.")
    if trained:
        axes = _axes(ax, 1)
        draw_training(axes, dataset, kind)
        return axes
    return draw_on(partial(_axes, ax), dataset, kind, observable=observable, layer=layer)


def _dataset(data: xr.Dataset | str | os.PathLike[str]) -> xr.Dataset:
    if isinstance(data, xr.Dataset):
        return data
    training = Path(data).is_file() and file_type(data) is TRAINING
    return open_training(data) if training else open_run(data)


def _axes(ax: Any, count: int) -> Any:
    """Return the axes that are given, one or `count`, or those of a new figure."""
    if ax is not None:
        if np.size(ax) not in (1, count):
            most = "one of matplotlib's Axes" + (f", or {count}" if count > 1 else "")
            raise InputError("ax", f"{np.size(ax)} Axes", f"must be {most}", "Give those.")
        return ax if np.size(ax) == count else np.ravel(ax)[0]
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    width = SIZE / 25.4
    with mpl.rc_context(fname=STYLE):
        return _panels(plt.figure(figsize=(width, ASPECT * width)), count)

"""Single figures of a run, through matplotlib: `simcore plot FILE KIND`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .analysis import open_run
from .errors import InputError, OutputError, SimcoreError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["KINDS", "plot"]


class _Kind(NamedTuple):
    """What a figure shows: observables, the label of its axis, its scale."""

    observables: tuple[str, ...]
    label: str
    scale: str


_FIGURES = {
    "correlation": _Kind(("correlation",), "correlation $c$", "linear"),
    "distance": _Kind(("distance",), "distance $1-c$", "log"),
    "q": _Kind(("log_q1",), r"$\langle\ln q\rangle$", "linear"),
    "inactive": _Kind(("inactive1", "inactive_both"), "fraction of inactive nodes", "linear"),
    "dead": _Kind(("dead_network1", "dead_network_both"), "fraction of dead networks", "linear"),
    "dead-inputs": _Kind(("dead", "dead_inputs"), "fraction of nodes, of inputs", "linear"),
}
KINDS = tuple(_FIGURES)
"""Names of the figures."""

MAX_LINES = 8
COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#000000",
    "#f0e442",
)
"""Okabe and Ito's colours, told apart with any colour vision."""

THEORY: dict[str, Any] = {"color": "black", "linestyle": (0, (4, 3)), "linewidth": 0.9}
STYLE: dict[Any, Any] = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.dpi": 150,
    "font.size": 9,
    "legend.frameon": False,
    "lines.linewidth": 2.2,
    "pdf.fonttype": 42,
    "savefig.bbox": "tight",
}


def plot(path: str | Path, kind: str, output: str | Path) -> Path:
    """Draw one figure of a run: Monte Carlo with error bands, mean-field theory dashed.

    Parameters
    ----------
    path
        A `simcore-run` file.
    kind
        One of `KINDS`.
    output
        File to write; its ending chooses the format (pdf, png, svg).

    Returns
    -------
    Path
        The figure.

    Raises
    ------
    InputError
        If the kind or the format is unknown, or the run does not have what the figure shows.
    FileFormatError
        If `path` is no run.
    OutputError
        If the figure can't be written.
    SimcoreError
        If matplotlib is not installed.
    """
    if kind not in _FIGURES:
        raise InputError("kind", kind, "is not known", f"Choose one of: {', '.join(KINDS)}.")
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as missing:
        message = "figures need matplotlib: install simcore[plot]"
        raise SimcoreError(message) from missing
    dataset = open_run(path)
    if _FIGURES[kind].observables[0] not in dataset:
        rule = "shows what many inputs through one network have, and this run has one pair"
        raise InputError("kind", kind, rule, "Simulate with --inputs or --shared-network.")
    target = Path(output)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.4, 3.4))
        formats = figure.canvas.get_supported_filetypes()
        if target.suffix[1:] not in formats:
            known = ", ".join(sorted(formats))
            raise InputError("output", target, "has no known ending", f"Use one of: {known}.")
        _draw(figure.add_subplot(), dataset, _FIGURES[kind])
        try:
            figure.savefig(target)
        except OSError as error:
            message = f"can't write {target}: {error.strerror or error}; choose another folder"
            raise OutputError(message) from error
    return target


def _draw(axes: Any, dataset: xr.Dataset, kind: _Kind) -> None:
    lines = list(_lines(dataset[kind.observables[0]]))
    shown = lines[:: max(1, -(-len(lines) // MAX_LINES))]
    colours = itertools.cycle(COLOURS)
    layer = dataset["layer"].to_numpy()
    for label, place in shown:
        for observable in kind.observables:
            colour = next(colours)
            point = dataset.isel(place)
            mean = point[observable].to_numpy()
            error = point[f"{observable}_stderr"].to_numpy()
            words = [label] if label else []
            words += [observable] if len(kind.observables) > 1 else []
            name = ", ".join(words) or "Monte Carlo"
            axes.fill_between(
                layer, mean - 2 * error, mean + 2 * error, color=colour, alpha=0.25, lw=0
            )
            axes.plot(layer, mean, color=colour, label=name)
            if f"{observable}_theory" in point:
                axes.plot(layer, point[f"{observable}_theory"].to_numpy(), **THEORY)
    if f"{kind.observables[0]}_theory" in dataset:
        axes.plot([], [], **THEORY, label="mean-field theory")
    axes.set(xlabel="layer", ylabel=kind.label, yscale=kind.scale, xlim=(layer[0], layer[-1]))
    axes.legend(title=None if len(shown) == len(lines) else f"{len(shown)} of {len(lines)} points")


def _lines(dataset: xr.DataArray) -> Iterator[tuple[str, dict[str, int]]]:
    """Yield a label and a place for every point of the grid, and every pair, in order."""
    swept = [name for name in dataset.dims if name != "layer"]
    for place in itertools.product(*(range(dataset.sizes[name]) for name in swept)):
        values = {
            str(name): dataset[name].to_numpy()[i] for name, i in zip(swept, place, strict=True)
        }
        label = ", ".join(f"{name} = {value:g}" for name, value in values.items())
        yield label, {str(name): i for name, i in zip(swept, place, strict=True)}

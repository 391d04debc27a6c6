"""Figures of runs, and the door of `simcore plot FILE KIND` for runs and training alike."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from simcore.errors import FileFormatError, InputError
from simcore.file_types import RUN, TRAINING, FileType, file_type
from simcore.physics.observables import BY_NAME, CONTROL, COVARIANCE, HISTOGRAMMED
from simcore.results.controlled import with_controls
from simcore.results.intervals import reach
from simcore.results.open_run import open_run
from simcore.training.store import open_training

from .deviation import OBSERVABLES as DEVIATIONS
from .deviation import check_controls, draw_deviation
from .lines import along, interval, legend, shown_points
from .style import COLOURS, FIRST_ORDER, THEORY, figure
from .training import KINDS as TRAINING_KINDS
from .training import draw as draw_training

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["KINDS", "SIZE", "TRAINING_KINDS", "plot"]

SIZE = 137.0
"""Width of a figure in mm where it is not given; 86 is one column of most journals, 178 two."""

SIZES = (50.0, 400.0)
ASPECT = 0.62

_THEORIES = {
    "theory": ("mean field", THEORY),
    "theory_1n": ("first order in $1/N$", FIRST_ORDER),
}
"""Names and lines of theory, by the ending of its variable."""


class _Kind(NamedTuple):
    """A figure: its function, the observables in it, the label and the scale of its axis.

    One of two panels has the second for what first order in 1/N leaves.
    """

    draw: Callable[..., None]
    observables: tuple[str, ...]
    label: str = ""
    scale: str = "linear"
    panels: int = 1


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
    """Draw one figure of a run: Monte Carlo with error bands, theory in black; or one of training.

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
    held = _checked_kind(path, kind)
    if not SIZES[0] <= size <= SIZES[1]:
        rule = f"must lie between {SIZES[0]:g} and {SIZES[1]:g} mm"
        raise InputError("size", size, rule, "86 is one column, 178 two.")
    width = size / 25.4
    with figure(output, (width, ASPECT * width), overwrite=overwrite) as drawn:
        _DRAWN[held.name](drawn, path, kind, observable=observable, layer=layer)
    return Path(output)


def _draw_run(
    drawn: Any, path: str | Path, kind: str, *, observable: str | None, layer: int | None
) -> None:
    draw_on(partial(_panels, drawn), open_run(path), kind, observable=observable, layer=layer)


def draw_on(
    panels: Callable[[int], Any],
    dataset: xr.Dataset,
    kind: str,
    *,
    observable: str | None,
    layer: int | None,
) -> Any:
    """Draw a figure of a run on the axes that `panels` gives, by their number, and return these."""
    chosen = _FIGURES[kind]
    names = _observables(chosen, dataset, kind, observable)
    at = _layer(dataset, layer)
    axes = panels(chosen.panels if f"{names[0]}_theory_1n" in dataset else 1)
    chosen.draw(axes, dataset, chosen._replace(observables=names), at)
    return axes


def _panels(drawn: Any, count: int) -> Any:
    """Return the axes of a figure, or an array of them, and let it be as high as they need."""
    drawn.set_figheight(drawn.get_figheight() * (1.0 + 0.6 * (count - 1)))
    return drawn.subplots(count, sharex=True)


def _draw_training(drawn: Any, path: str | Path, kind: str, **choices: object) -> None:
    for name, value in choices.items():
        if value is not None:
            raise InputError(name, value, f"can't be chosen for {kind}", "Leave it out.")
    draw_training(drawn.add_subplot(), open_training(path), kind)


_DRAWN: dict[str, Callable[..., None]] = {RUN.name: _draw_run, TRAINING.name: _draw_training}
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
    chosen: _Kind, dataset: xr.Dataset, kind: str, observable: str | None
) -> tuple[str, ...]:
    """Return the observables that are shown; InputError if the run lacks what they need."""
    if observable is None:
        several = kind == "z" and dataset["correlation"].ndim == 1
        names = chosen.observables if kind not in _CHOICES or several else ("correlation",)
    elif kind not in _CHOICES:
        rule = f"can't be chosen for {kind}"
        raise InputError("observable", observable, rule, "Leave it out.")
    elif observable not in _CHOICES[kind]:
        remedy = f"Choose one of: {', '.join(_CHOICES[kind])}."
        raise InputError("observable", observable, f"has no {kind}", remedy)
    else:
        names = (observable,)
    if names[0] not in dataset:
        rule = "needs many inputs through one network, and this run has one pair"
        raise InputError("kind", kind, rule, "Simulate with --inputs or --shared-network.")
    if kind in _CHOICES and f"{names[0]}_theory" not in dataset:
        rule = "needs theory and histograms, which an unfinished run lacks"
        raise InputError("kind", kind, rule, "Finish it with simcore resume.")
    if kind == "deviation":
        check_controls(dataset, kind, names[0])
    if kind == "scaling" and "width" not in dataset.dims:
        rule = "needs several widths, and this run has one"
        raise InputError("kind", kind, rule, "Simulate several, such as --width 256,512,1024.")
    return names


def _layer(dataset: xr.Dataset, layer: int | None) -> int:
    last = int(dataset["layer"][-1])
    if layer is not None and layer not in range(1, last + 1):
        rule = f"must be a whole number between 1 and {last}"
        raise InputError("layer", layer, rule, "Leave it out.")
    return layer or last


# --- the figures ----------------------------------------------------------------------------------


def _along_layers(axes: Any, dataset: xr.Dataset, kind: _Kind, _: int) -> None:
    dataset = with_controls(_means(dataset, kind))
    colours = itertools.cycle(COLOURS)
    layer = dataset["layer"].to_numpy()
    shown, total = shown_points(dataset[kind.observables[0]])
    for label, place in shown:
        for observable in kind.observables:
            colour = next(colours)
            point = dataset.isel(place)
            mean = point[observable].to_numpy()
            error = interval(point, observable)
            words = [label] if label else []
            words += [observable] if len(kind.observables) > 1 else []
            axes.fill_between(layer, mean - error, mean + error, color=colour, alpha=0.3, lw=0)
            axes.plot(layer, mean, color=colour, label=", ".join(words) or "Monte Carlo")
            _theory(axes, layer, point, observable)
    _name_theory(axes, dataset, kind.observables[0])
    # Signals that are parallel in every network have no distance that a logarithm could show.
    positive = bool((dataset[kind.observables[0]] > 0.0).any())
    axes.set(xlabel="layer", ylabel=kind.label, yscale=kind.scale if positive else "linear")
    along(axes, layer)
    legend(axes, len(shown), total)


def _means(dataset: xr.Dataset, kind: _Kind) -> xr.Dataset:
    """Return what a figure of means needs, so that nothing else is read."""
    controlled = (CONTROL, f"{CONTROL}_stderr")
    endings = ("", "_stderr", "_count", *controlled, *(f"_{theory}" for theory in _THEORIES))
    names = [observable + ending for observable in kind.observables for ending in endings]
    return dataset[[name for name in names if name in dataset]]


def _deviation(panels: Any, dataset: xr.Dataset, kind: _Kind, _: int) -> None:
    draw_deviation(panels, dataset, kind.observables[0])


def _theory(axes: Any, layer: Any, point: xr.Dataset, observable: str) -> None:
    for suffix, (_, style) in _THEORIES.items():
        if f"{observable}_{suffix}" in point:
            axes.plot(layer, point[f"{observable}_{suffix}"].to_numpy(), **style)


def _name_theory(axes: Any, dataset: xr.Dataset, observable: str) -> None:
    for suffix, (name, style) in _THEORIES.items():
        if f"{observable}_{suffix}" in dataset:
            axes.plot([], [], **style, label=name)


def _scores(axes: Any, dataset: xr.Dataset, kind: _Kind, _: int) -> None:
    """Draw (mean − theory)/error against mean field, and thinner against first order."""
    from simcore.results.compare import z_scores

    z = z_scores(dataset)
    layer = dataset["layer"].to_numpy()
    few = float(reach(max(2, int(dataset[f"{kind.observables[0]}_count"].max()))))
    axes.axhspan(-few, few, color="0.9", lw=0)
    colours = itertools.cycle(COLOURS)
    shown, total = shown_points(dataset[kind.observables[0]])
    for label, place in shown:
        for observable in kind.observables:
            colour = next(colours)
            name = BY_NAME[observable].tex if len(kind.observables) > 1 else label
            point = z.isel(place)
            axes.plot(layer, point[f"{observable}_z"], color=colour, label=name or "mean field")
            if f"{observable}_z_1n" in point:
                axes.plot(layer, point[f"{observable}_z_1n"], color=colour, lw=0.8, ls=":")
    if f"{kind.observables[0]}_z_1n" in z:
        axes.plot([], [], color="0.3", lw=0.8, ls=":", label="against first order in $1/N$")
    what = f" of {BY_NAME[kind.observables[0]].tex}" if len(kind.observables) == 1 else ""
    axes.set(xlabel="layer", ylabel=f"$z${what}: (mean − mean field)/error")
    along(axes, layer)
    legend(axes, len(shown), total)


def _distribution(axes: Any, dataset: xr.Dataset, kind: _Kind, layer: int) -> None:
    """Draw the histogram over networks at one layer as a density, and theory's normal law."""
    (name,) = kind.observables
    own = dataset.sel(layer=layer)
    shown, total = shown_points(own[name])
    for (label, place), colour in zip(shown, COLOURS, strict=False):
        point = own.isel(place)
        count = point[f"{name}_histogram"].to_numpy().astype(float)
        step = float(point[f"{name}_bin_width"])
        if not step > 0.0 or not count.sum():
            continue
        edges = float(point[f"{name}_bin_lower"]) + step * np.arange(len(count) - 1)
        density = count[1:-1] / count.sum() / step
        axes.stairs(density, edges, color=colour, fill=True, alpha=0.25, lw=0)
        axes.stairs(density, edges, color=colour, lw=1.2, label=label)
        if f"{name}_theory" in point:
            axes.axvline(float(point[f"{name}_theory"]), **THEORY)
        if f"{name}_theory_1n" in point:
            mean, std = (float(point[f"{name}_{s}"]) for s in ("theory_1n", "theory_1n_std"))
            x = np.linspace(edges[0], edges[-1], 400)
            if std > 0.0:
                normal = np.exp(-0.5 * ((x - mean) / std) ** 2) / (std * np.sqrt(2.0 * np.pi))
                axes.plot(x, normal, **FIRST_ORDER)
    _name_theory(axes, dataset, name)
    axes.set(xlabel=f"{BY_NAME[name].tex} at layer {layer}", ylabel="density over networks")
    axes.set_ylim(bottom=0.0)
    legend(axes, len(shown), total)


def _scaling(axes: Any, dataset: xr.Dataset, kind: _Kind, layer: int) -> None:
    """Draw the deviation from mean field against 1/N, with the fit and the slope of theory."""
    from simcore.results.scaling import fitted_means, scaling

    (name,) = kind.observables
    fits = scaling(dataset, observables=kind.observables).fits.sel(layer=layer)
    means = fitted_means(dataset, name)
    fitted = {name: means.mean, f"{name}_stderr": means.error}
    own = _means(dataset, kind).assign(fitted).sel(layer=layer)
    inverse = 1.0 / dataset["width"].to_numpy()
    fine = np.linspace(0.0, 1.05 * inverse.max(), 100)
    shown, total = shown_points(own[name].isel(width=0))
    for (label, place), colour in zip(shown, COLOURS, strict=False):
        point, fit = own.isel(place), fits.isel(place)
        gap = (point[name] - point[f"{name}_theory"]).to_numpy()
        error = interval(point, name)
        axes.errorbar(inverse, gap, error, color=colour, fmt="o", lw=1.0, label=label or None)
        start = float(fit[f"{name}_limit"] - fit[f"{name}_mean_field"])
        curve = start + float(fit[f"{name}_slope"]) * fine
        if f"{name}_curvature" in fit:
            curve = curve + float(fit[f"{name}_curvature"]) * fine**2
        axes.plot(fine, curve, color=colour, lw=1.0)
        if f"{name}_slope_theory" in fit:
            axes.plot(fine, float(fit[f"{name}_slope_theory"]) * fine, **FIRST_ORDER)
    axes.axhline(0.0, **THEORY, label="mean field")
    if f"{name}_slope_theory" in fits:
        axes.plot([], [], **FIRST_ORDER, label="first order in $1/N$")
    label = f"{BY_NAME[name].tex} − mean field, layer {layer}"
    axes.set(xlabel="$1/N$", ylabel=label, xlim=(0.0, fine[-1]))
    legend(axes, len(shown), total)


_FIGURES = {
    "correlation": _Kind(_along_layers, ("correlation",), BY_NAME["correlation"].tex_label),
    "distance": _Kind(_along_layers, ("distance",), BY_NAME["distance"].tex_label, "log"),
    "q": _Kind(_along_layers, ("log_q1",), r"$\langle\ln q\rangle$"),
    "inactive": _Kind(_along_layers, ("inactive1", "inactive_both"), "share of inactive nodes"),
    "dead": _Kind(_along_layers, ("dead_network1", "dead_network_both"), "share of dead networks"),
    "dead-inputs": _Kind(_along_layers, ("dead", "dead_inputs"), "share of nodes, of inputs"),
    "deviation": _Kind(_deviation, ("correlation",), panels=2),
    "z": _Kind(_scores, COVARIANCE),
    "distribution": _Kind(_distribution, ("correlation",)),
    "scaling": _Kind(_scaling, ("correlation",)),
}
KINDS = tuple(_FIGURES)
"""Names of the figures."""

_KINDS_OF = {RUN.name: KINDS, TRAINING.name: TRAINING_KINDS}
"""Names of the figures by type of file."""

_CHOICES = {
    "deviation": DEVIATIONS,
    "z": COVARIANCE,
    "distribution": HISTOGRAMMED,
    "scaling": COVARIANCE,
}
"""Observables that can be chosen, where they can."""

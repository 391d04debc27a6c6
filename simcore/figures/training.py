"""Figures of training: losses, steps to them, final losses, differences, dead units."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from simcore.errors import InputError
from simcore.results.intervals import ends
from simcore.training import statistics
from simcore.training.differences import Difference, differences

from .looks import shade
from .place import legend_above
from .style import COLOURS, THEORY, label_plainly

if TYPE_CHECKING:
    import xarray as xr


Floats = npt.NDArray[np.float64]

MARKERS = "osD^vP*X"
BEYOND = "$\\uparrow$"
"""Marker of steps beyond the end of training."""


def draw(axes: Any, dataset: xr.Dataset, kind: str, *, own: bool = True) -> None:
    """Draw one of `KINDS` of figures of training runs (`open_training`) on axes of matplotlib.

    The legend stands above them if the figure is our `own`.

    InputError if no ensemble is trained to the end, or the task has no accuracy.
    """
    if not statistics.final(dataset).sizes["ensemble"]:
        rule = "needs an ensemble whose networks are all trained, and there is none yet"
        raise InputError("kind", kind, rule, "Finish it with simcore resume.")
    if kind == "accuracy" and kind not in dataset:
        rule = "needs a task with classes"
        remedy = f"Choose one of: {', '.join(x for x in KINDS if x != kind)}."
        raise InputError("kind", kind, rule, remedy)
    _FIGURES[kind](axes, dataset)
    handles, _ = axes.get_legend_handles_labels()
    if own:
        legend_above(axes.figure, [handles])
    elif handles:
        axes.legend()


def _styles(dataset: xr.Dataset) -> Iterator[tuple[str, str, str]]:
    """Yield name, colour and marker of every ensemble of some statistics."""
    names = [str(x) for x in dataset["ensemble"].to_numpy()]
    colours = [*COLOURS, *(shade(colour, 0, 2) for colour in COLOURS)]
    return zip(names, itertools.cycle(colours), itertools.cycle(MARKERS), strict=False)


def _finite(array: xr.DataArray) -> Floats:
    values = np.asarray(array.to_numpy(), dtype=np.float64)
    return np.where(np.isfinite(values), values, np.nan)


# --- against the step -----------------------------------------------------------------------------


def _loss(axes: Any, dataset: xr.Dataset) -> None:
    found = _curves(axes, dataset, "loss", "log")
    step = found["step"].to_numpy()
    for name, colour, _ in _styles(found):
        train = _finite(found["train_loss"].sel(ensemble=name, level=0.5))
        axes.plot(step, train, color=colour, lw=0.8, ls=":")
    axes.plot([], [], color="0.3", lw=0.8, ls=":", label="training loss")
    axes.set(ylabel="test loss")
    label_plainly(axes.yaxis)


def _accuracy(axes: Any, dataset: xr.Dataset) -> None:
    _curves(axes, dataset, "accuracy", "linear")
    axes.set(ylabel="share of test images classified correctly")


def _curves(axes: Any, dataset: xr.Dataset, variable: str, scale: str) -> xr.Dataset:
    """Draw medians and bands over seeds; step 0 has no place on a logarithmic axis."""
    found = statistics.curves(dataset)
    found = found.sel(step=found["step"] > 0)
    step = found["step"].to_numpy()
    top = 1.1 * float(np.nanmax(_finite(found[variable])))
    for name, colour, _ in _styles(found):
        low, _, high = np.minimum(found[variable].sel(ensemble=name).to_numpy(), top)
        middle = _finite(found[variable].sel(ensemble=name, level=0.5))
        axes.fill_between(step, low, high, color=colour, alpha=0.2, lw=0)
        axes.plot(step, middle, color=colour, label=name)
    axes.set_yscale(scale)
    axes.set_ylim(top=top)
    axes.set(xlabel="step", xscale="log", xlim=(step[0], step[-1]) if len(step) > 1 else None)
    label_plainly(axes.xaxis)
    return found


def _steps(axes: Any, dataset: xr.Dataset) -> None:
    """Draw the steps to each reference loss; losses most runs never reach stand above the end."""
    found = statistics.steps_to_reach(dataset)
    if not found.sizes["target"]:
        rule = "needs a loss that training reaches, and it reaches none"
        raise InputError("kind", "steps", rule, "Train more steps.")
    last, target = float(found.attrs["last_step"]), found["target"].to_numpy()
    shifts = np.geomspace(0.9, 1.1, max(2, found.sizes["ensemble"]))
    for (name, colour, marker), shift in zip(_styles(found), shifts, strict=False):
        quantile = found["quantile"].sel(ensemble=name).transpose("level", ...).to_numpy()
        low, middle, high = np.maximum(quantile, 1.0)
        x = target * shift
        some, beyond = np.isfinite(low), np.isinf(middle)
        axes.vlines(x[some], low[some], np.minimum(high, last)[some], color=colour, lw=1.0)
        axes.plot(x[~beyond], middle[~beyond], marker, color=colour, label=name)
        axes.plot(x[beyond], np.full(beyond.sum(), 1.3 * last), ls="", marker=BEYOND, color=colour)
    axes.axhline(last, **THEORY, label="end of training")
    axes.set(xlabel="test loss", ylabel="steps to reach it", xscale="log", yscale="log")
    axes.set_xlim(1.5 * target.max(), target.min() / 1.5)
    axes.set_ylim(top=1.8 * last)
    label_plainly(axes.xaxis)


# --- ensemble by ensemble -------------------------------------------------------------------------


def _final(axes: Any, dataset: xr.Dataset) -> None:
    """Draw the last test loss of every run and the median; of diverged runs their number."""
    ends = statistics.final(dataset)
    pairs = np.linspace(-0.25, 0.25, max(2, ends.sizes["seed"]))[: ends.sizes["seed"]]
    names = []
    for place, (name, colour, _) in enumerate(_styles(ends)):
        own = ends.sel(ensemble=name)
        axes.plot(place + pairs, _finite(own["loss"]), "o", color=colour, ms=2.5, alpha=0.7)
        middle = float(own["loss_quantile"].sel(level=0.5))
        if math.isfinite(middle):
            axes.hlines(middle, place - 0.35, place + 0.35, color=colour)
        gone = int(own["diverged"])
        names.append(f"{name}\n{gone} diverged" if gone else name)
    axes.set(ylabel="test loss after training", yscale="log")
    label_plainly(axes.yaxis)
    axes.set_xticks(range(len(names)), names)
    axes.tick_params(axis="x", which="minor", bottom=False, top=False)


def _dead(axes: Any, dataset: xr.Dataset) -> None:
    found = statistics.dead_units(dataset)
    layer = found["layer"].to_numpy()
    for name, colour, marker in _styles(found):
        for when, style in (("before", ":"), ("after", "-")):
            mean = found[when].sel(ensemble=name).to_numpy()
            error = found[f"{when}_stderr"].sel(ensemble=name).to_numpy()
            runs = int(found[f"{when}_count"].sel(ensemble=name))
            low, high = ends("dead", mean, error, np.full(len(layer), runs))
            axes.fill_between(layer, low, high, color=colour, alpha=0.15, lw=0)
            label = name if when == "after" else None
            axes.plot(layer, mean, color=colour, ls=style, marker=marker, ms=3, label=label)
    axes.plot([], [], color="0.3", ls=":", label="before training")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set(xlabel="hidden layer", ylabel="share of dead units", ylim=(0.0, None))


def _differences(axes: Any, dataset: xr.Dataset) -> None:
    """Draw the ratios to the baseline, of steps and of final losses, with their intervals."""
    against = statistics.baseline_of(dataset)
    target = statistics.reference_loss(dataset, against)
    found = differences(dataset)
    if not found:
        rule = f"needs {against} and another ensemble, trained to the end"
        raise InputError("kind", "differences", rule, "Name another kind.")
    shown = {("loss", None), ("steps", target)}
    ratios = [d for d in found if (d.measure, d.target) in shown]
    names = list(dict.fromkeys(d.ensemble for d in ratios))
    ends = [abs(x) for d in ratios for x in (*d.interval, *d.estimate) if math.isfinite(x)]
    limit = 1.15 * max([*ends, 0.1])
    speed = "" if target is None else f"steps to a test loss of {target:g}"
    for measure, shift, marker, label in (
        ("steps", -0.12, "o", speed),
        ("loss", 0.12, "D", "final test loss"),
    ):
        own = [d for d in ratios if d.measure == measure]
        _intervals(axes, own, [names.index(d.ensemble) + shift for d in own], limit, marker, label)
    axes.axvline(1.0, **THEORY)
    axes.set(xlabel=f"ratio to {against} (95 % intervals)", xscale="log")
    axes.set_xlim(math.exp(-limit), math.exp(limit))
    label_plainly(axes.xaxis)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", which="minor", left=False, right=False)


def _intervals(
    axes: Any, own: Sequence[Difference], y: Sequence[float], limit: float, marker: str, label: str
) -> None:
    colour = COLOURS[0] if marker == "o" else COLOURS[1]
    low, high = (
        np.exp(np.clip([d.interval[i] for d in own], -2.0 * limit, 2.0 * limit)) for i in (0, 1)
    )
    axes.hlines(y, low, high, color=colour, lw=1.2)
    for which, face in ((0, colour), (1, "none")):
        at = [d.estimate[which] for d in own]
        shown = np.exp(np.where(np.isfinite(at), at, np.nan))
        text = label if which == 0 and own else None
        axes.plot(shown, y, marker, color=colour, mfc=face, label=text)


_FIGURES: dict[str, Callable[[Any, xr.Dataset], None]] = {
    "loss": _loss,
    "accuracy": _accuracy,
    "steps": _steps,
    "final": _final,
    "differences": _differences,
    "dead": _dead,
}
KINDS = tuple(_FIGURES)
"""Names of the figures."""

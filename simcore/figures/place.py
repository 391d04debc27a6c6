"""The place of a figure: its panels, its height, its legend above them, and its axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .looks import Look, Looks
from .style import FIRST_ORDER, THEORY, label_plainly

Places = npt.NDArray[np.int64]

ASPECT, NARROW_ASPECT = 0.5, 0.62
"""Height of a panel that has height 1, in widths of the figure: wide, and of one column."""

LOG_FROM = 30
"""Layers from which on their axis is logarithmic."""

MM_OF_POINT = 8.5
"""Width, in mm, that one of the points along the layers takes."""

TWO_COLUMNS = 100.0
"""Width in mm from which on small panels stand side by side."""


MOST_COLUMNS, MOST_ROWS = 6, 4
"""Columns of a legend, and rows of one whose columns are groups."""


class Place:
    """A figure of our own, or the axes of somebody else, which get the first panel only."""

    def __init__(self, figure: Any, given: Any = None) -> None:
        self.figure = figure
        self.given = given

    @property
    def mm(self) -> float:
        """Width in mm."""
        box = self.figure.bbox if self.given is None else self.given.get_window_extent()
        return float(box.width / self.figure.dpi * 25.4)

    def stack(self, *heights: float) -> list[Any]:
        """Return panels one below the other, with one axis below the last."""
        if self.given is not None:
            return [self.given]
        self._set_height(sum(heights))
        ratios = {"height_ratios": heights}
        made = self.figure.subplots(len(heights), sharex=True, squeeze=False, gridspec_kw=ratios)
        return list(made[:, 0])

    def multiples(self, count: int) -> list[Any]:
        """Return panels that share nothing."""
        if self.given is not None:
            return [self.given] * count
        columns = 1 if count == 1 else 2 if self.mm < TWO_COLUMNS or count in (2, 4) else 3
        rows = math.ceil(count / columns)
        self._set_height(1.0 if rows == columns == 1 else rows * 1.4 / columns)
        made = self.figure.subplots(rows, columns, squeeze=False).ravel()
        for left in made[count:]:
            left.remove()
        return list(made[:count])

    def _set_height(self, height: float) -> None:
        aspect = NARROW_ASPECT if self.mm < TWO_COLUMNS else ASPECT
        self.figure.set_figheight(aspect * height * self.figure.get_figwidth())

    def legend(self, groups: Sequence[Sequence[Any]], title: str) -> None:
        """Put a legend above the panels: each group in its columns, if they are as high and fit."""
        if self.given is not None:
            flat = [entry for group in groups for entry in group]
            self.given.legend(handles=flat, title=title, alignment="left")
            return
        legend_above(self.figure, groups, title)
        self.figure.align_ylabels()

    def points(self, layer: npt.NDArray[Any], lines: int) -> list[Places]:
        """Return, for each line, the places of the layers at which its points stand.

        They are spread evenly along the axis. Where layers are many, those of other lines lie
        between them, so that bars stand side by side.
        """
        most = max(6, round(self.mm / MM_OF_POINT))
        size = len(layer)
        if size <= most:
            return [np.arange(size)] * lines
        found = []
        for line in range(lines):
            steps = (np.arange(most) + line / lines) / (most - 1)
            spread = size**steps - 1.0 if is_long(layer) else (size - 1) * steps
            places = np.unique(np.rint(spread).astype(np.int64))
            found.append(places[places < size])
        return found


def legend_above(figure: Any, groups: Sequence[Sequence[Any]], title: str = "") -> None:
    """Put a legend above the panels of a figure of our own, which becomes higher by it."""
    groups = [group for group in groups if group]
    flat = [entry for group in groups for entry in group]
    if not flat:
        return
    rows = max(len(group) for group in groups)
    layouts = [(flat, columns) for columns in range(min(MOST_COLUMNS, len(flat)), 0, -1)]
    if rows <= MOST_ROWS and sum(len(group) > 1 for group in groups) > 1:
        layouts.insert(len(flat) <= MOST_COLUMNS, (_filled(groups, rows), len(groups)))
    look: dict[str, Any] = {"title": title or None, "alignment": "left"}
    for entries, columns in layouts:
        made = figure.legend(handles=entries, ncols=columns, loc="outside upper left", **look)
        box = made.get_window_extent()
        if columns == 1 or box.width < figure.bbox.width:
            break
        made.remove()
    figure.set_figheight(figure.get_figheight() + box.height / figure.dpi)


def along(axes: Any, layer: npt.NDArray[Any]) -> None:
    """Make the axis of layers: logarithmic if they are many, and ending where they do."""
    axes.set(xlabel="layer")
    if is_long(layer):
        axes.set(xscale="log", xlim=(0.85 * layer[0], layer[-1] / 0.85))
        label_plainly(axes.xaxis)
    else:
        from matplotlib.ticker import MaxNLocator

        axes.set_xlim(layer[0] - 0.5, layer[-1] + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
        axes.minorticks_on()
        axes.xaxis.set_minor_locator(MaxNLocator(1))


def is_long(layer: npt.NDArray[Any]) -> bool:
    """Return whether the axis of these layers is logarithmic."""
    return bool(layer[-1] >= LOG_FROM and layer[-1] >= 10 * layer[0])


def draw_points(
    axes: Any, x: Any, ends: Sequence[Any], colour: str, marker: str, **more: Any
) -> None:
    """Draw means with the bars of their intervals; `ends` are means, lower and upper ends."""
    mean, low, high = (np.asarray(part, dtype=np.float64) for part in ends)
    bars = np.abs(np.stack([mean - low, high - mean]))
    look: dict[str, Any] = {
        "color": colour,
        "fmt": marker,
        "ms": 3.0,
        "lw": 0.9,
        "mew": 0.0,
        "zorder": 3.0,
    }
    axes.errorbar(x, mean, np.where(np.isnan(bars), 0.0, bars), **look | more)


# --- entries of a legend --------------------------------------------------------------------------


def entries_of(
    looks: Looks, name: str, theories: Sequence[str], *, exact: bool = False
) -> list[list[Any]]:
    """Return groups of entries: of hues, or of a single line by `name`, of shades, of theories."""
    from matplotlib.lines import Line2D

    hues = looks.hues or tuple((name, line.look) for line in looks.lines[:1])
    made = [
        [
            Line2D([], [], color=look.colour, marker=look.marker, label=label, **_key(look))
            for label, look in keys
        ]
        for keys in (hues, looks.shades)
    ]
    lines = {
        "theory": ("exact theory" if exact else "mean field", THEORY),
        "theory_1n": ("first order in $1/N$", FIRST_ORDER),
    }
    return [*made, [Line2D([], [], **lines[t][1], label=lines[t][0]) for t in theories]]


def _filled(groups: Sequence[Sequence[Any]], rows: int) -> list[Any]:
    """Return the entries of all groups, each followed by empty ones up to so many rows."""
    from matplotlib.lines import Line2D

    empty = Line2D([], [], ls="", label=" ")
    return [entry for group in groups for entry in [*group, *[empty] * (rows - len(group))]]


def _key(look: Look) -> dict[str, Any]:
    return {"ls": "", "ms": 4.0, "mew": 0.0} if look.marker else {"lw": 3.5}


def theory_look(looks: Looks, colour: str, style: dict[str, Any]) -> dict[str, Any]:
    """Return the look of a line of theory: black beside one line, else that line's colour."""
    return style if len(looks.lines) == 1 else style | {"color": colour}

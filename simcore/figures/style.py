"""Colours, style and writing of all figures for print."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from simcore.errors import InputError
from simcore.files.destination import refuse_dash, written

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
"""Okabe and Ito's colours, distinct for any colour vision."""

MAX_LINES = 8
"""Lines that a figure can hold and a reader distinguish."""

GREY = "#595959"

THEORY: dict[str, Any] = {"color": "black", "linestyle": (0, (4, 3)), "linewidth": 0.9}
FIRST_ORDER: dict[str, Any] = {"color": "black", "linestyle": (0, (1, 1.5)), "linewidth": 1.1}
STYLE = Path(__file__).with_name("journal.mplstyle")


def check_ending(output: str | Path, field: str = "output") -> None:
    """Raise InputError, about `field`, unless a figure can be written to a file of this name."""
    from matplotlib.backend_bases import FigureCanvasBase

    refuse_dash(output, field)
    known = sorted(FigureCanvasBase.get_supported_filetypes())
    if Path(output).suffix[1:].lower() not in known:
        remedy = f"Use one of: {', '.join(known)}."
        raise InputError(field, str(output), "has no known ending", remedy)


def plain_number(value: float, digits: int = 6) -> str:
    """Return a number as it stands in a figure."""
    return f"{value:.{digits}g}".replace("inf", "∞").replace("-", "\N{MINUS SIGN}")


def label_plainly(axis: Any) -> None:
    """Write the ticks of a logarithmic axis as plain numbers, at 2 and 5 where decades are few."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    low, high = axis.get_view_interval()
    few = high < 500.0 * low
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,), numticks=20))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_locator(LogLocator(subs="all", numticks=20))
    axis.set_minor_formatter(NullFormatter())


@contextmanager
def figure(
    output: str | Path, size: tuple[float, float], *, overwrite: bool = False
) -> Iterator[Any]:
    """Yield a matplotlib Figure of a size in inches in the common style, and write it in the end.

    InputError if the ending of `output` is unknown or the file may not be replaced, OutputError if
    it can't be written.
    """
    target = Path(output)
    check_ending(target)
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with written(target, overwrite=overwrite) as made, mpl.rc_context(fname=STYLE):
        drawn = Figure(figsize=size)
        yield drawn
        # It warns of the dates of fonts that matplotlib brings along, as they are put into a PDF.
        fonts = logging.getLogger("fontTools")
        level = fonts.level
        fonts.setLevel(logging.ERROR)
        try:
            drawn.savefig(made)
        finally:
            fonts.setLevel(level)

"""A bar for a run that Python started, in a terminal or a notebook."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from simcore.numerics.text import counted

from .progress import Progress, Report

WIDTH = 80
"""Characters of the line in a notebook."""


@contextmanager
def shown(report: Report | None, *, bar: bool) -> Iterator[Report | None]:
    """Yield the report of a run: the one that is given, and a bar if one is asked for."""
    if not bar:
        yield report
        return
    with _bar() as show:

        def both(progress: Progress) -> None:
            show(progress)
            if report is not None:
                report(progress)

        yield both


@contextmanager
def _bar() -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    text, trials = TextColumn("{task.description}"), TextColumn("{task.fields[trials]}")
    columns = (text, BarColumn(bar_width=30), trials, TimeRemainingColumn())
    # In a notebook rich would need ipywidgets, and one output that is brought up to date will do.
    notebook = _Notebook() if console.is_jupyter else None
    bar = Bar(*columns, console=console, transient=True, disable=notebook is not None)
    task = bar.add_task("starting", total=None, trials="")

    def show(progress: Progress) -> None:
        started = progress.node_updates > progress.resumed_updates
        bar.update(
            task,
            description=progress.phase,
            total=float(progress.total_node_updates) if started else None,
            completed=float(progress.node_updates),
            trials=f"{progress.trials} of {counted(progress.total_trials, 'trial')}",
        )
        if notebook is not None:
            notebook.show(bar)

    with bar:
        yield show


class _Notebook:
    """One output of a notebook."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, bar: Any) -> None:
        """Bring the output up to date."""
        from IPython.display import display
        from rich.console import Console

        file = io.StringIO()
        Console(file=file, width=WIDTH, force_jupyter=False).print(bar.get_renderable())
        text = {"text/plain": file.getvalue().rstrip()}
        if self._handle is None:
            self._handle = display(text, raw=True, display_id=True)
        else:
            self._handle.update(text, raw=True)

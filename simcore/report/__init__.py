"""`simcore report`: one self-contained page about one or several files, runs or training.

`sources` reads the files, `page` puts data and words into the templates, `figures` draws them empty
and the scripts fill them in the browser. `answers` alone calls `compare` and `scaling`.

May import all rooms but `doctor` and `cli`. Start with `page`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from simcore.errors import FileFormatError, InputError
from simcore.files.destination import claim, written

if TYPE_CHECKING:
    import xarray as xr

    from .sources import Source
    from .training_source import Training

__all__ = ["Report", "report"]

Data: TypeAlias = "xr.Dataset | str | os.PathLike[str]"


class Report(NamedTuple):
    """A page that was written.

    Parameters
    ----------
    path
        The page.
    problems
        A line for each file that is not on it, with the reason and the remedy.
    notes
        Missing parts of the files on it, and how to get them: each a file and a line.
    """

    path: Path
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def report(
    data: Data | Sequence[Data],
    output: str | os.PathLike[str],
    *,
    overwrite: bool = False,
) -> Report:
    """Write a page about one or several runs that needs no network.

    `simcore.report(...)` is this function.

    Parameters
    ----------
    data
        Files that `simulate` or `simcore train` wrote, or Datasets that `simulate` or `open_run`
        returned, in any mixture, one or several. Those that can't be read are named on the page.
    output
        The page to write (HTML).
    overwrite
        Whether an existing `output` may be replaced; results never are.

    Raises
    ------
    InputError
        If no file can be read, or `output` may not be replaced.
    OutputError
        If the page can't be written.
    """
    from .datasets import as_files

    with as_files(data) as paths:
        return _report(paths, Path(output), overwrite=overwrite)


def _report(paths: Sequence[str | os.PathLike[str]], output: Path, *, overwrite: bool) -> Report:
    from .sources import read_sources

    page = claim(output, overwrite=overwrite, others=paths)
    sources, trainings, problems = read_sources(paths)
    try:
        html = _rendered(sources, trainings, problems)
    finally:
        for source in sources:
            source.dataset.close()
    files: list[Source | Training] = [*sources, *trainings]
    notes = tuple(f"{file.path}: {note}" for file in files for note in file.notes)
    with written(page, overwrite=overwrite) as made:
        made.write_text(html, encoding="utf-8", errors="backslashreplace")
    return Report(page, tuple(map(_line, problems)), notes)


def _rendered(sources: list[Source], trainings: list[Training], problems: list[InputError]) -> str:
    """Return the page; runs in which damage comes to light are moved to the problems."""
    from .page import render

    while sources or trainings:
        try:
            return render(sources, trainings, [_line(problem) for problem in problems])
        except FileFormatError as error:
            damaged = [s for s in sources if str(s.path) == str(error.value)]
            if not damaged:
                raise
            sources.remove(damaged[0])
            damaged[0].dataset.close()
            problems.append(error)
    if problems:
        raise problems[0]
    raise InputError("file", "none", "is missing", "Name a file that simulate wrote.")


def _line(problem: InputError) -> str:
    return f"{problem.value}: {problem.rule}. {problem.remedy}"


class _Room(ModuleType):
    """The room, which can be called as the function that it is about."""

    def __call__(self, *args: Any, **options: Any) -> Report:
        return report(*args, **options)


sys.modules[__name__].__class__ = _Room

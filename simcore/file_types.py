"""Register of the types of files of results: what opens a file depends on what it says it is.

It stands above the rooms that read files and below those that show them. Those hold a table by
`FileType.name` of what they do with each type (resume, report, plot), so that a new type is one
entry here and one in each table.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import FileFormatError
from .files.hdf5 import translated
from .files.header import filetype
from .files.stored import StoredFile

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class FileType:
    """Type of file.

    Parameters
    ----------
    name
        The attribute ``filetype`` of its root.
    noun
        What such a file is called in messages.
    facts
        Describes an open file by plain values, which JSON can hold.
    dataset
        Gives the results of an open file.
    """

    name: str
    noun: str
    facts: Callable[[StoredFile], dict[str, Any]]
    dataset: Callable[[StoredFile], xr.Dataset]


def _run_facts(stored: StoredFile) -> dict[str, Any]:
    from .files.run_file import describe

    with translated(stored.path):
        return describe(stored.file, stored.path)


def _run_dataset(stored: StoredFile) -> xr.Dataset:
    from .results.open_run import stored_dataset

    return stored_dataset(stored)


def _training_facts(stored: StoredFile) -> dict[str, Any]:
    from .training.facts import describe

    with translated(stored.path):
        return describe(stored.file, stored.path)


def _training_dataset(stored: StoredFile) -> xr.Dataset:
    from .training.store import results_of, to_dataset

    with translated(stored.path):
        results, complete = results_of(stored.file, stored.path)
    return to_dataset(results, complete=complete)


RUN = FileType("simcore-run", "a run", _run_facts, _run_dataset)
TRAINING = FileType("simcore-training", "training", _training_facts, _training_dataset)

_TYPES = {kind.name: kind for kind in (RUN, TRAINING)}


def opened(path: str | os.PathLike[str]) -> tuple[FileType, StoredFile]:
    """Open a file of results.

    Returns
    -------
    kind, stored
        Its type, and the open file, which the caller closes.

    Raises
    ------
    FileFormatError
        If it is missing, no HDF5 file, damaged or of an unknown type.
    """
    stored = StoredFile(os.fspath(path))
    try:
        with translated(path):
            name = filetype(stored.file)
        if name not in _TYPES:
            remedy = "Give a file that simulate wrote."
            raise FileFormatError("file", os.fspath(path), "is not the file of a run", remedy)
    except BaseException:
        stored.close()
        raise
    return _TYPES[name], stored


def file_type(path: str | os.PathLike[str]) -> FileType:
    """Return the type of a file of results; errors as for `opened`."""
    kind, stored = opened(path)
    stored.close()
    return kind

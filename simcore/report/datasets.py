"""Datasets as files for a report: from memory they are written, those of a file have one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from simcore.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from . import Data

Name = str | os.PathLike[str]


@contextmanager
def as_files(data: Data | Sequence[Data]) -> Iterator[list[Name]]:
    """Yield a file for each of the data; those of Datasets from memory are removed afterwards.

    InputError if a Dataset is a part of a run, or was changed.
    """
    several = data if isinstance(data, Sequence) and not isinstance(data, str) else [data]
    with TemporaryDirectory(prefix="simcore-") as folder:
        yield [
            each
            if isinstance(each, str | os.PathLike)
            else _file_of(each, Path(folder) / f"memory-{number}.h5")
            for number, each in enumerate(several, 1)
        ]


def _file_of(dataset: xr.Dataset, path: Path) -> Name:
    from simcore.results.held import write
    from simcore.results.open_run import open_run
    from simcore.results.points import check_dataset

    check_dataset(dataset)
    source = dataset.encoding.get("source")
    if source is None:
        write(dataset, path)
        return path
    with open_run(source) as whole:
        if dataset.sizes != whole.sizes or set(dataset.variables) != set(whole.variables):
            rule, remedy = f"is a part of {source}", "Give the whole Dataset, or name the file."
            raise InputError("data", "a Dataset", rule, remedy)
    return str(source)

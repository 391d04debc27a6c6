"""Matrices from files: .npy, .npz, HDF5 and .csv; every fault becomes a message of one line.

Rows are numbered from 0 everywhere.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from simcore.errors import InputError

from .memory import array_of

Floats = npt.NDArray[np.float64]

_BATCH = 2**20
"""Numbers held at once, per array, where a matrix is worked through in parts."""

_SHOWN = 5
"""Names or rows listed in a message."""

_GAPS = frozenset(("", "na", "n/a", "<na>", "nan", "null", "none", "missing", "?", "-", "."))
"""Marks of missing values, in lower case: a first line of these alone is no header."""


def matrix_of(field: str, source: Any) -> tuple[str, Floats]:
    """Return the words for a source in messages, and its matrix of finite numbers.

    The source is FILE or FILE:DATASET, or an array, a tensor or a table in memory.
    """
    if isinstance(source, str | os.PathLike):
        text = os.fspath(source)
        return text, read_matrix(field, text)
    text, values = array_of(field, source)
    return text, _checked(field, text, values)


def read_matrix(field: str, text: str) -> Floats:
    """Read a matrix of finite numbers from a file; every fault becomes an InputError."""
    with _reading(field, text):
        path, dataset = _split(text)
        _check_file(field, text, path)
        values = _READERS[path.suffix.lower()](_Source(field, text, path, dataset))
    return _checked(field, text, values)


@contextmanager
def _reading(field: str, text: str) -> Iterator[None]:
    """Turn the errors of libraries on damaged files into an InputError."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        rule = f"can't be read ({' '.join(reason.split())})"
        remedy = "Check that the file is whole, of the kind that its suffix says, and readable."
        raise InputError(field, text, rule, remedy) from error


@dataclass(frozen=True)
class _Source:
    """The file to read, the dataset if one is named, and the names of both in messages."""

    field: str
    text: str
    path: Path
    dataset: str | None

    def error(self, rule: str, remedy: str) -> InputError:
        return InputError(self.field, self.text, rule, remedy)


def _split(text: str) -> tuple[Path, str | None]:
    """Split FILE:DATASET; a colon that is part of the name of an existing file stays there."""
    if Path(text).exists():
        return Path(text), None
    colons = [i for i, character in enumerate(text) if character == ":"]
    existing = [i for i in reversed(colons) if Path(text[:i]).is_file()]
    likely = [i for i in colons if Path(text[:i]).suffix.lower() in _READERS]
    for cut in chain(existing, likely):
        return Path(text[:cut]), text[cut + 1 :] or None
    return Path(text), None


def _check_file(field: str, text: str, path: Path) -> None:
    if path.is_dir():
        raise InputError(field, text, "is a folder", "Name a file.")
    if not path.exists():
        raise InputError(field, text, "there is no such file", "Check the name.")
    if path.suffix.lower() not in _READERS:
        rule = f"has the suffix '{path.suffix}', which is no format that simcore reads"
        raise InputError(field, text, rule, f"Use one of: {', '.join(_READERS)}.")
    if not path.is_file():
        raise InputError(field, text, "is a pipe or a device", "Name a file on a disk.")


# --- formats -------------------------------------------------------------------------------------


def _read_npy(source: _Source) -> npt.NDArray[Any]:
    _check_single(source)
    with source.path.open("rb") as file:
        values: npt.NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return values


def _read_npz(source: _Source) -> npt.NDArray[Any]:
    if not zipfile.is_zipfile(source.path):
        raise ValueError("not a zip archive")
    # NumPy leaves a damaged file open that it opened itself.
    with source.path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        name = _choose(source, archive.files, archive.files)
        return np.asarray(archive[name])


def _read_hdf5(source: _Source) -> npt.NDArray[Any]:
    import h5py

    with h5py.File(source.path, "r", locking=False) as file:
        dataset = _named(source, file) if source.dataset else None
        if dataset is None:
            found = _datasets(source, file)
            matrices = [name for name, item in found.items() if _is_matrix(item)]
            dataset = found[_choose(source, list(found), matrices)]
        _check_origins(source, dataset)
        return np.empty((0, 0)) if dataset.shape is None else np.asarray(dataset[()])


def _named(source: _Source, file: Any) -> Any:
    """Return the dataset that is named, through any link; None if there is none."""
    import h5py

    wanted = (source.dataset or "").strip("/")
    item = file.get(wanted)
    if item is None and file.get(wanted, getlink=True) is not None:
        rule = f"holds a link '{source.dataset}' whose target is missing"
        raise source.error(rule, "Restore the target, or name another dataset.")
    return item if isinstance(item, h5py.Dataset) else None


def _datasets(source: _Source, file: Any) -> dict[str, Any]:
    """Return every dataset once, by one of its names: by that of the field if it has it."""
    import h5py

    names: dict[Any, str] = {}

    def visit(name: str, _: object) -> None:
        item = file.get(name)  # None for a link whose target is missing
        if isinstance(item, h5py.Dataset):
            names[item] = name if _called(name, source.field) else names.get(item, name)

    file.visititems_links(visit)
    return {name: item for item, name in names.items()}


def _check_origins(source: _Source, dataset: Any) -> None:
    """Refuse a virtual dataset whose sources are not all there: HDF5 reads the rest as zeros."""
    import h5py

    for origin in dataset.virtual_sources() if dataset.is_virtual else ():
        if origin.file_name == ".":
            present = origin.dset_name in dataset.file
        elif "%b" in origin.file_name:  # one of a numbered series, which ends where files end
            continue
        elif present := (path := _origin(dataset, origin.file_name)) is not None:
            with h5py.File(path, "r", locking=False) as file:
                if present := origin.dset_name in file:
                    _check_origins(source, file[origin.dset_name])
        if not present:
            what = f"'{origin.dset_name}' of {origin.file_name}"
            rule = f"holds a virtual dataset whose source, {what}, is missing"
            raise source.error(rule, "Restore the source, or store the numbers themselves.")


def _origin(dataset: Any, name: str) -> Path | None:
    """Return the file of a virtual dataset's source, at the places where HDF5 looks for it."""
    folder = Path(dataset.file.filename).parent
    prefixes = os.environ.get("HDF5_VDS_PREFIX", "").replace("${ORIGIN}", str(folder)).split(":")
    places = [*(Path(prefix) for prefix in prefixes if prefix), folder, Path()]
    candidates = [place / part for place in places for part in (name, Path(name).name)]
    return next((path for path in candidates if path.is_file()), None)


def _called(name: str, field: str) -> bool:
    return name.rpartition("/")[2] == field


def _is_matrix(dataset: Any) -> bool:
    return dataset.shape is not None and dataset.ndim == 2 and dataset.dtype.kind in "buif"


def _check_single(source: _Source) -> None:
    if source.dataset is not None:
        rule = f"names the dataset '{source.dataset}', but such a file holds a single array"
        raise source.error(rule, f"Give {source.path} alone.")


def _choose(source: _Source, names: Sequence[str], candidates: Sequence[str]) -> str:
    """Return the dataset that is named, else the one called like the field, else the only one.

    Raises
    ------
    InputError
        If the one named is missing, or none is named and several would do.
    """
    if not names:
        raise source.error("holds no array", "Choose another file.")
    if source.dataset is not None:
        if (wanted := source.dataset.strip("/")) in names:
            return wanted
        rule = f"holds no dataset '{source.dataset}'"
        raise source.error(rule, f"Choose one of: {few(names)}.")
    called = [name for name in names if _called(name, source.field)]
    usable = called or candidates or names
    if len(usable) > 1:
        rule = f"holds {len(usable)} arrays, and none is named"
        raise source.error(rule, f"Add :NAME, with one of: {few(usable)}.")
    return usable[0]


def _read_csv(source: _Source) -> npt.NDArray[Any]:
    _check_single(source)
    number, cells = next(_csv_lines(source.path), (0, [""]))
    header = not any(map(_is_number, cells)) and not all(x.lower() in _GAPS for x in cells)
    skip = number if header else 0
    if next((n for n, _ in _csv_lines(source.path) if n > skip), None) is None:
        return np.empty((0, 0))
    try:
        return np.loadtxt(
            source.path,
            delimiter=",",
            quotechar='"',
            skiprows=skip,
            ndmin=2,
            encoding="utf-8-sig",
        )
    except ValueError:
        if (fault := _csv_fault(source.path, skip)) is None:
            raise
        remedy = "Give the same number of numbers in every line, separated by commas."
        raise source.error(fault, remedy) from None


def _csv_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number, from 1, and the cells of each line that is not blank or a # comment."""
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if content := line.partition("#")[0].strip():
                yield number, [cell.strip().strip('"') for cell in content.split(",")]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _csv_fault(path: Path, skip: int) -> str | None:
    """Describe the first fault below the header; NumPy's rows leave out blanks and comments."""
    columns = 0
    for number, cells in _csv_lines(path):
        if number <= skip:
            continue
        for column, cell in enumerate(cells, 1):
            if not _is_number(cell):
                return f"line {number}, column {column} holds '{cell}', which is not a number"
        columns = columns or len(cells)
        if len(cells) != columns:
            return f"line {number} has {len(cells)} values where the lines above have {columns}"
    return None


_READERS: dict[str, Callable[[_Source], npt.NDArray[Any]]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".h5": _read_hdf5,
    ".hdf5": _read_hdf5,
    ".csv": _read_csv,
}


# --- checks --------------------------------------------------------------------------------------


def _checked(field: str, text: str, values: npt.NDArray[Any]) -> Floats:
    """Return a matrix as float64 in C order; InputError if it is none."""
    if values.dtype.kind not in "buif":
        rule = f"holds values of the type {values.dtype}, not real numbers"
        raise InputError(field, text, rule, "Store integers or floating-point numbers.")
    if values.ndim != 2:
        rule = f"has the shape {list(values.shape)}, with {values.ndim} dimensions"
        remedy = "Give a matrix, 2 dimensions, with one row for each input or pair."
        raise InputError(field, text, rule, remedy)
    if not values.size:
        raise InputError(field, text, "is empty", "Give at least one row and one column.")
    # A long double beyond the range of float64 becomes an infinity, which is refused below.
    with np.errstate(over="ignore"):
        matrix: Floats = np.ascontiguousarray(values, dtype=np.float64)
    finite = np.isfinite(matrix)
    if not finite.all():
        row = int(np.flatnonzero(~finite.all(axis=1))[0])
        number = matrix.size - np.count_nonzero(finite)
        rule = f"holds {number} NaN or infinite values, the first in row {row}, from 0"
        raise InputError(field, text, rule, "Remove or replace them.")
    return matrix


def few(names: Sequence[object]) -> str:
    """Return the first names, and the number of further ones."""
    rest = len(names) - _SHOWN
    return ", ".join(map(str, names[:_SHOWN])) + (f" and {rest} more" if rest > 0 else "")


def row_batches(rows: int, columns: int) -> Iterator[slice]:
    """Cut rows into runs of at most about `_BATCH` numbers."""
    step = max(1, _BATCH // max(1, columns))
    return (slice(start, start + step) for start in range(0, rows, step))

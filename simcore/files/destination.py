"""The place of a file: checks that it can be written, what is there already, and the writing.

Every file that simcore writes is decided on by `claim`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from simcore.errors import FileFormatError, InputError, OutputError, SimcoreError

from .lock import protected

RESULTS = "simcore-"
"""Beginning of the type of every file of results, whose making may have taken days."""


def claim(
    path: Path,
    *,
    overwrite: bool,
    field: str = "output",
    replaces_results: bool = False,
    others: Iterable[str | os.PathLike[str]] = (),
) -> Path:
    """Return the path of a file that may be written; nothing is written yet.

    Parameters
    ----------
    path
        The file.
    overwrite
        Whether the user allows an existing one to be replaced.
    field
        The parameter that names it.
    replaces_results
        Whether results are written, which alone may replace results.
    others
        Other files of the same command, as FILE or FILE:DATASET, none of which is ever replaced.

    Raises
    ------
    InputError
        If the file can't be made, or may not be replaced.
    """
    check_destination(path, field)
    if any(_same(path, other) for other in others):
        rule = "is another file of this command already"
        raise InputError(field, str(path), rule, "Name another file.")
    if not replaces_results and holds_results(path):
        rule = "holds results, which nothing but a new run replaces"
        raise InputError(field, str(path), rule, "Name another file.")
    if os.path.lexists(path) and not overwrite:
        remedy = "Add `overwrite`, or name another file."
        raise InputError(field, str(path), "exists already", remedy)
    return path


def holds_results(path: Path) -> bool:
    """Return whether a file holds a run or training, as far as it can be read."""
    from .hdf5 import SIGNATURE, reading
    from .header import filetype

    try:
        with path.open("rb") as raw:
            if raw.read(len(SIGNATURE)) != SIGNATURE:
                return False
    except OSError:
        return False
    try:
        with reading(path) as file:
            return filetype(file).startswith(RESULTS)
    except FileFormatError:
        return True  # damaged results are still results


@contextmanager
def written(path: Path, *, overwrite: bool, field: str = "output") -> Iterator[Path]:
    """Claim a file that holds no results, yield a new one beside it, and put that in its place.

    Nobody reads half of it, and an earlier file stays whole whatever fails.

    Raises
    ------
    InputError
        As `claim`.
    OutputError
        If it can't be written.
    """
    claim(path, overwrite=overwrite, field=field)
    try:
        final = Path(os.path.realpath(path))
        with tempfile.TemporaryDirectory(dir=final.parent, prefix=".simcore-") as folder:
            made = Path(folder) / final.name
            yield made
            os.replace(made, final)  # noqa: PTH105 - says which of the two names failed
    except OSError as error:
        if isinstance(error, SimcoreError):
            raise
        message = f"can't write {path}: {error.strerror or error}; choose another folder"
        raise OutputError(message) from error


def refuse_dash(path: str | os.PathLike[str], field: str) -> None:
    """Raise InputError, about `field`, if a file is called as other programs call their output."""
    if os.fspath(path) == "-":
        rule = "is not the name of a file, and simcore writes no file to standard output"
        raise InputError(field, "-", rule, "Name a file.")


def check_destination(path: Path, field: str = "output") -> None:
    """Raise InputError, about `field`, unless a file can be made, or replaced, at `path`."""
    try:
        refuse_dash(path, field)
        with suppress(FileNotFoundError):
            path.stat()  # refuses names that are too long, and loops of links
        if path.is_dir():
            raise InputError(field, str(path), "is a folder", "Name a file in it.")
        if path.exists() and not path.is_file():
            raise InputError(field, str(path), "is no ordinary file", "Name another file.")
        # A link stays one: what it names is made or replaced.
        folder = path.parent if not path.is_symlink() else Path(os.path.realpath(path)).parent
        if not folder.is_dir():
            raise InputError(field, str(path), "is in no folder", f"Create {folder} first.")
        if protected(path):
            remedy = "Make it writable, or name another file."
            raise InputError(field, str(path), "is read-only", remedy)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        rule = f"can't be written ({reason})"
        raise InputError(field, str(path), rule, "Name a file elsewhere.") from error


def _same(path: Path, other: str | os.PathLike[str]) -> bool:
    text = os.fspath(other)
    names = (text, *(text[:i] for i, character in enumerate(text) if character == ":"))
    return os.path.realpath(path) in map(os.path.realpath, names)


def identity(path: Path) -> tuple[str, bool]:
    """Return the digest of a stored run's configuration and whether it is complete.

    The digest is "" where the file is not that of a run.

    Raises
    ------
    LeftOpenError
        If it is open elsewhere.
    """
    from .hdf5 import LeftOpenError, reading, text

    try:
        with reading(path) as file:
            digest = text(file.attrs["config_sha256"])
            return digest, bool(file.attrs["complete"]) and "gaps" not in file.attrs
    except LeftOpenError:
        raise
    except FileFormatError:
        return "", False

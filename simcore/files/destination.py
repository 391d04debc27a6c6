"""The place of a file: checks that it can be written, and the run that is there already."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from simcore.errors import FileFormatError, InputError, OutputError, SimcoreError

from .lock import protected


def check_destination(path: Path, field: str = "output") -> None:
    """Raise InputError, about `field`, unless a file can be made, or replaced, at `path`.

    A link stays one: what it points to is made or replaced.
    """
    try:
        folder = Path(os.path.realpath(path)).parent
        with suppress(FileNotFoundError):
            path.stat()  # refuses names that are too long, and loops of links
        if path.is_dir():
            raise InputError(field, str(path), "is a folder", "Name a file in it.")
        if path.exists() and not path.is_file():
            raise InputError(field, str(path), "is no ordinary file", "Name another file.")
        if not folder.is_dir():
            missing = path.parent if not path.is_symlink() else folder
            raise InputError(field, str(path), "is in no folder", f"Create {missing} first.")
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


def free(output: str | os.PathLike[str], *, overwrite: bool) -> Path:
    """Return the path of a file that may be written.

    Raises
    ------
    InputError
        If there is a file and `overwrite` is False, or none can be made there.
    """
    path = Path(output)
    check_destination(path)
    if path.exists() and not overwrite:
        remedy = "Pass overwrite=True, or name another file."
        raise InputError("output", path, "exists already", remedy)
    return path


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Yield the name of a new file beside `path`, which takes its place in the end.

    A file that can't be written whole leaves an earlier one as it was.

    Raises
    ------
    OutputError
        If it can't be written.
    """
    try:
        final = Path(os.path.realpath(path))
        with tempfile.TemporaryDirectory(dir=final.parent, prefix=".simcore-") as folder:
            made = Path(folder) / f"new{final.suffix}"
            yield made
            made.replace(final)
    except OSError as error:
        if isinstance(error, SimcoreError):
            raise
        message = f"can't write {path}: {error.strerror or error}; choose another folder"
        raise OutputError(message) from error


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

"""The place of a file: checks that it can be written, and the run that is there already."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from simcore.errors import FileFormatError, InputError

from .lock import protected


def check_destination(path: Path, field: str = "output") -> None:
    """Raise InputError, about `field`, unless a file can be made, or replaced, at `path`."""
    try:
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

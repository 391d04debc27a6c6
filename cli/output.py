"""Where a run is written, and what is there already; all of it before anything starts."""

from __future__ import annotations

import os
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from simcore.errors import InputError
from simcore.files.lock import protected

from .errors import CommandError

__all__ = ["GO_ON", "Destination", "check_destination", "resolve_destination"]

GO_ON = "Go on with: simcore resume"
"""What to do with an unfinished file."""


class Described(Protocol):
    """What a file is made of: a run, or a plan of training."""

    def digest(self) -> str:
        """SHA-256 of the configuration, hexadecimal."""

    def default_filename(self) -> str:
        """Name of the file where the user names none."""


@dataclass(frozen=True)
class Destination:
    """The file of a run.

    Parameters
    ----------
    path
        Where it is, or will be.
    named
        Whether the user named it.
    """

    path: Path
    named: bool

    def finished(self, run: Described, *, overwrite: bool) -> bool:
        """Return whether the default file holds this very run, complete; refuse anything else.

        Raises
        ------
        InputError
            If a file is in the way.
        CommandError
            If the default file is an unfinished run of the same configuration.
        """
        if overwrite or not os.path.isfile(self.path):  # noqa: PTH113 - no error for long names
            return False
        shown = str(self.path)
        if self.named:
            remedy = "Add --overwrite, or name another file."
            raise InputError("output", shown, "exists already", remedy)
        digest, complete = _identity(self.path)
        if digest != run.digest():
            remedy = "Add --overwrite, or name a file with -o."
            raise InputError("file", shown, "exists already and is not this run", remedy)
        if not complete:
            text = f"{shown}: is an unfinished run of this configuration"
            raise CommandError(f"{text}. {GO_ON} {shlex.quote(shown)}", InputError.exit_code)
        return True


def resolve_destination(run: Described, output: Path | None) -> Destination:
    """Return the file that was named, or the run's default name in the current folder."""
    if output is None:
        return Destination(Path(run.default_filename()), named=False)
    return Destination(output, named=True)


def check_destination(path: Path, field: str = "output") -> None:
    """Raise InputError, about `field`, unless a file can be made, or replaced, at `path`."""
    try:
        if path.is_dir():
            raise InputError(field, str(path), "is a folder", "Name a file in it.")
        if path.exists() and not path.is_file():
            raise InputError(field, str(path), "is no ordinary file", "Name another file.")
        if not path.parent.is_dir():
            raise InputError(field, str(path), "is in no folder", f"Create {path.parent} first.")
        if protected(path):
            remedy = "Make it writable, or name another file."
            raise InputError(field, str(path), "is read-only", remedy)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        rule = f"can't be written ({reason})"
        raise InputError(field, str(path), rule, "Name a file elsewhere.") from error


def _identity(path: Path) -> tuple[str, bool]:
    """Return the digest of a stored run's configuration and whether it is complete."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            digest = file.attrs["config_sha256"]
            shown = digest.decode() if isinstance(digest, bytes) else str(digest)
            return shown, bool(file.attrs["complete"]) and "gaps" not in file.attrs
    except (OSError, KeyError):
        return "", False

"""Files that are named as arguments."""

from __future__ import annotations

from pathlib import Path

from simcore.errors import InputError

from .errors import CommandError

__all__ = ["existing"]


def existing(file: str) -> Path:
    """Return the path of a run that was named.

    Raises
    ------
    CommandError
        If there is no such file.
    """
    path = Path(file).expanduser()
    if not path.is_file():
        rule = "is a folder, not a run" if path.is_dir() else "does not exist"
        text = f"{file}: {rule}. Name a file that simulate wrote."
        raise CommandError(text, InputError.exit_code)
    return path

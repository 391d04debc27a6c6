"""Files that are named as arguments."""

from __future__ import annotations

import os
from pathlib import Path

from simcore.errors import InputError

from .errors import CommandError


def existing(file: str) -> Path:
    """Return the path of a run that was named.

    Raises
    ------
    CommandError
        If there is no such file.
    """
    path = expanded(file)
    rule = "is a folder, not a run" if os.path.isdir(path) else "is a pipe or a device"  # noqa: PTH112
    try:
        path.stat()
    except FileNotFoundError:
        rule = "does not exist"
    except OSError as error:
        rule = f"can't be read ({error.strerror})"
    if not os.path.isfile(path):  # noqa: PTH113 - no error for names that are refused
        text = f"{file or 'FILE'}: {rule}. Name a file that simulate wrote."
        raise CommandError(text, InputError.exit_code)
    return path


def expanded(file: str) -> Path:
    """Return a path with ~ as the home folder; it stays where it names no user."""
    return Path(os.path.expanduser(file))  # noqa: PTH111 - Path's own fails for unknown users


def input_file(text: str | None) -> str | None:
    """Return FILE or FILE:DATASET with ~ as the home folder; None stays None."""
    return str(expanded(text)) if text is not None and text.startswith("~") else text

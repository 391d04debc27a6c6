"""One tree of errors: every one says which field, which value, which rule and what to do."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path

__all__ = [
    "ClusterError",
    "DeviceError",
    "FileFormatError",
    "InputError",
    "OutputError",
    "SimcoreError",
    "SimcoreWarning",
    "as_typed",
    "folder_is_gone",
    "one_line",
    "spelled",
]

LONGEST_VALUE = 80
"""Characters of a value in a message."""


def spelled(text: str, spell: Callable[[str], str] = str) -> str:
    """Return a text with the parameters that stand in backquotes spelled as the user knows them."""
    return re.sub(r"`(\w+)`", lambda name: spell(name[1]), text)


def one_line(value: object) -> str:
    """Return what was given as a message shows it: on one line, and cut short unless it is text."""
    if isinstance(value, str | os.PathLike):
        return " ".join(os.fsdecode(value).splitlines())
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # Python writes no number of more than some thousand digits
        text = "a number of very many digits"
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."


def folder_is_gone() -> bool:
    """Return whether the current folder was removed: nothing compiles there, no name is found."""
    try:
        Path.cwd()
    except FileNotFoundError:
        return True
    return False


def as_typed(path: str | os.PathLike[str]) -> str:
    """Return the name of a file as it is typed in a shell, also where it begins with a dash."""
    name = os.fspath(path)
    return shlex.quote(f"./{name}" if name.startswith("-") else name)


class SimcoreWarning(UserWarning):
    """Base of all warnings of simcore; its text is one line for the user."""


class SimcoreError(Exception):
    """Base of all errors that simcore raises on purpose; its text is one line for the user."""

    exit_code = 1


class InputError(SimcoreError, ValueError):
    """A value that the user gave breaks a rule.

    Parameters
    ----------
    field
        Name of the parameter as in Python (``sigma_w``); the command line shows it as an option.
    value
        What was given.
    rule
        What is allowed, as the rest of a sentence: "must be at least 1".
    remedy
        What to do, as a sentence. Here and in `rule` the names of other parameters stand in
        backquotes.
    """

    exit_code = 2

    def __init__(self, field: str, value: object, rule: str, remedy: str) -> None:
        super().__init__(field, value, rule, remedy)
        self.field = field
        self.value = value
        self.rule = rule
        self.remedy = remedy

    def worded(self, spell: Callable[[str], str] = str) -> str:
        """Return rule and remedy, the parameters in backquotes spelled as the user knows them."""
        return spelled(f"{self.rule}. {self.remedy}", spell)

    def __str__(self) -> str:
        return f"{self.field} = {one_line(self.value)}: {self.worded()}"


class DeviceError(InputError):
    """A device was asked for that this machine, or this installation, does not have."""


class FileFormatError(InputError):
    """A file is not a run, is damaged, or has a version that this program can't read."""


class OutputError(SimcoreError, OSError):
    """Results could not be written (disk full, no permission); earlier files are untouched."""


class ClusterError(SimcoreError):
    """A Dask cluster can't be reached, was lost, or can't be used; what was done is kept."""

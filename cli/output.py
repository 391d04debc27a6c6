"""The file of a run: its name, and what is there already; checked before anything starts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from simcore import api
from simcore.api import check_destination, claim
from simcore.errors import InputError, as_typed

from .errors import CommandError

__all__ = ["GO_ON", "Destination", "check_destination", "claim", "resolve_destination"]

GO_ON = "To finish it: simcore resume"
"""Remedy for an unfinished file."""


class Described(Protocol):
    """Content of a file: a run, or a plan of training."""

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
            claim(self.path, overwrite=False, replaces_results=True)
        digest, complete = api.identity(self.path)
        if digest != run.digest():
            remedy = "Add --overwrite, or name a file with -o."
            raise InputError("file", shown, "exists already and is not this run", remedy)
        if not complete:
            text = f"{shown}: is an unfinished run of this configuration"
            raise CommandError(f"{text}. {GO_ON} {as_typed(shown)}", InputError.exit_code)
        return True


def resolve_destination(run: Described, output: Path | None) -> Destination:
    """Return the file that was named, or the run's default name in the current folder."""
    if output is None:
        return Destination(Path(run.default_filename()), named=False)
    return Destination(output, named=True)

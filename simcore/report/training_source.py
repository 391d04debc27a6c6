"""A file of training on a page, and notes on its missing parts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simcore.errors import as_typed
from simcore.file_types import TRAINING
from simcore.files.stored import StoredFile

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Training:
    """One file of training: results (`open_training`), facts (`simcore.training.facts.describe`).

    `notes` are its missing parts, and how to get them.
    """

    path: Path
    dataset: xr.Dataset
    facts: dict[str, Any]
    notes: tuple[str, ...] = ()


def read_training(path: Path, stored: StoredFile) -> Training:
    """Read an open file of training whole; FileFormatError if it is damaged or newer than this."""
    facts = TRAINING.facts(stored)
    notes = []
    if not facts["complete"]:
        done = f"{facts['networks']} of about {facts['networks_in_all']} networks"
        notes.append(
            f"Training is unfinished ({done}): only ensembles whose networks are all trained are "
            f"shown. Finish it: simcore resume {as_typed(path)}"
        )
    if facts["config"]["seeds"] == 1:
        notes.append(
            "With one seed there is one pair of networks, and neither bands nor intervals nor a "
            "verdict. Get them: simcore train with --seeds 20."
        )
    return Training(path, TRAINING.dataset(stored), facts, tuple(notes))

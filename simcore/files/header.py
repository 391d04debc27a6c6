"""Root attributes of a file of results: what it is, its format, its configuration and checksum.

Runs and training share them; `simcore.file_types` is the register of both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from simcore.errors import FileFormatError, InputError
from simcore.machine.provenance import version

from .hdf5 import Writer, text

T = TypeVar("T")


@dataclass(frozen=True)
class Format:
    """Format of a type of file.

    Parameters
    ----------
    filetype
        Its name, the attribute ``filetype`` of the root.
    version
        First and second number. Readers accept every file of the same first number; the second
        one counts additions.
    meaning
        Words for such a file in messages: ``"the file of a run"``.
    command
        The command that writes it.
    """

    filetype: str
    version: tuple[int, int]
    meaning: str
    command: str

    def write(
        self,
        writer: Writer,
        *,
        config_json: str,
        complete: bool,
        default: str,
        attributes: Mapping[str, object],
    ) -> None:
        """Write the root and /entry.

        `default` is the group below /entry that a NeXus viewer shows first; `attributes` are added
        to those of the root.
        """
        writer.group(
            "/",
            {
                "NX_class": "NXroot",
                "default": "entry",
                "filetype": self.filetype,
                "format_version": np.array(self.version, dtype=np.int64),
                "simcore_version": version("simcore"),
                "config_json": config_json,
                "config_sha256": _digest(config_json),
                **attributes,
                "complete": np.uint8(complete),
            },
        )
        writer.group("/entry", {"NX_class": "NXentry", "default": default})

    def read(
        self, file: Any, path: str, rebuild: Callable[[dict[str, Any]], T]
    ) -> tuple[T, tuple[int, int]]:
        """Check an open file, and return what its configuration describes, and its version.

        `rebuild` makes the run or the plan from its configuration.

        Raises
        ------
        FileFormatError
            If the file is foreign or newer than this program.
        ValueError
            If its configuration is damaged.
        """
        root = file.attrs
        if filetype(file) != self.filetype:
            remedy = f"Give a file that {self.command} wrote."
            raise FileFormatError("file", path, f"is not {self.meaning}", remedy)
        first, second = (int(number) for number in root["format_version"])
        rule = f"has format version {first}.{second}, this simcore reads {self.version[0]}"
        newer = FileFormatError("file", path, rule, "Update simcore.")
        if first != self.version[0]:
            raise newer
        config = text(root["config_json"])
        if _digest(config) != text(root["config_sha256"]):
            raise ValueError("its configuration does not have the checksum that was written")
        try:
            return rebuild(json.loads(config)), (first, second)
        except (InputError, KeyError, TypeError) as error:
            if (first, second) > self.version:
                raise newer from None
            raise ValueError(str(error)) from error


def _digest(config_json: str) -> str:
    return hashlib.sha256(config_json.encode()).hexdigest()


def filetype(file: Any) -> str:
    """Return the type that an open file says it has; "" if it says nothing."""
    return text(file.attrs["filetype"]) if "filetype" in file.attrs else ""


def version_text(version: tuple[int, int]) -> str:
    """Return a version as ``"1.2"``."""
    return ".".join(map(str, version))


def provenance(file: Any) -> dict[str, Any]:
    """Return the provenance of an open file as plain values."""
    return {
        name: value.decode() if isinstance(value, bytes) else np.asarray(value).tolist()
        for name, value in file["entry/provenance"].attrs.items()
        if name != "NX_class"
    }

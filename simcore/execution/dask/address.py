"""Names of a Dask cluster: an address, a scheduler file, or processes of this machine."""

from __future__ import annotations

import json
import os
import re
from importlib.util import find_spec
from pathlib import Path

from simcore.errors import InputError

MAX_PROCESSES = 4096

ADDRESS = re.compile(r"(tcp|tls|ws|wss|ucx|ucxx)://[^/\s]+:(?P<port>[0-9]{1,5})/?")


def check_scheduler(scheduler: str) -> int | None:
    """Return N of ``"local:N"``; None for an address or a scheduler file.

    Raises
    ------
    InputError
        If it is none of them, or Dask is not installed.
    """
    if find_spec("distributed") is None:
        rule = "needs dask.distributed, which is not installed"
        raise InputError("scheduler", scheduler, rule, "Run: pip install 'distributed>=2025.1'.")
    kind, _, rest = scheduler.partition(":")
    if kind == "local":
        if not rest.isascii() or not rest.isdecimal() or not 1 <= int(rest) <= MAX_PROCESSES:
            rule = f"must be local:N with N processes, 1 to {MAX_PROCESSES}"
            raise InputError("scheduler", scheduler, rule, "Give local:2, say.")
        return int(rest)
    remedy = "Give tcp://HOST:PORT, the file that dask scheduler wrote, or local:N."
    if "://" in scheduler:
        if not _is_address(scheduler):
            raise InputError("scheduler", scheduler, "is no address of a scheduler", remedy)
    elif not os.path.isfile(scheduler):  # noqa: PTH113 - no error for names that are refused
        rule = "is no address and no scheduler file that exists"
        raise InputError("scheduler", scheduler, rule, remedy)
    elif not _is_address(_address_in(Path(scheduler))):
        raise InputError("scheduler", scheduler, "is not the file of a scheduler", remedy)
    return None


def address_of(scheduler: str) -> str:
    """Return the address of a scheduler, itself or in its file; "" where the file has none."""
    return scheduler if "://" in scheduler else _address_in(Path(scheduler))


def _is_address(text: str) -> bool:
    found = ADDRESS.fullmatch(text)
    return found is not None and 0 < int(found["port"]) < 2**16


def _address_in(file: Path) -> str:
    try:
        return str(json.loads(file.read_text(encoding="utf-8"))["address"])
    except (OSError, ValueError, TypeError, KeyError):
        return ""

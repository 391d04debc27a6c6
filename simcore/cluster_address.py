"""How a Dask cluster is named: an address, a scheduler file, or processes of this machine."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from .errors import InputError

__all__ = ["check_scheduler"]

MAX_PROCESSES = 4096


def check_scheduler(scheduler: str) -> int | None:
    """Return N of ``"local:N"``; None for an address or a scheduler file.

    Raises
    ------
    InputError
        If it is none of them, or Dask is not installed.
    """
    if find_spec("distributed") is None:
        rule = "needs dask.distributed, which is not installed"
        raise InputError("scheduler", scheduler, rule, "Run: pip install 'simcore[distributed]'.")
    kind, _, rest = scheduler.partition(":")
    if kind == "local":
        if not rest.isascii() or not rest.isdecimal() or not 1 <= int(rest) <= MAX_PROCESSES:
            rule = f"must be local:N with N processes, 1 to {MAX_PROCESSES}"
            raise InputError("scheduler", scheduler, rule, "Give local:2, say.")
        return int(rest)
    if "://" not in scheduler and not Path(scheduler).is_file():
        raise InputError(
            "scheduler",
            scheduler,
            "is no address and no scheduler file that exists",
            "Give tcp://HOST:PORT, the file that dask scheduler wrote, or local:N.",
        )
    return None

"""One writer for a file of results: a lock beside it that the kernel gives back when it dies.

The lock is on the hidden file .NAME.lock, which says who holds it. It is an advisory `flock`, so a
process that is killed leaves no lock behind, whatever is left of the file.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from simcore.errors import OutputError, SimcoreWarning

if TYPE_CHECKING:
    from filelock import BaseFileLock


SWITCH = "SIMCORE_LOCKING"
"""Environment variable: "off" takes no lock."""

PATIENCE = 1.0
"""Seconds to wait for a lock: a look at who holds it takes it for a moment, too."""

_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)
"""Answers of file systems without locks."""


class LockWarning(SimcoreWarning):
    """The file system keeps no locks, so nothing keeps a second writer out."""


def lock_path(path: str | os.PathLike[str]) -> Path:
    """Return the file that is locked by the writer of `path`."""
    final = Path(path).resolve()
    return final.with_name(f".{final.name}.lock")


@contextmanager
def only_writer(path: str | os.PathLike[str]) -> Iterator[None]:
    """Hold the lock of a file of results, or refuse.

    Raises
    ------
    OutputError
        If another process writes the file; its host, process and start are named.
    """
    if os.environ.get(SWITCH, "").lower() == "off":
        yield
        return
    place = lock_path(path)
    lock = _take(place, path)
    try:
        if lock is not None:
            _sign(place)
        yield
    finally:
        if lock is not None:
            # Before the release: a process that has opened it meanwhile then makes a new one.
            with suppress(OSError):
                place.unlink()
            with suppress(OSError):
                lock.release()


def _take(place: Path, path: str | os.PathLike[str]) -> BaseFileLock | None:
    """Return the lock; None where the file system has none."""
    from filelock import FileLock, Timeout

    shown = os.fspath(path)
    lock = FileLock(place, timeout=PATIENCE, thread_local=False)
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            lock.acquire()
        if not told:
            return lock
        # It made do with a file, which a process that is killed would leave behind for good.
        lock.release()
        _warn(shown)
        return None
    except Timeout:
        other = writer(path) or "another process"
        raise OutputError(
            f"{shown} is being written by {other}. Wait for it, stop it, or choose another file."
        ) from None
    except (OSError, NotImplementedError) as error:
        if isinstance(error, NotImplementedError) or error.errno in _NO_LOCKS:
            with suppress(OSError):
                place.unlink()
            _warn(shown)
            return None
        reason = error.strerror or str(error)
        raise OutputError(
            f"{shown} can't be locked: {place}: {reason}. Choose a folder that you may write to."
        ) from error


def _warn(shown: str) -> None:
    warnings.warn(
        f"the file system of {shown} keeps no locks: make sure that no second run writes this "
        f"file, and set {SWITCH}=off to suppress this warning",
        LockWarning,
        stacklevel=4,
    )


def _sign(place: Path) -> None:
    """Write the holder of the lock into it."""
    facts = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with suppress(OSError):
        place.write_text(json.dumps(facts), encoding="utf-8")


def protected(path: Path) -> bool:
    """Return whether a file is there that its owner has made read-only.

    A rename would replace it all the same, and root may do everything.
    """
    return path.is_file() and not path.stat().st_mode & 0o222


def writer(path: str | os.PathLike[str]) -> str | None:
    """Return, in words, the process that writes a file of results; None if none is seen from here.

    A lock file that nobody holds is left over from a process that was killed.
    """
    import fcntl

    place = lock_path(path)
    try:
        with place.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        pass
    except OSError:
        return None
    try:
        facts = json.loads(place.read_text(encoding="utf-8"))
        return f"process {facts['pid']} on {facts['host']}, since {facts['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"

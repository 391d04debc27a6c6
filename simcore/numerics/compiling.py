"""Folder of compiled kernels, and the vector width that Numba compiles for.

Kernels of simcore are cached in one folder, whoever imports them first: a command, a script, a
worker (`simcore.numerics.kernels`). Caches of other packages are left alone. The vector width is a
choice for a whole process: `kernels` makes it, so that all processes share one set of kernels, and
`import simcore` alone does not.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parents[1]
"""The folder of simcore."""

KERNEL_ROOMS = ("numerics", "physics", "theory", "statistics", "inputs", "runs", "sampling")
"""The rooms that compile, and all below them: kernels are stale when a file in these changes."""

CACHE_VARIABLE = "NUMBA_CACHE_DIR"
CUPY_CACHE_VARIABLE = "CUPY_CACHE_DIR"
"""CuPy's own folder is in the home folder, and it fails where that can't be written."""

TEMPORARY_VARIABLE = "SIMCORE_TEMPORARY_KERNELS"
"""A temporary folder, for the processes that this one starts."""

KEPT_DAYS = 30
"""Days without use after which the kernels of other sources are removed."""

FEATURES_VARIABLE = "NUMBA_CPU_FEATURES"


@cache
def cache_folder() -> Path:
    """Return the folder of compiled kernels.

    It is in the user's cache, or in NUMBA_CACHE_DIR where that is set; where neither can be
    written, it is a temporary folder of this process and those that it starts. It is named after
    the sources: Numba alone does not notice that a function inlined from another file has changed.
    A new one lets those of other sources go that have not been used for `KEPT_DAYS`.
    """
    folder = _lasting_folder() or _inherited_folder()
    if folder is None:
        folder = Path(tempfile.mkdtemp(prefix="simcore-kernels-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        os.environ[TEMPORARY_VARIABLE] = str(folder)
        os.environ.setdefault(CUPY_CACHE_VARIABLE, str(folder / "cupy"))
    return folder


def is_temporary() -> bool:
    """Return True if kernels are lost when this process ends."""
    return str(cache_folder()) == os.environ.get(TEMPORARY_VARIABLE)


def _lasting_folder() -> Path | None:
    """Return a writable folder of NUMBA_CACHE_DIR or of the user's cache, or None."""
    from platformdirs import user_cache_path

    try:
        chosen = os.environ.get(CACHE_VARIABLE)
        parent = Path(chosen).absolute() if chosen else user_cache_path()
        folder = parent / "simcore" / source_digest(rooms=KERNEL_ROOMS)
        if not folder.is_absolute():  # without a home folder, some versions leave a literal ~
            return None
        if "SLURM_JOB_ID" in os.environ:
            # The nodes of a job share the home folder, and would write the same files at once.
            folder = folder / platform.node()
        is_new = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        writable = _writable(folder)
        os.utime(folder)  # it is in use
    except (OSError, RuntimeError):
        return None
    if is_new:
        _remove_unused(parent / "simcore")
    return writable


def _remove_unused(caches: Path) -> None:
    """Remove the folders of other sources that no process has used for a month.

    Every use sets the time of a folder, or of the node's folder in it.
    """
    oldest = time.time() - KEPT_DAYS * 86400.0
    with suppress(OSError):
        for folder in caches.iterdir():
            if re.fullmatch("[0-9a-f]{16}", folder.name) and not folder.is_symlink():
                nodes = [path for path in folder.iterdir() if path.is_dir()]
                if max(path.stat().st_mtime for path in (folder, *nodes)) < oldest:
                    shutil.rmtree(folder, ignore_errors=True)


def _inherited_folder() -> Path | None:
    """Return the temporary folder of the process that has started this one, or None."""
    try:
        return _writable(Path(os.environ[TEMPORARY_VARIABLE]))
    except (KeyError, OSError):
        return None


def _writable(folder: Path) -> Path:
    with tempfile.TemporaryFile(dir=folder):
        return folder


def source_digest(package: Path = PACKAGE, rooms: Collection[str] = ()) -> str:
    """Return a digest of the names and contents of the Python files of a package.

    Parameters
    ----------
    package
        The folder of the package; simcore's own if it is left out.
    rooms
        Folders in it that count; all but cli if there are none.
    """
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        room = name.partition("/")[0]
        if room in rooms if rooms else room != "cli":
            digest.update(f"{name}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def prefer_wide_vectors() -> None:
    """Let Numba use 512-bit vectors where the CPU has them; the numbers stay the same.

    `simcore.numerics.kernels` calls it before its first function; after the first ``@njit`` of a
    process Numba's choice is made, and stays. LLVM prefers 256 bits by default, which costs a third
    of the speed here. NUMBA_CPU_FEATURES and NUMBA_CPU_NAME of the user win.
    """
    if os.environ.get(FEATURES_VARIABLE) or os.environ.get("NUMBA_CPU_NAME"):
        return
    import numba
    from llvmlite import binding
    from numba.core.registry import cpu_target

    config: Any = numba.config
    if "_toplevel_target_context" in vars(cpu_target):
        return

    try:
        host = binding.get_host_cpu_features()
    except RuntimeError:
        return
    if not config.ENABLE_AVX:
        return
    features = wide_vector_features(host)
    if features is not None:
        config.CPU_FEATURES = features


def wide_vector_features(host: Mapping[str, bool]) -> str | None:
    """Return LLVM's feature string of a CPU with 512-bit vectors preferred; None without AVX-512.

    Parameters
    ----------
    host
        Every feature that LLVM knows, and whether this CPU has it.
    """
    if not host.get("avx512f", False):
        return None
    features = {name: has for name, has in host.items() if name != "prefer-256-bit"}
    listed = [f"{'+' if has else '-'}{name}" for name, has in sorted(features.items())]
    return ",".join([*listed, "-prefer-256-bit"])

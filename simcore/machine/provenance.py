"""Provenance of a file: host, time, command and versions, kept outside all comparisons."""

from __future__ import annotations

import platform
import shlex
import socket
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path

from simcore.numerics.compiling import PACKAGE

from .cpus import affinity

_PACKAGES = ("numba", "llvmlite", "numpy", "scipy", "h5py", "xarray")


def collect_provenance(*, device: str = "cpu", threads: int | None = None) -> dict[str, object]:
    """Describe this process and its machine by texts and integers; "unknown" where none is known.

    Without `threads`, the processors that this process may use.
    """
    import h5py

    name, features = _processor()
    return {
        "host": socket.gethostname(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "command_line": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "simcore_version": version("simcore"),
        "git_sha": _git_sha(),
        "python_version": platform.python_version(),
        **{f"{package}_version": version(package) for package in _PACKAGES},
        "hdf5_version": str(h5py.version.hdf5_version),
        "platform": platform.platform(),
        "device": device,
        "threads": threads if threads is not None else affinity(),
        "cpu": name,
        "cpu_features": features,
    }


@cache
def version(package: str) -> str:
    """Return the version of an installed package, or "unknown"."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


def _processor() -> tuple[str, str]:
    """Name of the processor and its features, as LLVM sees them."""
    try:
        from llvmlite import binding

        features = binding.get_host_cpu_features()
        return binding.get_host_cpu_name(), " ".join(sorted(f for f, on in features.items() if on))
    except (ImportError, RuntimeError):
        return platform.machine(), "unknown"


@cache
def _git_sha() -> str:
    """Return the commit of the checkout that this package runs from, "unknown" if installed."""
    root = PACKAGE.parent
    if not (root / ".git").exists():
        return "unknown"
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()

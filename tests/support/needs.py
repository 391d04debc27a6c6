"""Packages and programs that some tests need beyond the extra `test`, and how to get them.

A room of tests, a marker ``needs("silx")`` or a fixture names a need of `NEEDS`. A test whose need
is not met is skipped with the remedy; with ``SIMCORE_REQUIRE_ALL=1`` it fails.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from importlib.util import find_spec

__all__ = ["ALL", "CHROMIUM", "FIXTURES", "NEEDS", "ROOMS", "Need", "all_required"]

ALL = "pip install -e '.[test-all]'"


@dataclass(frozen=True)
class Need:
    """A package or program: its name, the remedy where it is missing, and a test for it.

    `packages` are imported at the top of test files, which cannot be collected without them.
    """

    name: str
    remedy: str
    packages: tuple[str, ...] = ()
    programs: tuple[tuple[str, ...], ...] = ()
    """Of each tuple one program is needed."""

    def importable(self) -> bool:
        """Return whether all packages are installed."""
        return all(find_spec(package) is not None for package in self.packages)

    def met(self) -> bool:
        """Return whether packages and programs are installed."""
        path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
        found = (any(shutil.which(name, path=path) for name in names) for names in self.programs)
        return self.importable() and all(found)

    def message(self) -> str:
        """Return one line that says what is missing and what to do."""
        return f"{self.name} is not installed: {self.remedy}"


def _programs(*names: str) -> tuple[tuple[str, ...], ...]:
    return tuple((name,) for name in names)


CHROMIUM = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
SLURM = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scancel", "squeue", "scontrol")

NEEDS = {
    "torch": Need("PyTorch", ALL, packages=("torch",)),
    "silx": Need("silx", ALL, packages=("silx",)),
    "cuda compiler": Need(
        "a CUDA compiler or g++",
        f"{ALL}, and Debian's g++",
        packages=("numba_cuda", "nvidia", "greenlet"),
        programs=_programs("g++"),
    ),
    "chromium": Need("Chromium", "Debian's chromium", programs=(CHROMIUM,)),
    "h5web": Need(
        "npm or Chromium", "Debian's npm and chromium", programs=(*_programs("npm"), CHROMIUM)
    ),
    "slurm": Need("Slurm", "Debian's slurm-wlm and munge", programs=_programs(*SLURM)),
}

ROOMS = {
    "emulator": "cuda compiler",
    "torch": "torch",
    "training": "torch",
    "promises/slurm": "slurm",
}
"""Needs of all tests in a folder of tests/."""

FIXTURES = {"browser": "chromium"}
"""Needs of all tests that use a fixture."""


def all_required() -> bool:
    """Return whether a skipped test is a failure."""
    return os.environ.get("SIMCORE_REQUIRE_ALL") == "1"

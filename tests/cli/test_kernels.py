"""Kernels of the commands: compiled once, for the widest vectors, and kept for all of them."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from simcore.numerics.kernels import DIGEST_BYTES

SMALL = "--width 8 --depth 2 --trials 64 --device cpu --threads 1 --quiet"
COMMANDS = (
    f"simulate {SMALL} -o a.h5",
    f"simulate {SMALL} -o b.h5 --first-trial 128",
    "main resume a.h5 --trials 128 --threads 1 --quiet",
    "main merge a.h5 b.h5 -o c.h5 --quiet",
)

WIDE = """
import sys
from simcore.numerics import compiling
compiling.wide_vector_features = lambda host: ",".join(
    [f"{'+' if has else '-'}{name}" for name, has in sorted(host.items()) if "prefer-" not in name]
    + ["-prefer-256-bit"]
)
"""
"""As on a CPU with AVX-512, whatever this one has: the numbers are the same."""

FIRST = """
import sys
from simcore.numerics import compiling
def seen():
    print("too late" if "numba" in sys.modules else "in time")
    sys.exit(7)
compiling.prefer_wide_vectors = seen
"""


def run(command: str, beginning: str, folder: Path) -> subprocess.CompletedProcess[str]:
    module, *words = command.split()
    code = f"{beginning}\nfrom simcore.cli.{module} import main\nsys.exit(main(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=folder,
        env=os.environ | {"NUMBA_CACHE_DIR": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )


def targets(cache: Path) -> set[object]:
    """Return the CPUs, with their features, that the kernels in a folder were compiled for."""
    found = set()
    for path in cache.rglob("simcore.*"):
        (_, target), _ = pickle.loads(path.read_bytes()[DIGEST_BYTES:])
        found.add(target)
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_vectors_are_chosen_before_numba_is_imported(command: str, tmp_path: Path) -> None:
    """Kernels imported earlier would be compiled for narrow vectors, and again by the next run."""
    if not command.startswith("simulate"):
        (tmp_path / "a.h5").touch()
        (tmp_path / "b.h5").touch()
    done = run(command, FIRST, tmp_path)
    assert (done.returncode, done.stdout) == (7, "in time\n"), done.stderr


@pytest.mark.slow
def test_all_commands_share_one_set_of_kernels(tmp_path: Path) -> None:
    for command in COMMANDS:
        done = run(command, WIDE, tmp_path)
        assert done.returncode == 0, done.stderr
    kept = targets(tmp_path / "cache")
    assert len(kept) == 1, kept

"""Kernels of all programs: compiled once, for the widest vectors, and kept for all of them."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from llvmlite.binding import get_host_cpu_features

import simcore
from simcore.numerics.compiling import cache_folder

SMALL = "--width 8 --depth 2 --trials 64 --device cpu --threads 1 --quiet"
COMMAND = "from simcore.cli.{} import main; assert main({}) == 0"
PROGRAMS = (
    COMMAND.format("simulate", f"{SMALL} -o a.h5".split()),
    COMMAND.format("simulate", f"{SMALL} -o b.h5 --first-trial 128 --scheduler local:1".split()),
    COMMAND.format("main", ["resume", "a.h5", "--trials", "128", "--threads", "1", "--quiet"]),
    COMMAND.format("main", ["merge", "a.h5", "b.h5", "-o", "c.h5", "--quiet"]),
    COMMAND.format("main", ["info", "c.h5"]),
    COMMAND.format("main", ["report", "c.h5"]),
    "import simcore; simcore.compare(simcore.open_run('c.h5'))",
    "import simcore; simcore.simulate(simcore.Ensemble.he(), width=8, depth=2, trials=64)",
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


def run(program: str, folder: Path, *, beginning: str = WIDE) -> subprocess.CompletedProcess[str]:
    code = f"{beginning}\nif __name__ == '__main__':\n    {program}"
    (folder / "program.py").write_text(code)
    return subprocess.run(
        [sys.executable, "program.py"],
        cwd=folder,
        env=os.environ | {"NUMBA_CACHE_DIR": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )


VECTORS = "; import numba; print(numba.config.CPU_FEATURES)"


def test_the_first_import_of_kernels_chooses_the_vectors(tmp_path: Path) -> None:
    done = run(f"import simcore.numerics.kernels{VECTORS}", tmp_path)
    assert done.stdout.endswith("-prefer-256-bit\n"), done.stderr


def test_a_choice_that_numba_has_made_stays(tmp_path: Path) -> None:
    """A user's function settles Numba's target; other features would only be a wrong label."""
    own = "import numba; numba.njit(lambda x: x)"
    done = run(f"{own}; import simcore.numerics.kernels{VECTORS}", tmp_path)
    assert done.stdout == "None\n", done.stderr


COMPILERS = {"cfunc", "generated_jit", "guvectorize", "jit", "njit", "stencil", "vectorize"}


def test_there_is_one_door_to_the_compiler() -> None:
    """What is compiled past `kernels` might come first, for narrow vectors.

    Modules of CUDA kernels build on compiled functions of the CPU, which are imported first.
    """
    package = Path(simcore.__file__).parent
    found = []
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "numba":
                used = {alias.name for alias in node.names}
            elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "numba":
                used = {node.attr}
            else:
                continue
            if "cuda" not in used:
                found += [path.relative_to(package).as_posix() for _ in used & COMPILERS]
    assert found == ["numerics/kernels.py"]


@pytest.mark.slow
def test_all_programs_share_one_set_of_kernels(tmp_path: Path) -> None:
    """On a CPU with AVX-512 with the kernels that other tests have compiled."""
    beginning = WIDE
    if get_host_cpu_features().get("avx512f", False):
        beginning, cache = "", tmp_path / "cache" / "simcore" / cache_folder().name
        cache.mkdir(parents=True)
        for kernel in cache_folder().glob("simcore.*"):
            if "-" in kernel.suffix:  # not one that another test is writing
                shutil.copy(kernel, cache)
    kernels: set[Path] = set()
    for program in PROGRAMS:
        done = run(program, tmp_path, beginning=beginning)
        assert done.returncode == 0, done.stderr
        found = set((tmp_path / "cache").rglob("simcore.*"))
        assert not kernels or found == kernels, program
        kernels = found

import os
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import simcore
from simcore.numerics import compiling

VARIABLES = (
    compiling.CACHE_VARIABLE,
    compiling.CUPY_CACHE_VARIABLE,
    compiling.TEMPORARY_VARIABLE,
    "SLURM_JOB_ID",
)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    # Set before they are deleted, so that what is set here is undone after the test.
    for name in VARIABLES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    compiling.cache_folder.cache_clear()
    yield
    compiling.cache_folder.cache_clear()


def digest() -> str:
    return compiling.source_digest(Path(simcore.__file__).parent, compiling.KERNEL_ROOMS)


def test_the_cache_is_named_after_the_sources(tmp_path: Path) -> None:
    folder = compiling.cache_folder()
    assert folder == tmp_path / "cache" / "simcore" / digest()
    assert folder.is_dir()
    assert not compiling.is_temporary()
    assert not any(name in os.environ for name in VARIABLES)


def test_nodes_of_a_slurm_job_have_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "5")
    monkeypatch.setattr("platform.node", lambda: "node7")
    assert compiling.cache_folder().name == "node7"


def test_the_choice_of_the_user_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "mine"))
    assert compiling.cache_folder() == tmp_path / "mine" / "simcore" / digest()
    assert not (tmp_path / "cache").exists()


def test_folders_of_other_sources_go_after_a_month(tmp_path: Path) -> None:
    caches = tmp_path / "cache" / "simcore"
    ago = time.time() - (compiling.KEPT_DAYS + 1) * 86400

    def make(name: str, *, node: str = "", old: bool = True) -> Path:
        folder = caches / name
        (folder / node).mkdir(parents=True)
        (folder / node / "kernel").touch()
        for path in (folder / node, folder):
            if old:
                os.utime(path, (ago, ago))
        return folder

    unused = [make("0" * 16), make("1" * 16, node="node7")]
    kept = [make("2" * 16, old=False), make("notes"), make("3" * 16, node="node7", old=False)]
    os.utime(kept[-1], (ago, ago))  # a node has used it since
    foreign = make("4" * 16).rename(tmp_path / "foreign")
    (caches / ("4" * 16)).symlink_to(foreign)
    folder = compiling.cache_folder()
    assert [path for path in unused if path.exists()] == []
    assert all(any(path.rglob("kernel")) for path in (*kept, foreign))
    # Only a new folder looks for old ones, and a use makes a folder young.
    again = make("5" * 16)
    os.utime(folder, (ago, ago))
    compiling.cache_folder.cache_clear()
    compiling.cache_folder()
    assert again.exists()
    assert time.time() - folder.stat().st_mtime < 3600


def test_without_a_home_no_folder_called_tilde_is_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Some versions of platformdirs leave the ~ as it is, where there is no name of the user."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda: Path("~/.cache"))
    folder = compiling.cache_folder()
    assert compiling.is_temporary()
    assert folder.is_absolute()
    assert list(tmp_path.iterdir()) == []
    folder.rmdir()


@pytest.mark.parametrize("variable", ["XDG_CACHE_HOME", "NUMBA_CACHE_DIR"])
def test_without_a_writable_cache_it_is_temporary(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(variable, str(tmp_path / "file"))
    folder = compiling.cache_folder()
    assert folder.name.startswith("simcore-kernels-")
    assert folder.is_dir()
    assert compiling.is_temporary()
    assert os.environ["CUPY_CACHE_DIR"] == str(folder / "cupy")
    # A process that this one starts has the same variables.
    compiling.cache_folder.cache_clear()
    assert compiling.cache_folder() == folder
    folder.rmdir()
    compiling.cache_folder.cache_clear()
    other = compiling.cache_folder()
    assert other != folder
    other.rmdir()


def test_the_digest_sees_every_source_but_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "cli").mkdir()
    (tmp_path / "a.py").write_text("a = 1\n")
    first = compiling.source_digest(tmp_path)
    (tmp_path / "cli" / "b.py").write_text("b = 1\n")
    assert compiling.source_digest(tmp_path) == first
    (tmp_path / "a.py").write_text("a = 2\n")
    second = compiling.source_digest(tmp_path)
    assert second != first
    (tmp_path / "a.py").rename(tmp_path / "c.py")
    assert compiling.source_digest(tmp_path) != second
    (tmp_path / "sampling").mkdir()
    (tmp_path / "sampling" / "d.py").write_text("d = 1\n")
    third = compiling.source_digest(tmp_path, ("sampling",))
    (tmp_path / "c.py").write_text("c = 1\n")
    assert compiling.source_digest(tmp_path, ("sampling",)) == third
    (tmp_path / "sampling" / "d.py").write_text("d = 2\n")
    assert compiling.source_digest(tmp_path, ("sampling",)) != third


def test_the_digest_of_kernels_has_every_room_that_compiles() -> None:
    """And all that they may import: the layers of pyproject.toml are tested by import-linter."""
    package = Path(simcore.__file__).parent
    compile_here = {
        path.relative_to(package).parts[0]
        for path in package.rglob("*.py")
        if re.search(r"\bn?jit\b", path.read_text("utf-8"))
    }
    assert {"numerics", "sampling"} < compile_here <= set(compiling.KERNEL_ROOMS)
    project = tomllib.loads((package.parent / "pyproject.toml").read_text("utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    below = [layer.removeprefix("simcore.") for layer in layers]
    below = below[below.index("sampling") :]
    assert set(below) == {*compiling.KERNEL_ROOMS, "errors"}


def test_wide_vectors_only_with_avx512() -> None:
    plain = {"avx2": True, "fma": True, "avx512f": False, "prefer-256-bit": False}
    assert compiling.wide_vector_features(plain) is None
    assert compiling.wide_vector_features({}) is None
    wide = plain | {"avx512f": True, "prefer-256-bit": True}
    assert compiling.wide_vector_features(wide) == "+avx2,+avx512f,+fma,-prefer-256-bit"


SCRIPT = """
import numba
from llvmlite import binding
from simcore.numerics.compiling import prefer_wide_vectors
host = binding.get_host_cpu_features()
host["avx512f"] = {wide}
binding.get_host_cpu_features = lambda: host
prefer_wide_vectors()
print(numba.config.CPU_FEATURES)
"""


@pytest.mark.parametrize(
    ("wide", "variables", "shown"),
    [
        (True, {}, "-prefer-256-bit"),
        (False, {}, "None"),
        (True, {"NUMBA_CPU_FEATURES": "+sse2"}, "+sse2"),
        (True, {"NUMBA_CPU_NAME": "generic"}, ""),
    ],
)
def test_wide_vectors_in_a_process(wide: bool, variables: dict[str, str], shown: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(wide=wide)],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    printed = done.stdout.strip()
    assert printed.endswith(shown) if shown else not printed

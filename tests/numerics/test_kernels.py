"""The cache of compiled kernels: one folder, and no damage that matters."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import simcore
from simcore.errors import SimcoreWarning
from simcore.numerics import kernels
from simcore.numerics.kernels import Store, njit


def twice(x: float) -> float:
    return 2.0 * x


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(kernels, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(Store, "given_up", False)
    return tmp_path


def compiled_anew() -> bool:
    """Call a new dispatcher of `twice`; return whether it had to compile."""
    function = njit(cache=True)(twice)
    assert function(3.0) == 6.0
    stats = function.stats
    assert stats.cache_hits.total() + stats.cache_misses.total() == 1
    return bool(stats.cache_misses)


def test_a_kernel_is_compiled_once(folder: Path) -> None:
    assert compiled_anew()
    assert not compiled_anew()
    assert len(list(folder.iterdir())) == 1


def test_signatures_have_files_of_their_own(folder: Path) -> None:
    function = njit(cache=True)(twice)
    function(3.0)
    function(3)
    assert len(list(folder.iterdir())) == 2
    assert not compiled_anew()


@pytest.mark.parametrize("kept", [0, 10, 40, -1])
def test_a_file_cut_off_is_compiled_anew(folder: Path, kept: int) -> None:
    assert compiled_anew()
    (path,) = folder.iterdir()
    path.write_bytes(path.read_bytes()[:kept])
    assert compiled_anew()
    assert not compiled_anew()


def test_a_flipped_bit_is_compiled_anew(folder: Path) -> None:
    assert compiled_anew()
    (path,) = folder.iterdir()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert compiled_anew()


def test_a_file_that_cannot_be_read_is_compiled_anew(folder: Path) -> None:
    assert compiled_anew()
    (path,) = folder.iterdir()
    path.unlink()
    path.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SimcoreWarning)
        assert compiled_anew()


def test_the_file_of_another_signature_is_not_taken(folder: Path) -> None:
    """As if two keys had one digest."""
    function = njit(cache=True)(twice)
    function(3)
    (path,) = folder.iterdir()
    content = path.read_bytes()
    path.unlink()
    assert compiled_anew()
    (path,) = folder.iterdir()
    path.write_bytes(content)
    assert compiled_anew()


def test_a_full_disk_is_one_warning(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> int:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.warns(SimcoreWarning, match="No space left on device") as told:
        anew = compiled_anew(), compiled_anew()
    assert anew == (True, True)
    assert len(told) == 1
    assert str(folder) in str(told[0].message)
    assert not list(folder.iterdir())


def test_a_closure_is_refused() -> None:
    factor = 2.0

    def times(x: float) -> float:
        return factor * x

    with pytest.raises(ValueError, match="closure"):
        njit(cache=True)(times)


def test_nothing_else_compiles_kernels_for_the_cpu() -> None:
    """Numba's own `cache=True` would not see that an inlined function changed."""
    package = Path(simcore.__file__).parent
    for path in package.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        if re.search(r"^from numba import .*\bnjit\b", source, re.MULTILINE):
            assert not re.search(r"njit\([^)]*cache=True", source), path
        assert not re.search(r"cuda\.jit[(,][^)]*cache=True", source), path


UPDATED = """
import sys
sys.path.insert(0, {root!r})
import simcore
from simcore.numerics.rng import fill_words
import numpy as np
words = np.zeros((4, 16), np.uint32)
fill_words(words, 0, 16, 1, 0, 0, 1, np.uint64(0), np.uint64(0))
print(simcore.__file__, words.sum())
"""


def test_an_inlined_function_that_changed_is_noticed(tmp_path: Path) -> None:
    """From Python, by an import alone: `fill_words` inlines `arithmetic.wide_product`."""
    root = tmp_path / "root"
    shutil.copytree(Path(simcore.__file__).parent, root / "simcore")
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment.pop("NUMBA_CACHE_DIR", None)

    def printed() -> str:
        command = [sys.executable, "-c", UPDATED.format(root=str(root))]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True, cwd=tmp_path
        ).stdout

    first = printed()
    assert str(root) in first
    assert printed() == first
    inlined = root / "simcore" / "numerics" / "arithmetic.py"
    source = inlined.read_text(encoding="utf-8")
    assert source.count("return _wide(word, factor)") == 1
    inlined.write_text(source.replace("_wide(word, factor)", "_wide(word, factor + 2)"))
    assert printed() != first
    assert not list(root.rglob("*.nbi"))

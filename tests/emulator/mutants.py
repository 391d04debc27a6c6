"""Modules of kernels with a fault put in on purpose: the checks must find each."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Collection
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from simcore.sampling.pair import cuda_kernels as pair_kernels
from simcore.sampling.pair import sums as pair_sums
from tests.emulator.ptx_program import Program, programs

__all__ = ["kernel_with", "sums_with", "without_each_barrier"]


def kernel_with(
    found: str,
    put: str,
    folder: Path,
    original: ModuleType = pair_kernels,
    others: Collection[str] = (),
) -> Any:
    """Return a module of kernels with one piece of its source replaced.

    Parameters
    ----------
    found, put
        The piece, and what is put in its place.
    folder
        Where to write the source.
    original
        The module.
    others
        Functions of other modules that will be replaced, too.
    """
    mutant = _loaded(original, found, put, folder)
    _share(mutant, original, set(others))
    return mutant


def sums_with(found: str, put: str, folder: Path, others: Collection[str] = ()) -> Any:
    """Return the module of the pair sampler's kernel with the sums of a node changed."""
    changed = _loaded(pair_sums, found, put, folder / "sums")
    nothing = "WARPS = THREADS // 32"
    module = kernel_with(nothing, nothing, folder, others=["add_node", *others])
    module.add_node = changed.add_node
    return module


def without_each_barrier(ptx: str) -> list[Program]:
    """Return compiled kernels that lack one barrier each, in the order of the barriers."""
    barriers = re.finditer(r"\bbar\.sync[^;]*;", ptx)
    lacking = {f"without_{i}": ptx[: b.start()] + ptx[b.end() :] for i, b in enumerate(barriers)}
    return list(programs(lacking).values())


def _loaded(original: ModuleType, found: str, put: str, folder: Path) -> Any:
    source = Path(str(original.__file__)).read_text(encoding="utf-8").replace(", cache=True", "")
    assert source.count(found) >= 1, found
    source = source.replace(found, put)
    package = original.__package__
    source = re.sub(r"from \.(\w+)", rf"from {package}.\1", source)
    source = source.replace("from . import", f"from {package} import")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "mutant.py"
    path.write_text(source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(f"mutant_{abs(hash(folder))}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _share(mutant: Any, original: ModuleType, reached: set[str]) -> None:
    """Give a mutant the compiled functions that its fault does not reach: compiling takes long."""
    own = {
        name: function
        for name, function in vars(original).items()
        if hasattr(function, "py_func") and function.py_func.__module__ == original.__name__
    }
    for name, value in vars(original).items():
        if name in own:
            codes = (own[name].py_func.__code__, getattr(mutant, name).py_func.__code__)
            parts = [(code.co_code, code.co_consts, code.co_names) for code in codes]
            differs = parts[0] != parts[1]
        else:
            is_number = isinstance(value, int | float | tuple | np.generic)
            differs = is_number and value != getattr(mutant, name)
        if differs:
            reached.add(name)
    more = True
    while more:
        before = len(reached)
        reached |= {n for n, f in own.items() if reached.intersection(f.py_func.__code__.co_names)}
        more = len(reached) > before
    for name in own.keys() - reached:
        setattr(mutant, name, own[name])

"""The kernel with a fault put in on purpose: the checks must find each."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from simcore.samplers import pair_kernels, pair_sums

__all__ = ["kernel_with", "sums_with"]


def kernel_with(found: str, put: str, folder: Path) -> Any:
    """Return the module of kernels with one piece of its source replaced."""
    source = Path(str(pair_kernels.__file__)).read_text(encoding="utf-8")
    return _loaded(source.replace(", cache=True", ""), found, put, folder)


def sums_with(found: str, put: str, folder: Path) -> Any:
    """Return the module of kernels with the sums of a node changed."""
    source = Path(str(pair_sums.__file__)).read_text(encoding="utf-8")
    changed = _loaded(source.replace(", cache=True", ""), found, put, folder / "sums")
    folder.mkdir(exist_ok=True)
    module = kernel_with("WARPS = THREADS // 32", "WARPS = THREADS // 32", folder)
    module.add_node = changed.add_node
    return module


def _loaded(source: str, found: str, put: str, folder: Path) -> Any:
    assert source.count(found) >= 1, found
    source = source.replace(found, put)
    source = source.replace("from ..", "from simcore.").replace("from .", "from simcore.samplers.")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "mutant.py"
    path.write_text(source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(f"mutant_{abs(hash(folder))}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

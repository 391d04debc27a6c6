"""`njit` of simcore: Numba's, with a cache in one folder that no damage of its files can break.

All of simcore is compiled through this module, for the widest vectors.

Numba's own cache stands beside the sources by default, does not notice that a function inlined from
another file has changed, mixes up signatures that two processes write at once, and lets errors of
the disk through. Here every signature of a function has one file, replaced atomically and sealed
with a digest; what can't be read is compiled anew, and what can't be written is not kept.
"""

from __future__ import annotations

import hashlib
import pickle
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numba
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from simcore.errors import SimcoreWarning

from .compiling import cache_folder, prefer_wide_vectors

DIGEST_BYTES = 32

prefer_wide_vectors()


def njit(*, cache: bool = False, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function, as `numba.njit` does, without the wrapper for C, which nobody calls.

    Parameters
    ----------
    cache
        Whether to keep the compiled function in `compiling.cache_folder`.
    **options
        Options of `numba.njit`.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        jit: Any = numba.njit  # whose type knows no `no_cfunc_wrapper`
        compiled = jit(no_cfunc_wrapper=True, **options)(function)
        if cache and compiled is not function:  # as it is under NUMBA_DISABLE_JIT
            compiled._cache = KernelCache(function)
        return compiled

    return decorate


@dataclass
class Compilations:
    """Functions that this process began to compile, since the cache did not have them, and did."""

    begun: int = 0
    done: int = 0


compilations = Compilations()


class Store:
    """Files of one function's compiled signatures, by key.

    Parameters
    ----------
    function
        The Python function, which must have no closure: its cells are in no key.
    dump
        Pickles what is saved.
    """

    given_up = False
    """True once a file could not be written: it would be tried in vain for every function."""

    def __init__(self, function: Any, dump: Callable[[Any], bytes] = dumps) -> None:
        self._dump = dump
        if function.__closure__:
            message = f"{function.__qualname__}: a function with a closure can't be cached"
            raise ValueError(message)
        self._name = f"{function.__module__}.{function.__qualname__}"
        self._code = function.__code__.co_code

    def path(self, key: tuple[Any, ...]) -> Path:
        """Return the file of a key: a signature, and all else that the compiled code depends on."""
        known = repr((numba.__version__, *map(str, key), self._code))
        return cache_folder() / f"{self._name}-{hashlib.sha256(known.encode()).hexdigest()[:16]}"

    def load(self, key: tuple[Any, ...]) -> Any:
        """Return what was saved under a key; None where nothing is, or nothing whole."""
        found = self._read(key)
        compilations.begun += found is None
        return found

    def _read(self, key: tuple[Any, ...]) -> Any:
        try:
            content = self.path(key).read_bytes()
            seal, payload = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
            if hashlib.sha256(payload).digest() != seal:
                return None
            stored, data = pickle.loads(payload)
        except Exception:  # noqa: BLE001 - whatever the file of another machine raises
            return None
        return data if stored == key else None

    def save(self, key: tuple[Any, ...], data: Any) -> None:
        """Save under a key; warn once where that can't be done."""
        compilations.done += 1
        if Store.given_up:
            return
        payload = self._dump((key, data))
        try:
            _replace(self.path(key), hashlib.sha256(payload).digest() + payload)
        except OSError as error:
            Store.given_up = True
            text = (
                f"compiled kernels can't be kept in {cache_folder()} ({error.strerror}), "
                "so they are compiled in every run. Make room there, or set NUMBA_CACHE_DIR to "
                "another folder."
            )
            warnings.warn(text, SimcoreWarning, stacklevel=2)


def _replace(path: Path, content: bytes) -> None:
    """Write a file such that readers see all of it or nothing."""
    new = path.with_name(f"{path.name}.{uuid4().hex}")
    try:
        new.write_bytes(content)
        new.replace(path)
    except BaseException:
        with suppress(OSError):
            new.unlink()
        raise


class KernelCache(NullCache):
    """The compiled signatures of a function for the CPU, as Numba's dispatcher asks for them.

    Parameters
    ----------
    function
        The Python function.
    """

    def __init__(self, function: Any) -> None:
        self._store = Store(function)

    @property
    def cache_path(self) -> str:
        """The folder."""
        return str(cache_folder())

    def load_overload(self, signature: Any, target: Any) -> Any:
        """Return a compiled function; None where there is none, and Numba compiles it."""
        target.refresh()
        reduced = self._store.load((signature, target.codegen().magic_tuple()))
        rebuild: Any = CompileResult._rebuild
        return None if reduced is None else rebuild(target, *reduced)

    def save_overload(self, signature: Any, result: Any) -> None:
        """Keep a compiled function."""
        if not result.lifted and not result.library.has_dynamic_globals:
            key = (signature, result.codegen.magic_tuple())
            self._store.save(key, result._reduce())

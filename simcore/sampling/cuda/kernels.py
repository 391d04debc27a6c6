"""`kernel`: a kernel for CUDA, cached in the folder of those for the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import cuda, njit
from numba.cuda.core.caching import _CacheLocator, dumps
from numba.cuda.dispatcher import CUDACache, CUDACacheImpl

from simcore.numerics.compiling import cache_folder
from simcore.numerics.kernels import Store


def kernel(*, cache: bool = False, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a kernel, as `cuda.jit` does.

    Parameters
    ----------
    cache
        Whether to keep the compiled kernel in `compiling.cache_folder`.
    **options
        Options of `cuda.jit`. With `lto` False, without optimisation at link time, what runs is the
        PTX that the tests run on the CPU.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        # Called without the function, `cuda.jit` forgets `lto` (numba-cuda 0.30).
        compiled = cuda.jit(function, **options)
        if cache:
            compiled._cache = _Cache(function)
        return compiled

    return decorate


@njit(forceinline=True)
def own_slopes(kind: Any, slopes: Any) -> Any:
    """Return the slopes of a point, of which there are as many as in `kind`: none or two."""
    if len(kind) == 0:
        return kind
    return slopes[0], slopes[1]


class _Locator(_CacheLocator):  # type: ignore[misc]
    """The place of a kernel's files, as Numba asks for it."""

    def __init__(self, function: Any) -> None:
        self._function = function

    @classmethod
    def from_function(cls, function: Any, file: str) -> _Locator:  # noqa: ARG003 - Numba's
        return cls(function)

    def ensure_cache_path(self) -> None:
        """Do nothing: `Store` bears a folder that can't be written."""

    def get_cache_path(self) -> str:
        return str(cache_folder())

    def get_source_stamp(self) -> str:
        return cache_folder().name

    def get_disambiguator(self) -> str:
        return str(self._function.__module__)


class _Place(CUDACacheImpl):  # type: ignore[misc]
    _locator_classes = (_Locator,)


class _Cache(CUDACache):  # type: ignore[misc]
    """The compiled signatures of a kernel."""

    _impl_class = _Place

    def __init__(self, function: Any) -> None:
        super().__init__(function)
        self._cache_file = Store(function, dumps)

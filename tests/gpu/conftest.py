"""What the tests of the GPU's kernels share: compiled once, for both compute capabilities."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from .ptx_program import Program, compile_ptx

CAPABILITIES = [(8, 0), (9, 0)]


def signature() -> Any:
    """Types of the parameters of the pair sampler's kernel."""
    from numba import types

    from simcore.samplers.pair import Physics

    i, f, named = types.int64, types.float64, cast(Any, types.NamedTuple)
    physics = named((f,) * 5 + (types.uint64,) * 2, Physics)
    return (physics, i[::1], i, i, f[:, ::1], f[:, :, ::1])


@pytest.fixture(scope="session")
def kernel_ptx() -> dict[tuple[int, int], str]:
    """PTX of the pair sampler's kernel, by compute capability."""
    from simcore.samplers import pair_kernels

    return {c: compile_ptx(pair_kernels.advance, signature(), c) for c in CAPABILITIES}


@pytest.fixture(scope="session", params=CAPABILITIES, ids=["cc80", "cc90"])
def program(
    request: pytest.FixtureRequest,
    kernel_ptx: dict[tuple[int, int], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Program:
    """The compiled kernel, to be run on the CPU."""
    folder: Path = tmp_path_factory.mktemp("program")
    return Program(kernel_ptx[request.param], folder)

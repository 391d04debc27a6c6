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


def asymmetric_signatures() -> dict[str, Any]:
    """Types of the parameters of the kernels of `rai` and `raai`, by name."""
    from numba import types

    from simcore.samplers.asymmetric_nodes import AsymmetricPhysics

    i, f, named = types.int64, types.float64, cast(Any, types.NamedTuple)
    physics = named((f,) * 5 + (types.uint64,) * 2, AsymmetricPhysics)
    return {
        "begin": (physics, i, i, f[:, ::1]),
        "advance": (physics, i[::1], i[::1], i, i, f[:, ::1], f[:, :, ::1]),
    }


@pytest.fixture(scope="session")
def asymmetric_ptx() -> dict[tuple[int, int], dict[str, str]]:
    """PTX of the kernels of `rai` and `raai`, by compute capability and name."""
    from simcore.samplers import asymmetric_kernels

    return {
        c: {
            name: compile_ptx(getattr(asymmetric_kernels, name), types, c)
            for name, types in asymmetric_signatures().items()
        }
        for c in CAPABILITIES
    }


@pytest.fixture(scope="session")
def asymmetric_programs(
    asymmetric_ptx: dict[tuple[int, int], dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Program]:
    """The compiled kernels, to be run on the CPU; those of the other capability are the same."""
    return {
        name: Program(ptx, tmp_path_factory.mktemp(name))
        for name, ptx in asymmetric_ptx[9, 0].items()
    }

"""What the tests of the GPU's kernels share: compiled once, for both compute capabilities."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulator.kernels import KERNELS, PHYSICS, kernel, signature
from tests.emulator.ptx_program import Program, compile_ptx

CAPABILITIES = [(8, 0), (9, 0)]
Capability = tuple[int, int]
AllPtx = dict[Capability, dict[str, str]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the pretended driver first: what it compiles the other tests need not."""
    items.sort(key=lambda item: item.path.stem != "test_pretended_driver")


@pytest.fixture(scope="session")
def all_ptx() -> AllPtx:
    """PTX of every kernel, by compute capability and name."""
    return {
        c: {name: compile_ptx(kernel(name), signature(name), c) for name in KERNELS}
        for c in CAPABILITIES
    }


@pytest.fixture(scope="session")
def kernel_ptx(all_ptx: AllPtx) -> dict[Capability, str]:
    """PTX of the pair sampler's kernel, by compute capability."""
    return {capability: ptx["advance"] for capability, ptx in all_ptx.items()}


@pytest.fixture(scope="session")
def compiled(all_ptx: AllPtx, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Program]:
    """Every compiled kernel, to be run on the CPU, by name: for one capability.

    What is compiled for another is the same (`test_every_capability_has_the_same_ptx`).
    """
    return {name: Program.of(ptx) for name, ptx in all_ptx[9, 0].items()}


@pytest.fixture(scope="session")
def program(compiled: dict[str, Program]) -> Program:
    """The pair sampler's compiled kernel."""
    return compiled["advance"]


def asymmetric_signatures() -> dict[str, Any]:
    """Types of the parameters of the kernels of `rai` and `raai`, by name."""
    from numba import types

    i, f = types.int64, types.float64
    return {
        "begin": (PHYSICS, i, i, f[:, ::1]),
        "advance": (PHYSICS, i[::1], i[::1], i, i, f[:, ::1], f[:, :, ::1]),
    }


@pytest.fixture(scope="session")
def asymmetric_ptx() -> dict[tuple[int, int], dict[str, str]]:
    """PTX of the kernels of `rai` and `raai`, by compute capability and name."""
    from tests.emulator.asymmetric_launches import KERNELS as ASYMMETRIC_KERNELS

    return {
        c: {
            name: compile_ptx(ASYMMETRIC_KERNELS[name], types, c)
            for name, types in asymmetric_signatures().items()
        }
        for c in CAPABILITIES
    }


@pytest.fixture(scope="session")
def asymmetric_programs(
    asymmetric_ptx: dict[tuple[int, int], dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Program]:
    """The compiled kernels, to be run on the CPU; those of the other capability are the same."""
    return {name: Program.of(ptx) for name, ptx in asymmetric_ptx[9, 0].items()}

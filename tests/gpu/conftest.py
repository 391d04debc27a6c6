"""What the tests of the GPU's kernels share: compiled once, for both compute capabilities."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from .kernels import KERNELS, kernel, signature
from .ptx_program import Program, compile_ptx, programs

CAPABILITIES = [(8, 0), (9, 0)]
Capability = tuple[int, int]
AllPtx = dict[Capability, dict[str, str]]


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
def libraries(
    all_ptx: AllPtx, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Capability], dict[str, Program]]:
    """Compiles every kernel for a capability, once."""
    return cache(lambda capability: programs(all_ptx[capability], tmp_path_factory.mktemp("ptx")))


@pytest.fixture(scope="session", params=CAPABILITIES, ids=["cc80", "cc90"])
def compiled(
    request: pytest.FixtureRequest, libraries: Callable[[Capability], dict[str, Program]]
) -> dict[str, Program]:
    """Every compiled kernel, to be run on the CPU, by name."""
    return libraries(request.param)


@pytest.fixture(scope="session")
def program(compiled: dict[str, Program]) -> Program:
    """The pair sampler's compiled kernel."""
    return compiled["advance"]

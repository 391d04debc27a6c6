"""What kernels are launched with has the types for which the tests compile them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simcore.runs.run import Run
from simcore.sampling.choose import sampler_for
from simcore.sampling.pair import cuda as pair_cuda
from simcore.statistics.blocks import BLOCK, Task
from tests.emulator.asymmetric_launches import KERNELS as ASYMMETRIC_KERNELS
from tests.emulator.conftest import asymmetric_signatures
from tests.emulator.emulated import signals
from tests.emulator.kernels import KERNELS
from tests.emulator.test_batch_cuda import EmulatedArrays

pytestmark = pytest.mark.xdist_group("gpu")


class Typed(EmulatedArrays):
    """Runs nothing: kernels write 1, and what they were launched with is noted, as Numba has it."""

    def __init__(self) -> None:
        super().__init__({})
        self.types: dict[tuple[str, str], list[tuple[Any, ...]]] = {}

    def execute(self, kernel: Any, blocks: int, threads: int, *arguments: Any) -> None:
        from numba.cuda.typing.typeof import typeof

        where = (kernel.py_func.__module__, kernel.py_func.__name__)
        self.types.setdefault(where, []).append(tuple(typeof(a) for a in arguments))
        for array in (item for a in arguments for item in (a if isinstance(a, tuple) else (a,))):
            if isinstance(array, np.ndarray) and array.ndim > 1:
                array[...] = 1


PAIR: dict[str, Any] = {"depth": 3, "trials": 2 * BLOCK, "device": "cuda"}
RUNS: dict[str, dict[str, Any]] = {
    "he": {"layer_widths": (30, 700, 20)},
    "whole numbers": {"width": (30,), "sigma_w": (2,), "sigma_b": (0,), "q0": (1,)},
    "all weights sum to zero": {"width": (30,), "ensemble": "correlated", "k": (float("inf"),)},
    "rai": {"width": (30,), "ensemble": "rai"},
    "raai of whole numbers": {
        "width": (30,),
        "ensemble": "raai",
        "k": (1,),
        "sigma_b": (0,),
        "q0": (1,),
        "correlation": (0,),
    },
    "gram": {"width": (30,), "shared_network": True, "pairs": 2, "sampler": "gram"},
    "dense": {"width": (30,), "ensemble": "rai", "sampler": "dense", "q0": (1,)},
    "Student": {"width": (30,), "weights": "student:5"},
}


@pytest.mark.parametrize("name", RUNS)
def test_launches_have_the_types_that_are_compiled(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair_cuda, "WIDE", 512)  # layers that thread blocks share, too
    sampler: Any = sampler_for(Run(**PAIR | RUNS[name]))
    device = sampler._given = Typed()
    with np.errstate(all="ignore"):
        sampler.run(Task(0, 0, 2, 2 * BLOCK), None, signals())
    expected = {
        (kernel.py_func.__module__, function): signature
        for function, (kernel, signature) in KERNELS.items()
    }
    for function, signature in asymmetric_signatures().items():
        expected[ASYMMETRIC_KERNELS[function].py_func.__module__, function] = signature
    assert device.types
    for where, launches in device.types.items():
        assert set(launches) == {expected[where]}, where

"""What a machine is found to have, what is said of it, and where a run then goes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import warnings
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from simcore import simulate
from simcore.errors import DeviceError, InputError
from simcore.execution.execute import execute, resume
from simcore.machine import gpu
from simcore.machine.cuda_driver import CudaDriver, DriverError, Gpu
from simcore.machine.gpu import Findings
from simcore.runs.ensemble import Ensemble
from simcore.runs.run import Run
from simcore.sampling.choose import sampler_for
from tests.emulator.pretended_driver import RESERVED, build
from tests.support.devices import CASES, FOR_PRODUCTS, H100, READY

Pretend = Callable[[Findings], None]

LOOKING: Any = gpu.look
"""For this machine itself, which tests do not see (tests/conftest.py)."""


def run(**options: Any) -> Run:
    basic: dict[str, Any] = {"width": (8,), "depth": 2, "trials": 70}
    return Run(**basic | options)


# --- the driver's answers, from a pretended library ----------------------------------------------


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    return build(tmp_path_factory.mktemp("driver"))


def test_a_driver_tells_of_its_gpus(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRETENDED_GPUS", "2")
    monkeypatch.setenv("PRETENDED_MEMORY", "80000000000")
    driver = CudaDriver(str(library))
    assert driver.version() == (13, 0)
    assert driver.gpus() == (
        Gpu(0, "pretended GPU 0", (9, 0), 80_000_000_000, 80_000_000_000 - RESERVED),
        Gpu(1, "pretended GPU 1", (9, 0), 80_000_000_000, None),
    )
    assert driver._library.pretended_left_open() == 0


def test_a_gpu_without_room_to_be_opened(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRETENDED_CONTEXT", "2")
    assert CudaDriver(str(library)).gpus()[0].free_bytes == 0


def test_a_gpu_that_another_process_has_to_itself(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRETENDED_CONTEXT", "46")
    (found,) = CudaDriver(str(library)).gpus()
    assert (found.free_bytes, found.busy) == (None, True)


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"PRETENDED_INIT": "999"}, "cuInit: CUDA_ERROR_UNKNOWN"),
        ({"PRETENDED_INIT": "803"}, "cuInit: error 803"),
        ({"PRETENDED_CONTEXT": "999"}, "cuDevicePrimaryCtxRetain: CUDA_ERROR_UNKNOWN"),
    ],
)
def test_a_driver_that_fails_says_where(
    library: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], told: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(DriverError, match=told):
        CudaDriver(str(library)).gpus()


def test_a_driver_without_a_gpu(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRETENDED_INIT", "100")
    assert CudaDriver(str(library)).gpus() == ()


LOOK = """
import sys
from simcore.machine import gpu
found = gpu.look()
print(found.driver, [one.name for one in found.gpus], found.failure, found.visible)
assert not any(name in sys.modules for name in ("numba", "cupy")), "too much was imported"
maps = open("/proc/self/maps").read()
assert not any(name in maps for name in ("libcublas", "libcusolver")), "too much was loaded"
"""


def test_without_a_driver_no_library_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Solvers are looked for where a run multiplies matrices only, which takes a GPU."""
    asked: list[str] = []

    def library(name: str) -> str:
        asked.append(name)
        return f"lib{name}.so.13"

    monkeypatch.setattr(gpu, "_library", library)
    monkeypatch.setattr(gpu, "CudaDriver", lambda: CudaDriver("libnone.so.1"))
    found = LOOKING.__wrapped__()
    assert (found.driver, found.toolkit, asked) == (None, None, [])
    gpu._solvers.cache_clear()
    ready = replace(READY, solvers=None)
    assert gpu.obstacle(ready, run(device="cuda")) is None
    assert asked == []
    assert gpu.obstacle(ready, run(device="cuda", sampler="dense")) is None
    assert asked == ["cublas", "cusolver"]
    gpu._solvers.cache_clear()


@pytest.mark.parametrize(
    ("variables", "shown"),
    [
        ({}, "(13, 0) ['pretended GPU 0']  0"),
        ({"PRETENDED_INIT": "999"}, "(13, 0) [] cuInit: CUDA_ERROR_UNKNOWN 0"),
    ],
)
def test_looking_asks_the_driver(library: Path, variables: dict[str, str], shown: str) -> None:
    environment = {"LD_LIBRARY_PATH": str(library.parent), "CUDA_VISIBLE_DEVICES": "0"}
    assert _python(LOOK, environment | variables) == shown


def test_importing_simcore_opens_no_driver(library: Path) -> None:
    code = (
        "import sys, ctypes\n"
        "def refused(*_): raise AssertionError('the driver was opened')\n"
        "ctypes.CDLL = refused\n"
        "import simcore, simcore.machine.gpu\nfrom simcore import Run, simulate\n"
        "Run(width=(8,), depth=2, device='cuda')\n"
        "assert 'numba' not in sys.modules\n"
        "print('done')"
    )
    assert _python(code, {"LD_LIBRARY_PATH": str(library.parent)}) == "done"


def _python(code: str, variables: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# --- what stands in the way ---------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_what_is_amiss_is_one_line_with_a_remedy(case: str, pretend: Pretend) -> None:
    found, told = CASES[case]
    pretend(found)
    with pytest.raises(DeviceError) as caught:
        gpu.require_cuda()
    text = str(caught.value)
    assert text.startswith(f"device = cuda: {told}")
    assert text.endswith(", or use the device cpu.")
    assert "\n" not in text
    assert caught.value.exit_code == 2


PRODUCTS: list[dict[str, Any]] = [
    {"sampler": "dense"},
    {"weights": "uniform"},
    {"ensemble": "rai", "sampler": "dense"},
    {"shared_network": True, "pairs": 2},
]


@pytest.mark.parametrize("case", FOR_PRODUCTS)
def test_only_matrix_products_need_cupy(case: str, pretend: Pretend) -> None:
    found, told = FOR_PRODUCTS[case]
    pretend(found)
    gpu.require_cuda()
    gpu.require_cuda(run(device="cuda"))
    for options in PRODUCTS:
        with pytest.raises(DeviceError) as caught:
            gpu.require_cuda(run(device="cuda", **options))
        assert str(caught.value).startswith(f"device = cuda: {told}")


@pytest.mark.parametrize("options", PRODUCTS)
def test_matrix_products_have_a_sampler(options: dict[str, Any], pretend: Pretend) -> None:
    for cupy_cuda in (13, None):
        pretend(replace(READY, cupy_cuda=cupy_cuda))
        gpu.require_cuda(run(device="cuda", **options))
    assert gpu.used(run(device="cuda", **options)).endswith("CuPy 14.2.0")
    assert "CuPy" not in gpu.used(run(device="cuda"))


def test_nothing_is_amiss(pretend: Pretend) -> None:
    for found in (
        READY,
        replace(READY, driver=(14, 0)),
        replace(READY, nvvm=None, linker=None, nvrtc=None),
        replace(READY, linker=None),  # the driver, for 13.1, links the code of NVVM 13.0
        replace(READY, gpus=(replace(H100, capability=(10, 0)),)),
        replace(READY, linker=(13, 5)),
        replace(READY, bindings=12, toolkit=12),
        replace(READY, bindings=12, toolkit=12, gpus=(replace(H100, capability=(7, 0)),)),
        replace(READY, gpus=(replace(H100, free_bytes=gpu.LEAST_FREE_BYTES),)),
    ):
        pretend(found)
        gpu.require_cuda()


# --- the choice ---------------------------------------------------------------------------------


def test_the_device_is_no_part_of_a_key() -> None:
    assert run(device="cuda").points[0].key == run().points[0].key
    assert run(device="cuda").digest() != run().digest()


# --- running ------------------------------------------------------------------------------------


@pytest.fixture
def cpu_for_cuda(monkeypatch: pytest.MonkeyPatch, pretend: Pretend) -> None:
    """A machine with a GPU, whose sampler is that of the CPU."""
    pretend(READY)
    monkeypatch.setattr(
        "simcore.execution.engines.sampler_for",
        lambda plan: sampler_for(replace(plan, device="cpu")),
    )


def test_waiting_tasks_go_to_the_gpu_together(
    cpu_for_cuda: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First the blocks that lay bins, of all points; then all the rest."""
    from simcore.sampling.pair.cpu import PairSampler

    seen: list[list[tuple[int, int, int]]] = []
    real = PairSampler.run_tasks

    def run_tasks(self: PairSampler, tasks: Any, signals: Any) -> Any:
        seen.append([(task.point, task.first_block, task.trials) for task, _ in tasks])
        return real(self, tasks, signals)

    monkeypatch.setattr(PairSampler, "run_tasks", run_tasks)
    plan = replace(run(trials=1000), ensemble="correlated", k=(0.0, 1.0))
    found = execute(replace(plan, device="cuda"))
    rest = [(1, 64), (2, 128), (4, 256), (8, 256), (12, 128), (14, 64), (15, 40)]
    assert seen == [[(0, 0, 64), (1, 0, 64)], [(p, *each) for p in (0, 1) for each in rest]]
    for ours, theirs in zip(found.points, execute(plan).points, strict=True):
        mine, other = ours.published(), theirs.published()
        assert mine is not None
        assert other is not None
        assert all(a.tobytes() == b.tobytes() for a, b in zip(mine, other, strict=True))


def test_a_run_that_has_no_gpu_leaves_nothing(pretend: Pretend, tmp_path: Path) -> None:
    pretend(Findings())
    with pytest.raises(DeviceError, match="no NVIDIA driver"):
        execute(run(device="cuda"), output=tmp_path / "run.h5")
    assert list(tmp_path.iterdir()) == []


def test_simulate_chooses(cpu_for_cuda: None, pretend: Pretend) -> None:
    he = Ensemble.he()
    assert simulate(he, width=8, depth=2, trials=64, device="cuda").attrs["device"] == "cuda"
    assert simulate(he, width=8, depth=2, trials=64).attrs["device"] == "cpu"
    with pytest.raises(InputError, match="is part of the Run"):
        simulate(run(), device="cpu")
    pretend(Findings())
    with pytest.raises(DeviceError, match="no NVIDIA driver"):
        simulate(he, width=8, depth=2, trials=64, device="cuda")


def test_a_run_stays_on_its_kind_of_device(
    cpu_for_cuda: None, pretend: Pretend, tmp_path: Path
) -> None:
    path = tmp_path / "run.h5"
    execute(run(device="cuda"), output=path)
    with pytest.raises(DeviceError, match="is not the device of this run, cuda"):
        resume(path, trials=128, device="cpu")
    assert resume(path, trials=128, device="cuda").complete
    assert resume(path, trials=192, device="auto").complete
    pretend(Findings())
    with pytest.raises(DeviceError, match=r"Install one.*, or resume where there is a GPU"):
        resume(path, trials=256)


def test_runs_of_two_kinds_are_not_merged(cpu_for_cuda: None, tmp_path: Path) -> None:
    from simcore.execution.merge import merge

    execute(run(device="cuda", trials=64), output=tmp_path / "a.h5")
    execute(run(first_trial=64), output=tmp_path / "b.h5")
    with pytest.raises(InputError, match='device is "cpu", not "cuda"'):
        merge([tmp_path / "a.h5", tmp_path / "b.h5"], tmp_path / "c.h5")


class OnDevice:
    """Stands for an array of the GPU, which only a thread with a context may free."""


class CudaAPIError(Exception):
    """As numba-cuda has it."""


class LinkerError(Exception):
    """As numba-cuda has it."""


class CUDAError(Exception):
    """As cuda-core has it, which loads and launches kernels for numba-cuda."""


class OutOfMemoryError(Exception):
    """As CuPy has it."""


class CUBLASError(Exception):
    """As CuPy has it."""


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (CudaAPIError("[2] Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY"), "ran out of"),
        (
            CudaAPIError("[700] Call to cuMemcpyDtoH results in CUDA_ERROR_ILLEGAL_ADDRESS"),
            r"failed on the GPU \(\[700\]",
        ),
        (CUDAError("CUDA_ERROR_OUT_OF_MEMORY: The API call failed"), "ran out of"),
        (
            OutOfMemoryError("Out of memory allocating 1,024 bytes (allocated so far: 0)."),
            "ran out",
        ),
        (CUBLASError("CUBLAS_STATUS_ALLOC_FAILED"), "ran out of"),
        (CUBLASError("CUBLAS_STATUS_EXECUTION_FAILED"), r"failed on the GPU \(CUBLAS_STATUS_EXEC"),
        (LinkerError("ptxas fatal:\nUnsupported .version 9.5"), "fatal: Unsupported .version 9.5"),
        (RuntimeError("CUDA_ERROR_OUT_OF_MEMORY"), "^CUDA_ERROR_OUT"),
    ],
)
def test_a_gpu_that_fails_is_one_line(
    cpu_for_cuda: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    error: Exception,
    told: str,
) -> None:
    from simcore.sampling.pair.cpu import PairSampler

    real, freed_by = PairSampler.run, []

    def fail(self: PairSampler, task: Any, *rest: Any) -> Any:
        if task.first_block:
            array = OnDevice()
            weakref.finalize(array, lambda: freed_by.append(threading.current_thread().name))
            raise error
        return real(self, task, *rest)

    monkeypatch.setattr(PairSampler, "run", fail)
    expected = RuntimeError if told.startswith("^") else DeviceError
    with pytest.raises(expected, match=told) as caught:
        execute(run(device="cuda", trials=256), output=tmp_path / "run.h5")
    assert "\n" not in str(caught.value)
    if expected is DeviceError:
        assert str(caught.value).endswith(", then simcore resume the file.")
        # By the thread that has the GPU, although the error is still held here.
        assert set(freed_by) == {"thread_0"}
    monkeypatch.setattr(PairSampler, "run", real)
    assert resume(tmp_path / "run.h5").complete


def test_each_local_process_sees_a_gpu_of_its_own(pretend: Pretend) -> None:
    pair = (H100, replace(H100, index=1))
    pretend(replace(READY, gpus=pair))
    assert gpu.local_gpus(2) == ["0", "1"]
    assert gpu.local_gpus(1) == ["0"]
    pretend(replace(READY, gpus=pair, visible="5, GPU-3,7"))
    assert gpu.local_gpus(2) == ["5", "GPU-3"]
    with pytest.raises(InputError, match=r"scheduler = local:3: .* GPUs, 2\. Use local:2"):
        gpu.local_gpus(3)
    pretend(Findings())
    with pytest.raises(DeviceError, match="no NVIDIA driver"):
        gpu.local_gpus(1)


@pytest.mark.needs("cuda compiler")
def test_few_trials_are_no_reason_to_warn(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Numba does below 128 thread blocks; the launch itself is left out."""
    from simcore.sampling.cuda.device import Device
    from simcore.sampling.pair import cuda_kernels as pair_kernels

    started: list[tuple[object, ...]] = []
    kernel = SimpleNamespace(kernel="loaded")
    library = SimpleNamespace(get_cufunc=lambda: kernel)
    compiled = SimpleNamespace(_codelibrary=library)
    monkeypatch.setattr(pair_kernels.advance, "compile", lambda _: compiled)
    device = Device()
    monkeypatch.setattr(device, "start", lambda *given: started.append(given))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        device.launch(pair_kernels.advance, 1, 128, 5)
        with pytest.raises(Warning, match="Grid size 2"):
            pair_kernels.advance[2, 128]
    assert started == [("loaded", 1, 128, [5])]

"""Choice of the device of a run, CPU or CUDA GPU, and the obstacles to a GPU with their remedies.

Importing this module touches no device. `look` asks the machine once in a process; everything else
judges its findings, so that tests can pretend any machine.
"""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any, NamedTuple

from simcore.errors import DeviceError, InputError

from .cuda_driver import CudaDriver, DriverError, Gpu

if TYPE_CHECKING:
    from simcore.runs.run import Run

VISIBLE = "CUDA_VISIBLE_DEVICES"

LEAST_CAPABILITY = (7, 0)
"""Least compute capability: threads must be independent, as the kernels need."""

TOOLKIT_CAPABILITY = {13: (7, 5)}
"""Least compute capability by major version of CUDA, where its libraries demand more."""

LEAST_FREE_BYTES = 512 * 2**20
"""Least free memory of a GPU: the driver's own share, and some tasks."""

MEMORY_SPENT = {
    "CudaAPIError": ("CUDA_ERROR_OUT_OF_MEMORY",),
    "CUDAError": ("CUDA_ERROR_OUT_OF_MEMORY",),
    "OutOfMemoryError": ("Out of memory allocating",),
    "CUDADriverError": ("CUDA_ERROR_OUT_OF_MEMORY",),
    "CUDARuntimeError": ("cudaErrorMemoryAllocation",),
    "CUBLASError": ("CUBLAS_STATUS_ALLOC_FAILED",),
    "CUSOLVERError": ("CUSOLVER_STATUS_ALLOC_FAILED",),
    **dict.fromkeys(("LinkerError", "NvvmError", "NvrtcError", "nvJitLinkError"), ()),
}
"""Names of the errors of Numba and CuPy on a GPU, and words of their texts for lack of memory."""

LEAST_NUMBA_CUDA = (0, 30, 4)
"""Oldest version of numba-cuda that the kernels were compiled with; a newer minor one was not
tried."""

TRIED_TOOLKIT = {13: " 'cuda-toolkit==13.0.*'"}
"""Version of the libraries that the kernels were compiled with, for pip, by major version."""

LEAST_CUPY = 14
"""Oldest major version of CuPy with the names of the array API standard."""

VERSIONS = (12, 13)
"""Major versions of CUDA for which there are packages."""

LONGEST = 200
"""Characters of the text of an error on a GPU that are shown."""

NVVM = {12: "nvidia-cuda-nvcc-cu12", 13: "nvidia-nvvm"}
LINKER = {12: "nvidia-nvjitlink-cu12", 13: "nvidia-nvjitlink"}
NVRTC = {12: "nvidia-cuda-nvrtc-cu12", 13: "nvidia-cuda-nvrtc"}
"""Packages with the compiler of kernels, with what links them, and with what numba-cuda asks for
the GPUs that it may compile for, by major version of CUDA."""

SINCE = {(10, 0): (12, 8), (10, 3): (12, 9), (12, 0): (12, 8), (12, 1): (12, 9)}
"""First version of these that knows a compute capability; all know the older ones."""

CPU_INSTEAD = "or use the device cpu"
STAYS = "or resume where there is a GPU, since a run stays on its kind of device"


class Obstacle(NamedTuple):
    """Reason why no GPU can be used, as the rest of a sentence; remedy, without its period."""

    rule: str
    remedy: str


@dataclass(frozen=True)
class Findings:
    """State of a machine and an installation as to CUDA; versions are "" where there is none.

    - `driver`: the newest CUDA that the driver runs, major and minor; None without a driver.
      `failure`: reason why it does not start.
    - `gpus`: GPUs that this process sees; the first is used. `visible`: CUDA_VISIBLE_DEVICES.
    - `bindings`, `toolkit`: major version of CUDA of numba-cuda's bindings, and of the libraries.
    - `nvvm`, `linker`, `nvrtc`: versions of NVVM, nvJitLink and NVRTC; None unless pip installed
      them.
    - `cupy_cuda`: major version of CUDA for which CuPy was made; None if unknown. `solvers`: True
      if there are cuBLAS and cuSOLVER, which CuPy loads; None if nobody looked.
    """

    driver: tuple[int, int] | None = None
    failure: str = ""
    gpus: tuple[Gpu, ...] = ()
    visible: str | None = None
    numba_cuda: str = ""
    bindings: int | None = None
    toolkit: int | None = None
    nvvm: tuple[int, int] | None = None
    linker: tuple[int, int] | None = None
    nvrtc: tuple[int, int] | None = None
    cupy: str = ""
    cupy_cuda: int | None = None
    solvers: bool | None = None


@cache
def look() -> Findings:
    """Ask the driver and the installed packages; the answer is kept for the process.

    Libraries of CUDA are looked for, which loads them, only where there is a driver.
    """
    bindings = _version("cuda-bindings")
    found = Findings(
        visible=os.environ.get(VISIBLE),
        numba_cuda=_version("numba-cuda"),
        bindings=int(bindings.split(".")[0]) if bindings else None,
        **_cupy(),
    )
    try:
        driver = CudaDriver()
    except OSError:
        return found
    try:
        found = replace(found, driver=driver.version(), toolkit=_toolkit())
        found = replace(found, nvvm=_of_cuda(NVVM, found), linker=_of_cuda(LINKER, found))
        found = replace(found, nvrtc=_of_cuda(NVRTC, found))
        return replace(found, gpus=driver.gpus())
    except (DriverError, AttributeError) as error:
        return replace(found, driver=found.driver or (0, 0), failure=str(error))


def _cupy() -> dict[str, Any]:
    """Return the findings about CuPy. One that was built from source has no CUDA in its name."""
    for major in (*VERSIONS, None):
        name = f"cupy-cuda{major}x" if major else "cupy"
        if version := _version(name):
            return {"cupy": version, "cupy_cuda": major}
    return {}


@cache
def _solvers() -> bool:
    return all(_library(library) for library in ("cublas", "cusolver"))


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except (metadata.PackageNotFoundError, ValueError):  # ValueError: no name
        return ""


def _toolkit() -> int | None:
    """Return the major version of the compiler library that numba-cuda would load."""
    match = re.search(r"\.so\.(\d+)", _library("nvrtc"))
    return int(match[1]) if match else None


def _of_cuda(packages: dict[int, str], found: Findings) -> tuple[int, int] | None:
    """Return the version of a part of CUDA that was installed by pip."""
    numbers = re.findall(r"\d+", _version(packages.get(found.toolkit or 0, "")))[:2]
    return (int(numbers[0]), int(numbers[1])) if len(numbers) == 2 else None


def _library(name: str) -> str:
    """Return the path of a library of CUDA; "" where there is none."""
    try:
        from cuda.pathfinder import DynamicLibNotFoundError, load_nvidia_dynamic_lib
    except ImportError:
        return ""
    try:
        return load_nvidia_dynamic_lib(name).abs_path or ""
    except (DynamicLibNotFoundError, RuntimeError, OSError):
        return ""


def _cuda(found: Findings) -> int:
    """Return the major version of CUDA that fits the driver and the first GPU."""
    newest = VERSIONS[-1] if found.driver is None else found.driver[0]
    major = min(max(newest, VERSIONS[0]), VERSIONS[-1])
    if found.gpus and found.gpus[0].capability < TOOLKIT_CAPABILITY.get(major, LEAST_CAPABILITY):
        return VERSIONS[0]
    return major


def _packages(found: Findings) -> str:
    """Return the packages for CUDA that fit, as words for pip."""
    major = _cuda(found)
    next_minor = dotted((LEAST_NUMBA_CUDA[0], LEAST_NUMBA_CUDA[1] + 1))
    tried = f"'numba-cuda[cu{major}]>={dotted(LEAST_NUMBA_CUDA)},<{next_minor}'"
    return f"{tried}{TRIED_TOOLKIT.get(major, '')} 'cupy-cuda{major}x[ctk]>={LEAST_CUPY}.0'"


def _anew(found: Findings) -> str:
    """Return the remedy where packages for another CUDA would stay, and be found first."""
    return f"In a new environment with simcore run pip install {_packages(found)}"


# --- obstacles ----------------------------------------------------------------------------------


def obstacle(found: Findings, run: Run | None = None) -> Obstacle | None:
    """Return the first obstacle to using the first GPU; None if there is none.

    `run` is the run that it is wanted for: matrix products need packages of their own.
    """
    needs_cupy = run is not None and run.multiplies
    return (
        driver_obstacle(found)
        or package_obstacle(found)
        or (cupy_obstacle(found) if needs_cupy else None)
        or gpu_obstacle(found)
    )


def driver_obstacle(found: Findings) -> Obstacle | None:
    """Return the fault of the driver, or that it has no GPU."""
    if found.driver is None:
        return Obstacle(
            "finds no NVIDIA driver on this machine",
            "Install one, until nvidia-smi shows a GPU, or start the container with --gpus all",
        )
    if found.failure:
        return Obstacle(
            f"finds a driver that does not start ({found.failure})",
            "See what nvidia-smi says, restart after an update of the driver",
        )
    if not found.gpus and found.visible is not None:
        return Obstacle(
            f"finds no GPU, {VISIBLE} being {found.visible or 'empty'}",
            "Set it to the number of a GPU that nvidia-smi shows",
        )
    if not found.gpus:
        return Obstacle(
            "finds a driver and no GPU",
            "See whether nvidia-smi shows one, and ask Slurm for it, or start the container with"
            " --gpus all",
        )
    if found.driver[0] < VERSIONS[0]:
        return Obstacle(
            f"needs a driver for CUDA {VERSIONS[0]}, and this one is for {dotted(found.driver)}",
            "Update the driver",
        )
    return None


def package_obstacle(found: Findings) -> Obstacle | None:
    """Return the fault of the packages for CUDA."""
    install, anew = f"Run pip install {_packages(found)}", _anew(found)
    if not found.numba_cuda or found.bindings is None:
        rule = f"needs the packages for CUDA {_cuda(found)}, which are not installed"
        return Obstacle(rule, install)
    if tuple(map(int, re.findall(r"\d+", found.numba_cuda)[:3])) < LEAST_NUMBA_CUDA:
        least = dotted(LEAST_NUMBA_CUDA)
        return Obstacle(f"needs numba-cuda {least}, and {found.numba_cuda} is installed", install)
    if found.toolkit is None:
        return Obstacle(f"finds no libraries of CUDA {_cuda(found)}", install)
    if found.driver is not None:
        for what, major in (("bindings", found.bindings), ("libraries", found.toolkit)):
            if major > found.driver[0]:
                rule = f"finds {what} for CUDA {major} and a driver for {dotted(found.driver)}"
                return Obstacle(rule, f"{anew}, or update the driver")
    if found.bindings != found.toolkit:
        rule = f"finds bindings for CUDA {found.bindings} and libraries for CUDA {found.toolkit}"
        return Obstacle(rule, anew)
    return _unlinkable(found) or _unknown_gpu(found)


def _unlinkable(found: Findings) -> Obstacle | None:
    """Return the fault of an NVVM that is newer than what links its code.

    That is nvJitLink, of which another package, PyTorch for one, may have brought an older one;
    without nvJitLink it is the driver.
    """
    links = found.linker or found.driver
    if found.nvvm is None or links is None or links >= found.nvvm:
        return None
    newer, older = dotted(found.nvvm), dotted(links)
    if found.linker is not None:
        rule = f"finds NVVM {newer} and nvJitLink {older}, which does not link its code"
        return Obstacle(rule, f"Run pip install '{NVVM[found.nvvm[0]]}=={older}.*'")
    rule = f"finds NVVM {newer}, no nvJitLink, and a driver for {older}, which links no such code"
    return Obstacle(rule, f"Run pip install '{LINKER[found.nvvm[0]]}=={newer}.*'")


def _unknown_gpu(found: Findings) -> Obstacle | None:
    """Return the fault of a package that is older than the first GPU."""
    versions = (("NVVM", found.nvvm), ("nvJitLink", found.linker), ("NVRTC", found.nvrtc))
    for gpu in found.gpus[:1]:
        least = SINCE.get(gpu.capability, (0, 0))
        for (name, version), packages in zip(versions, (NVVM, LINKER, NVRTC), strict=True):
            if version is not None and version < least:
                rule = f"finds {name} {dotted(version)}, too old for {gpu.name}"
                package = f"'{packages[version[0]]}>={dotted(least)},<{version[0] + 1}'"
                return Obstacle(rule, f"Run pip install {package}")
    return None


def cupy_obstacle(found: Findings) -> Obstacle | None:
    """Return the fault of CuPy, which batches and explicit weights need."""
    install = f"Run pip install {_packages(found)}"
    if not found.cupy:
        return Obstacle("needs CuPy for several inputs or explicit weights", install)
    if int(found.cupy.split(".")[0]) < LEAST_CUPY:
        return Obstacle(f"needs CuPy {LEAST_CUPY}, and {found.cupy} is installed", install)
    if found.cupy_cuda not in (None, found.toolkit):
        rule = f"finds CuPy for CUDA {found.cupy_cuda} and libraries for CUDA {found.toolkit}"
        return Obstacle(
            rule, f"Run pip uninstall cupy-cuda{found.cupy_cuda}x, and then {install[4:]}"
        )
    if not (_solvers() if found.solvers is None else found.solvers):
        return Obstacle(f"finds no cuBLAS or cuSOLVER of CUDA {_cuda(found)}", install)
    return None


def gpu_obstacle(found: Findings) -> Obstacle | None:
    """Return the fault of the first GPU."""
    gpu = found.gpus[0]
    if gpu.capability < LEAST_CAPABILITY:
        least, has = dotted(LEAST_CAPABILITY), dotted(gpu.capability)
        rule = f"needs compute capability {least}, and {gpu.name} has {has}"
        return Obstacle(rule, _another(found))
    if gpu.capability < TOOLKIT_CAPABILITY.get(found.toolkit or 0, LEAST_CAPABILITY):
        rule = f"finds libraries for CUDA {found.toolkit}, too new for {gpu.name}"
        return Obstacle(rule, _anew(found))
    if gpu.busy:
        rule = f"finds {gpu.name} busy: another process has it to itself"
        return Obstacle(rule, f"End that process (nvidia-smi lists it), or choose by {VISIBLE}")
    if gpu.free_bytes is not None and gpu.free_bytes < LEAST_FREE_BYTES:
        free, least = _mebibytes(gpu.free_bytes), _mebibytes(LEAST_FREE_BYTES)
        rule = f"needs {least} of free memory, and {gpu.name} has {free}"
        return Obstacle(rule, "End what else runs on it (nvidia-smi lists it)")
    return None


def _another(found: Findings) -> str:
    """Return the remedy for a GPU that is too old: another one of this machine, if it will do."""
    names = visible_names(found)
    for gpu in found.gpus[1:]:
        if gpu.capability >= LEAST_CAPABILITY:
            return f"Set {VISIBLE}={names[gpu.index]} for {gpu.name}"
    return "Use another GPU"


def dotted(version: tuple[int, ...]) -> str:
    """Return a version as it is written."""
    return ".".join(map(str, version))


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"


@contextmanager
def gpu_watched() -> Iterator[None]:
    """Turn the errors of Numba and CuPy on a GPU into a DeviceError with a remedy.

    They are recognized by name and text, since naming their classes would import both. What their
    frames hold is let go here, in the thread that has the GPU: no other could free its arrays.
    """
    try:
        yield
    except Exception as error:
        spent = MEMORY_SPENT.get(type(error).__name__)
        if spent is None:
            raise
        traceback.clear_frames(error.__traceback__)
        if any(words in str(error) for words in spent):
            rule = "ran out of memory on the GPU"
            remedy = "End what else runs on it (nvidia-smi lists it)"
        else:
            rule = f"failed on the GPU ({' '.join(str(error).split())[:LONGEST]})"
            remedy = "See what simcore doctor and nvidia-smi say"
        remedy += ", then simcore resume the file."
        raise DeviceError("device", "cuda", rule, remedy) from error


# --- the choice ---------------------------------------------------------------------------------


def require_cuda(run: Run | None = None, otherwise: str = CPU_INSTEAD) -> None:
    """Raise DeviceError, with the remedy, unless a GPU of this machine can be used.

    The run is that which it is wanted for; None is a pair in a network of its own. The remedy ends
    with `otherwise`: what else could be done.
    """
    problem = obstacle(look(), run)
    if problem is not None:
        raise DeviceError("device", "cuda", problem.rule, f"{problem.remedy}, {otherwise}.")


def described(found: Findings) -> str:
    """Return the name of the GPU that is used, and the version of the driver."""
    driver = "" if found.driver is None else f", driver for CUDA {dotted(found.driver)}"
    return f"{found.gpus[0].name}{driver}" if found.gpus else ""


def used(run: Run) -> str:
    """Return the device of a run in words, for the provenance of its file."""
    if run.device == "cpu":
        return run.device
    found = look()
    text = f"{run.device}: {described(found)}, numba-cuda {found.numba_cuda}"
    return f"{text}, CuPy {found.cupy}" if run.multiplies else text


def check_kind(run: Run, device: str | None) -> None:
    """Raise DeviceError if a stored run is to be resumed on another kind of device than its own.

    Equal bytes on the CPU and on the GPU are the aim, but not yet shown on hardware. None and
    ``"auto"`` are the run's own.
    """
    if device not in (None, "auto", run.device):
        rule = f"is not the device of this run, {run.device}"
        raise DeviceError("device", device, rule, "Leave it out, or begin a new run.")


def visible_names(found: Findings) -> list[str]:
    """Return the name in CUDA_VISIBLE_DEVICES of each GPU that this process sees."""
    if found.visible:
        return [name.strip() for name in found.visible.split(",")][: len(found.gpus)]
    return [str(gpu.index) for gpu in found.gpus]


def local_gpus(processes: int, run: Run | None = None) -> list[str]:
    """Return the one GPU that each process of this machine is to see.

    DeviceError if no GPU can be used, InputError if there are fewer than processes.
    """
    require_cuda(run)
    names = visible_names(look())
    if processes > len(names):
        rule = f"asks for more processes than there are GPUs, {len(names)}"
        raise InputError("scheduler", f"local:{processes}", rule, f"Use local:{len(names)}.")
    return names[:processes]

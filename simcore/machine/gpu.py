"""What simulates a run, the CPU or a CUDA GPU: what there is, and what stands in the way.

Importing this module touches no device. `look` asks the machine, once for a process; everything
else here judges what it has found, so that tests can pretend any machine.
"""

from __future__ import annotations

import os
import re
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

__all__ = [
    "LEAST_CAPABILITY",
    "LEAST_FREE_BYTES",
    "VISIBLE",
    "Findings",
    "Gpu",
    "Obstacle",
    "automatic",
    "check_kind",
    "cupy_obstacle",
    "described",
    "dotted",
    "driver_obstacle",
    "extra",
    "gpu_obstacle",
    "local_gpus",
    "look",
    "memory_watched",
    "obstacle",
    "package_obstacle",
    "require_cuda",
    "used",
    "visible_names",
]

VISIBLE = "CUDA_VISIBLE_DEVICES"

LEAST_CAPABILITY = (7, 0)
"""Compute capability from which on there are independent threads, as the kernels need."""

TOOLKIT_CAPABILITY = {13: (7, 5)}
"""… where the libraries of a version of CUDA no longer compile for all of these."""

LEAST_FREE_BYTES = 512 * 2**20
"""Free memory of a GPU below which nothing is begun: the driver's own share, and some tasks."""

OUT_OF_MEMORY = {
    "CudaAPIError": ("CUDA_ERROR_OUT_OF_MEMORY",),
    "CUDAError": ("CUDA_ERROR_OUT_OF_MEMORY",),
    "OutOfMemoryError": ("Out of memory allocating",),
    "CUDADriverError": ("CUDA_ERROR_OUT_OF_MEMORY",),
    "CUDARuntimeError": ("cudaErrorMemoryAllocation",),
    "CUBLASError": ("CUBLAS_STATUS_ALLOC_FAILED",),
    "CUSOLVERError": ("CUSOLVER_STATUS_ALLOC_FAILED",),
}
"""Names of the errors of Numba and of CuPy that say so, and what they say then."""

LEAST_NUMBA_CUDA = (0, 30)
"""Version of numba-cuda from which on it has what is imported of it."""

LEAST_CUPY = 14
"""Major version of CuPy from which on it has the names of the array API standard."""

EXTRAS = {12: "cuda12", 13: "cuda13"}
"""The extra for each major version of CUDA."""

CPU_INSTEAD = "or use the device cpu"
STAYS = "or resume where there is a GPU, since a run stays on its kind of device"


class Obstacle(NamedTuple):
    """Why no GPU can be used, as the rest of a sentence; what to do, as one without its period."""

    rule: str
    remedy: str


@dataclass(frozen=True)
class Findings:
    """What a machine and an installation have for CUDA.

    Parameters
    ----------
    driver
        The newest CUDA that the driver runs, major and minor; None without a driver.
    failure
        Why the driver does not start; "" if it does.
    gpus
        The GPUs that this process sees; the first is the one that is used.
    visible
        CUDA_VISIBLE_DEVICES; None if it is not set.
    numba_cuda
        Version of numba-cuda; "" if it is not installed.
    bindings
        Major version of CUDA for which its bindings were made; None without them.
    toolkit
        Major version of the CUDA libraries that it finds; None if it finds none.
    cupy
        Version of CuPy; "" if it is not installed.
    cupy_cuda
        Major version of CUDA for which it was made; None if that is not known.
    solvers
        Whether there are cuBLAS and cuSOLVER, which CuPy loads.
    """

    driver: tuple[int, int] | None = None
    failure: str = ""
    gpus: tuple[Gpu, ...] = ()
    visible: str | None = None
    numba_cuda: str = ""
    bindings: int | None = None
    toolkit: int | None = None
    cupy: str = ""
    cupy_cuda: int | None = None
    solvers: bool = False


@cache
def look() -> Findings:
    """Ask the driver and the installed packages; the answer is kept for the process."""
    found = Findings(visible=os.environ.get(VISIBLE))
    try:
        driver = CudaDriver()
    except OSError:
        return _with_packages(found)
    try:
        found = replace(found, driver=driver.version())
        found = replace(found, gpus=driver.gpus())
    except (DriverError, AttributeError) as error:
        found = replace(found, driver=found.driver or (0, 0), failure=str(error))
    return _with_packages(found)


def _with_packages(found: Findings) -> Findings:
    bindings = _version("cuda-bindings")
    return replace(
        found,
        numba_cuda=_version("numba-cuda"),
        bindings=int(bindings.split(".")[0]) if bindings else None,
        toolkit=_toolkit(),
        **_cupy(),
    )


def _cupy() -> dict[str, Any]:
    """Return the findings about CuPy. One that was built from source has no CUDA in its name."""
    names: dict[str, int | None] = {f"cupy-cuda{major}x": major for major in EXTRAS} | {
        "cupy": None
    }
    for name, major in names.items():
        if version := _version(name):
            solvers = all(_library(library) for library in ("cublas", "cusolver"))
            return {"cupy": version, "cupy_cuda": major, "solvers": solvers}
    return {}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _toolkit() -> int | None:
    """Return the major version of the compiler library that numba-cuda would load."""
    match = re.search(r"\.so\.(\d+)", _library("nvrtc"))
    return int(match[1]) if match else None


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


def extra(found: Findings) -> str:
    """Return the name of the extra that fits the driver and the first GPU."""
    newest, oldest = max(EXTRAS), min(EXTRAS)
    major = newest if found.driver is None else min(max(found.driver[0], oldest), newest)
    if found.gpus and found.gpus[0].capability < TOOLKIT_CAPABILITY.get(major, LEAST_CAPABILITY):
        major = oldest
    return EXTRAS[major]


# --- what stands in the way ---------------------------------------------------------------------


def obstacle(found: Findings, run: Run | None = None) -> Obstacle | None:
    """Return what keeps the first GPU from being used; None if nothing does.

    `run` is what it is wanted for: matrix products need packages of their own.
    """
    needs_cupy = run is not None and run.multiplies
    return (
        driver_obstacle(found)
        or package_obstacle(found)
        or (cupy_obstacle(found) if needs_cupy else None)
        or gpu_obstacle(found)
    )


def driver_obstacle(found: Findings) -> Obstacle | None:
    """Return what is amiss with the driver, or that it has no GPU."""
    if found.driver is None:
        return Obstacle(
            "finds no NVIDIA driver on this machine",
            "Install one, until nvidia-smi shows a GPU",
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
            "See whether nvidia-smi shows one, and ask Slurm or Docker for it",
        )
    if found.driver[0] < min(EXTRAS):
        return Obstacle(
            f"needs a driver for CUDA {min(EXTRAS)}, and this one is for {dotted(found.driver)}",
            "Update the driver",
        )
    return None


def package_obstacle(found: Findings) -> Obstacle | None:
    """Return what is amiss with the packages for CUDA."""
    install = f"Run pip install 'simcore[{extra(found)}]'"
    if not found.numba_cuda or found.bindings is None:
        return Obstacle(f"needs the extra {extra(found)}, which is not installed", install)
    if tuple(map(int, re.findall(r"\d+", found.numba_cuda)[:2])) < LEAST_NUMBA_CUDA:
        least = dotted(LEAST_NUMBA_CUDA)
        return Obstacle(f"needs numba-cuda {least}, and {found.numba_cuda} is installed", install)
    if found.toolkit is None:
        return Obstacle(f"finds no CUDA libraries, which the extra {extra(found)} brings", install)
    if found.driver is not None:
        for what, major in (("bindings", found.bindings), ("libraries", found.toolkit)):
            if major > found.driver[0]:
                rule = f"finds {what} for CUDA {major} and a driver for {dotted(found.driver)}"
                return Obstacle(rule, f"{install}, or update the driver")
    if found.bindings != found.toolkit:
        rule = f"finds bindings for CUDA {found.bindings} and libraries for CUDA {found.toolkit}"
        return Obstacle(rule, install)
    return None


def cupy_obstacle(found: Findings) -> Obstacle | None:
    """Return what is amiss with CuPy, which batches and explicit weights need."""
    install = f"Run pip install 'simcore[{extra(found)}]'"
    if not found.cupy:
        return Obstacle("needs CuPy for several inputs or explicit weights", install)
    if int(found.cupy.split(".")[0]) < LEAST_CUPY:
        return Obstacle(f"needs CuPy {LEAST_CUPY}, and {found.cupy} is installed", install)
    if found.cupy_cuda not in (None, found.toolkit):
        rule = f"finds CuPy for CUDA {found.cupy_cuda} and libraries for CUDA {found.toolkit}"
        return Obstacle(
            rule, f"Run pip uninstall cupy-cuda{found.cupy_cuda}x, and then {install[4:]}"
        )
    if not found.solvers:
        rule = f"finds no cuBLAS or cuSOLVER, which the extra {extra(found)} brings"
        return Obstacle(rule, install)
    return None


def gpu_obstacle(found: Findings) -> Obstacle | None:
    """Return what is amiss with the first GPU."""
    gpu = found.gpus[0]
    if gpu.capability < LEAST_CAPABILITY:
        least, has = dotted(LEAST_CAPABILITY), dotted(gpu.capability)
        rule = f"needs compute capability {least}, and {gpu.name} has {has}"
        return Obstacle(rule, _another(found))
    if gpu.capability < TOOLKIT_CAPABILITY.get(found.toolkit or 0, LEAST_CAPABILITY):
        rule = f"finds libraries for CUDA {found.toolkit}, too new for {gpu.name}"
        return Obstacle(rule, f"Run pip install 'simcore[{extra(found)}]'")
    if gpu.free_bytes is not None and gpu.free_bytes < LEAST_FREE_BYTES:
        free, least = _mebibytes(gpu.free_bytes), _mebibytes(LEAST_FREE_BYTES)
        rule = f"needs {least} of free memory, and {gpu.name} has {free}"
        return Obstacle(rule, "End what else runs on it (nvidia-smi lists it)")
    return None


def _another(found: Findings) -> str:
    """Say how to take another GPU, if one is able enough."""
    names = visible_names(found)
    for gpu in found.gpus[1:]:
        if gpu.capability >= LEAST_CAPABILITY:
            return f"Set {VISIBLE}={names[gpu.index]} for {gpu.name}"
    return "Use another GPU"


def dotted(version: tuple[int, int]) -> str:
    """Return a version as it is written."""
    return f"{version[0]}.{version[1]}"


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"


@contextmanager
def memory_watched() -> Iterator[None]:
    """Turn a GPU's lack of memory, as Numba or CuPy tells it, into an error with a remedy.

    Their own errors can't be named here without importing them.

    Raises
    ------
    DeviceError
        In its place.
    """
    try:
        yield
    except Exception as error:
        if not any(told in str(error) for told in OUT_OF_MEMORY.get(type(error).__name__, ())):
            raise
        remedy = "End what else runs on it (nvidia-smi lists it); a file goes on by simcore resume."
        raise DeviceError("device", "cuda", "ran out of memory on the GPU", remedy) from error


# --- the choice ---------------------------------------------------------------------------------


def require_cuda(run: Run | None = None, otherwise: str = CPU_INSTEAD) -> None:
    """Raise DeviceError, with the remedy, unless a GPU of this machine can be used.

    Parameters
    ----------
    run
        What it is wanted for; None is a pair in a network of its own.
    otherwise
        What else could be done, the end of the remedy.
    """
    problem = obstacle(look(), run)
    if problem is not None:
        raise DeviceError("device", "cuda", problem.rule, f"{problem.remedy}, {otherwise}.")


def automatic(run: Run) -> tuple[Run, str]:
    """Return a run on the device that ``auto`` means here, and what the user should know of it.

    Parameters
    ----------
    run
        A run for the CPU.

    Returns
    -------
    Run, str
        On the GPU if this machine allows it. The text is "" where nothing is to be
        said: on a machine without a driver.
    """
    found = look()
    if found.driver is None:
        return run, ""
    problem = obstacle(found, run)
    if problem is not None:
        return run, f"device cpu, since cuda {problem.rule}. {problem.remedy}."
    return replace(run, device="cuda"), f"device cuda: {described(found)}"


def described(found: Findings) -> str:
    """Return the name of the GPU that is used, and the version of the driver."""
    driver = "" if found.driver is None else f", driver for CUDA {dotted(found.driver)}"
    return f"{found.gpus[0].name}{driver}" if found.gpus else ""


def used(run: Run) -> str:
    """Return what a run is simulated on here, in words, for the provenance of its file."""
    if run.device == "cpu":
        return run.device
    found = look()
    text = f"{run.device}: {described(found)}, numba-cuda {found.numba_cuda}"
    return f"{text}, CuPy {found.cupy}" if run.multiplies else text


def check_kind(run: Run, device: str | None) -> None:
    """Raise DeviceError if a stored run is asked to go on on another kind of device.

    Equal bytes on the CPU and on the GPU are the aim, but not yet shown on hardware.

    Parameters
    ----------
    run
        What the file holds.
    device
        What was asked for; None and ``"auto"`` are the run's own.
    """
    if device not in (None, "auto", run.device):
        rule = f"is not the device of this run, {run.device}"
        raise DeviceError("device", device, rule, "Leave it out, or begin a new run.")


def visible_names(found: Findings) -> list[str]:
    """Return what CUDA_VISIBLE_DEVICES calls each of the GPUs that this process sees."""
    if found.visible:
        return [name.strip() for name in found.visible.split(",")][: len(found.gpus)]
    return [str(gpu.index) for gpu in found.gpus]


def local_gpus(processes: int, run: Run | None = None) -> list[str]:
    """Return for each process of this machine the GPU that it is to see alone, for a run.

    Raises
    ------
    DeviceError
        If no GPU can be used.
    InputError
        If there are fewer than processes.
    """
    require_cuda(run)
    names = visible_names(look())
    if processes > len(names):
        rule = f"asks for more processes than there are GPUs, {len(names)}"
        raise InputError("scheduler", f"local:{processes}", rule, f"Use local:{len(names)}.")
    return names[:processes]

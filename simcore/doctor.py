"""Checks of `simcore doctor`: the CPU, Numba, its caches, CUDA, and a run of known answer."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from .execution import known_answer
from .execution.known_answer import KNOWN_ANSWER
from .machine import gpu as devices
from .machine.auto import FAST_FLOAT64, LEAST_UPDATES, NO_ANSWER, passed_by
from .machine.cgroups import cpu_limit
from .machine.cpus import default_threads
from .machine.cuda_driver import Gpu
from .machine.gpu import Findings, Obstacle
from .machine.provenance import version
from .numerics.compiling import CACHE_VARIABLE, FEATURES_VARIABLE, cache_folder, is_temporary

LONGEST = 300
"""Characters of an error's text that are shown."""

REPORT = "Report this, with the output of simcore doctor --json"


@dataclass(frozen=True)
class Check:
    """Result of one check: the part that was checked, its state, in words too, and the remedy.

    ``"absent"`` is not wrong; the remedy is "" if there is nothing to do.
    """

    name: str
    state: Literal["ok", "absent", "wrong"]
    found: str
    remedy: str = ""


def examine() -> list[Check]:
    """Make all checks."""
    return list(_checks())


def _checks() -> Iterator[Check]:
    yield _processor()
    yield _threads()
    yield _numba()
    yield _cache()
    answer, check = _known_answer()
    yield check
    found = devices.look()
    yield _driver(found)
    yield _gpu(found)
    yield _packages(found)
    yield _cupy(found)
    check = _known_answer_of_gpu(found, answer)
    yield check
    yield _auto(found, check)


# --- the CPU ------------------------------------------------------------------------------------


def _processor() -> Check:
    from llvmlite import binding

    try:
        features: Mapping[str, bool] = binding.get_host_cpu_features()
    except RuntimeError:
        return Check("CPU", "ok", "LLVM does not know its features")
    name = binding.get_host_cpu_name()
    if features.get("avx512f", False):
        return Check("CPU", "ok", f"{name}, AVX-512")
    if features.get("avx2", False) and features.get("fma", False):
        return Check("CPU", "ok", f"{name}, AVX2")
    if "avx2" in features:
        remedy = "Runs are slow here: use a processor of the last ten years for large ones."
        return Check("CPU", "absent", f"{name}, without AVX2 and fused multiply-add", remedy)
    return Check("CPU", "ok", name)


def _threads() -> Check:
    found = f"{default_threads()} of {os.cpu_count() or 1} processors"
    quota = cpu_limit()
    return Check("threads", "ok", found if quota is None else f"{found}, cgroup limit {quota:g}")


def _numba() -> Check:
    import numba

    from .numerics import kernels  # noqa: F401 - it chooses the vectors

    found = f"Numba {version('numba')}"
    config: Any = numba.config
    if config.DISABLE_JIT:
        remedy = "Unset NUMBA_DISABLE_JIT."
        return Check("Numba", "wrong", f"{found}, its compiler switched off", remedy)
    chosen = os.environ.get(FEATURES_VARIABLE)
    if chosen:
        return Check("Numba", "ok", f"{found}, features of {FEATURES_VARIABLE}: {chosen}")
    wide = "-prefer-256-bit" in (config.CPU_FEATURES or "")
    return Check("Numba", "ok", f"{found}, {'512-bit vectors' if wide else 'default vectors'}")


def _cache() -> Check:
    folder = cache_folder()
    if is_temporary():
        remedy = f"Set {CACHE_VARIABLE} to a folder that can be written, on a disk of this machine."
        return Check("cache", "wrong", f"{folder}, for this process only", remedy)
    return Check("cache", "ok", str(folder))


# --- CUDA ---------------------------------------------------------------------------------------


def _of(problem: Obstacle, name: str, *, wrong: object) -> Check:
    """Return the check of an obstacle; without packages for CUDA nothing about a GPU is wrong."""
    state: Literal["absent", "wrong"] = "wrong" if wrong else "absent"
    return Check(name, state, problem.rule, f"{problem.remedy}.")


def _driver(found: Findings) -> Check:
    if found.driver is None:
        remedy = "For a GPU, install NVIDIA's driver."
        return Check("driver", "absent", "no NVIDIA driver", remedy)
    problem = devices.driver_obstacle(replace(found, gpus=found.gpus or (NO_GPU,)))
    if problem is not None:
        return _of(problem, "driver", wrong=found.numba_cuda)
    return Check("driver", "ok", f"for CUDA {devices.dotted(found.driver)}")


UNCHECKED = ", its libraries not looked at without a driver"

NO_GPU = Gpu(0, "", devices.LEAST_CAPABILITY, 0)
"""Stands for a GPU where the driver alone is judged."""


def _gpu(found: Findings) -> Check:
    if not found.gpus:
        silent = found.driver is None or found.failure
        problem = None if silent else devices.driver_obstacle(found)
        return Check("GPU", "absent", "none", "" if problem is None else f"{problem.remedy}.")
    problem = devices.gpu_obstacle(found)
    if problem is not None:
        return _of(problem, "GPU", wrong=found.numba_cuda)
    return Check("GPU", "ok", "; ".join(_described(gpu) for gpu in found.gpus))


def _described(gpu: Gpu) -> str:
    total = f"{gpu.total_bytes / 2**30:.1f} GiB"
    memory = total if gpu.free_bytes is None else f"{gpu.free_bytes / 2**30:.1f} of {total} free"
    return f"{gpu.name}, compute capability {devices.dotted(gpu.capability)}, {memory}"


def _packages(found: Findings) -> Check:
    problem = devices.package_obstacle(found)
    if not found.numba_cuda:
        remedy = "" if problem is None or not found.gpus else f"{problem.remedy}."
        return Check("CUDA packages", "absent", "not installed", remedy)
    if found.driver is None:
        return Check("CUDA packages", "ok", f"numba-cuda {found.numba_cuda}{UNCHECKED}")
    if problem is not None:
        return _of(problem, "CUDA packages", wrong=True)
    told = f"numba-cuda {found.numba_cuda}, for CUDA {found.toolkit}"
    parts = (("NVVM", found.nvvm), ("nvJitLink", found.linker), ("NVRTC", found.nvrtc))
    versions = [f"{name} {devices.dotted(part)}" for name, part in parts if part is not None]
    return Check("CUDA packages", "ok", ", ".join([told, *versions]))


def _cupy(found: Findings) -> Check:
    if found.driver is None and found.cupy:
        return Check("CuPy", "ok", f"CuPy {found.cupy}{UNCHECKED}")
    problem = devices.cupy_obstacle(found)
    if problem is None:
        return Check("CuPy", "ok", f"CuPy {found.cupy}")
    if found.numba_cuda:
        return _of(problem, "CuPy", wrong=found.cupy)
    return Check("CuPy", "absent", "not installed" if not found.cupy else f"CuPy {found.cupy}")


# --- known answers ------------------------------------------------------------------------------


def _known_answer(found: Findings | None = None) -> tuple[str, Check]:
    """Simulate the known run on the CPU, or on the first GPU that was found."""
    name = f"known answer, {'cpu' if found is None else 'cuda'}"
    before = time.perf_counter()
    answer, failure = known_answer.tried(found)
    if failure:
        return "", Check(name, "wrong", failure[:LONGEST], f"{REPORT}.")
    took = f"{time.perf_counter() - before:.1f} s"
    if answer != KNOWN_ANSWER:
        told = f"{answer} instead of {KNOWN_ANSWER}"
        remedy = f"Empty the folder of the cache and try again. {REPORT}."
        return answer, Check(name, "wrong", told, remedy)
    return answer, Check(name, "ok", f"{answer} in {took}")


def _known_answer_of_gpu(found: Findings, on_cpu: str) -> Check:
    name = "known answer, cuda"
    if devices.obstacle(found) is not None:
        return Check(name, "absent", "not tried: no GPU can be used")
    answer, check = _known_answer(found)
    if check.state == "wrong":
        return replace(check, remedy=f"Use --device cpu. {REPORT}.")
    same = "the CPU's bytes" if answer == on_cpu else "but not the CPU's"
    return replace(check, found=f"{check.found}, {same}")


def _auto(found: Findings, known: Check) -> Check:
    """Say what `--device auto` takes, and why."""
    reason = passed_by(lambda: found) or (NO_ANSWER if known.state == "wrong" else "")
    if reason:
        return Check("device auto", "ok", f"the CPU: {reason}")
    slow = found.gpus[0].capability not in FAST_FLOAT64
    told = f"cuda, from {LEAST_UPDATES:.0e} node updates on{', not for rai and raai' * slow}"
    return Check("device auto", "ok", told)

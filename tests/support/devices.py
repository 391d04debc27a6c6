"""Pretended machines: what `simcore.machine.gpu.look` would find on them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from simcore.machine.cuda_driver import Gpu
from simcore.machine.gpu import Findings

__all__ = ["CASES", "H100", "READY"]

NUMBA_CUDA = "pip install 'numba-cuda[cu{}]>=0.30.4,<0.31' "
FOR_CUDA_12 = f"Run {NUMBA_CUDA.format(12)}'cupy-cuda12x[ctk]>=14.0'"
FOR_CUDA_13 = f"Run {NUMBA_CUDA.format(13)}'cuda-toolkit==13.0.*' 'cupy-cuda13x[ctk]>=14.0'"
OLDER_NVVM = "Run pip install 'nvidia-nvvm==13.0.*'"
LINKER = "Run pip install 'nvidia-nvjitlink==13.2.*', or"
NEWER_NVRTC = "Run pip install 'nvidia-cuda-nvrtc-cu12>=12.8,<13'"
START = ", or start the container with --gpus all"
ANEW_12 = FOR_CUDA_12.replace("Run", "In a new environment with simcore run")
ANEW_13 = FOR_CUDA_13.replace("Run", "In a new environment with simcore run")

H100 = Gpu(0, "NVIDIA H100", (9, 0), 80 * 2**30, 79 * 2**30)

READY = Findings(
    driver=(13, 1),
    gpus=(H100,),
    numba_cuda="0.30.4",
    bindings=13,
    toolkit=13,
    nvvm=(13, 0),
    linker=(13, 0),
    nvrtc=(13, 0),
    cupy="14.2.0",
    cupy_cuda=13,
    solvers=True,
)
"""A machine on which everything is right."""

PASCAL = replace(H100, name="Tesla P100", capability=(6, 0))
BLACKWELL = replace(H100, name="NVIDIA B200", capability=(10, 0))
FOR_12: dict[str, Any] = {"driver": (12, 9), "bindings": 12, "toolkit": 12}
VOLTA = replace(H100, name="Tesla V100", capability=(7, 0))

CASES = {
    "no driver": (
        Findings(),
        f"finds no NVIDIA driver on this machine. Install one, until nvidia-smi shows a GPU{START}",
    ),
    "dead driver": (
        replace(READY, gpus=(), failure="cuInit: CUDA_ERROR_UNKNOWN"),
        "finds a driver that does not start (cuInit: CUDA_ERROR_UNKNOWN). See what nvidia-smi",
    ),
    "no GPU": (
        replace(READY, gpus=()),
        f"finds a driver and no GPU. See whether nvidia-smi shows one, and ask Slurm for it{START}",
    ),
    "hidden": (
        replace(READY, gpus=(), visible="-1"),
        "finds no GPU, CUDA_VISIBLE_DEVICES being -1. Set it to the number of a GPU",
    ),
    "hidden by nothing": (
        replace(READY, gpus=(), visible=""),
        "finds no GPU, CUDA_VISIBLE_DEVICES being empty. Set it",
    ),
    "old driver": (
        replace(READY, driver=(11, 4)),
        "needs a driver for CUDA 12, and this one is for 11.4. Update the driver",
    ),
    "no packages": (
        replace(READY, numba_cuda="", bindings=None, toolkit=None),
        f"needs the packages for CUDA 13, which are not installed. {FOR_CUDA_13}",
    ),
    "no packages, older driver": (
        replace(READY, driver=(12, 4), numba_cuda="", bindings=None, toolkit=None),
        f"needs the packages for CUDA 12, which are not installed. {FOR_CUDA_12}",
    ),
    "no packages, newer driver": (
        replace(READY, driver=(14, 0), numba_cuda="", bindings=None, toolkit=None),
        f"needs the packages for CUDA 13, which are not installed. {FOR_CUDA_13}",
    ),
    "old numba-cuda": (
        replace(READY, numba_cuda="0.9.0"),
        f"needs numba-cuda 0.30.4, and 0.9.0 is installed. {FOR_CUDA_13}",
    ),
    "no libraries": (
        replace(READY, toolkit=None),
        "finds no libraries of CUDA 13. Run pip install",
    ),
    "other CUDA": (
        replace(READY, driver=(12, 8)),
        f"finds bindings for CUDA 13 and a driver for 12.8. {ANEW_12}, or",
    ),
    "other libraries": (
        replace(READY, driver=(12, 8), bindings=12),
        f"finds libraries for CUDA 13 and a driver for 12.8. {ANEW_12}",
    ),
    "mixed": (
        replace(READY, toolkit=12),
        f"finds bindings for CUDA 13 and libraries for CUDA 12. {ANEW_13}",
    ),
    "older linker": (
        replace(READY, nvvm=(13, 5), linker=(13, 0)),
        f"finds NVVM 13.5 and nvJitLink 13.0, which does not link its code. {OLDER_NVVM}, or",
    ),
    "no linker, older driver": (
        replace(READY, driver=(13, 0), nvvm=(13, 2), linker=None),
        f"finds NVVM 13.2, no nvJitLink, and a driver for 13.0, which links no such code. {LINKER}",
    ),
    "packages older than the GPU": (
        replace(READY, **FOR_12, nvvm=(12, 9), linker=(12, 9), nvrtc=(12, 6), gpus=(BLACKWELL,)),
        f"finds NVRTC 12.6, too old for NVIDIA B200. {NEWER_NVRTC}, or",
    ),
    "old GPU": (
        replace(READY, gpus=(PASCAL,)),
        "needs compute capability 7.0, and Tesla P100 has 6.0. Use another GPU",
    ),
    "old GPU first": (
        replace(READY, gpus=(PASCAL, replace(H100, index=1)), visible="3,GPU-7"),
        "needs compute capability 7.0, and Tesla P100 has 6.0. Set CUDA_VISIBLE_DEVICES=GPU-7 for",
    ),
    "GPU too old for the libraries": (
        replace(READY, gpus=(VOLTA,)),
        f"finds libraries for CUDA 13, too new for Tesla V100. {ANEW_12}",
    ),
    "busy": (
        replace(READY, gpus=(replace(H100, free_bytes=None, busy=True),)),
        "finds NVIDIA H100 busy: another process has it to itself. End that process",
    ),
    "no memory": (
        replace(READY, gpus=(replace(H100, free_bytes=100 * 2**20),)),
        "needs 512 MiB of free memory, and NVIDIA H100 has 100 MiB. End what else runs on it",
    ),
}
"""What a machine has, and how the error begins, rule and remedy."""

FOR_PRODUCTS = {
    "no CuPy": (
        replace(READY, cupy="", cupy_cuda=None, solvers=False),
        f"needs CuPy for several inputs or explicit weights. {FOR_CUDA_13}",
    ),
    "old CuPy": (
        replace(READY, cupy="13.4.0"),
        f"needs CuPy 14, and 13.4.0 is installed. {FOR_CUDA_13}",
    ),
    "CuPy for another CUDA": (
        replace(READY, cupy_cuda=12),
        "finds CuPy for CUDA 12 and libraries for CUDA 13. Run pip uninstall cupy-cuda12x, and",
    ),
    "no solvers": (
        replace(READY, solvers=False),
        "finds no cuBLAS or cuSOLVER of CUDA 13. Run pip install",
    ),
}
"""What only matrix products need."""

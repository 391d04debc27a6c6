"""Pretended machines: what `simcore.machine.gpu.look` would find on them."""

from __future__ import annotations

from dataclasses import replace

from simcore.machine.gpu import Findings, Gpu

__all__ = ["CASES", "H100", "READY"]

H100 = Gpu(0, "NVIDIA H100", (9, 0), 80 * 2**30, 79 * 2**30)

READY = Findings(
    driver=(13, 1),
    gpus=(H100,),
    numba_cuda="0.30.4",
    bindings=13,
    toolkit=13,
    cupy="14.2.0",
    cupy_cuda=13,
    solvers=True,
)
"""A machine on which everything is right."""

PASCAL = replace(H100, name="Tesla P100", capability=(6, 0))
VOLTA = replace(H100, name="Tesla V100", capability=(7, 0))

CASES = {
    "no driver": (
        Findings(),
        "finds no NVIDIA driver on this machine. Install one",
    ),
    "dead driver": (
        replace(READY, gpus=(), failure="cuInit: CUDA_ERROR_UNKNOWN"),
        "finds a driver that does not start (cuInit: CUDA_ERROR_UNKNOWN). See what nvidia-smi",
    ),
    "no GPU": (
        replace(READY, gpus=()),
        "finds a driver and no GPU. See whether nvidia-smi shows one",
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
    "no extra": (
        replace(READY, numba_cuda="", bindings=None, toolkit=None),
        "needs the extra cuda13, which is not installed. Run pip install 'simcore[cuda13]'",
    ),
    "no extra, older driver": (
        replace(READY, driver=(12, 4), numba_cuda="", bindings=None, toolkit=None),
        "needs the extra cuda12, which is not installed. Run pip install 'simcore[cuda12]'",
    ),
    "no extra, newer driver": (
        replace(READY, driver=(14, 0), numba_cuda="", bindings=None, toolkit=None),
        "needs the extra cuda13, which is not installed. Run pip install 'simcore[cuda13]'",
    ),
    "old numba-cuda": (
        replace(READY, numba_cuda="0.9.0"),
        "needs numba-cuda 0.30, and 0.9.0 is installed. Run pip install 'simcore[cuda13]'",
    ),
    "no libraries": (
        replace(READY, toolkit=None),
        "finds no CUDA libraries, which the extra cuda13 brings. Run pip install",
    ),
    "other CUDA": (
        replace(READY, driver=(12, 8)),
        "finds bindings for CUDA 13 and a driver for 12.8. Run pip install 'simcore[cuda12]', or",
    ),
    "other libraries": (
        replace(READY, driver=(12, 8), bindings=12),
        "finds libraries for CUDA 13 and a driver for 12.8. Run pip install 'simcore[cuda12]'",
    ),
    "mixed": (
        replace(READY, toolkit=12),
        "finds bindings for CUDA 13 and libraries for CUDA 12. Run pip install 'simcore[cuda13]'",
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
        "finds libraries for CUDA 13, too new for Tesla V100. Run pip install 'simcore[cuda12]'",
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
        "needs CuPy for several inputs or explicit weights. Run pip install 'simcore[cuda13]'",
    ),
    "old CuPy": (
        replace(READY, cupy="13.4.0"),
        "needs CuPy 14, and 13.4.0 is installed. Run pip install 'simcore[cuda13]'",
    ),
    "CuPy for another CUDA": (
        replace(READY, cupy_cuda=12),
        "finds CuPy for CUDA 12 and libraries for CUDA 13. Run pip uninstall cupy-cuda12x, and",
    ),
    "no solvers": (
        replace(READY, solvers=False),
        "finds no cuBLAS or cuSOLVER, which the extra cuda13 brings. Run pip install",
    ),
}
"""What only matrix products need."""

"""Compiles kernels to PTX and machine code without a GPU, and runs PTX on the CPU."""

from __future__ import annotations

import ctypes
import hashlib
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from simcore.numerics.compiling import cache_folder
from tests.emulator.ptx_translation import translate

__all__ = [
    "Program",
    "Resources",
    "assemble",
    "compile_ptx",
    "instructions",
    "numba_arguments",
    "programs",
    "tool",
]

OF_DRIVER = (9, 0)
"""Compute capability of the pretended driver's GPU."""

THREADS = Path(__file__).with_name("threads.h")

FLAGS = ("-std=c++17", "-O1", "-U_FORTIFY_SOURCE", "-ffp-contract=off", "-w", "-fPIC", "-shared")


def compile_ptx(
    kernel: Any, signature: Any, capability: tuple[Any, ...], *, fastmath: bool = False
) -> str:
    """Return the PTX that Numba makes of a kernel for a compute capability.

    Numba asks the device for its capability where a kernel calls functions of the CPU, even though
    it is told; so a device is pretended. What the pretended driver has compiled is not compiled
    again.
    """
    from numba import cuda
    from numba.cuda import dispatcher

    kept = kept_ptx(kernel, tuple(signature))
    if capability == OF_DRIVER and not fastmath and kept.exists():
        return kept.read_text()
    device = SimpleNamespace(compute_capability=capability)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dispatcher, "get_current_device", lambda: device)
        code, _ = cuda.compile(
            kernel.py_func,
            signature,
            device=False,
            abi="numba",
            output="ptx",
            cc=capability,
            fastmath=fastmath,
            launch_bounds=kernel.targetoptions.get("launch_bounds"),
        )
    return str(code)


def kept_ptx(kernel: Any, types: tuple[Any, ...]) -> Path:
    """Return where the pretended driver keeps the PTX of a kernel for types of its arguments."""
    versions = (metadata.version(name) for name in ("numba-cuda", "nvidia-nvvm"))
    named = (kernel.py_func.__module__, kernel.py_func.__name__, *map(str, types), *versions)
    return _store() / f"{hashlib.sha256(' '.join(named).encode()).hexdigest()}.ptx"


def _store() -> Path:
    """Return the folder of what is kept, among the compiled kernels."""
    folder = cache_folder() / "emulated"
    folder.mkdir(exist_ok=True)
    return folder


def instructions(ptx: str) -> str:
    """Return a kernel's body without names, its shared arrays numbered from 0."""
    body = re.sub(r"//.*", "", ptx[ptx.index("{") :])
    numbers = [int(number) for number in re.findall(r"smem_(\d+)", ptx)]
    first = min(numbers, default=0)
    body = re.sub(r"smem_(\d+)", lambda m: f"smem_{int(m[1]) - first}", body)
    return re.sub(r"_ZN\w+", "kernel", body)


def tool(name: str) -> str:
    """Return the path of a program of the CUDA toolkit: of the installed wheels, or the PATH's."""
    import nvidia.cu13

    for folder in nvidia.cu13.__path__:
        path = Path(folder) / "bin" / name
        if path.exists():
            return str(path)
    return shutil.which(name) or name


@dataclass(frozen=True)
class Resources:
    """What the assembler says that a kernel takes."""

    registers: int
    stack: int
    spills: int
    shared: int


def assemble(ptx: str, folder: Path) -> tuple[Resources, Path]:
    """Make machine code of PTX; return what it takes and the file."""
    source, target = folder / "kernel.ptx", folder / "kernel.cubin"
    source.write_text(ptx)
    architecture = re.findall(r"\.target (\w+)", ptx)[0]
    command = [tool("ptxas"), "-v", f"-arch={architecture}", str(source), "-o", str(target)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr

    def largest(pattern: str) -> int:
        return max((int(number) for number in re.findall(pattern, said)), default=0)

    resources = Resources(
        registers=largest(r"Used (\d+) registers"),
        stack=largest(r"(\d+) bytes stack frame"),
        spills=largest(r"(\d+) bytes spill"),
        shared=largest(r"(\d+) bytes smem"),
    )
    return resources, target


class Program:
    """PTX of one kernel, translated and compiled for this CPU: one of `programs`.

    Parameters
    ----------
    run
        The compiled function.
    parameters
        Names of the kernel's parameters.
    """

    def __init__(self, run: Any, parameters: Sequence[str]) -> None:
        self._run, self.parameters = run, parameters

    @classmethod
    def of(cls, ptx: str) -> Program:
        """Translate and compile one kernel alone, so that all tests of it share one library."""
        return programs({"kernel": ptx})["kernel"]

    def launch(self, grid: int, block: int, *arguments: Any, reverse: bool = False) -> None:
        """Run the kernel; arguments as Numba passes them."""
        slots, kept = numba_arguments(*arguments)
        assert len(slots) == len(self.parameters)
        self.launch_words(grid, block, slots, reverse=reverse)
        del kept

    def launch_words(
        self, grid: int, block: int, slots: Sequence[int], *, reverse: bool = False
    ) -> None:
        """Run the kernel; arguments as 64-bit words."""
        words = (ctypes.c_uint64 * len(slots))(*slots)
        divergent = self._run(grid, block, int(reverse), words)
        assert not divergent, "threads of a warp waited at different barriers"


def programs(ptx: Mapping[str, str]) -> dict[str, Program]:
    """Translate kernels and compile them for this CPU, all at once.

    Libraries are kept among the compiled kernels, by what they are compiled of: the PTX of a kernel
    is the same in all tests, also on the pretended driver.

    Parameters
    ----------
    ptx
        A module for each name.
    """
    translations = {name: translate(text) for name, text in ptx.items()}
    functions = [
        f"static void kernel_{name}(const uint64_t *parameters) {{\n{translation.source}\n}}\n"
        f'extern "C" int {name}(unsigned grid, unsigned block, int reverse, const uint64_t *p) {{\n'
        f"  return threads::launch(grid, block, reverse, kernel_{name}, p);\n}}\n"
        for name, translation in translations.items()
    ]
    compiled = ctypes.CDLL(str(_library(THREADS.read_text() + "".join(functions))))
    return {
        name: Program(getattr(compiled, name), translation.parameters)
        for name, translation in translations.items()
    }


def _library(source: str) -> Path:
    """Return the library of a source, compiled unless it has been before."""
    key = hashlib.sha256(" ".join([*FLAGS, source]).encode()).hexdigest()
    library = _store() / f"{key}.so"
    if not library.exists():
        with TemporaryDirectory(dir=library.parent) as folder:
            made = Path(folder) / "kernels.so"
            command = ["g++", *FLAGS, "-x", "c++", "-", "-o", str(made)]
            done = subprocess.run(
                command, input=source, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr[:2000]
            made.replace(library)  # at once: other processes may do the same
    return library


def numba_arguments(*arguments: Any) -> tuple[list[int], list[Any]]:
    """Return a kernel's parameters as words of 64 bits, and what must live until it ends.

    Numba passes an array as two empty words, its size, the size of an item, its address, its shape
    and its strides; a tuple as its items.
    """
    slots: list[int] = []
    for argument in arguments:
        if isinstance(argument, tuple):
            slots += numba_arguments(*argument)[0]
        elif isinstance(argument, np.ndarray):
            header = (0, 0, argument.size, argument.itemsize, argument.ctypes.data)
            slots += [*header, *argument.shape, *argument.strides]
        else:
            scalar = np.asarray(argument)
            slots.append(int.from_bytes(scalar.tobytes().ljust(8, b"\0"), "little"))
    return slots, list(arguments)

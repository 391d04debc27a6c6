"""A pretended CUDA driver under the real numba-cuda: launches run linked PTX on the CPU.

`build` compiles the library, and a child process with its folder first on LD_LIBRARY_PATH runs
``python -m tests.emulator.pretended_driver``: small runs on the CPU and on the pretended GPU, too
little memory, a failing launch, old drivers. It prints a JSON object.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

RESERVED = 600 << 20
"""Bytes that the pretended GPU keeps for itself."""

COUNTS = ("launches", "allocations", "copies", "bytes")

UNKNOWN = 999
"""Code of a launch that Python could not run."""


def build(folder: Path) -> None:
    """Compile libcuda.so.1 into a folder."""
    source = Path(__file__).with_name("pretended_driver.c")
    flags = ["-shared", "-fPIC", "-O1", "-w", "-o", str(folder / "libcuda.so.1")]
    subprocess.run(["cc", *flags, str(source), "-ldl", "-lpthread"], check=True)


def start() -> Callable[[], dict[str, int]]:
    """Let launches run the kernels' PTX; return a function that counts what the driver does."""
    from numba.cuda import codegen

    from tests.emulator.ptx_program import Program

    library = ctypes.CDLL("libcuda.so.1")
    texts: dict[str, str] = {}
    programs: dict[str, Program] = {}
    words_at = ctypes.POINTER(ctypes.c_void_p)
    callback = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.c_char_p, ctypes.c_uint, ctypes.c_uint, words_at
    )

    def launched(name: bytes, grid: int, block: int, given: Any) -> int:
        try:
            entry = name.decode()
            if entry not in programs:
                programs[entry] = Program.of(texts[entry], Path(tempfile.mkdtemp()))
            program = programs[entry]
            count = len(program.parameters)
            words = [ctypes.c_uint64.from_address(given[i]).value for i in range(count)]
            program.launch_words(grid, block, words)
        except Exception as error:  # noqa: BLE001 - none can pass through C
            sys.stderr.write(f"{name!r}: {error!r}\n")
            return UNKNOWN
        return 0

    kept = callback(launched)
    library.pretended_on_launch(kept)
    function_of = codegen.CUDACodeLibrary.get_cufunc

    def get_cufunc(self: Any) -> Any:
        texts[self._entry_name] = self.get_asm_str()
        return function_of(self)

    codegen.CUDACodeLibrary.get_cufunc = get_cufunc

    def counts() -> dict[str, int]:
        assert kept is not None  # lives as long as the library may call it
        found = (ctypes.c_long.in_dll(library, f"pretended_{name}") for name in COUNTS)
        return {name: number.value for name, number in zip(COUNTS, found, strict=True)}

    return counts


def main() -> None:
    """Run everything in this process, and print what was found."""
    from simcore.numerics.compiling import prefer_wide_vectors

    prefer_wide_vectors()
    counts = start()
    from simcore.doctor import digest
    from simcore.errors import DeviceError
    from simcore.machine.gpu import look, obstacle
    from simcore.runs.run import Run

    runs = {
        "correlated": Run(depth=4, width=(70,), trials=200, ensemble="correlated", k=(0.0, 1.0)),
        "gradients": Run(depth=3, width=(40,), trials=70, gradients=True),
        "raai": Run(depth=3, width=(40,), trials=70, ensemble="raai", k=(1.0,)),
    }
    found: dict[str, Any] = {}
    for name, run in runs.items():
        before = counts()
        found[name] = [digest(run), digest(replace(run, device="cuda"))]
        found[f"{name}, launches"] = counts()["launches"] - before["launches"]
    on_gpu = replace(runs["correlated"], device="cuda")

    def message(variable: str, value: object) -> str:
        os.environ[variable] = str(value)
        try:
            digest(on_gpu)
        except DeviceError as error:
            return str(error)
        finally:
            del os.environ[variable]
        return ""

    found["memory"] = message("PRETENDED_MEMORY", RESERVED + 1024)
    found["again"] = digest(on_gpu)
    found["failure"] = message("PRETENDED_FAILURE", 1)
    for version in (11080, 12040, 13000):
        os.environ["PRETENDED_VERSION"] = str(version)
        look.cache_clear()
        found[f"driver {version}"] = str(obstacle(look()))
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()

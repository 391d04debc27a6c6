"""A pretended CUDA driver under the real numba-cuda: launches run linked PTX on the CPU.

`build` compiles the library into a folder, with a `sitecustomize` that lets launches run. A process
with the variables of `environment`, and all that it starts, has a GPU. One of them runs
``python -m tests.emulator.pretended_driver``: small runs on the CPU and on the pretended GPU, a
choice of `auto`, too little memory, a failing launch, old drivers, packages that do not fit. It
prints a JSON object.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

RESERVED = 600 << 20
"""Bytes that the pretended GPU keeps for itself."""

COUNTS = ("launches", "allocations", "copies", "bytes", "elsewhere")

UNKNOWN = 999
"""Code of a launch that Python could not run."""

FOLDER = "PRETENDED_FOLDER"
"""Folder of the driver, and of what is kept of a GPU."""

KEPT: list[Any] = []
"""What the library calls on a launch: it must live as long."""

THREADS: set[threading.Thread] = set()
"""Threads that launched something."""

START = "from tests.emulator.pretended_driver import start\n\nstart()\n"


def build(folder: Path) -> Path:
    """Compile libcuda.so.1 into a folder, and return its path."""
    source, library = Path(__file__).with_name("pretended_driver.c"), folder / "libcuda.so.1"
    flags = ["-shared", "-fPIC", "-O1", "-w", "-o", str(library)]
    subprocess.run(["cc", *flags, str(source), "-ldl", "-lpthread"], check=True, timeout=60)
    return library


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of a process with the driver of a folder, in which launches run."""
    (folder / "sitecustomize.py").write_text(START)
    path = os.pathsep.join([str(folder), str(ROOT), os.environ.get("PYTHONPATH", "")])
    return os.environ | {"LD_LIBRARY_PATH": str(folder), FOLDER: str(folder), "PYTHONPATH": path}


def start() -> None:
    """Let launches run the kernels' PTX."""
    from simcore.numerics.compiling import prefer_wide_vectors

    prefer_wide_vectors()
    from numba.cuda import codegen
    from numba.cuda.dispatcher import CUDADispatcher

    from tests.emulator.ptx_program import Program, kept_ptx

    texts: dict[str, str] = {}
    programs: dict[str, Program] = {}
    words_at = ctypes.POINTER(ctypes.c_void_p)
    callback = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.c_char_p, ctypes.c_uint, ctypes.c_uint, words_at
    )

    one = threading.Lock()

    def launched(name: bytes, grid: int, block: int, given: Any) -> int:
        THREADS.add(threading.current_thread())
        with one:
            return run(name, grid, block, given)

    def run(name: bytes, grid: int, block: int, given: Any) -> int:
        try:
            entry = name.decode()
            if entry not in programs:
                programs[entry] = Program.of(texts[entry])
            program = programs[entry]
            count = len(program.parameters)
            words = [ctypes.c_uint64.from_address(given[i]).value for i in range(count)]
            program.launch_words(grid, block, words)
        except Exception as error:  # noqa: BLE001 - none can pass through C
            sys.stderr.write(f"{name!r}: {error!r}\n")
            return UNKNOWN
        return 0

    KEPT.append(callback(launched))
    library().pretended_on_launch(KEPT[0])
    function_of = codegen.CUDACodeLibrary.get_cufunc

    def get_cufunc(self: Any) -> Any:
        texts[self._entry_name] = self.get_asm_str()
        return function_of(self)

    codegen.CUDACodeLibrary.get_cufunc = get_cufunc
    compile_kernel = CUDADispatcher.compile

    def compiled(self: Any, types: tuple[Any, ...]) -> Any:
        kernel, kept = compile_kernel(self, types), kept_ptx(self, types)
        if not kept.exists():
            kept.write_text(kernel._codelibrary.get_asm_str())
        return kernel

    CUDADispatcher.compile = compiled


def library() -> ctypes.CDLL:
    """Return the driver of this process."""
    return ctypes.CDLL("libcuda.so.1")


def counts() -> dict[str, int]:
    """Return what the driver has done so far."""
    found = (ctypes.c_long.in_dll(library(), f"pretended_{name}") for name in COUNTS)
    return {name: number.value for name, number in zip(COUNTS, found, strict=True)}


def automatic() -> list[list[Any]]:
    """Let `auto` choose twice, and once with another driver; return what a run then has.

    Its device, how often the GPU was tried so far, and the digest of the run.
    """
    from unittest.mock import patch

    from simcore import api
    from simcore.execution import known_answer
    from simcore.machine import auto
    from simcore.machine.gpu import look

    found = []
    folder = Path(os.environ[FOLDER])
    spec = api.RunSpec(depth=4, width=(70,), trials=200, k=(0.0, 1.0), device="auto")
    digest = known_answer.digest
    with (
        patch.dict(os.environ),
        patch.object(auto, "PROVEN", ((9, 0),)),
        patch.object(auto, "LEAST_UPDATES", 2 * 4 * 70 * 200),
        patch.object(known_answer, "cache_folder", lambda: folder),
        patch.object(known_answer, "digest", wraps=digest) as tried,
    ):
        for version in (13000, 13000, 13010):
            os.environ["PRETENDED_VERSION"] = str(version)
            look.cache_clear()
            run = api.plan(spec).run
            found.append([run.device, tried.call_count, digest(run)])
    look.cache_clear()
    look()  # before memory is taken away
    return found


def two_threads(run: Any) -> list[Any]:
    """Let two threads launch a task each; return both digests of a run, and what is asked of them.

    That is how many threads launched, and what was in another stream than that of its thread.
    """
    from unittest.mock import patch

    from simcore.execution import engines
    from simcore.execution.known_answer import digest
    from tests.emulator.pretended_driver import THREADS  # of `start`; this module is `__main__`

    many = replace(run, trials=64 * 9)
    on_gpu = replace(many, device="cuda")
    before = counts()["elsewhere"]
    THREADS.clear()
    with patch.object(engines, "LAUNCH_SECONDS", 0.0):
        answers = [digest(many), digest(on_gpu)]
    return [answers, len(THREADS), counts()["elsewhere"] - before]


def main() -> None:
    """Run everything in this process, and print what was found."""
    from simcore.errors import DeviceError
    from simcore.execution.known_answer import digest
    from simcore.machine import gpu
    from simcore.machine.gpu import look, obstacle
    from simcore.runs.run import Run

    sys.path.append(str(ROOT / "bench"))
    gpu_work = importlib.import_module("gpu_work")
    runs = {
        "correlated": Run(depth=4, width=(70,), trials=200, ensemble="correlated", k=(0.0, 1.0)),
        "gradients": Run(depth=3, width=(40,), trials=70, gradients=True),
        "raai": Run(depth=3, width=(40,), trials=70, ensemble="raai", k=(1.0,)),
    }
    found: dict[str, Any] = {}
    for name, run in runs.items():
        before = counts()["launches"]
        with gpu_work.watched() as seen:
            found[name] = [digest(run), digest(replace(run, device="cuda"))]
        found[f"{name}, launches"] = [len(seen.events), counts()["launches"] - before]
    found["auto"] = automatic()
    found["two threads"] = two_threads(runs["correlated"])
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
    found["full"] = message("PRETENDED_FULL", 1)
    found["again"] = digest(on_gpu)
    found["failure"] = message("PRETENDED_FAILURE", 1)
    packages = {"nvidia-nvvm": "13.5.37", "nvidia-nvjitlink": "13.0.88"}
    version = gpu._version
    gpu._version = lambda package: packages.get(package) or version(package)
    look.cache_clear()
    found["packages"] = str(obstacle(look()))
    gpu._version = version
    for driver in (11080, 12040, 13000):
        os.environ["PRETENDED_VERSION"] = str(driver)
        look.cache_clear()
        found[f"driver {driver}"] = str(obstacle(look()))
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()

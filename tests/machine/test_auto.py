"""The device `auto`: every rule on pretended machines, and the known answer that is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import simcore
from simcore.errors import SimcoreWarning
from simcore.execution import known_answer
from simcore.execution.known_answer import KNOWN_ANSWER, has_known_answer
from simcore.machine import auto
from simcore.machine.auto import Choice, choose
from simcore.machine.gpu import Findings
from simcore.runs.run import Run
from tests.support.devices import CASES, FOR_PRODUCTS, H100, READY

Pretend = Callable[[Findings], None]

SIZE: dict[str, Any] = {"width": (1000,), "depth": 1000, "trials": 1000}
"""A billion node updates."""

LARGE = Run(**SIZE)


def with_capability(major: int, minor: int) -> Findings:
    return replace(READY, gpus=(replace(H100, capability=(major, minor)),))


def never(found: Findings) -> bool:
    raise AssertionError("the GPU was tried")


def chosen(found: Findings, run: Run, *, answers: bool = True) -> Choice:
    return choose(run, lambda: found, lambda _: answers)


# --- the rules ----------------------------------------------------------------------------------


def test_while_no_gpu_is_proven_none_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "PROVEN", ())

    def look() -> Findings:
        raise AssertionError("the driver was opened")

    assert choose(LARGE, look, never) == Choice("cpu", "no GPU is proven yet")


@pytest.fixture
def proven(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "PROVEN", ((8, 6), (9, 0), (10, 0)))


RAI, RAAI = Run(**SIZE, ensemble="rai"), Run(**SIZE, ensemble="raai", k=(1.0,))
BATCH = Run(**SIZE, pairs=2, shared_network=True)
SLOW = "needs a GPU with fast float64"

TABLE: dict[str, tuple[Findings, Run, str]] = {
    "a large run": (READY, LARGE, ""),
    "one trial less": (READY, replace(LARGE, trials=999), "the run has fewer than 1e+09"),
    "a large grid": (READY, replace(LARGE, width=(1, 999), trials=1000), ""),
    "another kind": (with_capability(8, 9), LARGE, "no GPU of compute capability 8.9 is proven"),
    "slow float64": (with_capability(8, 6), LARGE, ""),
    "rai, slow float64": (with_capability(8, 6), RAI, f"rai {SLOW}"),
    "raai, slow float64": (with_capability(8, 6), RAAI, f"raai {SLOW}"),
    "rai, fast float64": (READY, RAI, ""),
    "raai, fast float64": (with_capability(10, 0), RAAI, ""),
    "a batch": (READY, BATCH, ""),
    "pairs need no CuPy": (FOR_PRODUCTS["no CuPy"][0], LARGE, ""),
    "a batch without CuPy": (FOR_PRODUCTS["no CuPy"][0], BATCH, "cuda needs CuPy"),
    **{name: (found, LARGE, f"cuda {told[:20]}") for name, (found, told) in CASES.items()},
}


@pytest.mark.usefixtures("proven")
@pytest.mark.parametrize("case", TABLE)
def test_the_rules(case: str) -> None:
    found, run, reason = TABLE[case]
    if not reason:
        assert chosen(found, run) == Choice("cuda")
        assert chosen(found, run, answers=False) == Choice("cpu", auto.NO_ANSWER, fault=True)
        return
    choice = choose(run, lambda: found, never)
    assert choice.reason.startswith(reason)
    assert (choice.device, choice.fault) == ("cpu", False)


@pytest.mark.usefixtures("proven")
def test_a_small_run_opens_no_driver() -> None:
    def look() -> Findings:
        raise AssertionError("the driver was opened")

    assert choose(replace(LARGE, trials=10), look, never).device == "cpu"


# --- the known answer ---------------------------------------------------------------------------


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What the GPU will give, the next one last; when none is left, it must not be tried."""
    answers: list[str] = []

    def digest(run: Run) -> str:
        assert run.device == "cuda"
        return answers.pop()

    monkeypatch.setattr(known_answer, "digest", digest)
    monkeypatch.setattr(known_answer, "cache_folder", lambda: tmp_path)
    return answers


def test_the_known_answer_is_kept(tries: list[str], tmp_path: Path) -> None:
    tries += [KNOWN_ANSWER]
    assert has_known_answer(READY)
    assert has_known_answer(READY)
    (kept,) = tmp_path.iterdir()
    assert KNOWN_ANSWER in kept.read_text()
    # What changes from day to day does not count.
    gpu = replace(H100, index=0, free_bytes=2**30)
    assert has_known_answer(replace(READY, gpus=(gpu, H100), visible="0,1", solvers=None))


OTHERS: dict[str, dict[str, Any]] = {
    "driver": {"driver": (13, 2)},
    "GPU": {"gpus": (replace(H100, name="NVIDIA H200"),)},
    "capability": {"gpus": (replace(H100, capability=(10, 0)),)},
    "numba-cuda": {"numba_cuda": "0.30.5"},
    "toolkit": {"toolkit": 12},
    "NVVM": {"nvvm": (13, 1)},
    "CuPy": {"cupy": "14.3.0"},
}


@pytest.mark.parametrize("what", OTHERS)
def test_it_is_of_one_gpu_driver_and_set_of_packages(tries: list[str], what: str) -> None:
    other = replace(READY, **OTHERS[what])
    tries += ["", KNOWN_ANSWER]
    assert has_known_answer(READY)
    assert not has_known_answer(other)
    assert tries == []
    assert has_known_answer(READY)  # still


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"\xff\xfe", b"null", lambda text: text.replace(b"H100", b"H200")],
    ids=["empty", "cut", "no text", "null", "other"],
)
def test_a_damaged_file_says_nothing(tries: list[str], tmp_path: Path, damage: Any) -> None:
    tries += [KNOWN_ANSWER, "", KNOWN_ANSWER]
    assert has_known_answer(READY)
    (kept,) = tmp_path.iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(damage(whole) if callable(damage) else damage)
    assert not has_known_answer(READY)
    assert has_known_answer(READY)
    assert kept.read_bytes() == whole
    assert [path.name for path in tmp_path.iterdir()] == [kept.name]


def test_another_answer_is_not_kept_and_forgets_the_known_one(
    tries: list[str], tmp_path: Path
) -> None:
    tries += ["0" * 16, KNOWN_ANSWER]
    assert has_known_answer(READY)
    assert known_answer.tried(READY) == ("0" * 16, "")  # as `simcore doctor` does
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_can_not_be_written_costs_a_try_only(
    tries: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries += [KNOWN_ANSWER, KNOWN_ANSWER]
    monkeypatch.setattr(known_answer, "cache_folder", lambda: tmp_path / "gone")
    assert has_known_answer(READY)
    assert has_known_answer(READY)
    assert tries == []


# --- Python -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("proven")
def test_python_takes_the_cpu_and_warns_where_the_gpu_fails(
    tries: list[str], pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auto, "LEAST_UPDATES", 128)
    pretend(READY)
    tries += ["0" * 16]
    told = "^device auto is the CPU: the GPU did not give the known answer; simcore doctor says"
    with pytest.warns(SimcoreWarning, match=told) as warned:
        dataset = simcore.simulate(width=2, depth=1, trials=64)
    assert warned[0].filename == __file__
    assert dataset.attrs["trials"] == 64

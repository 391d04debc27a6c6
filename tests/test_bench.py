"""Steps of benchmarks that end in time: what is done, skipped or failed is in the file at once."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[1] / "bench"


class Clock:
    """Time that passes only by work."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def work(self, seconds: float, found: Any) -> Any:
        self.now += seconds
        return found


def fail() -> None:
    raise RuntimeError("[700] illegal address\nwas read")


def stop() -> None:
    raise KeyboardInterrupt


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def steps(clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCH))
    head = {"options": {"seconds": "10"}}
    return importlib.import_module("steps").Steps(tmp_path / "found.json", 10.0, head, clock)


def written(steps: Any) -> dict[str, Any]:
    assert [path.name for path in steps.path.parent.iterdir()] == ["found.json"]
    return dict(json.loads(steps.path.read_text()))


def test_each_step_is_in_the_file_at_once(
    steps: Any, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    assert written(steps)["options"] == {"seconds": "10"}
    assert steps.take("first", 6.0, lambda: clock.work(6.0, {"rate": 2.5})) == {"rate": 2.5}
    done = {"state": "done", "seconds": 6.0, "found": {"rate": 2.5}}
    assert written(steps)["steps"] == {"first": done}
    assert steps.take("too long", 5.0, fail) is None
    assert written(steps)["steps"]["too long"] == {
        "state": "skipped",
        "reason": "it needs some 5 s, and 4 s are left",
    }
    assert steps.take("short", 4.0, fail) is None
    failed = {"state": "failed", "reason": "RuntimeError: [700] illegal address was read"}
    assert written(steps)["steps"]["short"] == failed
    assert steps.done == {"first": {"rate": 2.5}}
    out = capsys.readouterr().out.splitlines()
    assert "too long: skipped: it needs some 5 s, and 4 s are left" in out
    assert "short: failed: RuntimeError: [700] illegal address was read" in out


def test_a_command_that_is_stopped_leaves_what_it_has(steps: Any, clock: Clock) -> None:
    steps.take("first", 1.0, lambda: clock.work(1.0, [1, 2]))
    with pytest.raises(KeyboardInterrupt):
        steps.take("second", 1.0, stop)
    states = {name: step["state"] for name, step in written(steps)["steps"].items()}
    assert states == {"first": "done", "second": "interrupted"}

"""Steps of a benchmark that ends within some seconds; what was found is saved after each."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness import write

LONGEST = 300
"""Characters of an error that are kept."""


class Steps:
    """Takes steps in turn; each that is done, fails or is skipped is noted, and the file written.

    Parameters
    ----------
    path
        The file.
    seconds
        Time for all steps. One that needs more than is left is skipped.
    head
        What the file says of them all.
    """

    def __init__(
        self,
        path: Path,
        seconds: float,
        head: Mapping[str, Any],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path, self.seconds, self.found = path, seconds, {**head, "steps": {}}
        self._clock, self._begin = clock, clock()
        self.save()

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.seconds - (self._clock() - self._begin)

    @property
    def done(self) -> dict[str, Any]:
        """What each step that is done has found."""
        steps = self.found["steps"]
        return {name: step["found"] for name, step in steps.items() if step["state"] == "done"}

    def save(self, **more: Any) -> None:
        """Write the file, with more in its head."""
        self.found |= more
        write(self.path, self.found)

    def take(self, name: str, seconds: float, work: Callable[[], Any]) -> Any:
        """Return what some work finds that takes so many seconds; None if it is not done."""
        left, before = self.left, self._clock()
        if left < seconds:
            text = f"it needs some {seconds:.0f} s, and {max(0.0, left):.0f} s are left"
            self.skip(name, text)
            return None
        print(f"--- {name}", flush=True)
        try:
            found = work()
        except Exception as error:  # noqa: BLE001 - whatever a driver or a compiler raises
            text = " ".join(f"{type(error).__name__}: {error}".split())[:LONGEST]
            self._note(name, "failed", reason=text)
            return None
        except KeyboardInterrupt:
            self._note(name, "interrupted", reason="the command was stopped")
            raise
        self._note(name, "done", seconds=round(self._clock() - before, 2), found=found)
        return found

    def skip(self, name: str, reason: str) -> None:
        """Note that a step is not taken."""
        self._note(name, "skipped", reason=reason)

    def _note(self, name: str, state: str, **more: Any) -> None:
        self.found["steps"][name] = {"state": state, **more}
        self.save()
        if "reason" in more:
            print(f"{name}: {state}: {more['reason']}", flush=True)

"""The tasks of a run, kept in memory."""

from __future__ import annotations

from typing import Any

from simcore.execution.progress import EventLog

__all__ = ["Events"]


class Events(EventLog):
    """What happens in a run, kept."""

    def __init__(self) -> None:
        super().__init__(None)
        self._events: list[dict[str, Any]] = []

    def __call__(self, event: str, **facts: object) -> None:
        self._events.append({"event": event, **facts})

    def tasks(self) -> list[dict[str, Any]]:
        return [event for event in self._events if event["event"] == "task"]

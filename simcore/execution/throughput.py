"""Work of each worker of a run, for the provenance of its file."""

from __future__ import annotations

MOST_WORKERS = 256
"""Workers that are named; those with the least work are taken together."""


class Throughput:
    """Tasks, node updates and busy seconds by worker."""

    def __init__(self) -> None:
        self._workers: dict[str, dict[str, float]] = {}

    def add(self, worker: str, seconds: float, node_updates: int) -> None:
        """Count a task."""
        self._add(self._workers, worker, 1, node_updates, seconds)

    @staticmethod
    def _add(
        workers: dict[str, dict[str, float]], name: str, tasks: float, updates: float, busy: float
    ) -> None:
        own = workers.setdefault(name, {"tasks": 0, "node_updates": 0, "seconds": 0.0})
        own["tasks"] += tasks
        own["node_updates"] += updates
        own["seconds"] = round(own["seconds"] + busy, 6)

    def by_worker(self) -> dict[str, dict[str, float]]:
        """Return tasks, node_updates and seconds (of work) by worker, the busiest first."""
        ranked = sorted(self._workers.items(), key=lambda item: -item[1]["node_updates"])
        found: dict[str, dict[str, float]] = {}
        for i, (worker, own) in enumerate(ranked):
            name = worker if i < MOST_WORKERS else "others"
            self._add(found, name, own["tasks"], own["node_updates"], own["seconds"])
        return found

"""Work of each worker of a run, for the provenance of its file."""

from __future__ import annotations

MOST_WORKERS = 256
"""Workers that are named; those with the least work are taken together."""


class Throughput:
    """Tasks, node updates and busy seconds by worker."""

    def __init__(self) -> None:
        self._workers: dict[str, dict[str, float]] = {}

    def add(self, worker: str, seconds: float, node_updates: int, tasks: float = 1) -> None:
        """Count a task."""
        own = self._workers.setdefault(worker, {"tasks": 0, "node_updates": 0, "seconds": 0.0})
        own["tasks"] += tasks
        own["node_updates"] += node_updates
        own["seconds"] = round(own["seconds"] + seconds, 6)

    def by_worker(self) -> dict[str, dict[str, float]]:
        """Return tasks, node_updates and seconds (of work) by worker, the busiest first."""
        found = Throughput()
        ranked = sorted(self._workers.items(), key=lambda item: -item[1]["node_updates"])
        for i, (worker, own) in enumerate(ranked):
            name = worker if i < MOST_WORKERS else "others"
            found.add(name, own["seconds"], int(own["node_updates"]), own["tasks"])
        return found._workers

"""Make docs/report.png: the top of the report on the main run, as a browser shows it.

    python docs/screenshot_report.py

It needs Chromium and what the tests need.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from simcore.execution.execute import execute
from simcore.report import report
from simcore.runs.run import Run

ROOT = Path(__file__).resolve().parents[1]
WIDTH, HEIGHT = 1280, 1960


def main() -> None:
    """Simulate the main run, report on it, and take the picture."""
    sys.path.insert(0, str(ROOT))
    from tests.report.browser import running

    with tempfile.TemporaryDirectory() as folder:
        run, page = Path(folder, "main.h5"), Path(folder, "main.html")
        execute(Run(depth=200, width=(4096,)), output=run)
        report([run], page)
        with running(Path(folder, "profile")) as browser:
            shown = browser.open(page, width=WIDTH, height=HEIGHT)
            shown.screenshot(ROOT / "docs" / "report.png", height=HEIGHT)


if __name__ == "__main__":
    main()

"""The worked examples of docs/examples.md run as written and leave what the page shows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_examples_run(tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(DOCS.parent / "data")
    command = [sys.executable, str(DOCS / "run_examples.py")]
    shown = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    pictures = re.findall(r"\]\((example-\w+\.png)\)", (DOCS / "examples.md").read_text("utf-8"))
    assert len(pictures) == 3
    for name in pictures:
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
        assert (DOCS / name).exists()
    assert "Fits of a + b/N + c/N² over N = 128, 256, 512, 1024" in shown.stdout
    assert (tmp_path / "widths.csv").read_text().startswith("width,")

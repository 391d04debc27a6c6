"""Run the Python blocks of examples.md, here: their pictures and files go into this folder."""

from __future__ import annotations

import re
from pathlib import Path

EXAMPLES = Path(__file__).with_name("examples.md")


def blocks() -> list[str]:
    """Return the blocks, in order."""
    page = EXAMPLES.read_text("utf-8")
    return re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


if __name__ == "__main__":
    import matplotlib as mpl

    mpl.use("agg")
    for block in blocks():
        exec(compile(block, str(EXAMPLES), "exec"), {})

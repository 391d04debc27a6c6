"""The files and headings that the pages name exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from simcore.machine.auto import PROVEN

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "data").glob("*.md"))
)
PATH = r"(?<![\w/.])((?:simcore|cli|tests|bench|docs|data)/[\w/-]+(?:\.\w+)+)"
FOLDER = r"`((?:simcore|cli|tests|bench|docs)/[\w/]*)`"


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_all_pages_are_found() -> None:
    assert {"README.md", "CONTRIBUTING.md", "docs/theory.md", "data/README.md"} <= set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    lost = []
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)]*))?\)", text):
        path = (ROOT / page).parent / target if target else ROOT / page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            lost.append(f"{target}#{anchor}")
    assert lost == []


@pytest.mark.parametrize("page", PAGES)
def test_named_files_exist(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    named = re.findall(PATH, text) + re.findall(FOLDER, text)
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    pages = [path.name for path in (ROOT / "docs").glob("*.md") if path.name != "README.md"]
    assert [name for name in pages if f"]({name})" not in index] == []


def test_pages_say_that_no_gpu_is_proven_as_long_as_none_is() -> None:
    """The Limits of the README for one: `simcore/machine/auto.py` and they change on one day."""
    not_yet = re.compile(r"not\W+yet\W+(?:run\W+)?on\W+hardware")
    pages = [page for page in PAGES if page != "CHANGELOG.md"]
    texts = {page: (ROOT / page).read_text("utf-8") for page in pages}
    said = {page for page, text in texts.items() if not_yet.search(text)}
    if PROVEN:
        assert said == set()
    else:
        assert said >= {"README.md", "CONTRIBUTING.md", "docs/devices.md", "docs/gpu.md"}
    assert ("**it is empty**" in texts["docs/devices.md"]) == (not PROVEN)

"""Every relative link of the README and of docs leads to a file, and to a heading of it."""

import re
from pathlib import Path

import pytest
from console import ROOT

LINK = re.compile(r"\]\((?!\w+:)([^)\s]*?)(?:#([^)\s]+))?\)")
CODE = re.compile(r"```.*?```", re.DOTALL)
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def links(path: Path) -> list[tuple[str, str]]:
    """File and heading of every relative link, either empty where there is none."""
    return LINK.findall(CODE.sub("", path.read_text(encoding="utf-8")))


def anchors(path: Path) -> set[str]:
    """What links call a document's headings."""
    headings = re.findall(r"^#+ (.*)$", CODE.sub("", path.read_text(encoding="utf-8")), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    for file, heading in links(document):
        target = document.parent / file if file else document
        assert target.exists(), file
        assert not heading or heading in anchors(target), (file, heading)


def test_the_course_has_links_and_headings_to_check() -> None:
    course = ROOT / "docs" / "course.md"
    assert len(links(course)) > 30
    assert "1-four-letters" in anchors(course)

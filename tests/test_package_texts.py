"""What is promised in the texts around the pack: versions, links, pictures and the oldest Python."""

import ast
import re
from pathlib import Path

import pytest
from pathspec import PathSpec
from PIL import Image

ROOT = Path(__file__).parents[1]
PROJECT = (ROOT / "pyproject.toml").read_text("utf-8")
LEFT_OUT = PathSpec.from_lines("gitignore", (ROOT / ".comfyignore").read_text("utf-8").splitlines())
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FOR_CLONES = ("docs/talker.md", "docs/training.md")  # may link to what only the repository has
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```|`[^`]*`", re.M | re.S)
ICON, BANNER = ROOT / "branding" / "icon.png", ROOT / "branding" / "banner.jpg"


def said(pattern: str, text: str) -> list[str]:
    return re.findall(pattern, text, re.M)


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = said(r"^#+ (.+)$", page.read_text("utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> list[tuple[Path, str]]:
    """Files of the repository that a page links to, and the headings in them."""
    found = (link.partition("#") for link in LINK.findall(CODE.sub("", page.read_text("utf-8"))))
    return [
        ((page.parent / file).resolve() if file else page, anchor)
        for file, _, anchor in found
        if "://" not in file
    ]


def test_the_newest_changes_are_those_of_the_version():
    versions = said(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"))
    assert versions[:1] == said(r'^version = "(.+)"$', PROJECT)


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_link_leads_somewhere(page):
    assert [link for link in links(page) if not link[0].is_file()] == []
    assert [(file, anchor) for file, anchor in links(page) if anchor and anchor not in anchors(file)] == []


@pytest.mark.parametrize("page", [p for p in PAGES if relative(p) not in FOR_CLONES], ids=relative)
def test_every_link_leads_into_the_package(page):
    assert not LEFT_OUT.match_file(relative(page))
    assert [relative(file) for file, _ in links(page) if LEFT_OUT.match_file(relative(file))] == []


def test_the_pictures_keep_the_rules_of_the_registry():
    assert Image.open(ICON).size == (400, 400)
    width, height = Image.open(BANNER).size
    assert 9 * width == 21 * height
    assert ICON.stat().st_size < 20_000 and BANNER.stat().st_size < 120_000


def test_the_registry_is_sent_to_pictures_that_exist():
    addresses = said(r'^(?:# )?(?:Icon|Banner) = "https://.+/main/(.+)"$', PROJECT)
    assert addresses == [relative(ICON), relative(BANNER)]


@pytest.mark.parametrize("folder", ["nodes", "vexpress"])
def test_the_oldest_python_that_is_promised_reads_the_code(folder):
    (minor,) = said(r'^requires-python = ">=3\.(\d+)"$', PROJECT)
    for path in (ROOT / folder).rglob("*.py"):
        ast.parse(path.read_text("utf-8"), str(path), feature_version=(3, int(minor)))

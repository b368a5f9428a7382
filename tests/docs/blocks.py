"""The fenced blocks of the documentation: what is to be run, and what says why it is not."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
# As docs/hooks/root_pages.py has them, which are pages of the site as well.
ROOT_PAGES = ("README.md", "SECURITY.md", "CONTRIBUTING.md", "docker/README.md", "spark/scala/README.md")
RUN = {"console", "json", "python", "yaml"}
SHOWN = {"", "text"}  # a picture, a listing
_BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>not run|run by): (?P<reason>[^>]+?) -->\n)?"
    r"^```(?P<language>[^\n]*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_SNIPPET = re.compile(r"--8<--\n(\S+)\n--8<--\n")


@dataclass(frozen=True)
class Block:
    """One fenced block, and the mark before it."""

    page: str
    line: int
    language: str
    text: str
    mark: str  # "not run", "run by", or nothing: it is run here
    reason: str

    @property
    def snippet(self) -> str | None:
        """The file that the block shows, if it shows one."""
        found = _SNIPPET.fullmatch(self.text)
        return found[1] if found else None


def pages() -> list[str]:
    """Every page by its place in the repository."""
    own = [path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")]
    return sorted([*own, *ROOT_PAGES])


def blocks(page: str) -> list[Block]:
    """The blocks of a page, first to last."""
    document = (ROOT / page).read_text(encoding="utf-8")
    return [
        Block(
            page,
            document.count("\n", 0, found.start("language")) + 1,
            found["language"],
            found["text"],
            found["mark"] or "",
            found["reason"] or "",
        )
        for found in _BLOCK.finditer(document)
    ]


def is_shown_only(block: Block) -> bool:
    """Whether it is no code: a picture, or what docs/design.md says to tests/test_rooms.py."""
    return block.language in SHOWN or block.language.startswith("rooms ")

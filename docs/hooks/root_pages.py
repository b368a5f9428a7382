"""Pages of the site that live elsewhere in the repository, and links between the two.

A page may name or link to any page by its place in the repository: `SECURITY.md`, `docs/calls.md`. On the
site that becomes a link to the page.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).parents[2]
PATH_TO_PAGE: Final = {
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "README.md": "index.md",
    "docker/README.md": "containers.md",
    "spark/scala/README.md": "spark-scala.md",
    "checkpoints/imdb-minilm/README.md": "embedded-model.md",
}
_PAGE_TO_PATH: Final = {page: path for path, page in PATH_TO_PAGE.items() if path != "README.md"}

# A fenced block stays as it is; outside, a link's target or a path in backticks that is no link's text.
_FENCE: Final = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"\]\((?P<path>[\w./-]+\.md)(?P<anchor>#[\w-]+)?\)")
_NAMED: Final = re.compile(r"(?<!\[)`(?P<path>[\w./-]+\.md)`(?!\])")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not under docs/."""
    for page, path in _PAGE_TO_PATH.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001  # MkDocs' signature
    """Point links at pages, wherever these live."""
    parts = _FENCE.split(markdown)
    parts[::2] = [_with_links(part, page.file.src_uri, files) for part in parts[::2]]
    return "".join(parts)


def _with_links(text: str, page: str, files: Files) -> str:
    here = posixpath.dirname(_PAGE_TO_PATH.get(page, f"docs/{page}"))

    def link(match: re.Match[str]) -> str:
        target = _page_of(posixpath.normpath(posixpath.join(here, match["path"])), files)
        found = posixpath.relpath(target, posixpath.dirname(page) or ".") if target else match["path"]
        return f"]({found}{match['anchor'] or ''})"

    def named(match: re.Match[str]) -> str:
        target = _page_of(match["path"], files)
        if target is None or target == page:
            return match[0]
        return f"[{match[0]}]({posixpath.relpath(target, posixpath.dirname(page) or '.')})"

    return _NAMED.sub(named, _LINK.sub(link, text))


def _page_of(path: str, files: Files) -> str | None:
    """The page made of a file of the repository."""
    page = PATH_TO_PAGE.get(path) or path.removeprefix("docs/")
    is_ours = path in PATH_TO_PAGE or path.startswith("docs/")
    return page if is_ours and files.get_file_from_path(page) else None

"""The site is whole: every public name, option and variable has its place, and no page needs another host."""

from __future__ import annotations

import dataclasses
import importlib
import re
import zlib
from html import unescape
from typing import TYPE_CHECKING

import pytest
from tests.client.commands.test_environment import COMMANDS, OTHERS, options
from tests.test_packaging import PACKAGES

if TYPE_CHECKING:
    from pathlib import Path

INVENTORY_HEAD = b"zlib.\n"
PATH_OF_COMMANDS = "reference/command-line/index.html"
# Elements that a browser fetches by itself.
FETCHED = re.compile(
    r"<(?:link|script|img|iframe|source|video|use|object)\b[^>]*\b(?:src|href|data)=[\"']?([^\"'\s>]+)"
)
FETCHED_BY_STYLE = re.compile(r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')\s]+)")
# A page of the site's own address, which is none: pages may stand anywhere.
ELSEWHERE = re.compile(r"(?:https?:)?//")


@pytest.fixture(scope="session")
def documented(site: Path) -> set[str]:
    """Every name with a heading of its own, as mkdocstrings lists them."""
    content = (site / "objects.inv").read_bytes()
    lines = zlib.decompress(content.partition(INVENTORY_HEAD)[2]).decode().splitlines()
    return {line.split()[0] for line in lines}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_has_a_heading(package: str, documented: set[str]) -> None:
    module = importlib.import_module(package)
    own = [
        name
        for name in getattr(module, "__all__", ())
        # bertriton.spark passes on two classes of PySpark's, which its own documentation has.
        if not getattr(getattr(module, name), "__module__", "").startswith("pyspark")
    ]

    assert [name for name in own if f"{package}.{name}" not in documented] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_field_of_a_public_class_says_what_it_is(package: str, documented: set[str]) -> None:
    """Only what has words of its own gets a heading."""
    module = importlib.import_module(package)
    fields = [
        f"{package}.{name}.{field.name}"
        for name in getattr(module, "__all__", ())
        if dataclasses.is_dataclass(getattr(module, name))
        for field in dataclasses.fields(getattr(module, name))
    ]

    assert [field for field in fields if field not in documented] == []


def test_every_option_is_documented_with_its_variable(site: Path) -> None:
    page = unescape((site / PATH_OF_COMMANDS).read_text(encoding="utf-8"))
    for name in COMMANDS:
        _, _, section = page.partition(f'<h2 id="{name}"')
        section = section.partition("<h2 ")[0]
        assert f"bertriton {name}" in section
        for option in options(name):
            assert option.help, f"{name} {option.opts}: no help text"
            for word in (*option.opts, *option.secondary_opts, str(option.envvar)):
                assert f">{word}</code>" in section, f"{name}: {word}"


def test_every_variable_is_documented(site: Path) -> None:
    page = (site / "reference/configuration/index.html").read_text(encoding="utf-8")
    variables = {str(option.envvar) for command in COMMANDS for option in options(command)}

    named = set(re.findall(r"<code>(BERTRITON_\w+)</code>", page))
    assert variables | {f"BERTRITON_{name}" for name in OTHERS} <= named


def test_no_page_asks_another_host_for_anything(site: Path) -> None:
    for file in site.rglob("*"):
        if file.suffix == ".html":
            text = file.read_text(encoding="utf-8")
            found = [url for url in FETCHED.findall(text) if ELSEWHERE.match(url)]
            assert found == [], file
        if file.suffix in {".html", ".css", ".svg"}:
            assert FETCHED_BY_STYLE.findall(file.read_text(encoding="utf-8")) == [], file


def test_every_picture_says_what_it_shows(site: Path) -> None:
    for file in site.rglob("*.html"):
        for picture in re.findall(r"<img\b[^>]*>", file.read_text(encoding="utf-8")):
            assert re.search(r'\balt="[^"]+"', picture), f"{file}: {picture}"

"""Every command and every piece of code on the site and in the README runs, or says why it does not."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click
import pytest
import yaml
from blocks import ROOT, RUN, Block, blocks, is_shown_only, pages
from shell import Shell, commands

if TYPE_CHECKING:
    from pathlib import Path

    from bertriton_server import LocalServer

DATA = ROOT / "tests" / "data"
# Pages with models beside the film reviews': those of tests/conftest.py, by their names there.
WITH_SEVERAL_MODELS = {
    "docs/calls.md",
    "docs/coming-from/infinity.md",
    "docs/coming-from/tei.md",
    "docs/how-to/multi-label.md",
    "docs/how-to/pairs.md",
}
REVIEWS = (
    'id,text,label\n1,"What a lovely film.",pos\n2,"Two hours of my life, gone.",neg\n3,"Simply great.",pos\n'
)
LINES = "What a lovely film.\nTwo hours of my life, gone.\n"
DOCUMENTS = "Berlin is in Germany.\nParis is the capital of France.\n"
PAIRS = 'text,hypothesis\n"A man plays the guitar.",Somebody makes music.\nIt rains.,The sun shines.\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the pages name: a checkpoint, an adapter and its base, files of texts."""
    for name, source in (
        ("checkpoint", "checkpoints/three-labels"),
        ("adapter", "adapters/bert-plain"),
        ("base", "architectures/bert-single"),
    ):
        shutil.copytree(DATA / source, tmp_path / "path" / "to" / name)
    for file, content in {
        "reviews.csv": REVIEWS,
        "texts.txt": LINES,
        "documents.txt": DOCUMENTS,
        "pairs.csv": PAIRS,
    }.items():
        (tmp_path / file).write_text(content, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def to_run(page: str) -> list[Block]:
    return [block for block in blocks(page) if not (block.mark or block.snippet or is_shown_only(block))]


@pytest.mark.parametrize("page", [page for page in pages() if to_run(page)])
def test_the_blocks_of_a_page_run(
    page: str, folder: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "golden_server" if page in WITH_SEVERAL_MODELS else "imdb_server"
    server: LocalServer = request.getfixturevalue(name)
    # A server that is running stands for the one that a page starts.
    monkeypatch.setattr("bertriton_server.LocalServer", lambda _: nullcontext(server))
    # Tiny random networks need not pass the gate of int8.
    settings = {"BERTRITON_URL": server.grpc_url, "BERTRITON_PRECISION": "fp32"}
    monkeypatch.setenv("BERTRITON_URL", server.grpc_url)
    shell = Shell(folder, server, settings)
    names: dict[str, Any] = {"__name__": "a page"}

    for block in to_run(page):
        _run(block, shell, names)


def _run(block: Block, shell: Shell, names: dict[str, Any]) -> None:
    match block.language:
        case "console":
            shell.run(block.text)
        case "python":
            code = block.text.replace("localhost:8001", shell.server.grpc_url)
            lines = "\n" * block.line  # so that a failure names the page's own line
            exec(compile(lines + code, block.page, "exec"), names)  # noqa: S102 (the page is ours)
        case "json":
            json.loads(block.text)
        case "yaml":
            assert yaml.safe_load(block.text)


@pytest.mark.needs("java")
def test_the_client_in_java_prints_labels(imdb_server: LocalServer, tmp_path: Path) -> None:
    (code,) = (block.text for block in blocks("docs/reference/http.md") if block.language == "java")
    found = re.search(r"public class (\w+)", code)
    assert found is not None
    file = tmp_path / f"{found[1]}.java"
    file.write_text(code.replace("http://localhost:8000", imdb_server.http_url), encoding="utf-8")

    done = subprocess.run(["java", file], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert ":pos" in done.stdout
    assert ":neg" in done.stdout


@pytest.mark.parametrize("page", pages())
def test_what_is_not_run_says_why_or_where_it_is(page: str) -> None:
    for block in blocks(page):
        where = f"{page}:{block.line}"
        if is_shown_only(block):
            continue
        if block.snippet:
            examples = (ROOT / "tests" / "client" / "test_examples.py").read_text(encoding="utf-8")
            name = block.snippet.removeprefix("examples/").removesuffix(".py")
            assert name in examples, f"{where}: no test runs {block.snippet}"
        elif block.mark == "run by":
            test = (ROOT / block.reason).read_text(encoding="utf-8")
            assert page.rpartition("/")[2] in test, f"{where}: {block.reason} does not read this page"
        elif not block.mark:
            marks = "<!-- not run: REASON --> or <!-- run by: tests/... --> before it"
            assert block.language in RUN, f"{where}: nothing here runs {block.language!r}: write {marks}"


def test_lines_below_a_command_are_what_it_prints(imdb_server: LocalServer, tmp_path: Path) -> None:
    shell = Shell(tmp_path, imdb_server, {"BERTRITON_URL": imdb_server.grpc_url})

    shell.run("$ echo took 3 s\ntook 17 s\n")
    with pytest.raises(AssertionError, match="prints no line 'took 3 h'"):
        shell.run("$ echo took 3 s\ntook 3 h\n")
    with pytest.raises(click.UsageError, match="--prot"):
        shell.run("$ bertriton serve --prot 1\n")


def test_commands_go_on_over_lines() -> None:
    assert commands("$ a \\\n    b\nc\n$ d '{\n1}'\n") == [("a     b", ["c"]), ("d '{1}'", [])]

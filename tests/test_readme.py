"""The README is true: its client answers, its figures are the benchmarks', its tables are the code's."""

from __future__ import annotations

import re
import shlex
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import bertriton
from bertriton_export.checkpoint import HEADS
from bertriton_export.checkpoint.architectures import ARCHITECTURES
from bertriton_export.reading.formats import READERS
from bertriton_export.reading.weight_formats import WEIGHT_FORMATS
from bertriton_export.support import support_page

if TYPE_CHECKING:
    import pytest

    from bertriton_server import LocalServer

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = ROOT / "docs"
MAX_LINES_TO_CODE = 20  # what is seen first


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def block(language: str, containing: str) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    (found,) = (text for text in blocks if containing in text)
    return str(found)


def test_client_in_five_lines_answers(imdb_server: LocalServer, capsys: pytest.CaptureFixture[str]) -> None:
    code = block("python", "Client").replace("localhost:8001", imdb_server.grpc_url)
    assert len(list(filter(str.strip, code.splitlines()))) <= 5

    exec(compile(code, "README.md", "exec"), {})  # noqa: S102 (the README is ours)

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["pos", "neg"]


def test_curl_command_gives_label_names(imdb_server: LocalServer) -> None:
    program, url, flag, body = shlex.split(block("console", "curl").removeprefix("$ "))
    assert (program, url, flag) == ("curl", "localhost:8000/v2/models/imdb/infer", "-d")

    url = url.replace("localhost:8000", imdb_server.http_url)
    with urllib.request.urlopen(url, body.encode()) as response:
        answer = response.read().decode()

    assert ":pos" in answer
    assert ":neg" in answer


def test_picture_commands_and_code_come_first() -> None:
    head = README.splitlines()[:MAX_LINES_TO_CODE]

    assert sum(line.startswith("```") for line in head) >= 4
    assert any(line.startswith("![") for line in head)


def test_figures_are_those_of_the_benchmarks() -> None:
    found = re.findall(r"^\| (MiniLM[:,] [^|]+?) \| ([\d.]+ \S+) \|", page("benchmarks.md"), re.MULTILINE)
    claims = dict(found)
    rows = re.findall(r"^(\| \*\*.*) \| ([^|]*) \|$", README, re.MULTILINE)
    assert len(rows) == 3

    for line, name in rows:
        measured = [figure for claim, figure in claims.items() if claim.startswith(name)]
        assert re.findall(r"\*\*(.*?)\*\*", line) == measured, f"docs/benchmarks.md, {name}: {measured}"


def test_figures_of_the_other_machines_are_those_of_their_pages() -> None:
    names = [name for _, name in re.findall(r"^(\| \*\*.*) \| ([^|]*) \|$", README, re.MULTILINE)]
    measured = []
    for machine in ("xeon-with-amx", "epyc-with-avx2"):
        there = page(f"benchmarks/{machine}.md")
        rows = [rf"^\| {re.escape(name)} \| (\S+ x) \|" for name in names[:2]]
        measured.append(tuple(figure for row in rows for figure in re.findall(row, there, re.MULTILINE)))

    assert re.findall(r"are ([\d.]+ x) and ([\d.]+ x); OpenVINO", README) == measured


def test_table_of_errors_is_true() -> None:
    rows = re.findall(r"^\| `(\w+Error)` \|.*\| (yes|no) \|$", page("reference/errors.md"), re.MULTILINE)
    public = [getattr(bertriton, name) for name in bertriton.__all__ if name.endswith("Error")]
    leaves = [error for error in public if sum(issubclass(other, error) for other in public) == 1]

    assert sorted(rows) == sorted((leaf.__name__, "yes" if leaf.retryable else "no") for leaf in leaves)


def test_tree_of_errors_is_true() -> None:
    tree = re.findall(r"^([│├└─ ]*)(\w+Error)\b", page("reference/errors.md"), re.MULTILINE)
    above: list[str] = []

    for lead, name in tree:
        del above[len(lead) // 4 :]
        if above:
            assert above[-1] in [base.__name__ for base in getattr(bertriton, name).__bases__]
        above.append(name)
    assert sorted(name for _, name in tree) == sorted(
        name for name in bertriton.__all__ if name.endswith("Error")
    )


def test_model_types_and_heads_are_those_of_the_code() -> None:
    model_types = [f"`{architecture.model_type}`" for architecture in ARCHITECTURES.values()]
    assert f"\n\n{', '.join(model_types)}.\n\n" in re.sub(r",\n", ", ", README)
    rows = ["| `problem_type` | `scores` | answer |", "|---|---|---|"]
    rows += [f"| `{name}` | {head.scores} | {head.answer} |" for name, head in HEADS.items()]
    assert "\n".join(rows) + "\n\n" in page("how-to/multi-label.md")


def test_the_page_of_what_can_be_exported_is_what_the_code_says() -> None:
    assert page("supported.md") == support_page(), "python -m bertriton_export.support writes it"


def test_every_weight_format_of_a_hugging_face_folder_is_described() -> None:
    for weight_format in WEIGHT_FORMATS:
        name = (
            "variables.*" if weight_format.file.endswith(".index") else weight_format.file.rpartition("/")[2]
        )
        assert f"`{name}`" in READERS[0].holds

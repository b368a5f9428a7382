"""The README's code runs and its table of errors is true."""

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

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def block(language: str, containing: str) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    (found,) = (text for text in blocks if containing in text)
    return str(found)


def test_client_in_five_lines_runs(imdb_server: LocalServer, capsys: pytest.CaptureFixture[str]) -> None:
    code = block("python", "Client").replace("localhost:8001", imdb_server.grpc_url)

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


def test_table_of_errors_is_true() -> None:
    rows = re.findall(r"^\| `(\w+Error)` \|.*\| (yes|no) \|$", README, re.MULTILINE)
    public = [getattr(bertriton, name) for name in bertriton.__all__ if name.endswith("Error")]
    leaves = [error for error in public if sum(issubclass(other, error) for other in public) == 1]

    assert sorted(rows) == sorted((leaf.__name__, "yes" if leaf.retryable else "no") for leaf in leaves)


def test_model_types_and_heads_are_those_of_the_code() -> None:
    model_types = [f"`{architecture.model_type}`" for architecture in ARCHITECTURES.values()]
    assert f"\n\n{', '.join(model_types)}.\n\n" in re.sub(r",\n", ", ", README)
    rows = ["| `problem_type` | `scores` | answer |", "|---|---|---|"]
    rows += [f"| `{name}` | {head.scores} | {head.answer} |" for name, head in HEADS.items()]
    assert "\n".join(rows) + "\n\n" in README


def test_fields_of_a_classification_are_all_described() -> None:
    described = set(re.findall(r"`(\w+)`", README))

    assert set(bertriton.Classification.__dataclass_fields__) <= described


def test_table_of_formats_is_that_of_the_readers() -> None:
    rows = [f"| {reader.format} | {reader.holds} |" for reader in READERS]

    assert "| format | what it is |\n|---|---|\n" + "\n".join(rows) + "\n\n" in README


def test_the_page_of_what_can_be_exported_is_what_the_code_says() -> None:
    page = Path(__file__).parent.parent / "docs" / "supported.md"

    assert page.read_text(encoding="utf-8") == support_page(), "python -m bertriton_export.support writes it"


def test_every_weight_format_of_a_hugging_face_folder_is_described() -> None:
    for weight_format in WEIGHT_FORMATS:
        name = (
            "variables.*" if weight_format.file.endswith(".index") else weight_format.file.rpartition("/")[2]
        )
        assert f"`{name}`" in READERS[0].holds

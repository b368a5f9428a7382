"""`bertriton bench` against a real server, with the real perf_analyzer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme
from click.testing import CliRunner

from bertriton_bench.command import bench_command
from bertriton_server import LocalServer, Security, ServerConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Review

Guarded = tuple[LocalServer, dict[str, str]]

PNG = b"\x89PNG"
# One slot and two, short texts alone: a few seconds.
BRIEF = ("--seconds", "0.2", "--concurrency", "1", "--concurrency", "2", "--set", "short")


def test_one_run_gives_table_json_markdown_and_plots(imdb_server: LocalServer, tmp_path: Path) -> None:
    json_file, markdown_file = tmp_path / "report.json", tmp_path / "report.md"
    files = ("--json", str(json_file), "--markdown", str(markdown_file))

    result = CliRunner().invoke(bench_command, ["--url", imdb_server.grpc_url, *BRIEF, *files])

    assert result.exit_code == 0, result.output
    report = json.loads(json_file.read_text())
    assert (report["model"], report["server"].split()[0], report["max_length"]) == ("imdb", "triton", 512)
    assert [1, 2] == [each["concurrency"] for each in report["measurements"]]
    for each in report["measurements"]:
        assert each["texts_per_s"] > 0
        assert each["tokens_per_s"] > each["texts_per_s"]
        assert each["p50_ms"] <= each["p95_ms"] <= each["p99_ms"]
        assert ["imdb_tokenizer", "imdb_bert"] == [step["model"] for step in each["steps"]]
        assert 0 < each["tokenizer_share"] < 1
    assert "| short | 2 |" in markdown_file.read_text()
    for kind in ("throughput", "latency"):
        assert f"(report-{kind}.png)" in markdown_file.read_text()
        assert (tmp_path / f"report-{kind}.png").read_bytes().startswith(PNG)
    assert "share" in result.stdout


def test_own_texts_are_what_is_sent(imdb_server: LocalServer, reviews: list[Review], tmp_path: Path) -> None:
    texts, json_file = tmp_path / "texts.txt", tmp_path / "report.json"
    texts.write_text("".join(f"{' '.join(review.text.split()[:2])}\n" for review in reviews[:3]))
    arguments = ["--url", imdb_server.grpc_url, *BRIEF, "--texts", str(texts), "--json", str(json_file)]

    result = CliRunner().invoke(bench_command, arguments)

    assert result.exit_code == 0, result.output
    (text_set,) = json.loads(json_file.read_text())["sets"]
    assert text_set["texts"] == 3
    assert text_set["max_tokens"] < 12


@pytest.fixture(scope="module")
def guarded(imdb_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """A real Triton that asks for TLS, a certificate and a key, and how to be let in."""
    folder, authority = tmp_path_factory.mktemp("guarded"), trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    for name in ("127.0.0.1", "somebody"):
        issued = authority.issue_cert(name)
        issued.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
        issued.private_key_pem.write_to_path(folder / f"{name}.key")
    ca, cert, key = folder / "ca.pem", folder / "127.0.0.1.pem", folder / "127.0.0.1.key"
    security = Security(tls_cert=cert, tls_key=key, tls_client_ca=ca, api_key="correcthorse7")
    with LocalServer(ServerConfig(imdb_repository, stop_grace_s=0, security=security)) as server:
        client = {"--tls-ca": ca, "--tls-cert": folder / "somebody.pem", "--tls-key": folder / "somebody.key"}
        yield server, {name: str(file) for name, file in client.items()} | {"--api-key": "correcthorse7"}


def test_a_guarded_server_is_measured(
    guarded: Guarded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, options = guarded
    # perf_analyzer works in another folder than the one that the paths are given from.
    monkeypatch.chdir(Path(options["--tls-ca"]).parent)
    options = {name: Path(value).name for name, value in options.items()}
    more = ("--token", "of a proxy", "--header", "x-team=search", "--json", str(tmp_path / "report.json"))
    words = [word for pair in options.items() for word in pair]

    result = CliRunner().invoke(bench_command, ["--url", server.grpc_url, *BRIEF, *words, *more])

    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "report.json").read_text())
    assert [1, 2] == [each["concurrency"] for each in report["measurements"]]


@pytest.mark.parametrize("missing", ["--tls-ca", "--api-key", "--tls-key"])
def test_a_guarded_server_says_what_is_missing(guarded: Guarded, missing: str) -> None:
    server, options = guarded
    words = [word for name, value in options.items() if name != missing for word in (name, value)]

    result = CliRunner().invoke(bench_command, ["--url", server.grpc_url, *BRIEF, *words])

    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--url", "127.0.0.1:1"), "cannot measure 127.0.0.1:1: cannot reach Triton"),
        (("--model", "nobody"), "unknown model: 'nobody'"),
        (("--texts", "nowhere.txt"), "cannot read nowhere.txt"),
        (("--json", "no/such/folder.json"), "cannot write no/such/folder.json: there is no folder"),
        (("--markdown", "no/such/folder.md"), "cannot write no/such/folder.md: there is no folder"),
        (("--texts", "in.txt", "--json", "in.txt"), "in.txt is the input itself, which would be lost"),
        (("--texts", "in.txt", "--markdown", "./in.txt"), "in.txt is the input itself, which would be lost"),
        (("--json", "x.md", "--markdown", "x.md"), "two outputs are to be x.md, and one would be lost"),
        (("--json", "x-latency.png", "--markdown", "x.md"), "two outputs are to be x-latency.png"),
    ],
)
def test_failure_is_one_line_and_exit_code_1(
    imdb_server: LocalServer, arguments: tuple[str, ...], told: str
) -> None:
    result = CliRunner().invoke(bench_command, ["--url", imdb_server.grpc_url, *BRIEF, *arguments])

    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert told in line

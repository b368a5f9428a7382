"""The command line as a filter: lines flow through it, and what is wrong with its ends is one line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from bertriton import Classification, contract
from bertriton._commands.answers import answer_line
from bertriton_export import export
from bertriton_server import LocalServer, ServerConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = [sys.executable, "-m", "bertriton"]
ARCHITECTURES = Path(__file__).parents[2] / "data" / "architectures"
# The command takes some 20 ms of its own; two busy cores need more room.
LATENCY_S = 0.25
PATIENCE_S = 60.0
TRIES = 3


@pytest.fixture(scope="module")
def heads_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """A server with a multi-label model and a regression model."""
    repository = tmp_path_factory.mktemp("heads")
    for name in ("bert-multi", "bert-regression"):
        export(ARCHITECTURES / name, name=name, repository=repository, precision="fp32")
    with LocalServer(ServerConfig(repository, stop_grace_s=0)) as server:
        yield server


def _shell(command: str, url: str = "127.0.0.1:1") -> subprocess.CompletedProcess[bytes]:
    words = command.replace("bertriton", " ".join(COMMAND))
    environment = os.environ | {"BERTRITON_URL": url}
    return subprocess.run(["bash", "-c", words], capture_output=True, check=False, env=environment)


def _latencies_s(url: str, gap_s: float = 1) -> list[float]:
    """From each line that is written to the line that comes back."""
    found = []
    with subprocess.Popen(
        [*COMMAND, "classify", "--url", url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for text in (b"a\n", b"b\n", b"c\n"):
            time.sleep(gap_s)
            begun = time.monotonic()
            process.stdin.write(text)
            assert process.stdout.readline().strip().endswith(text.strip())
            found.append(time.monotonic() - begun)
        process.stdin.close()
        assert process.wait(PATIENCE_S) == 0
    return found[1:]  # the first is the command's start, too


def test_a_line_is_answered_before_the_next_comes(imdb_server: LocalServer) -> None:
    assert len(_latencies_s(imdb_server.grpc_url, gap_s=0)) == 2


@pytest.mark.timed
def test_a_line_a_second_is_answered_at_once(imdb_server: LocalServer) -> None:
    assert min(max(_latencies_s(imdb_server.grpc_url)) for _ in range(TRIES)) < LATENCY_S


def test_the_last_line_needs_no_end(imdb_server: LocalServer) -> None:
    done = _shell(r"printf 'good\r\nbad' | bertriton classify --json", imdb_server.grpc_url)

    assert [json.loads(line)["text"] for line in done.stdout.splitlines()] == ["good", "bad"]


@pytest.mark.parametrize(
    "command",
    [
        "bertriton classify good > /dev/full",
        "yes good | head -1000 | bertriton classify > /dev/full",
        "bertriton classify --json good > /dev/full",
        "bertriton models > /dev/full",
        "bertriton models --json > /dev/full",
        "bertriton --help > /dev/full",
        "bertriton completion bash > /dev/full",
    ],
)
def test_an_output_that_is_full_is_one_line(imdb_server: LocalServer, command: str) -> None:
    done = _shell(command, imdb_server.grpc_url)

    assert (done.returncode, done.stderr) == (1, b"Error: No space left on device\n")


def test_a_full_device_is_no_output_file(imdb_server: LocalServer, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("text\ngood\n")

    done = _shell(f"bertriton classify --input {tmp_path}/in.csv --output /dev/full", imdb_server.grpc_url)

    assert done.returncode == 1
    assert done.stderr.startswith(b"Error: /dev/full: expected one of .csv")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("yes good | bertriton classify --json | head -1", 0),
        ("bertriton models --json | true", 0),
        ("bertriton classify good >&-", 2),
        ("bertriton models >&-", 2),
        ("bertriton health >&-", 0),
        ("bertriton rerank good bad >&-", 2),
        ("bertriton completion bash >&-", 2),
        ("bertriton doctor >&-", 2),
        ("bertriton classify <&-", 2),
    ],
)
def test_ends_that_are_closed_are_no_traceback(imdb_server: LocalServer, command: str, status: int) -> None:
    done = _shell(command, imdb_server.grpc_url)

    assert done.returncode == status
    assert b"Traceback" not in done.stderr
    assert done.stderr == b"" or b"put is closed" in done.stderr


def test_the_mark_before_utf8_is_no_part_of_the_first_line(imdb_server: LocalServer) -> None:
    command = r"printf '\xef\xbb\xbfgood\n\xef\xbb\xbfbad\n' | bertriton classify --json"

    done = _shell(command, imdb_server.grpc_url)

    assert [json.loads(line)["text"] for line in done.stdout.splitlines()] == ["good", "\ufeffbad"]


@pytest.mark.parametrize("encoding", ["UTF-16", "UTF-32"])
def test_lines_of_other_unicode_are_read_by_their_mark(imdb_server: LocalServer, encoding: str) -> None:
    command = rf"printf 'sch\xc3\xb6n\nzwei\n' | iconv --to {encoding} | bertriton classify --json"

    done = _shell(command, imdb_server.grpc_url)

    assert [json.loads(line)["text"] for line in done.stdout.splitlines()] == ["sch\u00f6n", "zwei"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("iconv --to UTF-16LE", b"standard input looks like UTF-16 without a byte-order mark"),
        (r"tr '\n' '\r'", b"standard input: line 1: a carriage return without a line feed"),
        (
            r"(printf 'fine\r\n'; tr '\n' '\r')",
            b"standard input: line 2: a carriage return without a line feed",
        ),
        ("gzip", b"standard input is compressed (gzip): unpack it first"),
        (r"(printf '\xff\xfe'; iconv --to UTF-16LE | head -c 9)", b"standard input is cut off or no utf-16"),
    ],
)
def test_lines_that_cannot_be_read_are_refused_as_of_files(change: str, expected: bytes) -> None:
    """No answer is for a text that nobody wrote; there were three for two lines of UTF-16."""
    done = _shell(rf"printf 'good\nbad\n' | {change} | bertriton rerank --model any query")

    assert done.returncode == 1
    assert done.stderr.startswith(b"Error: " + expected)


def test_an_interruption_while_a_line_is_awaited_is_quiet(imdb_server: LocalServer) -> None:
    command = [*COMMAND, "classify", "--url", imdb_server.grpc_url]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"good\n")
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 130
        assert process.stderr is not None
        assert process.stderr.read().strip() == b""


UNEXPECTED = """
import sys
from bertriton import cli
from bertriton._commands import completion
def broken(shell):
    raise KeyError("a\\nb")
completion.completion_command.callback = broken
sys.argv = ["bertriton", "completion", "bash"]
cli.run()
"""


@pytest.mark.parametrize(
    ("debug", "shown"), [("", False), ("0", False), ("off", False), ("1", True), ("TRUE", True)]
)
def test_what_nobody_expected_is_one_line_that_says_how_to_see_more(debug: str, shown: bool) -> None:  # noqa: FBT001
    environment = os.environ | {"BERTRITON_DEBUG": debug}

    done = subprocess.run(
        [sys.executable, "-c", UNEXPECTED], capture_output=True, text=True, check=False, env=environment
    )

    assert done.returncode == 1
    if shown:
        assert "Traceback" in done.stderr
    else:
        assert done.stderr.startswith("Error: unexpected KeyError: ")
        assert "BERTRITON_DEBUG=1" in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252"])
def test_an_output_without_the_letters_is_named_as_such(encoding: str) -> None:
    shows_text = UNEXPECTED.replace('raise KeyError("a\\nb")', 'print("\u4f60")')
    environment = os.environ | {"PYTHONIOENCODING": encoding}

    done = subprocess.run(
        [sys.executable, "-c", shows_text], capture_output=True, check=False, env=environment
    )

    assert done.returncode == 1
    assert done.stderr.startswith(b"Error: standard output is in ")
    assert b"which has no '\\u4f60': set PYTHONIOENCODING=utf-8" in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_all_labels_that_count_are_shown(heads_server: LocalServer) -> None:
    words = "--model bert-multi 'a good film'"
    plain = _shell(f"bertriton classify {words}", heads_server.grpc_url).stdout.decode()
    answer = json.loads(_shell(f"bertriton classify --json {words}", heads_server.grpc_url).stdout)

    said = ", ".join(f"{name} {answer['scores'][name]:.4f}" for name in answer["labels"]) or "(none)"
    assert plain == f"{said}  a good film\n"


def test_the_value_of_a_regression_is_shown(heads_server: LocalServer) -> None:
    words = "--model bert-regression 'a good film'"
    plain = _shell(f"bertriton classify {words}", heads_server.grpc_url).stdout.decode()
    answer = json.loads(_shell(f"bertriton classify --json {words}", heads_server.grpc_url).stdout)

    assert plain == f"{answer['value']:.4f}  a good film\n"


@pytest.mark.parametrize("output", ["out.jsonl", "out.csv", "out.parquet"])
@pytest.mark.parametrize(("model", "column"), [("bert-multi", "labels"), ("bert-regression", "value")])
def test_files_get_the_labels_and_values_that_the_model_has(
    heads_server: LocalServer, tmp_path: Path, model: str, column: str, output: str
) -> None:
    (tmp_path / "in.txt").write_text("a good film\nawful\n")
    source, target = tmp_path / "in.txt", tmp_path / output
    url, command = heads_server.grpc_url, f"bertriton classify --model {model}"
    done = _shell(f"{command} --input {source} --output {target}", url)
    told = _shell(f"{command} --json 'a good film' awful", url)
    expected = [json.loads(line)[column] for line in told.stdout.splitlines()]
    again = tmp_path / "again.jsonl"
    _shell(f"{command} --prefix b_ --input {target} --output {again}", url)

    assert done.returncode == 0
    found = [json.loads(line)[f"predicted_{column}"] for line in again.read_text().splitlines()]
    if column == "value":
        assert [float(value) for value in found] == pytest.approx(expected)
    elif output == "out.csv":
        assert [value.split("|") if value else [] for value in found] == expected
    else:
        assert found == expected


def _answer(**changes: object) -> Classification:
    scores = {"a": 0.9, "b": 0.8, "c": 0.1}
    answer = Classification("a", 0.9, scores, (2.0, 1.0, -1.0), token_count=3, truncated=False)
    return replace(answer, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("problem_type", "answer", "line"),
    [
        (contract.SINGLE_LABEL, _answer(labels=("a",)), "a  0.9000  text"),
        (contract.MULTI_LABEL, _answer(labels=("a", "b")), "a 0.9000, b 0.8000  text"),
        (contract.MULTI_LABEL, _answer(labels=()), "(none)  text"),
        (contract.REGRESSION, _answer(value=-1.5), "-1.5000  text"),
        (contract.REGRESSION, _answer(), "a 0.9000, b 0.8000, c 0.1000  text"),
    ],
)
def test_a_line_says_what_the_model_says(problem_type: str, answer: Classification, line: str) -> None:
    shown = answer_line("text", replace(answer, problem_type=problem_type))

    assert click.unstyle(shown) == line


def test_standard_input_that_does_not_wait_is_waited_for(imdb_server: LocalServer) -> None:
    """As programs leave it that share it, such as Node."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    environment = os.environ | {"BERTRITON_URL": imdb_server.grpc_url}
    with subprocess.Popen(
        [sys.executable, "-m", "bertriton", "classify", "--json"],
        stdin=reading,
        stdout=subprocess.PIPE,
        env=environment,
    ) as process:
        os.close(reading)
        answers = []
        for word in ("good", "bad"):
            os.write(writing, f"{word}\n".encode())
            assert process.stdout is not None
            answers.append(json.loads(process.stdout.readline())["text"])
        os.close(writing)

    assert (process.returncode, answers) == (0, ["good", "bad"])


def test_standard_input_that_cannot_be_read_is_named(imdb_server: LocalServer, tmp_path: Path) -> None:
    done = _shell(f"bertriton classify 0>{tmp_path}/written", imdb_server.grpc_url)

    assert done.returncode == 1
    assert done.stderr == b"Error: standard input cannot be read: Bad file descriptor\n"

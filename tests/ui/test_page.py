"""The page's own server answers its own questions and nobody else's."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from bertriton_ui.app import MAX_QUESTION_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from bertriton_server import LocalServer

DEADLINE_S = 60.0
FILM = {"model": "imdb-minilm", "text": "What a lovely film."}


def posted(page: str, question: Any, **headers: str) -> httpx.Response:
    body = json.dumps(question)  # httpx's own refuses half of a character, which a browser may send
    headers = {"Content-Type": "application/json", **headers}
    return httpx.post(f"{page}/api/classify", content=body, headers=headers, timeout=DEADLINE_S)


def test_it_lists_the_classifiers_of_the_server(page_url: str, golden_server: LocalServer) -> None:
    found = httpx.get(f"{page_url}/api/models", timeout=DEADLINE_S).json()

    assert found["server"] == golden_server.grpc_url
    assert found["preferred"] == "imdb-minilm"
    (imdb,) = [model for model in found["models"] if model["name"] == "imdb-minilm"]
    assert imdb["info"]["labels"] == ["neg", "pos"]


def test_it_answers_a_question(page_url: str) -> None:
    found = posted(page_url, FILM).json()

    assert found["label"] == "pos"
    assert found["token_count"] == 7
    assert found["milliseconds"] > 0


def test_labels_of_ones_own_are_chosen_from(page_url: str) -> None:
    found = posted(page_url, {**FILM, "model": "nli", "candidates": ["film", "sport"]}).json()

    assert set(found["scores"]) == {"film", "sport"}


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ([], "expected an object of model, text, second, truncation, candidates"),
        ({**FILM, "more": 1}, "expected an object of"),
        ({"text": "Great."}, "expected model and text"),
        ({**FILM, "text": 7}, "text: unexpected 7"),
        ({**FILM, "truncation": "middle"}, "truncation: unexpected 'middle'"),
        ({**FILM, "candidates": "film"}, "candidates: unexpected 'film'"),
        ({**FILM, "candidates": ["film"]}, "has no label that begins with 'entail'"),
        ({**FILM, "text": "\ud800"}, "a lone surrogate is not UTF-8"),
        ({**FILM, "text": "x" * MAX_QUESTION_BYTES}, "expected at most 4,194,304 bytes"),
    ],
)
def test_what_is_no_question_is_refused_in_words(page_url: str, question: Any, words: str) -> None:
    answer = posted(page_url, question)

    assert answer.status_code == 400
    assert words in answer.json()["error"]


def test_a_model_that_is_not_there_is_told(page_url: str) -> None:
    answer = posted(page_url, {**FILM, "model": "absent"})

    assert answer.status_code == 502
    assert "absent" in answer.json()["error"]


def test_a_server_that_is_away_is_told(running_page: Callable[..., AbstractContextManager[str]]) -> None:
    with running_page("localhost:1") as page:
        answer = httpx.get(f"{page}/api/models", timeout=DEADLINE_S)

    assert answer.status_code == 502
    assert "cannot reach Triton at localhost:1" in answer.json()["error"]


@pytest.mark.parametrize("path", ["/", "/static/page.js", "/api/models"])
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[::1]", "10.0.0.7"]
)
def test_a_name_that_was_made_to_point_here_gets_nothing(page_url: str, path: str, host: str) -> None:
    answer = httpx.get(page_url + path, headers={"Host": host})

    assert answer.status_code == 403
    assert answer.text == "this page is at 127.0.0.1 or localhost only"


def test_another_page_is_not_answered(page_url: str) -> None:
    own = posted(page_url, FILM, Origin=page_url)
    others = posted(page_url, FILM, Origin="http://evil.example")
    unnamed = posted(page_url, FILM, Origin="null")
    form = httpx.post(f"{page_url}/api/classify", data={"model": "imdb-minilm"})

    assert [own.status_code, others.status_code, unnamed.status_code, form.status_code] == [
        200,
        403,
        403,
        400,
    ]
    assert "access-control-allow-origin" not in own.headers


@pytest.mark.parametrize("path", ["/", "/static/page.js", "/api/models", "/absent"])
def test_nothing_but_its_own_files_runs_in_the_page(page_url: str, path: str) -> None:
    headers = httpx.get(page_url + path, timeout=DEADLINE_S).headers

    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["x-content-type-options"] == "nosniff"


def test_only_this_machine_reaches_it(page_url: str) -> None:
    port = int(page_url.rpartition(":")[2])
    (other,) = {info[4][0] for info in socket.getaddrinfo("127.0.0.2", port, type=socket.SOCK_STREAM)}

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((str(other), port))


def test_a_taken_port_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "bertriton", "ui", f"--page-port={port}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert done.stderr == (
        f"Error: cannot listen on 127.0.0.1:{port}: Address already in use; --page-port=0 takes a free port\n"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "bertriton", "ui", "--page-port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        process.stdout.readline()
        httpx.get(process.stdout.readline().split()[1], timeout=DEADLINE_S)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=DEADLINE_S)

    assert (process.returncode, stderr) == (0, "stopped\n")

"""What a person sees on a terminal, and what a program reads where there is none."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING

import pytest
from rich.cells import cell_len
from rich.console import Console

from bertriton import Classification, Client, contract
from bertriton._commands import waiting
from bertriton._commands.answers import AnswerTable
from bertriton._commands.waiting import Patience

if TYPE_CHECKING:
    from bertriton_server import LocalServer

COLUMNS = 80
DEADLINE_S = 60.0
STEERING = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_terminal(*arguments: str, **variables: str) -> str:
    """What a command writes to standard output, a terminal of 80 columns."""
    screen, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm", **variables}
    environment.pop("COLUMNS", None)
    # Standard error is no terminal, on which a busy machine is asked patience for.
    with subprocess.Popen(
        [sys.executable, "-m", "bertriton", *arguments],
        stdout=terminal,
        stderr=subprocess.PIPE,
        env=environment,
    ) as process:
        os.close(terminal)
        written = b""
        try:
            while block := os.read(screen, 4096):
                written += block
        except OSError:  # as Linux says that nobody writes there any more
            pass
        assert process.stderr
        assert process.wait(DEADLINE_S) == 0, process.stderr.read()
    os.close(screen)
    return written.decode()


def test_answers_are_a_table_on_a_terminal(imdb_server: LocalServer) -> None:
    long = "dull and lifeless " * 300
    written = on_terminal("classify", "--url", imdb_server.grpc_url, "A lovely film.", long, "a\x1b[31m\tb")

    assert "\x1b[1m" in written
    lines = STEERING.sub("", written).splitlines()
    heading, lovely, dull, steering = lines
    assert heading.split() == ["label", "score", "tokens", "text"]
    assert re.fullmatch(r"pos    0\.\d{4}       6      A lovely film\.", lovely)
    assert " cut  dull and lifeless" in dull
    assert len(dull) == COLUMNS
    assert dull.endswith("…")
    assert steering.endswith("  a�[31m b")


def test_the_table_of_models_cuts_no_name_on_a_narrow_terminal(imdb_server: LocalServer) -> None:
    with Client(imdb_server.grpc_url) as client:
        info = client.info

    written = on_terminal("models", "--url", imdb_server.grpc_url)

    first_to_last = {
        words[0]: words[-1] for line in STEERING.sub("", written).splitlines() if (words := line.split())
    }
    assert first_to_last["model"] == "checkpoint"  # below "fingerprint"
    assert first_to_last["imdb"] == info.fingerprint
    assert "checkpoint" in written
    assert info.checkpoint_sha256[:12] in written
    assert "…" not in written


@pytest.mark.parametrize("columns", ["0", "1", "40", "80"])
def test_a_table_in_a_pipe_or_on_the_narrowest_terminal_is_in_whole_lines(columns: str) -> None:
    script = (
        "from rich.table import Table, Column; from bertriton._commands import print_table; "
        "table = Table('model', Column('labels', justify='right'), box=None); "
        "table.add_row('imdb', 'neg, pos, ' * 20 + 'end'); print_table(table)"
    )
    environment = os.environ | {"COLUMNS": columns}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )

    heading, row = done.stdout.splitlines()
    assert heading.split() == ["model", "labels"]
    assert row.split() == ["imdb", *["neg,", "pos,"] * 20, "end"]


def test_colours_are_off_where_nobody_wants_them(imdb_server: LocalServer) -> None:
    arguments = ("classify", "--url", imdb_server.grpc_url, "A lovely film.")
    piped = subprocess.run(
        [sys.executable, "-m", "bertriton", *arguments], capture_output=True, text=True, check=True
    )

    assert re.fullmatch(r"pos  0\.\d{4}  A lovely film\.\n", piped.stdout)
    assert "\x1b" not in on_terminal(*arguments, NO_COLOR="1")


@pytest.mark.parametrize(
    ("problem_type", "answer", "row"),
    [
        (contract.MULTI_LABEL, {"labels": ("spam", "new")}, "spam 0.9000, new 0.6000       7      映画"),
        (contract.MULTI_LABEL, {"labels": ()}, "(none)       7      映画"),
        (contract.REGRESSION, {}, "spam 0.9000, new 0.6000       7      映画"),
        (contract.REGRESSION, {"value": -1.5}, "-1.5000       7      映画"),
        (contract.SINGLE_LABEL, {"labels": ("spam",)}, "spam   0.9000       7      映画"),
    ],
)
def test_every_kind_of_answer_has_its_row(problem_type: str, answer: dict[str, object], row: str) -> None:
    found = _found(problem_type=problem_type, **answer)
    table = AnswerTable(COLUMNS)

    _, first = STEERING.sub("", table("映画", found)).splitlines()
    second = STEERING.sub("", table("映画" * 40, found))

    assert row == first
    assert cell_len(second) <= COLUMNS


def test_an_answer_of_another_model_is_a_row_of_its_own_kind() -> None:
    table = AnswerTable(COLUMNS)
    single = _found(labels=("spam",))
    several = _found(labels=("spam", "new"), problem_type=contract.MULTI_LABEL)

    written = [STEERING.sub("", table("text", one)) for one in (single, single, several, single)]

    assert [line.split() for rows in written for line in rows.splitlines()] == [
        ["label", "score", "tokens", "text"],
        ["spam", "0.9000", "7", "text"],
        ["spam", "0.9000", "7", "text"],
        ["answer", "tokens", "text"],
        ["spam", "0.9000,", "new", "0.6000", "7", "text"],
        ["label", "score", "tokens", "text"],
        ["spam", "0.9000", "7", "text"],
    ]


def _found(**changes: object) -> Classification:
    scores = {"spam": 0.9, "new": 0.6}
    return Classification("spam", 0.9, scores, (2.0, 1.0), 7, truncated=False, **changes)  # type: ignore[arg-type]


def test_patience_is_asked_for_after_a_moment_and_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "SHOWN_AFTER_S", 0.05)
    terminal, file = Console(force_terminal=True, width=COLUMNS), Console(force_terminal=False)
    with terminal.capture() as on_screen:
        wait = Patience("asking", terminal)
        wait.say("asking [again]")
        until_s = time.monotonic() + DEADLINE_S
        while not wait.is_shown and time.monotonic() < until_s:
            time.sleep(0.01)
        wait.end()
        wait.end()
    with file.capture() as in_file:
        elsewhere = Patience("asking", file)
        time.sleep(0.2)
        elsewhere.end()

    assert "asking [again]" in on_screen.get()
    assert in_file.get() == ""

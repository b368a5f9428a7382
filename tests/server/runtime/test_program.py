"""A program is run to its end, and what it said last is what an error tells."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from bertriton_server.runtime import last_lines, run_program

if TYPE_CHECKING:
    from pathlib import Path


def test_both_streams_come_in_the_order_in_which_they_were_written() -> None:
    ended = run_program(["sh", "-c", "echo one; echo two >&2; echo three; exit 7"])

    assert (ended.exit_code, ended.output) == (7, "one\ntwo\nthree\n")


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert run_program(["printf", r"a\377b"]).output == "a\N{REPLACEMENT CHARACTER}b"


def test_an_environment_is_all_that_the_program_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INHERITED", "yes")

    assert run_program(["/bin/sh", "-c", "echo $INHERITED"]).output == "yes\n"
    assert run_program(["/bin/sh", "-c", "echo $INHERITED$OWN"], environment={"OWN": "1"}).output == "1\n"


def test_one_that_takes_too_long_is_killed() -> None:
    started = time.monotonic()

    with pytest.raises(subprocess.TimeoutExpired):
        run_program(["sleep", "60"], timeout_s=0.2)

    assert time.monotonic() - started < 30


def test_one_that_is_not_there_cannot_be_started(tmp_path: Path) -> None:
    # By its path: of a name, a folder on PATH that this user may not read would say otherwise.
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        run_program([tmp_path / "no-such-program"])


def test_last_lines_are_those_that_say_something() -> None:
    output = "first\n\n  second  \n \nthird\n\n"

    assert last_lines(output, 2) == ["  second", "third"]
    assert last_lines(output, 9) == ["first", "  second", "third"]
    assert last_lines("\n \n", 3) == []

"""perf_analyzer runs to its end, its last words are told, and one that hangs is run again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING

import pytest

from bertriton import Client
from bertriton_bench import analyzer_run
from bertriton_bench.errors import MeasurementError
from bertriton_bench.measurement import Target, measure
from bertriton_bench.perf_analyzer import PerfAnalyzer, find_perf_analyzer

if TYPE_CHECKING:
    from pathlib import Path

    from bertriton_server import LocalServer

BRIEF: dict[str, int] = {"concurrency": 1, "requests": 4}


@pytest.fixture(scope="module")
def analyzer() -> PerfAnalyzer:
    return find_perf_analyzer()


def script(folder: Path, text: str) -> Path:
    file = folder / "perf_analyzer"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return file


def test_failure_of_perf_analyzer_ends_with_its_last_words(analyzer: PerfAnalyzer) -> None:
    nobody = Target("127.0.0.1:1", "imdb", 512, analyzer)

    with pytest.raises(MeasurementError, match=r"exited with 99: error: failed to get.*refused") as caught:
        measure(nobody, "short", ["Good."], **BRIEF)

    assert "refused" in caught.value.output_tail[-1]


def test_one_that_hangs_is_ended_and_run_again(
    imdb_server: LocalServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(analyzer_run, "_LOOK_S", 0.2)
    monkeypatch.setattr(analyzer_run, "STALL_S", 1.0)
    hanging = PerfAnalyzer(script(tmp_path, f"echo run >> {tmp_path}/runs; exec sleep 600"))

    with pytest.raises(MeasurementError, match="hung 3 times: no answer for 1 s"):
        measure(Target(imdb_server.grpc_url, "imdb", 512, hanging), "short", ["Good."], **BRIEF)

    assert (tmp_path / "runs").read_text().split() == ["run"] * analyzer_run.ATTEMPTS


def test_a_slow_one_is_waited_for_as_long_as_the_server_answers(
    imdb_server: LocalServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(analyzer_run, "_LOOK_S", 0.2)
    monkeypatch.setattr(analyzer_run, "STALL_S", 1.0)
    slow = PerfAnalyzer(script(tmp_path, "sleep 3; echo done; exit 1"))

    def ask(client: Client) -> None:
        while not stopped.wait(0.1):
            client.classify("Good.")

    stopped = Event()
    with Client(imdb_server.grpc_url, "imdb") as client, ThreadPoolExecutor(1) as pool:
        pool.submit(ask, client)
        try:
            with pytest.raises(MeasurementError, match="exited with 1: done"):
                measure(Target(imdb_server.grpc_url, "imdb", 512, slow), "short", ["Good."], **BRIEF)
        finally:
            stopped.set()

"""perf_analyzer is found, or installed once, and one that does not work is said so."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING

import pytest

from bertriton import Client
from bertriton_bench import analyzer_run, perf_analyzer
from bertriton_bench.errors import MeasurementError, PerfAnalyzerMissingError
from bertriton_bench.measurement import Target, measure
from bertriton_bench.perf_analyzer import PERF_ANALYZER_VARIABLE, PerfAnalyzer, find_perf_analyzer
from bertriton_server import runtime_directory

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


def test_placeholder_on_path_is_passed_over(
    analyzer: PerfAnalyzer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script(tmp_path, "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    found = find_perf_analyzer()

    assert found.executable.parent != tmp_path
    assert found == analyzer or runtime_directory() in found.executable.parents


def test_one_on_path_that_works_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = script(tmp_path, "echo Perf Analyzer Version 2.60")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    assert PerfAnalyzer(file) == find_perf_analyzer()


def test_named_one_comes_first_and_must_work(
    analyzer: PerfAnalyzer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    del analyzer
    file = script(tmp_path, "echo libb64.so.0d: no such file >&2; exit 127")
    monkeypatch.setenv(PERF_ANALYZER_VARIABLE, str(file))

    with pytest.raises(PerfAnalyzerMissingError, match=r"does not run: libb64\.so\.0d: no such file"):
        find_perf_analyzer()


def test_wheel_with_another_content_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(perf_analyzer, "WHEEL_SHA256", "0" * 64)
    # A pip that brings something else.
    python = script(
        tmp_path, 'for last; do case $last in --dest=*) touch "${last#--dest=}/a.whl";; esac; done'
    )

    with pytest.raises(PerfAnalyzerMissingError, match="expected SHA-256 000"):
        perf_analyzer._download(python, tmp_path)  # noqa: SLF001 - the step that guards what is run


def test_download_that_fails_ends_with_what_pip_says(tmp_path: Path) -> None:
    python = script(tmp_path, "echo ERROR: no matching distribution; exit 1")

    with pytest.raises(PerfAnalyzerMissingError, match="ERROR: no matching distribution"):
        perf_analyzer._download(python, tmp_path)  # noqa: SLF001 - likewise


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

"""perf_analyzer is found, or installed once, and one that does not work is said so."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from bertriton_bench import perf_analyzer
from bertriton_bench.errors import PerfAnalyzerMissingError
from bertriton_bench.perf_analyzer import PERF_ANALYZER_VARIABLE, PerfAnalyzer, find_perf_analyzer
from bertriton_server import runtime_directory

if TYPE_CHECKING:
    from pathlib import Path


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


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_CACHE_HOME", "BERTRITON_RUNTIME_DIR", PERF_ANALYZER_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(os, "getuid", lambda: 1_000_660_000)  # of no account, as OpenShift gives them

    with pytest.raises(PerfAnalyzerMissingError, match="BERTRITON_RUNTIME_DIR or XDG_CACHE_HOME"):
        find_perf_analyzer()

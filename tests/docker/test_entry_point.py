"""The entry point as it becomes tritonserver: a stand-in on PATH prints where it is and what it was told."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bertriton_server import Tracing

if TYPE_CHECKING:
    from collections.abc import Callable

ENTRY_POINT = Path(__file__).parents[2] / "docker" / "entrypoint.sh"
CPU_LIMIT = "/sys/fs/cgroup/cpu.max"
TRITONSERVER = """#!/bin/bash
pwd
printf '%s\\n' "$@"
"""
BUILD_ENGINE = """#!/bin/bash
mkdir --parents "$2/tiny_bert/1"
echo "engine from $1" >"$2/tiny_bert/1/model.plan"
"""


@pytest.fixture
def become(tmp_path: Path) -> Callable[..., tuple[str, list[str]]]:
    """Runs the entry point; gives where tritonserver was started, and its arguments."""
    tools, store = tmp_path / "tools", tmp_path / "store"
    for folder in (tools, store):
        folder.mkdir()
    (tools / "tritonserver").write_text(TRITONSERVER)
    (tools / "tritonserver").chmod(0o755)

    def run(repository: Path, cpu_limit: str | None = None, **settings: str) -> tuple[str, list[str]]:
        limit_file = tmp_path / "cpu.max"
        if cpu_limit is not None:
            limit_file.write_text(cpu_limit)
        script = ENTRY_POINT.read_text()
        assert CPU_LIMIT in script
        environment = {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "BERTRITON_CHECKPOINT": "/none",
            "BERTRITON_STORE": os.fspath(store),
            "BERTRITON_MODEL_REPOSITORY": os.fspath(repository),
            **settings,
        }
        command = ["bash", "-c", script.replace(CPU_LIMIT, os.fspath(limit_file)), "entrypoint"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        where, *arguments = done.stdout.splitlines()
        return where, arguments

    return run


@pytest.mark.parametrize(
    ("cpu_limit", "threads"),
    [("200000 100000\n", 2), ("150000 100000\n", 2), ("50000 100000\n", 1), ("max 100000\n", 0), (None, 0)],
)
def test_threads_are_those_that_the_container_may_use(
    become: Callable[..., tuple[str, list[str]]], tmp_path: Path, cpu_limit: str | None, threads: int
) -> None:
    _, arguments = become(tmp_path, cpu_limit)

    told = [argument for argument in arguments if argument.startswith("--backend-config=onnxruntime,")]
    names = ["enable-global-threadpool=1", f"intra_op_thread_count={threads}"] if threads else []
    assert told == [f"--backend-config=onnxruntime,{name}" for name in names]


def test_traces_go_where_serve_would_send_them(
    become: Callable[..., tuple[str, list[str]]], tmp_path: Path
) -> None:
    url = "http://collector:4318/v1/traces"
    told = [
        [argument for argument in arguments if argument.startswith("--trace-config=")]
        for _, arguments in (
            become(tmp_path),
            become(tmp_path, BERTRITON_TRACE_URL=url),
            become(tmp_path, BERTRITON_TRACE_URL=url, BERTRITON_TRACE_RATE="7"),
        )
    ]

    assert told == [[], Tracing(url).arguments(), Tracing(url, rate=7).arguments()]


def test_a_repository_without_engines_is_served_as_it_is_from_the_store(
    become: Callable[..., tuple[str, list[str]]], tmp_path: Path
) -> None:
    where, arguments = become(tmp_path)

    assert where == os.fspath(tmp_path / "store")
    assert arguments[0] == f"--model-repository={tmp_path}"


def test_engines_are_kept_in_the_store_and_served_beside_a_read_only_repository(
    become: Callable[..., tuple[str, list[str]]], tmp_path: Path
) -> None:
    network = tmp_path / "repository" / "tiny_bert"
    network.mkdir(parents=True)
    (network / "build_engine.sh").write_text(BUILD_ENGINE)
    for path in (network / "build_engine.sh", network, network.parent):
        path.chmod(0o555)  # the script itself is run by bash, and need not be executable

    _, arguments = become(network.parent)

    served = Path(arguments[0].removeprefix("--model-repository="))
    assert served not in {network.parent, tmp_path / "store"}
    plan = served / "tiny_bert" / "1" / "model.plan"
    assert plan.read_text() == f"engine from {tmp_path}/store/engines\n"
    assert [path.name for path in network.iterdir()] == ["build_engine.sh"]

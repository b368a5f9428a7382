"""How many threads the stand-in for the ONNX Runtime backend starts where nobody says."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import bertriton_server

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Repository

    from bertriton_server import LocalServer

SOURCE = Path(bertriton_server.__file__).parent / "backends" / "onnxruntime" / "cores.py"


@pytest.fixture
def cores() -> Any:
    """The module, which belongs to no package: Triton's Python process finds it beside the backend."""
    spec = importlib.util.spec_from_file_location("cores", SOURCE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_two_cpus_of_one_core_count_once(cores: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for cpu, siblings in enumerate(("0,2", "1,3", "0,2", "1,3")):
        topology = tmp_path / f"cpu{cpu}" / "topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(f"{siblings}\n")
    monkeypatch.setattr(cores, "CPUS", tmp_path)

    assert cores.physical_cores({0, 1, 2, 3}) == 2
    assert cores.physical_cores({0, 2}) == 1
    assert cores.physical_cores({0, 7}) == 2  # what is not known counts


@pytest.mark.parametrize(
    ("quota", "limit"),
    [("200000 100000", 2), ("150000 100000", 2), ("10000 100000", 1), ("max 100000", os.cpu_count())],
)
def test_a_containers_quota_is_a_limit(
    cores: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, quota: str, limit: int
) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(f"{quota}\n")
    monkeypatch.setattr(cores, "CGROUP_LIMIT", file)

    assert cores.container_limit() == limit
    assert cores.usable_cores() == min(limit, cores.physical_cores(os.sched_getaffinity(0)))


def test_a_server_bound_to_one_core_has_one_lane(
    repository: Repository, make_server: Callable[..., LocalServer]
) -> None:
    config = {"max_batch_size": 8, "parameters": {"micro_batch_elements": {"string_value": "8"}}}
    repository.add("double", **config)
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        with make_server() as server:
            log = server.log_path.read_text()
    finally:
        os.sched_setaffinity(0, allowed)

    assert "1 lane(s) of 8 elements" in log

"""Small ONNX models, and real servers that serve them."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx.parser
import pytest
from google.protobuf import json_format, text_format
from tritonclient.grpc import model_config_pb2

from bertriton_server import LocalServer, Runtime, ServerConfig, find_runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where Linux keeps it
DOUBLE = "double (float[b, n] x) => (float[b, n] y) { y = Add(x, x) }"
DOUBLE_CONFIG = {
    "max_batch_size": 8,
    "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [-1]}],
    "output": [{"name": "y", "data_type": "TYPE_FP32", "dims": [-1]}],
}


@dataclass(frozen=True)
class Repository:
    """A model repository in the making."""

    path: Path

    def add(self, name: str, network: str = DOUBLE, **config: Any) -> Path:
        """Write a model of the onnxruntime backend; gives its folder."""
        version = self.path / name / "1"
        version.mkdir(parents=True)
        onnx.save(parse(network), version / "model.onnx")
        fields = DOUBLE_CONFIG if network is DOUBLE else {}
        self.configure(name, **{"backend": "onnxruntime", **fields, **config})
        return version.parent

    def configure(self, name: str, **config: Any) -> None:
        """Write a model's config.pbtxt, with one instance unless the config says otherwise."""
        fields = {"name": name, "instance_group": [{"kind": "KIND_CPU", "count": 1}]} | config
        message = json_format.ParseDict(fields, model_config_pb2.ModelConfig())
        (self.path / name / "config.pbtxt").write_text(text_format.MessageToString(message))


def parse(network: str) -> onnx.ModelProto:
    """A model from ONNX's own notation."""
    return onnx.parser.parse_model(f'<ir_version: 9, opset_import: ["" : 17]> {network}')


@pytest.fixture(scope="session")
def runtime() -> Runtime:
    """Found, or made, once."""
    return find_runtime()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Empty, for one test."""
    return Repository(tmp_path / "models")


@pytest.fixture(scope="module")
def module_repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """Empty, for the tests of one file."""
    return Repository(tmp_path_factory.mktemp("models"))


@pytest.fixture
def make_server(runtime: Runtime, repository: Repository) -> Callable[..., LocalServer]:
    """Makes a server of the test's repository that stops without grace, and so without delay."""

    def make(**config: Any) -> LocalServer:
        return LocalServer(ServerConfig(repository.path, **{"stop_grace_s": 0.0, **config}), runtime=runtime)

    return make


@pytest.fixture
def traces_of() -> Callable[[int], set[str]]:
    """Tells what is in the system of the servers that a process has started."""

    def find(pid: int) -> set[str]:
        # Stands in the name of every shared memory segment and on every command line, the warden's included.
        mark = f"bertriton_{pid}_"
        found = {str(segment) for segment in SHARED_MEMORY.glob(f"{mark}*")}
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(FileNotFoundError, ProcessLookupError):  # others come and go
                if mark in (process / "cmdline").read_text(errors="replace"):
                    found.add(process.name)
        return found

    return find


@pytest.fixture
def nothing_left_behind(traces_of: Callable[[int], set[str]]) -> Iterator[None]:
    """Checks that a test's servers are gone with all that was theirs."""
    before = traces_of(os.getpid())
    yield
    assert traces_of(os.getpid()) == before

"""The entry point as NVIDIA's image runs it: the program `tritonserver` is there, and becomes process 1.

NVIDIA's image cannot be pulled here. In its place stands the pip runtime's tritonserver, with its backends
laid out where NVIDIA has them: another version, but it is real and refuses a flag it does not know.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bertriton_server import find_runtime

if TYPE_CHECKING:
    from collections.abc import Callable

    from container import Container

TINY_CHECKPOINTS = Path(__file__).parents[1] / "data" / "checkpoints"
BACKENDS = Path(__file__).parents[2] / "server" / "bertriton_server" / "backends"
PREFIX = "/opt/tritonserver"
STOP_TIMEOUT_S = 60.0
PATH = f"{PREFIX}/bin:/usr/local/bin:/usr/bin:/bin"
SETTINGS = {"PATH": PATH, "BERTRITON_CHECKPOINT": "/checkpoints/one-layer", "BERTRITON_PRECISION": "fp32"}
LAUNCHER = f"""#!/bin/bash
for runtime in /opt/triton/runtime-*/; do
    packages=$(echo "$runtime"lib/python3.*/site-packages)
    export LD_LIBRARY_PATH=$packages/nvidia_pytriton.libs PATH=${{runtime}}bin:$PATH
    exec "$packages/pytriton/tritonserver/bin/tritonserver" --backend-directory={PREFIX}/backends "$@"
done
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is to lie at /opt/tritonserver."""
    folder = tmp_path_factory.mktemp("nvidia")
    folder.chmod(0o755)
    runtime = find_runtime()
    (folder / "backends" / "python").mkdir(parents=True)
    for file in runtime.python_backend_files:
        shutil.copy(file, folder / "backends" / "python")
    shutil.copytree(BACKENDS, folder / "backends", dirs_exist_ok=True)
    (folder / "bin").mkdir()
    (folder / "bin" / "tritonserver").write_text(LAUNCHER)
    (folder / "bin" / "tritonserver").chmod(0o755)
    return folder


@pytest.fixture
def start_nvidia(start: Callable[..., Container], installed: Path) -> Callable[..., Container]:
    mounts = {"/checkpoints": TINY_CHECKPOINTS, PREFIX: installed}

    def make(*arguments: str, **settings: str) -> Container:
        return start(*arguments, environment=SETTINGS | settings, mounts=mounts)

    return make


def test_tritonserver_itself_is_process_1_with_strict_flags_and_stops_cleanly(
    start_nvidia: Callable[..., Container],
) -> None:
    container = start_nvidia("--log-verbose=0")
    container.wait_until_healthy()

    command_line = container.execute("cat", "/proc/1/cmdline").stdout.split("\0")
    assert command_line[0].endswith("/tritonserver")
    assert {
        "--disable-auto-complete-config",
        "--exit-on-error=true",
        "--exit-timeout-secs=30",
        "--http-address=0.0.0.0",
        "--grpc-address=0.0.0.0",
        "--metrics-address=0.0.0.0",
    } <= set(command_line)
    assert command_line[-2] == "--log-verbose=0"
    asked = container.execute("bertriton", "classify", "--url", "127.0.0.2:8001", "Fine.")
    assert asked.returncode == 0, asked.stderr
    assert container.stop(STOP_TIMEOUT_S) == 0, container.output


def test_one_broken_model_ends_the_container(start_nvidia: Callable[..., Container], tmp_path: Path) -> None:
    broken = tmp_path / "store" / "repository" / "broken"
    (broken / "1").mkdir(parents=True)
    (broken / "config.pbtxt").write_text('backend: "no-such-backend"')
    container = start_nvidia(BERTRITON_MODEL_REPOSITORY="/var/cache/bertriton/repository")

    assert container.wait() != 0
    assert "broken" in container.output


@pytest.mark.parametrize("setting", ["BERTRITON_API_KEY", "BERTRITON_TLS_CERT"])
def test_security_that_would_not_come_into_force_is_refused(
    start_nvidia: Callable[..., Container], setting: str
) -> None:
    container = start_nvidia(**{setting: "x"})

    assert container.wait() == 1
    assert f"{setting}: not read here" in container.output

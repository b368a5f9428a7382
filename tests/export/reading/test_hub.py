"""A hub id is downloaded by the real huggingface_hub, from a hub of this test's own."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest

from bertriton_export.checkpoint import TOKENIZER_FILES
from bertriton_export.reading import default_name
from bertriton_export.reading.hub import hub_model_name, is_hub_id

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NO_CODE = "modeling_evil.py"
DATA = Path(__file__).parent.parent.parent / "data"
PROXIED = {"HF_ENDPOINT": "http://hub.invalid", "http_proxy": "http://me:secret@127.0.0.1:9", "no_proxy": ""}


@dataclass
class Hub:
    """What the hub serves, what it was asked for, and how a client is told of it."""

    folder: Path
    cache: Path
    url: str = ""
    asked: list[str] = field(default_factory=list)

    def export(self, hub_id: str, repository: Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `bertriton export` on a hub id."""
        return subprocess.run(
            [
                sys.executable,
                "-m",
                "bertriton",
                "export",
                hub_id,
                "--precision",
                "fp32",
                "--repository",
                repository,
            ],
            env={**os.environ, "HF_ENDPOINT": self.url, "HF_HOME": str(self.cache), **environment},
            cwd=self.cache,
            capture_output=True,
            text=True,
            check=False,
        )


class HubHandler(BaseHTTPRequestHandler):
    """The few answers of the hub's HTTP interface that a download takes."""

    hub: Hub

    def do_GET(self) -> None:
        path = unquote(self.path.partition("?")[0])
        self.hub.asked.append(path)
        files = sorted(file for file in self.hub.folder.iterdir() if file.is_file())
        if path in {"/api/models/org/tiny/revision/main", "/api/models/org/tiny/revision/v1"}:
            siblings = [{"rfilename": file.name} for file in files]
            self._answer(json.dumps({"id": "org/tiny", "sha": COMMIT, "siblings": siblings}).encode())
        elif path == f"/api/models/org/tiny/tree/{COMMIT}":
            tree = [
                {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": etag(file)}
                for file in files
            ]
            self._answer(json.dumps(tree).encode())
        elif path.startswith(f"/org/tiny/resolve/{COMMIT}/"):
            file = self.hub.folder / path.rpartition("/")[2]
            self._answer(file.read_bytes(), {"ETag": f'"{etag(file)}"', "X-Repo-Commit": COMMIT})
        else:
            code = "RevisionNotFound" if path.startswith("/api/models/org/tiny/") else "RepoNotFound"
            self._answer(b"", {"X-Error-Code": code}, status=404)

    do_HEAD = do_GET  # noqa: N815

    def _answer(self, content: bytes, headers: dict[str, str] | None = None, status: int = 200) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def etag(file: Path) -> str:
    return hashlib.sha1(file.read_bytes()).hexdigest()  # noqa: S324 (what git and the hub call a file)


@pytest.fixture
def hub(one_layer: Path, tmp_path: Path) -> Iterator[Hub]:
    """A hub with one model, org/tiny, which also holds a second weight format and code."""
    (one_layer / "pytorch_model.bin").write_bytes(b"not wanted")
    (one_layer / NO_CODE).write_text("raise SystemExit('code of a download was run')")
    (tmp_path / "cache").mkdir()
    hub = Hub(one_layer, tmp_path / "cache")
    handler = type("Handler", (HubHandler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        hub.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield hub
        server.shutdown()
        thread.join()


def test_hub_models_are_downloaded_once_and_then_work_offline(hub: Hub, tmp_path: Path) -> None:
    result = hub.export("org/tiny@v1", tmp_path / "online")

    assert result.returncode == 0, result.stderr
    manifest = json.loads((tmp_path / "online" / "tiny" / "1" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["source"] == {
        "format": "safetensors",
        "architecture": "BertForSequenceClassification",
        "tokenizer": "BertTokenizer from tokenizer.json, as Transformers 4.57 reads it",
        "hub": "org/tiny@v1",
        "commit": COMMIT,
    }
    downloaded = {path.rpartition("/")[2] for path in hub.asked if "/resolve/" in path}
    assert downloaded == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    asked = len(hub.asked)

    offline = hub.export("org/tiny@v1", tmp_path / "offline", HF_HUB_OFFLINE="1")

    assert offline.returncode == 0, offline.stderr
    assert asked == len(hub.asked)
    assert (tmp_path / "offline" / "tiny" / "config.pbtxt").exists()


@pytest.mark.parametrize(
    ("hub_id", "environment", "message"),
    [
        ("org/tiny", {"HF_HUB_OFFLINE": "1"}, "org/tiny: no local path, not in the cache at revision 'main'"),
        ("org/tiny", {"HF_ENDPOINT": "http://127.0.0.1:9"}, "and the hub cannot be reached: "),
        (
            "org/tiny",
            {
                "HF_ENDPOINT": "http://hub.invalid",
                "http_proxy": "http://me:secret@127.0.0.1:9",
                "no_proxy": "",
            },
            "hub cannot be reached through the proxy 127.0.0.1:9, which http_proxy of the environment",
        ),
        ("org/missing", {}, "org/missing: neither a local path nor a hub model that is open to you"),
        ("org/tiny@v2", {}, "org/tiny@v2: the hub's model has no revision 'v2'"),
    ],
)
def test_what_cannot_be_downloaded_is_said_in_one_line(
    hub: Hub, tmp_path: Path, hub_id: str, environment: dict[str, str], message: str
) -> None:
    result = hub.export(hub_id, tmp_path / "repository", **environment)

    assert result.returncode == 1
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "repository").exists()


def test_model_without_weights_is_refused(hub: Hub, tmp_path: Path) -> None:
    for name in ("model.safetensors", "pytorch_model.bin"):
        (hub.folder / name).unlink()

    result = hub.export("org/tiny", tmp_path / "repository")

    assert "the hub's model has no weights in a known format, only config.json" in result.stderr


def test_an_adapter_of_the_hub_is_merged_into_its_base(hub: Hub, tmp_path: Path) -> None:
    for file in hub.folder.iterdir():
        file.unlink()
    shutil.copytree(DATA / "adapters" / "bert-plain", hub.folder, dirs_exist_ok=True)
    base = {"BERTRITON_BASE": str(DATA / "architectures" / "bert-single")}

    result = hub.export("org/tiny", tmp_path / "online", **base)

    assert result.returncode == 0, result.stderr
    manifest = json.loads((tmp_path / "online" / "tiny" / "1" / "manifest.json").read_text(encoding="utf-8"))
    found = {key: manifest["source"][key] for key in ("hub", "commit", "base", "adapter", "adapter_rank")}
    assert list(found.values()) == ["org/tiny", COMMIT, "bert-single", "LoRA", 4]
    downloaded = {path.rpartition("/")[2] for path in hub.asked if "/resolve/" in path}
    assert downloaded == {"adapter_config.json", "adapter_model.safetensors"}

    offline = hub.export("org/tiny", tmp_path / "offline", HF_HUB_OFFLINE="1", **base)

    assert offline.returncode == 0, offline.stderr


def test_an_adapter_fetches_the_base_that_it_names(hub: Hub, tmp_path: Path) -> None:
    adapter = shutil.copytree(DATA / "adapters" / "bert-plain", tmp_path / "adapter")
    settings = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    settings |= {"base_model_name_or_path": "org/tiny", "revision": "v1"}
    (adapter / "adapter_config.json").write_text(json.dumps(settings))
    for file in hub.folder.iterdir():
        file.unlink()
    shutil.copytree(DATA / "architectures" / "bert-single", hub.folder, dirs_exist_ok=True)

    result = hub.export(str(adapter), tmp_path / "repository")

    assert result.returncode == 0, result.stderr
    manifest = (tmp_path / "repository" / "adapter" / "1" / "manifest.json").read_text(encoding="utf-8")
    assert json.loads(manifest)["source"]["base"] == "org/tiny@v1"


def test_an_adapter_whose_base_the_hub_has_not_says_what_to_do(hub: Hub, tmp_path: Path) -> None:
    adapter = shutil.copytree(DATA / "adapters" / "bert-plain", tmp_path / "adapter")
    settings = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    (adapter / "adapter_config.json").write_text(
        json.dumps(settings | {"base_model_name_or_path": "org/gone", "revision": None})
    )

    result = hub.export(str(adapter), tmp_path / "repository")

    assert result.returncode == 1
    assert "adapter_config.json: its base cannot be had, say where with --base (org/gone: " in result.stderr


def test_every_file_that_can_change_an_id_is_fetched(hub: Hub, tmp_path: Path) -> None:
    (hub.folder / "special_tokens_map.json").write_text('{"additional_special_tokens": ["<film>"]}')
    (hub.folder / "added_tokens.json").write_text("{}")
    for name in ("sentencepiece.bpe.model", "spiece.model", "spm.model", "merges.txt", "vocab.json"):
        (hub.folder / name).write_bytes(b"not needed by this class")

    result = hub.export("org/tiny", tmp_path / "repository")

    assert result.returncode == 0, result.stderr
    fetched = {path.rpartition("/")[2] for path in hub.asked if "/resolve/" in path}
    assert set(TOKENIZER_FILES) & {file.name for file in hub.folder.iterdir()} <= fetched
    assert len(fetched & set(TOKENIZER_FILES)) == 9


def test_local_path_wins_over_the_hub(hub: Hub, tmp_path: Path) -> None:
    place = hub.cache / "org" / "tiny"
    place.parent.mkdir()
    place.symlink_to(hub.folder)

    result = hub.export("org/tiny", tmp_path / "repository")

    assert result.returncode == 0, result.stderr
    assert [] == hub.asked


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("org/name", True),
        ("org/name@main", True),
        ("org/name@refs/pr/1", True),
        ("name", False),
        ("/org/name", False),
        ("../name", False),
        ("a/b/c", False),
        ("org/name@", False),
        ("https://host/name", False),
    ],
)
def test_hub_ids_are_told_from_paths(name: str, *, expected: bool) -> None:
    assert expected == is_hub_id(name)


def test_classifiers_are_called_after_their_checkpoints(tmp_path: Path) -> None:
    (tmp_path / "model.zip").touch()

    assert "name" == hub_model_name("org/name@v1") == default_name("org/name@refs/pr/1")
    assert "model" == default_name(str(tmp_path / "model.zip"))
    assert tmp_path.name == default_name(str(tmp_path))

"""What most tests share: the embedded classifier, exported and served by a real Triton."""

from __future__ import annotations

import csv
import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from needs import find_chromium, require_needs

from bertriton_export import export
from bertriton_server import LocalServer, ServerConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

ROOT = Path(__file__).parent.parent
TINY_CHECKPOINTS = ROOT / "tests" / "data" / "checkpoints"
settings.register_profile("fuzz", max_examples=20_000, deadline=None)  # `make fuzz`

# What a shell runs in the background ignores Ctrl-C, and so does all that it starts. Some tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# As tests/golden/record_pairs.py asks them: models of natural language inference, and a reranker.
PAIR_MODELS: dict[str, tuple[Path, tuple[str, ...]]] = {
    "nli": (TINY_CHECKPOINTS / "three-labels", ("CONTRADICTION", "NEUTRAL", "ENTAILMENT")),
    "nli-binary": (TINY_CHECKPOINTS / "cased", ("entailment", "not_entailment")),
    "reranker": (TINY_CHECKPOINTS.parent / "architectures" / "bert-regression", ("relevance",)),
}

TRITONSERVER_VARIABLE = "BERTRITON_TRITONSERVER"
EMBEDDED_CHECKPOINT = ROOT / "checkpoints" / "imdb-minilm"


@dataclass(frozen=True)
class Review:
    """One labelled film review."""

    source: str
    seen_in_training: bool
    label: str
    text: str


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests see none of the caller's BERTRITON_ variables but those that say which server to test."""
    for name in list(os.environ):
        if name.startswith("BERTRITON_") and name not in ("BERTRITON_RUNTIME_DIR", TRITONSERVER_VARIABLE):
            monkeypatch.delenv(name)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With BERTRITON_TRITONSERVER, which names a server, only what holds in any server is tested."""
    if os.environ.get(TRITONSERVER_VARIABLE):
        others = [item for item in items if not _holds_in_any_server(item)]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if _holds_in_any_server(item)]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test that needs what this machine lacks is skipped, with the reason, before its fixtures are made."""
    require_needs(item)


def _holds_in_any_server(item: pytest.Item) -> bool:
    return bool(item.get_closest_marker("any_server") and not item.get_closest_marker("pieces"))


@pytest.fixture(scope="session")
def reviews() -> list[Review]:
    """The reviews of tests/data/reviews.csv."""
    with (ROOT / "tests" / "data" / "reviews.csv").open(encoding="utf-8", newline="") as file:
        return [
            Review(row["source"], row["seen_in_training"] == "yes", row["label"], row["text"])
            for row in csv.DictReader(file)
        ]


@pytest.fixture(scope="session")
def exported_imdb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded checkpoint as a model repository, in int8, as the exporter leaves it."""
    repository = tmp_path_factory.mktemp("exported")
    export(EMBEDDED_CHECKPOINT, name="imdb", repository=repository)
    return repository


@pytest.fixture(scope="session")
def imdb_repository(exported_imdb: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy to serve, since Triton's Python backend leaves compiled files there."""
    return shutil.copytree(exported_imdb, tmp_path_factory.mktemp("served") / "repository")


@pytest.fixture(scope="session")
def golden_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """A real Triton with every checkpoint that has golden answers, in fp32, under its folder's name.

    Beside them `in-windows`, one of them with defaults of its own for long texts, `PAIR_MODELS`, and the
    multi-label classifier `topics`.
    """
    repository = tmp_path_factory.mktemp("golden")
    for checkpoint in (EMBEDDED_CHECKPOINT, *sorted(TINY_CHECKPOINTS.iterdir())):
        export(checkpoint, repository=repository, precision="fp32")
    export(
        TINY_CHECKPOINTS / "three-labels",
        name="in-windows",
        repository=repository,
        precision="fp32",
        truncation="windows",
        stride=9,
        aggregation="max",
    )
    for name, (checkpoint, labels) in PAIR_MODELS.items():
        export(checkpoint, name=name, labels=labels, repository=repository, precision="fp32")
    export(
        TINY_CHECKPOINTS / "three-labels",
        name="topics",
        repository=repository,
        precision="fp32",
        problem_type="multi_label_classification",
    )
    with LocalServer(ServerConfig(repository, stop_grace_s=0)) as server:
        yield server


@pytest.fixture(scope="session")
def imdb_server(imdb_repository: Path) -> Iterator[LocalServer]:
    """A real Triton that serves the embedded checkpoint as `imdb`."""
    with LocalServer(ServerConfig(imdb_repository, stop_grace_s=0)) as server:
        yield server


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The Chromium of this machine, such as Debian's.

    Not of the session: while it is steered, this thread has an event loop, and other tests run their own.
    """
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - few tests steer a browser

    # Its own sandbox needs another user than root.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=options)
        yield browser
        browser.close()

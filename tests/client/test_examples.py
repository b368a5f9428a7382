"""The examples do what they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from fastapi.testclient import TestClient

if TYPE_CHECKING:
    from types import ModuleType

    import pytest

    from bertriton_server import LocalServer

EXAMPLES = Path(__file__).parents[2] / "examples"
TEXTS = ["A warm, wonderful film.", "Dull and lifeless.", "Simply great."]


def _imported(name: str) -> ModuleType:
    spec = spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module  # FastAPI looks up the names of annotations there
    spec.loader.exec_module(module)
    return module


def test_the_web_service_classifies_and_says_when_it_is_ready(
    imdb_server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BERTRITON_URL", imdb_server.grpc_url)

    with TestClient(_imported("fastapi_service").app) as web:
        ready = web.get("/ready")
        answer = web.post("/classify", json={"text": TEXTS[0]})
        refused = web.post("/classify", content=b'{"text": "\\ud800"}')

    assert (ready.status_code, ready.json()) == (200, {"ready": True})
    assert answer.json()["label"] == "pos"
    assert refused.status_code in {400, 422}


def test_the_web_service_says_when_triton_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BERTRITON_URL", "localhost:1")

    with TestClient(_imported("fastapi_service").app) as web:
        ready = web.get("/ready")
        answer = web.post("/classify", json={"text": TEXTS[0]})

    assert (ready.status_code, ready.json()) == (503, {"ready": False})
    assert (answer.status_code, answer.text) == (503, "try again later")


def test_the_asyncio_script_counts_labels(imdb_server: LocalServer) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "asyncio_script.py"],
        input="\n".join(TEXTS),
        env=os.environ | {"BERTRITON_URL": imdb_server.grpc_url},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "pos: 2\nneg: 1\n"


def test_the_traced_call_is_shown_from_the_client_to_the_network(imdb_repository: Path) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "whole_trace.py", imdb_repository, TEXTS[0]],
        capture_output=True,
        text=True,
        check=True,
    )

    answer, *spans = done.stdout.splitlines()
    assert answer.startswith("Classification('pos', ")
    depth_and_name = [((len(line) - len(line.lstrip())) // 2, line.split()[0]) for line in spans]
    assert depth_and_name == [
        *((0, "bertriton.classify"), (1, "ModelInfer"), (2, "InferRequest"), (3, "imdb")),
        *((4, "imdb_tokenizer"), (5, "compute"), (4, "imdb_bert"), (5, "compute")),
    ]


def test_the_code_of_the_tracing_guide_runs(imdb_server: LocalServer) -> None:
    guide = (EXAMPLES.parent / "docs" / "tracing.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)

    names: dict[str, Any] = {}
    exec(code.replace("localhost:8001", imdb_server.grpc_url), names)  # noqa: S102 (the guide is ours)

    assert names["client"].is_ready()
    names["client"].close()


def test_the_pandas_script_adds_columns(imdb_server: LocalServer, tmp_path: Path) -> None:
    pd.DataFrame({"id": [1, 2, 3], "text": TEXTS}).to_csv(tmp_path / "in.csv", index=False)

    subprocess.run(
        [sys.executable, EXAMPLES / "pandas_column.py", tmp_path / "in.csv", tmp_path / "out.csv"],
        env=os.environ | {"BERTRITON_URL": imdb_server.grpc_url},
        check=True,
    )

    found = pd.read_csv(tmp_path / "out.csv")
    assert list(found.columns) == ["id", "text", "predicted", "score"]
    assert ["pos", "neg", "pos"] == found["predicted"].tolist()

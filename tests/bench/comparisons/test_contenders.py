"""What the classifier is compared with: it answers as it should, and with no handicap."""

from __future__ import annotations

import json
import sys
import venv
from pathlib import Path

import numpy as np
import pytest

from bertriton_export import export
from bertriton_export.checkpoint import with_head
from bertriton_export.reading import read_checkpoint
from bertriton_export.verification import encode, reference_logits
from comparisons.checkpoints import BERT_BASE, MINILM, Shape
from comparisons.contenders import (
    HUGGING_FACE,
    INFINITY,
    OPENVINO,
    Environments,
    InProcess,
    Int8Ceiling,
)

CHECKPOINT = Path(__file__).parents[2] / "data" / "checkpoints" / "three-labels"
TEXTS = ["a film", "one of the best films of the year", "no"]

TORCH = """
__version__ = "0.torch"
float32, bfloat16 = "float32", "bfloat16"
"""
# A pipeline that is quick in one setting alone, writes down what it is asked, and prints what nobody wants.
TRANSFORMERS = """
import json, time
__version__ = "0.transformers"

class TextClassificationPipeline: pass

class logging:
    set_verbosity_error = staticmethod(lambda: None)

def pipeline(task, *, model, device, dtype):
    def classify(texts, truncation, batch_size=None):
        print("100% done")
        with open(LOG, "a") as log:
            log.write(json.dumps([task, model, device, dtype, len(texts), truncation, batch_size]) + chr(10))
        time.sleep(0 if (dtype, batch_size) == ("bfloat16", 8) else 0.05)
        return [{"label": "neg" if text == "no" else "pos", "score": 0.9} for text in texts]
    return classify
"""
# A server of the one route that is asked; one text of a request, or more, and how many requests at a time.
INFINITY_EMB = """#!{python}
import json, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

options = dict(zip(sys.argv[2::2], sys.argv[3::2]))
assert (sys.argv[1], options["--engine"], options["--device"]) == ("v2", "torch", "cpu")
under_way, lock = [], threading.Lock()

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert asked["model"] == options["--served-model-name"]
        with lock:
            under_way.append(1)
            at_a_time = len(under_way)
        time.sleep(0.1)
        with lock:
            under_way.pop()
        label = f"{{options['--dtype']}}, {{len(asked['input'])}} in a request, {{at_a_time}} at a time"
        scores = [{{"score": 0.3, "label": "other"}}, {{"score": 0.7, "label": label}}]
        body = json.dumps({{"data": [scores for _ in asked["input"]]}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_): pass

ThreadingHTTPServer((options["--host"], int(options["--port"])), Handler).serve_forever()
"""


@pytest.fixture
def torch_python(tmp_path: Path) -> Path:
    """A Python with stand-ins for torch and transformers."""
    (tmp_path / "torch.py").write_text(TORCH, encoding="utf-8")
    log = f"LOG = {str(tmp_path / 'log')!r}\n"
    (tmp_path / "transformers.py").write_text(log + TRANSFORMERS, encoding="utf-8")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path} exec {sys.executable} "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    return python


@pytest.fixture
def infinity_python(tmp_path: Path) -> Path:
    """A Python with stand-ins for infinity_emb and what its versions are asked of."""
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=False, symlinks=True)
    server = environment / "bin" / "infinity_emb"
    server.write_text(INFINITY_EMB.format(python=sys.executable), encoding="utf-8")
    server.chmod(0o755)
    packages = next(environment.glob("lib/python*/site-packages"))
    for name in ("infinity_emb", "torch", "transformers"):
        folder = packages / f"{name}-0.{name}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Name: {name}\nVersion: 0.{name}\n", encoding="utf-8")
    return environment / "bin" / "python"


@pytest.fixture
def texts_file(tmp_path: Path) -> Path:
    """One set of texts."""
    file = tmp_path / "texts.json"
    file.write_text(json.dumps({"films": TEXTS}), encoding="utf-8")
    return file


def test_the_pipeline_is_asked_for_every_setting_and_its_best_one_counts(
    torch_python: Path, texts_file: Path, tmp_path: Path
) -> None:
    environments = Environments(torch_python, None, tmp_path)

    with environments.start(HUGGING_FACE, CHECKPOINT, texts_file) as pipeline:
        seconds, setting = pipeline.best_seconds("films")

    assert pipeline.versions == "torch 0.torch, transformers 0.transformers"
    assert setting == "bfloat16, batch 8"
    assert seconds >= 0
    assert pipeline.labels == ["pos", "pos", "neg"]
    warm_up, asked = [], []
    for line in (tmp_path / "log").read_text(encoding="utf-8").splitlines():
        task, model, device, dtype, texts, truncation, batch = json.loads(line)
        assert (task, model, device, truncation) == ("text-classification", str(CHECKPOINT), "cpu", True)
        (warm_up if batch is None else asked).append((dtype, texts, batch))
    assert warm_up == [("bfloat16", 1, None), ("float32", 1, None)]
    assert [(f"{dtype}, batch {batch}", texts) for dtype, texts, batch in asked] == [
        (setting, len(TEXTS)) for setting in pipeline.settings
    ]
    assert len(asked) == 6


def test_the_first_texts_of_a_set_can_be_asked_for_alone(
    torch_python: Path, texts_file: Path, tmp_path: Path
) -> None:
    with Environments(torch_python, None, tmp_path).start(HUGGING_FACE, CHECKPOINT, texts_file) as pipeline:
        pipeline.seconds("films", "float32, batch 1", count=2)

    assert pipeline.labels == ["pos", "pos"]


def test_infinity_gets_lists_and_single_texts_and_starts_anew_for_another_dtype(
    infinity_python: Path, texts_file: Path, tmp_path: Path
) -> None:
    environments = Environments(Path("/bin/false"), infinity_python, tmp_path)

    with environments.start(INFINITY, CHECKPOINT, texts_file) as infinity:
        assert infinity.versions == "infinity_emb 0.infinity_emb, torch 0.torch, transformers 0.transformers"
        assert infinity.settings == ["bfloat16", "float32"]

        assert infinity.seconds("films", "bfloat16") >= 0.1
        assert infinity.labels == ["bfloat16, 3 in a request, 1 at a time"] * 3

        assert infinity.seconds("films", "float32", in_flight=3) >= 0.1
        assert "float32, 1 in a request, 3 at a time" in infinity.labels

        assert infinity.seconds("films", "float32", in_flight=1) >= 0.3
        assert infinity.labels == ["float32, 1 in a request, 1 at a time"] * 3


def test_a_contender_that_ends_ends_the_run(tmp_path: Path) -> None:
    environments = Environments(Path("/bin/false"), None, tmp_path)

    with (
        environments.start(OPENVINO, CHECKPOINT, tmp_path / "texts.json") as openvino,
        pytest.raises(SystemExit, match=r"OpenVINO int8, in process ended with 1; see above"),
    ):
        openvino.seconds("films", "f32, batch 1")


def test_the_ceiling_is_that_of_large_products() -> None:
    ceiling = Int8Ceiling(1)

    small = [ceiling.gops(setting, 0.01) for setting in ceiling.settings]

    # No CPU that runs this multiplies more slowly, and none with a core or two is as fast as the upper bound.
    assert all(1 < gops < 100_000 for gops in small)


@pytest.mark.parametrize(("shape", "operations"), [(MINILM, 21_233_664), (BERT_BASE, 169_869_312)])
def test_operations_of_a_token_are_twice_the_weights_of_linear_layers(shape: Shape, operations: int) -> None:
    assert shape.operations_per_token == operations


@pytest.fixture(scope="module")
def in_process(tmp_path_factory: pytest.TempPathFactory) -> InProcess:
    """A tiny classifier's graph in this process."""
    repository = tmp_path_factory.mktemp("in-process")
    export(CHECKPOINT, name="tiny", repository=repository, precision="fp32")
    return InProcess(repository, "tiny")


def test_in_process_answers_as_the_checkpoint_says(in_process: InProcess) -> None:
    checkpoint = with_head(read_checkpoint(CHECKPOINT))
    logits = reference_logits(checkpoint, encode(checkpoint, TEXTS))
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected = exponentials / exponentials.sum(axis=1, keepdims=True)

    found = in_process.probabilities(in_process.encode(TEXTS))

    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_text_of_so_many_tokens_is_found(in_process: InProcess) -> None:
    text = in_process.text_of(7, "one of the best films of the year, and one of the worst")

    assert in_process.count_tokens([text]) == [7]

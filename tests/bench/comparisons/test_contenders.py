"""What the classifier is compared with: it answers as it should, and with no handicap."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from bertriton_export import export
from bertriton_export.checkpoint import with_head
from bertriton_export.reading import read_checkpoint
from bertriton_export.verification import encode, multiply_exactly, reference_logits
from comparisons.contenders import HUGGING_FACE_BATCHES, HUGGING_FACE_DTYPES, HuggingFace, InProcess

CHECKPOINT = Path(__file__).parents[2] / "data" / "checkpoints" / "three-labels"
TEXTS = ["a film", "one of the best films of the year", "no"]

TORCH = """
__version__ = "0.torch"
float32, bfloat16 = "float32", "bfloat16"
"""
# A pipeline that is quick in one setting alone, and writes down what it is asked.
TRANSFORMERS = """
import json, time
__version__ = "0.transformers"

class TextClassificationPipeline: pass

class logging:
    set_verbosity_error = staticmethod(lambda: None)

def pipeline(task, *, model, device, dtype):
    def classify(texts, truncation, batch_size=None):
        with open(LOG, "a") as log:
            log.write(json.dumps([task, model, device, dtype, len(texts), truncation, batch_size]) + chr(10))
        time.sleep(0 if (dtype, batch_size) == ("bfloat16", 8) else 0.05)
    return classify
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


def test_the_pipeline_is_asked_for_every_setting_and_its_best_one_counts(
    torch_python: Path, tmp_path: Path
) -> None:
    texts_file = tmp_path / "texts.json"
    texts_file.write_text(json.dumps(TEXTS), encoding="utf-8")

    with HuggingFace(torch_python, CHECKPOINT, texts_file) as pipeline:
        seconds, setting = pipeline.best_seconds()

    assert pipeline.versions == "torch 0.torch, transformers 0.transformers"
    assert setting == "pipeline, bfloat16, batch 8"
    assert 0 <= seconds < 0.05
    warm_up, asked = [], []
    for line in (tmp_path / "log").read_text(encoding="utf-8").splitlines():
        task, model, device, dtype, texts, truncation, batch = json.loads(line)
        assert (task, model, device, truncation) == ("text-classification", str(CHECKPOINT), "cpu", True)
        (warm_up if batch is None else asked).append((dtype, texts, batch))
    assert warm_up == [(dtype, 2, None) for dtype in HUGGING_FACE_DTYPES]
    assert asked == [
        (dtype, len(TEXTS), batch) for dtype in HUGGING_FACE_DTYPES for batch in HUGGING_FACE_BATCHES
    ]


def test_a_pipeline_that_ends_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"the Hugging Face pipeline ended with 1; see above"):
        HuggingFace(Path("/bin/false"), CHECKPOINT, tmp_path / "texts.json")


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


def precision(options: onnxruntime.SessionOptions) -> str | None:
    """What a session was told of int8 products."""
    try:
        return str(options.get_session_config_entry("session.x64quantprecision"))
    except RuntimeError:  # nothing
        return None


def test_in_process_multiplies_as_exactly_as_the_server(in_process: InProcess) -> None:
    expected = onnxruntime.SessionOptions()
    multiply_exactly(expected)

    for session in (in_process.session, in_process.session_of_one_thread):
        assert precision(session.get_session_options()) == precision(expected)


def test_a_text_of_so_many_tokens_is_found(in_process: InProcess) -> None:
    text = in_process.text_of(7, "one of the best films of the year, and one of the worst")

    assert in_process.count_tokens([text]) == [7]

"""Every architecture with every head: tokens and logits are those of Hugging Face Transformers.

The checkpoints under tests/data/architectures/ and the answers in them are made by
tests/golden/record_architectures.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import rebuilt_checkpoints
from safetensors.numpy import load_file, save_file
from tokenizers import Encoding, Tokenizer

from bertriton_export import TensorError, export
from bertriton_export.checkpoint import HEADS, tensor_shapes, with_head
from bertriton_export.checkpoint.architectures import ARCHITECTURES
from bertriton_export.int8.graph import CPU_STATIC_LINEARS
from bertriton_export.int8.smoothing import calibrated, input_ranges
from bertriton_export.network import (
    GraphOptions,
    Int8Options,
    encoder_linears,
    write_bert_graph,
)
from bertriton_export.reading import read_checkpoint
from bertriton_export.verification import GraphSession, packed_inputs, reference_logits

CHECKPOINTS = Path(__file__).parent.parent.parent / "data" / "architectures"
FP32_TOLERANCE = 1e-4
# Of the spread of the logits over the texts, on average: these random networks are 16 wide, so that a
# product adds up few rounding errors that hardly cancel, and their large weights make attention turn on
# small differences of scores.
INT8_TOLERANCE = 0.15

every_checkpoint = pytest.mark.parametrize("name", sorted(path.name for path in CHECKPOINTS.iterdir()))


def golden(name: str) -> list[dict[str, Any]]:
    answers: list[dict[str, Any]] = json.loads((CHECKPOINTS / name / "answers.json").read_text("utf-8"))
    return answers


def encodings(name: str) -> list[Encoding]:
    checkpoint = read_checkpoint(CHECKPOINTS / name)
    tokenizer = Tokenizer.from_str(checkpoint.tokenizer_json)
    tokenizer.enable_truncation(checkpoint.max_length)
    texts = [answer["text"] for answer in golden(name)]
    return tokenizer.encode_batch([text if isinstance(text, str) else tuple(text) for text in texts])


def golden_logits(name: str) -> Any:
    return np.array([answer["logits"] for answer in golden(name)])


def test_every_architecture_has_a_checkpoint_with_every_head(tmp_path: Path) -> None:
    found = set()
    for folder in CHECKPOINTS.iterdir():
        (architecture,) = json.loads((folder / "config.json").read_text("utf-8"))["architectures"]
        found.add((architecture, read_checkpoint(folder).problem_type))
    for name in rebuilt_checkpoints.names():
        (architecture,) = rebuilt_checkpoints.read(name)["config"]["architectures"]
        checkpoint = read_checkpoint(
            rebuilt_checkpoints.rebuild(rebuilt_checkpoints.read(name), tmp_path / name)
        )
        found.add((architecture, checkpoint.problem_type))

    assert {(architecture, head) for architecture in ARCHITECTURES for head in HEADS} == found


@every_checkpoint
def test_tokens_are_those_of_transformers(name: str) -> None:
    for answer, encoding in zip(golden(name), encodings(name), strict=True):
        assert answer["input_ids"] == encoding.ids, answer["text"]


@every_checkpoint
def test_reference_logits_are_those_of_transformers(name: str) -> None:
    found = reference_logits(read_checkpoint(CHECKPOINTS / name), encodings(name))

    np.testing.assert_allclose(found, golden_logits(name), rtol=0, atol=FP32_TOLERANCE)


@every_checkpoint
def test_fp32_logits_are_those_of_transformers(name: str, tmp_path: Path) -> None:
    export(CHECKPOINTS / name, name="tiny", repository=tmp_path, precision="fp32")

    found = GraphSession(tmp_path / "tiny_bert" / "1" / "model.onnx").logits(encodings(name))

    np.testing.assert_allclose(found, golden_logits(name), rtol=0, atol=FP32_TOLERANCE)


@every_checkpoint
def test_int8_logits_are_near_those_of_transformers(name: str, tmp_path: Path) -> None:
    checkpoint = with_head(read_checkpoint(CHECKPOINTS / name))
    (tmp_path / "fp32").mkdir()
    fp32 = write_bert_graph(checkpoint, tmp_path / "fp32", GraphOptions())
    ranges = input_ranges(fp32, encoder_linears(checkpoint.config), encodings(name))
    static = [name for name in ranges if name.endswith(CPU_STATIC_LINEARS)]
    options = calibrated(checkpoint.weights, ranges, static, is_shifted=True)

    int8 = write_bert_graph(checkpoint, tmp_path, GraphOptions(options))

    expected = golden_logits(name)
    differences = np.abs(GraphSession(int8).logits(encodings(name)) - expected) / expected.std(axis=0)
    assert 0 < differences.mean() < INT8_TOLERANCE


@every_checkpoint
def test_int8_logits_are_bitwise_the_same_alone_and_together(name: str, tmp_path: Path) -> None:
    checkpoint = with_head(read_checkpoint(CHECKPOINTS / name))
    file = write_bert_graph(checkpoint, tmp_path, GraphOptions(Int8Options()))
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    texts = encodings(name)

    alone = np.concatenate([session.run(["logits"], packed_inputs([text]))[0] for text in texts])

    together = session.run(["logits"], packed_inputs(texts))[0]
    np.testing.assert_array_equal(alone, together)


@pytest.mark.parametrize("name", ["distilbert-single", "roberta-single", "electra-single"])
def test_a_missing_tensor_is_called_what_its_checkpoint_calls_it(name: str, tmp_path: Path) -> None:
    source = CHECKPOINTS / name
    tensors = load_file(source / "model.safetensors")
    for file in source.iterdir():
        if file.name != "model.safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())

    for missing in tensors:
        save_file({key: tensors[key] for key in tensors if key != missing}, tmp_path / "model.safetensors")
        with pytest.raises(TensorError) as caught:
            read_checkpoint(tmp_path)
        assert missing == caught.value.tensor or missing.startswith("classifier.")


def test_names_of_an_architecture_are_all_different() -> None:
    config = read_checkpoint(CHECKPOINTS / "electra-single").config
    for architecture in ARCHITECTURES.values():
        names = list(tensor_shapes(config))

        assert len(names) == len({architecture.own_name(name) for name in names})

"""The fingerprint of an export: another for everything that changes an answer, the same for all else."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bertriton import contract
from bertriton_export.checkpoint import with_head
from bertriton_export.int8 import Int8Request, Int8Texts
from bertriton_export.reading import read_checkpoint
from bertriton_export.repository import fingerprint_for
from bertriton_export.targets import GraphRequest

if TYPE_CHECKING:
    from bertriton_export.checkpoint import Checkpoint

ONE_LAYER = Path(__file__).parent.parent.parent / "data" / "checkpoints" / "one-layer"
FP32 = GraphRequest("fp32")
INT8 = Int8Request(Int8Texts(("one text",), ("another",)))


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return with_head(read_checkpoint(ONE_LAYER))


def _changed_tokenizer(checkpoint: Checkpoint) -> str:
    document = json.loads(checkpoint.tokenizer_json)
    document["normalizer"] = None
    return json.dumps(document)


def test_a_fingerprint_is_eight_bytes_in_hexadecimal(checkpoint: Checkpoint) -> None:
    assert re.fullmatch("[0-9a-f]{16}", fingerprint_for(checkpoint, "cpu", FP32))


def test_everything_that_changes_an_answer_changes_the_fingerprint(checkpoint: Checkpoint) -> None:
    config = checkpoint.config
    changes: list[dict[str, Any]] = [
        {"sha256": "0" * 64},
        {"labels": checkpoint.labels[::-1]},
        {"labels": ("neg", "positive")},
        {"problem_type": contract.MULTI_LABEL},
        {"problem_type": contract.MULTI_LABEL, "threshold": 0.4},
        {"max_length": checkpoint.max_length - 1},
        {"tokenizer_json": _changed_tokenizer(checkpoint)},
        {"config": replace(config, num_attention_heads=config.num_attention_heads * 2)},
        {"config": replace(config, activation="gelu")},
        {"config": replace(config, layer_norm_eps=1e-5)},
        {"config": replace(config, reads_token_types=False)},
    ]
    requests = [
        ("cpu", FP32),
        ("cuda", FP32),
        ("tensorrt", FP32),
        ("cuda", GraphRequest("fp16")),
        ("cpu", GraphRequest("int8", INT8)),
        ("cpu", GraphRequest("int8", replace(INT8, keep_fp32=("encoder.layer.0",)))),
        ("cpu", GraphRequest("int8", replace(INT8, texts=Int8Texts(("one text",), ("a third",))))),
    ]

    found = [fingerprint_for(replace(checkpoint, **change), "cpu", FP32) for change in changes]
    found += [fingerprint_for(checkpoint, target, request) for target, request in requests]

    assert len(set(found)) == len(changes) + len(requests)


def test_what_changes_no_answer_changes_no_fingerprint(checkpoint: Checkpoint, tmp_path: Path) -> None:
    elsewhere = replace(checkpoint, path=tmp_path, source={"format": "another"})
    with_another = replace(FP32, fingerprint="00f1a2b3c4d5e6f7")

    found = {
        fingerprint_for(checkpoint, "cpu", FP32),
        fingerprint_for(elsewhere, "cpu", FP32),
        fingerprint_for(checkpoint, "cpu", with_another),
    }

    assert len(found) == 1

"""Every model family in the graphs for GPUs, run without one."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rebuilt_checkpoints

from bertriton_export import UnsupportedModelError
from bertriton_export.checkpoint import GteConfig, ModernBertConfig, XLMRobertaXLConfig, with_head
from bertriton_export.network import GraphOptions, write_bert_graph
from bertriton_export.reading import read_checkpoint
from bertriton_export.targets.cuda import PRECISION_TO_TOLERANCE, cuda_options
from bertriton_export.targets.tensorrt.families import write_tensorrt_graph
from bertriton_export.verification import GraphSession, encode, packed_inputs, reference_logits, sample_texts

if TYPE_CHECKING:
    from bertriton_export.checkpoint import Checkpoint

run_packed = runpy.run_path(str(Path(__file__).with_name("packed_reference.py")))["run_packed"]

# What single, multi and regression are about is the same for all targets; so is the head.
NAMES = [name for name in rebuilt_checkpoints.names() if not name.endswith("-multi")]

every_family = pytest.mark.parametrize("name", NAMES)
every_precision = pytest.mark.parametrize("precision", PRECISION_TO_TOLERANCE)


def checkpoint_of(name: str, folder: Path) -> Checkpoint:
    return with_head(read_checkpoint(rebuilt_checkpoints.rebuild(rebuilt_checkpoints.read(name), folder)))


def texts() -> list[str]:
    """Longer and shorter than the reach of local attention, and longer than several of its blocks."""
    sentences = sample_texts()
    return [*sentences[:3], "a", " ".join(sentences[3:9]), sentences[9]]


@every_family
@every_precision
def test_the_file_for_cuda_computes_what_the_reference_does(
    name: str, precision: str, tmp_path: Path
) -> None:
    checkpoint = checkpoint_of(name, tmp_path / name)
    file = write_bert_graph(checkpoint, tmp_path, cuda_options(precision))
    encodings = encode(checkpoint, texts())

    logits, _ = run_packed(file, packed_inputs(encodings))

    expected = reference_logits(checkpoint, encodings)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=PRECISION_TO_TOLERANCE[precision])


@every_family
@every_precision
def test_the_file_for_tensorrt_computes_what_the_reference_does_or_is_refused(
    name: str, precision: str, tmp_path: Path
) -> None:
    checkpoint = checkpoint_of(name, tmp_path / name)
    options = GraphOptions(dtype=np.float16 if precision == "fp16" else np.float32)
    if isinstance(checkpoint.config, GteConfig | ModernBertConfig | XLMRobertaXLConfig):
        with pytest.raises(UnsupportedModelError, match="not made for TensorRT"):
            write_tensorrt_graph(checkpoint, tmp_path, options)
        return
    encodings = encode(checkpoint, texts())

    found = GraphSession(write_tensorrt_graph(checkpoint, tmp_path, options)).logits(encodings)

    expected = reference_logits(checkpoint, encodings)
    np.testing.assert_allclose(found, expected, rtol=0, atol=PRECISION_TO_TOLERANCE[precision])

"""Which graph for TensorRT a checkpoint is written as: one entry a family, by its configuration."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Final

import onnx

from bertriton_export.checkpoint import (
    BertConfig,
    DebertaConfig,
    GteConfig,
    ModernBertConfig,
    MPNetConfig,
    XLMRobertaXLConfig,
    of_family,
)
from bertriton_export.errors import UnsupportedModelError
from bertriton_export.network import ONNX_FILE, OPSET, GraphBuilder, WeightFile
from bertriton_export.targets.tensorrt.deberta import DebertaTensorrtGraph
from bertriton_export.targets.tensorrt.graph import TensorrtGraph
from bertriton_export.targets.tensorrt.mpnet import MPNetTensorrtGraph
from bertriton_export.targets.tensorrt.operators import require_supported_by_tensorrt

if TYPE_CHECKING:
    from pathlib import Path

    from bertriton_export.checkpoint import Checkpoint
    from bertriton_export.network import GraphOptions

# The first whose QuantizeLinear has fp16 scales: an older one would make int8 products pass fp32 on.
INT8_OPSET: Final = 19

# A text in place of a graph says why there is none.
CONFIG_TO_GRAPH: Final[dict[type[BertConfig], type[TensorrtGraph] | str]] = {
    BertConfig: TensorrtGraph,
    MPNetConfig: MPNetTensorrtGraph,
    DebertaConfig: DebertaTensorrtGraph,
    XLMRobertaXLConfig: "an XLM-RoBERTa-XL is not made for TensorRT, since nobody wrote its graph yet",
    ModernBertConfig: "a ModernBERT is not made for TensorRT, since padded rows of thousands of tokens would "
    "need the scores of all pairs of them",
    GteConfig: "a GTE or Nomic BERT is not made for TensorRT, since nobody wrote its graph yet",
}


def write_tensorrt_graph(checkpoint: Checkpoint, folder: Path, options: GraphOptions) -> Path:
    """Write the graph of a checkpoint's family and its weights into a folder and return the graph's file.

    Args:
        checkpoint: to write.
        folder: to write into.
        options: precision, int8, and which layers stay out of it; the graph has an attention of its own.

    Raises:
        UnsupportedModelError: TensorRT reads no such graph, a weight is beyond the precision, or no graph of
            the checkpoint's family is made for TensorRT.
    """
    family = of_family(checkpoint.config, CONFIG_TO_GRAPH)
    if isinstance(family, str):
        raise UnsupportedModelError(
            f"{checkpoint.path}: {family}; export it with --target cuda or --target cpu"
        )
    file = folder / ONNX_FILE
    opset = INT8_OPSET if options.int8 else OPSET
    with closing(WeightFile(folder / options.weights_file)) as weight_file:
        graph = family(checkpoint, GraphBuilder(weight_file, opset), options).build()
    onnx.save_model(graph, file)
    onnx.checker.check_model(file)
    require_supported_by_tensorrt(file)
    return file

"""Which graph a checkpoint is written as: one entry a family, by the kind of its configuration."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Final

import onnx

from bertriton_export.checkpoint import BertConfig, DebertaConfig
from bertriton_export.network.bert import BertGraph
from bertriton_export.network.deberta import DebertaGraph
from bertriton_export.network.graph_builder import GraphBuilder, WeightFile

if TYPE_CHECKING:
    from pathlib import Path

    from bertriton_export.checkpoint import Checkpoint
    from bertriton_export.network.bert import GraphOptions

ONNX_FILE: Final = "model.onnx"

CONFIG_TO_GRAPH: Final[dict[type[BertConfig], type[BertGraph]]] = {
    BertConfig: BertGraph,
    DebertaConfig: DebertaGraph,
}


def takes_attention(config: BertConfig) -> bool:
    """Whether a graph's attention is the one that `GraphOptions` ask for."""
    return CONFIG_TO_GRAPH[type(config)].takes_attention


def write_bert_graph(checkpoint: Checkpoint, folder: Path, options: GraphOptions) -> Path:
    """Write the graph of a checkpoint's family and its weights into a folder and return the graph's file."""
    file = folder / ONNX_FILE
    family = CONFIG_TO_GRAPH[type(checkpoint.config)]
    with closing(WeightFile(folder / options.weights_file)) as weight_file:
        graph = family(checkpoint, GraphBuilder(weight_file), options).build()
    onnx.save_model(graph, file)
    onnx.checker.check_model(file)
    return file

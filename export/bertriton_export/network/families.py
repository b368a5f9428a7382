"""Which graph a checkpoint is written as: one entry a family, by the kind of its configuration."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

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
from bertriton_export.network.bert import BertGraph, bert_linears
from bertriton_export.network.deberta import DebertaGraph
from bertriton_export.network.graph_builder import GraphBuilder, WeightFile
from bertriton_export.network.gte import GteGraph, gte_linears
from bertriton_export.network.modernbert import ModernBertGraph, modernbert_linears
from bertriton_export.network.relatives import MPNetGraph, XLMRobertaXLGraph

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bertriton_export.checkpoint import Checkpoint
    from bertriton_export.network.bert import GraphOptions


ONNX_FILE: Final = "model.onnx"


class Graph(Protocol):
    """Emits one network."""

    def __init__(self, checkpoint: Checkpoint, g: GraphBuilder, options: GraphOptions) -> None: ...

    def build(self) -> onnx.ModelProto:
        """Emit the whole graph."""


@dataclass(frozen=True)
class Family:
    """One family of networks."""

    graph: type[Graph]
    linears: Callable[[BertConfig], list[str]] = bert_linears  # names of those that int8 applies to
    layers: str = "encoder.layer."  # what its layers' names begin with, behind the first dot
    takes_attention: bool = True  # `GraphOptions.attention`; or it has the same on every machine


FAMILIES: Final[dict[type[BertConfig], Family]] = {
    BertConfig: Family(BertGraph),
    MPNetConfig: Family(MPNetGraph),
    XLMRobertaXLConfig: Family(XLMRobertaXLGraph),
    DebertaConfig: Family(DebertaGraph, takes_attention=False),
    ModernBertConfig: Family(ModernBertGraph, modernbert_linears, "layers."),
    GteConfig: Family(GteGraph, gte_linears),
}
# Ends of the names of linear layers that read the same input.
LINEARS_OF_ONE_INPUT: Final = (
    (".self.query", ".self.key", ".self.value"),
    (".attn.query", ".attn.key", ".attn.value"),
    (".mlp.input", ".mlp.gate"),
)


def write_bert_graph(checkpoint: Checkpoint, folder: Path, options: GraphOptions) -> Path:
    """Write the graph of a checkpoint's family and its weights into a folder and return the graph's file."""
    file, family = folder / ONNX_FILE, of_family(checkpoint.config, FAMILIES)
    with closing(WeightFile(folder / options.weights_file)) as weight_file:
        graph = family.graph(checkpoint, GraphBuilder(weight_file), options).build()
    onnx.save_model(graph, file)
    onnx.checker.check_model(file)
    return file


def takes_attention(config: BertConfig) -> bool:
    """Whether a graph's attention is the one that `GraphOptions` ask for."""
    return of_family(config, FAMILIES).takes_attention


def encoder_linears(config: BertConfig) -> list[str]:
    """Names of the linear layers that int8 applies to, in the order of computation."""
    return of_family(config, FAMILIES).linears(config)


def encoder_layers(config: BertConfig) -> list[str]:
    """Names of the layers that the checkpoint has tensors of, as `keep_fp32` takes them.

    Example:
        >>> encoder_layers(checkpoint.config)
        ['encoder.layer.0', 'encoder.layer.1']
    """
    return [f"{of_family(config, FAMILIES).layers}{index}" for index in range(config.num_stored_layers)]


def linears_within(config: BertConfig, layer: str) -> list[str]:
    """The linear layers in an encoder layer, or the one of this name, with or without its first part."""
    return [
        name
        for name in encoder_linears(config)
        if any(f"{whole}.".startswith(f"{layer}.") for whole in (name, name.partition(".")[2]))
    ]


def readers_of_one_input(linear: str) -> list[str]:
    """The linear layers that read what this one reads, itself among them."""
    for ends in LINEARS_OF_ONE_INPUT:
        for end in ends:
            if linear.endswith(end):
                return [linear.removesuffix(end) + other for other in ends]
    return [linear]

"""The families of networks: which file writes a checkpoint's graph, by the kind of its dimensions."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import onnx

from bertriton_export.checkpoint import BertConfig, DebertaConfig, ModernBertConfig, XLMRobertaXLConfig
from bertriton_export.network.bert import ONNX_FILE, BertGraph, bert_linears
from bertriton_export.network.deberta import DebertaGraph
from bertriton_export.network.graph_builder import GraphBuilder, WeightFile
from bertriton_export.network.modernbert import ModernBertGraph, modernbert_linears
from bertriton_export.network.xlm_roberta_xl import XLMRobertaXLGraph

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bertriton_export.checkpoint import Checkpoint
    from bertriton_export.network.bert import GraphOptions


class Graph(Protocol):
    """Emits one network."""

    def __init__(self, checkpoint: Checkpoint, g: GraphBuilder, options: GraphOptions) -> None: ...

    def build(self) -> onnx.ModelProto:
        """Emit the whole graph."""


@dataclass(frozen=True)
class Family:
    """One family of networks."""

    graph: type[Graph]
    linears: Callable[[BertConfig], list[str]]  # names of those that int8 applies to
    layers: str  # what its layers' names begin with, behind the first dot
    takes_attention: bool = True  # that of `GraphOptions`; or its attention is the same on every machine


FAMILIES: Final[dict[type[BertConfig], Family]] = {
    BertConfig: Family(BertGraph, bert_linears, "encoder.layer."),
    DebertaConfig: Family(DebertaGraph, bert_linears, "encoder.layer.", takes_attention=False),
    XLMRobertaXLConfig: Family(XLMRobertaXLGraph, bert_linears, "encoder.layer."),
    ModernBertConfig: Family(ModernBertGraph, modernbert_linears, "layers."),
}
# Ends of the names of linear layers that read the same input.
LINEARS_OF_ONE_INPUT: Final = (
    (".self.query", ".self.key", ".self.value"),
    (".attn.query", ".attn.key", ".attn.value"),
    (".mlp.input", ".mlp.gate"),
)


def family_of(config: BertConfig) -> Family:
    """The family that dimensions are of; what is no kind of its own is one of BERT's."""
    return next(FAMILIES[kind] for kind in type(config).__mro__ if kind in FAMILIES)


def takes_attention(config: BertConfig) -> bool:
    """Whether a graph's attention is the one that `GraphOptions` ask for."""
    return family_of(config).takes_attention


def write_bert_graph(checkpoint: Checkpoint, folder: Path, options: GraphOptions) -> Path:
    """Write the graph and its weights into a folder and return the graph's file."""
    file = folder / ONNX_FILE
    with closing(WeightFile(folder / options.weights_file)) as weight_file:
        graph = family_of(checkpoint.config).graph(checkpoint, GraphBuilder(weight_file), options).build()
    onnx.save_model(graph, file)
    onnx.checker.check_model(file)
    return file


def encoder_linears(config: BertConfig) -> list[str]:
    """Names of the linear layers that int8 applies to, in the order of computation."""
    return family_of(config).linears(config)


def encoder_layers(config: BertConfig) -> list[str]:
    """Names of the layers that the checkpoint has tensors of, as `keep_fp32` takes them.

    Example:
        >>> encoder_layers(checkpoint.config)
        ['encoder.layer.0', 'encoder.layer.1']
    """
    return [f"{family_of(config).layers}{index}" for index in range(config.num_stored_layers)]


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

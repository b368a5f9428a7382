"""What a TensorFlow graph knows of a BERT that its variables do not: heads, epsilon, activation."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any, Final

from bertriton_export.checkpoint import GraphFacts
from bertriton_export.errors import UnsupportedModelError
from bertriton_export.reading.tensorflow.protos import parse_message

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# Names of nodes within the network, as Transformers' Keras classes give them.
_HEADS: Final = re.compile(r"(^|/)layer_\._0/attention/self/Reshape/shape/2$")
_EPSILON: Final = re.compile(r"(^|/)embeddings/LayerNorm/batchnorm/add/y$")
_INTERMEDIATE: Final = re.compile(r"(^|/)layer_\._0/intermediate/")
# Operator of the feed-forward block -> activation, a value of HIDDEN_ACT_TO_ACTIVATION.
_OPERATOR_TO_ACTIVATION: Final = {"Erf": "gelu", "Tanh": "gelu_tanh", "Relu": "relu"}


def graph_def_facts(content: memoryview, file: Path) -> GraphFacts:
    """Read them from a bare GraphDef, as Spark NLP saves it."""
    return _facts(parse_message("GraphDef", content, file), file)


def saved_model_facts(content: memoryview, file: Path) -> GraphFacts:
    """Read them from the `saved_model.pb` that TensorFlow saves."""
    saved = parse_message("SavedModel", content, file)
    if len(saved.meta_graphs) != 1:
        raise UnsupportedModelError(f"{file}: {len(saved.meta_graphs)} graphs, expected one")
    return _facts(saved.meta_graphs[0].graph_def, file)


def _facts(graph: Any, file: Path) -> GraphFacts:  # noqa: ANN401 (a message made at run time)
    # The network is in a function of the library, or in the graph itself where it was frozen.
    for nodes in (graph.node, *(function.node_def for function in graph.library.function)):
        if facts := _facts_of_nodes(nodes):
            return facts
    raise UnsupportedModelError(
        f"{file}: no function in it has the nodes of Transformers' TFBertForSequenceClassification that "
        "tell number of heads, epsilon and activation"
    )


def _facts_of_nodes(nodes: Iterable[Any]) -> GraphFacts | None:
    heads, epsilon, activation = None, None, None
    for node in nodes:
        if node.op == "Const" and _HEADS.search(node.name):
            heads = _scalar(node, "int_val", "<i")
        elif node.op == "Const" and _EPSILON.search(node.name):
            epsilon = _scalar(node, "float_val", "<f")
        elif node.op in _OPERATOR_TO_ACTIVATION and _INTERMEDIATE.search(node.name):
            activation = _OPERATOR_TO_ACTIVATION[node.op]
    if heads is None or epsilon is None or activation is None:
        return None
    return GraphFacts(num_attention_heads=int(heads), layer_norm_eps=epsilon, activation=activation)


def _scalar(node: Any, field: str, layout: str) -> float | None:  # noqa: ANN401
    for attribute in node.attr:
        if attribute.key == "value":
            tensor = attribute.value.tensor
            if values := getattr(tensor, field):
                return float(values[0])
            if len(tensor.tensor_content) == struct.calcsize(layout):
                return float(struct.unpack(layout, tensor.tensor_content)[0])
    return None

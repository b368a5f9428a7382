"""Hold a graph to what TensorRT's ONNX parser reads, before anybody waits for an engine.

`operators.json` lists the operators and, for each, the types of its first input; it names its
source, the parser's own documentation.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Final, NoReturn

import onnx
from onnx import TensorProto

from bertriton_export.errors import UnsupportedModelError

if TYPE_CHECKING:
    from pathlib import Path

# ONNX's types -> what the parser's documentation calls them.
_TYPE_TO_NAME: Final[dict[int, str]] = {
    TensorProto.FLOAT: "FP32",
    TensorProto.FLOAT16: "FP16",
    TensorProto.BFLOAT16: "BF16",
    TensorProto.INT32: "INT32",
    TensorProto.INT64: "INT64",
    TensorProto.INT8: "INT8",
    TensorProto.UINT8: "UINT8",
    TensorProto.BOOL: "BOOL",
}


def supported_operators() -> dict[str, frozenset[str]]:
    """Operators that TensorRT reads -> types of the first input that it reads them with."""
    file = resources.files(__package__) / "operators.json"
    listed = json.loads(file.read_text(encoding="utf-8"))["operators"]
    return {operator: frozenset(types) for operator, types in listed.items()}


def require_supported_by_tensorrt(onnx_file: Path) -> None:
    """Check every node of a graph, its types inferred strictly.

    Args:
        onnx_file: with its weights inside or beside it; those are not read.

    Raises:
        UnsupportedModelError: TensorRT does not read a node; names node, operator and type.
    """
    supported = supported_operators()
    model = onnx.load(onnx_file, load_external_data=False)
    for node in model.graph.node:
        if _operator(node) not in supported:
            _refuse(onnx_file, node, f"no operator {_operator(node)}")
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    name_to_type = _types(inferred.graph)
    for node in model.graph.node:
        types, found = supported[_operator(node)], _TYPE_TO_NAME[name_to_type[node.input[0]]]
        if found not in types:
            _refuse(onnx_file, node, f"{node.op_type} of {', '.join(sorted(types))}, not of {found}")


def _operator(node: onnx.NodeProto) -> str:
    return f"{node.domain}.{node.op_type}" if node.domain else str(node.op_type)


def _refuse(onnx_file: Path, node: onnx.NodeProto, what_is_read: str) -> NoReturn:
    raise UnsupportedModelError(
        f"{onnx_file.name}: node {node.name!r}: TensorRT's ONNX parser reads {what_is_read}"
    )


def _types(graph: onnx.GraphProto) -> dict[str, int]:
    """Element types of all values of a graph."""
    values = (*graph.input, *graph.value_info, *graph.output)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    return types | {tensor.name: tensor.data_type for tensor in graph.initializer}

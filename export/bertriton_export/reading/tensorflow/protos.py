"""The few of TensorFlow's messages that say where weights lie, declared by hand: no TensorFlow needed.

Field numbers are those of tensorflow/core/protobuf (tensor_bundle, trackable_object_graph, saved_model,
meta_graph) and tensorflow/core/framework (graph, function, node_def, attr_value, tensor). Fields that are not
listed are skipped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bertriton_export.messages import Messages

if TYPE_CHECKING:
    from pathlib import Path

# Message -> field -> (number, type); `*` before the type marks a repeated field.
_MESSAGES: Final[dict[str, dict[str, tuple[int, str]]]] = {
    "BundleHeaderProto": {"num_shards": (1, "int32"), "endianness": (2, "int32")},
    "BundleEntryProto": {
        "dtype": (1, "int32"),
        "shape": (2, "TensorShapeProto"),
        "shard_id": (3, "int32"),
        "offset": (4, "int64"),
        "size": (5, "int64"),
        "crc32c": (6, "fixed32"),
        "slices": (7, "*bytes"),
    },
    "TensorShapeProto": {"dim": (2, "*Dim"), "unknown_rank": (3, "bool")},
    "Dim": {"size": (1, "int64")},
    "TrackableObjectGraph": {"nodes": (1, "*TrackableObject")},
    "TrackableObject": {"attributes": (2, "*SerializedTensor")},
    "SerializedTensor": {"name": (1, "string"), "full_name": (2, "string"), "checkpoint_key": (3, "string")},
    "SavedModel": {"meta_graphs": (2, "*MetaGraphDef")},
    "MetaGraphDef": {"graph_def": (2, "GraphDef")},
    "GraphDef": {"node": (1, "*NodeDef"), "library": (2, "FunctionDefLibrary")},
    "FunctionDefLibrary": {"function": (1, "*FunctionDef")},
    "FunctionDef": {"node_def": (3, "*NodeDef")},
    "NodeDef": {"name": (1, "string"), "op": (2, "string"), "attr": (5, "*AttrEntry")},
    "AttrEntry": {"key": (1, "string"), "value": (2, "AttrValue")},
    "AttrValue": {"tensor": (8, "TensorProto")},
    "TensorProto": {"float_val": (5, "*float"), "int_val": (7, "*int32"), "tensor_content": (4, "bytes")},
}
_DECLARED: Final = Messages("TensorFlow", _MESSAGES)


def parse_message(name: str, content: bytes | memoryview, file: Path) -> Any:  # noqa: ANN401 (made at run time)
    """Parse one of the messages of this module.

    Raises:
        CheckpointError: the bytes are no such message.
    """
    return _DECLARED.parse(name, content, file)

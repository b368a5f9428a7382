"""The few of TensorFlow's messages that say where weights lie, declared by hand: no TensorFlow needed.

Field numbers are those of tensorflow/core/protobuf (tensor_bundle, trackable_object_graph, saved_model,
meta_graph) and tensorflow/core/framework (graph, function, node_def, attr_value, tensor). Fields that are not
listed are skipped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from bertriton_export.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

_PACKAGE: Final = "bertriton.tensorflow"

# Message -> field -> (number, type); `*` before the type marks a repeated field.
_MESSAGES: Final[dict[str, dict[str, tuple[int, str]]]] = {
    "BundleHeaderProto": {"num_shards": (1, "int32"), "endianness": (2, "int32")},
    "BundleEntryProto": {
        "dtype": (1, "int32"),
        "shape": (2, "TensorShapeProto"),
        "shard_id": (3, "int32"),
        "offset": (4, "int64"),
        "size": (5, "int64"),
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
_SCALARS: Final = frozenset({"int32", "int64", "bool", "string", "bytes", "float"})


def _message_classes() -> dict[str, type[Any]]:
    field_type = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="bertriton/tensorflow.proto", package=_PACKAGE, syntax="proto3"
    )
    for message_name, fields in _MESSAGES.items():
        message = file.message_type.add(name=message_name)
        for name, (number, kind) in fields.items():
            kind_name = kind.removeprefix("*")
            field = message.field.add(name=name, number=number)
            field.label = field_type.LABEL_REPEATED if kind != kind_name else field_type.LABEL_OPTIONAL
            if kind_name in _SCALARS:
                field.type = field_type.Type.Value(f"TYPE_{kind_name.upper()}")
            else:
                field.type, field.type_name = field_type.TYPE_MESSAGE, f".{_PACKAGE}.{kind_name}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in _MESSAGES
    }


_CLASSES: Final = _message_classes()


def parse_message(name: str, content: bytes | memoryview, file: Path) -> Any:  # noqa: ANN401 (made at run time)
    """Parse one of the messages of this module.

    Raises:
        CheckpointError: the bytes are no such message.
    """
    try:
        return _CLASSES[name].FromString(bytes(content))
    except DecodeError as exc:
        raise CheckpointError(file, f"not a {name} of TensorFlow: {exc}") from exc

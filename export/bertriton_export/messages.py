"""Messages of other programs' protobuf files, declared field by field: no generated code needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from bertriton_export.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SCALARS: Final = frozenset({"int32", "int64", "bool", "string", "bytes", "float", "fixed32"})


class Messages:
    """Messages that know of the fields that are declared, and skip all others.

    Args:
        program: whose messages they are, for names and error messages.
        declared: message -> field -> (number, type); `*` before the type marks a repeated field.

    Example:
        >>> declared = Messages("TensorFlow", {"Dim": {"size": (1, "int64")}})
        >>> declared.parse("Dim", bytes([8, 3]), Path("graph.pb")).size
        3
    """

    def __init__(self, program: str, declared: Mapping[str, Mapping[str, tuple[int, str]]]) -> None:
        self._program = program
        package = f"bertriton.{program.lower()}"
        file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
        for name, fields in declared.items():
            _declare(file.message_type.add(name=name), fields, package)
        pool = descriptor_pool.DescriptorPool()
        pool.Add(file)
        self._classes = {
            name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
            for name in declared
        }

    def parse(self, name: str, content: bytes | memoryview, file: Path) -> Any:  # noqa: ANN401 (made at run time)
        """Parse one message.

        Args:
            name: one of those declared.
            content: its bytes.
            file: to name in the message of an error.

        Raises:
            CheckpointError: the bytes are no such message.
        """
        try:
            return self._classes[name].FromString(bytes(content))
        except DecodeError as exc:
            raise CheckpointError(file, f"not a {name} of {self._program}: {exc}") from exc


def _declare(
    message: descriptor_pb2.DescriptorProto, fields: Mapping[str, tuple[int, str]], package: str
) -> None:
    field_type = descriptor_pb2.FieldDescriptorProto
    for name, (number, kind) in fields.items():
        kind_name = kind.removeprefix("*")
        field = message.field.add(name=name, number=number)
        field.label = field_type.LABEL_REPEATED if kind != kind_name else field_type.LABEL_OPTIONAL
        if kind_name in SCALARS:
            field.type = field_type.Type.Value(f"TYPE_{kind_name.upper()}")
        else:
            field.type, field.type_name = field_type.TYPE_MESSAGE, f".{package}.{kind_name}"

"""Recover the weights of a BERT classifier from an ONNX export of it, by names and by the graph's structure.

Exporters keep the names of embeddings, LayerNorms and biases, but fold the transposition of a linear layer's
weight into an unnamed constant: the weight is what the MatMul before the Add of the bias multiplies with.
"""

from __future__ import annotations

import re
from collections import Counter
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import numpy_helper

from bertriton_export.checkpoint import GraphFacts, LazyTensor, refuse_broken_link, short
from bertriton_export.errors import CheckpointError, TensorError, UnsupportedModelError
from bertriton_export.reading.files import (
    Folder,
    byte_size,
    lazy_tensor,
    map_file,
    release_pages,
    require_whole,
    transposed,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from bertriton_export.reading.files import FileTree

_TYPE_TO_DTYPE: Final = {1: "F32", 10: "F16", 11: "F64", 16: "BF16"}
_PARAMETER: Final = re.compile(r"[A-Za-z_]\w*(\.\w+)*\.(weight|bias)")  # others are the exporter's own
_FIRST_QUERY_BIAS: Final = "bert.encoder.layer.0.attention.self.query.bias"
# Operators after which weights are no longer what was trained, or no longer apart from each other.
_QUANTISED: Final = frozenset({"DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "QLinearMatMul"})
_PLAIN_DOMAINS: Final = frozenset({"", "ai.onnx"})
_MAX_COUNT_DIGITS: Final = 19  # of 64 bits
# What a graph raises that lacks inputs, or has names that are no text.
_STRUCTURE_ERRORS: Final = (IndexError, TypeError, ValueError, KeyError, AttributeError, OverflowError)


@contextmanager
def _whole(file: Path) -> Iterator[None]:
    try:
        yield
    except _STRUCTURE_ERRORS as exc:
        raise CheckpointError(file, f"not a well-formed ONNX graph: {exc}") from exc


def onnx_tensors(file: Path) -> Iterator[tuple[str, LazyTensor]]:
    """The weights in an ONNX file under Hugging Face names.

    Raises:
        CheckpointError: the file is damaged.
        UnsupportedModelError: the graph was quantised, or fused by an optimiser.
    """
    yield from (
        OnnxClassifier(file, map_file(file), Folder(file.parent, links_may_leave=True)).tensors().items()
    )


class OnnxClassifier:
    """The graph of one classifier.

    Args:
        file: to name in messages.
        content: the bytes of the ONNX file.
        beside: the folder for weights that are kept outside the file; None refuses those.

    Raises:
        CheckpointError: the bytes are no ONNX model.
        UnsupportedModelError: the graph was quantised, or fused by an optimiser.
    """

    def __init__(self, file: Path, content: memoryview, beside: FileTree | None = None) -> None:
        self._file = file
        self._beside = beside
        encoded = bytes(content)
        release_pages(content)
        try:
            graph = onnx.ModelProto.FromString(encoded).graph
        except DecodeError as exc:
            raise CheckpointError(file, f"not a whole ONNX file: {exc}") from exc
        self._nodes = list(graph.node)
        with _whole(file):
            self._refuse_changed_weights()
            self._refuse_doubles(graph)
            self._index(graph)

    def _refuse_doubles(self, graph: onnx.GraphProto) -> None:
        """See that each name is of one value, as the format demands: a dictionary would take the last."""
        stored = [tensor.name for tensor in graph.initializer]
        stored += [tensor.values.name for tensor in graph.sparse_initializer]
        # What is stored may be an input as well, whose default it is: before IR version 4 it must be.
        given = {value.name for value in graph.input} - set(stored)
        computed = [output for node in self._nodes for output in node.output if output]
        if twice := _first_double([*stored, *given, *computed]):
            raise CheckpointError(
                self._file,
                f"the name {short(twice)} stands for two values of the graph, expected one: export the model "
                "to ONNX again",
            )

    def _index(self, graph: onnx.GraphProto) -> None:
        self._name_to_node = {output: node for node in self._nodes for output in node.output}
        self._name_to_tensor = {tensor.name: tensor for tensor in graph.initializer}
        for node in self._nodes:
            if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t"):
                self._name_to_tensor[node.output[0]] = node.attribute[0].t
        # Equal tensors are kept once, and the others refer to them.
        for node in self._nodes:
            if node.op_type == "Identity" and node.input[0] in self._name_to_tensor:
                self._name_to_tensor[node.output[0]] = self._name_to_tensor[node.input[0]]

    def _refuse_changed_weights(self) -> None:
        for node in self._nodes:
            if node.op_type in _QUANTISED:
                raise UnsupportedModelError(
                    f"{self._file}: is quantised ({node.op_type}); export from the float checkpoint"
                )
            if node.domain not in _PLAIN_DOMAINS:
                raise UnsupportedModelError(
                    f"{self._file}: was fused by an optimiser ({node.domain}.{node.op_type}); "
                    "export from the graph before optimisation"
                )

    def tensors(self) -> dict[str, LazyTensor]:
        """Every weight under its Hugging Face name."""
        with _whole(self._file):
            named = {
                name: self._lazy(name, name) for name in self._name_to_tensor if _PARAMETER.fullmatch(name)
            }
            additions = [node for node in self._nodes if node.op_type == "Add"]
            products = [pair for node in additions for pair in self._weight_before(node)]
            products += [pair for node in self._nodes if node.op_type == "Gemm" for pair in self._of(node)]
            parameter_to_constant: dict[str, str] = {}
            for parameter, constant in products:
                self._require_same(parameter, parameter_to_constant.setdefault(parameter, constant), constant)
            return named | {
                parameter: transposed(self._lazy(parameter, constant))
                for parameter, constant in parameter_to_constant.items()
            }

    def _require_same(self, parameter: str, first: str, other: str) -> None:
        """See that what shares a bias, as the layers of ALBERT do, shares the weight as well."""
        if first != other and _content(self._name_to_tensor[first]) != _content(self._name_to_tensor[other]):
            found = f"{short(first)} and {short(other)}"
            raise TensorError(self._file, parameter, expected="one matrix before its bias", found=found)

    def _weight_before(self, add: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401 (a NodeProto)
        """The parameter of the product that a bias is added to, and the constant that holds it."""
        bias = next((name for name in add.input if _PARAMETER.fullmatch(name) and name.endswith(".bias")), "")
        for name in add.input:
            product = self._name_to_node.get(name)
            if bias and product is not None and product.op_type == "MatMul":
                weight = product.input[1]
                if weight in self._name_to_tensor:
                    yield f"{bias.removesuffix('.bias')}.weight", weight

    def _of(self, gemm: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401 (a NodeProto)
        """The parameter of a product with its bias, where it lies as before an Add and not under its name."""
        _, weight, *bias = gemm.input
        if not any(_PARAMETER.fullmatch(name) for name in (weight, *bias)):
            return
        told = {
            value.name: value.f if value.name in ("alpha", "beta") else value.i for value in gemm.attribute
        }
        own = {"alpha": 1, "beta": 1, "transA": 0}
        if any(told.get(key, value) != value for key, value in own.items()):
            raise UnsupportedModelError(
                f"{self._file}: the product {short(gemm.name)} is scaled, or of a transposed input, which no "
                "linear layer of PyTorch is; export from the checkpoint"
            )
        if (
            bias
            and bias[0].endswith(".bias")
            and not told.get("transB", 0)
            and weight in self._name_to_tensor
        ):
            yield f"{bias[0].removesuffix('.bias')}.weight", weight

    def _lazy(self, name: str, constant: str) -> LazyTensor:
        tensor = self._name_to_tensor[constant]
        shape = tuple(tensor.dims)
        dtype = _TYPE_TO_DTYPE.get(tensor.data_type, onnx.TensorProto.DataType.Name(tensor.data_type))
        if any(size < 1 for size in shape):
            raise TensorError(self._file, name, expected="sizes from 1", found=f"shape {list(shape)}")
        kept = [field.name for field, _ in tensor.ListFields() if field.name.endswith("_data")]
        if len(kept) > 1:  # as raw_data and float_data, of which a reader takes either
            raise TensorError(self._file, name, expected="its values once", found=" and ".join(kept))
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            return self._outside(name, tensor, dtype, shape)
        return LazyTensor(self._file, shape, dtype, partial(_load, self._file, name, tensor))

    def _outside(self, name: str, tensor: Any, dtype: str, shape: tuple[int, ...]) -> LazyTensor:  # noqa: ANN401
        entries = {entry.key: entry.value for entry in tensor.external_data}
        if twice := _first_double([entry.key for entry in tensor.external_data]):
            raise TensorError(self._file, name, expected=f"one {short(twice)} of its place", found="two")
        location, offset = entries.get("location", ""), entries.get("offset", "0")
        # The location is part of the download: it must not lead anywhere else.
        if self._beside is None or "/" in location or location not in self._beside.names():
            if self._beside is not None and "/" not in location:
                refuse_broken_link(self._beside.path / location)
            raise CheckpointError(
                self._file,
                f"tensor {short(name)} is kept in {short(location)}, which is not a file of the folder",
            )
        if not _is_count(offset) or dtype not in _TYPE_TO_DTYPE.values():
            found = f"{short(offset)}, {dtype}"
            raise TensorError(self._file, name, expected="an offset and a type", found=found)
        length = entries.get("length", str(byte_size(dtype, shape)))
        if length != str(byte_size(dtype, shape)):
            expected = f"a length of {byte_size(dtype, shape)} bytes for shape {list(shape)}"
            raise TensorError(self._file, name, expected=expected, found=short(length))
        data = self._beside.read(location)[int(offset) :][: byte_size(dtype, shape)]
        require_whole(data, dtype, shape, listed_in=self._file, name=name, where=f"in {location}")
        return lazy_tensor(self._beside.path / location, data, dtype, shape)

    def facts(self) -> GraphFacts:
        """Heads, epsilon and activation, where no config.json tells them.

        Raises:
            UnsupportedModelError: the graph does not tell one of them.
        """
        with _whole(self._file):
            head_size, epsilon, activation = self._head_size(), self._epsilon(), self._activation()
        bias = self._name_to_tensor.get(_FIRST_QUERY_BIAS)
        if not head_size or epsilon is None or activation is None or bias is None or not bias.dims:
            raise UnsupportedModelError(
                f"{self._file}: the graph tells head size {head_size}, epsilon {epsilon} and activation "
                f"{activation}; expected all three, as PyTorch exports them"
            )
        return GraphFacts(bias.dims[0] // head_size, epsilon, activation)

    def _head_size(self) -> int | None:
        """What the query is reshaped to: [..., heads, head size]."""
        for node in self._nodes:
            producer = self._name_to_node.get(node.input[0]) if node.op_type == "Reshape" else None
            if producer is not None and _FIRST_QUERY_BIAS in producer.input:
                shape = node.input[1]
                concatenation = self._name_to_node.get(shape)
                if concatenation is not None and concatenation.op_type == "Concat":
                    shape = concatenation.input[-1]
                if shape in self._name_to_tensor:
                    return int(self._constant(shape).flat[-1])
        return None

    def _epsilon(self) -> float | None:
        for node in self._nodes:
            if node.op_type == "LayerNormalization":
                return next((value.f for value in node.attribute if value.name == "epsilon"), None)
            if node.op_type == "Sqrt" and (add := self._name_to_node.get(node.input[0])) is not None:
                constants = [name for name in add.input if name in self._name_to_tensor]
                if add.op_type == "Add" and constants:
                    return float(self._constant(constants[0]).flat[0])
        return None

    def _activation(self) -> str | None:
        operators = [node.op_type for node in self._nodes]
        if "Erf" in operators:
            return "gelu"
        if "Relu" in operators:
            return "relu"
        # The pooler has one; more are in the feed-forward blocks.
        return "gelu_tanh" if operators.count("Tanh") > 1 else None

    def _constant(self, name: str) -> NDArray[Any]:
        return _load(self._file, name, self._name_to_tensor[name])


def _content(tensor: Any) -> bytes:  # noqa: ANN401 (a TensorProto)
    """Everything of a tensor but its name."""
    nameless = onnx.TensorProto()
    nameless.CopyFrom(tensor)
    nameless.ClearField("name")
    nameless.ClearField("doc_string")
    return nameless.SerializeToString(deterministic=True)


def _first_double(names: list[str]) -> str | None:
    return next((name for name, count in Counter(names).items() if count > 1), None)


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _MAX_COUNT_DIGITS


def _load(file: Path, name: str, tensor: Any) -> NDArray[Any]:  # noqa: ANN401 (a TensorProto)
    if tensor.data_location == onnx.TensorProto.EXTERNAL:  # which the library would look for by itself
        raise TensorError(file, name, expected="its values in the graph", found="a reference to another file")
    try:
        array: NDArray[Any] = numpy_helper.to_array(tensor)
    except _STRUCTURE_ERRORS as exc:
        raise CheckpointError(file, f"tensor {short(name)} cannot be read: {exc}") from exc
    if not array.size:
        raise TensorError(file, name, expected="values", found="none")
    return array if array.dtype.kind in "fiu" else array.astype(np.float32)

"""Emit ONNX nodes with scoped names; weights go straight to a file beside the graph.

Weights are ONNX external data (https://github.com/onnx/onnx/blob/main/docs/ExternalData.md): the graph
stays small enough to read, no size limit applies, and every instance of a server maps the same pages.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np
import onnx
from onnx import TensorProto, helper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

# The newest that ONNX Runtime 1.20, TensorRT 10 and OpenVINO all read; LayerNormalization came with it.
OPSET: Final = 17
# https://github.com/onnx/onnx/blob/main/docs/Versioning.md
OPSET_TO_IR_VERSION: Final = {OPSET: 8, 19: 9}

CONTRIB_DOMAIN: Final = "com.microsoft"
# https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
CONTRIB_OPS: Final = frozenset(
    {
        "BiasGelu",
        "FastGelu",
        "Gelu",
        "MatMulIntegerToFloat",
        "MultiHeadAttention",
        "PackedMultiHeadAttention",
        "RotaryEmbedding",
        "SkipLayerNormalization",
    }
)

# A mapping of a file must start on a page.
WEIGHT_ALIGNMENT_BYTES: Final = 4096


class WeightFile:
    """The external data of one ONNX file, written tensor by tensor so that memory holds only one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO = path.open("wb")

    def append(self, name: str, array: NDArray[Any]) -> TensorProto:
        """Write one array and return the initializer that points to it."""
        self._file.write(b"\0" * (-self._file.tell() % WEIGHT_ALIGNMENT_BYTES))
        offset = self._file.tell()
        self._file.write(np.ascontiguousarray(array).data)
        tensor = TensorProto(
            name=name,
            dims=array.shape,
            data_type=helper.np_dtype_to_tensor_dtype(array.dtype),
            data_location=TensorProto.EXTERNAL,
        )
        location = {"location": self._path.name, "offset": str(offset), "length": str(array.nbytes)}
        for key, value in location.items():
            tensor.external_data.add(key=key, value=value)
        return tensor

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


class GraphBuilder:
    """Collects the nodes of one graph.

    Values are passed by name. Nodes are named after the scope they are emitted in, so that a profile of
    the running model reads like the model.

    Example:
        >>> g = GraphBuilder(weights)
        >>> with g.scope("pooler"):
        ...     y = g.op("Tanh", g.op("Gemm", x, g.weight("w", w), g.weight("b", b)))
    """

    def __init__(self, weights: WeightFile, opset: int = OPSET) -> None:
        self._weights = weights
        self._opset = opset
        self._domains = {""}
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[TensorProto] = []
        self._name_to_weight: dict[str, TensorProto] = {}
        self._constants: dict[tuple[Any, ...], str] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._scopes: list[str] = []
        self._name_count: dict[str, int] = {}

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Name the nodes emitted inside after `name`, below the scopes around it."""
        self._scopes.append(name)
        yield
        self._scopes.pop()

    def op(self, op_type: str, *inputs: str, **attributes: Any) -> str:  # noqa: ANN401 (any ONNX attribute)
        """Emit a node with one output and return that output's name."""
        return self.ops(op_type, *inputs, outputs=1, **attributes)[0]

    def ops(self, op_type: str, *inputs: str, outputs: int, **attributes: Any) -> list[str]:  # noqa: ANN401
        """Emit a node and return the names of its outputs."""
        name = self._unique("/".join(["", *self._scopes, op_type]))
        names = [f"{name}/output_{index}" for index in range(outputs)]
        domain = CONTRIB_DOMAIN if op_type in CONTRIB_OPS else ""
        self._domains.add(domain)
        self._nodes.append(helper.make_node(op_type, inputs, names, name=name, domain=domain, **attributes))
        return names

    def weight(self, name: str, array: NDArray[Any]) -> str:
        """Add a weight, stored beside the graph; one of a name that is there already is that one."""
        if name not in self._name_to_weight:
            self._name_to_weight[name] = self._weights.append(name, array)
            self._initializers.append(self._name_to_weight[name])
        return name

    def weight_for_one(self, name: str, array: NDArray[Any]) -> str:
        """Add a weight for one node; another that takes the same gets it by another name, stored once.

        ONNX Runtime changes weights of some operators as it loads them, and fails where two have the same.
        """
        if name not in self._name_to_weight:
            return self.weight(name, array)
        again = TensorProto()
        again.CopyFrom(self._name_to_weight[name])
        again.name = self._unique(f"{name}/again")
        self._initializers.append(again)
        return again.name

    def constant(
        self, values: float | list[int] | list[list[int]], dtype: type[np.generic] = np.int64
    ) -> str:
        """Add a small constant, stored in the graph, each value once."""
        array = np.asarray(values, dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            name = f"constant_{len(self._constants)}"
            self._initializers.append(onnx.numpy_helper.from_array(array, name))
            self._constants[key] = name
        return self._constants[key]

    def loop(
        self,
        trip_count: str,
        carried: str,
        carried_type: onnx.TypeProto,
        body: Callable[[str, str], str],
    ) -> str:
        """Emit a Loop that hands one value from round to round and return its last state.

        Args:
            trip_count: INT64 scalar, the number of rounds.
            carried: the value's first state.
            carried_type: its type.
            body: emits one round from (round number, state) and returns the next state.
        """
        name = self._unique("/".join(["", *self._scopes, "Loop"]))
        outer, self._nodes = self._nodes, []
        index, condition, state = f"{name}/index", f"{name}/condition", f"{name}/state"
        next_state = body(index, state)
        self._nodes.append(
            helper.make_node("Identity", [condition], [condition + "_out"], name=f"{name}/go_on")
        )
        graph = helper.make_graph(
            self._nodes,
            f"{name}/body",
            [
                helper.make_tensor_value_info(index, TensorProto.INT64, []),
                helper.make_tensor_value_info(condition, TensorProto.BOOL, []),
                helper.make_value_info(state, carried_type),
            ],
            [
                helper.make_tensor_value_info(condition + "_out", TensorProto.BOOL, []),
                helper.make_value_info(next_state, carried_type),
            ],
        )
        self._nodes = outer
        self._nodes.append(
            helper.make_node("Loop", [trip_count, "", carried], [f"{name}/output_0"], name=name, body=graph)
        )
        return f"{name}/output_0"

    def branch(
        self,
        condition: str,
        then: Callable[[], list[str]],
        otherwise: Callable[[], list[str]],
        types: Sequence[onnx.TypeProto],
    ) -> list[str]:
        """Emit an If and return its values.

        Args:
            condition: BOOL scalar.
            then: emits one branch and returns its values, one for each of `types`.
            otherwise: emits the other.
            types: of the values.
        """
        name = self._unique("/".join(["", *self._scopes, "If"]))
        branches: dict[str, Any] = {
            "then_branch": self._subgraph(f"{name}/then", then, types),
            "else_branch": self._subgraph(f"{name}/else", otherwise, types),
        }
        outputs = [f"{name}/output_{index}" for index in range(len(types))]
        self._nodes.append(helper.make_node("If", [condition], outputs, name=name, **branches))
        return outputs

    def _subgraph(
        self, name: str, body: Callable[[], list[str]], types: Sequence[onnx.TypeProto]
    ) -> onnx.GraphProto:
        outer, self._nodes = self._nodes, []
        outputs = []
        for index, (value, type_) in enumerate(zip(body(), types, strict=True)):
            # A value from outside the branch is none of its outputs, but its copy is.
            outputs.append(helper.make_value_info(f"{name}/value_{index}", type_))
            self._nodes.append(helper.make_node("Identity", [value], [outputs[-1].name]))
        graph = helper.make_graph(self._nodes, name, [], outputs)
        self._nodes = outer
        return graph

    def input(self, name: str, dtype: int, dims: Sequence[str | int]) -> str:
        """Declare an input of the graph."""
        self._inputs.append(helper.make_tensor_value_info(name, dtype, dims))
        return name

    def output(self, name: str, value: str, dtype: int, dims: Sequence[str | int]) -> None:
        """Make a value an output of the graph."""
        self._nodes.append(helper.make_node("Identity", [value], [name], name=f"/{name}"))
        self._outputs.append(helper.make_tensor_value_info(name, dtype, dims))

    def build(self, name: str, metadata: Mapping[str, str] | None = None) -> onnx.ModelProto:
        """Put the collected nodes together into a model, with metadata that ONNX Runtime hands on."""
        graph = helper.make_graph(self._nodes, name, self._inputs, self._outputs, self._initializers)
        opsets = [helper.make_opsetid(name, 1 if name else self._opset) for name in sorted(self._domains)]
        model = helper.make_model(
            graph,
            opset_imports=opsets,
            ir_version=OPSET_TO_IR_VERSION[self._opset],
            producer_name="bertriton",
        )
        helper.set_model_props(model, dict(metadata or {}))
        return model

    def _unique(self, name: str) -> str:
        count = self._name_count.get(name, 0)
        self._name_count[name] = count + 1
        return f"{name}_{count}" if count else name

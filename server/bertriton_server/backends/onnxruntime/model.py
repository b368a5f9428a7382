"""Python-based stand-in for Triton's ONNX Runtime backend.

Triton loads this file for `backend: "onnxruntime"` when it finds no library of that backend. The same models
get the same answers: the requests of a batch share one run, inputs with `allow_ragged_batch` are laid end to
end, `batch_input` and `batch_output` mean the same. What it cannot honour it says in the log, at load.

It does one thing more: with the parameter `micro_batch_elements`, requests run side by side, see lanes.py.
"""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import triton_python_backend_utils as pb_utils

# Triton loads this file by its path and does not look beside it.
sys.path.insert(0, os.fspath(Path(__file__).parent))
from features import cpu_flags, has  # type: ignore[import-not-found]
from lanes import ALL_THREADS_KEY, MICRO_BATCH_KEY, Lanes, refusal, respond  # type: ignore[import-not-found]
from parts import RowParts  # type: ignore[import-not-found]
from refusals import Refusals  # type: ignore[import-not-found]
from sessions import accelerators, load_session, make_run_options, thread_count  # type: ignore[import-not-found]
from shape_guard import guard_shapes  # type: ignore[import-not-found]

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnxruntime as ort

Array = Any  # of numpy
Entry = dict[str, Any]  # an input, an output and the like of config.pbtxt
Named = dict[str, Array]  # the tensors of one request
Request = Any  # pb_utils.InferenceRequest
Response = Any  # pb_utils.InferenceResponse

# The names of all other types differ by case alone.
ONNX_TO_TRITON_NAME = {"float16": "FP16", "float": "FP32", "double": "FP64"}
# Batch inputs that tell of each row by itself.
KINDS_OF_ROWS = {"BATCH_ITEM_SHAPE", "BATCH_ITEM_SHAPE_FLATTEN"}


class TritonPythonModel:
    """One instance of one ONNX model."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the network and hold its inputs and outputs against the config."""
        guard_shapes()
        config = json.loads(args["model_config"])
        parameters = {key: value["string_value"] for key, value in config.get("parameters", {}).items()}
        self.inputs = config["input"]
        self.ranks = {entry["name"]: len(configured_shape(entry, config)) for entry in self.inputs}
        self.outputs = {output["name"]: output for output in config["output"]}
        self.batch_inputs = config.get("batch_input", [])
        self.output_to_source = scatter_sources(config)
        self.is_batching = config.get("max_batch_size", 0) > 0
        self.session = load_session(config, parameters, args, thread_count(parameters))
        metadata = self.session.get_modelmeta().custom_metadata_map
        self.parts, self.refusals = RowParts(metadata), Refusals(metadata)
        self.run_options = make_run_options(parameters)
        check_inputs(self.session, config)
        check_outputs(self.session, config)
        warn_of_what_is_not_honoured(config)
        if "cpu_feature" in parameters:
            warn_of_a_cpu_without(parameters["cpu_feature"])
        self.lanes = self.make_lanes(config, parameters, args)

    def execute(self, requests: list[Request]) -> list[Response | None]:
        """Answer all requests with one run, or have it done side by side where the model has lanes."""
        if not self.lanes:
            return [*self.answer(requests)]
        return [*self.lanes.take(requests)]

    def finalize(self) -> None:
        """Finish what waits for a lane."""
        if self.lanes:
            self.lanes.stop()

    def make_lanes(self, config: Entry, parameters: dict[str, str], args: dict[str, str]) -> Lanes | None:
        """A lane for every thread, where the config asks for micro-batches."""
        if MICRO_BATCH_KEY not in parameters:
            return None
        is_of_rows = all(entry["kind"] in KINDS_OF_ROWS for entry in self.batch_inputs)
        if not is_of_rows or self.output_to_source or not self.is_batching:
            kinds = sorted(KINDS_OF_ROWS)
            message = (
                f"{MICRO_BATCH_KEY} needs max_batch_size, no batch_output, and of batch_input {kinds} alone"
            )
            raise pb_utils.TritonModelException(message)
        elements, count = int(parameters[MICRO_BATCH_KEY]), thread_count(parameters)
        all_threads_elements = int(parameters.get(ALL_THREADS_KEY, 0))
        session = self.session if count == 1 else load_session(config, parameters, args, threads=1)
        lanes = f"{count} lane(s) of {elements} elements, all threads from {all_threads_elements} on"
        pb_utils.Logger.log_info(f"{config['name']}: {lanes}")
        return Lanes(
            self.read_inputs,
            partial(self.run, session),
            partial(self.run, self.session),
            outputs=list(self.outputs),
            parts=self.parts,
            refusals=self.refusals,
            elements=elements,
            all_threads_elements=all_threads_elements,
            count=count,
            call_size=config["max_batch_size"],
        )

    def answer(self, requests: list[Request]) -> list[Response]:
        """The responses to requests; should their run fail, each runs alone, so that only bad ones fail."""
        if self.is_batching and len(requests) > 1:
            try:
                return self.answer_together(requests)
            except Exception as exc:  # noqa: BLE001 - whatever it was, it must not reach the neighbours
                pb_utils.Logger.log_warn(f"a batch of {len(requests)} failed, each request runs alone: {exc}")
        return [self.answer_alone(request) for request in requests]

    def answer_alone(self, request: Request) -> Response:
        """The response to one request, or its error."""
        try:
            return self.answer_together([request])[0]
        except Exception as exc:  # noqa: BLE001 - it belongs to the client that asked
            return refusal(str(exc), "INTERNAL")

    def answer_together(self, requests: list[Request]) -> list[Response]:
        """The responses to requests that share one run."""
        tensors = [self.read_inputs(request) for request in requests]
        rows = [next(iter(named.values())).shape[0] for named in tensors] if self.is_batching else [1]
        wanted = [request.requested_output_names() for request in requests]
        names = [name for name in self.outputs if any(name in of_one for of_one in wanted)]
        answers = self.run(self.session, names, tensors, rows)
        reasons = map(self.refusals.reason, tensors, answers)
        return [
            refusal(reason) if reason else respond(answer, of_one)
            for reason, answer, of_one in zip(reasons, answers, wanted, strict=True)
        ]

    def run(
        self, session: ort.InferenceSession, names: list[str], tensors: list[Named], rows: list[int]
    ) -> list[Named]:
        """Run the network once and give each request its part of the outputs."""
        arrays = session.run(names, self.make_feed(tensors, rows), self.run_options)
        parts = [self.split(*named, tensors, rows) for named in zip(names, arrays, strict=True)]
        return [dict(zip(names, values, strict=True)) for values in zip(*parts, strict=True)]

    def read_inputs(self, request: Request) -> Named:
        """The tensors of one request; optional inputs that were not sent are left out."""
        sent = {tensor.name(): tensor for tensor in request.inputs()}
        arrays = {name: from_triton(sent[name].as_numpy()) for name in self.ranks if name in sent}
        for name, array in arrays.items():
            if array.ndim != self.ranks[name] or (self.is_batching and not len(array)):
                raise ValueError(f"input '{name}' has no rows")  # whose shape Triton hands over without the 0
        return arrays

    def make_feed(self, tensors: list[Named], rows: list[int]) -> Named:
        """What the network gets: the inputs of all requests together, and what `batch_input` asks for."""
        feed = {}
        for entry in self.inputs:
            arrays = [named[entry["name"]] for named in tensors if entry["name"] in named]
            if len(arrays) not in (0, len(tensors)):
                raise ValueError(f"input '{entry['name']}' is in some requests of the batch only")
            if arrays:
                feed[entry["name"]] = concatenate(arrays, is_ragged=entry.get("allow_ragged_batch", False))
        for entry in self.batch_inputs:
            sources = [named[entry["source_input"][0]] for named in tensors]
            value = BATCH_INPUTS[entry["kind"]](sources, rows)
            value = value.astype(pb_utils.triton_string_to_numpy(entry["data_type"]), copy=False)
            feed.update(dict.fromkeys(entry["target_name"], value))
        return feed

    def split(self, name: str, array: Array, tensors: list[Named], rows: list[int]) -> list[Array]:
        """Each request's part of one output."""
        array = to_triton(array)
        dims = [int(size) for size in self.outputs[name]["dims"]]
        if source := self.output_to_source.get(name):
            template = [-1, *dims] if self.is_batching else dims
            return scatter(array, template, [named[source].shape for named in tensors])
        if "reshape" in self.outputs[name]:
            array = array.reshape(*array.shape[: self.is_batching], *dims)
        if not self.is_batching:
            return [array]
        if array.shape[:1] != (sum(rows),):
            raise ValueError(f"output '{name}' has shape {list(array.shape)} for a batch of {sum(rows)}")
        ends = [*accumulate(rows)]
        return [array[end - count : end] for end, count in zip(ends, rows, strict=True)]


def concatenate(arrays: list[Array], *, is_ragged: bool) -> Array:
    """All requests' tensors as one: end to end with rank 1 when ragged, else along the batch dimension."""
    if is_ragged:
        arrays = [array.reshape(-1) for array in arrays]  # [elements of all]
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)  # [rows of all, ...]


def sizes(source: list[Array]) -> list[int]:
    """Elements of each request."""
    return [array.size for array in source]


def item_shapes(source: list[Array], rows: list[int]) -> Array:
    """The shape of each row, [rows, dimensions - 1]."""
    shapes = [array.shape[1:] for array, count in zip(source, rows, strict=True) for _ in range(count)]
    return np.array(shapes, np.int32)


# What Triton computes from one input of all requests and their numbers of rows.
BATCH_INPUTS: dict[str, Callable[[list[Array], list[int]], Array]] = {
    "BATCH_ELEMENT_COUNT": lambda source, _: np.array(sizes(source)),
    "BATCH_ACCUMULATED_ELEMENT_COUNT": lambda source, _: np.cumsum(sizes(source)),
    "BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO": lambda source, _: np.cumsum([0, *sizes(source)]),
    # Only its shape means anything.
    "BATCH_MAX_ELEMENT_COUNT_AS_SHAPE": lambda source, _: np.zeros(max(sizes(source))),
    "BATCH_ITEM_SHAPE": item_shapes,
    "BATCH_ITEM_SHAPE_FLATTEN": lambda source, rows: item_shapes(source, rows).reshape(-1),
}


def scatter(array: Array, template: list[int], sources: list[tuple[int, ...]]) -> list[Array]:
    """Cut an output into parts whose every -1 is the size that the request's source input has there."""
    shapes = [[source[axis] if own < 0 else own for axis, own in enumerate(template)] for source in sources]
    ends = np.cumsum([np.prod(shape, dtype=np.int64) for shape in shapes])
    if ends[-1] != array.size:
        raise ValueError(f"an output of {array.size} elements cannot be cut into shapes {shapes}")
    parts = np.split(array.reshape(-1), ends[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def scatter_sources(config: Entry) -> dict[str, str]:
    """Output name -> the input whose shape its parts have."""
    return {entry["target_name"][0]: entry["source_input"][0] for entry in config.get("batch_output", [])}


def from_triton(array: Array) -> Array:
    """Triton's strings are bytes, ONNX Runtime's are text."""
    return np.vectorize(bytes.decode, otypes=[object])(array) if array.dtype == np.object_ else array


def to_triton(array: Array) -> Array:
    """The way back of `from_triton`."""
    return np.vectorize(str.encode, otypes=[object])(array) if array.dtype == np.object_ else array


def warn_of_what_is_not_honoured(config: Entry) -> None:
    """Say in the log what the C++ backend would do and this one does not."""
    asked = [entry["name"] for of_device in accelerators(config).values() for entry in of_device]
    ignored = [f"execution accelerator '{name}'" for name in asked if name != "cuda"]
    if "sequence_batching" in config:
        ignored.append("sequence_batching")
    for what in ignored:
        pb_utils.Logger.log_warn(
            f"{config['name']}: no {what} here, only Triton's own onnxruntime backend has it"
        )


def warn_of_a_cpu_without(feature: str) -> None:
    """Say in the log when the CPU lacks a feature that the network was made for."""
    if cpu_flags() and not has(feature):
        pb_utils.Logger.log_warn(
            f"this CPU has no {feature}, which the network was made for: it is slower here, with the same "
            "answers; Triton's own onnxruntime backend is wrong here, unless it is exported again"
        )


def check_inputs(session: ort.InferenceSession, config: Entry) -> None:
    """Refuse a config whose inputs are not those of the network."""
    name_to_node = {node.name: node for node in session.get_inputs()}
    for entry in config["input"]:
        shape = [-1] if entry.get("allow_ragged_batch") else configured_shape(entry, config)
        check_tensor("input", entry["name"], entry["data_type"], shape, name_to_node)
        del name_to_node[entry["name"]]
    for entry in config.get("batch_input", []):
        for name in entry["target_name"]:
            check_tensor("batch_input", name, entry["data_type"], None, name_to_node)
            del name_to_node[name]
    if name_to_node:
        raise pb_utils.TritonModelException(
            f"config.pbtxt lacks input(s) {sorted(name_to_node)} of the ONNX file"
        )


def check_outputs(session: ort.InferenceSession, config: Entry) -> None:
    """Refuse a config with outputs that the network has not, or has otherwise."""
    name_to_node = {node.name: node for node in session.get_outputs()}
    scattered = scatter_sources(config)
    for entry in config["output"]:
        shape = None if entry["name"] in scattered else configured_shape(entry, config)
        check_tensor("output", entry["name"], entry["data_type"], shape, name_to_node)


def configured_shape(entry: Entry, config: Entry) -> list[int]:
    """The shape that the network's tensor must have for this config entry."""
    dims = entry["reshape"].get("shape", []) if "reshape" in entry else entry["dims"]
    return [-1] * (config.get("max_batch_size", 0) > 0) + [int(size) for size in dims]


def check_tensor(role: str, name: str, data_type: str, shape: list[int] | None, name_to_node: Named) -> None:
    """Refuse a tensor that the network lacks, or whose type or shape (None: any) is another there."""
    if name not in name_to_node:
        message = f"config.pbtxt has {role} '{name}', the ONNX file only {sorted(name_to_node)}"
        raise pb_utils.TritonModelException(message)
    node = name_to_node[name]
    element = node.type.removeprefix("tensor(").removesuffix(")")
    own_type = f"TYPE_{ONNX_TO_TRITON_NAME.get(element, element.upper())}"
    own = [size if isinstance(size, int) else -1 for size in node.shape]
    # An output without a shape is one of unknown rank.
    is_any = shape is None or (role == "output" and not own)
    if own_type != data_type or not (is_any or fits(own, shape or [])):
        stated, found = f"{data_type}{shape or ''}", f"{own_type}{own}"
        message = f"{role} '{name}' is {stated} by config.pbtxt, but {found} in the ONNX file"
        raise pb_utils.TritonModelException(message)


def fits(own: list[int], configured: list[int]) -> bool:
    """Whether the rank is the network's and every size that it fixes is stated."""
    return len(own) == len(configured) and all(a in (-1, b) for a, b in zip(own, configured, strict=True))

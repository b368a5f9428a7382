"""Requests that no client of ours would send, drawn at random, for each of a classifier's three models."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
from tritonclient.grpc import service_pb2

from bertriton import contract

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TOKEN_INPUTS = (contract.INPUT_IDS, contract.TOKEN_TYPE_IDS, contract.POSITION_IDS)
MAX_ROWS = 64
ROWS = (0, 1, 1, 1, 1, 2, 2, 3, 8, MAX_ROWS, MAX_ROWS + 1)
WIDTHS = (0, 1, 2, 3, 7, 16, 64, 65, 132)
NUMBERS = (-(2**31), -4, -3, -2, -1, 0, 1, 2, 63, 64, 299, 512, 2**31 - 1)
# None that makes the bytes of a shape overflow, as 2**62 does: Triton 2.51 lets such a request to the network
# in, and its Python backend ends by it. Nothing but a newer Triton or a restart helps, see SECURITY.md.
SIZES = (-1, 0, 1, 2, 3, 64, 65, 132, 2**31, 2**32, 2**32 + 1)
WORDS = (
    *(b"good", b"film", b"", b"\xff\xfe", b"a\0b", "naïve ☕".encode(), b"\xed\xa0\x80"),
    *(b"x" * 3000, b"word " * 400),
)
PARAMETERS: dict[str, Sequence[Any]] = {
    "truncation": ("head", "tail", "windows", "error", "head_tail", "nonsense", 3, True, ""),
    "max_length": (-1, 0, 2, 3, 16, 64, 10**6, "16", False),
    "stride": (-1, 0, 5, 63, 10**9, "x"),
    "aggregation": ("mean", "max", "median", 1),
    "timeout": (1, 1000, 10**6),
    "priority": (0, 1, 99),
    "unknown": ("x", 1, True),
}


class Hostile:
    """Draws requests.

    Args:
        name: of the classifier.
        seed: the same one draws the same requests.
    """

    def __init__(self, name: str, seed: int) -> None:
        self._name = name
        self._random = np.random.default_rng(seed)

    def request(self, suffix: str) -> Any:
        """One for the ensemble (no suffix), its tokenizer or its network."""
        request = service_pb2.ModelInferRequest(model_name=self._name + suffix)
        is_network = suffix == contract.BERT_SUFFIX
        tensors = self._tokens() if is_network else [self._text()]
        for name, datatype, shape, content in tensors:
            request.inputs.add(name=name, datatype=datatype, shape=shape)
            request.raw_input_contents.append(content)
        self._spoil(request)
        if not is_network or self._happens(0.1):
            self._add_parameters(request)
        return request

    def is_cancelled(self) -> bool:
        """Whether the client of the request that is drawn next goes away."""
        return self._happens(0.05)

    def _happens(self, share: float) -> bool:
        return bool(self._random.random() < share)

    def _one_of(self, choices: Sequence[Any]) -> Any:
        return choices[int(self._random.integers(len(choices)))]

    def _tokens(self) -> list[tuple[str, str, list[int], bytes]]:
        rows, width = self._one_of(ROWS), self._one_of(WIDTHS)
        tensors = []
        for name in TOKEN_INPUTS:
            own = self._one_of(WIDTHS) if self._happens(0.15) else width
            values = self._values(name, max(rows, 1), own)
            tensors.append((name, "INT32", [rows, own], values.astype("<i4").tobytes()))
        return tensors

    def _values(self, name: str, rows: int, width: int) -> Any:
        """Right ones, of which some are changed or all."""
        if name == contract.POSITION_IDS:
            values = np.tile(np.arange(width), (rows, 1))
            for row in values:
                if self._happens(0.4):
                    row[int(self._random.integers(width + 1)) :] = contract.PADDING_POSITION
                if self._happens(0.3):
                    self._cut_into_windows(row)
        else:
            values = self._random.integers(0, 2 if name == contract.TOKEN_TYPE_IDS else 300, (rows, width))
        if self._happens(0.3) and values.size:
            for _ in range(int(self._random.integers(1, 4))):
                values.reshape(-1)[int(self._random.integers(values.size))] = self._one_of(NUMBERS)
        if self._happens(0.05):
            values = self._random.choice(NUMBERS, values.shape)
        return values

    def _cut_into_windows(self, row: Any) -> None:
        mark = self._one_of((contract.NEXT_WINDOW_OF_MEAN, contract.NEXT_WINDOW_OF_MAXIMUM))
        tokens = int((row >= 0).sum())
        step = int(self._random.integers(1, 20))
        for start in range(step, tokens, step):
            end = min(start + step, tokens)
            row[start:end] = np.arange(end - start)
            row[start] = mark

    def _text(self) -> tuple[str, str, list[int], bytes]:
        rows, width = self._one_of(ROWS), self._one_of((0, 1, 1, 1, 2, 2, 3, 132))
        words = [self._one_of(WORDS) for _ in range(max(rows, 1) * width)]
        sizes = [len(word) for word in words]
        if sizes and self._happens(0.3):
            place = self._one_of([0, len(sizes) - 1])
            sizes[place] = self._one_of((0, 1, sizes[place] + 1, 2**31, 2**32 - 1))
        content = b"".join(struct.pack("<I", size) + word for size, word in zip(sizes, words, strict=True))
        return contract.TEXT, "BYTES", [rows, width], content

    def _spoil(self, request: Any) -> None:
        """Make the message itself wrong, now and then."""
        spoilers: tuple[Callable[[Any], None], ...] = (
            self._cut_content,
            self._lose_input,
            self._change_shape,
            self._change_names,
        )
        if self._happens(0.1):
            self._one_of(spoilers)(request)

    def _cut_content(self, request: Any) -> None:
        place = int(self._random.integers(len(request.raw_input_contents)))
        content = request.raw_input_contents[place]
        end = int(self._random.integers(len(content) + 1))
        request.raw_input_contents[place] = self._one_of((content[:end], content + b"\1\0\0\0", b""))

    def _lose_input(self, request: Any) -> None:
        del request.inputs[-1]
        if self._happens(0.5):
            del request.raw_input_contents[-1]

    def _change_shape(self, request: Any) -> None:
        shape = self._one_of(request.inputs).shape
        if self._happens(0.3):
            shape.append(self._one_of(SIZES))
        elif self._happens(0.3):
            del shape[-1]
        else:
            shape[int(self._random.integers(len(shape)))] = self._one_of(SIZES)

    def _change_names(self, request: Any) -> None:
        tensor = self._one_of(request.inputs)
        if self._happens(0.5):
            tensor.datatype = self._one_of(("INT64", "FP32", "BYTES", "INT8", "", "NONSENSE"))
        else:
            tensor.name = self._one_of(("", "nonsense", contract.INPUT_IDS, contract.TEXT))

    def _add_parameters(self, request: Any) -> None:
        for name, choices in PARAMETERS.items():
            if not self._happens(0.2):
                continue
            value = self._one_of(choices)
            kind = {bool: "bool_param", int: "int64_param", str: "string_param"}[type(value)]
            setattr(request.parameters[name], kind, value)

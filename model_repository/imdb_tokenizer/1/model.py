"""Triton Python backend model, copied into the repository: texts to token ids, a whole batch in one call."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from rows import AGGREGATION_TO_POSITION, TRUNCATIONS, Frame, Options  # type: ignore[import-not-found]
from tokenizers import Tokenizer

MAX_TEXT_BYTES = 2 * 2**20  # longer ones would hold up everybody else in the batch for seconds


def read_text(value: bytes, row: int) -> str:
    """One string, refused if it is not UTF-8 or too long."""
    if len(value) > MAX_TEXT_BYTES:
        raise ValueError(f"text: row {row} has {len(value)} bytes, at most {MAX_TEXT_BYTES} are read")
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise ValueError(f"text: row {row} is not UTF-8 at byte {exc.start}: {exc.reason}") from None


def result_or_refusal(function: Any, *arguments: Any) -> Any:
    """What the function returns, or the response that refuses the request."""
    try:
        return function(*arguments)
    except ValueError as exc:
        error = pb_utils.TritonError(str(exc), pb_utils.TritonError.INVALID_ARG)
        return pb_utils.InferenceResponse(error=error)


def response(rows: list[tuple[Any, ...]], padded_lengths: list[int]) -> Any:
    """The answer to one request, [rows, tokens] and [rows, 1]; position -1 marks padding."""
    lengths = np.array([[len(row[0])] for row in rows])
    longest = int(lengths.max())
    is_token = np.arange(next((size for size in padded_lengths if size >= longest), longest)) < lengths
    names = ("input_ids", "token_type_ids", "position_ids", "token_count", "truncated", "windows")
    *tokens, counts, truncated, windows = zip(*rows, strict=True)
    arrays: list[Any] = [np.full(is_token.shape, fill, np.int32) for fill in (0, 0, -1)]
    for array, values in zip(arrays, tokens, strict=True):
        array[is_token] = [value for row in values for value in row]
    for column, dtype in ((counts, np.int32), (truncated, np.bool_), (windows, np.int32)):
        arrays.append(np.array(column, dtype)[:, None])
    return pb_utils.InferenceResponse([pb_utils.Tensor(*pair) for pair in zip(names, arrays, strict=True)])


class TritonPythonModel:
    """Loaded once per instance by Triton's Python backend."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the tokenizer that lies beside this file."""
        parameters = json.loads(args["model_config"])["parameters"]
        self.max_length = int(parameters["max_length"]["string_value"])
        # Where the network computes padding: few lengths, so that requests of equal ones share its batches.
        sizes = parameters.get("padded_lengths", {}).get("string_value", "")
        self.padded_lengths = [int(size) for size in sizes.split(",") if size]
        self.tokenizer = Tokenizer.from_file(str(Path(__file__).with_name("tokenizer.json")))
        self.frames = {texts: Frame(self.tokenizer, texts) for texts in (1, 2)}

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer every request of a batch, or say why not; a bad one does not fail its neighbours."""
        batch = [result_or_refusal(self.read, request) for request in requests]
        texts = [text for work in batch if isinstance(work, tuple) for row in work[0] for text in row]
        encodings = iter(self.tokenizer.encode_batch_fast(texts, add_special_tokens=False))
        return [result_or_refusal(self.answer, work, encodings) for work in batch]

    def read(self, request: Any) -> tuple[list[list[str]], Options]:
        """The rows of one request, each a list of one text or two, and what is to be done with them."""
        rows = pb_utils.get_input_tensor_by_name(request, "text").as_numpy()
        if rows.ndim != 2 or rows.shape[0] == 0 or rows.shape[1] not in (1, 2):
            raise ValueError(f"text: expected shape [rows, 1] or, for pairs, [rows, 2], found {rows.shape}")
        texts = [[read_text(value, index) for value in row] for index, row in enumerate(rows)]
        return texts, self.options(json.loads(request.parameters() or "{}"), rows.shape[1])

    def options(self, parameters: dict[str, Any], texts: int) -> Options:
        """What is to be done with rows of so many texts, refused by name where it cannot be."""
        asked = {name: value for name, value in parameters.items() if name in Options._fields}
        options = Options(**{"max_length": self.max_length, **asked})
        lengths = range(self.frames[texts].size + 1, self.max_length + 1)
        choices: tuple[Any, ...] = (lengths, TRUNCATIONS, range(self.max_length), [*AGGREGATION_TO_POSITION])
        for name, value, allowed in zip(Options._fields, options, choices, strict=True):
            if type(value) not in (int, str) or value not in allowed:
                expected = f"{allowed[0]} to {allowed[-1]}" if name in ("max_length", "stride") else allowed
                raise ValueError(f"{name}: expected {expected}, found {value!r}")
        if self.padded_lengths and options.truncation == "windows":
            raise ValueError(f"truncation: this network joins no windows, expected one of {TRUNCATIONS[:-1]}")
        return options

    def answer(self, work: Any, encodings: Any) -> Any:
        """The response to one request, which takes its share of the batch's encodings; refusals stay."""
        if not isinstance(work, tuple):
            return work
        texts = [[next(encodings).ids for _ in row] for row in work[0]]
        rows = [self.frames[len(row)].around(row, work[1], len(texts)) for row in texts]
        return response(rows, self.padded_lengths)

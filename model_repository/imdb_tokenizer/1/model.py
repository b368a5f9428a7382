"""Triton Python backend model, copied into the repository: texts to token ids, a whole batch in one call.

    text [rows, 1 or 2] -> input_ids, token_type_ids, position_ids [rows, tokens], token_count, truncated

Rows of one request are padded to its longest; position -1 marks the padding, which the network drops.
Request parameters: `truncation`, one of TRUNCATIONS, and `max_length` in tokens, special ones included.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import triton_python_backend_utils as pb_utils
from tokenizers import Tokenizer

MAX_TEXT_BYTES = 2 * 2**20  # longer ones would hold up everybody else in the batch for seconds

TRUNCATIONS = ("head", "tail", "head_tail", "error")  # what is kept of a text over the limit

Row = tuple[list[int], list[int], int]  # input_ids, token_type_ids, tokens before truncation


class Work(NamedTuple):
    """What one request asks for."""

    rows: list[list[str]]  # each of one text or two
    truncation: str
    max_length: int


class Frame:
    """The special tokens around one text, or around and between two."""

    def __init__(self, tokenizer: Tokenizer, texts: int) -> None:
        encoding = tokenizer.encode("a", "b" if texts > 1 else None)
        self.types = [0] * texts
        self.runs: list[Any] = [([], []) for _ in range(texts + 1)]  # (ids, types) before and after each text
        seen = 0
        for token, kind, text in zip(encoding.ids, encoding.type_ids, encoding.sequence_ids, strict=True):
            if text is None:
                self.runs[seen][0].append(token)
                self.runs[seen][1].append(kind)
            else:
                seen, self.types[text] = text + 1, kind
        self.size = sum(len(ids) for ids, _ in self.runs)

    def around(self, texts: list[list[int]], work: Work) -> Row:
        """One row of the network's input, cut to its length."""
        lengths = [len(ids) for ids in texts]
        count = sum(lengths) + self.size
        if work.truncation == "error" and count > work.max_length:
            raise ValueError(f"text: a row has {count} tokens, at most {work.max_length} are read")
        kept = longest_first(lengths, work.max_length - self.size)
        ids, types = (list(run) for run in self.runs[0])
        for text, length, kind, run in zip(texts, kept, self.types, self.runs[1:], strict=True):
            head = {"tail": 0, "head_tail": length - length // 2}.get(work.truncation, length)
            ids += text[:head] + text[len(text) - length + head :] + run[0]
            types += [kind] * length + run[1]
        return ids, types, count


def longest_first(lengths: list[int], budget: int) -> list[int]:
    """Lengths that fit the budget together, cut from the longer text first, as Hugging Face does."""
    if sum(lengths) <= budget:
        return lengths
    shorter = min(*lengths, budget // 2) if len(lengths) > 1 else 0
    kept = [shorter, budget - shorter][-len(lengths) :]
    return kept if lengths[0] <= lengths[-1] else kept[::-1]


def read_rows(request: Any) -> list[list[str]]:
    """The rows of one request, each a list of one text or two."""
    rows = pb_utils.get_input_tensor_by_name(request, "text").as_numpy()
    if rows.ndim != 2 or rows.shape[0] == 0 or rows.shape[1] not in (1, 2):
        raise ValueError(f"text: expected shape [rows, 1] or, for pairs, [rows, 2], found {rows.shape}")
    return [[read_text(value, index) for value in row] for index, row in enumerate(rows)]


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


def response(rows: list[Row]) -> Any:
    """The answer to one request: its rows as rectangles."""
    lengths = np.array([[len(ids)] for ids, _, _ in rows])
    ids, types = np.zeros((2, len(rows), lengths.max()), np.int32)
    positions = np.arange(lengths.max(), dtype=np.int32)
    is_token = positions < lengths
    ids[is_token] = [token for row in rows for token in row[0]]
    types[is_token] = [kind for row in rows for kind in row[1]]
    positions = np.where(is_token, positions, np.int32(-1))
    counts = np.array([[count] for _, _, count in rows], np.int32)
    names = ("input_ids", "token_type_ids", "position_ids", "token_count", "truncated")
    arrays = (ids, types, positions, counts, counts > lengths)
    return pb_utils.InferenceResponse([pb_utils.Tensor(*pair) for pair in zip(names, arrays, strict=True)])


class TritonPythonModel:
    """Loaded once per instance by Triton's Python backend."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the tokenizer that lies beside this file."""
        self.max_length = int(json.loads(args["model_config"])["parameters"]["max_length"]["string_value"])
        self.tokenizer = Tokenizer.from_file(str(Path(__file__).with_name("tokenizer.json")))
        self.frames = {texts: Frame(self.tokenizer, texts) for texts in (1, 2)}

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer every request of a batch, or say why not; a bad one does not fail its neighbours."""
        batch = [result_or_refusal(self.read, request) for request in requests]
        texts = [text for work in batch if isinstance(work, Work) for row in work.rows for text in row]
        encodings = iter(self.tokenizer.encode_batch(texts, add_special_tokens=False))
        return [
            result_or_refusal(self.answer, work, encodings) if isinstance(work, Work) else work
            for work in batch
        ]

    def read(self, request: Any) -> Work:
        """One request, refused if a text or a parameter is not what it should be."""
        rows = read_rows(request)
        parameters = json.loads(request.parameters() or "{}")
        truncation = parameters.get("truncation", TRUNCATIONS[0])
        if truncation not in TRUNCATIONS:
            raise ValueError(f"truncation: expected one of {', '.join(TRUNCATIONS)}, found {truncation!r}")
        least = self.frames[len(rows[0])].size + 1
        max_length = parameters.get("max_length", self.max_length)
        if type(max_length) is not int or not least <= max_length <= self.max_length:
            raise ValueError(
                f"max_length: expected {least} to {self.max_length} tokens, found {max_length!r}"
            )
        return Work(rows, truncation, max_length)

    def answer(self, work: Work, encodings: Any) -> Any:
        """The response to one request, which takes its share of the batch's encodings."""
        texts = [[next(encodings).ids for _ in row] for row in work.rows]
        return response([self.frames[len(row)].around(row, work) for row in texts])

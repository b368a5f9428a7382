"""Triton Python backend model: texts to token ids, all texts of a batch in one call.

`bertriton export` copies this file into the model repository, where Triton's interpreter runs it.

    text [rows, 1 or 2] -> input_ids, token_type_ids, position_ids [rows, tokens], token_count, truncated

Rows of one request are padded to its longest; position -1 marks the padding, which the network drops.
"""

import json
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils
from tokenizers import Tokenizer

PADDING_POSITION = -1
MAX_TEXT_BYTES = 2 * 2**20  # longer ones would hold up everybody else in the batch for seconds


class RequestError(Exception):
    """One request cannot be answered; its neighbours in the batch can."""


class Frame:
    """The special tokens around one text, or around and between two."""

    def __init__(self, tokenizer, texts):
        encoding = tokenizer.encode(*["a"] * texts)
        self.runs = [([], []) for _ in range(texts + 1)]  # (ids, types) before the first text, after each
        self.types = [0] * texts
        seen = 0
        for token, kind, text in zip(encoding.ids, encoding.type_ids, encoding.sequence_ids, strict=True):
            if text is None:
                self.runs[seen][0].append(token)
                self.runs[seen][1].append(kind)
            else:
                seen, self.types[text] = text + 1, kind
        self.size = sum(len(ids) for ids, _ in self.runs)

    def around(self, texts, max_length):
        """One row: (input_ids, token_type_ids, tokens before truncation)."""
        lengths = [len(ids) for ids in texts]
        kept = longest_first(lengths, max_length - self.size)
        ids, types = (list(run) for run in self.runs[0])
        for text, length, kind, run in zip(texts, kept, self.types, self.runs[1:], strict=True):
            ids += text[:length] + run[0]
            types += [kind] * length + run[1]
        return ids, types, sum(lengths) + self.size


def longest_first(lengths, budget):
    """Lengths that fit the budget together, cut from the longer text first, as Hugging Face does."""
    if sum(lengths) <= budget:
        return lengths
    shorter = min(*lengths, budget // 2) if len(lengths) > 1 else 0
    kept = [shorter, budget - shorter][-len(lengths) :]
    return kept if lengths[0] <= lengths[-1] else kept[::-1]


def read_rows(request):
    """The rows of one request, each a list of one text or two."""
    rows = pb_utils.get_input_tensor_by_name(request, "text").as_numpy()
    if rows.ndim != 2 or rows.shape[0] == 0 or rows.shape[1] not in (1, 2):
        raise RequestError(f"text: expected shape [rows, 1], or [rows, 2] for pairs, found {list(rows.shape)}")
    return [[read_text(value, index) for value in row] for index, row in enumerate(rows)]


def read_text(value, row):
    """One string, refused if it is not UTF-8 or too long."""
    if len(value) > MAX_TEXT_BYTES:
        raise RequestError(f"text: row {row} has {len(value)} bytes, at most {MAX_TEXT_BYTES} are read")
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise RequestError(f"text: row {row} is not UTF-8 at byte {exc.start}: {exc.reason}") from None


def response(rows):
    """The answer to one request: its rows as rectangles."""
    lengths = [len(ids) for ids, _, _ in rows]
    ids, types = np.zeros((2, len(rows), max(lengths)), np.int32)
    positions = np.full_like(ids, PADDING_POSITION)
    for index, (length, row) in enumerate(zip(lengths, rows, strict=True)):
        ids[index, :length], types[index, :length] = row[0], row[1]
        positions[index, :length] = np.arange(length)
    counts = np.array([[count] for _, _, count in rows], np.int32)
    tensors = {
        "input_ids": ids,
        "token_type_ids": types,
        "position_ids": positions,
        "token_count": counts,
        "truncated": counts > np.array(lengths)[:, None],
    }
    return pb_utils.InferenceResponse([pb_utils.Tensor(name, array) for name, array in tensors.items()])


class TritonPythonModel:
    """Loaded once per instance by Triton's Python backend."""

    def initialize(self, args):
        """Load the tokenizer that lies beside this file."""
        config = json.loads(args["model_config"])
        self.max_length = int(config["parameters"]["max_length"]["string_value"])
        self.tokenizer = Tokenizer.from_file(str(Path(__file__).with_name("tokenizer.json")))
        self.frames = {texts: Frame(self.tokenizer, texts) for texts in (1, 2)}

    def execute(self, requests):
        """Answer every request of a batch, or say why not; a bad one does not fail its neighbours."""
        batch = [self.rows_or_error(request) for request in requests]
        texts = [text for rows in batch if isinstance(rows, list) for row in rows for text in row]
        ids = iter([found.ids for found in self.tokenizer.encode_batch(texts, add_special_tokens=False)])
        return [
            response([self.frames[len(row)].around([next(ids) for _ in row], self.max_length) for row in rows])
            if isinstance(rows, list)
            else rows
            for rows in batch
        ]

    def rows_or_error(self, request):
        """The rows of a request, or the response that refuses it."""
        try:
            return read_rows(request)
        except RequestError as exc:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(exc), pb_utils.TritonError.INVALID_ARG))

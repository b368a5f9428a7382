"""What a request to the tokenizer is answered with: the tokens of its rows, or why it is refused.

Copied into the repository beside the tokenizer model, which imports it.
"""

from typing import Any, NamedTuple

import numpy as np
import triton_python_backend_utils as pb_utils


class Answer(NamedTuple):
    """What a request is answered with."""

    response: Any  # pb_utils.InferenceResponse
    tokens: int = 0  # that go to the network, padding included


def result_or_refusal(function: Any, *arguments: Any) -> Any:
    """What the function returns, or the answer that refuses the request."""
    try:
        return function(*arguments)
    except Exception as exc:  # noqa: BLE001 - whatever it is, it must not reach the neighbours
        kind = pb_utils.TritonError
        code = kind.INVALID_ARG if isinstance(exc, ValueError) else kind.INTERNAL
        code = kind.CANCELLED if isinstance(exc, TimeoutError) else code
        return Answer(pb_utils.InferenceResponse(error=kind(str(exc), code)))


def padded(rows: tuple[list[int], ...], length: int, fill: int) -> Any:
    """Rows of numbers as one array, [rows, length]."""
    return np.array([row + [fill] * (length - len(row)) for row in rows], np.int32)


def answer_of(rows: list[tuple[Any, ...]], padded_lengths: list[int], fingerprint: Any) -> Answer:
    """The answer to one request, [rows, tokens] and [rows, 1]; position -1 marks padding."""
    ids, types, positions, counts, truncated, windows = zip(*rows, strict=True)
    longest = max(map(len, ids))
    length = next((size for size in padded_lengths if size >= longest), longest)
    tensors = {
        "input_ids": padded(ids, length, 0),
        "token_type_ids": padded(types, length, 0),
        "position_ids": padded(positions, length, -1),
        "token_count": np.array(counts, np.int32)[:, None],
        "truncated": np.array(truncated)[:, None],
        "windows": np.array(windows, np.int32)[:, None],
        "tokenizer_fingerprint": np.repeat(fingerprint, len(rows), axis=0),
    }
    response = pb_utils.InferenceResponse([pb_utils.Tensor(*tensor) for tensor in tensors.items()])
    return Answer(response, length * len(rows))

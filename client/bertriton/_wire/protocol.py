"""Triton's messages: texts become requests, responses become classifications. No input or output here."""

from __future__ import annotations

import math
import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from tritonclient.grpc import service_pb2

from bertriton import contract
from bertriton._errors import InvalidTextError, ModelNotReadyError, UnexpectedAnswerError
from bertriton._types import Classification

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from bertriton.contract import ClassifierInfo

EncodedText = tuple[bytes, ...]  # UTF-8, one element or two for a pair

_OUTPUT_DTYPES: Final = {
    contract.PROBABILITIES: ("FP32", np.dtype("<f4")),
    contract.LOGITS: ("FP32", np.dtype("<f4")),
    contract.TOKEN_COUNT: ("INT32", np.dtype("<i4")),
    contract.TRUNCATED: ("BOOL", np.dtype("?")),
    contract.WINDOWS: ("INT32", np.dtype("<i4")),
    contract.FINGERPRINT: ("INT32", np.dtype("<i4")),
    contract.TOKENIZER_FINGERPRINT: ("INT32", np.dtype("<i4")),
}
_REQUESTED_OUTPUTS: Final = tuple(
    service_pb2.ModelInferRequest.InferRequestedOutputTensor(name=name) for name in _OUTPUT_DTYPES
)
_TIMEOUT: Final = "timeout"  # the parameter by which Triton drops what has waited for long
_LENGTH_PREFIX: Final = struct.Struct("<I")  # stands before every string of a BYTES tensor


def encoded_text(text: object, index: int, max_bytes: int) -> EncodedText:
    """Check one input and encode it.

    Raises:
        InvalidTextError: it is no text or pair of texts, is not UTF-8, or is over `max_bytes`.
    """
    parts = text if isinstance(text, tuple) else (text,)
    if len(parts) not in (1, 2):
        raise _invalid(index, f"expected a string or a pair of strings, found a tuple of {len(parts)}")
    encoded = tuple(_encoded_string(part, index) for part in parts)
    size_bytes = sum(map(len, encoded))
    if size_bytes > max_bytes:
        raise _invalid(
            index,
            f"{size_bytes:,} bytes of UTF-8, over the limit of {max_bytes:,}: "
            "shorten it or raise RequestLimits.text_bytes",
        )
    return encoded


def _encoded_string(part: object, index: int) -> bytes:
    if not isinstance(part, str):
        found = "nothing" if part is None else type(part).__name__
        raise _invalid(index, f"expected a string or a pair of strings, found {found}")
    try:
        return part.encode()
    except UnicodeEncodeError as exc:
        character = part[exc.start]
        # That is how Python keeps a byte that is no UTF-8, where it is asked to.
        is_byte = "\udc80" <= character <= "\udcff"
        found = f"character {exc.start} is {character!r}{', a byte of another encoding' if is_byte else ''}"
        raise _invalid(index, f"a lone surrogate is not UTF-8 ({found}): decode the text anew") from exc


def _invalid(index: int, problem: str) -> InvalidTextError:
    error = InvalidTextError(f"text {index}: {problem}")
    error.index = index
    return error


def infer_request(  # the fields of one message
    model: str,
    version: str,
    rows: Sequence[EncodedText],
    request_id: str,
    **parameters: int | str,
) -> Any:  # noqa: ANN401  # tritonclient is untyped
    """The `ModelInferRequest` for rows of one width; `set_queue_timeout` completes it."""
    tensor = service_pb2.ModelInferRequest.InferInputTensor(
        name=contract.TEXT, datatype="BYTES", shape=(len(rows), len(rows[0]))
    )
    request = service_pb2.ModelInferRequest(
        model_name=model,
        model_version=version,
        id=request_id,
        inputs=(tensor,),
        outputs=_REQUESTED_OUTPUTS,
        raw_input_contents=(_bytes_tensor(rows),),
    )
    for name, value in parameters.items():
        if isinstance(value, str):
            request.parameters[name].string_param = value
        else:
            request.parameters[name].int64_param = value
    return request


def set_queue_timeout(request: Any, timeout_s: float) -> None:  # noqa: ANN401  # tritonclient is untyped
    """Let the server drop the request if it has waited in the queue for so long."""
    request.parameters[_TIMEOUT].int64_param = max(1, int(timeout_s * 1e6))


def _bytes_tensor(rows: Sequence[EncodedText]) -> bytes:
    return b"".join([_LENGTH_PREFIX.pack(len(text)) + text for row in rows for text in row])


def row_kind(request: Any) -> Hashable:  # noqa: ANN401  # tritonclient is untyped
    """What requests for one row must have in common to be rows of one request."""
    parameters = ((name, value.SerializeToString()) for name, value in request.parameters.items())
    asked = sorted(pair for pair in parameters if pair[0] != _TIMEOUT)
    return request.model_name, request.model_version, tuple(request.inputs[0].shape), *asked


def joined_requests(requests: Sequence[Any]) -> Any:  # noqa: ANN401  # tritonclient is untyped
    """One `ModelInferRequest` of what several ask for, each one row; its id lists all of theirs."""
    joined = service_pb2.ModelInferRequest()
    joined.CopyFrom(requests[0])
    joined.id = ",".join(request.id for request in requests)
    joined.inputs[0].shape[0] = len(requests)
    joined.raw_input_contents[0] = b"".join(request.raw_input_contents[0] for request in requests)
    return joined


def responses_apart(response: Any, rows: int) -> list[Any]:  # noqa: ANN401  # tritonclient is untyped
    """A `ModelInferResponse` for each row; where one is no answer to so many, it is left to its readers."""
    if rows == 1 or any(output.shape[:1] != [rows] for output in response.outputs):
        return [response] * rows
    apart = [service_pb2.ModelInferResponse(model_name=response.model_name) for _ in range(rows)]
    for output, content in zip(response.outputs, response.raw_output_contents, strict=False):
        size = len(content) // rows
        for row, one in enumerate(apart):
            one.outputs.add(name=output.name, datatype=output.datatype, shape=(1, *output.shape[1:]))
            one.raw_output_contents.append(content[row * size : (row + 1) * size])
    return apart


def answered_fingerprint(response: Any, row_count: int) -> str:  # noqa: ANN401
    """The fingerprint of the export that a `ModelInferResponse` was made by.

    Raises:
        ModelNotReadyError: parts of several exports made it, as they do while one replaces the other.
        UnexpectedAnswerError: an output is missing or has another type or shape than the contract says.
    """
    rows = (
        tuple(words)
        for output in (contract.FINGERPRINT, contract.TOKENIZER_FINGERPRINT)
        for words in _rows_of(response, output, row_count, contract.FINGERPRINT_WORDS)
    )
    found = sorted(map(contract.fingerprint_of, set(rows)))
    if len(found) > 1:
        raise ModelNotReadyError(
            f"model {response.model_name!r} is being replaced: one answer was made by parts of the exports "
            f"{' and '.join(found)}; if it stays so, load all three models again, or export them again",
            model=response.model_name,
        )
    return found[0]


def classifications(response: Any, info: ClassifierInfo, row_count: int) -> list[Classification]:  # noqa: ANN401
    """One `Classification` for each row of a `ModelInferResponse` that carries the info's fingerprint.

    Raises:
        UnexpectedAnswerError: an output is missing or has another type or shape than the contract says.
    """
    label_count = len(info.labels)
    probabilities = _rows_of(response, contract.PROBABILITIES, row_count, label_count)
    logits = _rows_of(response, contract.LOGITS, row_count, label_count)
    _require_scores(response, probabilities)
    token_counts = _rows_of(response, contract.TOKEN_COUNT, row_count, 1)
    truncated = _rows_of(response, contract.TRUNCATED, row_count, 1)
    windows = _rows_of(response, contract.WINDOWS, row_count, 1)
    reports = [
        {"token_count": count, "truncated": is_cut, "windows": parts}
        for (count,), (is_cut,), (parts,) in zip(token_counts, truncated, windows, strict=True)
    ]
    return [_classification(info, *row) for row in zip(probabilities, logits, reports, strict=True)]


def _require_scores(response: Any, rows: list[list[float]]) -> None:  # noqa: ANN401
    """Refuse NaN, by which the network says that it does not take what it got for a row.

    Of what the tokenizer makes it takes all. But Triton's own ONNX Runtime backend hands over nothing of the
    requests that it has put behind one with an empty input, so another try may help.
    """
    for index, row in enumerate(rows):
        if any(math.isnan(score) for score in row):
            raise ModelNotReadyError(
                f"output {contract.PROBABILITIES!r}: row {index} is NaN, for the network did not get the "
                "tokens of its text; if it stays so, export the model again",
                model=response.model_name,
            )


def _classification(
    info: ClassifierInfo,
    probabilities: list[float],
    logits: list[float],
    report: dict[str, Any],
) -> Classification:
    score = max(probabilities)
    label = info.labels[probabilities.index(score)]
    scores = dict(zip(info.labels, probabilities, strict=True))
    return Classification(
        label=label,
        score=score,
        scores=scores,
        logits=tuple(logits),
        labels=_counting_labels(info, label, scores),
        value=score if info.problem_type == contract.REGRESSION and len(scores) == 1 else None,
        fingerprint=info.fingerprint,
        problem_type=info.problem_type,
        **report,
    )


def _counting_labels(info: ClassifierInfo, label: str, scores: dict[str, float]) -> tuple[str, ...]:
    """The labels that apply to a text, by the model's problem type."""
    if info.problem_type == contract.MULTI_LABEL:
        return tuple(name for name, score in scores.items() if score >= info.threshold)
    return () if info.problem_type == contract.REGRESSION else (label,)


def _rows_of(response: Any, name: str, rows: int, columns: int) -> list[list[Any]]:  # noqa: ANN401
    datatype, dtype = _OUTPUT_DTYPES[name]
    for output, content in zip(response.outputs, response.raw_output_contents, strict=False):
        if output.name != name:
            continue
        shape = tuple(output.shape)
        if (output.datatype, shape) != (datatype, (rows, columns)):
            raise UnexpectedAnswerError(
                f"output {name!r}: expected {datatype} {(rows, columns)}, found {output.datatype} {shape}",
                model=response.model_name,
            )
        if len(content) != rows * columns * dtype.itemsize:
            raise UnexpectedAnswerError(
                f"output {name!r}: {len(content)} bytes are not {datatype} {shape}", model=response.model_name
            )
        found: list[list[Any]] = np.frombuffer(content, dtype).reshape(shape).tolist()
        return found
    raise UnexpectedAnswerError(
        f"output {name!r} is missing: found {[output.name for output in response.outputs]}",
        model=response.model_name,
    )


def best_labels(answer: Classification, count: int) -> Classification:
    """The same answer with the `count` most probable labels in `scores`, best first."""
    best = sorted(answer.scores.items(), key=lambda item: -item[1])[:count]
    return replace(answer, scores=dict(best))


def classifier_info(response: Any) -> ClassifierInfo | None:  # noqa: ANN401
    """What a `ModelConfigResponse` says of a classifier, None if the model is none.

    Raises:
        UnexpectedAnswerError: it is a classifier of another contract version or with damaged parameters.
    """
    config = response.config
    parameters = {key: value.string_value for key, value in config.parameters.items()}
    if not contract.is_classifier(parameters):
        return None
    try:
        # Triton gives 0 for a model that cannot batch.
        return contract.ClassifierInfo.from_parameters(config.name, max(1, config.max_batch_size), parameters)
    except contract.ContractError as exc:
        raise UnexpectedAnswerError(str(exc), model=config.name) from exc


def part_names(name: str) -> set[str]:
    """The models that a classifier's ensemble is made of."""
    return {name + contract.TOKENIZER_SUFFIX, name + contract.BERT_SUFFIX}


def candidate_names(index: Any) -> list[str]:  # noqa: ANN401
    """Models of a `RepositoryIndexResponse` that may be classifiers: all but the parts of others, sorted.

    A name alone makes no part: `x_bert` beside a model `x` that has no tokenizer is a model of its own.
    """
    names = {model.name for model in index.models}
    whole = {name for name in names if part_names(name) <= names}
    parts = {part for name in whole for part in part_names(name)}
    return sorted(names - (parts - whole))

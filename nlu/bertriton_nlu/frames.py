"""Texts of a pandas frame classified, in the columns of NLU's `predict`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from bertriton import ModelNotReadyError
from bertriton.contract import MULTI_LABEL
from bertriton_nlu.errors import DataError, SettingError
from bertriton_nlu.sentences import sentences

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bertriton import Classification, ClassifierInfo

DOCUMENT: Final = "document"
SENTENCE: Final = "sentence"
LEVELS: Final = (DOCUMENT, SENTENCE)

LABEL: Final = "classified_sequence"
CONFIDENCE: Final = "classified_sequence_confidence"
BEGIN: Final = "classified_sequence_begin"
END: Final = "classified_sequence_end"
ORIGIN: Final = "classified_sequence_origin_sentence"


@dataclass(frozen=True)
class Shape:
    """Which rows and columns come out, under the names of NLU's options."""

    output_level: str = DOCUMENT  # a row for each document, or for each sentence
    positions: bool = False  # whether it is said where a text begins and ends
    metadata: bool = False  # whether every label's score is given, and the sentence's number
    keep_stranger_features: bool = True  # whether columns of the data are kept
    drop_irrelevant_cols: bool = True  # whether sentences come without their documents

    def __post_init__(self) -> None:
        if self.output_level not in LEVELS:
            raise SettingError(
                f"output_level: expected {' or '.join(map(repr, LEVELS))}, found {self.output_level!r}"
            )

    @property
    def has_document(self) -> bool:
        """Whether the whole text is given; with metadata NLU drops no column."""
        return self.output_level == DOCUMENT or self.metadata or not self.drop_irrelevant_cols

    def kept(self, columns: Sequence[str]) -> list[str]:
        """The data's columns that stay: all, unless the texts are alone."""
        return list(columns) if self.keep_stranger_features and len(columns) > 1 else []


@dataclass(frozen=True)
class _Part:
    """A document, or a sentence of one."""

    row: int
    number: int  # among those of its row
    begin: int
    end: int  # exclusive
    text: str
    document: str


def columns_of(shape: Shape, info: ClassifierInfo) -> dict[str, str]:
    """The columns that come to the data's, with their types as Spark writes them."""
    is_list = info.problem_type == MULTI_LABEL
    columns = {
        LABEL: "array<string>" if is_list else "string",
        CONFIDENCE: "array<double>" if is_list else "double",
    }
    if shape.has_document:
        columns[DOCUMENT] = "string"
    if shape.output_level == SENTENCE:
        columns[SENTENCE] = "string"
    if shape.positions:
        columns |= {BEGIN: "int", END: "int"}
    if shape.metadata:
        columns[ORIGIN] = "string"
        columns |= {_score_column(label): "double" for label in info.labels}
    return columns


def classified_frame(
    frame: Any,  # noqa: ANN401  # pandas comes without types
    column: str,
    shape: Shape,
    info: ClassifierInfo,
    classify: Callable[[list[str]], list[Classification]],
) -> Any:  # noqa: ANN401
    """The frame's texts with what the classifier says of them, columns in alphabetical order.

    A row without a word stays, without a label and with confidence NaN.

    Args:
        frame: a pandas frame; its index is kept, and repeated for each sentence.
        column: of the texts.
        shape: what comes out.
        info: of the classifier.
        classify: asks it, of all texts at once.

    Raises:
        DataError: a row holds no text.
        ModelNotReadyError: another model than that of `info` answered, whose labels may be others.
        BertritonError: there is no answer.
    """
    parts = _parts(frame[column].tolist(), shape.output_level)
    asked = [part.text for part in parts if part.text.strip()]
    found = classify(asked) if asked else []
    _require_one_model(found, info)
    answers = iter(found)
    rows = [_values(part, next(answers) if part.text.strip() else None, info) for part in parts]
    names = columns_of(shape, info)
    taken = frame.iloc[[part.row for part in parts]]
    columns = {
        name: _series([row.get(name) for row in rows], kind, taken.index) for name, kind in names.items()
    }
    columns |= {name: taken[name] for name in shape.kept(list(frame.columns))}
    return pd.DataFrame({name: columns[name] for name in sorted(columns)}, index=taken.index)


def _require_one_model(answers: Sequence[Classification], info: ClassifierInfo) -> None:
    others = sorted({answer.fingerprint for answer in answers} - {info.fingerprint})
    if others:
        raise ModelNotReadyError(
            f"model {info.name!r} is being replaced: the frame was begun with the export {info.fingerprint}, "
            f"and texts of it were answered by {' and '.join(others)}; predict again, and if it stays so, "
            "replicas differ: serve one export on all of them",
            model=info.name,
        )


def _series(values: list[object], kind: str, index: Any) -> Any:  # noqa: ANN401
    """A column, NaN where a number is missing and None where anything else is."""
    return pd.Series(values, index=index, dtype=float if kind == "double" else object)


def _parts(values: list[Any], level: str) -> list[_Part]:
    return [
        _Part(row, number, begin, end, text[begin:end], text)
        for row, value in enumerate(values)
        for text in [_text(value, row)]
        for number, (begin, end) in enumerate(_spans(text, level))
    ]


def _spans(text: str, level: str) -> list[tuple[int, int]]:
    whole = [(0, len(text))]
    return (sentences(text) or whole) if level == SENTENCE else whole


def _text(value: object, row: int) -> str:
    if isinstance(value, str):
        return value
    if value is None or value is pd.NA or value != value:  # noqa: PLR0124  # as NaN is
        return ""
    raise DataError(f"row {row}: expected a text or nothing, found {type(value).__name__} {value!r}")


def _values(part: _Part, answer: Classification | None, info: ClassifierInfo) -> dict[str, object]:
    """All that can be said of a part, by column."""
    begin = _utf16_length(part.document[: part.begin])
    values: dict[str, object] = {
        DOCUMENT: part.document,
        SENTENCE: part.text,
        BEGIN: begin,
        END: begin + _utf16_length(part.text) - 1,
        ORIGIN: str(part.number),
    }
    if answer is None:
        return values
    is_list = info.problem_type == MULTI_LABEL
    values[LABEL] = list(answer.labels) if is_list else answer.label
    values[CONFIDENCE] = [answer.scores[label] for label in answer.labels] if is_list else answer.score
    return values | {_score_column(label): score for label, score in answer.scores.items()}


def _score_column(label: str) -> str:
    return f"{LABEL}_{label}_confidence"


def _utf16_length(text: str) -> int:
    """Positions count UTF-16 units, as Spark NLP's do."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2

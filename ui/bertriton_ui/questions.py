"""What the page is asked, checked, and what it shows of the answer."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from bertriton import InvalidTextError
from bertriton.contract import TRUNCATIONS
from bertriton_ui.errors import BadRequestError
from bertriton_ui.reading import Part, kept_tokens, parts_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bertriton import AsyncClient, CallOptions, Classification, ClassifierInfo

# Enough for the special tokens of any model, and next to nothing for its network.
_COUNTING_LENGTH: Final = 16
_MS_PER_S: Final = 1000.0


@dataclass(frozen=True)
class Question:
    """What somebody wants to know of a text."""

    model: str
    text: str
    second: str | None = None  # of a pair
    truncation: str | None = None  # None: the model's own way
    candidates: tuple[str, ...] = ()  # labels to choose from, for models of natural language inference

    @classmethod
    def of(cls, body: bytes) -> Question:
        """Read what the page sent.

        Raises:
            BadRequestError: it is no question.
        """
        try:
            found = json.loads(body)
        except ValueError as exc:  # UnicodeDecodeError is one
            raise BadRequestError(f"expected JSON, found something else: {exc}") from exc
        names = [field.name for field in fields(cls)]
        if not isinstance(found, dict) or not found.keys() <= set(names):
            raise BadRequestError(f"expected an object of {', '.join(names)}")
        for name, value in found.items():
            _require(name, value)
        if not {"model", "text"} <= found.keys():
            raise BadRequestError("expected model and text")
        return cls(**found | {"candidates": tuple(found.get("candidates", ()))})

    @property
    def texts(self) -> tuple[str, ...]:
        """One, or two of a pair."""
        return (self.text,) if self.second is None else (self.text, self.second)

    @property
    def options(self) -> CallOptions:
        """What the server is told beside the texts."""
        options: dict[str, Any] = {"model": self.model}
        if self.truncation is not None:
            options["truncation"] = self.truncation
        if self.candidates:
            options["candidate_labels"] = self.candidates
        return options  # type: ignore[return-value]  # of these names alone


def _require(name: str, value: object) -> None:
    if name == "candidates":
        is_right = isinstance(value, list) and all(isinstance(label, str) for label in value)
    elif name == "truncation":
        is_right = value is None or value in TRUNCATIONS
    else:
        is_right = isinstance(value, str) or (name == "second" and value is None)
    if not is_right:
        raise BadRequestError(f"{name}: unexpected {value!r:.80}")


async def answer(client: AsyncClient, question: Question) -> dict[str, Any]:
    """What the page shows: the answer, how long it took, and what was read.

    Raises:
        BertritonError: there is none.
    """
    info = await client.with_options(model=question.model).info
    text = question.texts if len(question.texts) > 1 else question.text
    began_s = time.perf_counter()
    found = await client.classify(text, **question.options)  # type: ignore[arg-type]  # a pair is two
    took_s = time.perf_counter() - began_s
    read = await _read_parts(client, question, info, found)
    return {
        **found.to_dict(),
        "model": info.name,
        "threshold": info.threshold,
        "max_length": info.max_length,
        "truncation": question.truncation or info.truncation,
        "milliseconds": took_s * _MS_PER_S,
        "parts": [[asdict(part) for part in parts] for parts in read],
    }


async def _read_parts(
    client: AsyncClient, question: Question, info: ClassifierInfo, found: Classification
) -> list[list[Part]]:
    """For each text what was read of it and what was not; nothing where all of it was, or is not known."""
    # A candidate label is the second text of a pair, and each of them has a length of its own.
    if not found.truncated or question.candidates:
        return []
    texts = question.texts
    empty = tuple("" for _ in texts)
    try:
        (frame,) = await _token_counts(client, question, [empty])
    except InvalidTextError:  # a tokenizer without special tokens gives no row for nothing
        frame = 0

    async def count(place: int, parts: Sequence[str]) -> list[int]:
        rows = [tuple(part if at == place else "" for at in range(len(texts))) for part in parts]
        return [tokens - frame for tokens in await _token_counts(client, question, rows)]

    counts = [(await count(place, [text]))[0] for place, text in enumerate(texts)]
    kept = kept_tokens(counts, info.max_length - frame, question.truncation or info.truncation)
    return [
        await parts_of(text, kept[place], lambda parts, place=place: count(place, parts))  # type: ignore[misc]
        for place, text in enumerate(texts)
    ]


async def _token_counts(
    client: AsyncClient, question: Question, rows: Sequence[tuple[str, ...]]
) -> list[int]:
    texts: list[Any] = [row if len(row) > 1 else row[0] for row in rows]
    answers = await client.classify(
        texts, model=question.model, truncation="head", max_length=_COUNTING_LENGTH
    )
    return [one.token_count for one in answers]

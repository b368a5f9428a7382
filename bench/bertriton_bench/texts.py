"""The texts that a server is measured with: read from a file, and cut into sets of different lengths."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bertriton._files import FileFormatError, column, opened
from bertriton_bench.errors import TextFileError
from bertriton_export.verification import sample_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    CountTokens = Callable[[Sequence[str]], list[int]]

TEXTS_PER_SET: Final = 128
SHORT: Final = "short"
MIXED: Final = "mixed"
UNIFORM: Final = "uniform"
LONG: Final = "long"
SET_NAMES: Final = (SHORT, MIXED, UNIFORM, LONG)

SHORT_WORDS: Final = (4, 24)  # at least, at most

# Sentences alone are no documents. Those of the package are joined to lengths like those of film reviews.
_REVIEW_MEDIAN_WORDS: Final = 175
_REVIEW_SPREAD: Final = 0.65  # standard deviation of the logarithm
_REVIEW_MAX_WORDS: Final = 1000

_LONG_SURPLUS: Final = 1.1  # so that what is fitted to a length fills it
_FITTING_ROUNDS: Final = 3  # of asking how many tokens so many words are
_ROWS_PER_CHUNK: Final = 1024
_SEED: Final = 0


@dataclass(frozen=True)
class TextSet:
    """Texts of one kind of length."""

    name: str
    texts: tuple[str, ...]
    token_counts: tuple[int, ...]  # as the network reads them, after truncation

    @property
    def mean_tokens(self) -> float:
        """Tokens of a text on average."""
        return sum(self.token_counts) / len(self.token_counts)


def read_texts(file: Path, text_column: str) -> list[str]:
    """The texts of a file: a line each, or one column of .csv, .tsv, .jsonl or .parquet.

    Raises:
        TextFileError: the file is missing, of another kind, without that column, or holds no text.
    """
    try:
        texts = _texts_of(file, text_column)
    except FileFormatError as exc:
        raise TextFileError(str(exc)) from exc
    except ModuleNotFoundError as exc:
        raise TextFileError(f"{file}: {exc.name} is not installed: pip install 'bertriton[files]'") from exc
    if not texts:
        raise TextFileError(f"{file}: holds no text")
    return texts


def _texts_of(file: Path, text_column: str) -> list[str]:
    reader = opened(file)
    try:
        if text_column not in reader.columns:
            raise TextFileError(f"{file}: no column {text_column!r}, only {', '.join(reader.columns)}")
        values = [
            value
            for rows in reader.chunks(_ROWS_PER_CHUNK, 0)
            for value in column(rows, text_column)
            if isinstance(value, str) and value.strip()
        ]
    finally:
        reader.close()
    # perf_analyzer reads them from JSON.
    return [value.encode("utf-8", "replace").decode("utf-8") for value in values]


def default_texts(count: int = TEXTS_PER_SET) -> list[str]:
    """The sentences that come with the exporter, joined to the lengths of film reviews."""
    chance = random.Random(_SEED)  # noqa: S311 - repeatable on purpose
    words = " ".join(sample_texts()).split()
    reviews = []
    for _ in range(count):
        length = round(_REVIEW_MEDIAN_WORDS * chance.lognormvariate(0, _REVIEW_SPREAD))
        start = chance.randrange(len(words))
        reviews.append(_run_of(words, start, min(max(length, SHORT_WORDS[0]), _REVIEW_MAX_WORDS)))
    return reviews


def make_sets(
    texts: Sequence[str],
    names: Sequence[str],
    *,
    count_tokens: CountTokens,
    max_length: int,
    size: int = TEXTS_PER_SET,
) -> list[TextSet]:
    """Sets of the kinds named, all from the same texts.

    `mixed` are texts as they come, `uniform` has pieces of their mean length, `short` their first words, and
    `long` fills what the model reads.

    Args:
        texts: what there is.
        names: of SET_NAMES.
        count_tokens: tokens of each text before truncation, special tokens included.
        max_length: tokens that the model reads.
        size: texts of a set.
    """
    kept = _spread(texts, size)

    def text_set(name: str, members: Sequence[str]) -> TextSet:
        counts = [min(count, max_length) for count in count_tokens(members)]
        return TextSet(name, tuple(members), tuple(counts))

    mixed = text_set(MIXED, kept)
    name_to_make: dict[str, Callable[[], TextSet]] = {
        SHORT: lambda: text_set(SHORT, _beginnings(kept)),
        MIXED: lambda: mixed,
        UNIFORM: lambda: text_set(UNIFORM, _of_length(kept, round(mixed.mean_tokens), count_tokens)),
        LONG: lambda: text_set(LONG, _of_length(kept, round(max_length * _LONG_SURPLUS), count_tokens)),
    }
    return [name_to_make[name]() for name in names]


def _spread(texts: Sequence[str], size: int) -> list[str]:
    """So many of them, from everywhere in the file, in an order that does not depend on their place."""
    kept = min(size, len(texts))
    chosen = [texts[index * len(texts) // kept] for index in range(kept)]
    random.Random(_SEED).shuffle(chosen)  # noqa: S311 - repeatable on purpose
    return chosen


def _beginnings(texts: Sequence[str]) -> list[str]:
    chance = random.Random(_SEED)  # noqa: S311 - repeatable on purpose
    return [" ".join(text.split()[: chance.randint(*SHORT_WORDS)]) for text in texts]


def _of_length(texts: Sequence[str], tokens: int, count_tokens: CountTokens) -> list[str]:
    """As many pieces of the texts laid end to end, each of about so many tokens, and not fewer by much."""
    words = " ".join(texts).split()
    starts = [index * len(words) // len(texts) for index in range(len(texts))]
    lengths = [tokens] * len(starts)
    for _ in range(_FITTING_ROUNDS):
        pieces = [_run_of(words, *place) for place in zip(starts, lengths, strict=True)]
        counts = count_tokens(pieces)
        lengths = [
            max(round(length * tokens / count), 1) for length, count in zip(lengths, counts, strict=True)
        ]
    return [_run_of(words, *place) for place in zip(starts, lengths, strict=True)]


def _run_of(words: Sequence[str], start: int, length: int) -> str:
    """So many words in a row, from the first again after the last."""
    return " ".join(words[(start + offset) % len(words)] for offset in range(length))

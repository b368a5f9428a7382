"""What must hold of every tokenizer, whatever file it comes from."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, Final

from bertriton_export.checkpoint.settings import short
from bertriton_export.checkpoint.tokenizer.library import library_errors
from bertriton_export.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

    from tokenizers import Encoding, Tokenizer

    from bertriton_export.checkpoint.dimensions import BertConfig

# Letters that are in hardly a vocabulary: some models of tokens cannot do without a token for the unknown.
RARE_TEXT: Final = "\ua66e \U00013000"
MAX_GROWTH: Final = 16  # characters that a normalizer makes of one; known ones put one in place of another


def checked(tokenizer: Tokenizer, file: Path, config: BertConfig) -> Tokenizer:
    """The tokenizer, if it gives tokens that there are embeddings for, around texts as the server puts them.

    Raises:
        CheckpointError: it does not.
    """
    with library_errors(file):
        tokens = _without_frame(tokenizer, "a")
        framed = [tokenizer.encode("a"), tokenizer.encode("a", "a")]
        tokenizer.encode(RARE_TEXT)
        vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    if not tokens:
        raise CheckpointError(file, "it gives no token for 'a': is its vocabulary whole?")
    if len(set(vocabulary.values())) != len(vocabulary):
        raise CheckpointError(file, "two tokens of its vocabulary have the same id")
    # The ids of special tokens need not be in the vocabulary.
    largest_id = max([*vocabulary.values(), *(token for encoding in framed for token in encoding.ids)])
    if largest_id >= config.vocab_size:
        raise CheckpointError(
            file, f"token ids go up to {largest_id}, but the model has embeddings for {config.vocab_size}"
        )
    for texts, encoding in enumerate(framed, 1):
        _check_frame(file, encoding, [text for text in range(texts) for _ in tokens])
        largest_type = max(encoding.type_ids)
        if config.has_segments and largest_type >= config.type_vocab_size:
            raise CheckpointError(
                file, f"token types go up to {largest_type}, but the model has {config.type_vocab_size} kinds"
            )
    return tokenizer


def refuse_growth(normalizer: Any, file: Path) -> None:  # noqa: ANN401 (JSON)
    """See that a normalizer of tokenizer.json makes no long text of a letter: it could take all memory.

    Raises:
        CheckpointError: it does.
    """
    if (growth := _growth(normalizer)) > MAX_GROWTH:
        raise CheckpointError(
            file, f"normalizer: makes {growth} characters of one, expected at most {MAX_GROWTH}"
        )


def _growth(normalizer: Any) -> int:  # noqa: ANN401 (JSON)
    if not isinstance(normalizer, dict):
        return 1
    content, parts = normalizer.get("content"), normalizer.get("normalizers")
    own = len(content) if isinstance(content, str) else 1
    return prod([max(1, own), *(map(_growth, parts) if isinstance(parts, list) else ())])


def refuse_undescribed(processor: Any, file: Path) -> None:  # noqa: ANN401 (JSON)
    """See that a template of tokenizer.json describes its special tokens: the library panics otherwise.

    Raises:
        CheckpointError: it does not.
    """
    if not isinstance(processor, dict):
        return
    for part in _list(processor.get("processors")):
        refuse_undescribed(part, file)
    described = processor.get("special_tokens")
    for piece in (*_list(processor.get("single")), *_list(processor.get("pair"))):
        special = piece.get("SpecialToken") if isinstance(piece, dict) else None
        name = special.get("id") if isinstance(special, dict) else None
        if isinstance(name, str) and isinstance(described, dict) and name not in described:
            raise CheckpointError(
                file, f"post_processor: its template has {short(name)}, which is none of its special_tokens"
            )


def _list(value: Any) -> list[Any]:  # noqa: ANN401 (JSON)
    return value if isinstance(value, list) else []


def _without_frame(tokenizer: Tokenizer, text: str) -> list[int]:
    """The tokens of a text before anything is put around it, or it is put there twice."""
    processor = tokenizer.post_processor
    tokenizer.post_processor = None
    try:
        return tokenizer.encode(text).ids
    finally:
        tokenizer.post_processor = processor


def _check_frame(file: Path, encoding: Encoding, expected: list[int]) -> None:
    """See that special tokens stand around whole texts: the server takes their places from an example."""
    of_tokens = zip(encoding.sequence_ids, encoding.special_tokens_mask, strict=True)
    found = [text for text, is_special in of_tokens if not is_special]  # None in a second copy of a text
    if found != expected:
        raise CheckpointError(
            file,
            "post_processor: expected each text of a row once and in order, as tokens of texts "
            f"{short(expected)}, found {short(found)}",
        )

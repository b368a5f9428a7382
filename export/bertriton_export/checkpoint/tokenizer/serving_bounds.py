"""What a stranger's tokenizer.json may ask for, so that the server gives equal answers, in bounded time."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from bertriton_export.checkpoint.settings import short
from bertriton_export.errors import CheckpointError, UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# BERT's is 100. The time that a word takes grows with the cube of it.
MAX_WORD_CHARACTERS: Final = 1000
# A group that is repeated: where it can match the same text in two ways, the library gives up after seconds
# by a panic, which would end the server's thread. No tokenizer that is known has one.
_REPEATED_GROUP: Final = re.compile(r"(?<!\\)\)[*+{]")


def refuse_chance(model: dict[str, Any], file: Path) -> None:
    """See that a model of tokenizer.json cuts a text the same way each time.

    Raises:
        UnsupportedModelError: it drops merges by chance, as Transformers then does while it answers too.
    """
    dropout = model.get("dropout")
    if dropout not in (None, 0):
        raise UnsupportedModelError(
            f"{file}: model: dropout {short(dropout)} cuts a text in another way each time, so that no "
            "answer can be repeated; it is meant for training: set it to null"
        )


def refuse_long_words(model: dict[str, Any], file: Path) -> None:
    """See that a model of tokenizer.json gives up words that would take it minutes.

    Raises:
        CheckpointError: it does not.
    """
    characters = model.get("max_input_chars_per_word")
    if isinstance(characters, int) and characters > MAX_WORD_CHARACTERS:
        raise CheckpointError(
            file,
            f"model: max_input_chars_per_word: expected at most {MAX_WORD_CHARACTERS}, found "
            f"{short(characters)}: one long word would hold up the server; BERT has 100",
        )


def refuse_repeated_groups(document: Any, file: Path) -> None:  # noqa: ANN401 (JSON)
    """See that no regular expression of a part of tokenizer.json could take for ever over a text.

    Raises:
        UnsupportedModelError: one repeats a group.
    """
    for pattern in _patterns(document):
        if _REPEATED_GROUP.search(pattern):
            raise UnsupportedModelError(
                f"{file}: the regular expression {short(pattern)} repeats a group, which can take for "
                "ever over some texts: write it without * + or { behind a )"
            )


def _patterns(part: Any) -> Iterator[str]:  # noqa: ANN401 (JSON)
    """Every regular expression at any depth."""
    if isinstance(part, dict) and isinstance(part.get("Regex"), str):
        yield part["Regex"]
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _patterns(inner)

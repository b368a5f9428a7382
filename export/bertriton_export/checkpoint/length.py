"""How long a text may be, in tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bertriton_export.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

    from tokenizers import Tokenizer

    from bertriton_export.checkpoint.dimensions import BertConfig


def longest_text(
    file: Path, config: BertConfig, tokenizer: Tokenizer, asked: float | None = None, key: str = ""
) -> int:
    """Tokens read of one text, special tokens included: what is asked for, as far as there are positions.

    Args:
        file: to name in messages.
        config: tells how many positions there are.
        tokenizer: tells how many special tokens a text gets.
        asked: what the checkpoint says; None or infinity leaves it to the positions.
        key: under which it says so.

    Raises:
        CheckpointError: no token of a text would fit beside the special ones.
    """
    least = tokenizer.num_special_tokens_to_add(is_pair=False) + 1
    source = key if asked is not None and asked < config.longest_text else "positions for texts"
    length = config.longest_text if asked is None else min(asked, config.longest_text)
    if length < least:
        raise CheckpointError(
            file,
            f"{source}: expected at least {least} tokens, one of a text and the special ones, found {length}",
        )
    return int(length)

"""The special tokens around a text, and around and between two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tokenizers import processors

from bertriton_export.checkpoint.settings import short
from bertriton_export.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

    from tokenizers import Tokenizer

    from bertriton_export.checkpoint.tokenizer.tokens import Tokens


@dataclass(frozen=True)
class Frame:
    """`CLS a SEP` and `CLS a SEP b SEP`, or `CLS a SEP SEP b SEP` whose tokens are all of one type."""

    doubles_separator: bool = False
    # The tokens that the class has written into it; none: those of the roles.
    cls: str | None = None
    sep: str | None = None

    def require(self, tokenizer: Tokenizer, tokens: Tokens, file: Path) -> None:
        """See that a file tells of every token of the frame: one that is only added would mean nothing.

        Raises:
            CheckpointError: none does; names the file.
        """
        declared = {token.content for token in tokens.declared.values()}
        for role, token in self._tokens(tokens).items():
            if token is None or (tokenizer.token_to_id(token) is None and token not in declared):
                raise CheckpointError(file, f"{role} {short(token)} is not in the vocabulary")

    def put_around(self, tokenizer: Tokenizer, tokens: Tokens) -> None:
        """Give the tokenizer its frame."""
        pairs: list[Any] = [
            (token or "", tokenizer.token_to_id(token or "")) for token in self._tokens(tokens).values()
        ]
        processor = processors.RobertaProcessing if self.doubles_separator else processors.BertProcessing
        tokenizer.post_processor = processor(*pairs)

    def _tokens(self, tokens: Tokens) -> dict[str, str | None]:
        return {
            "sep_token": self.sep or tokens.text("sep_token"),
            "cls_token": self.cls or tokens.text("cls_token"),
        }


@dataclass(frozen=True)
class NoFrame:
    """No special tokens; GPT-2's begin-of-text token where the settings ask for it."""

    def require(self, tokenizer: Tokenizer, tokens: Tokens, file: Path) -> None:
        """Nothing is needed."""

    def put_around(self, tokenizer: Tokenizer, tokens: Tokens) -> None:
        """Leave the tokenizer without a frame."""
        del tokens
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)

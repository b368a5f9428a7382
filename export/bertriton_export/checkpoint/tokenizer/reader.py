"""The tokenizer of a checkpoint, whatever files tell of it, as one `tokenizer.json`.

Where versions of Transformers disagree, 4.57 is followed: nearly all checkpoints were trained with one like
it. It takes tokenizer.json as it is, but for a few settings that its classes set anew.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from tokenizers import Tokenizer

from bertriton_export.checkpoint.dimensions import longest_text
from bertriton_export.checkpoint.settings import Settings, short
from bertriton_export.checkpoint.small_file import is_there
from bertriton_export.checkpoint.tokenizer.bpe import PREFIX_SPACE
from bertriton_export.checkpoint.tokenizer.charsmap import is_whole_charsmap
from bertriton_export.checkpoint.tokenizer.checks import checked, refuse_growth, refuse_undescribed
from bertriton_export.checkpoint.tokenizer.classes import (
    CLASSES_WITHOUT_JSON,
    MODEL_TYPE_TO_CLASS,
    REFUSED_TOKENIZERS,
    TOKENIZERS,
)
from bertriton_export.checkpoint.tokenizer.library import library_errors
from bertriton_export.checkpoint.tokenizer.serving_bounds import (
    refuse_chance,
    refuse_long_words,
    refuse_repeated_groups,
)
from bertriton_export.checkpoint.tokenizer.sources import (
    ADDED_TOKENS_FILE,
    SETTINGS_FILE,
    SPECIAL_TOKENS_FILE,
    TOKENIZER_FILE,
    Sources,
)
from bertriton_export.checkpoint.tokenizer.tokens import add_tokens, read_tokens
from bertriton_export.checkpoint.tokenizer.wordpiece import wordpiece_of
from bertriton_export.errors import CheckpointError, UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bertriton_export.checkpoint.dimensions import BertConfig
    from bertriton_export.checkpoint.tokenizer.classes import TokenizerClass
    from bertriton_export.checkpoint.tokenizer.tokens import Tokens

FOLLOWED: Final = "Transformers 4.57"  # where versions of it disagree
# Every file that can change an id.
TOKENIZER_FILES: Final = tuple(
    dict.fromkeys(
        (
            *(TOKENIZER_FILE, SETTINGS_FILE, SPECIAL_TOKENS_FILE, ADDED_TOKENS_FILE),
            *(name for tokenizer in TOKENIZERS.values() for name in tokenizer.files),
        )
    )
)
_CLASS: Final = "tokenizer_class"
_LENGTH_KEYS: Final = ("model_max_length", "max_len")  # the second one counts where the first is not written
_SIDE_TO_TRUNCATION: Final = {"right": "head", "left": "tail"}  # a side is what is cut off
_FIRST_VERSION_WITHOUT_TYPES: Final = 5
_MAJOR: Final = re.compile(r"[0-9]{1,4}(?=\.|$)")  # int() raises on thousands of digits


@dataclass(frozen=True)
class TokenizerReader:
    """What the files of a folder say of a tokenizer.

    Args:
        sources: the files.
        model_type: of config.json, which names a class where no file does.
        left_out: special tokens that `read` left out, since no embedding is there for them.
    """

    sources: Sources
    model_type: str = "bert"
    left_out: list[str] = field(default_factory=list)

    @cached_property
    def kind(self) -> TokenizerClass:
        """The class.

        Raises:
            UnsupportedModelError: it is none of `TOKENIZERS`.
        """
        settings, config = self.sources.settings, self.sources.config
        told = settings.text(_CLASS) or config.text(_CLASS) or MODEL_TYPE_TO_CLASS.get(self.model_type, "")
        name = told.removesuffix("Fast")
        where = settings.file if settings.text(_CLASS) else config.file
        if name in TOKENIZERS:
            return TOKENIZERS[name]
        if name in REFUSED_TOKENIZERS:
            raise UnsupportedModelError(f"{where}: {_CLASS} {name}: {REFUSED_TOKENIZERS[name]}")
        known = ", ".join(TOKENIZERS)
        raise UnsupportedModelError(
            f"{where}: {_CLASS} {short(told)} cannot be served, expected one of {known}; where "
            "tokenizer.json says all of it, set it to PreTrainedTokenizerFast in tokenizer_config.json"
        )

    @property
    def reads_token_types(self) -> bool:
        """Whether the tokenizer's token types reach the model; without them all are 0."""
        names = self.sources.settings.texts("model_input_names")
        if names is not None:
            return "token_type_ids" in names
        major = _MAJOR.match(self.sources.config.text("transformers_version") or "")
        is_new = major is not None and int(major[0]) >= _FIRST_VERSION_WITHOUT_TYPES
        return self.kind.token_types[is_new]

    @property
    def truncation_side(self) -> str:
        """The side on which a text over the limit is cut: right or left."""
        settings = self.sources.settings
        saved = Settings(settings.file, (self.sources.saved or {})).section("truncation")
        direction = saved.get("direction")
        side = settings.text("truncation_side") or (direction.lower() if isinstance(direction, str) else None)
        if side not in (None, *_SIDE_TO_TRUNCATION):
            expected = f"one of {', '.join(_SIDE_TO_TRUNCATION)}"
            raise CheckpointError(settings.file, f"truncation_side: expected {expected}, found {short(side)}")
        return side or "right"

    @property
    def truncation(self) -> str:
        """What is kept of a text over the limit: one of contract.TRUNCATIONS."""
        return _SIDE_TO_TRUNCATION[self.truncation_side]

    def longest_text(self, config: BertConfig, tokenizer: Tokenizer) -> int:
        """Tokens read of one text, special ones included: as asked for, as far as there are positions.

        Raises:
            CheckpointError: what is asked for is no number, or less than a token beside the special ones.
        """
        settings = self.sources.settings
        key = _LENGTH_KEYS[0] if _LENGTH_KEYS[0] in settings else _LENGTH_KEYS[1]
        asked = settings.length(key)
        file = self.sources.config.file if asked is None else settings.file
        return longest_text(file, config, tokenizer, asked, key)

    def read(self, config: BertConfig) -> Tokenizer:
        """Read tokenizer.json, or build the same from the files of the class.

        Raises:
            CheckpointError: a file is missing, unreadable, or does not fit the embeddings.
            UnsupportedModelError: the class or one of its settings cannot be served.
        """
        sources, kind = self.sources, self.kind
        if sources.settings.flag("split_special_tokens", default=False):
            raise UnsupportedModelError(
                f"{sources.settings.file}: split_special_tokens is set, which no tokenizer.json can say"
            )
        if self._is_saved:
            file = sources.folder / TOKENIZER_FILE
            tokenizer, defaults = _saved(sources, kind), kind.saved_defaults
            self.left_out[:] = add_tokens(tokenizer, read_tokens(sources, defaults), config.vocab_size, file)
        else:
            file = self._first_file()
            tokenizer = self._built(config.vocab_size)
        return checked(tokenizer, file, config)

    @property
    def facts(self) -> dict[str, Any]:
        """What the manifest says of it."""
        files = TOKENIZER_FILE if self._is_saved else " and ".join(self.kind.files)
        facts = {"tokenizer": f"{self.kind.name} from {files}, as {FOLLOWED} reads it"}
        left_out = {"special tokens left out, for which there is no embedding": list(self.left_out)}
        return facts | (left_out if self.left_out else {})

    @property
    def _is_saved(self) -> bool:
        return self.sources.saved is not None and self.kind.name not in CLASSES_WITHOUT_JSON

    def _first_file(self) -> Path:
        folder, kind = self.sources.folder, self.kind
        missing = [name for name in kind.files if not is_there(folder / name)]
        if missing or kind.build is None:
            others = f" nor {' with '.join(kind.files)}" if kind.files else ""
            raise CheckpointError(
                folder,
                f"neither {TOKENIZER_FILE}{others} for {kind.name}: save the tokenizer beside the model",
            )
        return folder / kind.files[0]

    def _built(self, vocab_size: int) -> Tokenizer:
        sources, kind = self.sources, self.kind
        file = self._first_file()
        tokens = read_tokens(sources, kind.built_defaults)
        assert kind.build is not None  # noqa: S101 (see _first_file)
        tokenizer = kind.build(sources, tokens)
        self.left_out[:] = _finish(tokenizer, kind, tokens, vocab_size, file)
        return tokenizer


def wordpiece_tokenizer(
    vocabulary: dict[str, int], settings: dict[str, Any], source: Path, config: BertConfig
) -> Tokenizer:
    """Make BERT's tokenizer from a vocabulary, with settings as in `tokenizer_config.json`.

    Raises:
        CheckpointError: the vocabulary lacks a special token or does not fit the embeddings; names `source`.
    """
    kind, given = TOKENIZERS["BertTokenizer"], Settings(source, settings)
    tokens = read_tokens(Sources(source, given), kind.built_defaults)
    tokenizer = wordpiece_of(source, vocabulary, given, tokens)
    _finish(tokenizer, kind, tokens, config.vocab_size, source)
    return checked(tokenizer, source, config)


def _finish(
    tokenizer: Tokenizer, kind: TokenizerClass, tokens: Tokens, vocab_size: int, file: Path
) -> list[str]:
    with library_errors(file):
        kind.frame.require(tokenizer, tokens, file)
        left_out = add_tokens(tokenizer, tokens, vocab_size, file)
        kind.frame.put_around(tokenizer, tokens)
    return left_out


def _saved(sources: Sources, kind: TokenizerClass) -> Tokenizer:
    file, settings = sources.folder / TOKENIZER_FILE, sources.settings
    document = dict(sources.saved or {})
    sections = Settings(file, document)
    normalizer, pre_tokenizer = (sections.section(part) for part in ("normalizer", "pre_tokenizer"))
    if normalizer.get("type") == "BertNormalizer":
        normalizer |= {key: settings.flag(*setting) for key, setting in kind.normalizer.items()}
    if kind.sets_prefix_space and pre_tokenizer.get("type") == "ByteLevel":
        pre_tokenizer["add_prefix_space"] = settings.flag(PREFIX_SPACE, default=False)
    for part in _parts(normalizer):
        if part.get("type") == "Precompiled" and not _has_whole_charsmap(part):
            raise CheckpointError(file, "the character map of its normaliser is damaged")
    # The server cuts texts itself, since it has to say that it did; and padding may be of any length.
    document |= {"truncation": None, "padding": None}
    refuse_growth(normalizer, file)
    refuse_chance(sections.section("model"), file)
    refuse_long_words(sections.section("model"), file)
    refuse_repeated_groups([normalizer, pre_tokenizer], file)
    refuse_undescribed(document.get("post_processor"), file)
    with library_errors(file):
        return Tokenizer.from_str(json.dumps(document))


def _parts(normalizer: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 (JSON)
    if isinstance(normalizer, dict):
        yield normalizer
        inner = normalizer.get("normalizers")
        for part in inner if isinstance(inner, list) else ():
            yield from _parts(part)


def _has_whole_charsmap(part: dict[str, Any]) -> bool:
    try:
        return is_whole_charsmap(base64.b64decode(part.get("precompiled_charsmap") or "", validate=True))
    except (TypeError, ValueError):
        return False

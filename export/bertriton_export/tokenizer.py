"""The tokenizer of a Hugging Face checkpoint, as one `tokenizer.json`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

from bertriton_export.errors import CheckpointError
from bertriton_export.json_file import read_json

if TYPE_CHECKING:
    from pathlib import Path

# BertTokenizer's own, where tokenizer_config.json is silent
# (https://huggingface.co/docs/transformers/model_doc/bert#transformers.BertTokenizer).
DEFAULT_SPECIAL_TOKENS: Final = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
MAX_CHARACTERS_PER_WORD: Final = 100  # longer words become [UNK]

# Keys of tokenizer_config.json -> keys of a BertNormalizer.
_SETTING_TO_NORMALIZER: Final = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}


def read_tokenizer(folder: Path, vocab_size: int) -> Tokenizer:
    """Read `tokenizer.json`, or make the same from `vocab.txt` and `tokenizer_config.json`.

    Raises:
        CheckpointError: neither file is there, one is unreadable, or the vocabulary does not fit the
            embeddings.
    """
    settings_file = folder / "tokenizer_config.json"
    settings = read_json(settings_file) if settings_file.exists() else {}
    file = folder / "tokenizer.json"
    if file.exists():
        tokenizer = _from_tokenizer_json(file, settings)
    elif (file := folder / "vocab.txt").exists():
        tokenizer = _from_vocabulary(_read_vocabulary(file), settings, file)
    else:
        raise CheckpointError(
            folder, "neither tokenizer.json nor vocab.txt: save the tokenizer beside the model"
        )
    return _checked(tokenizer, file, vocab_size)


def wordpiece_tokenizer(
    vocabulary: dict[str, int], settings: dict[str, Any], source: Path, vocab_size: int
) -> Tokenizer:
    """Make BERT's tokenizer from a vocabulary, with settings as in `tokenizer_config.json`.

    Raises:
        CheckpointError: the vocabulary lacks a special token or does not fit the embeddings; names `source`.
    """
    return _checked(_from_vocabulary(vocabulary, settings, source), source, vocab_size)


def _checked(tokenizer: Tokenizer, file: Path, vocab_size: int) -> Tokenizer:
    largest_id = max(tokenizer.get_vocab(with_added_tokens=True).values())
    if largest_id >= vocab_size:
        raise CheckpointError(
            file, f"token ids go up to {largest_id}, but the model has embeddings for {vocab_size}"
        )
    # The server cuts texts itself, since it has to say that it did.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _from_tokenizer_json(file: Path, settings: dict[str, Any]) -> Tokenizer:
    document = read_json(file)
    normalizer = document.get("normalizer")
    if normalizer and normalizer.get("type") == "BertNormalizer":
        # Transformers lets tokenizer_config.json have the last word on these.
        for setting, key in _SETTING_TO_NORMALIZER.items():
            if setting in settings:
                normalizer[key] = settings[setting]
    try:
        return Tokenizer.from_str(json.dumps(document))
    except Exception as exc:  # the library raises nothing narrower
        raise CheckpointError(file, f"the tokenizers library cannot read it: {exc}") from exc


def _from_vocabulary(vocabulary: dict[str, int], settings: dict[str, Any], file: Path) -> Tokenizer:
    """The tokenizer that Transformers makes from a vocabulary alone."""
    special = {role: _content(settings.get(role, token)) for role, token in DEFAULT_SPECIAL_TOKENS.items()}
    for role, token in special.items():
        if token not in vocabulary and role != "mask_token":
            raise CheckpointError(file, f"{role} {token!r} is not in the vocabulary")
    tokenizer = Tokenizer(
        models.WordPiece(
            vocabulary, unk_token=special["unk_token"], max_input_chars_per_word=MAX_CHARACTERS_PER_WORD
        )
    )
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        lowercase=settings.get("do_lower_case", True),
        strip_accents=settings.get("strip_accents"),
        handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    sep, cls = special["sep_token"], special["cls_token"]
    tokenizer.post_processor = processors.BertProcessing((sep, vocabulary[sep]), (cls, vocabulary[cls]))
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special.values()])
    return tokenizer


def _content(token: str | dict[str, Any]) -> str:
    """A special token is written either as its text or as an object that holds it."""
    return token if isinstance(token, str) else str(token["content"])


def _read_vocabulary(file: Path) -> dict[str, int]:
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError) as exc:
        raise CheckpointError(file, f"not readable as UTF-8 text: {exc}") from exc
    if lines[-1] == "":
        lines.pop()
    vocabulary = {line.rstrip("\r"): index for index, line in enumerate(lines)}
    if len(vocabulary) != len(lines):
        raise CheckpointError(file, "a token stands in it twice, so ids would be ambiguous")
    return vocabulary

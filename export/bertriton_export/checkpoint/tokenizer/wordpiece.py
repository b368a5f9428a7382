"""Tokenizers of a list of tokens, one a line: BERT's WordPiece, and single characters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from bertriton_export.checkpoint.settings import short
from bertriton_export.checkpoint.small_file import read_text_file
from bertriton_export.checkpoint.tokenizer.library import library_errors
from bertriton_export.errors import CheckpointError, UnsupportedModelError

if TYPE_CHECKING:
    from pathlib import Path

    from bertriton_export.checkpoint.settings import Settings
    from bertriton_export.checkpoint.tokenizer.sources import Sources
    from bertriton_export.checkpoint.tokenizer.tokens import Tokens

WORDPIECE_FILE: Final = "vocab.txt"
MAX_CHARACTERS_PER_WORD: Final = 100  # longer words become [UNK]

# Key of a BertNormalizer -> key of tokenizer_config.json, and what holds without it.
NORMALIZER_TO_SETTING: Final = {
    "lowercase": ("do_lower_case", True),
    "strip_accents": ("strip_accents", None),
    "handle_chinese_chars": ("tokenize_chinese_chars", True),
}


def build_wordpiece(sources: Sources, tokens: Tokens) -> Tokenizer:
    """BERT's tokenizer from vocab.txt."""
    file = sources.folder / WORDPIECE_FILE
    return wordpiece_of(file, read_vocabulary(file), sources.settings, tokens)


def wordpiece_of(file: Path, vocabulary: dict[str, int], settings: Settings, tokens: Tokens) -> Tokenizer:
    """BERT's tokenizer from a vocabulary."""
    unknown = known_unknown(file, vocabulary, tokens)
    options: dict[str, Any] = {key: settings.flag(*setting) for key, setting in NORMALIZER_TO_SETTING.items()}
    with library_errors(file):
        tokenizer = Tokenizer(
            models.WordPiece(vocabulary, unk_token=unknown, max_input_chars_per_word=MAX_CHARACTERS_PER_WORD)
        )
        tokenizer.normalizer = normalizers.BertNormalizer(clean_text=True, **options)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def build_japanese(sources: Sources, tokens: Tokens) -> Tokenizer:
    """Every character a token, of those in vocab.txt (models/bert_japanese/tokenization_bert_japanese.py).

    Raises:
        UnsupportedModelError: the settings ask for words first, or for other pieces of them.
    """
    settings, file = sources.settings, sources.folder / WORDPIECE_FILE
    words = settings.text("word_tokenizer_type") or "basic"
    pieces = settings.text("subword_tokenizer_type") or "wordpiece"
    if settings.flag("do_word_tokenize", default=True) or pieces != "character":
        raise UnsupportedModelError(
            f"{settings.file}: BertJapaneseTokenizer with words by {short(words)} and pieces by "
            f"{short(pieces)} cannot be served with the same tokens; what can is do_word_tokenize false with "
            "'character', or a model with a tokenizer.json or a SentencePiece model, as XLM-RoBERTa has for "
            "Japanese too"
        )
    vocabulary = read_vocabulary(file)
    unknown = known_unknown(file, vocabulary, tokens)
    with library_errors(file):
        tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=unknown))
        lowercase = [normalizers.Lowercase()] if settings.flag("do_lower_case", default=False) else []
        tokenizer.normalizer = normalizers.Sequence([*lowercase, normalizers.NFKC()])
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    return tokenizer


def known_unknown(file: Path, vocabulary: dict[str, int], tokens: Tokens) -> str:
    """The token for what is not in the vocabulary.

    Raises:
        CheckpointError: it is not in it either.
    """
    unknown = tokens.text("unk_token")
    if unknown is None or unknown not in vocabulary:
        raise CheckpointError(file, f"unk_token {short(unknown)} is not in the vocabulary")
    return unknown


def read_vocabulary(file: Path) -> dict[str, int]:
    """Read a token a line; of one that stands there twice, the last line counts, as in Transformers.

    Raises:
        CheckpointError: the file is missing, unreadable or empty.
    """
    lines = read_text_file(file).split("\n")
    if lines[-1] == "":
        lines.pop()
    if not lines:
        raise CheckpointError(file, "is empty")
    return {line: index for index, line in enumerate(lines)}

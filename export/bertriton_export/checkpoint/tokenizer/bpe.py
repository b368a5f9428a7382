"""Tokenizers of a vocabulary and merges: RoBERTa's and GPT-2's over bytes, HerBERT's over words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from bertriton_export.checkpoint.json_file import read_json
from bertriton_export.checkpoint.small_file import read_text_file
from bertriton_export.checkpoint.tokenizer.library import library_errors
from bertriton_export.checkpoint.tokenizer.wordpiece import known_unknown
from bertriton_export.errors import UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bertriton_export.checkpoint.tokenizer.sources import Sources
    from bertriton_export.checkpoint.tokenizer.tokens import Tokens

BPE_FILES: Final = ("vocab.json", "merges.txt")
PREFIX_SPACE: Final = "add_prefix_space"
_VERSION: Final = "#version:"  # the first line of a merges.txt
_WORD_END: Final = "</w>"


def build_byte_level(sources: Sources, tokens: Tokens) -> Tokenizer:
    """The tokenizer of RoBERTa and GPT-2 (convert_slow_tokenizer.py, RobertaConverter)."""
    del tokens  # every byte is in the vocabulary
    file, merges_file = (sources.folder / name for name in BPE_FILES)
    vocabulary = read_json(file)
    # Transformers never reads the first line, nor what stands behind the last.
    merges = _pairs(read_text_file(merges_file).split("\n")[1:-1])
    space = bool(sources.settings.flag(PREFIX_SPACE, default=False))
    with library_errors(merges_file):
        model = models.BPE(
            vocabulary, merges, continuing_subword_prefix="", end_of_word_suffix="", fuse_unk=False
        )
        tokenizer = Tokenizer(model)
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=space)
    return tokenizer


def build_gpt2(sources: Sources, tokens: Tokens) -> Tokenizer:
    """The tokenizer of GPT-2, which puts nothing around a text.

    Raises:
        UnsupportedModelError: the settings ask for a token before each text.
    """
    if sources.settings.flag("add_bos_token", default=False):
        raise UnsupportedModelError(
            f"{sources.settings.file}: add_bos_token of a GPT2Tokenizer is not supported; save the "
            "tokenizer as tokenizer.json"
        )
    return build_byte_level(sources, tokens)


def build_herbert(sources: Sources, tokens: Tokens) -> Tokenizer:
    """The tokenizer of HerBERT (convert_slow_tokenizer.py, HerbertConverter)."""
    file, merges_file = (sources.folder / name for name in BPE_FILES)
    vocabulary = read_json(file)
    lines = read_text_file(merges_file).split("\n")[:-1]
    merges = _pairs(lines[1:] if lines and _VERSION in lines[0] else lines)
    unknown = known_unknown(file, vocabulary, tokens)
    with library_errors(merges_file):
        tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token=unknown, end_of_word_suffix=_WORD_END))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def _pairs(lines: Sequence[str]) -> list[Any]:
    """The merges of lines, of those that stand there twice the first."""
    return list(dict.fromkeys(tuple(line.split()[:3]) for line in lines))

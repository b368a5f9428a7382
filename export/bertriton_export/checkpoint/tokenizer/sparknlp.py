"""Spark NLP's way to cut a text into tokens, as one `tokenizer.json`.

Its BertForSequenceClassification stands behind a Tokenizer, which cuts at white space and takes the
punctuation around a word off it. Of every token that comes out, a BasicTokenizer makes pieces, and only the
first piece is kept: of `didn't` that is `didn`. Accents go, whether the model is cased or not. Read from the
Scala sources (annotators/Tokenizer.scala, annotators/TokenizerModel.scala, annotators/tokenizer/wordpiece and
ml/ai/BertClassification.scala of JohnSnowLabs/spark-nlp), and held to what the real one answers.

No pre-tokenizer can drop a part of a word, so the normalizer does: what is left over is cut at white space.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from bertriton import contract
from bertriton_export.checkpoint.tokenizer.library import library_errors
from bertriton_export.errors import OptionError, UnsupportedModelError

if TYPE_CHECKING:
    from pathlib import Path

    from bertriton_export.checkpoint.checkpoint import Checkpoint

# Families whose annotator cuts texts like this; those of RoBERTa and its like have ways of their own.
SPARKNLP_FAMILIES: Final = ("bert",)
MAX_CHARACTERS_PER_WORD: Final = 200  # longer words become [UNK] (WordpieceEncoder.scala)
_UNKNOWN: Final = "[UNK]"
_AROUND: Final = ("[CLS]", "[SEP]")

# Insides of character classes. White space of Java's `\s`; TokenizerModel marks breaks by U+2187, so that one
# in a text is a break too.
_WHITE: Final = r"\t\n\x0B\f\r\x20\x{2187}"
_CONTEXT: Final = r"""\.,;:!\?\*\-\(\)"'"""  # Tokenizer's contextChars
# What BasicTokenizer takes for punctuation: ASCII's, and what Java 17's Character.getName calls so.
_PUNCTUATION: Final = (
    r"!-/:-@\[-`{-~\x{05BE}\x{05C0}\x{05C3}\x{05C6}\x{05F3}\x{05F4}\x{061E}\x{0830}-\x{0835}\x{0837}-\x{083E}"
    r"\x{085E}\x{0DF4}\x{16EB}-\x{16ED}\x{1735}\x{1736}\x{1C3B}-\x{1C3F}\x{1C7E}\x{1C7F}\x{1CC0}-\x{1CC7}"
    r"\x{2008}\x{2055}\x{2056}\x{2058}-\x{205A}\x{2E2A}-\x{2E2C}\x{A4FE}\x{A4FF}\x{AA5C}-\x{AA5F}"
)
# What it leaves out: Java's Character.isWhitespace, controls, and U+FFFD.
_SKIPPED: Final = (
    r"\x{0000}-\x20\x{007F}-\x{009F}\x{1680}\x{2000}-\x{2006}\x{2009}\x{200A}\x{2028}\x{2029}\x{205F}\x{3000}"
    r"\x{FFFD}"
)
_CHINESE: Final = r"\x{3400}-\x{4DBF}\x{4E00}-\x{9FFF}\x{F900}-\x{FAFF}"  # it looks at UTF-16 units
_ACCENTS: Final = r"\x{0300}-\x{036F}"

_VISIBLE: Final = f"[^{_WHITE}]"
_START: Final = f"(?<!{_VISIBLE})"  # of a word
_END: Final = f"(?!{_VISIBLE})"
_RUN: Final = f"[^{_PUNCTUATION}{_SKIPPED}{_CHINESE}{_WHITE}]"  # of these many make a piece
# Java writes a capital sigma at the end of a word otherwise, and asks its word breaks where that is.
_CASED: Final = r"[\p{Lu}\p{Ll}\p{Lt}]"
_UNCASED: Final = r"""(?:[\p{Lm}\p{Lo}\p{M}\p{N}_\x{00AD}]|["'.-](?=[\p{L}\p{M}\p{N}]))"""
_FINAL_SIGMA: Final = rf"{_CASED}{_UNCASED}*+\K\x{{03A3}}(?!{_UNCASED}*+{_CASED})"

# In their order: a pattern and what is put in its place.
_BETWEEN_PUNCTUATION_AND_WORD: Final = (rf"{_START}[{_CONTEXT}]++\K(?={_VISIBLE})", " ")
_BETWEEN_WORD_AND_PUNCTUATION: Final = (rf"(?<=[^{_CONTEXT}{_WHITE}])(?=[{_CONTEXT}]++{_END})", " ")
_BEFORE_THE_FIRST_PIECE: Final = (rf"{_START}(?:[{_SKIPPED}]|[{_ACCENTS}]++(?!{_RUN}))++", "")
_BEHIND_THE_FIRST_PIECE: Final = (rf"{_START}(?:{_RUN}++|(?!{_RUN}){_VISIBLE})\K{_VISIBLE}++", "")


def with_tokenization(checkpoint: Checkpoint, tokenization: str | None = None) -> Checkpoint:
    """The checkpoint with the tokenizer it is served with.

    Args:
        checkpoint: as it was read.
        tokenization: one of contract.TOKENIZATIONS; default: Hugging Face's.

    Raises:
        OptionError: it is none of them.
        UnsupportedModelError: Spark NLP's, for a family or a tokenizer for which it is not reproduced.

    Example:
        >>> with_tokenization(checkpoint, "sparknlp").tokenization
        'sparknlp'
    """
    if tokenization not in (None, *contract.TOKENIZATIONS):
        raise OptionError(
            f"tokenization {tokenization!r}: expected one of {', '.join(contract.TOKENIZATIONS)}"
        )
    if tokenization != contract.SPARKNLP:
        return checkpoint
    if checkpoint.model_type not in SPARKNLP_FAMILIES:
        raise UnsupportedModelError(
            f"{checkpoint.path}: tokenization {tokenization} is not reproduced for the model type "
            f"{checkpoint.model_type}, only for {', '.join(SPARKNLP_FAMILIES)}; "
            f"export it with {contract.DEFAULT_TOKENIZATION}"
        )
    tokenizer_json = _as_sparknlp(checkpoint.path, json.loads(checkpoint.tokenizer_json))
    return replace(checkpoint, tokenizer_json=tokenizer_json, tokenization=tokenization)


def _as_sparknlp(path: Path, document: dict[str, Any]) -> str:
    """The `tokenizer.json` that cuts as Spark NLP does, of the vocabulary and the case of BERT's own."""
    normalizer, model = document["normalizer"] or {}, document["model"]
    if (model["type"], normalizer.get("type")) != ("WordPiece", "BertNormalizer"):
        raise UnsupportedModelError(
            f"{path}: tokenization {contract.SPARKNLP} needs BERT's own tokenizer, a WordPiece model behind "
            f"a BertNormalizer, found {model['type']} behind {normalizer.get('type', 'no normalizer')}"
        )
    missing = [token for token in (_UNKNOWN, *_AROUND) if token not in model["vocab"]]
    if missing:
        raise UnsupportedModelError(
            f"{path}: tokenization {contract.SPARKNLP} looks for {', '.join(missing)} in the vocabulary, "
            "and it is not there"
        )
    with library_errors(path):
        tokenizer = _tokenizer(model["vocab"], lowercase=normalizer["lowercase"])
    return str(tokenizer.to_str())


def _tokenizer(vocabulary: dict[str, int], *, lowercase: bool) -> Tokenizer:
    tokenizer = Tokenizer(
        models.WordPiece(vocabulary, unk_token=_UNKNOWN, max_input_chars_per_word=MAX_CHARACTERS_PER_WORD)
    )
    final_sigma = [_replace(_FINAL_SIGMA, "\u03c2")] if lowercase else []
    tokenizer.normalizer = normalizers.Sequence(
        [
            *final_sigma,
            _replace(*_BETWEEN_PUNCTUATION_AND_WORD),
            _replace(*_BETWEEN_WORD_AND_PUNCTUATION),
            _replace(*_BEFORE_THE_FIRST_PIECE),
            _replace(*_BEHIND_THE_FIRST_PIECE),
            normalizers.NFD(),
            _replace(f"[{_ACCENTS}]+", ""),
            *([normalizers.Lowercase()] if lowercase else []),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(f"[{_WHITE}]+"), behavior="removed")
    # Special tokens written in a text are text there, so none is added beside these.
    cls, sep = _AROUND
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}",
        pair=f"{cls} $A {sep} $B:1 {sep}:1",
        special_tokens=[(token, vocabulary[token]) for token in _AROUND],
    )
    return tokenizer


def _replace(pattern: str, content: str) -> normalizers.Normalizer:
    return normalizers.Replace(Regex(pattern), content)

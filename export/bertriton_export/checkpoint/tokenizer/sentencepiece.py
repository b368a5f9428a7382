"""Tokenizers from SentencePiece models, with each class's own vocabulary, normaliser and words.

The facts are those of Transformers 4.57 (convert_slow_tokenizer.py: SpmConverter and those made of it).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

from bertriton_export.checkpoint.tokenizer.library import library_errors
from bertriton_export.checkpoint.tokenizer.sentencepiece_model import read_sentencepiece

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bertriton_export.checkpoint.settings import Settings
    from bertriton_export.checkpoint.tokenizer.sentencepiece_model import SentencePieceModel
    from bertriton_export.checkpoint.tokenizer.sources import Sources
    from bertriton_export.checkpoint.tokenizer.tokens import Tokens

FAIRSEQ_FILE: Final = "sentencepiece.bpe.model"  # of XLM-RoBERTa and CamemBERT
GOOGLE_FILE: Final = "spiece.model"  # of ALBERT and BigBird
DEBERTA_FILE: Final = "spm.model"

_SPACE: Final = "\N{LOWER ONE EIGHTH BLOCK}"  # what SentencePiece writes for a space
_SPACES: Final = " {2,}"
_UNUSED_SCORE: Final = -100.0  # of pieces that no text is to be cut into

Vocabulary = list[tuple[str, float]]


def build_xlm_roberta(sources: Sources, tokens: Tokens) -> Tokenizer:
    """XLM-RoBERTa's: fairseq's special tokens stand before the pieces and behind them."""
    del tokens
    model = read_sentencepiece(sources.folder / FAIRSEQ_FILE)
    vocabulary = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    vocabulary += [*model.pieces[3:], ("<mask>", 0.0)]
    return _tokenizer(model, vocabulary, 3, _normalizers(model), [_words()])


def build_camembert(sources: Sources, tokens: Tokens) -> Tokenizer:
    """CamemBERT's: five tokens stand before the pieces."""
    del tokens
    model = read_sentencepiece(sources.folder / FAIRSEQ_FILE)
    vocabulary = [("<s>NOTUSED", 0.0), ("<pad>", 0.0), ("</s>NOTUSED", 0.0), ("<unk>", 0.0)]
    vocabulary += [("<unk>NOTUSED", _UNUSED_SCORE), *model.pieces[1:], ("<mask>", 0.0)]
    return _tokenizer(model, vocabulary, 3, _normalizers(model), [_words()])


def build_bigbird(sources: Sources, tokens: Tokens) -> Tokenizer:
    """BigBird's: the pieces as they are."""
    del tokens
    model = read_sentencepiece(sources.folder / GOOGLE_FILE)
    return _tokenizer(model, list(model.pieces), model.unk_id, _normalizers(model), [_words()])


def build_albert(sources: Sources, tokens: Tokens) -> Tokenizer:
    """ALBERT's: no piece ends in a digit and a comma, and quotes, accents and case are made alike."""
    del tokens
    model, settings = read_sentencepiece(sources.folder / GOOGLE_FILE), sources.settings
    vocabulary = [
        (piece, score + (_UNUSED_SCORE if piece[-2:-1].isdigit() and piece.endswith(",") else 0.0))
        for piece, score in model.pieces
    ]
    steps: list[Any] = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
    if not settings.flag("keep_accents", default=False):
        steps += [normalizers.NFKD(), normalizers.StripAccents()]
    steps += _lowercase(settings, default=True)
    steps += [*_charsmap(model), normalizers.Replace(Regex(_SPACES), " ")]
    return _tokenizer(model, vocabulary, model.unk_id, steps, [_words()])


def build_deberta_v2(sources: Sources, tokens: Tokens) -> Tokenizer:
    """DeBERTa-v2's and -v3's: spaces at both ends are dropped, and punctuation may be cut off first."""
    del tokens
    model, settings = read_sentencepiece(sources.folder / DEBERTA_FILE), sources.settings
    steps = [*_lowercase(settings, default=False), normalizers.Strip(), *_charsmap(model)]
    steps.append(normalizers.Replace(Regex(_SPACES), " "))
    punctuation = (
        [pre_tokenizers.Punctuation("isolated")] if settings.flag("split_by_punct", default=False) else []
    )
    return _tokenizer(model, list(model.pieces), model.unk_id, steps, [*punctuation, _words()])


def _words() -> Any:  # noqa: ANN401 (a pre-tokenizer)
    return pre_tokenizers.Metaspace(replacement=_SPACE, prepend_scheme="always")


def _charsmap(model: SentencePieceModel) -> list[Any]:
    with library_errors(model.file):
        return [normalizers.Precompiled(model.charsmap)] if model.charsmap else []


def _normalizers(model: SentencePieceModel) -> list[Any]:
    strip = normalizers.Strip(left=False, right=True)
    return [*_charsmap(model), strip, normalizers.Replace(Regex(_SPACES), _SPACE)]


def _lowercase(settings: Settings, *, default: bool) -> list[Any]:
    return [normalizers.Lowercase()] if settings.flag("do_lower_case", default) else []


def _tokenizer(
    model: SentencePieceModel, vocabulary: Vocabulary, unk_id: int, steps: Sequence[Any], words: Sequence[Any]
) -> Tokenizer:
    with library_errors(model.file):
        tokenizer = Tokenizer(
            _bpe(model, vocabulary)
            if model.is_bpe
            else models.Unigram(vocabulary, unk_id, byte_fallback=False)
        )
        tokenizer.normalizer = normalizers.Sequence(list(steps))
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(list(words)) if len(words) > 1 else words[0]
        tokenizer.add_tokens(
            [AddedToken(piece, normalized=False, special=special) for piece, special in model.named]
        )
    return tokenizer


def _bpe(model: SentencePieceModel, vocabulary: Vocabulary) -> models.BPE:
    ids = {piece: index for index, (piece, _) in enumerate(vocabulary)}
    return models.BPE(ids, _merges(model, dict(vocabulary)), unk_token=model.unk_piece, fuse_unk=True)


def _merges(model: SentencePieceModel, scores: dict[str, float]) -> list[tuple[str, str]]:
    """Every way to make a piece of two others, in the order in which SentencePiece would merge them.

    Its files keep no merges: the better score goes first, of equal ones the longer parts.
    """
    ids = {piece: index for index, (piece, _) in enumerate(model.pieces)}
    found = []
    for place, (piece, score) in enumerate(scores.items()):
        for cut in range(1, len(piece)):
            left, right = piece[:cut], piece[cut:]
            if left in ids and right in ids:
                found.append((-score, -len(left), -len(right), place, ids[left], ids[right], left, right))
    return [(left, right) for *_, left, right in sorted(found)]

"""A SentencePiece model file, parsed without the sentencepiece package.

Field numbers are those of sentencepiece's src/sentencepiece_model.proto, and so are the values that stand
where a field is not written.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bertriton_export.checkpoint.small_file import read_small_file
from bertriton_export.checkpoint.tokenizer.charsmap import is_whole_charsmap
from bertriton_export.errors import CheckpointError, UnsupportedModelError
from bertriton_export.messages import Messages

if TYPE_CHECKING:
    from pathlib import Path

_MESSAGES: Final = Messages(
    "SentencePiece",
    {
        "ModelProto": {
            "pieces": (1, "*Piece"),
            "trainer_spec": (2, "TrainerSpec"),
            "normalizer_spec": (3, "NormalizerSpec"),
        },
        "Piece": {"piece": (1, "string"), "score": (2, "float"), "type": (3, "int32")},
        "TrainerSpec": {"model_type": (3, "int32"), "unk_id": (40, "int32"), "unk_piece": (45, "string")},
        "NormalizerSpec": {"precompiled_charsmap": (2, "bytes")},
    },
)
_NOT_WRITTEN: Final = 0
_UNIGRAM, _BPE = 1, 2
_MODEL_TYPES: Final = {_NOT_WRITTEN: _UNIGRAM, _UNIGRAM: _UNIGRAM, _BPE: _BPE}
_CONTROL, _USER_DEFINED = 3, 4
_UNKNOWN_PIECE: Final = "<unk>"


@dataclass(frozen=True)
class SentencePieceModel:
    """What a tokenizer is made of."""

    file: Path
    pieces: tuple[tuple[str, float], ...]  # with their scores, in the order of their ids
    is_bpe: bool  # unigram otherwise
    unk_id: int
    unk_piece: str
    charsmap: bytes  # of the normaliser, as SentencePiece compiles it; may be empty
    named: tuple[tuple[str, bool], ...]  # pieces that are looked for in a text as they are; whether control


def read_sentencepiece(file: Path) -> SentencePieceModel:
    """Parse a model file.

    Raises:
        CheckpointError: it is damaged or holds no pieces.
        UnsupportedModelError: it is neither a unigram nor a BPE model.
    """
    model = _MESSAGES.parse("ModelProto", read_small_file(file), file)
    trained, pieces = model.trainer_spec, model.pieces
    if not pieces or not all(math.isfinite(piece.score) for piece in pieces):
        raise CheckpointError(file, "expected pieces with finite scores: is it a whole SentencePiece model?")
    if trained.model_type not in _MODEL_TYPES:
        raise UnsupportedModelError(
            f"{file}: a SentencePiece model of type {trained.model_type}, expected unigram (1) or BPE (2)"
        )
    if not 0 <= trained.unk_id < len(pieces):
        raise CheckpointError(file, f"unk_id {trained.unk_id} is not the id of one of {len(pieces)} pieces")
    charsmap = model.normalizer_spec.precompiled_charsmap
    if charsmap and not is_whole_charsmap(charsmap):
        raise CheckpointError(file, "the character map of its normaliser is damaged")
    return SentencePieceModel(
        file,
        tuple((piece.piece, piece.score) for piece in pieces),
        is_bpe=_MODEL_TYPES[trained.model_type] == _BPE,
        unk_id=trained.unk_id,
        unk_piece=trained.unk_piece or _UNKNOWN_PIECE,
        charsmap=charsmap,
        named=tuple(
            (piece.piece, piece.type == _CONTROL)
            for piece in pieces
            if piece.type in {_CONTROL, _USER_DEFINED}
        ),
    )

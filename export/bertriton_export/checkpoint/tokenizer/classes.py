"""The tokenizers that can be served: one closed table, by the class that Transformers would take.

Special tokens and their flags are those of Transformers 4.57 (models/*/tokenization_*.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from bertriton_export.checkpoint.tokenizer.bpe import BPE_FILES, build_byte_level, build_gpt2, build_herbert
from bertriton_export.checkpoint.tokenizer.frames import Frame, NoFrame
from bertriton_export.checkpoint.tokenizer.sentencepiece import (
    DEBERTA_FILE,
    FAIRSEQ_FILE,
    GOOGLE_FILE,
    build_albert,
    build_bigbird,
    build_camembert,
    build_deberta_v2,
    build_xlm_roberta,
)
from bertriton_export.checkpoint.tokenizer.tokens import ROLES, Defaults, Tokens
from bertriton_export.checkpoint.tokenizer.wordpiece import (
    NORMALIZER_TO_SETTING,
    WORDPIECE_FILE,
    build_japanese,
    build_wordpiece,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tokenizers import Tokenizer

    from bertriton_export.checkpoint.tokenizer.sources import Sources

BERT: Final = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
ROBERTA: Final = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "cls_token": "<s>",
    "mask_token": "<mask>",
}
MPNET: Final = ROBERTA | {"unk_token": "[UNK]"}
HERBERT: Final = {role: token for role, token in ROBERTA.items() if role != "eos_token"}
ALBERT: Final = BERT | {
    "bos_token": "[CLS]",
    "eos_token": "[SEP]",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
}
DEBERTA: Final = BERT | {"bos_token": "[CLS]", "eos_token": "[SEP]"}
BIGBIRD: Final = ALBERT | {"bos_token": "<s>", "eos_token": "</s>"}
GPT2: Final = dict.fromkeys(("unk_token", "bos_token", "eos_token"), "<|endoftext|>")

# Flags of special tokens that are written as plain text.
_PLAIN: Final[Mapping[str, bool]] = {}
_SPECIAL: Final = {"special": True}
_MASK: Final = {"lstrip": True}
_RAW_MASK: Final = {"lstrip": True, "normalized": False}
_SPECIAL_MASK: Final = {"lstrip": True, "special": True}


def _all(flags: Mapping[str, bool], mask: Mapping[str, bool]) -> dict[str, Mapping[str, bool]]:
    return {**dict.fromkeys(ROLES, flags), "mask_token": mask}


@dataclass(frozen=True)
class TokenizerClass:
    """One class of Transformers, and how its tokenizer comes about."""

    name: str  # without Fast, which says nothing
    summary: str  # for people
    files: tuple[str, ...] = ()  # that it is built from where there is no tokenizer.json
    build: Callable[[Sources, Tokens], Tokenizer] | None = None
    frame: Frame | NoFrame = field(default_factory=Frame)
    roles: Mapping[str, str] = field(default_factory=dict)  # its special tokens where no file tells
    further: tuple[str, ...] = ()
    # Flags of special tokens that are plain text in the files: beside a tokenizer.json, and without one.
    saved_flags: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)
    built_flags: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)
    # Settings that overrule a BertNormalizer of tokenizer.json.
    normalizer: Mapping[str, tuple[str, Any]] = field(default_factory=dict)
    # Whether add_prefix_space of tokenizer_config.json, or its silence, overrules tokenizer.json.
    sets_prefix_space: bool = True
    # Whether the model is told which text of a pair a token is of: by Transformers 4, and from 5 on.
    token_types: tuple[bool, bool] = (True, True)

    @property
    def saved_defaults(self) -> Defaults:
        """Special tokens beside a tokenizer.json."""
        return Defaults(self.roles, self.saved_flags, self.further)

    @property
    def built_defaults(self) -> Defaults:
        """Special tokens without a tokenizer.json."""
        return Defaults(self.roles, self.built_flags, self.further)


_NO_TYPES: Final = (False, False)
_TYPES_OF_4: Final = (True, False)
_ROBERTA_FRAME: Final = Frame(doubles_separator=True)
_FAIRSEQ_FRAME: Final = Frame(doubles_separator=True, cls="<s>", sep="</s>")
_GOOGLE_FRAME: Final = Frame(cls="[CLS]", sep="[SEP]")


def _bert(name: str, token_types: tuple[bool, bool] = (True, True)) -> TokenizerClass:
    return TokenizerClass(
        name,
        "WordPiece",
        (WORDPIECE_FILE,),
        build_wordpiece,
        roles=BERT,
        normalizer=NORMALIZER_TO_SETTING,
        token_types=token_types,
    )


_ALL: Final = (
    _bert("BertTokenizer"),
    _bert("DistilBertTokenizer", _NO_TYPES),
    _bert("ElectraTokenizer"),
    TokenizerClass(
        "MPNetTokenizer",
        "WordPiece",
        (WORDPIECE_FILE,),
        build_wordpiece,
        _ROBERTA_FRAME,
        MPNET,
        saved_flags=_all(_PLAIN, _MASK),
        built_flags=_all(_SPECIAL, _SPECIAL_MASK),
        normalizer={key: NORMALIZER_TO_SETTING[key] for key in ("lowercase", "strip_accents")},
        token_types=_NO_TYPES,
    ),
    TokenizerClass(
        "RobertaTokenizer",
        "BPE over bytes",
        BPE_FILES,
        build_byte_level,
        _ROBERTA_FRAME,
        ROBERTA,
        saved_flags={"mask_token": _RAW_MASK},
        built_flags=_all(_PLAIN, _RAW_MASK),
        token_types=_NO_TYPES,
    ),
    TokenizerClass(
        "GPT2Tokenizer",
        "BPE over bytes, no special tokens around a text",
        BPE_FILES,
        build_gpt2,
        NoFrame(),
        GPT2,
        built_flags=dict.fromkeys(("bos_token", "eos_token", "unk_token", "pad_token"), _PLAIN),
        token_types=_NO_TYPES,
    ),
    TokenizerClass(
        "HerbertTokenizer",
        "BPE over words, HerBERT's",
        BPE_FILES,
        build_herbert,
        roles=HERBERT,
        further=tuple(f"<special{index}>" for index in range(10)),
        token_types=_TYPES_OF_4,
    ),
    TokenizerClass(
        "XLMRobertaTokenizer",
        "SentencePiece",
        (FAIRSEQ_FILE,),
        build_xlm_roberta,
        _FAIRSEQ_FRAME,
        ROBERTA,
        saved_flags={"mask_token": _MASK},
        built_flags={"mask_token": _SPECIAL_MASK},
        token_types=_NO_TYPES,
    ),
    TokenizerClass(
        "CamembertTokenizer",
        "SentencePiece",
        (FAIRSEQ_FILE,),
        build_camembert,
        _FAIRSEQ_FRAME,
        ROBERTA,
        further=("<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"),
        saved_flags={"mask_token": _SPECIAL_MASK},
        built_flags={"mask_token": _SPECIAL_MASK},
        token_types=_NO_TYPES,
    ),
    TokenizerClass(
        "AlbertTokenizer",
        "SentencePiece",
        (GOOGLE_FILE,),
        build_albert,
        _GOOGLE_FRAME,
        ALBERT,
        saved_flags={"mask_token": _RAW_MASK},
        built_flags={"mask_token": _RAW_MASK},
        token_types=_TYPES_OF_4,
    ),
    TokenizerClass(
        "DebertaV2Tokenizer",
        "SentencePiece",
        (DEBERTA_FILE,),
        build_deberta_v2,
        _GOOGLE_FRAME,
        DEBERTA,
        built_flags={"unk_token": {"normalized": True, "special": True}},
    ),
    TokenizerClass(
        "BigBirdTokenizer",
        "SentencePiece",
        (GOOGLE_FILE,),
        build_bigbird,
        _GOOGLE_FRAME,
        BIGBIRD,
        saved_flags=_all(_PLAIN, _MASK),
        built_flags=_all(_PLAIN, _MASK),
        token_types=_NO_TYPES,
    ),
    TokenizerClass(
        "BertJapaneseTokenizer",
        "single characters, without a split into words",
        (WORDPIECE_FILE,),
        build_japanese,
        roles=BERT,
        token_types=_TYPES_OF_4,
    ),
    TokenizerClass("PreTrainedTokenizer", "`tokenizer.json`, as it is", token_types=_TYPES_OF_4),
    TokenizerClass(  # which only Transformers 5 writes, so that it is followed
        "TokenizersBackend", "`tokenizer.json`, as it is", sets_prefix_space=False, token_types=_NO_TYPES
    ),
)
TOKENIZERS: Final = {tokenizer.name: tokenizer for tokenizer in _ALL}

_AS_JSON: Final = (
    "use a model whose tokenizer is one of the table's, or save an equal one as tokenizer.json with "
    "tokenizer_class PreTrainedTokenizerFast"
)
# Classes that people ask for -> why they are refused, and what to do.
REFUSED_TOKENIZERS: Final = {
    "PhobertTokenizer": f"it looks its subwords up after its merges, as no tokenizer.json can; {_AS_JSON}",
    "BertweetTokenizer": f"it rewrites tweets before it cuts them, as no tokenizer.json can; {_AS_JSON}",
}

# Classes written in Python alone, for which Transformers does not read a tokenizer.json.
CLASSES_WITHOUT_JSON: Final = frozenset({"BertJapaneseTokenizer"})

# The class that Transformers takes where no file names one.
MODEL_TYPE_TO_CLASS: Final = {
    "albert": "AlbertTokenizer",
    "bert": "BertTokenizer",
    "big_bird": "BigBirdTokenizer",
    "camembert": "CamembertTokenizer",
    "data2vec-text": "RobertaTokenizer",
    "deberta-v2": "DebertaV2Tokenizer",
    "distilbert": "DistilBertTokenizer",
    "electra": "ElectraTokenizer",
    "ernie": "BertTokenizer",
    "gte": "XLMRobertaTokenizer",
    "modernbert": "PreTrainedTokenizer",
    "mpnet": "MPNetTokenizer",
    "nomic_bert": "BertTokenizer",
    "roberta": "RobertaTokenizer",
    "xlm-roberta": "XLMRobertaTokenizer",
    "xlm-roberta-xl": "XLMRobertaTokenizer",
}

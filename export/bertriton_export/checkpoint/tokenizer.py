"""The tokenizer of a Hugging Face checkpoint, as one `tokenizer.json`.

What tokenizer_config.json says, or Transformers' defaults where it is silent, has the last word on the
settings of a class: also over a tokenizer.json that says otherwise, since Transformers makes its tokenizers
so (5.23 builds them anew from the vocabulary, 4.x changes them after loading).
"""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from math import prod
from typing import TYPE_CHECKING, Any, Final

from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

from bertriton_export.checkpoint.json_file import MAX_JSON_BYTES, read_json
from bertriton_export.checkpoint.settings import Settings, is_text, short
from bertriton_export.errors import CheckpointError, ExportError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tokenizers import Encoding

    from bertriton_export.checkpoint.dimensions import BertConfig

TOKENIZER_FILE: Final = "tokenizer.json"
SETTINGS_FILE: Final = "tokenizer_config.json"
WORDPIECE_FILE: Final = "vocab.txt"
BPE_FILES: Final = ("vocab.json", "merges.txt")

# The class that Transformers takes where tokenizer_config.json names none.
MODEL_TYPE_TO_CLASS: Final = {
    "bert": "BertTokenizer",
    "distilbert": "BertTokenizer",
    "electra": "BertTokenizer",
    "roberta": "RobertaTokenizer",
    "xlm-roberta": "XLMRobertaTokenizer",
}
BERT_CLASSES: Final = frozenset({"BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer"})
CLASSES_WITHOUT_TOKEN_TYPES: Final = frozenset(
    {"DistilBertTokenizer", "RobertaTokenizer", "XLMRobertaTokenizer"}
)

# Special tokens where tokenizer_config.json is silent
# (https://huggingface.co/docs/transformers/model_doc/bert#transformers.BertTokenizer, likewise roberta).
BERT_SPECIAL_TOKENS: Final = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
ROBERTA_SPECIAL_TOKENS: Final = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "cls_token": "<s>",
    "mask_token": "<mask>",
}
MAX_CHARACTERS_PER_WORD: Final = 100  # longer words become [UNK]
_PREFIX_SPACE: Final = "add_prefix_space"
_ADDED_TOKENS: Final = "added_tokens_decoder"
_TOKEN_FLAGS: Final = ("lstrip", "rstrip", "single_word", "normalized", "special")
_TOKEN_ID: Final = re.compile(r"[0-9]{1,9}")
MAX_GROWTH: Final = 16  # characters that a normalizer makes of one; known ones put one in place of another

# Key of a BertNormalizer -> key of tokenizer_config.json, and what holds without it.
_NORMALIZER_TO_SETTING: Final = {
    "lowercase": ("do_lower_case", True),
    "strip_accents": ("strip_accents", None),
    "handle_chinese_chars": ("tokenize_chinese_chars", True),
}


def read_tokenizer(folder: Path, config: BertConfig, model_type: str = "bert") -> Tokenizer:
    """Read `tokenizer.json`, or make the same from a vocabulary and `tokenizer_config.json`.

    Raises:
        CheckpointError: no tokenizer is there, a file is unreadable, or the vocabulary does not fit the
            embeddings.
    """
    settings = _settings(folder)
    if (file := folder / TOKENIZER_FILE).exists():
        tokenizer = _from_tokenizer_json(file, settings, _tokenizer_class(settings, model_type))
    elif (file := folder / WORDPIECE_FILE).exists():
        tokenizer = _from_wordpiece(file, settings, _read_vocabulary(file))
    elif all((folder / name).exists() for name in BPE_FILES):
        file = folder / BPE_FILES[0]
        tokenizer = _from_bpe(folder, settings)
    else:
        raise CheckpointError(
            folder,
            f"neither {TOKENIZER_FILE} nor {WORDPIECE_FILE} nor {' with '.join(BPE_FILES)}: save the "
            f"tokenizer beside the model, a SentencePiece model as {TOKENIZER_FILE}",
        )
    return _checked(tokenizer, file, config)


def wordpiece_tokenizer(
    vocabulary: dict[str, int], settings: dict[str, Any], source: Path, config: BertConfig
) -> Tokenizer:
    """Make BERT's tokenizer from a vocabulary, with settings as in `tokenizer_config.json`.

    Raises:
        CheckpointError: the vocabulary lacks a special token or does not fit the embeddings; names `source`.
    """
    return _checked(_from_wordpiece(source, Settings(source, settings), vocabulary), source, config)


def _checked(tokenizer: Tokenizer, file: Path, config: BertConfig) -> Tokenizer:
    with library_errors(file):
        tokens = _without_frame(tokenizer, "a")
        framed = [tokenizer.encode("a"), tokenizer.encode("a", "a")]
        vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    if not tokens:
        raise CheckpointError(file, "it gives no token for 'a': is its vocabulary whole?")
    if len(set(vocabulary.values())) != len(vocabulary):
        raise CheckpointError(file, "two tokens of its vocabulary have the same id")
    # The ids of special tokens need not be in the vocabulary.
    largest_id = max([*vocabulary.values(), *(token for encoding in framed for token in encoding.ids)])
    if largest_id >= config.vocab_size:
        raise CheckpointError(
            file, f"token ids go up to {largest_id}, but the model has embeddings for {config.vocab_size}"
        )
    for texts, encoding in enumerate(framed, 1):
        _check_frame(file, encoding, [text for text in range(texts) for _ in tokens])
        largest_type = max(encoding.type_ids)
        if config.has_segments and largest_type >= config.type_vocab_size:
            raise CheckpointError(
                file, f"token types go up to {largest_type}, but the model has {config.type_vocab_size} kinds"
            )
    return tokenizer


def _without_frame(tokenizer: Tokenizer, text: str) -> list[int]:
    """The tokens of a text before anything is put around it, or it is put there twice."""
    processor = tokenizer.post_processor
    tokenizer.post_processor = None
    try:
        return tokenizer.encode(text).ids
    finally:
        tokenizer.post_processor = processor


def _check_frame(file: Path, encoding: Encoding, expected: list[int]) -> None:
    """See that special tokens stand around whole texts: the server takes their places from an example."""
    of_tokens = zip(encoding.sequence_ids, encoding.special_tokens_mask, strict=True)
    found = [text for text, is_special in of_tokens if not is_special]  # None in a second copy of a text
    if found != expected:
        raise CheckpointError(
            file,
            "post_processor: expected each text of a row once and in order, as tokens of texts "
            f"{short(expected)}, found {short(found)}",
        )


@contextmanager
def library_errors(file: Path) -> Iterator[None]:
    """What the tokenizers library raises, as a CheckpointError; it panics too, which is no Exception."""
    try:
        yield
    except ExportError:
        raise
    except BaseException as exc:
        if not isinstance(exc, Exception) and type(exc).__name__ != "PanicException":
            raise
        reason = str(exc).partition("\n")[0]
        raise CheckpointError(file, f"the tokenizers library cannot read it: {reason}") from exc


def reads_token_types(folder: Path, model_type: str) -> bool:
    """Whether Transformers hands the tokenizer's token types to the model; without them all are 0."""
    settings = _settings(folder)
    names = settings.texts("model_input_names")
    if names is not None:
        return "token_type_ids" in names
    return _tokenizer_class(settings, model_type) not in CLASSES_WITHOUT_TOKEN_TYPES


def _settings(folder: Path) -> Settings:
    file = folder / SETTINGS_FILE
    return Settings(file, read_json(file) if file.exists() else {})


def _tokenizer_class(settings: Settings, model_type: str) -> str:
    name = settings.text("tokenizer_class") or MODEL_TYPE_TO_CLASS.get(model_type, "")
    return name.removesuffix("Fast")


def _from_tokenizer_json(file: Path, settings: Settings, tokenizer_class: str) -> Tokenizer:
    document = read_json(file)
    sections = Settings(file, document)
    normalizer, pre_tokenizer = (sections.section(part) for part in ("normalizer", "pre_tokenizer"))
    if tokenizer_class in BERT_CLASSES and normalizer.get("type") == "BertNormalizer":
        for key, setting in _NORMALIZER_TO_SETTING.items():
            normalizer[key] = settings.flag(*setting)
    if tokenizer_class == "RobertaTokenizer" and pre_tokenizer.get("type") == "ByteLevel":
        pre_tokenizer["add_prefix_space"] = settings.flag(_PREFIX_SPACE, default=False)
    # The server cuts texts itself, since it has to say that it did; and padding may be of any length.
    document |= {"truncation": None, "padding": None}
    with library_errors(file):
        if (growth := _growth(normalizer)) > MAX_GROWTH:
            raise CheckpointError(
                file, f"normalizer: makes {growth} characters of one, expected at most {MAX_GROWTH}"
            )
        return Tokenizer.from_str(json.dumps(document))


def _growth(normalizer: Any) -> int:  # noqa: ANN401 (JSON)
    """How many characters a normalizer makes of one: memory for a letter could be gigabytes."""
    if not isinstance(normalizer, dict):
        return 1
    content, parts = normalizer.get("content"), normalizer.get("normalizers")
    own = len(content) if isinstance(content, str) else 1
    return prod([max(1, own), *(map(_growth, parts) if isinstance(parts, list) else ())])


def _from_wordpiece(file: Path, settings: Settings, vocabulary: dict[str, int]) -> Tokenizer:
    """The tokenizer that Transformers makes from a vocabulary of BERT's."""
    special = _special_tokens(file, settings, BERT_SPECIAL_TOKENS, vocabulary)
    unknown = special["unk_token"].content
    options: dict[str, Any] = {
        key: settings.flag(*setting) for key, setting in _NORMALIZER_TO_SETTING.items()
    }
    with library_errors(file):
        tokenizer = Tokenizer(
            models.WordPiece(vocabulary, unk_token=unknown, max_input_chars_per_word=MAX_CHARACTERS_PER_WORD)
        )
        tokenizer.normalizer = normalizers.BertNormalizer(clean_text=True, **options)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.post_processor = processors.BertProcessing(*_sep_and_cls(special, vocabulary))
        _add_tokens(file, tokenizer, settings, special)
    return tokenizer


def _from_bpe(folder: Path, settings: Settings) -> Tokenizer:
    """The tokenizer that Transformers makes from a vocabulary and merges of RoBERTa's."""
    file, merges_file = (folder / name for name in BPE_FILES)
    with library_errors(file):
        vocabulary, merges = models.BPE.read_file(str(file), str(merges_file))
        model = models.BPE(
            vocabulary, merges, continuing_subword_prefix="", end_of_word_suffix="", fuse_unk=False
        )
    special = _special_tokens(file, settings, ROBERTA_SPECIAL_TOKENS, vocabulary)
    space = bool(settings.flag(_PREFIX_SPACE, default=False))
    with library_errors(file):
        tokenizer = Tokenizer(model)
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=space)
        tokenizer.post_processor = processors.RobertaProcessing(
            *_sep_and_cls(special, vocabulary), add_prefix_space=space
        )
        _add_tokens(file, tokenizer, settings, special)
    return tokenizer


def _special_tokens(
    file: Path, settings: Settings, defaults: dict[str, str], vocabulary: dict[str, int]
) -> dict[str, AddedToken]:
    special = {
        role: _added_token(settings.file, role, settings.get(role) or token, special=True)
        for role, token in defaults.items()
    }
    for role, token in special.items():
        if token.content not in vocabulary and role != "mask_token":
            raise CheckpointError(file, f"{role} {token.content!r} is not in the vocabulary")
    return special


def _sep_and_cls(
    special: dict[str, AddedToken], vocabulary: dict[str, int]
) -> tuple[tuple[str, int], tuple[str, int]]:
    sep, cls = (special[role].content for role in ("sep_token", "cls_token"))
    return (sep, vocabulary[sep]), (cls, vocabulary[cls])


def _added_token(file: Path, role: str, token: Any, *, special: bool) -> AddedToken:  # noqa: ANN401 (JSON)
    """A token is written either as its text or as an object that holds it."""
    written = token if isinstance(token, dict) else {"content": token}
    flags = {key: written[key] for key in _TOKEN_FLAGS if key in written}
    if not is_text(written.get("content")) or not all(isinstance(flag, bool) for flag in flags.values()):
        raise CheckpointError(file, f"{role}: expected a token's text and its flags, found {short(token)}")
    return AddedToken(written["content"], **{"special": special, **flags})


def _add_tokens(file: Path, tokenizer: Tokenizer, settings: Settings, special: dict[str, AddedToken]) -> None:
    """Add the tokens beside the vocabulary, each under the id that the model knows it by."""
    if (file.parent / "added_tokens.json").exists() and settings.get(_ADDED_TOKENS) is None:
        raise CheckpointError(file, f"added_tokens.json beside it needs a {TOKENIZER_FILE}: save it anew")
    section = settings.section(_ADDED_TOKENS)
    if not all(_TOKEN_ID.fullmatch(key) for key in section):
        raise CheckpointError(settings.file, f"{_ADDED_TOKENS}: expected ids as keys, found {short(section)}")
    known: set[str] = set()
    for token_id, key in sorted((int(key), key) for key in section):
        token = _added_token(settings.file, f"{_ADDED_TOKENS} {key}", section[key], special=False)
        tokenizer.add_tokens([token])
        if tokenizer.token_to_id(token.content) != token_id:
            raise CheckpointError(file, f"token {token.content!r} does not get its id {token_id}")
        known.add(token.content)
    tokenizer.add_special_tokens([token for token in special.values() if token.content not in known])


def _read_vocabulary(file: Path) -> dict[str, int]:
    try:
        too_large = file.stat().st_size > MAX_JSON_BYTES
        lines = [] if too_large else file.read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError) as exc:
        raise CheckpointError(file, f"not readable as UTF-8 text: {exc}") from exc
    if too_large:
        raise CheckpointError(file, f"is larger than {MAX_JSON_BYTES} bytes")
    if lines[-1] == "":
        lines.pop()
    vocabulary = {line.rstrip("\r"): index for index, line in enumerate(lines)}
    if len(vocabulary) != len(lines):
        raise CheckpointError(file, "a token stands in it twice, so ids would be ambiguous")
    return vocabulary

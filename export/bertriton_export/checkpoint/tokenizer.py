"""The tokenizer of a Hugging Face checkpoint, as one `tokenizer.json`.

What tokenizer_config.json says, or Transformers' defaults where it is silent, has the last word on the
settings of a class: also over a tokenizer.json that says otherwise, since Transformers makes its tokenizers
so (5.23 builds them anew from the vocabulary, 4.x changes them after loading).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

from bertriton_export.checkpoint.json_file import read_json
from bertriton_export.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

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

# Key of a BertNormalizer -> key of tokenizer_config.json, and what holds without it.
_NORMALIZER_TO_SETTING: Final = {
    "lowercase": ("do_lower_case", True),
    "strip_accents": ("strip_accents", None),
    "handle_chinese_chars": ("tokenize_chinese_chars", True),
}


def read_tokenizer(folder: Path, vocab_size: int, model_type: str = "bert") -> Tokenizer:
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
    return _checked(tokenizer, file, vocab_size)


def wordpiece_tokenizer(
    vocabulary: dict[str, int], settings: dict[str, Any], source: Path, vocab_size: int
) -> Tokenizer:
    """Make BERT's tokenizer from a vocabulary, with settings as in `tokenizer_config.json`.

    Raises:
        CheckpointError: the vocabulary lacks a special token or does not fit the embeddings; names `source`.
    """
    return _checked(_from_wordpiece(source, settings, vocabulary), source, vocab_size)


def _checked(tokenizer: Tokenizer, file: Path, vocab_size: int) -> Tokenizer:
    if not tokenizer.encode("a", add_special_tokens=False).ids:
        raise CheckpointError(file, "it gives no token for 'a': is its vocabulary whole?")
    largest_id = max(tokenizer.get_vocab(with_added_tokens=True).values())
    if largest_id >= vocab_size:
        raise CheckpointError(
            file, f"token ids go up to {largest_id}, but the model has embeddings for {vocab_size}"
        )
    # The server cuts texts itself, since it has to say that it did.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def reads_token_types(folder: Path, model_type: str) -> bool:
    """Whether Transformers hands the tokenizer's token types to the model; without them all are 0."""
    settings = _settings(folder)
    names = settings.get("model_input_names")
    if names is not None:
        return "token_type_ids" in names
    return _tokenizer_class(settings, model_type) not in CLASSES_WITHOUT_TOKEN_TYPES


def _settings(folder: Path) -> dict[str, Any]:
    file = folder / SETTINGS_FILE
    return read_json(file) if file.exists() else {}


def _tokenizer_class(settings: dict[str, Any], model_type: str) -> str:
    name = settings.get("tokenizer_class") or MODEL_TYPE_TO_CLASS.get(model_type, "")
    return str(name).removesuffix("Fast")


def _from_tokenizer_json(file: Path, settings: dict[str, Any], tokenizer_class: str) -> Tokenizer:
    document = read_json(file)
    normalizer, pre_tokenizer = (document.get(part) or {} for part in ("normalizer", "pre_tokenizer"))
    if tokenizer_class in BERT_CLASSES and normalizer.get("type") == "BertNormalizer":
        for key, (setting, default) in _NORMALIZER_TO_SETTING.items():
            normalizer[key] = settings.get(setting, default)
    if tokenizer_class == "RobertaTokenizer" and pre_tokenizer.get("type") == "ByteLevel":
        pre_tokenizer["add_prefix_space"] = settings.get("add_prefix_space", False)
    try:
        return Tokenizer.from_str(json.dumps(document))
    except Exception as exc:  # the library raises nothing narrower
        raise CheckpointError(file, f"the tokenizers library cannot read it: {exc}") from exc


def _from_wordpiece(file: Path, settings: dict[str, Any], vocabulary: dict[str, int]) -> Tokenizer:
    """The tokenizer that Transformers makes from a vocabulary of BERT's."""
    special = _special_tokens(file, settings, BERT_SPECIAL_TOKENS, vocabulary)
    unknown = special["unk_token"].content
    tokenizer = Tokenizer(
        models.WordPiece(vocabulary, unk_token=unknown, max_input_chars_per_word=MAX_CHARACTERS_PER_WORD)
    )
    options = {key: settings.get(*setting) for key, setting in _NORMALIZER_TO_SETTING.items()}
    tokenizer.normalizer = normalizers.BertNormalizer(clean_text=True, **options)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(*_sep_and_cls(special, vocabulary))
    _add_tokens(file, tokenizer, settings, special)
    return tokenizer


def _from_bpe(folder: Path, settings: dict[str, Any]) -> Tokenizer:
    """The tokenizer that Transformers makes from a vocabulary and merges of RoBERTa's."""
    file, merges_file = (folder / name for name in BPE_FILES)
    try:
        vocabulary, merges = models.BPE.read_file(str(file), str(merges_file))
        model = models.BPE(
            vocabulary, merges, continuing_subword_prefix="", end_of_word_suffix="", fuse_unk=False
        )
    except Exception as exc:  # the library raises nothing narrower
        raise CheckpointError(file, f"the tokenizers library cannot read it: {exc}") from exc
    special = _special_tokens(file, settings, ROBERTA_SPECIAL_TOKENS, vocabulary)
    space = settings.get("add_prefix_space", False)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=space)
    tokenizer.post_processor = processors.RobertaProcessing(
        *_sep_and_cls(special, vocabulary), add_prefix_space=space
    )
    _add_tokens(file, tokenizer, settings, special)
    return tokenizer


def _special_tokens(
    file: Path, settings: dict[str, Any], defaults: dict[str, str], vocabulary: dict[str, int]
) -> dict[str, AddedToken]:
    special = {
        role: _added_token(settings.get(role) or token, special=True) for role, token in defaults.items()
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


def _added_token(token: str | dict[str, Any], *, special: bool) -> AddedToken:
    """A token is written either as its text or as an object that holds it."""
    if isinstance(token, str):
        return AddedToken(token, special=special)
    flags = {key: token[key] for key in ("lstrip", "rstrip", "single_word", "normalized") if key in token}
    return AddedToken(str(token["content"]), special=token.get("special", special), **flags)


def _add_tokens(
    file: Path, tokenizer: Tokenizer, settings: dict[str, Any], special: dict[str, AddedToken]
) -> None:
    """Add the tokens beside the vocabulary, each under the id that the model knows it by."""
    if (file.parent / "added_tokens.json").exists() and "added_tokens_decoder" not in settings:
        raise CheckpointError(file, f"added_tokens.json beside it needs a {TOKENIZER_FILE}: save it anew")
    added = sorted((int(key), token) for key, token in settings.get("added_tokens_decoder", {}).items())
    for token_id, token in added:
        tokenizer.add_tokens([_added_token(token, special=False)])
        if tokenizer.token_to_id(token["content"]) != token_id:
            raise CheckpointError(file, f"token {token['content']!r} does not get its id {token_id}")
    known = {token["content"] for _, token in added}
    tokenizer.add_special_tokens([token for token in special.values() if token.content not in known])


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

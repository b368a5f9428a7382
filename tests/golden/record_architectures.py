"""Record what Transformers answers for every architecture with every head.

Where versions disagree on tokens, 4.57 is followed:

    .venv-golden/bin/pip install torch==2.13.0 transformers==4.57.6
    .venv-golden/bin/python tests/golden/record_architectures.py

It makes tests/data/architectures/ARCHITECTURE-HEAD/, tiny checkpoints with random weights whose tokenizers
differ in whatever tokenizers differ in, and answers.json in each: texts, token ids and logits. Those that are
there already stay as they are. record_tokenizers.py, after it, records the ids of random texts.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from record import HERE, sample_lines, texts
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CHECKPOINTS = HERE.parent / "data" / "architectures"
MAX_LENGTH = 64
VOCABULARY_SIZE = 400
TYPED_SPECIAL_TOKENS = "a <pad> film [PAD] with <mask> and [MASK] or </s> [SEP] \N{LOWER ONE EIGHTH BLOCK} x"
ACCENTS = "Ça naïve ÅÄÖ 映画 很"

BERT_TOKENS = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
ROBERTA_TOKENS = {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"}
OWN_TOKENS = {"pad": "<leer>", "unk": "<was?>", "cls": "<los>", "sep": "<und>", "mask": "<maske>"}

HEAD_TO_SETTINGS = {
    "single": {"id2label": {0: "neg", 1: "so so", 2: "pos"}},
    "multi": {"id2label": {0: "funny", 1: "sad", 2: "long"}, "problem_type": "multi_label_classification"},
    "regression": {"id2label": {0: "stars"}},
}
# Of the model: what every size is called there.
BERT_SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": MAX_LENGTH,
}
DISTILBERT_SIZES = {
    "dim": 16,
    "n_layers": 2,
    "n_heads": 2,
    "hidden_dim": 32,
    "max_position_embeddings": MAX_LENGTH,
}
ROBERTA_SIZES = BERT_SIZES | {
    "max_position_embeddings": MAX_LENGTH + 2,
    "type_vocab_size": 1,
    "pad_token_id": 1,
}


def train(tokenizer: Tokenizer, trainer: Any) -> Tokenizer:
    lines = sample_lines()
    tokenizer.train_from_iterator([*lines, *(line.title() for line in lines), ACCENTS], trainer)
    return tokenizer


def word_piece(special: dict[str, str], *, lowercase: bool) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token=special["unk"]))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokens = list(special.values())
    train(
        tokenizer,
        trainers.WordPieceTrainer(vocab_size=VOCABULARY_SIZE, special_tokens=tokens, show_progress=False),
    )
    ids = tokenizer.get_vocab()
    sep, cls = special["sep"], special["cls"]
    tokenizer.post_processor = processors.BertProcessing((sep, ids[sep]), (cls, ids[cls]))
    return tokenizer


def byte_level_bpe(*, add_prefix_space: bool) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=list(ROBERTA_TOKENS.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    train(tokenizer, trainer)
    ids = tokenizer.get_vocab()
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", ids["</s>"]), ("<s>", ids["<s>"]), add_prefix_space=add_prefix_space
    )
    return tokenizer


def unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    )
    trainer = trainers.UnigramTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=list(ROBERTA_TOKENS.values()),
        unk_token="<unk>",  # noqa: S106 (a token of text)
        show_progress=False,
    )
    train(tokenizer, trainer)
    ids = tokenizer.get_vocab()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B:1 </s>:1",
        special_tokens=[(token, ids[token]) for token in ("<s>", "</s>")],
    )
    return tokenizer


def deberta_unigram() -> Tokenizer:
    """As `DebertaV2Tokenizer` of Transformers 5 makes it."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(Regex(r"\s{2,}|[\n\r\t]"), " "),
            normalizers.NFC(),
            normalizers.Strip(left=False, right=True),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(prepend_scheme="always")])
    trainer = trainers.UnigramTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=list(BERT_TOKENS.values()),
        unk_token="[UNK]",  # noqa: S106 (a token of text)
        show_progress=False,
    )
    train(tokenizer, trainer)
    ids = tokenizer.get_vocab()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[(token, ids[token]) for token in ("[CLS]", "[SEP]")],
    )
    return tokenizer


@dataclass(frozen=True)
class Tiny:
    """One architecture with one head and a tokenizer of its own."""

    model_type: str
    head: str
    tokenizer: Callable[[], Tokenizer]
    settings: dict[str, Any]  # tokenizer_config.json
    sizes: dict[str, Any] = field(default_factory=lambda: BERT_SIZES)
    with_tokenizer_json: bool = True
    variant: str = ""  # where there are several of one head

    @property
    def folder(self) -> Path:
        """Where the checkpoint lies."""
        return CHECKPOINTS / f"{self.model_type}-{self.variant or self.head}"


def uncased() -> Tokenizer:
    return word_piece(BERT_TOKENS, lowercase=True)


def cased() -> Tokenizer:
    return word_piece(BERT_TOKENS, lowercase=False)


def cased_with_own_tokens() -> Tokenizer:
    return word_piece(OWN_TOKENS, lowercase=False)


def bpe() -> Tokenizer:
    return byte_level_bpe(add_prefix_space=False)


BERT = {"tokenizer_class": "BertTokenizer"}
DISTILBERT = {"tokenizer_class": "DistilBertTokenizer"}
ROBERTA = {"tokenizer_class": "RobertaTokenizer"}
XLM_ROBERTA = {"tokenizer_class": "XLMRobertaTokenizer"}
DEBERTA = {"tokenizer_class": "DebertaV2Tokenizer"}
DEBERTA_ONE_TYPE = DEBERTA | {"model_input_names": ["input_ids", "attention_mask"]}
# Sizes of DeBERTa v3, but for how many distances are told apart.
DEBERTA_SIZES = BERT_SIZES | {
    "relative_attention": True,
    "position_buckets": 8,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": "p2c|c2p",
    "max_relative_positions": -1,
    "position_biased_input": False,
    "type_vocab_size": 0,
}
DEBERTA_OWN_PROJECTIONS = DEBERTA_SIZES | {
    "share_att_key": False,
    "pos_att_type": ["p2c"],
    "position_buckets": -1,
    "max_relative_positions": 16,
    "position_biased_input": True,
    "type_vocab_size": 2,
    "embedding_size": 8,
    "pooler_hidden_act": "tanh",
}
DEBERTA_CONVOLUTION = DEBERTA_SIZES | {
    "share_att_key": False,
    "pos_att_type": ["c2p"],
    "norm_rel_ebd": "none",
    "position_buckets": 5,
    "max_relative_positions": 40,
    "type_vocab_size": 1,
    "hidden_act": "gelu_new",
    "conv_kernel_size": 3,
    "conv_act": "gelu",
}
# As many buckets as in v3, a convolution beside a layer that is the last, and pairs told apart.
DEBERTA_ONE_LAYER = DEBERTA_SIZES | {
    "num_hidden_layers": 1,
    "share_att_key": False,
    "position_buckets": 256,
    "max_relative_positions": 512,
    "type_vocab_size": 2,
    "conv_kernel_size": 5,
}
DEBERTA_ABSOLUTE = DEBERTA_SIZES | {
    "relative_attention": False,
    "position_biased_input": True,
    "type_vocab_size": 1,
}
OWN_SETTINGS = {f"{role}_token": token for role, token in OWN_TOKENS.items()}

ALL = (
    # No class named, and a tokenizer.json that the silent settings overrule: Transformers lowercases.
    Tiny("bert", "single", cased, {}),
    Tiny(
        "bert",
        "multi",
        cased,
        BERT | {"do_lower_case": False, "strip_accents": True},
        with_tokenizer_json=False,
    ),
    Tiny(
        "bert",
        "regression",
        cased_with_own_tokens,
        BERT | OWN_SETTINGS | {"do_lower_case": False},
        with_tokenizer_json=False,
    ),
    Tiny("distilbert", "single", uncased, DISTILBERT, DISTILBERT_SIZES),
    Tiny(
        "distilbert",
        "multi",
        uncased,
        DISTILBERT | {"strip_accents": False, "tokenize_chinese_chars": False},
        DISTILBERT_SIZES,
        with_tokenizer_json=False,
    ),
    # A tokenizer class without settings of its own: tokenizer.json has the last word.
    Tiny("distilbert", "regression", cased, {"tokenizer_class": "PreTrainedTokenizerFast"}, DISTILBERT_SIZES),
    Tiny("roberta", "single", bpe, ROBERTA, ROBERTA_SIZES),
    Tiny("roberta", "multi", bpe, ROBERTA, ROBERTA_SIZES, with_tokenizer_json=False),
    Tiny("roberta", "regression", bpe, ROBERTA | {"add_prefix_space": True}, ROBERTA_SIZES),
    Tiny("xlm-roberta", "single", unigram, XLM_ROBERTA, ROBERTA_SIZES),
    Tiny("xlm-roberta", "multi", unigram, XLM_ROBERTA, ROBERTA_SIZES),
    Tiny("xlm-roberta", "regression", unigram, XLM_ROBERTA, ROBERTA_SIZES | {"pad_token_id": 1}),
    Tiny("electra", "single", uncased, BERT, BERT_SIZES | {"embedding_size": 8}),
    Tiny("electra", "multi", uncased, BERT, BERT_SIZES | {"embedding_size": 16}),
    Tiny("electra", "regression", cased, {"do_lower_case": False}, BERT_SIZES | {"embedding_size": 24}),
    Tiny("deberta-v2", "single", deberta_unigram, DEBERTA, DEBERTA_SIZES),
    Tiny("deberta-v2", "multi", deberta_unigram, DEBERTA, DEBERTA_OWN_PROJECTIONS),
    Tiny("deberta-v2", "regression", deberta_unigram, DEBERTA_ONE_TYPE, DEBERTA_CONVOLUTION),
    Tiny("deberta-v2", "single", deberta_unigram, DEBERTA, DEBERTA_ONE_LAYER, variant="one-layer"),
    Tiny("deberta-v2", "multi", deberta_unigram, DEBERTA_ONE_TYPE, DEBERTA_ABSOLUTE, variant="absolute"),
)


def make(tiny: Tiny) -> None:
    """Write one checkpoint with random weights."""
    tokenizer = tiny.tokenizer()
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        tiny.model_type,
        vocab_size=tokenizer.get_vocab_size(),
        initializer_range=0.4,  # large enough for logits to differ between texts
        **tiny.sizes,
        **HEAD_TO_SETTINGS[tiny.head],
    )
    model = AutoModelForSequenceClassification.from_config(config)
    for name, tensor in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(tensor, std=0.1)  # a bias of zeros would hide one that is missing
    model.save_pretrained(tiny.folder)
    write_tokenizer(tiny, tokenizer)


def write_tokenizer(tiny: Tiny, tokenizer: Tokenizer) -> None:
    """Write tokenizer.json, or the files that stand for it, and the settings."""
    if tiny.with_tokenizer_json:
        tokenizer.save(str(tiny.folder / "tokenizer.json"))
    else:
        tokenizer.model.save(str(tiny.folder))
    settings = tiny.settings | {"model_max_length": MAX_LENGTH}
    (tiny.folder / "tokenizer_config.json").write_text(
        json.dumps(settings, indent=2) + "\n", encoding="utf-8"
    )


@torch.inference_mode()
def record(folder: Path) -> None:
    """Write Transformers' answers for one checkpoint."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    answers = []
    for text in [*texts()[8:], TYPED_SPECIAL_TOKENS, ["typed <pad> [PAD]", TYPED_SPECIAL_TOKENS]]:
        encoded = tokenizer(
            *([text] if isinstance(text, str) else text), truncation=True, return_tensors="pt"
        )
        logits = model(**encoded).logits[0].tolist()
        answers.append({"text": text, "input_ids": encoded["input_ids"][0].tolist(), "logits": logits})
    lines = ",\n".join(json.dumps(answer, ensure_ascii=False) for answer in answers)
    (folder / "answers.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def main() -> None:
    """Make the checkpoints that are missing and record everything."""
    for tiny in ALL:
        if not tiny.folder.exists():
            make(tiny)
            record(tiny.folder)


if __name__ == "__main__":
    main()

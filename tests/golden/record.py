"""Record what Hugging Face Transformers answers, for the tests to hold this project to.

Run by hand, in an environment of its own, from the project's folder:

    python3 -m venv .venv-golden
    .venv-golden/bin/pip install torch==2.13.0 transformers==5.23.0
    .venv-golden/bin/python tests/golden/record.py

It makes the tiny checkpoints under tests/data/checkpoints/ (random weights, seeded) and writes, for each of
them and for the embedded one, tests/golden/NAME.json: texts, token ids, token type ids and logits.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
)

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
TINY = HERE.parent / "data" / "checkpoints"
SAMPLE = ROOT / "export" / "bertriton_export" / "verification" / "sample_reviews.txt"

SAMPLE_LINES = 60
VOCABULARY_SIZE = 512
SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@dataclass(frozen=True)
class Tiny:
    """One tiny checkpoint: how it differs from the others."""

    name: str
    cased: bool = False
    labels: tuple[str, ...] = ("neg", "pos")
    dtype: torch.dtype = torch.float32
    shard_size: str = "10MB"
    keep_tokenizer_json: bool = True
    settings: dict[str, Any] = field(default_factory=dict)


TINY_CHECKPOINTS = (
    Tiny("cased", cased=True, shard_size="60KB", keep_tokenizer_json=False),
    Tiny(
        "three-labels",
        labels=("bad", "so so", "très bien"),
        dtype=torch.float16,
        settings={"hidden_act": "gelu_new"},
    ),
    Tiny("one-layer", dtype=torch.bfloat16, settings={"num_hidden_layers": 1, "hidden_act": "relu"}),
)


def sample_lines() -> list[str]:
    """The first reviews of the sample, so that it can grow at its end."""
    return SAMPLE.read_text(encoding="utf-8").splitlines()[:SAMPLE_LINES]


def texts() -> list[str | list[str]]:
    """Reviews, oddities, pairs, and texts beyond every length limit."""
    reviews = sample_lines()
    oddities = [
        "",
        "   \t\n ",
        "Ça m'a plu ! Ünïcödé ÅÄÖ naïve",
        "素晴らしい映画でした 很好看",
        "فيلم رائع جدا",
        "great 😀👍🏽 movie\u200d!!! \u0000 end",
        "<br /><br />8/10 -- it's a \"must-see\", isn't it?",
        "[SEP] typed by hand [MASK] [CLS]",
        "x" * 150,
    ]
    pairs: list[str | list[str]] = [
        [reviews[0], reviews[1]],
        ["", reviews[2]],
        [" ".join(reviews), reviews[3]],
    ]
    return [*reviews[:12], *oddities, " ".join(reviews[:20]), " ".join(reviews), *pairs]


def train_tokenizer(*, cased: bool) -> Tokenizer:
    """A small WordPiece vocabulary learned from the sample reviews."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))  # noqa: S106 (a token of text)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=not cased)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    lines = sample_lines()
    titles = [line.title() for line in lines] if cased else []
    trainer = trainers.WordPieceTrainer(
        vocab_size=VOCABULARY_SIZE, special_tokens=SPECIAL_TOKENS, show_progress=False
    )
    tokenizer.train_from_iterator([*lines, *titles, "Ça naïve ÅÄÖ 映画 很"], trainer)
    vocabulary = tokenizer.get_vocab()
    tokenizer.post_processor = processors.BertProcessing(
        ("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"])
    )
    return tokenizer


def make_tiny(tiny: Tiny) -> Path:
    """Write one tiny checkpoint with random weights."""
    folder = TINY / tiny.name
    shutil.rmtree(folder, ignore_errors=True)
    tokenizer = train_tokenizer(cased=tiny.cased)
    torch.manual_seed(0)
    settings = {"num_hidden_layers": 2, "max_position_embeddings": 64} | tiny.settings
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        num_attention_heads=4,
        intermediate_size=64,
        id2label=dict(enumerate(tiny.labels)),
        label2id={label: index for index, label in enumerate(tiny.labels)},
        initializer_range=0.4,  # large enough for logits to differ between texts
        **settings,
    )
    model = BertForSequenceClassification(config).to(tiny.dtype)
    model.save_pretrained(folder, max_shard_size=tiny.shard_size)
    write_tokenizer(folder, tokenizer, tiny)
    return folder


def write_tokenizer(folder: Path, tokenizer: Tokenizer, tiny: Tiny) -> None:
    """Write tokenizer.json or vocab.txt, whichever this checkpoint is to have, and the settings."""
    if tiny.keep_tokenizer_json:
        tokenizer.save(str(folder / "tokenizer.json"))
    else:
        by_id = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
        (folder / "vocab.txt").write_text("".join(f"{token}\n" for token, _ in by_id), encoding="utf-8")
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": not tiny.cased, "model_max_length": 64}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


@torch.inference_mode()
def record(folder: Path, name: str) -> None:
    """Write Transformers' answers for one checkpoint."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    answers = []
    for text in texts():
        encoded = tokenizer(
            *([text] if isinstance(text, str) else text), truncation=True, return_tensors="pt"
        )
        logits = model(**encoded).logits[0].tolist()
        row = {key: encoded[key][0].tolist() for key in ("input_ids", "token_type_ids")}
        answers.append({"text": text, **row, "logits": logits})
    lines = ",\n".join(json.dumps(answer) for answer in answers)
    (HERE / f"{name}.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def main() -> None:
    """Make the tiny checkpoints and record everything."""
    for tiny in TINY_CHECKPOINTS:
        record(make_tiny(tiny), tiny.name)
    record(ROOT / "checkpoints" / "imdb-minilm", "imdb-minilm")


if __name__ == "__main__":
    main()

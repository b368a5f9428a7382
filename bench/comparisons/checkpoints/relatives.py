"""Checkpoints of other families at base size with random weights, written by Transformers.

    .venv-torch/bin/python bench/comparisons/checkpoints/relatives.py FAMILY FOLDER

It runs in the environment that has torch; classifiers.py starts it and adds the embedded checkpoint's
tokenizer, whose vocabulary is smaller than theirs. Embeddings are looked up, so this does little to time.
"""

from __future__ import annotations

import sys

import torch
import transformers

VOCABULARY_SIZE = 30_522  # of the embedded checkpoint's tokenizer
CLS, SEP, PAD = 101, 102, 0  # likewise
LABELS = {0: "neg", 1: "pos"}

FAMILIES = {
    # microsoft/deberta-v3-base, but for the vocabulary
    "deberta-v3": lambda: transformers.DebertaV2Config(
        vocab_size=VOCABULARY_SIZE,
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        max_position_embeddings=512,
        type_vocab_size=0,
        relative_attention=True,
        max_relative_positions=-1,
        position_buckets=256,
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
        layer_norm_eps=1e-7,
        id2label=LABELS,
    ),
    # answerdotai/ModernBERT-base, but for the vocabulary
    "modernbert": lambda: transformers.ModernBertConfig(
        vocab_size=VOCABULARY_SIZE,
        hidden_size=768,
        num_hidden_layers=22,
        num_attention_heads=12,
        intermediate_size=1152,
        max_position_embeddings=8192,
        local_attention=128,
        classifier_pooling="mean",
        pad_token_id=PAD,
        bos_token_id=CLS,
        eos_token_id=SEP,
        cls_token_id=CLS,
        sep_token_id=SEP,
        id2label=LABELS,
    ),
}


def main(family: str, folder: str) -> None:
    """Write config.json and fp32 weights."""
    torch.manual_seed(0)
    model = transformers.AutoModelForSequenceClassification.from_config(FAMILIES[family]())
    model.float().save_pretrained(folder)


if __name__ == "__main__":
    main(*sys.argv[1:])

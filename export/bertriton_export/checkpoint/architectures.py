"""The architectures that can be served: how each differs from BERT, as data.

All of them are one network: embeddings, encoder layers, and a head of two layers on the first token. They
differ in the names of their tensors and of their dimensions, in the activation function inside the head, and
in how tokens are counted and told apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from bertriton_export.checkpoint.dimensions import HIDDEN_ACT_TO_ACTIVATION, BertConfig
from bertriton_export.errors import CheckpointError, TensorError, UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bertriton_export.checkpoint.weights import LazyTensor

# Defaults in Transformers, for keys that old config.json files leave out.
DEFAULT_LAYER_NORM_EPS: Final = 1e-12
DEFAULT_TYPE_VOCAB_SIZE: Final = 2
DEFAULT_ROBERTA_PADDING_ID: Final = 1
DEFAULT_ELECTRA_EMBEDDING_SIZE: Final = 128


@dataclass(frozen=True)
class Architecture:
    """One class of Transformers, and what sets it apart from `BertForSequenceClassification`."""

    name: str  # of the class, as config.json's `architectures` has it
    model_type: str
    summary: str  # what sets it apart, for people
    # Part of BERT's name of a tensor -> what stands there instead, replaced in this order.
    name_parts: Mapping[str, str] = field(default_factory=dict)
    # Prefixes of tensors that checkpoints may hold and no classifier needs: buffers and other heads.
    ignored: tuple[str, ...] = ()
    # BERT's key in config.json -> the own one.
    keys: Mapping[str, str] = field(default_factory=dict)
    head_activation: str = "tanh"
    has_token_types: bool = True
    counts_from_padding: bool = False
    projects_embeddings: bool = False

    def own_name(self, name: str) -> str:
        """The name of a tensor in its checkpoints.

        Example:
            >>> ARCHITECTURES["DistilBertForSequenceClassification"].own_name("bert.pooler.dense.bias")
            'pre_classifier.bias'
        """
        for part, own in self.name_parts.items():
            name = name.replace(part, own)
        return name


_DISTILBERT: Final = Architecture(
    "DistilBertForSequenceClassification",
    "distilbert",
    "no token types; ReLU in the head",
    name_parts={
        "bert.embeddings.": "distilbert.embeddings.",
        "bert.encoder.layer.": "distilbert.transformer.layer.",
        ".attention.self.query.": ".attention.q_lin.",
        ".attention.self.key.": ".attention.k_lin.",
        ".attention.self.value.": ".attention.v_lin.",
        ".attention.output.dense.": ".attention.out_lin.",
        ".attention.output.LayerNorm.": ".sa_layer_norm.",
        ".intermediate.dense.": ".ffn.lin1.",
        ".output.dense.": ".ffn.lin2.",
        ".output.LayerNorm.": ".output_layer_norm.",
        "bert.pooler.dense.": "pre_classifier.",
    },
    ignored=("distilbert.embeddings.position_ids", "vocab_"),
    keys={
        "hidden_size": "dim",
        "num_hidden_layers": "n_layers",
        "num_attention_heads": "n_heads",
        "intermediate_size": "hidden_dim",
        "hidden_act": "activation",
    },
    head_activation="relu",
    has_token_types=False,
)


def _roberta(name: str, model_type: str, summary: str) -> Architecture:
    return Architecture(
        name,
        model_type,
        summary,
        name_parts={
            "classifier.": "classifier.out_proj.",
            "bert.pooler.dense.": "classifier.dense.",
            "bert.": "roberta.",
        },
        ignored=("roberta.embeddings.position_ids", "roberta.pooler.", "lm_head."),
        counts_from_padding=True,
    )


_ALL: Final = (
    Architecture(
        "BertForSequenceClassification",
        "bert",
        "tanh in the head",
        ignored=("bert.embeddings.position_ids", "cls."),
    ),
    _DISTILBERT,
    _roberta("RobertaForSequenceClassification", "roberta", "byte-level BPE; positions start behind padding"),
    _roberta("XLMRobertaForSequenceClassification", "xlm-roberta", "RoBERTa with a SentencePiece vocabulary"),
    Architecture(
        "ElectraForSequenceClassification",
        "electra",
        "GELU in the head; embeddings of a width of their own",
        name_parts={
            "classifier.": "classifier.out_proj.",
            "bert.pooler.dense.": "classifier.dense.",
            "bert.": "electra.",
        },
        ignored=("electra.embeddings.position_ids", "discriminator_predictions."),
        head_activation="gelu",
        projects_embeddings=True,
    ),
)
ARCHITECTURES: Final = {architecture.name: architecture for architecture in _ALL}
IGNORED_TENSORS: Final = tuple(prefix for architecture in _ALL for prefix in architecture.ignored)


def architecture_of(file: Path, document: dict[str, Any]) -> Architecture:
    """The architecture that a config.json is of.

    Raises:
        UnsupportedModelError: it is none of `ARCHITECTURES`, or one with an unknown activation function or
            position scheme.
    """
    model_type, names = document.get("model_type"), document.get("architectures")
    for architecture in _ALL:
        if architecture.model_type == model_type and architecture.name in (names or [architecture.name]):
            _refuse_unsupported(file, document, architecture)
            return architecture
    known = ", ".join(f"{architecture.name} ({architecture.model_type})" for architecture in _ALL)
    raise UnsupportedModelError(
        f"{file}: model_type {model_type!r} with architectures {names} cannot be served, "
        f"expected one of {known}"
    )


def _refuse_unsupported(file: Path, document: dict[str, Any], architecture: Architecture) -> None:
    positions = document.get("position_embedding_type", "absolute")
    if positions != "absolute":
        raise UnsupportedModelError(f"{file}: position_embedding_type {positions!r}, expected 'absolute'")
    key = architecture.keys.get("hidden_act", "hidden_act")
    if document.get(key) not in HIDDEN_ACT_TO_ACTIVATION:
        raise UnsupportedModelError(
            f"{file}: {key} {document.get(key)!r}, expected one of {sorted(HIDDEN_ACT_TO_ACTIVATION)}"
        )
    if document.get("is_decoder"):
        raise UnsupportedModelError(f"{file}: is_decoder is set; attention would be causal")


def read_bert_config(
    file: Path,
    document: dict[str, Any],
    architecture: Architecture,
    tensors: Mapping[str, LazyTensor],
    *,
    reads_token_types: bool = True,
) -> BertConfig:
    """The dimensions of a checkpoint, from its config.json and the classifier's tensor.

    Raises:
        CheckpointError: a dimension is missing or contradicts another, or there is no classifier.
    """

    def size(key: str, default: int | None = None, least: int = 1) -> int:
        key = architecture.keys.get(key, key)
        value = document.get(key, default)
        if not isinstance(value, int) or value < least:
            kind = "positive whole number" if least else "whole number from 0"
            raise CheckpointError(file, f"{key}: expected a {kind}, found {value!r}")
        return value

    name = architecture.own_name("classifier.bias")
    if name not in tensors:
        raise TensorError(file, name, expected="a classification head", found="no such tensor")
    embedding_size = None
    if architecture.projects_embeddings:
        embedding_size = size("embedding_size", DEFAULT_ELECTRA_EMBEDDING_SIZE)
    config = BertConfig(
        vocab_size=size("vocab_size"),
        hidden_size=size("hidden_size"),
        num_hidden_layers=size("num_hidden_layers"),
        num_attention_heads=size("num_attention_heads"),
        intermediate_size=size("intermediate_size"),
        max_position_embeddings=size("max_position_embeddings"),
        type_vocab_size=size("type_vocab_size", DEFAULT_TYPE_VOCAB_SIZE)
        if architecture.has_token_types
        else 0,
        layer_norm_eps=float(document.get("layer_norm_eps", DEFAULT_LAYER_NORM_EPS)),
        activation=HIDDEN_ACT_TO_ACTIVATION[document[architecture.keys.get("hidden_act", "hidden_act")]],
        num_labels=tensors[name].shape[0],
        head_activation=architecture.head_activation,
        embedding_size=None if embedding_size == size("hidden_size") else embedding_size,
        reads_token_types=reads_token_types,
        padding_id=size("pad_token_id", DEFAULT_ROBERTA_PADDING_ID, 0)
        if architecture.counts_from_padding
        else None,
    )
    if config.hidden_size % config.num_attention_heads:
        raise CheckpointError(
            file,
            f"{architecture.keys.get('hidden_size', 'hidden_size')} {config.hidden_size} is no multiple of "
            f"{architecture.keys.get('num_attention_heads', 'num_attention_heads')} "
            f"{config.num_attention_heads}",
        )
    return config

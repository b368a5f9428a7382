"""The architectures that can be served: how each differs from BERT, as data.

All of them are one network: embeddings, encoder layers, and a head of two layers on the first token. They
differ in the names of their tensors and of their dimensions, in the activation function inside the head, and
in how tokens are counted and told apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from bertriton_export.checkpoint.deberta import DebertaConfig
from bertriton_export.checkpoint.dimensions import HIDDEN_ACT_TO_ACTIVATION, BertConfig
from bertriton_export.checkpoint.modernbert import ModernBertConfig
from bertriton_export.checkpoint.relatives import (
    USE_ANOTHER,
    AlbertConfig,
    BigBirdConfig,
    ErnieConfig,
    MPNetConfig,
    XLMRobertaXLConfig,
    refuse_known_families,
    refuse_other_tasks,
)
from bertriton_export.checkpoint.rotary import (
    GATED_ACTIVATIONS,
    ROTARY_NAME_PARTS,
    GteConfig,
    NomicBertConfig,
)
from bertriton_export.checkpoint.settings import short
from bertriton_export.errors import CheckpointError, TensorError, UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bertriton_export.checkpoint.settings import Settings
    from bertriton_export.checkpoint.weights import LazyTensor

# Defaults in Transformers, for keys that old config.json files leave out.
DEFAULT_LAYER_NORM_EPS: Final = 1e-12
DEFAULT_TYPE_VOCAB_SIZE: Final = 2
DEFAULT_ROBERTA_PADDING_ID: Final = 1
DEFAULT_EMBEDDING_SIZE: Final = 128


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
    fixed_epsilon: float | None = None  # of LayerNorm, where Transformers reads none from config.json
    has_token_types: bool = True
    counts_from_padding: bool = False
    projects_embeddings: bool = False
    # `hidden_act` in config.json -> the name this package uses for the function.
    activations: Mapping[str, str] = field(default_factory=lambda: HIDDEN_ACT_TO_ACTIVATION)
    positions: str = "absolute"  # what `position_embedding_type` may say
    config: type[BertConfig] = BertConfig  # with fields of its own where BERT's are not enough

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
    fixed_epsilon=DEFAULT_LAYER_NORM_EPS,
    has_token_types=False,
)


def _roberta(name: str, model_type: str, summary: str, prefix: str = "roberta.") -> Architecture:
    return Architecture(
        name,
        model_type,
        summary,
        name_parts={
            "classifier.": "classifier.out_proj.",
            "bert.pooler.dense.": "classifier.dense.",
            "bert.": prefix,
        },
        ignored=(f"{prefix}embeddings.position_ids", f"{prefix}pooler.", "lm_head."),
        counts_from_padding=True,
    )


_ALBERT: Final = Architecture(
    "AlbertForSequenceClassification",
    "albert",
    "layers that share their weights; embeddings of a width of their own",
    name_parts={
        "bert.embeddings.": "albert.embeddings.",
        "bert.embeddings_project.": "albert.encoder.embedding_hidden_mapping_in.",
        "bert.encoder.layer.": "albert.encoder.albert_layer_groups.",
        ".attention.self.": ".albert_layers.0.attention.",
        ".attention.output.": ".albert_layers.0.attention.",
        ".intermediate.dense.": ".albert_layers.0.ffn.",
        ".output.dense.": ".albert_layers.0.ffn_output.",
        ".output.LayerNorm.": ".albert_layers.0.full_layer_layer_norm.",
        "bert.pooler.dense.": "albert.pooler.",
    },
    ignored=("albert.embeddings.position_ids", "predictions.", "sop_classifier."),
    projects_embeddings=True,
    config=AlbertConfig,
)
_MPNET: Final = Architecture(
    "MPNetForSequenceClassification",
    "mpnet",
    "scores that know the tokens' distance; positions start behind padding",
    name_parts={
        "classifier.": "classifier.out_proj.",
        "bert.pooler.dense.": "classifier.dense.",
        ".attention.self.query.": ".attention.attn.q.",
        ".attention.self.key.": ".attention.attn.k.",
        ".attention.self.value.": ".attention.attn.v.",
        ".attention.output.dense.": ".attention.attn.o.",
        ".attention.output.LayerNorm.": ".attention.LayerNorm.",
        "bert.": "mpnet.",
    },
    ignored=("mpnet.embeddings.position_ids", "mpnet.pooler.", "lm_head."),
    has_token_types=False,
    counts_from_padding=True,
    config=MPNetConfig,
)
_BIG_BIRD: Final = Architecture(
    "BigBirdForSequenceClassification",
    "big_bird",
    "the layers' activation function in the head; full attention, which bounds the length of texts",
    name_parts={"classifier.": "classifier.out_proj.", "bert.pooler.dense.": "classifier.dense."},
    ignored=("bert.embeddings.position_ids", "bert.pooler.weight", "bert.pooler.bias", "cls."),
    config=BigBirdConfig,
)


def _rotary(name: str, model_type: str, summary: str, config: type[GteConfig]) -> Architecture:
    return Architecture(
        name,
        model_type,
        summary,
        name_parts={**ROTARY_NAME_PARTS, "bert.": config.prefix},
        ignored=("lm_head.", "cls."),
        has_token_types=False,  # see its config
        activations=GATED_ACTIVATIONS,
        positions="rope",
        config=config,
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
    _ALBERT,
    _roberta("CamembertForSequenceClassification", "camembert", "RoBERTa for French"),
    _MPNET,
    Architecture(
        "ErnieForSequenceClassification",
        "ernie",
        "BERT, perhaps with embeddings of a task",
        name_parts={"bert.": "ernie."},
        ignored=("ernie.embeddings.position_ids", "cls."),
        config=ErnieConfig,
    ),
    _roberta(
        "Data2VecTextForSequenceClassification", "data2vec-text", "RoBERTa by its layout", "data2vec_text."
    ),
    _BIG_BIRD,
    Architecture(
        "XLMRobertaXLForSequenceClassification",
        "xlm-roberta-xl",
        "XLM-RoBERTa with LayerNorm before each block",
        name_parts={
            "classifier.": "classifier.out_proj.",
            "bert.pooler.dense.": "classifier.dense.",
            ".attention.output.LayerNorm.": ".attention.self_attn_layer_norm.",
            ".output.LayerNorm.": ".LayerNorm.",
            "bert.": "roberta.",
        },
        counts_from_padding=True,
        config=XLMRobertaXLConfig,
    ),
    Architecture(
        "ModernBertForSequenceClassification",
        "modernbert",
        "rotary positions; local and global attention in turns; GeGLU; mean or first token",
        ignored=("decoder.",),
        keys={"hidden_act": "hidden_activation"},
        has_token_types=False,
        config=ModernBertConfig,
    ),
    Architecture(
        "DebertaV2ForSequenceClassification",
        "deberta-v2",
        "DeBERTa v2 and v3: attention by content and by distance",
        name_parts={
            ".attention.self.query.": ".attention.self.query_proj.",
            ".attention.self.key.": ".attention.self.key_proj.",
            ".attention.self.value.": ".attention.self.value_proj.",
            "bert.pooler.": "pooler.",
            "bert.": "deberta.",
        },
        ignored=("deberta.embeddings.position_ids", "lm_predictions.", "mask_predictions."),
        has_token_types=False,  # see its config
        config=DebertaConfig,
    ),
    _rotary("GteForSequenceClassification", "gte", "rotary positions; gated layers", GteConfig),
    _rotary(
        "NomicBertForSequenceClassification",
        "nomic_bert",
        "rotary positions; gated layers; no biases in the encoder",
        NomicBertConfig,
    ),
)
ARCHITECTURES: Final = {architecture.name: architecture for architecture in _ALL}
IGNORED_TENSORS: Final = tuple(prefix for architecture in _ALL for prefix in architecture.ignored)


def architecture_of(config: Settings) -> Architecture:
    """The architecture that a config.json is of.

    Raises:
        CheckpointError: a value is of a wrong kind.
        UnsupportedModelError: it is none of `ARCHITECTURES`, or one with an unknown activation function or
            position scheme.
    """
    model_type, names = config.text("model_type"), config.texts("architectures") or []
    for architecture in _ALL:
        if architecture.model_type == model_type or (model_type is None and architecture.name in names):
            refuse_other_tasks(config, names)
            _refuse_unsupported(config, architecture)
            return architecture
    refuse_known_families(config, model_type)
    known = ", ".join(f"{architecture.name} ({architecture.model_type})" for architecture in _ALL)
    raise UnsupportedModelError(
        f"{config.file}: model_type {short(model_type)} with architectures {short(names)} cannot be served, "
        f"expected one of {known}: {USE_ANOTHER}"
    )


def _refuse_unsupported(config: Settings, architecture: Architecture) -> None:
    positions = config.text("position_embedding_type")
    if positions not in (None, architecture.positions):
        raise UnsupportedModelError(
            f"{config.file}: position_embedding_type {short(positions)}, expected {architecture.positions!r}"
        )
    config.one_of(architecture.keys.get("hidden_act", "hidden_act"), architecture.activations)
    if config.flag("is_decoder", default=False):
        raise UnsupportedModelError(f"{config.file}: is_decoder is set; attention would be causal")


def _epsilon(architecture: Architecture, settings: Settings) -> float:
    return architecture.fixed_epsilon or settings.epsilon("layer_norm_eps", DEFAULT_LAYER_NORM_EPS)


def read_bert_config(
    settings: Settings,
    architecture: Architecture,
    tensors: Mapping[str, LazyTensor],
    *,
    reads_token_types: bool = True,
) -> BertConfig:
    """The dimensions of a checkpoint, from its config.json and the classifier's tensor.

    Raises:
        CheckpointError: a dimension is missing, of a wrong kind or out of range, or contradicts another, or
            there is no classifier.
    """

    def size(key: str, default: int | None = None, least: int = 1) -> int:
        return settings.size(architecture.keys.get(key, key), default, least)

    name = architecture.own_name("classifier.bias")
    if name not in tensors:
        raise TensorError(settings.file, name, expected="a classification head", found="no such tensor")
    if len(tensors[name].shape) != 1:
        shape = list(tensors[name].shape)
        raise TensorError(tensors[name].file, name, expected="one dimension", found=f"shape {shape}")
    fields: dict[str, Any] = {
        "vocab_size": size("vocab_size"),
        "hidden_size": size("hidden_size"),
        "num_hidden_layers": size("num_hidden_layers"),
        "num_attention_heads": size("num_attention_heads"),
        "intermediate_size": size("intermediate_size"),
        "max_position_embeddings": size("max_position_embeddings"),
        "type_vocab_size": size("type_vocab_size", DEFAULT_TYPE_VOCAB_SIZE)
        if architecture.has_token_types
        else 0,
        "layer_norm_eps": _epsilon(architecture, settings),
        "activation": architecture.activations[
            settings.text(architecture.keys.get("hidden_act", "hidden_act")) or ""
        ],
        "num_labels": tensors[name].shape[0],
        "head_activation": architecture.head_activation,
        "embedding_size": _embedding_size(settings, architecture),
        "reads_token_types": reads_token_types,
        "padding_id": size("pad_token_id", DEFAULT_ROBERTA_PADDING_ID, 0)
        if architecture.counts_from_padding
        else None,
    }
    config = architecture.config(**(fields | architecture.config.own_fields(settings)))
    if config.padding_id is not None and config.padding_id >= config.vocab_size:
        raise CheckpointError(
            settings.file, f"pad_token_id {config.padding_id} is not below vocab_size {config.vocab_size}"
        )
    if config.hidden_size % config.num_attention_heads:
        raise CheckpointError(
            settings.file,
            f"{architecture.keys.get('hidden_size', 'hidden_size')} {config.hidden_size} is not a multiple "
            f"of {architecture.keys.get('num_attention_heads', 'num_attention_heads')} "
            f"{config.num_attention_heads}",
        )
    return config


def _embedding_size(settings: Settings, architecture: Architecture) -> int | None:
    """The width of the embeddings where they are projected; ELECTRA does not where widths are equal."""
    if not architecture.projects_embeddings:
        return None
    size = settings.size("embedding_size", DEFAULT_EMBEDDING_SIZE)
    is_left_out = architecture.config is BertConfig and size == settings.size("hidden_size")
    return None if is_left_out else size

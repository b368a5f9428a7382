"""GTE and Nomic BERT as data: BERT with rotary positions and gated layers, and how their tensors are named.

Zhang et al. 2024, https://arxiv.org/abs/2407.19669, and Nussbaum et al. 2024, https://arxiv.org/abs/2402.01613.
Transformers knows two layouts of their tensors and writes the older one: that of the code they were trained
with, in which some are several linear layers in one. Both are read; names in here are those of the newer one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from bertriton_export.checkpoint.dimensions import (
    HIDDEN_ACT_TO_ACTIVATION,
    BertConfig,
    linear_shapes,
    norm_shapes,
)
from bertriton_export.checkpoint.settings import Settings, require_number, short
from bertriton_export.checkpoint.weights import taken_apart
from bertriton_export.errors import CheckpointError, UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bertriton_export.checkpoint.weights import LazyTensor

# `hidden_act` in config.json -> the function that gates a layer.
GATED_ACTIVATIONS: Final = HIDDEN_ACT_TO_ACTIVATION | {"silu": "silu", "swish": "silu"}
DEFAULT_LAYER_NORM_EPS: Final = 1e-12
# Part of BERT's name of a tensor -> what stands there in the newer layout.
ROTARY_NAME_PARTS: Final = {
    ".encoder.layer.": ".layers.",
    ".attention.self.query.": ".self_attn.q_proj.",
    ".attention.self.key.": ".self_attn.k_proj.",
    ".attention.self.value.": ".self_attn.v_proj.",
    ".attention.output.dense.": ".self_attn.o_proj.",
    ".attention.output.LayerNorm.": ".post_attention_layernorm.",
    ".output.LayerNorm.": ".post_mlp_layernorm.",
    ".mlp.input.": ".mlp.gate_proj.",
    ".mlp.gate.": ".mlp.up_proj.",
    ".mlp.Wo.": ".mlp.down_proj.",
}


@dataclass(frozen=True)
class GteConfig(BertConfig):
    """Dimensions of one GTE classifier; without a table of positions."""

    theta: float = 160_000.0  # base of the rotary positions

    # What the kinds differ in.
    has_bias: ClassVar[bool] = True  # in attention, and where a gated layer leads back
    default_theta: ClassVar[float] = 160_000.0  # as in Transformers, and likewise below
    default_type_vocab_size: ClassVar[int] = 1
    least_type_vocab_size: ClassVar[int] = 0
    prefix: ClassVar[str] = "gte."
    old_prefix: ClassVar[str] = "new."
    # Part of a name in the older layout -> what stands there in the newer.
    old_name_parts: ClassVar[Mapping[str, str]] = {
        ".encoder.layer.": ".layers.",
        ".attention.o_proj.": ".self_attn.o_proj.",
        ".attn_ln.": ".post_attention_layernorm.",
        ".mlp_ln.": ".post_mlp_layernorm.",
    }
    # Part of a name in the older layout -> the linear layers that lie in that tensor, one below the other.
    stacked: ClassVar[Mapping[str, tuple[str, ...]]] = {
        ".attention.qkv_proj.": (".self_attn.q_proj.", ".self_attn.k_proj.", ".self_attn.v_proj."),
        ".mlp.up_gate_proj.": (".mlp.up_proj.", ".mlp.gate_proj."),
    }

    @classmethod
    def own_fields(cls, settings: Settings) -> dict[str, Any]:
        """What sets it apart from BERT.

        Raises:
            CheckpointError: a value is of a wrong kind or out of range, or contradicts another.
            UnsupportedModelError: scaled rotary positions, heads of a width of their own, or a config.json
                for the code beside the weights.
        """
        if "n_embd" in settings:
            raise UnsupportedModelError(
                f"{settings.file}: written for the code beside the weights (n_embd), expected the keys of "
                "Transformers' NomicBertConfig; load it with Transformers 5 and save it from there"
            )
        hidden, heads = settings.size("hidden_size"), settings.size("num_attention_heads")
        if hidden % (2 * heads):  # rotary positions turn pairs
            raise CheckpointError(
                settings.file, f"hidden_size {hidden} is no multiple of twice num_attention_heads {heads}"
            )
        if settings.get("head_dim") is not None:
            settings.require("head_dim", settings.size("head_dim"), hidden // heads)
        default, least = cls.default_type_vocab_size, cls.least_type_vocab_size
        return {
            "type_vocab_size": settings.size("type_vocab_size", default, least),
            "theta": rotary_base(settings, cls.default_theta),
        }

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Every tensor of a checkpoint, stacked ones taken apart, name -> shape."""
        hidden = self.hidden_size
        embeddings = "bert.embeddings"
        shapes: dict[str, tuple[int, ...]] = {
            f"{embeddings}.word_embeddings.weight": (self.vocab_size, hidden)
        }
        if self.type_vocab_size:
            shapes[f"{embeddings}.token_type_embeddings.weight"] = (self.type_vocab_size, hidden)
        shapes |= norm_shapes(f"{embeddings}.LayerNorm", hidden)
        for index in range(self.num_hidden_layers):
            shapes |= self._layer(f"bert.encoder.layer.{index}")
        shapes |= linear_shapes("bert.pooler.dense", hidden, hidden)
        return shapes | linear_shapes("classifier", hidden, self.num_labels)

    def _layer(self, name: str) -> dict[str, tuple[int, ...]]:
        hidden, inner = self.hidden_size, self.intermediate_size
        shapes: dict[str, tuple[int, ...]] = {}
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            shapes |= linear_shapes(f"{name}.attention.{part}", hidden, hidden, has_bias=self.has_bias)
        for part in ("mlp.input", "mlp.gate"):
            shapes |= linear_shapes(f"{name}.{part}", hidden, inner, has_bias=False)
        shapes |= linear_shapes(f"{name}.mlp.Wo", inner, hidden, has_bias=self.has_bias)
        for part in ("attention.output", "output"):
            shapes |= norm_shapes(f"{name}.{part}.LayerNorm", hidden)
        return shapes

    def taken_apart(self, tensors: Mapping[str, LazyTensor], source: Path) -> Mapping[str, LazyTensor]:
        """The tensors of a checkpoint under the names of the newer layout, each of one linear layer.

        Raises:
            TensorError: one of the older layout is missing or of a wrong shape.
        """
        prefix = self.old_prefix if any(name.startswith(self.old_prefix) for name in tensors) else self.prefix
        older = self._older_layout(prefix)
        if not any(old in tensors for old, (names, _) in older.items() if names != [old]):
            return tensors
        stacked = ((old, names, shape) for old, (names, shape) in older.items())
        return taken_apart(tensors, stacked, source)

    def _older_layout(self, prefix: str) -> dict[str, tuple[list[str], tuple[int, ...]]]:
        """Name of a tensor in the older layout -> the newer names of its layers, and the shape of one."""
        older: dict[str, tuple[list[str], tuple[int, ...]]] = {}
        for bert_name, shape in self.tensor_shapes().items():
            name = newer_name(bert_name, self.prefix)
            old = name.replace(self.prefix, prefix)
            for part, new in self.old_name_parts.items():
                old = old.replace(new, part)
            for stacked, parts in self.stacked.items():
                for part in parts:
                    old = old.replace(part, stacked)
            names, _ = older.setdefault(old, ([], shape))
            names.append(name)
        return {old: (self._in_order(old, names), shape) for old, (names, shape) in older.items()}

    def _in_order(self, old: str, names: list[str]) -> list[str]:
        """The layers of a stacked tensor as they lie in it."""
        for stacked, parts in self.stacked.items():
            if stacked in old:
                return [next(name for name in names if part in name) for part in parts]
        return names


@dataclass(frozen=True)
class NomicBertConfig(GteConfig):
    """Dimensions of one Nomic BERT classifier: GTE's with other defaults, and without biases."""

    theta: float = 1000.0

    has_bias: ClassVar[bool] = False
    default_theta: ClassVar[float] = 1000.0
    default_type_vocab_size: ClassVar[int] = 2
    least_type_vocab_size: ClassVar[int] = 1
    prefix: ClassVar[str] = "nomic_bert."
    old_prefix: ClassVar[str] = "bert."
    old_name_parts: ClassVar[Mapping[str, str]] = {
        ".encoder.layers.": ".layers.",
        ".emb_ln.": ".embeddings.LayerNorm.",
        ".attn.out_proj.": ".self_attn.o_proj.",
        ".mlp.fc11.": ".mlp.up_proj.",
        ".mlp.fc12.": ".mlp.gate_proj.",
        ".mlp.fc2.": ".mlp.down_proj.",
        ".norm1.": ".post_attention_layernorm.",
        ".norm2.": ".post_mlp_layernorm.",
    }
    stacked: ClassVar[Mapping[str, tuple[str, ...]]] = {
        ".attn.Wqkv.": (".self_attn.q_proj.", ".self_attn.k_proj.", ".self_attn.v_proj.")
    }


def rotary_base(settings: Settings, default: float) -> float:
    """The base of rotary positions that are the same in all layers and not scaled.

    Raises:
        CheckpointError: it is no number from 1.
        UnsupportedModelError: they are scaled.
    """
    parameters = Settings(settings.file, settings.section("rope_parameters"))
    scaling = settings.section("rope_scaling")
    kind = parameters.text("rope_type") or scaling.get("rope_type", scaling.get("type", "default"))
    if kind != "default":
        raise UnsupportedModelError(
            f"{settings.file}: rotary positions of rope_type {short(kind)}, expected 'default'"
        )
    found = (parameters.get("rope_theta"), settings.get("rope_theta"), default)
    value = next(candidate for candidate in found if candidate is not None)
    return require_number(settings.file, "rope_theta", value, least=1)


def newer_name(name: str, prefix: str) -> str:
    """BERT's name of a tensor as the newer layout has it."""
    for part, own in ROTARY_NAME_PARTS.items():
        name = name.replace(part, own)
    return name.replace("bert.", prefix) if name.startswith("bert.") else name

"""ModernBERT as data: its dimensions, and the names and shapes of its tensors.

Warner et al. 2024, https://arxiv.org/abs/2412.13663. Names follow Transformers'
`ModernBertForSequenceClassification`, but for tensors that are several linear layers in one: these are taken
apart as they are read, so that each layer has a name of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

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
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from bertriton_export.checkpoint.weights import LazyTensor

POOLINGS: Final = ("cls", "mean")
GLOBAL_ATTENTION: Final = "full_attention"
LOCAL_ATTENTION: Final = "sliding_attention"
# Defaults in Transformers, for keys that config.json leaves out.
DEFAULT_NORM_EPS: Final = 1e-5
DEFAULT_HEAD_ACT: Final = "gelu"
DEFAULT_POOLING: Final = "cls"
DEFAULT_GLOBAL_EVERY_N_LAYERS: Final = 3
DEFAULT_LOCAL_ATTENTION: Final = 128
DEFAULT_GLOBAL_THETA: Final = 160_000.0
DEFAULT_LOCAL_THETA: Final = 10_000.0
# Kind of layer -> its theta in configurations of Transformers 4, and the default.
_KIND_TO_OLD_THETA: Final = {
    GLOBAL_ATTENTION: ("global_rope_theta", DEFAULT_GLOBAL_THETA),
    LOCAL_ATTENTION: ("local_rope_theta", DEFAULT_LOCAL_THETA),
}
# A tensor of the checkpoint -> the linear layers that lie in it, one below the other.
STACKED_LINEARS: Final = {"attn.Wqkv": ("query", "key", "value"), "mlp.Wi": ("input", "gate")}


@dataclass(frozen=True)
class ModernBertConfig(BertConfig):
    """Dimensions of one ModernBERT classifier; without token types or a table of positions."""

    pooling: str = "cls"  # one of POOLINGS
    # In which layers tokens attend to all others, and not to near ones alone: their kinds, or every which.
    layer_types: tuple[str, ...] | None = None
    global_attn_every_n_layers: int = DEFAULT_GLOBAL_EVERY_N_LAYERS
    local_reach: int = DEFAULT_LOCAL_ATTENTION // 2  # how far away a near token may be, on each side
    global_theta: float = DEFAULT_GLOBAL_THETA  # base of the rotary positions, by kind of layer
    local_theta: float = DEFAULT_LOCAL_THETA
    has_attention_bias: bool = False
    has_mlp_bias: bool = False
    has_norm_bias: bool = False
    has_head_bias: bool = False

    def is_global(self, layer: int) -> bool:
        """Whether tokens attend to all others in a layer."""
        if self.layer_types is None:
            return layer % self.global_attn_every_n_layers == 0
        return self.layer_types[layer] == GLOBAL_ATTENTION

    @classmethod
    def own_fields(cls, settings: Settings) -> dict[str, Any]:
        """What sets it apart from BERT, from a config.json of Transformers 4 or 5.

        Raises:
            CheckpointError: a value is of a wrong kind or out of range, or contradicts another.
            UnsupportedModelError: scaled rotary positions, or an unknown activation function or pooling.
        """
        hidden, heads = settings.size("hidden_size"), settings.size("num_attention_heads")
        if hidden % (2 * heads):  # rotary positions turn pairs
            raise CheckpointError(
                settings.file, f"hidden_size {hidden} is not a multiple of twice num_attention_heads {heads}"
            )
        head_act = settings.one_of("classifier_activation", HIDDEN_ACT_TO_ACTIVATION, DEFAULT_HEAD_ACT)
        every = settings.size("global_attn_every_n_layers", DEFAULT_GLOBAL_EVERY_N_LAYERS)
        return {
            "layer_norm_eps": settings.epsilon("norm_eps", DEFAULT_NORM_EPS),
            "head_activation": HIDDEN_ACT_TO_ACTIVATION[head_act],
            "reads_token_types": False,
            "pooling": settings.one_of("classifier_pooling", POOLINGS, DEFAULT_POOLING),
            "layer_types": _layer_types(settings),
            "global_attn_every_n_layers": every,
            "local_reach": settings.size("local_attention", DEFAULT_LOCAL_ATTENTION, 2) // 2,
            "global_theta": _theta(settings, GLOBAL_ATTENTION),
            "local_theta": _theta(settings, LOCAL_ATTENTION),
            "has_attention_bias": bool(settings.flag("attention_bias", default=False)),
            "has_mlp_bias": bool(settings.flag("mlp_bias", default=False)),
            "has_norm_bias": bool(settings.flag("norm_bias", default=False)),
            "has_head_bias": bool(settings.flag("classifier_bias", default=False)),
        }

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Every tensor of a checkpoint, stacked ones taken apart, name -> shape."""
        hidden = self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {
            "model.embeddings.tok_embeddings.weight": (self.vocab_size, hidden)
        }
        for name in ("model.embeddings.norm", "model.final_norm", "head.norm"):
            shapes |= norm_shapes(name, hidden, has_bias=self.has_norm_bias)
        for index in range(self.num_hidden_layers):
            shapes |= self._layer(f"model.layers.{index}", has_attention_norm=index > 0)
        shapes |= linear_shapes("head.dense", hidden, hidden, has_bias=self.has_head_bias)
        return shapes | linear_shapes("classifier", hidden, self.num_labels)

    def taken_apart(self, tensors: Mapping[str, LazyTensor], source: Path) -> dict[str, LazyTensor]:
        """The tensors of a checkpoint, each of one linear layer.

        Raises:
            TensorError: one that holds several is missing or of a wrong shape.
        """
        return taken_apart(tensors, _stacked(self), source)

    def _layer(self, name: str, *, has_attention_norm: bool) -> dict[str, tuple[int, ...]]:
        hidden, inner = self.hidden_size, self.intermediate_size
        shapes = norm_shapes(f"{name}.mlp_norm", hidden, has_bias=self.has_norm_bias)
        if has_attention_norm:
            shapes |= norm_shapes(f"{name}.attn_norm", hidden, has_bias=self.has_norm_bias)
        for part in (*STACKED_LINEARS["attn.Wqkv"], "Wo"):
            shapes |= linear_shapes(f"{name}.attn.{part}", hidden, hidden, has_bias=self.has_attention_bias)
        for part in STACKED_LINEARS["mlp.Wi"]:
            shapes |= linear_shapes(f"{name}.mlp.{part}", hidden, inner, has_bias=self.has_mlp_bias)
        return shapes | linear_shapes(f"{name}.mlp.Wo", inner, hidden, has_bias=self.has_mlp_bias)


def _layer_types(settings: Settings) -> tuple[str, ...] | None:
    """As Transformers 5 writes them; 4 tells every which layer is global."""
    kinds, layers = settings.texts("layer_types"), settings.size("num_hidden_layers")
    if kinds is None:
        return None
    if len(kinds) != layers or not set(kinds) <= {GLOBAL_ATTENTION, LOCAL_ATTENTION}:
        raise CheckpointError(
            settings.file,
            f"layer_types: expected {GLOBAL_ATTENTION} or {LOCAL_ATTENTION} for each of {layers} layers, "
            f"found {short(kinds)}",
        )
    return tuple(kinds)


def _theta(settings: Settings, kind: str) -> float:
    """The base of a kind of layer's rotary positions, which must not be scaled."""
    key, default = _KIND_TO_OLD_THETA[kind]
    of_kinds = Settings(settings.file, settings.section("rope_parameters"))
    parameters = Settings(settings.file, of_kinds.section(kind))
    scaling = settings.section("rope_scaling")
    rope_type = parameters.text("rope_type") or scaling.get("rope_type", scaling.get("type", "default"))
    if rope_type != "default":
        raise UnsupportedModelError(
            f"{settings.file}: rotary positions of rope_type {short(rope_type)}, expected 'default'"
        )
    return _number(settings, key, parameters.get("rope_theta"), settings.get(key), default)


def _number(settings: Settings, key: str, *candidates: Any) -> float:  # noqa: ANN401 (JSON)
    """The first candidate there is, a number from 1."""
    value = next(candidate for candidate in candidates if candidate is not None)
    return require_number(settings.file, key, value, least=1)


def _stacked(config: ModernBertConfig) -> Iterator[tuple[str, list[str], tuple[int, ...]]]:
    """Each stacked tensor, the names of its parts, and the shape of one part."""
    shapes = config.tensor_shapes()
    for index in range(config.num_hidden_layers):
        for stacked, parts in STACKED_LINEARS.items():
            name = f"model.layers.{index}.{stacked}"
            block = name.rpartition(".")[0]
            for kind in ("weight", "bias"):
                names = [f"{block}.{part}.{kind}" for part in parts]
                if names[0] in shapes:
                    yield f"{name}.{kind}", names, shapes[names[0]]

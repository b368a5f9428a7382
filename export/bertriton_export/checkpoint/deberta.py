"""DeBERTa v2 and v3 as data: its dimensions, and the names and shapes of its tensors.

He et al. 2021, https://arxiv.org/abs/2006.03654 and https://arxiv.org/abs/2111.09543. Settings are called and
read as `DebertaV2Config` of Transformers has them; tensors have BERT's names where BERT has them too.
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
from bertriton_export.checkpoint.settings import short
from bertriton_export.errors import CheckpointError, UnsupportedModelError

if TYPE_CHECKING:
    from bertriton_export.checkpoint.settings import Settings

CONTENT_TO_POSITION: Final = "c2p"
POSITION_TO_CONTENT: Final = "p2c"
POS_ATT_TYPES: Final = (CONTENT_TO_POSITION, POSITION_TO_CONTENT)

# Defaults in Transformers, for keys that config.json leaves out.
DEFAULT_LAYER_NORM_EPS: Final = 1e-7
DEFAULT_HEAD_ACT: Final = "gelu"
DEFAULT_CONV_ACT: Final = "tanh"

# No table need hold so many, so nothing else contradicts a larger number. Known models have 512 to 2,048.
MAX_POSITIONS: Final = 2**16

# In the head and in the convolution.
_ACT_TO_ACTIVATION: Final = {**HIDDEN_ACT_TO_ACTIVATION, "tanh": "tanh"}


@dataclass(frozen=True)
class DebertaConfig(BertConfig):
    """Dimensions of one DeBERTa classifier."""

    has_positions: bool = True  # a table of positions beside the words', `position_biased_input`
    is_relative: bool = False  # attention knows of distances, `relative_attention`
    pos_att_type: tuple[str, ...] = ()  # of POS_ATT_TYPES: whether keys, queries or both meet distances
    shares_projections: bool = False  # distances go through the projections of contents, `share_att_key`
    position_buckets: int = 0  # on each side; 0: every distance is its own
    max_relative_positions: int = 0  # distances known on each side, before they share buckets
    norms_distances: bool = False  # LayerNorm on the table of distances, `norm_rel_ebd`
    conv_kernel_size: int = 0  # of a convolution beside the first layer; 0: there is none
    conv_activation: str = DEFAULT_CONV_ACT

    @property
    def span(self) -> int:
        """Rows of the table of distances on each side."""
        return self.position_buckets or self.max_relative_positions

    @property
    def score_parts(self) -> int:
        """Parts that a score is a sum of; it is divided by the square root of so many head sizes."""
        return 1 + len(self.pos_att_type)

    @classmethod
    def own_fields(cls, settings: Settings) -> dict[str, Any]:
        """What sets it apart from BERT.

        Raises:
            CheckpointError: a value is of a wrong kind or out of range, or contradicts another.
            UnsupportedModelError: another way to attend, convolve or pool.
        """
        hidden = settings.size("hidden_size")
        _refuse_unsupported(settings, hidden)
        embedding_size = settings.size("embedding_size", hidden)
        return {
            "type_vocab_size": settings.size("type_vocab_size", 0, 0),
            "layer_norm_eps": settings.epsilon("layer_norm_eps", DEFAULT_LAYER_NORM_EPS),
            "embedding_size": None if embedding_size == hidden else embedding_size,
            "head_activation": _activation(settings, "pooler_hidden_act", DEFAULT_HEAD_ACT),
            "has_positions": bool(settings.flag("position_biased_input", default=True)),
            "is_relative": bool(settings.flag("relative_attention", default=False)),
            "pos_att_type": _pos_att_type(settings),
            "shares_projections": bool(settings.flag("share_att_key", default=False)),
            "norms_distances": "layer_norm" in _parts(settings.text("norm_rel_ebd") or ""),
            "conv_kernel_size": _size_or_none(settings, "conv_kernel_size"),
            "conv_activation": _activation(settings, "conv_act", DEFAULT_CONV_ACT),
            **_distances(settings),
        }

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Every tensor that a checkpoint must hold, name -> shape."""
        hidden, shapes = self.hidden_size, super().tensor_shapes()
        if not self.has_positions:
            del shapes["bert.embeddings.position_embeddings.weight"]
        shapes |= norm_shapes("bert.embeddings.LayerNorm", hidden)  # behind the projection
        if self.embedding_size:
            for part in ("weight", "bias"):
                del shapes[f"bert.embeddings_project.{part}"]
            shapes["bert.embeddings.embed_proj.weight"] = (hidden, self.embedding_size)
        if self.is_relative:
            shapes["bert.encoder.rel_embeddings.weight"] = (2 * self.span, hidden)
        if self.norms_distances:
            shapes |= norm_shapes("bert.encoder.LayerNorm", hidden)
        for index in range(self.num_hidden_layers):
            for name in self.distance_projections():
                shapes |= linear_shapes(f"bert.encoder.layer.{index}.attention.self.{name}", hidden, hidden)
        if self.conv_kernel_size:
            shapes["bert.encoder.conv.conv.weight"] = (hidden, hidden, self.conv_kernel_size)
            shapes["bert.encoder.conv.conv.bias"] = (hidden,)
            shapes |= norm_shapes("bert.encoder.conv.LayerNorm", hidden)
        return shapes

    def distance_projections(self) -> tuple[str, ...]:
        """Linear layers of each attention that only distances go through."""
        if not self.is_relative or self.shares_projections:
            return ()
        type_to_name = {CONTENT_TO_POSITION: "pos_key_proj", POSITION_TO_CONTENT: "pos_query_proj"}
        return tuple(type_to_name[kind] for kind in self.pos_att_type)


def _refuse_unsupported(settings: Settings, hidden: int) -> None:
    if (positions := settings.size("max_position_embeddings")) > MAX_POSITIONS:
        raise UnsupportedModelError(
            f"{settings.file}: max_position_embeddings {positions}, expected {MAX_POSITIONS} at most"
        )
    for key, expected in {
        "pooler_hidden_size": hidden,
        "attention_head_size": hidden // settings.size("num_attention_heads"),
        "conv_groups": 1,
    }.items():
        settings.require(key, settings.size(key, expected, 0), expected)
    if (kernel := _size_or_none(settings, "conv_kernel_size")) and kernel % 2 == 0:
        raise UnsupportedModelError(
            f"{settings.file}: conv_kernel_size {kernel}, expected an odd number, whose output is as long "
            "as its input"
        )


def _activation(settings: Settings, key: str, default: str) -> str:
    return _ACT_TO_ACTIVATION[settings.one_of(key, _ACT_TO_ACTIVATION, default)]


def _pos_att_type(settings: Settings) -> tuple[str, ...]:
    """A list, or a text with `|` between."""
    value = settings.get("pos_att_type")
    names = _parts(value) if isinstance(value, str) else settings.texts("pos_att_type") or []
    found = {name.lower() for name in names} - {"", "none"}
    if unknown := sorted(found - set(POS_ATT_TYPES)):
        raise UnsupportedModelError(
            f"{settings.file}: pos_att_type {short(unknown)}, expected some of {list(POS_ATT_TYPES)}"
        )
    return tuple(kind for kind in POS_ATT_TYPES if kind in found)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.lower().split("|")]


def _distances(settings: Settings) -> dict[str, int]:
    """How far distances are told apart; -1 stands for none of its own in both settings."""
    furthest = _size_or_none(settings, "max_relative_positions") or settings.size("max_position_embeddings")
    buckets = _size_or_none(settings, "position_buckets")
    # Half of the buckets are for near distances, one each; the logarithm is of the rest.
    if buckets and not 1 <= buckets // 2 < furthest - 1:
        raise CheckpointError(
            settings.file, f"position_buckets {buckets} are not for max_relative_positions {furthest}"
        )
    return {"position_buckets": buckets, "max_relative_positions": furthest}


def _size_or_none(settings: Settings, key: str) -> int:
    """A size, 0 where it is missing, null, 0 or -1."""
    return 0 if settings.get(key) in (None, -1) else settings.size(key, 0, 0)

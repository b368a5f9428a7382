"""Relatives of BERT as data, where its own dimensions are not enough to tell what they are.

And those that look like one and are none: refused by name, with a way out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bertriton_export.checkpoint.dimensions import HIDDEN_ACT_TO_ACTIVATION, BertConfig, norm_shapes
from bertriton_export.checkpoint.settings import short
from bertriton_export.errors import UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bertriton_export.checkpoint.settings import Settings

# Layers share weights in ALBERT, so that no number of tensors bounds how many there are.
MOST_SHARED_LAYERS: Final = 1000
# Defaults in Transformers, for keys that config.json leaves out.
DEFAULT_TASK_TYPES: Final = 3
DEFAULT_BLOCK_SIZE: Final = 64
DEFAULT_RANDOM_BLOCKS: Final = 3
# What Transformers takes in MPNet whatever the configuration says.
MPNET_PADDING_ID: Final = 1
MPNET_BUCKETS: Final = 32

# How Transformers' classes end that have a classifier of something else.
OTHER_TASKS: Final = ("ForTokenClassification", "ForQuestionAnswering", "ForMultipleChoice")
USE_ANOTHER: Final = "use or train a classifier of a family that is served"
# `model_type` -> why it is not served, and what to do.
REFUSED_FAMILIES: Final = {
    "new": "GTE in the code beside its weights, which scales rotary positions in a way of its own; use a "
    "checkpoint of Transformers' own GTE (`model_type` `gte`)",
    "deberta": f"the first DeBERTa is another network than v2 and v3; {USE_ANOTHER}, as `deberta-v2`",
    "longformer": f"attention within a reach and of chosen tokens; {USE_ANOTHER} that reads long texts, as "
    "`modernbert`",
}

FULL_ATTENTION: Final = "original_full"
SPARSE_ATTENTION: Final = "block_sparse"


@dataclass(frozen=True)
class AlbertConfig(BertConfig):
    """ALBERT (Lan et al. 2019, https://arxiv.org/abs/1909.11942): layers that share their weights."""

    num_hidden_groups: int = 1  # layers with weights of their own

    @property
    def stored_layers(self) -> tuple[int, ...]:
        """The group of each layer."""
        layers_of_a_group = self.num_hidden_layers / self.num_hidden_groups
        return tuple(int(index / layers_of_a_group) for index in range(self.num_hidden_layers))

    @property
    def num_stored_layers(self) -> int:
        """Layers with weights of their own."""
        return self.num_hidden_groups

    @classmethod
    def own_fields(cls, settings: Settings) -> dict[str, Any]:
        """How many groups there are."""
        settings.require("inner_group_num", settings.size("inner_group_num", 1), 1)
        layers, groups = settings.size("num_hidden_layers"), settings.size("num_hidden_groups", 1)
        if not groups <= layers <= MOST_SHARED_LAYERS:
            raise UnsupportedModelError(
                f"{settings.file}: num_hidden_layers {layers} in num_hidden_groups {groups}, expected "
                f"{MOST_SHARED_LAYERS} layers at most, and no more groups than layers"
            )
        return {"num_hidden_groups": groups}


@dataclass(frozen=True)
class MPNetConfig(BertConfig):
    """MPNet (Song et al. 2020, https://arxiv.org/abs/2004.09297): scores that know the tokens' distance."""

    relative_attention_num_buckets: int = MPNET_BUCKETS

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """BERT's tensors, and what a distance adds to the scores of each head."""
        shape = (self.relative_attention_num_buckets, self.num_attention_heads)
        return super().tensor_shapes() | {"bert.encoder.relative_attention_bias.weight": shape}

    @classmethod
    def own_fields(cls, settings: Settings) -> dict[str, Any]:
        """How many kinds of distance there are, and from which token positions are counted."""
        key = "relative_attention_num_buckets"
        buckets = settings.size(key, MPNET_BUCKETS, least=MPNET_BUCKETS)
        return {key: buckets, "padding_id": MPNET_PADDING_ID}


@dataclass(frozen=True)
class ErnieConfig(BertConfig):
    """ERNIE 2.0 (Sun et al. 2019, https://arxiv.org/abs/1907.12412): perhaps with embeddings of task types.

    A classifier's task is the first kind, as it is in Transformers where nobody says otherwise.
    """

    task_type_vocab_size: int = 0

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """BERT's tensors, and the embeddings of task types."""
        shapes = super().tensor_shapes()
        if self.task_type_vocab_size:
            shape = (self.task_type_vocab_size, self.hidden_size)
            shapes["bert.embeddings.task_type_embeddings.weight"] = shape
        return shapes

    @classmethod
    def own_fields(cls, settings: Settings) -> dict[str, Any]:
        """How many kinds of task there are."""
        if not settings.flag("use_task_id", default=False):
            return {}
        return {"task_type_vocab_size": settings.size("task_type_vocab_size", DEFAULT_TASK_TYPES)}


@dataclass(frozen=True)
class BigBirdConfig(BertConfig):
    """BigBird (Zaheer et al. 2020, https://arxiv.org/abs/2007.14062) as far as its attention is full.

    With sparse attention, Transformers attends fully to texts short enough, and from then on to all. Longer
    ones are not read, since there its answer would depend on what it was asked before.
    """

    most_fully_attended: int | None = None  # tokens of a text; None: as many as there are positions

    @property
    def longest_text(self) -> int:
        """Tokens that there are positions for and full attention."""
        return min(super().longest_text, self.most_fully_attended or super().longest_text)

    @classmethod
    def own_fields(cls, settings: Settings) -> dict[str, Any]:
        """How long a text may be, and the activation function in the head, which is that of the layers."""
        settings.require("use_bias", settings.flag("use_bias", default=True), expected=True)
        rescale = settings.flag("rescale_embeddings", default=False)
        settings.require("rescale_embeddings", rescale, expected=False)
        kinds = (FULL_ATTENTION, SPARSE_ATTENTION)
        kind = settings.one_of("attention_type", kinds, SPARSE_ATTENTION)
        block = settings.size("block_size", DEFAULT_BLOCK_SIZE)
        random_blocks = settings.size("num_random_blocks", DEFAULT_RANDOM_BLOCKS)
        return {
            "head_activation": HIDDEN_ACT_TO_ACTIVATION[settings.text("hidden_act") or ""],
            "most_fully_attended": None if kind == FULL_ATTENTION else (5 + 2 * random_blocks) * block,
        }


@dataclass(frozen=True)
class XLMRobertaXLConfig(BertConfig):
    """XLM-RoBERTa-XL (Goyal et al. 2021, https://arxiv.org/abs/2105.00572): LayerNorm before each block."""

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """BERT's tensors, but with a LayerNorm at the end in place of the embeddings'."""
        shapes = super().tensor_shapes()
        for part in norm_shapes("bert.embeddings.LayerNorm", self.hidden_size):
            del shapes[part]
        return shapes | norm_shapes("bert.encoder.LayerNorm", self.hidden_size)


def refuse_known_families(config: Settings, model_type: str | None) -> None:
    """Refuse a family whose way out is known.

    Raises:
        UnsupportedModelError: it is one of `REFUSED_FAMILIES`.
    """
    if model_type in REFUSED_FAMILIES:
        raise UnsupportedModelError(
            f"{config.file}: model_type {short(model_type)} cannot be served: {REFUSED_FAMILIES[model_type]}"
        )


def refuse_other_tasks(config: Settings, names: Sequence[str]) -> None:
    """Refuse classes of other tasks; a name of somebody's own says nothing.

    Transformers goes by the model type, and the tensors are checked.

    Raises:
        UnsupportedModelError: a name is that of a class for another task.
    """
    for name in names:
        if name.endswith(OTHER_TASKS):
            raise UnsupportedModelError(
                f"{config.file}: architectures {short(name)} is not a classifier of whole texts; "
                "train one on it"
            )

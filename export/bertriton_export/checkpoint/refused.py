"""What is refused by name, with a way out: families of other networks, and classifiers of something else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bertriton_export.checkpoint.settings import short
from bertriton_export.errors import UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bertriton_export.checkpoint.settings import Settings

# How Transformers' classes end that have a classifier of something else.
OTHER_TASKS: Final = ("ForTokenClassification", "ForQuestionAnswering", "ForMultipleChoice")
_USE_ANOTHER: Final = "use or train a classifier of a family in the table"
# `model_type` -> why it is not served, and what to do.
REFUSED_FAMILIES: Final = {
    "new": "GTE in the code beside its weights, which scales rotary positions in a way of its own; use a "
    "checkpoint of Transformers' own GTE (`model_type` `gte`)",
    "deberta": f"the first DeBERTa is another network than v2 and v3; {_USE_ANOTHER}, as `deberta-v2`",
    "longformer": f"attention within a reach and of chosen tokens; {_USE_ANOTHER} that reads long texts, as "
    "`modernbert`",
}


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
                f"{config.file}: architectures {short(name)} is no classifier of whole texts; train one on it"
            )

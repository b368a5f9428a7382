"""What an export asks of a target's graph, and what it gets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bertriton import contract

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bertriton_export.checkpoint import BertConfig
    from bertriton_export.int8 import Int8Comparison, Int8Request
    from bertriton_export.verification import Verification


@dataclass(frozen=True)
class GraphRequest:
    """What a graph is to be like."""

    precision: str  # one of the target's
    int8: Int8Request | None = None  # where that is int8
    fingerprint: str = contract.NO_FINGERPRINT  # what its answers are to carry
    sizes: BertConfig | None = None  # of the checkpoint's network


@dataclass(frozen=True)
class WrittenGraph:
    """A graph that lies in its folder and passed its checks."""

    verification: Verification
    verified: str  # whose logits were held to the reference
    int8: Int8Comparison | None = None  # of the int8 graph against fp32, where one was asked for
    facts: Mapping[str, Any] = field(default_factory=dict)  # for the manifest, besides; JSON values

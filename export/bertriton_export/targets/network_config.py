"""How Triton serves a network, as far as that depends on what its graph was made for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tritonclient.grpc import model_config_pb2

from bertriton import contract

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_BATCH_SIZE: Final = 64  # rows of one request
# Padding included. The pip-only server takes so many whatever the config says, since it runs them in pieces.
MAX_REQUEST_TOKENS: Final = 2**18

KIND_CPU: Final = model_config_pb2.ModelInstanceGroup.KIND_CPU
KIND_GPU: Final = model_config_pb2.ModelInstanceGroup.KIND_GPU


@dataclass(frozen=True)
class WarmUp:
    """A batch of equal texts that the network runs before it counts as ready."""

    tokens: int  # of each text
    texts: int = 1

    @property
    def file(self) -> str:
        """Name of the file with a text's positions: 0, 1, 2 and so on as INT32."""
        return f"{contract.POSITION_IDS}_{self.tokens}"

    @property
    def name(self) -> str:
        """What the config calls it."""
        return f"{self.tokens} tokens" if self.texts == 1 else f"{self.texts} texts of {self.tokens} tokens"


@dataclass(frozen=True)
class NetworkConfig:
    """How Triton serves the network, which depends on what its graph was made for."""

    backend: str
    kind: int  # of the instances, a value of ModelInstanceGroup.Kind
    merged_rows: tuple[int, ...]  # sizes of batches that Triton prefers to make
    warmups: tuple[WarmUp, ...]  # in this order
    parameters: Mapping[str, str] = field(default_factory=dict)
    accelerators: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # of ONNX Runtime -> options
    # Lengths that the tokenizer pads rows to, shortest first; none: tokens go to the network without padding.
    padded_lengths: tuple[int, ...] = ()
    max_request_tokens: int = MAX_REQUEST_TOKENS  # what Triton's own backend may be busy with at once
    model_file: str = ""  # in place of the backend's own
    profiles: tuple[str, ...] = ()  # of a TensorRT engine, which the instances use

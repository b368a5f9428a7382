"""What a network takes of a GPU's memory, from its sizes: the one place of that arithmetic.

Not measured on a GPU. Weights count twice, since ONNX Runtime may hold them in another order as well. Of
activations a layer has these at once, per token: the residual stream, query, key, value, what attention gives
and what a linear layer gives, each as wide as the hidden size; and the intermediate values before and after
their activation. Layers come one after the other and use the same memory.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Final

from bertriton_export.checkpoint import tensor_shapes

if TYPE_CHECKING:
    from bertriton_export.checkpoint import BertConfig

WEIGHT_COPIES: Final = 2
HIDDEN_VALUES: Final = 6
INTERMEDIATE_VALUES: Final = 2
# What an arena loses between blocks of unequal size, and what kernels take for themselves.
SLACK: Final = 1.25
WORKSPACE_BYTES: Final = 512 * 2**20


def weight_bytes(config: BertConfig, value_bytes: int) -> int:
    """All weights once, of so many bytes a value."""
    return value_bytes * sum(map(prod, tensor_shapes(config).values()))


def token_bytes(config: BertConfig, value_bytes: int) -> int:
    """Activations of one token."""
    hidden, intermediate = config.hidden_size, config.intermediate_size
    return value_bytes * (HIDDEN_VALUES * hidden + INTERMEDIATE_VALUES * intermediate)


def network_bytes(config: BertConfig, value_bytes: int, tokens: int) -> int:
    """What a network needs to compute so many tokens at once.

    Args:
        config: its sizes.
        value_bytes: of a weight or an activation, 2 in fp16.
        tokens: of the largest batch, without padding.

    Example:
        >>> round(network_bytes(bert_base, 2, 64 * 512) / 2**30, 1)  # doctest: +SKIP
        1.7
    """
    activations = int(SLACK * tokens * token_bytes(config, value_bytes))
    return WEIGHT_COPIES * weight_bytes(config, value_bytes) + activations + WORKSPACE_BYTES

"""Blocks that the references of all families are made of, in float64 numpy.

A long text has as many scores as its length squared, in every head: so attention goes head by head and, as
the feed-forward part does, by blocks of tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from scipy.special import erf, softmax

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from bertriton_export.checkpoint import Weights

    Array: TypeAlias = NDArray[np.float64]

# Numbers of a block of scores, or of what the feed-forward part is wide: 32 MiB.
BLOCK_NUMBERS: Final = 2**22


class Part:
    """The weights under one prefix, each converted to float64 once."""

    def __init__(self, weights: Weights, prefix: str) -> None:
        self._weights = weights
        self._prefix = prefix
        self._converted: dict[str, Array] = {}

    def __getitem__(self, name: str) -> Array:
        """The whole tensor."""
        if name not in self._converted:
            self._converted[name] = self._weights[self._prefix + name].astype(np.float64)
        return self._converted[name]

    def rows(self, name: str, indexes: Sequence[Sequence[int]]) -> list[Array]:
        """Some rows of a table for each text, which is not converted as a whole: there are many words."""
        table = self._weights[self._prefix + name]
        return [table[index].astype(np.float64) for index in indexes]


def linear(part: Part, name: str, hidden: Array) -> Array:
    """A linear layer, [L, inputs] to [L, outputs]."""
    return hidden @ part[f"{name}.weight"].T + part[f"{name}.bias"]


def layer_norm(part: Part, name: str, hidden: Array, epsilon: float) -> Array:
    """LayerNorm over the last dimension (https://arxiv.org/abs/1607.06450)."""
    centred = hidden - hidden.mean(axis=-1, keepdims=True)
    variance = (centred**2).mean(axis=-1, keepdims=True)
    normal: Array = centred / np.sqrt(variance + epsilon)
    return normal * part[f"{name}.weight"] + part[f"{name}.bias"]


def blocks(length: int, width: int) -> Iterator[slice]:
    """Cuts so many rows of a width into blocks of `BLOCK_NUMBERS` at most."""
    rows = max(1, BLOCK_NUMBERS // width)
    return (slice(start, min(start + rows, length)) for start in range(0, length, rows))


def attention(
    query: Array,
    key: Array,
    value: Array,
    heads: int,
    *,
    added: Callable[[slice], Callable[[slice], Array]] | None = None,
    parts: int = 1,
) -> Array:
    """Contexts [L, H] of one text whose tokens all attend to each other (https://arxiv.org/abs/1706.03762).

    Args:
        query: [L, H], key and value likewise.
        key: see there.
        value: see there.
        heads: that these are cut into.
        added: gives for a block of queries what gives for a head's columns of query and key what is added to
            its scores before they are scaled, [queries, L].
        parts: that a score is the sum of; it is divided by the square root of so many head sizes.
    """
    size = query.shape[1] // heads
    context = np.empty_like(query)
    for rows in blocks(len(query), len(key)):
        added_of_head = added(rows) if added else None
        for head in range(heads):
            own = slice(head * size, (head + 1) * size)
            scores = query[rows, own] @ key[:, own].T  # (B, L)
            if added_of_head:
                scores += added_of_head(own)
            context[rows, own] = softmax(scores / np.sqrt(size * parts), axis=-1) @ value[:, own]
    return context


def feed_forward(part: Part, hidden: Array, activation: str, names: tuple[str, str]) -> Array:
    """Two linear layers and an activation function between them, [L, H] to [L, H]."""
    wide, narrow = names
    outputs = np.empty_like(hidden)
    for rows in blocks(len(hidden), len(part[f"{wide}.bias"])):
        outputs[rows] = linear(part, narrow, ACTIVATIONS[activation](linear(part, wide, hidden[rows])))
    return outputs


def _gelu(x: Array) -> Array:
    """Input times the standard normal's distribution function (https://arxiv.org/abs/1606.08415)."""
    return np.asarray(x * 0.5 * (1 + erf(x / np.sqrt(2))))


def _gelu_tanh(x: Array) -> Array:
    """The same paper's approximation by tanh."""
    return np.asarray(x * 0.5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))))


def _relu(x: Array) -> Array:
    return np.maximum(x, 0)


ACTIVATIONS: Final[dict[str, Callable[[Array], Array]]] = {
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "relu": _relu,
    "tanh": np.tanh,
}

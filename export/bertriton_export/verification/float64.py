"""Blocks that the references of all families are made of, in float64 numpy.

A long text has as many scores as its length squared, in every head: so attention goes head by head and, as
feed-forward parts do, by blocks of tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from scipy.special import erf, expit, softmax

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from bertriton_export.checkpoint import Weights

    Array: TypeAlias = NDArray[np.float64]
    # Gives for a block of queries what gives for a head what is added to its scores, [queries, L].
    Added: TypeAlias = Callable[[slice], Callable[[int], Array]]

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


def linear(part: Part, name: str, hidden: Array, *, has_bias: bool = True) -> Array:
    """A linear layer, [L, inputs] to [L, outputs]."""
    product: Array = hidden @ part[f"{name}.weight"].T
    return product + part[f"{name}.bias"] if has_bias else product


def layer_norm(part: Part, name: str, hidden: Array, epsilon: float, *, has_bias: bool = True) -> Array:
    """LayerNorm over the last dimension (https://arxiv.org/abs/1607.06450)."""
    centred = hidden - hidden.mean(axis=-1, keepdims=True)
    variance = (centred**2).mean(axis=-1, keepdims=True)
    normal: Array = centred / np.sqrt(variance + epsilon) * part[f"{name}.weight"]
    return normal + part[f"{name}.bias"] if has_bias else normal


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
    parts: int = 1,
    added: Added | None = None,
    reach: int | None = None,
) -> Array:
    """Contexts [L, H] of one text whose tokens attend to each other (https://arxiv.org/abs/1706.03762).

    Args:
        query: [L, H], key and value likewise.
        key: see there.
        value: see there.
        heads: that these are cut into.
        parts: that a score is the sum of. One is query times key, divided by the square root of so many head
            sizes.
        added: the others.
        reach: how far away a token's neighbours may be, on each side; default: the whole text.
    """
    length, size = len(query), query.shape[1] // heads
    context, places = np.empty_like(query), np.arange(length)
    for rows in blocks(length, length):
        near = slice(None) if reach is None else slice(max(0, rows.start - reach), rows.stop + reach)
        is_far = None if reach is None else np.abs(places[rows, None] - places[near]) > reach  # (B, near)
        added_of_head = added(rows) if added else None
        for head in range(heads):
            own = columns_of(head, size)
            scores = query[rows, own] @ key[near, own].T / np.sqrt(size * parts)
            if added_of_head:
                scores += added_of_head(head)
            if is_far is not None:
                scores[is_far] = -np.inf
            context[rows, own] = softmax(scores, axis=-1) @ value[near, own]
    return context


def turned(part: Array, heads: int, theta: float) -> Array:
    """Rotary positions: elements i and i + d/2 of a head as a complex number, turned by an angle, [L, H].

    Su et al. 2021, https://arxiv.org/abs/2104.09864. The angles are those of single precision, in which
    networks are trained with them.
    """
    by_head = part.reshape(len(part), heads, 2, -1)  # (L, N, 2, d/2)
    half = by_head.shape[-1]
    slowness = np.float32(theta) ** (np.arange(half, dtype=np.float32) / np.float32(half))
    angles = np.arange(len(part), dtype=np.float32)[:, None] * (np.float32(1) / slowness)
    turns = np.exp(1j * angles.astype(np.float64))[:, None]  # (L, 1, d/2)
    rotated = (by_head[:, :, 0] + 1j * by_head[:, :, 1]) * turns
    return np.stack([rotated.real, rotated.imag], axis=2).reshape(part.shape)


def columns_of(head: int, size: int) -> slice:
    """A head's columns of queries, keys, values and contexts."""
    return slice(head * size, (head + 1) * size)


def feed_forward(hidden: Array, width: int, function: Callable[[Array], Array]) -> Array:
    """What a function that is so wide inside makes of each token, [L, H] to [L, H]."""
    outputs = np.empty_like(hidden)
    for rows in blocks(len(hidden), width):
        outputs[rows] = function(hidden[rows])
    return outputs


def _gelu(x: Array) -> Array:
    """Input times the standard normal's distribution function (https://arxiv.org/abs/1606.08415)."""
    return np.asarray(x * 0.5 * (1 + erf(x / np.sqrt(2))))


def _gelu_tanh(x: Array) -> Array:
    """The same paper's approximation by tanh."""
    return np.asarray(x * 0.5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))))


def _silu(x: Array) -> Array:
    """Input times the logistic function, from the same paper."""
    return np.asarray(x * expit(x))


def _relu(x: Array) -> Array:
    return np.maximum(x, 0)


ACTIVATIONS: Final[dict[str, Callable[[Array], Array]]] = {
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "relu": _relu,
    "silu": _silu,
    "tanh": np.tanh,
}

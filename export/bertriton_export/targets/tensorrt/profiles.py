"""The shapes that a TensorRT engine is made for: what the tokenizer pads rows to, and one profile for each.

Requests meet in a batch only where their rows are equally long, and an engine takes no shape outside its
profiles. So the tokenizer knows a few lengths, and each has a profile up to the largest batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bertriton import contract
from bertriton_export.targets.network_config import MAX_BATCH_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator

SHORTEST_PADDED_LENGTH: Final = 16  # tokens; each further length is twice the one before
# Rows that kernels are chosen for, not measured.
TYPICAL_ROWS: Final = 16

_INPUTS: Final = (contract.INPUT_IDS, contract.TOKEN_TYPE_IDS, contract.POSITION_IDS)


@dataclass(frozen=True)
class Profile:
    """Shapes [rows, tokens] of all inputs: the smallest, what kernels are chosen for, and the largest."""

    smallest: tuple[int, int]
    typical: tuple[int, int]
    largest: tuple[int, int]


def padded_lengths(max_length: int) -> tuple[int, ...]:
    """Lengths in tokens that rows are padded to, shortest first, up to the model's own limit.

    Example:
        >>> padded_lengths(512)
        (16, 32, 64, 128, 256, 512)
    """
    return (*_doubling(SHORTEST_PADDED_LENGTH, max_length), max_length)


def engine_profiles(lengths: tuple[int, ...]) -> tuple[Profile, ...]:
    """A profile for each padded length, best at it, and for all shorter rows that no other takes."""
    return tuple(
        Profile((1, shorter + 1), (TYPICAL_ROWS, length), (MAX_BATCH_SIZE, length))
        for shorter, length in zip((0, *lengths), lengths, strict=False)
    )


def whole_profile(lengths: tuple[int, ...]) -> Profile:
    """One profile for all of them, where an engine has no more than one."""
    middle = lengths[len(lengths) // 2]
    return Profile((1, 1), (TYPICAL_ROWS, middle), (MAX_BATCH_SIZE, lengths[-1]))


def shapes_text(shape: tuple[int, int]) -> str:
    """A shape of every input, as trtexec and ONNX Runtime read it."""
    return ",".join(f"{name}:{shape[0]}x{shape[1]}" for name in _INPUTS)


def trtexec_arguments(profiles: tuple[Profile, ...]) -> list[str]:
    """The profiles as arguments of trtexec, which wants the three shapes right behind their number."""
    return [
        argument
        for index, profile in enumerate(profiles)
        for argument in (
            f"--profile={index}",
            f"--minShapes={shapes_text(profile.smallest)}",
            f"--optShapes={shapes_text(profile.typical)}",
            f"--maxShapes={shapes_text(profile.largest)}",
        )
    ]


def _doubling(length: int, end: int) -> Iterator[int]:
    while length < end:
        yield length
        length *= 2

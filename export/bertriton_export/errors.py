"""What can go wrong between a checkpoint and a model repository.

ExportError
├── CheckpointError        a file is missing, unreadable or contradicts another
│   └── TensorError        one tensor: absent, unknown, or of another shape or type
├── UnsupportedModelError  readable, but nothing this exporter can serve with the right answers
├── VerificationError      the graph does not compute what the reference computes
├── Int8GateError          the int8 graph decides otherwise than the fp32 graph
├── OptionError            an option that does not exist or does not go with another
└── RepositoryError        the model repository cannot be written, or what is there belongs to others
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path


_MOST_CHARACTERS: Final = 3000  # of a message: libraries quote files too, in exceptions that are passed on
_END_CHARACTERS: Final = 800  # where it says what to do
_MOST_OF_A_TENSOR: Final = 200  # of its name, of its shape


def cut(text: str, most: int) -> str:
    """The first characters of a text that a stranger wrote, as a message shows them."""
    return text if len(text) <= most else f"{text[:most]}..."


class ExportError(Exception):
    """Root of every error this package raises; its message can be printed, whatever a file called things."""

    def __init__(self, message: str) -> None:
        if len(message) > _MOST_CHARACTERS:
            start = cut(message, _MOST_CHARACTERS - _END_CHARACTERS)
            message = f"{start} {message[-_END_CHARACTERS:]}"
        # JSON and pickles can hold halves of characters, which UTF-8 has no bytes for.
        super().__init__(message.encode("utf-8", "backslashreplace").decode("utf-8"))


class CheckpointError(ExportError):
    """A checkpoint file is missing, unreadable or contradicts another.

    Attributes:
        file: the file at fault.
    """

    def __init__(self, file: Path, problem: str) -> None:
        super().__init__(f"{file}: {problem}")
        self.file = file


class TensorError(CheckpointError):
    """One tensor of a checkpoint is absent, unknown, or not of the expected shape or type.

    Attributes:
        tensor: its name in the checkpoint.
        expected: what the configuration asks for.
        found: what the file holds.
    """

    def __init__(self, file: Path, tensor: str, *, expected: str, found: str) -> None:
        name, wanted, seen = (cut(part, _MOST_OF_A_TENSOR) for part in (repr(tensor), expected, found))
        super().__init__(file, f"tensor {name}: expected {wanted}, found {seen}")
        self.tensor = tensor
        self.expected = expected
        self.found = found


class UnsupportedModelError(ExportError):
    """The checkpoint is readable, but of a kind that cannot be served with the right answers."""


class VerificationError(ExportError):
    """The exported graph does not compute what the reference computes.

    Attributes:
        max_difference: largest |logit difference| seen.
        tolerance: largest |logit difference| allowed.
    """

    def __init__(self, max_difference: float, tolerance: float, text: str) -> None:
        super().__init__(
            f"logits of the graph are off by {max_difference:.2e} from the float64 reference "
            f"(allowed: {tolerance:.0e}), worst for the text {text[:60]!r}; nothing was written"
        )
        self.max_difference = max_difference
        self.tolerance = tolerance


class Int8GateError(ExportError):
    """The int8 graph decides otherwise than the fp32 graph.

    Attributes:
        layers: the encoder layers that change probabilities most when they alone are int8, worst first.
    """

    def __init__(self, problem: str, layers: tuple[str, ...]) -> None:
        super().__init__(
            f"int8 is not accurate enough for this checkpoint: {problem}; nothing was written. "
            f"The layers that hurt most are {', '.join(layers)}: keep them with --keep-fp32, "
            "or export with --precision fp32"
        )
        self.layers = layers


class OptionError(ExportError):
    """An option that does not exist or does not go with another."""


class RepositoryError(ExportError):
    """The model repository cannot be written, or what would be replaced belongs to others."""

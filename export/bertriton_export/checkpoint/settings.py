"""What a configuration says, checked for kind and range as it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bertriton_export.errors import CheckpointError, UnsupportedModelError, cut

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

LARGEST_SIZE: Final = 2**31 - 1  # token ids and positions are served as int32
SMALLEST_EPSILON: Final = float(np.finfo(np.float32).tiny)  # smaller ones are 0 in the graph
LARGEST_NUMBER: Final = float(np.finfo(np.float32).max)  # larger ones are infinite in the graph
LARGEST_EPSILON: Final = 0.1  # known models have 1e-12 to 1e-3; more would change what the weights mean
_SHOWN_CHARACTERS: Final = 80


def short(value: object) -> str:
    """A value as a message shows it: its first characters, since a stranger chose it."""
    return cut(repr(value), _SHOWN_CHARACTERS)


def require_epsilon(file: Path, key: str, value: Any) -> float:  # noqa: ANN401 (as JSON or a graph has it)
    """The epsilon of a LayerNorm.

    Raises:
        CheckpointError: it is no number from `SMALLEST_EPSILON` to `LARGEST_EPSILON`.
    """
    expected = f"a number from {SMALLEST_EPSILON:.0e} to {LARGEST_EPSILON}"
    return _number(file, key, value, (SMALLEST_EPSILON, LARGEST_EPSILON), expected)


def require_number(file: Path, key: str, value: Any, least: int | None = None) -> float:  # noqa: ANN401
    """A number that the graph can hold, from `least` on.

    Raises:
        CheckpointError: it is none: also infinity, NaN, or a whole number of more digits than a float has.
    """
    limits = (-LARGEST_NUMBER if least is None else least, LARGEST_NUMBER)
    expected = "a number" if least is None else f"a number from {least}"
    return _number(file, key, value, limits, expected)


def _number(file: Path, key: str, value: Any, limits: tuple[float, float], expected: str) -> float:  # noqa: ANN401
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # Held to its limits first: float() and math.isfinite() raise on whole numbers of hundreds of digits.
    if not is_number or not limits[0] <= value <= limits[1]:
        raise CheckpointError(file, f"{key}: expected {expected}, found {short(value)}")
    return float(value)


class Settings:
    """A JSON object whose values are checked when they are asked for.

    Args:
        file: to name in messages.
        document: the object.
    """

    def __init__(self, file: Path, document: Mapping[str, Any]) -> None:
        self.file = file
        self._document = document

    def __contains__(self, key: str) -> bool:
        """Whether there is a value, be it null."""
        return key in self._document

    def _refuse(self, key: str, expected: str) -> CheckpointError:
        found = short(self._document.get(key))
        return CheckpointError(self.file, f"{key}: expected {expected}, found {found}")

    def size(self, key: str, default: int | None = None, least: int = 1) -> int:
        """A whole number from `least` to `LARGEST_SIZE`.

        Raises:
            CheckpointError: it is something else, or missing without a default.
        """
        value = self._document.get(key, default)
        if not _is_whole(value) or not least <= value <= LARGEST_SIZE:
            raise self._refuse(key, f"a whole number from {least} to {LARGEST_SIZE}")
        return int(value)

    def epsilon(self, key: str, default: float) -> float:
        """See `require_epsilon`."""
        return require_epsilon(self.file, key, self._document.get(key, default))

    def length(self, key: str) -> float | None:
        """A number of tokens, None where none is set; infinity is one, and so is 512.0.

        Raises:
            CheckpointError: it is no number, none that is whole, or less than 1.
        """
        value = self._document.get(key)
        if value is None:
            return None
        if not isinstance(value, int | float) or isinstance(value, bool) or not value >= 1:
            raise self._refuse(key, "a number of tokens from 1")
        if isinstance(value, float) and not (value.is_integer() or np.isinf(value)):
            raise self._refuse(key, "a whole number of tokens")
        return value

    def flag(self, key: str, default: bool | None) -> bool | None:  # noqa: FBT001 (is the value)
        """True or false; null where that is the default.

        Raises:
            CheckpointError: it is something else.
        """
        value = self._document.get(key, default)
        if not isinstance(value, bool) and (value is not None or default is not None):
            raise self._refuse(key, "true or false")
        return value

    def text(self, key: str) -> str | None:
        """A text, None where there is none.

        Raises:
            CheckpointError: it is something else, or no text that UTF-8 can write.
        """
        value = self._document.get(key)
        if value is not None and not is_text(value):
            raise self._refuse(key, "a text")
        return value

    def texts(self, key: str) -> list[str] | None:
        """A list of texts, None where there is none.

        Raises:
            CheckpointError: it is something else.
        """
        value = self._document.get(key)
        if value is not None and not (isinstance(value, list) and all(map(is_text, value))):
            raise self._refuse(key, "a list of texts")
        return value

    def one_of(self, key: str, known: Collection[str], default: str = "") -> str:
        """One of some texts.

        Raises:
            CheckpointError: it is no text.
            UnsupportedModelError: it is another text, or missing without a default.
        """
        value = self.text(key) or default
        if value not in known:
            raise UnsupportedModelError(
                f"{self.file}: {key} {short(self.get(key))}, expected one of {sorted(known)}"
            )
        return value

    def require(self, key: str, value: Any, expected: Any) -> None:  # noqa: ANN401 (JSON)
        """Hold the value that was read for a key to the only one that can be served.

        Raises:
            UnsupportedModelError: it is another.
        """
        if value != expected:
            raise UnsupportedModelError(f"{self.file}: {key} {short(value)}, expected {short(expected)}")

    def section(self, key: str) -> dict[str, Any]:
        """An object, empty where there is none.

        Raises:
            CheckpointError: it is something else.
        """
        value = self._document.get(key)
        if value is not None and not isinstance(value, dict):
            raise self._refuse(key, "an object")
        return value or {}

    def get(self, key: str) -> Any:  # noqa: ANN401 (JSON)
        """The value as it is, None where there is none."""
        return self._document.get(key)


def is_text(value: object) -> bool:
    """Whether a value is a text that UTF-8 can write: JSON can hold halves of characters."""
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)

"""The files that a tokenizer is told by, each read once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from bertriton_export.checkpoint.json_file import read_json
from bertriton_export.checkpoint.settings import Settings
from bertriton_export.checkpoint.small_file import is_there

if TYPE_CHECKING:
    from pathlib import Path

TOKENIZER_FILE: Final = "tokenizer.json"
SETTINGS_FILE: Final = "tokenizer_config.json"
SPECIAL_TOKENS_FILE: Final = "special_tokens_map.json"
ADDED_TOKENS_FILE: Final = "added_tokens.json"
CONFIG_FILE: Final = "config.json"


@dataclass(frozen=True)
class Sources:
    """What the JSON files of a folder say; one that is missing says nothing."""

    folder: Path
    given: Settings | None = None  # instead of tokenizer_config.json, for formats that have none

    @cached_property
    def settings(self) -> Settings:
        """Of tokenizer_config.json."""
        return self.given or self._read(SETTINGS_FILE)

    @cached_property
    def config(self) -> Settings:
        """Of config.json."""
        return Settings(self.folder, {}) if self.given else self._read(CONFIG_FILE)

    @cached_property
    def special_tokens(self) -> Settings:
        """Of special_tokens_map.json."""
        return Settings(self.folder, {}) if self.given else self._read(SPECIAL_TOKENS_FILE)

    @cached_property
    def added_tokens(self) -> dict[str, Any]:
        """Of added_tokens.json: token -> id."""
        file = self.folder / ADDED_TOKENS_FILE
        return read_json(file) if not self.given and is_there(file) else {}

    @cached_property
    def saved(self) -> dict[str, Any] | None:
        """Of tokenizer.json; None where there is none."""
        file = self.folder / TOKENIZER_FILE
        return read_json(file) if not self.given and is_there(file) else None

    def _read(self, name: str) -> Settings:
        file = self.folder / name
        return Settings(file, read_json(file) if is_there(file) else {})

"""The file that tritonserver and its models print into."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path
    from typing import TextIO

_TAIL_LINES: Final = 20
_TAIL_BYTES: Final = 32 * 1024  # more than the usage text takes
_FOLLOW_POLL_S: Final = 0.1
_USAGE: Final = "Usage: tritonserver"
_REFUSED: Final = "a flag has a value that tritonserver does not take"
_TABLE_MARKS: Final = ("|", "+")
_ENTRY: Final = r"\b\w+\.(cc|cpp|h):\d+\]"  # where in Triton's sources an entry was made
# The line before the one that names the model says what is wrong inside its config.pbtxt.
_REFUSAL: Final = r"(?:Error parsing text-format \S+: (?P<detail>.*)\n.*)?'{model}': (?P<reason>.*?)\"?$"


class ServerLog:
    """What one server has printed so far, and may still print.

    Args:
        path: of the file; made by this class.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.path.touch()
        self._is_closed = threading.Event()
        self._follower: threading.Thread | None = None

    def tail(self) -> tuple[str, ...]:
        """Last lines, as far as they say something."""
        text = self._read(_TAIL_BYTES)
        # What was wrong with a command line stands before the pages of usage.
        said, usage, _ = text.partition(_USAGE)
        lines = [line for line in said.splitlines() if line.strip() and not line.startswith(_TABLE_MARKS)]
        return tuple(lines[-_TAIL_LINES:] or ([_REFUSED] if usage else []))

    def has_begun(self) -> bool:
        """Whether Triton's own log has; what its loader or its reader of flags prints comes before."""
        return re.search(_ENTRY, self._read()) is not None

    def refusal_of(self, model: str) -> str:
        """Why a model was not even tried to load; empty when the log does not say."""
        found = re.search(_REFUSAL.format(model=re.escape(model)), self._read(), re.MULTILINE)
        return "" if not found else ": ".join(filter(None, [found["reason"], found["detail"]]))

    def follow(self, stream: TextIO) -> None:
        """Copy what is printed to a stream as well, until `close`."""
        self._follower = threading.Thread(target=self._copy_to, args=(stream,), daemon=True)
        self._follower.start()

    def close(self) -> None:
        """Copy the rest to the stream that follows."""
        self._is_closed.set()
        if self._follower:
            self._follower.join()

    def _read(self, last_bytes: int | None = None) -> str:
        try:
            with self.path.open("rb") as file:
                if last_bytes is not None:
                    file.seek(max(0, self.path.stat().st_size - last_bytes))
                return file.read().decode(errors="replace")
        except FileNotFoundError:  # a cleaner of temporary files found it old enough
            return ""

    def _copy_to(self, stream: TextIO) -> None:
        with self.path.open(encoding="utf-8", errors="replace") as file:
            is_last = False
            while not is_last:
                is_last = self._is_closed.wait(_FOLLOW_POLL_S)
                stream.write(file.read())
                stream.flush()

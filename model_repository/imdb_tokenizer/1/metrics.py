"""How many requests wait for a model and how many are done, by the metrics of Triton.

Copied into the repository beside the tokenizer model, which imports it.

Metrics are for Prometheus, and no key guards them. Where they are is on tritonserver's command line, or as
https://github.com/triton-inference-server/server/blob/main/docs/user_guide/metrics.md says.
"""

import os
import re
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import NamedTuple

DEFAULT_PORT = 8002
LOOPBACK = "127.0.0.1"
ANY_ADDRESSES = ("", "0.0.0.0", "::")  # noqa: S104 - compared with
OFF = ("0", "false", "off")
TIMEOUT_S = 2.0
IDLE_S = 10.0  # after which the network has done all that it will; no request takes so long


class Seen(NamedTuple):
    """What Triton's metrics say of the network's requests."""

    pending: int  # wait for it, or are about to run
    finished: int  # well or not, whoever sent them


def flags_of(command: list[str]) -> dict[str, str]:
    """The flags of a command line, `--name=value` or `--name value` -> name, value."""
    following = [*command[1:], ""]
    pairs = [
        (word.partition("=") if "=" in word else (word, "", after))
        for word, after in zip(command, following, strict=True)
        if word.startswith("--")
    ]
    return {name: value for name, _, value in pairs}


def metrics_address(command: list[str]) -> tuple[str, int] | None:
    """Host and port of the metrics of a tritonserver with that command line; None where it has none."""
    flags = flags_of(command)
    if flags.get("--allow-metrics", "").lower() in OFF:
        return None
    host = flags.get("--metrics-address", flags.get("--http-address", ""))
    port = flags.get("--metrics-port", "")
    return LOOPBACK if host in ANY_ADDRESSES else host, int(port) if port.isdigit() else DEFAULT_PORT


class Metrics:
    """How many requests wait for a model, or are about to run, and how many are done.

    Args:
        model: its name.
        process: id of tritonserver; the one that started this process.
    """

    def __init__(self, model: str, process: int | None = None) -> None:
        command = Path(f"/proc/{process or os.getppid()}/cmdline").read_bytes().decode(errors="replace")
        self.address = metrics_address(command.split("\0"))
        self.line = re.compile(
            "^nv_inference_(pending_request_count|request_success|request_failure)"
            rf'{{[^}}]*model="{re.escape(model)}"[^}}]*}} (\d+)',
            re.MULTILINE,
        )

    def __call__(self) -> Seen | None:
        """The numbers; None where there are no such metrics."""
        if not self.address:
            return None
        connection = HTTPConnection(*self.address, timeout=TIMEOUT_S)
        try:
            connection.request("GET", "/metrics")
            found = self.line.findall(connection.getresponse().read().decode(errors="replace"))
        except (OSError, HTTPException):
            return None
        finally:
            connection.close()
        waiting = [int(number) for name, number in found if name.startswith("pending")]
        finished = sum(int(number) for name, number in found if name.startswith("request"))
        return Seen(sum(waiting), finished) if waiting else None


class Finished:
    """How many of the requests that were handed on are done, by a count that others add to as well."""

    def __init__(self) -> None:
        self.is_known = False  # whether any count was seen
        self.ours = 0
        self.total = 0  # as last seen
        self.since_s = 0.0  # when the network was last seen to have work

    def note(self, seen: Seen, handed_on: int, now_s: float) -> None:
        """Add what was done since the last look; what came before the first one is not ours."""
        done = max(0, seen.finished - self.total) if self.is_known else 0
        self.is_known, self.total = True, seen.finished
        if done or seen.pending:
            self.since_s = now_s
        # A network that has done nothing for so long has lost what is missing, say to a client that gave up.
        is_idle = now_s - self.since_s > IDLE_S
        self.ours = handed_on if is_idle else min(self.ours + done, handed_on)

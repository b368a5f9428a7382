"""How many requests wait for a model, from the metrics of the Triton that runs this process.

Copied into the repository beside the tokenizer model, which imports it.

Metrics are for Prometheus, and no key guards them. Where they are is on tritonserver's command line, or as
https://github.com/triton-inference-server/server/blob/main/docs/user_guide/metrics.md says.
"""

import os
import re
from http.client import HTTPConnection, HTTPException
from pathlib import Path

DEFAULT_PORT = 8002
LOOPBACK = "127.0.0.1"
ANY_ADDRESSES = ("", "0.0.0.0", "::")  # noqa: S104 - compared with
OFF = ("0", "false", "off")
TIMEOUT_S = 2.0


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


class PendingCount:
    """The number of requests that wait for a model, or are about to run.

    Args:
        model: its name.
        process: id of tritonserver; the one that started this process.
    """

    def __init__(self, model: str, process: int | None = None) -> None:
        command = Path(f"/proc/{process or os.getppid()}/cmdline").read_bytes().decode(errors="replace")
        self.address = metrics_address(command.split("\0"))
        self.line = re.compile(
            rf'^nv_inference_pending_request_count{{model="{re.escape(model)}"[^}}]*}} (\d+)', re.MULTILINE
        )

    def __call__(self) -> int | None:
        """The number; None where there are no such metrics."""
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
        return sum(map(int, found)) if found else None

"""The wheels' server ends with the trial, however that was started."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

PATIENCE_S = 60.0
# As `bertriton serve`, where a shell runs the trial in the background: Ctrl-C is ignored.
SERVER = f"""#!{sys.executable}
import time
print("ready, Ctrl-C stops")
print("gRPC   127.0.0.1:1", flush=True)
time.sleep({PATIENCE_S * 2})
"""
TRIAL = """
import sys
from pathlib import Path
from environments import Environment
from try_wheels import _serving
folder = Path(sys.argv[1])
with _serving(Environment(folder, folder)) as url:
    print(url)
"""


@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.SIG_DFL], ids=["background", "foreground"])
def test_the_server_ends_with_the_trial(tmp_path: Path, handler: signal.Handlers) -> None:
    server = tmp_path / "bin" / "bertriton"
    server.parent.mkdir()
    server.write_text(SERVER)
    server.chmod(0o755)
    before = signal.signal(signal.SIGINT, handler)
    try:
        done = subprocess.run(
            [sys.executable, "-c", TRIAL, tmp_path],
            cwd=Path(__file__).parents[2] / "release",
            timeout=PATIENCE_S,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        signal.signal(signal.SIGINT, before)

    assert done.stdout == "127.0.0.1:1\n", done.stderr

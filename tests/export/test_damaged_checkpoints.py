"""The script of `make fuzz-checkpoints`, with few of its checkpoints."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent / "damaged_checkpoints.py"


def test_damaged_checkpoints_of_every_format_are_read_or_refused() -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "--count", "25"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("25 damaged checkpoints: {")
    assert "wrong" not in done.stdout

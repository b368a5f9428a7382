"""Hostile requests beside innocent ones; `make fuzz-requests` sends many more of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PER_MODEL = 200


def test_whatever_others_send_innocent_clients_get_the_same_bits() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.requests", "--per-model", str(PER_MODEL)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["innocent"]["right"] > 0
    assert [sum(codes.values()) for codes in found["hostile"].values()] == [PER_MODEL] * 3
    assert all(codes["INVALID_ARGUMENT"] for codes in found["hostile"].values())

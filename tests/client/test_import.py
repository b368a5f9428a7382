"""Importing the client is cheap and brings nothing of the other packages."""

from __future__ import annotations

import json
import subprocess
import sys
import types
from pathlib import Path

import bertriton

MAX_IMPORT_S = 0.5
HEAVY = (
    "onnx",
    "onnxruntime",
    "tokenizers",
    "safetensors",
    "click",
    "rich",
    "pyarrow",
    "opentelemetry",
    "bertriton_export",
    "bertriton_server",
)
REPORT = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
started = time.process_time()
import bertriton
print(json.dumps([time.process_time() - started, sorted(sys.modules)]))
"""


def _fresh_import() -> tuple[float, list[str]]:
    root = Path(bertriton.__file__).parent.parent
    command = [sys.executable, "-I", "-c", REPORT, str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, modules = json.loads(done.stdout)
    return seconds, modules


def test_the_import_brings_no_package_of_the_other_sides() -> None:
    _, modules = _fresh_import()

    assert "tritonclient" in modules
    assert not set(HEAVY) & set(modules)


def test_the_import_takes_less_than_half_a_second() -> None:
    fastest = min(_fresh_import()[0] for _ in range(3))

    assert fastest < MAX_IMPORT_S


def test_the_public_names_are_sorted_and_complete() -> None:
    found = {
        name
        for name, value in vars(bertriton).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }

    assert bertriton.__all__ == sorted(bertriton.__all__)
    assert set(bertriton.__all__) == found | {"__version__"}

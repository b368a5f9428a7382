"""Importing the client is cheap and brings nothing of the other packages."""

from __future__ import annotations

import json
import subprocess
import sys
import types
from pathlib import Path

import pytest

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
bertriton.Client
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


@pytest.mark.timed
def test_the_import_takes_less_than_half_a_second() -> None:
    fastest = min(_fresh_import()[0] for _ in range(3))

    assert fastest < MAX_IMPORT_S


def test_nothing_heavy_is_imported_before_a_name_is_asked_for() -> None:
    """The command line must be there before, for Ctrl-C and for gRPC's log."""
    root = Path(bertriton.__file__).parent.parent
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); "
        "import bertriton; print(*sys.modules); bertriton.contract"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", script, str(root)], capture_output=True, text=True, check=True
    )

    assert not {"grpc", "numpy", "tritonclient"} & set(done.stdout.split())


def test_the_public_names_are_sorted_and_all_there() -> None:
    named = {name: getattr(bertriton, name) for name in bertriton.__all__}

    assert list(named) == sorted(named)
    assert set(named) <= set(dir(bertriton))
    assert not [name for name, value in named.items() if isinstance(value, types.ModuleType)]
    with pytest.raises(AttributeError, match="module 'bertriton' has no attribute 'Clinet'"):
        bertriton.Clinet  # noqa: B018

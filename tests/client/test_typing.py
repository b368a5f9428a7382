"""Type checkers understand the client as users write it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import bertriton

FOLDER = Path(__file__).parent / "typing"
SCRIPTS = (FOLDER / "script.py", FOLDER / "mistakes.py")
CLIENT_ROOT = Path(bertriton.__file__).parent.parent


def _mypy(scratch: Path) -> list[str]:
    options = ["--strict", "--config-file=", "--no-error-summary", "--cache-dir", str(scratch)]
    return ["mypy", *options, *map(str, SCRIPTS)]


def _pyright(scratch: Path) -> list[str]:
    for script in SCRIPTS:
        shutil.copy(script, scratch)  # pyright reads only what lies below its configuration
    config = {"typeCheckingMode": "strict", "extraPaths": [str(CLIENT_ROOT)]}
    (scratch / "pyrightconfig.json").write_text(json.dumps(config))
    return ["pyright", "--level", "error", "--pythonpath", sys.executable, "--project", str(scratch)]


CHECKERS = {"mypy": _mypy, "pyright": _pyright}


@pytest.fixture(scope="module", params=CHECKERS)
def complaints(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[int]]:
    """The lines of each script that a checker objects to; both are read at once, for its start is slow."""
    done = subprocess.run(
        [sys.executable, "-m", *CHECKERS[request.param](tmp_path_factory.mktemp(request.param))],
        capture_output=True,
        text=True,
        check=False,
        cwd=CLIENT_ROOT,
    )
    objections = re.findall(r"([^/\s]+):(\d+):.*\berror\b", done.stdout)
    found = {
        script.name: sorted({int(line) for name, line in objections if name == script.name})
        for script in SCRIPTS
    }
    assert {name for name, _ in objections} <= found.keys(), done.stdout
    assert bool(objections) == bool(done.returncode), done.stdout + done.stderr
    return found


def test_a_users_script_is_accepted(complaints: dict[str, list[int]]) -> None:
    assert complaints["script.py"] == []


def test_a_users_mistakes_are_found(complaints: dict[str, list[int]]) -> None:
    lines = (FOLDER / "mistakes.py").read_text().splitlines()
    marked = [number for number, line in enumerate(lines, start=1) if "# mistake" in line]

    assert complaints["mistakes.py"] == marked

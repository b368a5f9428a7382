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
CLIENT_ROOT = Path(bertriton.__file__).parent.parent


def _mypy(script: Path, scratch: Path) -> list[str]:
    options = ["--strict", "--config-file=", "--no-error-summary", "--cache-dir", str(scratch)]
    return ["mypy", *options, str(script)]


def _pyright(script: Path, scratch: Path) -> list[str]:
    shutil.copy(script, scratch)  # pyright reads only what lies below its configuration
    config = {"typeCheckingMode": "strict", "extraPaths": [str(CLIENT_ROOT)]}
    (scratch / "pyrightconfig.json").write_text(json.dumps(config))
    return ["pyright", "--level", "error", "--pythonpath", sys.executable, "--project", str(scratch)]


CHECKERS = {"mypy": _mypy, "pyright": _pyright}


def _complaints(checker: str, script: Path, scratch: Path) -> list[int]:
    """The lines of a script that a checker objects to."""
    done = subprocess.run(
        [sys.executable, "-m", *CHECKERS[checker](script, scratch)],
        capture_output=True,
        text=True,
        check=False,
        cwd=CLIENT_ROOT,
    )
    complaints = re.findall(rf"{script.name}:(\d+):.*\berror\b", done.stdout)
    assert bool(complaints) == bool(done.returncode), done.stdout + done.stderr
    return sorted({int(line) for line in complaints})


@pytest.mark.parametrize("checker", CHECKERS)
def test_a_users_script_is_accepted(checker: str, tmp_path: Path) -> None:
    assert _complaints(checker, FOLDER / "script.py", tmp_path) == []


@pytest.mark.parametrize("checker", CHECKERS)
def test_a_users_mistakes_are_found(checker: str, tmp_path: Path) -> None:
    script = FOLDER / "mistakes.py"
    marked = [
        number for number, line in enumerate(script.read_text().splitlines(), start=1) if "# mistake" in line
    ]

    assert _complaints(checker, script, tmp_path) == marked

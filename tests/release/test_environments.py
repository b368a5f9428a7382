"""Wheels are tried where nothing of the checkout or of the caller's environment is seen."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from environments import Environment, FailedError, find_python

MINOR = "{}.{}".format(*sys.version_info)


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(Path(sys.prefix), tmp_path)


def test_an_interpreter_is_found_by_its_version_and_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shim = tmp_path / "shims" / f"python{MINOR}"
    shim.parent.mkdir()
    shim.write_text("#!/bin/sh\nexit 127\n")  # as a version manager's, of a version that is not switched on
    shim.chmod(0o755)
    pyenv = tmp_path / "versions" / f"{MINOR}.0" / "bin"
    pyenv.mkdir(parents=True)
    (pyenv / shim.name).symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(shim.parent))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))

    assert find_python(MINOR) == pyenv / shim.name
    assert find_python("3.1") is None


def test_a_command_sees_its_own_folder_and_no_settings_of_the_caller(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/mine")
    monkeypatch.setenv("BERTRITON_URL", "mine:1")
    script = "import os; print(os.getcwd(), os.environ.get('PYTHONPATH'), os.environ.get('BERTRITON_URL'))"

    said = environment.run(sys.executable, "-c", script)

    assert said.split() == [str(environment.home.resolve()), "None", "None"]


def test_another_exit_code_is_told_with_what_was_said(environment: Environment) -> None:
    with pytest.raises(FailedError, match=r"exit 3, not 0\nsorry"):
        environment.run(sys.executable, "-c", "print('sorry'); raise SystemExit(3)")

    assert environment.run(sys.executable, "-c", "raise SystemExit(3)", exit_code=3) == ""

"""Interpreters of this machine, and bare environments made of them."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# What the clients of registries are set up with; nothing else of the caller's environment is handed on.
_KEPT_PREFIXES: Final = (
    "PIP_",
    "SSL_",
    "REQUESTS_",
    "HTTP_",
    "HTTPS_",
    "NO_PROXY",
    "http",
    "no_proxy",
    "OPENBLAS_",
)
_PYENV_VARIABLE: Final = "PYENV_ROOT"


class FailedError(Exception):
    """Something that a release must do was not done."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment with nothing in it but pip and what is installed here."""

    folder: Path
    home: Path  # HOME of what runs in it: caches and runtimes go there

    @property
    def bin(self) -> Path:
        """Where its programs lie."""
        return self.folder / "bin"

    def install(self, *requirements: str | Path) -> None:
        """Install with pip, without constraints, as a user does."""
        self.run(self.bin / "python", "-m", "pip", "install", "--quiet", *requirements)

    def variables(self, path: Sequence[str | Path] = ("/usr/bin", "/bin")) -> dict[str, str]:
        """What its programs see: its own `bin` first on PATH, then `path`, and a HOME of their own."""
        kept = {name: value for name, value in os.environ.items() if name.startswith(_KEPT_PREFIXES)}
        folders = os.pathsep.join(map(str, (self.bin, *path)))
        return {**kept, "PATH": folders, "HOME": str(self.home), "LANG": "C.UTF-8"}

    def run(
        self, *command: str | Path, variables: Mapping[str, str] | None = None, exit_code: int = 0
    ) -> str:
        """Run a command outside the checkout, and give its output.

        Raises:
            FailedError: it exits with another code than expected.
        """
        done = subprocess.run(
            [*map(str, command)],
            cwd=self.home,
            env=dict(variables or self.variables()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != exit_code:
            raise FailedError(
                f"{' '.join(map(str, command))}: exit {done.returncode}, not {exit_code}\n{done.stdout}"
            )
        return done.stdout


def make_environment(python: Path, folder: Path) -> Environment:
    """A bare environment of an interpreter, in a folder that is not there yet."""
    home = folder / "home"
    home.mkdir(parents=True)
    environment = Environment(folder / "venv", home)
    environment.run(python, "-m", "venv", environment.folder, variables={"PATH": os.environ["PATH"]})
    return environment


def find_python(minor: str) -> Path | None:
    """The interpreter of a version such as 3.12: from PATH, or a pyenv's."""
    return next((python for python in _candidates(minor) if _runs_as(python, minor)), None)


def _candidates(minor: str) -> Iterator[Path]:
    pyenv = Path(os.environ.get(_PYENV_VARIABLE, Path.home() / ".pyenv"))
    folders = [*map(Path, os.get_exec_path()), *sorted(pyenv.glob(f"versions/{minor}.*/bin"), reverse=True)]
    for folder in folders:
        python = folder / f"python{minor}"
        if os.access(python, os.X_OK):
            yield python


def _runs_as(python: Path, minor: str) -> bool:
    # Run, not only found: a version manager's shim is on PATH for versions that are not switched on.
    probe = "import ensurepip, json, sys; print(json.dumps(sys.version_info[:2]))"
    done = subprocess.run([python, "-I", "-c", probe], capture_output=True, text=True, check=False)
    return done.returncode == 0 and json.loads(done.stdout) == [int(part) for part in minor.split(".")]

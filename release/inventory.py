"""What `pip install 'bertriton[all]'` brings, as a CycloneDX bill of materials and a list of licences.

python release/inventory.py dist

Writes `bertriton-VERSION.cdx.json` and `bertriton-VERSION-licenses.md` beside the wheels. Every command of
the command line must be there then.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from bertriton.cli import bertriton
from environments import FailedError, make_environment

if TYPE_CHECKING:
    from environments import Environment

TOOLS: Final = Path(sys.executable).parent
PROJECT: Final = Path(__file__).parent.parent / "pyproject.toml"


def main(dist: Path) -> None:
    """Install the wheels with everything, and write down what came."""
    (wheel,) = dist.resolve().glob("bertriton-*.whl")
    (model_wheel,) = dist.resolve().glob("bertriton_imdb-*.whl")
    stem = "-".join(wheel.name.split("-")[:2])
    with tempfile.TemporaryDirectory(prefix="bertriton-dist-") as folder:
        environment = make_environment(Path(sys.executable), Path(folder) / "all")
        environment.install(f"{wheel}[all]", model_wheel)
        _require_commands(environment)
        environment.run(environment.bin / "python", "-m", "pip", "check")
        python = environment.bin / "python"
        bill = (TOOLS / "cyclonedx-py", "environment", "--output-reproducible", "--pyproject", PROJECT)
        _run(*bill, "--output-file", dist / f"{stem}.cdx.json", python)
        licenses = (TOOLS / "pip-licenses", "--python", python, "--format=markdown", "--order=license")
        _run(*licenses, "--output-file", dist / f"{stem}-licenses.md")


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True)


def _require_commands(environment: Environment) -> None:
    for name in bertriton.list_commands(click.Context(bertriton)):
        told = environment.run(environment.bin / "bertriton", name, "--help")
        if "Usage:" not in told:
            raise FailedError(f"bertriton[all] does not bring `bertriton {name}`: {told}")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except FailedError as exc:
        sys.exit(f"Error: {exc}")

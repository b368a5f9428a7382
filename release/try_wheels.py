"""The wheels of `make dist` in bare environments, outside the checkout: what new users do, on every Python.

python release/try_wheels.py dist 3.10 3.11 3.12 3.13

On each Python: the SDK alone is installed and imports; with the extra `demo` the exporter exports, and
`bertriton demo` runs where Triton's Python backend works with that Python. Where it does not, the demo must
say so in one line, and run once another Python is on PATH. Then the README's first program asks a
`bertriton serve` from all of them.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bertriton_server.runtime import SUPPORTED_MINORS
from environments import Environment, FailedError, find_python, make_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

README_URL: Final = "localhost:8001"  # of its first program
UNSUPPORTED: Final = re.compile(
    r"^Error: .* has no wheels for Python \S+: it needs Python .* on PATH", re.MULTILINE
)
CLI_HINT: Final = "pip install 'bertriton[cli]'"
DEMO_WORDS: Final = ("exported imdb", "Triton is serving it at", " of 200 right", "Triton has stopped")


def main(dist: Path, minors: Sequence[str]) -> None:
    """Try the wheels on every Python; says what was run, and fails at the first thing that is wrong."""
    wheel, model_wheel = (_only(dist, f"{name}-*.whl") for name in ("bertriton", "bertriton_imdb"))
    pythons = {minor: find_python(minor) for minor in minors}
    missing = [minor for minor, python in pythons.items() if python is None]
    others = {minor: python for minor, python in pythons.items() if python}
    with tempfile.TemporaryDirectory(prefix="bertriton-dist-") as folder:
        environments = {}
        for minor, python in others.items():
            environment = make_environment(python, Path(folder) / minor)
            _try_sdk(environment, wheel)
            environment.install(f"{wheel}[demo]", model_wheel)
            _try_exporter(environment)
            _try_demo(environment, minor, others)
            environments[minor] = environment
            print(f"Python {minor}: SDK, exporter and demo: passed", flush=True)
        _ask_a_server(environments, _first_program(wheel))
    if missing:
        raise FailedError(f"not tried for want of an interpreter: Python {', '.join(missing)}")


def _try_sdk(environment: Environment, wheel: Path) -> None:
    environment.install(wheel)
    environment.run(environment.bin / "python", "-I", "-c", "from bertriton import AsyncClient, Client")
    told = environment.run(environment.bin / "bertriton", "demo", exit_code=1)
    if CLI_HINT not in told:
        raise FailedError(f"without the extra cli, bertriton does not say what to install: {told}")


def _try_exporter(environment: Environment) -> None:
    program = environment.bin / "bertriton"
    environment.run(program, "--version")
    checkpoint = environment.run(
        environment.bin / "python", "-I", "-c", "import bertriton_imdb; print(bertriton_imdb.CHECKPOINT)"
    ).strip()
    environment.run(program, "export", checkpoint, "--name", "imdb", "--repository", "models")


def _try_demo(environment: Environment, minor: str, pythons: dict[str, Path]) -> None:
    program = environment.bin / "bertriton"
    path: list[str | Path] = ["/usr/bin", "/bin"]
    if minor not in SUPPORTED_MINORS:
        told = environment.run(program, "demo", variables=environment.variables(path=()), exit_code=1)
        if not UNSUPPORTED.search(told):
            raise FailedError(f"Python {minor}: demo does not say what it needs: {told}")
        print(f"Python {minor}: {told.splitlines()[-1]}", flush=True)
        path = [*(python.parent for other, python in pythons.items() if other in SUPPORTED_MINORS), *path]
    told = environment.run(program, "demo", variables=environment.variables(path))
    if lacking := [words for words in DEMO_WORDS if words not in told]:
        raise FailedError(f"Python {minor}: demo does not say {lacking}: {told}")


def _ask_a_server(environments: dict[str, Environment], first_program: str) -> None:
    """The README's first program, from every environment, to a server of one of them."""
    server = next(each for minor, each in environments.items() if minor in SUPPORTED_MINORS)
    with _serving(server) as url:
        for minor, environment in environments.items():
            code = first_program.replace(README_URL, url)
            said = environment.run(environment.bin / "python", "-I", "-c", code)
            if [line.split()[0] for line in said.splitlines()] != ["pos", "neg"]:
                raise FailedError(f"Python {minor}: the README's first program says {said}")
            print(f"Python {minor}: the README's first program, asking `bertriton serve`: passed", flush=True)


@contextmanager
def _serving(environment: Environment) -> Iterator[str]:
    ports = [f"--{name}-port=0" for name in ("grpc", "http", "metrics")]
    with subprocess.Popen(
        [str(environment.bin / "bertriton"), "serve", "--model-repository", "models", *ports],
        cwd=environment.home,
        env=environment.variables(),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout  # noqa: S101 - it is a pipe
        try:
            yield next(line.split()[1] for line in process.stdout if line.split()[:1] == ["gRPC"])
        finally:
            process.terminate()  # not Ctrl-C, which what a shell runs in the background ignores


def _first_program(wheel: Path) -> str:
    """The README's first block of Python, as the wheel's description has it."""
    with zipfile.ZipFile(wheel) as opened:
        (name,) = (name for name in opened.namelist() if name.endswith(".dist-info/METADATA"))
        description = opened.read(name).decode()
    blocks = re.findall(r"^```python\n(.*?)^```", description, re.MULTILINE | re.DOTALL)
    return str(next(block for block in blocks if README_URL in block))


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.resolve().glob(pattern))
    if len(found) != 1:
        raise FailedError(f"{folder}: expected one {pattern}, found {len(found)}")
    return found[0]


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), sys.argv[2:])
    except FailedError as exc:
        sys.exit(f"Error: {exc}")

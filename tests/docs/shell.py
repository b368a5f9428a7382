"""A `console` block by its commands: bertriton's run in this process, curl's are asked, others in bash."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.testing import CliRunner

from bertriton.cli import bertriton

if TYPE_CHECKING:
    from bertriton_server import LocalServer

ROOT = Path(__file__).parents[2]
# These run until Ctrl-C, or for long: their options are read, and a server of the suite stands for theirs.
OPTIONS_ALONE = {"bench", "demo", "doctor", "serve", "ui"}
# What only a shell understands, and where it means nothing: in quotations and comments.
IN_BASH = re.compile(r"[<>|&;]")
NOT_FOR_SHELLS = re.compile(r"'[^']*'|\"[^\"]*\"|(?<=\s)#.*")
TIMEOUT_S = 300  # of a command, which mostly takes a second
NUMBER = re.compile(r"\d[\d.,e-]*")


@dataclass
class Shell:
    """Where commands are run, and what they see."""

    folder: Path
    server: LocalServer
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, console: str) -> None:
        """Run each command of a block, and hold what it prints to the lines below it, numbers aside."""
        for command, expected in commands(console):
            printed = self._printed(self._addressed(command)).splitlines()
            for line in expected:
                assert alike(line) in map(alike, printed), f"{command}\nprints no line {line!r}:\n{printed}"

    def _addressed(self, command: str) -> str:
        for port, url in ((8000, self.server.http_url), (8001, self.server.grpc_url)):
            command = re.sub(rf"(http://)?localhost:{port}\b", url, command)
        return command.replace("localhost:8002/metrics", self.server.metrics_url)

    def _printed(self, command: str) -> str:
        words = shlex.split(command, comments=True)
        match words:
            case ["export", setting]:
                name, _, value = setting.partition("=")
                self.environment[name] = value
                return ""
            case ["pip", "install", *packages]:
                return require_extras(packages)
            case ["make", target]:
                assert re.search(rf"^{target}:.*##", (ROOT / "Makefile").read_text(), re.MULTILINE), target
                return ""
            case ["curl", *options]:
                return asked(options)
            case ["bertriton", name, *options] if not IN_BASH.search(NOT_FOR_SHELLS.sub("", command)):
                return self._of_bertriton(name, options)
        return self._of_bash(command)

    def _of_bertriton(self, name: str, options: list[str]) -> str:
        if name in OPTIONS_ALONE and "--help" not in options:
            command = bertriton.get_command(click.Context(bertriton), name)
            assert command is not None, name
            command.make_context(name, options)
            return ""
        done = CliRunner().invoke(bertriton, [name, *options], env=self.environment)
        assert done.exit_code == 0, f"bertriton {name} {options}: {done.output} {done.exception!r}"
        return done.output

    def _of_bash(self, command: str) -> str:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", command],
            cwd=self.folder,
            env=os.environ | self.environment | {"PATH": path},
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout


def commands(console: str) -> list[tuple[str, list[str]]]:
    """The commands of a block, each with the lines that it prints."""
    first, *parts = re.split(r"^\$ ", console, flags=re.MULTILINE)
    assert not first.strip(), f"a console block begins with $: {first}"
    found = []
    for part in parts:
        lines = part.splitlines()
        command = lines.pop(0)
        while lines and (command.endswith("\\") or is_open(command)):
            command = command.removesuffix("\\") + lines.pop(0)
        found.append((command, [line for line in lines if line.strip()]))
    return found


def is_open(command: str) -> bool:
    """Whether a quotation goes on in the next line."""
    try:
        shlex.split(command, comments=True)
    except ValueError:
        return True
    return False


def alike(line: str) -> str:
    """A line without its numbers, which differ from run to run, and with single spaces."""
    return " ".join(NUMBER.sub("#", line).split())


def require_extras(packages: list[str]) -> str:
    """See that the extras of bertriton that are to be installed exist."""
    declared = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for package in packages:
        for extra in re.findall(r"^bertriton\[(.*)\]$", package):
            for name in extra.split(","):
                assert re.search(rf"^{name} = \[", declared, re.MULTILINE), name
    return ""


def asked(options: list[str]) -> str:
    """What curl would print."""
    body = None
    if "-d" in options:
        place = options.index("-d")
        body = options[place + 1].encode()
        del options[place : place + 2]
    (url,) = (word for word in options if not word.startswith("--"))
    with urllib.request.urlopen(url if "://" in url else f"http://{url}", body, timeout=60) as response:
        return str(response.read().decode())

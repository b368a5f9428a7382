"""Does what `docker build` would, instruction by instruction, in folders; refuses what it does not know."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import TYPE_CHECKING, Final

from bare_root import make_bare_root
from docker.utils.build import exclude_paths
from dockerfile_parse import DockerfileParser
from namespaces import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_BASE_ENVIRONMENT: Final = {"PATH": "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"}
# What a build behind a proxy or a mirror is given; the rest of this machine's environment stays out.
_PASSED_PREFIXES: Final = ("PIP_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE")
_VARIABLE: Final = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_BUILD_TIMEOUT_S: Final = 600.0


@dataclass(frozen=True)
class Image:
    """A finished image, or a stage on the way to one."""

    root: Path
    environment: dict[str, str] = field(default_factory=lambda: dict(_BASE_ENVIRONMENT))
    workdir: str = "/"
    user: str = "0:0"
    entrypoint: tuple[str, ...] = ()
    healthcheck: tuple[str, ...] = ()
    stop_signal: str = "SIGTERM"
    ports: tuple[int, ...] = ()
    volumes: tuple[str, ...] = ()


class Build:
    """One build of a Dockerfile.

    Args:
        dockerfile: its path.
        context: the folder whose `.dockerignore` says what the build may copy.
        workspace: where the root folders of the stages go.
    """

    def __init__(self, dockerfile: Path, context: Path, workspace: Path) -> None:
        parser = DockerfileParser(fileobj=BytesIO(dockerfile.read_bytes()))
        self.instructions = [
            (step["instruction"], step["value"])
            for step in parser.structure
            if step["instruction"] != "COMMENT"
        ]
        self._context = context
        self._sent = sorted(exclude_paths(str(context), (context / ".dockerignore").read_text().splitlines()))
        self._workspace = workspace
        self._arguments: dict[str, str] = {}
        self._stages: dict[str, Image] = {}
        self._stage = Image(workspace)

    def run(self) -> Image:
        """All instructions from top to bottom; gives the last stage."""
        for instruction, value in self.instructions:
            method: Callable[[str], None] = getattr(self, f"_do_{instruction.lower()}")
            method(value)
        return self._stage

    def _do_arg(self, value: str) -> None:
        name, _, default = value.partition("=")
        self._arguments[name] = default

    def _do_from(self, value: str) -> None:
        source, *named = self._expanded(value).split()
        root = self._workspace / f"stage-{len(self._stages)}"
        # What stands in for an image can be no other: see bare_root.
        assert source.startswith("python:3.12"), source
        base = self._workspace / "base"
        if not base.exists():
            base.mkdir()
            make_bare_root(base)
        self._copy(base, root)
        self._stage = Image(root)
        self._stages[named[-1] if named else ""] = self._stage

    def _do_env(self, value: str) -> None:
        pairs = dict(pair.split("=", 1) for pair in shlex.split(self._expanded(value)))
        self._change(environment={**self._stage.environment, **pairs})

    def _do_label(self, value: str) -> None:
        assert all("=" in pair for pair in shlex.split(value)), value

    def _do_workdir(self, value: str) -> None:
        self._inside(value).mkdir(parents=True, exist_ok=True)
        self._change(workdir=value)

    def _do_user(self, value: str) -> None:
        self._change(user=value)

    def _do_expose(self, value: str) -> None:
        self._change(ports=tuple(int(port) for port in value.split()))

    def _do_volume(self, value: str) -> None:
        assert self._inside(value).is_dir(), f"VOLUME {value}: it would belong to root"
        self._change(volumes=(*self._stage.volumes, value))

    def _do_stopsignal(self, value: str) -> None:
        self._change(stop_signal=value)

    def _do_healthcheck(self, value: str) -> None:
        self._change(healthcheck=tuple(json.loads(value.partition(" CMD ")[2])))

    def _do_entrypoint(self, value: str) -> None:
        self._change(entrypoint=tuple(json.loads(value)))

    def _do_copy(self, value: str) -> None:
        words = shlex.split(self._expanded(value))
        options = [word for word in words if word.startswith("--")]
        *sources, target = [word for word in words if not word.startswith("--")]
        assert all(option.startswith("--from=") for option in options), value
        into = self._inside(target if target.startswith("/") else f"{self._stage.workdir}/{target}")
        for source in sources:
            if options:
                self._copy(self._stages[options[0].partition("=")[2]].root / source.lstrip("/"), into)
            else:
                self._copy_from_context(source, into / source if target.endswith("/") else into)

    def _do_run(self, value: str) -> None:
        passed = {
            name: text for name, text in os.environ.items() if name.upper().startswith(_PASSED_PREFIXES)
        }
        environment = {"HOME": "/root", **passed, **self._arguments, **self._stage.environment}
        sandbox = Sandbox(self._stage.root, environment, workdir=self._stage.workdir, network=True)
        command = sandbox.command(["/bin/sh", "-c", value])
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_BUILD_TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, f"RUN {value}\n{done.stdout[-4000:]}"

    def _copy_from_context(self, source: str, into: Path) -> None:
        files = [name for name in self._sent if name == source or name.startswith(f"{source}/")]
        assert files, f"COPY {source}: .dockerignore keeps it out, or it is not there"
        for name in files:
            if (self._context / name).is_file():
                target = into / name.removeprefix(source).lstrip("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(self._context / name, target)

    @staticmethod
    def _copy(source: Path, into: Path) -> None:
        # The same files under two names, which is faster: no later step writes into a file that is there.
        shutil.copytree(source, into, symlinks=True, dirs_exist_ok=True, copy_function=os.link)

    def _inside(self, path: str) -> Path:
        return self._stage.root / path.lstrip("/")

    def _expanded(self, text: str) -> str:
        values = {**self._arguments, **self._stage.environment}
        return _VARIABLE.sub(lambda found: values[found[1] or found[2]], text)

    def _change(self, **changes: object) -> None:
        self._stage = replace(self._stage, **changes)  # type: ignore[arg-type]

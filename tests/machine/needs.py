"""What some tests need and a machine may lack.

`@pytest.mark.needs("java")`, or one of `FIXTURE_TO_NEEDS` among a test's fixtures, says so. Where it is
lacking, the test is skipped with the reason; but where CI runs as root on an x86-64 Debian, all of it could
be had, and the test fails.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHROMIUMS: Final = ("chromium", "chromium-browser", "google-chrome")
MIN_JAVA: Final = 17
_DEBIAN: Final = Path("/etc/debian_version")
_UNSHARE: Final = ("unshare", "--mount", "--pid", "--ipc", "--uts", "--net", "--fork", "--", "true")


@dataclass(frozen=True)
class Need:
    """Something that a machine may lack."""

    is_there: Callable[[], bool]
    reason: str  # what is lacking, and what to do


def _is_root() -> bool:
    return os.geteuid() == 0


def _is_x86_64() -> bool:
    return platform.machine() == "x86_64"


def _is_debian() -> bool:
    return _DEBIAN.exists() and all(map(shutil.which, ("apt-get", "dpkg", "dpkg-query")))


@cache
def _may_unshare() -> bool:
    return _is_root() and _succeeds(*_UNSHARE)


@cache
def _has_java() -> bool:
    if not shutil.which("java"):
        return False
    told = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', told)
    return bool(version) and int(version[1]) >= MIN_JAVA


def _succeeds(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def find_chromium() -> str | None:
    """The Chromium on PATH."""
    return next(filter(None, map(shutil.which, CHROMIUMS)), None)


NEEDS: Final = {
    "chromium": Need(
        lambda: find_chromium() is not None, f"no {', '.join(CHROMIUMS)} on PATH: apt-get install chromium"
    ),
    "debian": Need(_is_debian, "no Debian, whose packages are unpacked here"),
    "java": Need(_has_java, f"no Java {MIN_JAVA} or later on PATH: apt-get install default-jre-headless"),
    "namespaces": Need(_may_unshare, "mounts and changes users: run as root, and a container as privileged"),
    "own-python": Need(
        lambda: sys.base_prefix != "/usr",
        "copies a Python of its own prefix, as pyenv, uv or an image has it: make test PYTHON=...",
    ),
    "prometheus": Need(
        lambda: bool(shutil.which("prometheus")) or (_is_root() and _is_debian()),
        "no prometheus on PATH: apt-get install prometheus; root unpacks Debian's by itself",
    ),
    "x86-64": Need(_is_x86_64, f"for x86-64, not {platform.machine()}"),
}
FIXTURE_TO_NEEDS: Final = {
    "chromium": ("chromium",),
    "image": ("namespaces", "debian", "own-python", "x86-64"),
    "prometheus_programs": ("prometheus",),
    "spark": ("java",),
}


def what_lacks(item: pytest.Item) -> list[str]:
    """Why a test cannot run here; nothing where it can."""
    return [NEEDS[name].reason for name in dict.fromkeys(_needs_of(item)) if not NEEDS[name].is_there()]


def _needs_of(item: pytest.Item) -> Iterator[str]:
    for mark in item.iter_markers("needs"):
        yield from mark.args
    for fixture in getattr(item, "fixturenames", ()):
        yield from FIXTURE_TO_NEEDS.get(fixture, ())


def everything_could_be_had() -> bool:
    """Whether this is a CI that may install whatever a test needs."""
    return os.environ.get("CI") == "true" and _is_root() and _is_x86_64() and _is_debian()


def require_needs(item: pytest.Item) -> None:
    """Skip a test that cannot run here, or fail it where nothing hinders a CI from running it."""
    if lacking := what_lacks(item):
        reason = "; ".join(lacking)
        if everything_could_be_had():
            pytest.fail(f"skipped nowhere in CI: {reason}", pytrace=False)
        pytest.skip(reason)

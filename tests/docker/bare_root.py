"""A root folder as `python:3.12-slim` has it, from this machine's own Debian packages and Python.

Only the packages of that image are in it, so what it lacks is lacking here too. The Python is the one that
runs the tests, in /usr/local, where the image has its own.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

# Of debian:bookworm-slim: apt and what is essential. Then what python:3.12-slim adds to it.
SLIM_PACKAGES: Final = (
    "apt",
    "ca-certificates",
    "netbase",
    "tzdata",
    "libbz2-1.0",
    "libffi8",
    "libgdbm6",
    "liblzma5",
    "libncursesw6",
    "libreadline8",
    "libsqlite3-0",
    "libssl3",
    "libuuid1",
    "zlib1g",
)
_LEFT_OUT: Final = re.compile(r"/usr/share/(doc|man|info|locale)/")
_MERGED: Final = ("bin", "lib", "lib64", "sbin")  # into /usr
_FOLDERS: Final = ("dev", "etc", "home", "opt", "proc", "root", "run", "srv", "sys", "usr/local", "var/cache")
# For the network of a build, as an engine hands them in. Certificates are made when a package is configured.
_FROM_THE_MACHINE: Final = ("resolv.conf", "hosts", "ssl")


def make_bare_root(root: Path) -> None:
    """Fill an empty folder."""
    for name in _FOLDERS:
        (root / name).mkdir(parents=True)
    for name in _MERGED:
        (root / "usr" / name).mkdir()
        (root / name).symlink_to(f"usr/{name}")
    (root / "tmp").mkdir(mode=0o1777)
    (root / "tmp").chmod(0o1777)
    _copy_packages(root)
    for name in ("passwd", "group"):
        shutil.copy(root / f"usr/share/base-passwd/{name}.master", root / "etc" / name)
    for name in _FROM_THE_MACHINE:
        subprocess.run(["cp", "-aL", f"/etc/{name}", root / "etc"], check=True)
    _copy_python(root)
    # As the image's own build does: the library path, then pip.
    for command in (["/sbin/ldconfig"], ["/usr/local/bin/python3", "-m", "ensurepip"]):
        subprocess.run(["chroot", root, *command], check=True, capture_output=True)


def _copy_packages(root: Path) -> None:
    listing = _output("dpkg-query", "--listfiles", *_with_dependencies(SLIM_PACKAGES))
    files = {_resolved(line) for line in listing.splitlines() if line.startswith("/")}
    files = {file for file in files if not _LEFT_OUT.match(file) and os.path.lexists(file)}
    files |= {str(file) for file in Path("/etc/alternatives").iterdir()}
    names = "\0".join(
        sorted(file.lstrip("/") for file in files if not Path(file).is_dir() or Path(file).is_symlink())
    )
    archive = ["tar", "--create", "--directory=/", "--null", "--files-from=-"]
    packed = subprocess.run(archive, input=names.encode(), stdout=subprocess.PIPE, check=True)
    subprocess.run(["tar", "--extract", "--directory", root], input=packed.stdout, check=True)


def _resolved(path: str) -> str:
    """The path with its folder's links followed: dpkg knows /bin/sh, which lies in /usr/bin."""
    folder, name = os.path.split(path)
    return str(Path(os.path.realpath(folder)) / name)


def _with_dependencies(names: tuple[str, ...]) -> list[str]:
    layout = "${Package}\t${Essential}\t${Priority}\t${Pre-Depends}, ${Depends}\n"
    rows = [line.split("\t") for line in _output("dpkg-query", "--show", "--showformat", layout).splitlines()]
    dependencies = {name: re.findall(r"(?:^|[,|])\s*([a-z0-9.+-]+)", depends) for name, _, _, depends in rows}
    found: set[str] = set()
    wanted = [name for name, essential, priority, _ in rows if essential == "yes" or priority == "required"]
    wanted += names
    while wanted:
        name = wanted.pop()
        if name in dependencies and name not in found:
            found.add(name)
            wanted += dependencies[name]
    return sorted(found)


def _copy_python(root: Path) -> None:
    base = Path(sys.base_prefix)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    left_out = shutil.ignore_patterns(
        "test", "tests", "__pycache__", "*.a", "site-packages", "idlelib", "tkinter"
    )
    for name in ("bin", "include", "lib"):
        shutil.copytree(
            base / name, root / "usr/local" / name, symlinks=True, ignore=left_out, dirs_exist_ok=True
        )
    packages = root / "usr/local/lib" / version / "site-packages"
    packages.mkdir()
    # Scripts of other packages, some of which start with this machine's paths.
    for script in (root / "usr/local/bin").iterdir():
        if not re.fullmatch(r"python[0-9.]*", script.name):
            script.unlink()


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout

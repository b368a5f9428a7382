"""Where NVIDIA's perf_analyzer comes from: a working one on this machine, or else one from pip.

What pip calls `perf-analyzer` is an empty placeholder where glibc is older than the wheel's. The wheel of an
older tritonclient holds a binary that runs there, but for two libraries, which the pip runtime of
`bertriton_server` brings under names of its own.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bertriton_bench.errors import PerfAnalyzerMissingError
from bertriton_server import ServerError, find_runtime, runtime_directory
from bertriton_server.runtime import last_lines, run_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

PERF_ANALYZER_VARIABLE: Final = "BERTRITON_PERF_ANALYZER"
PROGRAM: Final = "perf_analyzer"

WHEEL_PIN: Final = "tritonclient==2.50.0"
WHEEL_SHA256: Final = "421fbb69ae6ab8cdb2c35b82134fcef2fe11e7af7718b1fcbc53335ab9bfe889"
_WHEEL_MEMBER: Final = "tritonclient-2.50.0.data/data/bin/perf_analyzer"
_DOWNLOAD_OPTIONS: Final = (
    "--no-deps",
    "--platform=manylinux1_x86_64",
    "--only-binary=:all:",
    "--no-input",
    "--disable-pip-version-check",
    "--quiet",
)

# The name that the binary asks for -> what the pip runtime calls it.
_LIBRARY_TO_PATTERN: Final = {"libb64.so.0d": "libb64-*.so.0d", "libcudart.so.12": "libcudart-*.so.12*"}

_PROBE_TIMEOUT_S: Final = 30
_DOWNLOAD_TIMEOUT_S: Final = 600


@dataclass(frozen=True)
class PerfAnalyzer:
    """A perf_analyzer that runs."""

    executable: Path
    library_path: Path | None = None  # goes first in LD_LIBRARY_PATH

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """Its environment, made from the parent's."""
        environment = dict(inherited)
        if self.library_path:
            others = environment.get("LD_LIBRARY_PATH")
            environment["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, (str(self.library_path), others)))
        return environment


def find_perf_analyzer(on_stage: Callable[[str], object] = str) -> PerfAnalyzer:
    """The perf_analyzer to use; installs one when this machine has none that works.

    Looked for in this order: the file that BERTRITON_PERF_ANALYZER names, `perf_analyzer` on PATH, one under
    the folder of the server's runtime, which is filled on first use.

    Raises:
        PerfAnalyzerMissingError: the named one does not run, or none could be installed.
    """
    if named := os.environ.get(PERF_ANALYZER_VARIABLE):
        analyzer = PerfAnalyzer(Path(named))
        if problem := _problem_of(analyzer):
            raise PerfAnalyzerMissingError(f"{PERF_ANALYZER_VARIABLE}={named} does not run: {problem}")
        return analyzer
    on_path = shutil.which(PROGRAM)
    if on_path and not _problem_of(PerfAnalyzer(Path(on_path))):
        return PerfAnalyzer(Path(on_path))
    return _from_pip(on_stage)


def _from_pip(on_stage: Callable[[str], object]) -> PerfAnalyzer:
    try:
        folder = runtime_directory() / f"perf-analyzer-{WHEEL_SHA256[:10]}"
    except ServerError as exc:  # a user without a home
        raise PerfAnalyzerMissingError(f"cannot install {PROGRAM}: {exc}") from exc
    analyzer = PerfAnalyzer(folder / PROGRAM, folder / "lib")
    if _problem_of(analyzer):
        on_stage(f"installing {PROGRAM} into {folder} (once)")
        try:
            _install(folder)
        except (OSError, ServerError, zipfile.BadZipFile) as exc:
            raise PerfAnalyzerMissingError(f"cannot install {PROGRAM} into {folder}: {exc}") from exc
        if problem := _problem_of(analyzer):
            raise PerfAnalyzerMissingError(
                f"the {PROGRAM} of {WHEEL_PIN} does not run here: {problem}; "
                f"install what it lacks, or name another one by {PERF_ANALYZER_VARIABLE}"
            )
    return analyzer


def _problem_of(analyzer: PerfAnalyzer) -> str:
    """Why it does not run, or nothing; pip's placeholder of this name runs and says nothing."""
    try:
        ended = run_program(
            [analyzer.executable, "--version"],
            environment=analyzer.environment(os.environ),
            timeout_s=_PROBE_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        return str(exc)
    if ended.exit_code or "perf analyzer" not in ended.output.lower():
        (tail,) = last_lines(ended.output, 1) or [f"it says nothing, exit code {ended.exit_code}"]
        return tail
    return ""


def _install(folder: Path) -> None:
    runtime = find_runtime()
    folder.mkdir(parents=True, exist_ok=True)
    _link_libraries(folder / "lib", runtime.library_path)
    with tempfile.TemporaryDirectory(dir=folder) as workspace:
        # The runtime's Python always has a pip; the running one may have been made without.
        python = runtime.executable_path[0] / "python3" if runtime.executable_path else Path(sys.executable)
        wheel = _download(python, Path(workspace))
        extracted = Path(zipfile.ZipFile(wheel).extract(_WHEEL_MEMBER, workspace))
        extracted.chmod(0o755)
        # In one step: another first use may be doing the same.
        extracted.replace(folder / PROGRAM)


def _download(python: Path, folder: Path) -> Path:
    options = (*_DOWNLOAD_OPTIONS, f"--dest={folder}")
    try:
        ended = run_program(
            [python, "-I", "-m", "pip", "download", *options, WHEEL_PIN], timeout_s=_DOWNLOAD_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as exc:
        raise PerfAnalyzerMissingError(f"{WHEEL_PIN} did not arrive in {_DOWNLOAD_TIMEOUT_S} s") from exc
    wheels = list(folder.glob("*.whl"))
    if ended.exit_code or not wheels:
        (tail,) = last_lines(ended.output, 1) or [f"pip exited with {ended.exit_code}"]
        raise PerfAnalyzerMissingError(f"cannot download {WHEEL_PIN}, which holds {PROGRAM}: {tail}")
    found = hashlib.sha256(wheels[0].read_bytes()).hexdigest()
    if found != WHEEL_SHA256:
        raise PerfAnalyzerMissingError(f"{wheels[0].name}: expected SHA-256 {WHEEL_SHA256}, found {found}")
    return wheels[0]


def _link_libraries(folder: Path, searched: Iterable[Path]) -> None:
    """Give the runtime's libraries the names asked for; where it has none, the system's must do."""
    folder.mkdir(exist_ok=True)
    for name, pattern in _LIBRARY_TO_PATTERN.items():
        found = [file for where in searched for file in sorted(where.glob(pattern))]
        link = folder / name
        link.unlink(missing_ok=True)
        if found:
            link.symlink_to(found[0])

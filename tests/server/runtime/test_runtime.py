"""The runtime: an installed tritonserver is used as it is, else a pip one is made, once and completely."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner

import bertriton_server
from bertriton_server import Runtime, RuntimeInstallError, RuntimeNotFoundError, find_runtime
from bertriton_server.command import serve_command
from bertriton_server.runtime import interpreter as _interpreter
from bertriton_server.runtime import pip_runtime as _pip_runtime

# Stands in for the pins where only the making is tested: real pip, real virtual environment, no download.
PIN = "bertriton-test-package==1.0"
FAKE_PROBE = """#!/bin/sh
echo '{answer}'
"""


def make_executable(path: Path, script: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script)
    path.chmod(0o755)
    return path


@pytest.fixture
def runtime_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty one, and a pip that knows PIN only."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    write_wheel(wheels / "bertriton_test_package-1.0-py3-none-any.whl")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv("BERTRITON_RUNTIME_DIR", str(tmp_path / "runtimes"))
    monkeypatch.setattr(_pip_runtime, "pins_for", lambda _minor: (PIN,))
    return tmp_path / "runtimes"


def write_wheel(path: Path) -> None:
    info = "bertriton_test_package-1.0.dist-info"
    files = {
        "bertriton_test_package.py": "",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: bertriton-test-package\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as wheel:
        for name, content in {**files, f"{info}/RECORD": record}.items():
            wheel.writestr(name, content)


def test_the_named_tritonserver_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = make_executable(tmp_path / "named" / "triton")
    on_path = make_executable(tmp_path / "bin" / "tritonserver")
    monkeypatch.setenv("PATH", str(on_path.parent), prepend=os.pathsep)
    monkeypatch.setenv("BERTRITON_TRITONSERVER", str(named))

    assert find_runtime() == Runtime(named)


def test_an_installed_tritonserver_is_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = make_executable(tmp_path / "tritonserver")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    environment = {"PATH": "/bin", "PYTHONPATH": "/mine"}

    runtime = find_runtime()

    assert runtime == Runtime(installed)
    assert not runtime.is_pip_made
    assert runtime.environment(environment) == environment


def test_a_named_tritonserver_must_be_executable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "tritonserver"
    file.write_text("#!/bin/sh\n")
    monkeypatch.setenv("BERTRITON_TRITONSERVER", str(file))

    with pytest.raises(
        RuntimeNotFoundError, match=f"BERTRITON_TRITONSERVER={file} is not an executable file"
    ):
        find_runtime()


def test_the_pip_runtime_has_all_that_its_server_needs(runtime: Runtime) -> None:
    names = {file.name for file in runtime.python_backend_files}

    assert runtime.is_pip_made
    assert os.access(runtime.executable, os.X_OK)
    assert names == {"libtriton_python.so", "triton_python_backend_stub", "triton_python_backend_utils.py"}
    assert all(folder.is_dir() for folder in (*runtime.library_path, *runtime.executable_path))


def test_the_pip_runtime_is_shielded_from_the_users_packages(runtime: Runtime) -> None:
    users = {
        "PATH": "/bin",
        "LD_LIBRARY_PATH": "/lib",
        "PYTHONPATH": "/mine",
        "PYTHONHOME": "/mine",
        "LANG": "C",
    }

    environment = runtime.environment(users)

    added = {"ORT_DISABLE_TELEMETRY", "BERTRITON_CUTS_REQUESTS"}
    assert environment.keys() == {"PATH", "LD_LIBRARY_PATH", "LANG"} | added
    assert environment["PATH"] == f"{runtime.executable_path[0]}:/bin"
    assert environment["LD_LIBRARY_PATH"].split(":") == [*map(str, runtime.library_path), "/lib"]
    assert environment["ORT_DISABLE_TELEMETRY"] == "1"
    assert runtime.environment({})["LD_LIBRARY_PATH"].split(":") == [*map(str, runtime.library_path)]


@pytest.mark.parametrize("minor", _interpreter.SUPPORTED_MINORS)
def test_every_requirement_is_pinned_and_numpy_stays_below_two(minor: str) -> None:
    names_and_versions = dict(pin.split("==") for pin in _pip_runtime.pins_for(minor))

    assert names_and_versions.keys() == {"nvidia-pytriton", "numpy", "onnxruntime", "tokenizers"}
    assert names_and_versions["numpy"].startswith("1.")


def test_concurrent_first_uses_make_one_runtime(
    runtime_directory: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    at_once = threading.Barrier(3)

    def find(_: int) -> _pip_runtime.PipRuntime:
        at_once.wait()
        return _pip_runtime.find_or_make_pip_runtime()

    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(find, range(3)))

    assert found[0] == found[1] == found[2]
    assert (found[0].site_packages / "bertriton_test_package.py").exists()
    assert found[0].folder.parent == runtime_directory
    assert capfd.readouterr().err.count(f"Installing {PIN}") == 1


def test_an_incomplete_runtime_is_made_again(runtime_directory: Path) -> None:
    made = _pip_runtime.find_or_make_pip_runtime()
    package = made.site_packages / "bertriton_test_package.py"
    package.unlink()
    assert _pip_runtime.find_or_make_pip_runtime() == made
    assert not package.exists()  # complete by its marker: left alone

    (made.folder / "complete.json").unlink()
    assert _pip_runtime.find_or_make_pip_runtime() == made
    assert package.exists()

    package.unlink()
    (made.folder / "bin" / "python3").unlink()
    (made.folder / "bin" / "python3").symlink_to(runtime_directory / "removed")
    assert _pip_runtime.find_or_make_pip_runtime() == made
    assert package.exists()


def test_a_failing_pip_is_told_with_its_last_lines(
    runtime_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_pip_runtime, "pins_for", lambda _minor: ("bertriton-absent-package==1.0",))

    for _ in range(2):  # a failed one is not taken for complete
        with pytest.raises(RuntimeInstallError, match="cannot install the Triton runtime") as caught:
            _pip_runtime.find_or_make_pip_runtime()
        assert "No matching distribution found for bertriton-absent-package==1.0" in caught.value.summary
        assert caught.value.log_tail
    assert not list(runtime_directory.glob("*/complete.json"))


def test_a_runtime_directory_that_cannot_be_made_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BERTRITON_RUNTIME_DIR", str(tmp_path / "file"))

    with pytest.raises(RuntimeInstallError, match="set BERTRITON_RUNTIME_DIR to another folder"):
        _pip_runtime.find_or_make_pip_runtime()


def test_the_runtime_lies_in_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BERTRITON_RUNTIME_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert _pip_runtime.runtime_directory() == tmp_path / "cache" / "bertriton"

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert _pip_runtime.runtime_directory() == tmp_path / ".cache" / "bertriton"


def test_interpreters_that_will_not_do_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = _interpreter.find_interpreter()
    too_new = make_executable(
        tmp_path / "python3",
        FAKE_PROBE.format(answer='{"minor": "3.13", "library_directory": "/", "problem": ""}'),
    )
    make_executable(tmp_path / "broken" / f"python{good.minor}", "#!/bin/sh\nexit 127\n")
    (tmp_path / "good").mkdir()
    (tmp_path / "good" / f"python{good.minor}").symlink_to(good.executable)
    monkeypatch.setattr(sys, "executable", str(too_new))
    monkeypatch.setenv("PATH", f"{tmp_path}/broken:{tmp_path}/good:{os.environ['PATH']}")

    assert _interpreter.find_interpreter().executable == tmp_path / "good" / f"python{good.minor}"


def test_no_interpreter_is_told_with_all_that_were_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = (
        '{"minor": "3.12", "library_directory": "", "problem": "no shared library: libpython3.12.so.1.0"}'
    )
    static = make_executable(tmp_path / "python3.12", FAKE_PROBE.format(answer=answer))
    answer = '{"minor": "3.13", "library_directory": "/lib", "problem": ""}'
    running = make_executable(tmp_path / "python", FAKE_PROBE.format(answer=answer))
    monkeypatch.setattr(sys, "executable", str(running))
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(RuntimeNotFoundError, match=r"needs Python 3\.12 or 3\.11 or 3\.10 on PATH") as caught:
        _interpreter.find_interpreter()

    assert f"{running} (Python 3.13)" in str(caught.value)
    assert f"{static} (no shared library: libpython3.12.so.1.0)" in str(caught.value)


def test_a_python_too_new_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "")
    monkeypatch.setattr(sys, "version_info", (3, 13, 0))
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(
        RuntimeNotFoundError, match=r"has no wheels for Python 3\.13: it needs Python 3\.12 or .* on PATH"
    ):
        _interpreter.find_interpreter()


def test_importing_needs_the_standard_library_alone() -> None:
    package = Path(bertriton_server.__file__).parent
    script = f"import sys; sys.path.append({str(package.parent)!r}); import bertriton_server"

    subprocess.run([sys.executable, "-I", "-S", "-c", script], check=True)


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_CACHE_HOME", "BERTRITON_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 1_000_660_000)  # of no account, as OpenShift gives them

    with pytest.raises(RuntimeNotFoundError, match="BERTRITON_RUNTIME_DIR or XDG_CACHE_HOME"):
        _pip_runtime.runtime_directory()

    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert _pip_runtime.runtime_directory() == Path("/cache/bertriton")


def test_serve_of_a_user_without_a_home_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models" / "any" / "1").mkdir(parents=True)
    for name in ("HOME", "XDG_CACHE_HOME", "BERTRITON_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 1_000_660_000)

    result = CliRunner().invoke(serve_command, ["--model-repository", str(tmp_path / "models")])

    assert result.exit_code == 1
    assert "BERTRITON_RUNTIME_DIR or XDG_CACHE_HOME" in result.stderr.splitlines()[-1]

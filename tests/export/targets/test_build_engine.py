"""`build_engine.sh` builds once a kind of machine and graph, and says what is missing.

trtexec and nvidia-smi need a GPU, so stand-ins are on PATH here: they record arguments and write a file.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bertriton_export import export
from bertriton_export.targets.tensorrt.profiles import engine_profiles, padded_lengths, trtexec_arguments

THREE_LABELS = Path(__file__).parent.parent.parent / "data" / "checkpoints" / "three-labels"
MAX_LENGTH = 64  # of that checkpoint
SHELL_TOOLS = ["bash", "cat", "chmod", "cut", "dirname", "grep", "ln"]
SHELL_TOOLS += ["mkdir", "mktemp", "mv", "realpath", "rm", "sha256sum", "sleep", "timeout"]
NOBODY = 65534

TRTEXEC = """#!/usr/bin/env bash
if [[ $1 == --help ]]; then
    echo "&&&& RUNNING TensorRT.trtexec [TensorRT v${FAKE_TENSORRT:-101300}] [b36] # trtexec --help"
    exit 0
fi
sleep "${FAKE_SECONDS:-0}"
printf '%s\\n' "$@" >>"$FAKE_RECORD"
echo "progress that is nobody's input"
for argument in "$@"; do
    if [[ $argument == --saveEngine=* && -z ${FAKE_FAILURE:-} ]]; then
        echo "engine number $(grep --count saveEngine "$FAKE_RECORD")" >"${argument#*=}"
    fi
done
exit "${FAKE_FAILURE:-0}"
"""
NVIDIA_SMI = """#!/usr/bin/env bash
echo "${FAKE_GPU-NVIDIA L4, 8.9}"
"""


class Machine:
    """A machine with a GPU as the script sees it, and an exported model on it."""

    def __init__(self, folder: Path) -> None:
        self.model = folder / "model repository" / "tiny_bert"
        self.served = folder / "a repository"
        self.plan = self.served / "tiny_bert" / "1" / "model.plan"
        self.cache = folder / "engine cache"
        self.record = folder / "record"
        self.tools = folder / "tools"
        self.tools.mkdir()
        for tool in SHELL_TOOLS:
            found = shutil.which(tool)
            assert found, tool
            (self.tools / tool).symlink_to(found)
        self.install("trtexec", TRTEXEC)
        self.install("nvidia-smi", NVIDIA_SMI)

    def install(self, name: str, program: str) -> None:
        (self.tools / name).write_text(program)
        (self.tools / name).chmod(0o755)

    def build(self, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.fspath(self.tools), "FAKE_RECORD": os.fspath(self.record), **variables}
        command = [self.model / "build_engine.sh", self.cache, self.served]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def succeed(self, **variables: str) -> str:
        result = self.build(**variables)
        assert result.returncode == 0, result.stderr
        assert result.stdout == ""
        return result.stderr

    def refuse(self, **variables: str) -> str:
        result = self.build(**variables)
        assert result.returncode == 1
        return result.stderr

    def arguments(self) -> list[str]:
        return self.record.read_text().splitlines()

    def builds(self) -> int:
        return sum(argument.startswith("--saveEngine=") for argument in self.arguments())


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = tmp_path_factory.mktemp("exported")
    export(THREE_LABELS, name="tiny", repository=repository, target="tensorrt")
    return repository


@pytest.fixture
def machine(exported: Path, tmp_path: Path) -> Machine:
    shutil.copytree(exported, tmp_path / "model repository")
    return Machine(tmp_path)


def test_first_build_puts_an_engine_for_every_profile_in_place(machine: Machine) -> None:
    told = machine.succeed()

    assert machine.plan.read_text() == "engine number 1\n"
    assert "building an engine for NVIDIA L4, 8.9 and TensorRT 10.13.0" in told
    arguments = machine.arguments()
    assert f"--onnx={machine.model / '1' / 'model.onnx'}" in arguments
    assert "with 3 profiles" in told
    assert "built in 0 s" in told or "built in 1 s" in told
    profiles = trtexec_arguments(engine_profiles(padded_lengths(MAX_LENGTH)))
    start = arguments.index("--profile=0")
    assert profiles == arguments[start : start + len(profiles)]
    assert {"--skipInference", "--stronglyTyped"} <= set(arguments)
    assert f"--timingCacheFile={machine.cache}/10.13.0-NVIDIA-L4--8.9.timing" in arguments


def test_second_build_comes_from_the_cache(machine: Machine) -> None:
    machine.succeed()
    machine.plan.unlink()

    assert "is in the cache" in machine.succeed()

    assert machine.builds() == 1
    assert machine.plan.read_text() == "engine number 1\n"


def test_what_is_to_be_served_is_the_repository_with_the_engine(machine: Machine) -> None:
    machine.succeed()

    assert machine.plan.readlink().parent == machine.cache
    own = machine.model.parent
    names = {path.name for path in own.iterdir()}
    assert (
        {path.name for path in machine.served.iterdir()} == names == {"tiny", "tiny_tokenizer", "tiny_bert"}
    )
    assert (machine.served / "tiny").readlink() == own / "tiny"
    served = {path.name for path in (machine.served / "tiny_bert").iterdir()}
    assert served == {path.name for path in machine.model.iterdir()}
    assert (machine.served / "tiny_bert" / "config.pbtxt").read_bytes() == (
        machine.model / "config.pbtxt"
    ).read_bytes()
    assert [path.name for path in (machine.served / "tiny_bert" / "1").iterdir()] == ["model.plan"]


def test_the_repository_may_be_read_only_and_another_user_s(machine: Machine, tmp_path: Path) -> None:
    own = machine.model.parent
    for path in (own, *own.rglob("*")):
        path.chmod(0o555 if path.is_dir() or path.name.endswith(".sh") else 0o444)
    before = {path: path.lstat().st_mtime_ns for path in (own, *own.rglob("*"))}
    home = tmp_path / "home"
    home.mkdir()
    for folder in (*tmp_path.parents[:-2], tmp_path):
        folder.chmod(folder.stat().st_mode | 0o055)
    if os.getuid() == 0:  # whom no mode holds back
        os.chown(home, NOBODY, NOBODY)
    environment = {"PATH": os.fspath(machine.tools), "FAKE_RECORD": os.fspath(home / "record")}
    command = [machine.model / "build_engine.sh", home / "engines", home / "served"]

    done = subprocess.run(
        command,
        env=environment,
        user=NOBODY if os.getuid() == 0 else None,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert (home / "served" / "tiny_bert" / "1" / "model.plan").read_text() == "engine number 1\n"
    assert before == {path: path.lstat().st_mtime_ns for path in (own, *own.rglob("*"))}


def test_two_networks_of_a_repository_are_laid_out_together(machine: Machine) -> None:
    other = machine.model.with_name("other_bert")
    shutil.copytree(machine.model, other)
    machine.succeed()

    machine.model = other
    machine.succeed()

    for name in ("tiny_bert", "other_bert"):
        assert (machine.served / name / "1" / "model.plan").read_text() == "engine number 1\n"


def test_what_left_the_repository_is_served_no_more(machine: Machine) -> None:
    machine.succeed()
    shutil.rmtree(machine.model.with_name("tiny"))

    machine.succeed()

    assert not os.path.lexists(machine.served / "tiny")


def test_a_build_that_takes_too_long_is_ended_with_what_to_do(machine: Machine) -> None:
    told = machine.refuse(FAKE_SECONDS="20", BERTRITON_ENGINE_TIMEOUT_S="0.2")

    assert "no engine within 0.2 s; raise BERTRITON_ENGINE_TIMEOUT_S" in told
    assert not list(machine.cache.glob("*.plan*"))


def test_without_trtexec_other_targets_are_named(machine: Machine) -> None:
    (machine.tools / "trtexec").unlink()

    told = machine.refuse()

    assert "--target onnxruntime-tensorrt" in told
    assert "--target cuda" in told


@pytest.mark.parametrize("file", ["1/model.onnx", "1/*.onnx.data", "engine_profiles.txt"])
def test_changed_graph_weights_or_profiles_are_built_again(machine: Machine, file: str) -> None:
    machine.succeed()
    (changed,) = machine.model.glob(file)
    changed.write_bytes(changed.read_bytes() + b"\n")

    machine.succeed()

    assert machine.builds() == 2
    assert machine.plan.read_text() == "engine number 2\n"


@pytest.mark.parametrize("other", [{"FAKE_GPU": "NVIDIA H100 80GB HBM3, 9.0"}, {"FAKE_TENSORRT": "101301"}])
def test_another_gpu_or_tensorrt_is_built_for_again(machine: Machine, other: dict[str, str]) -> None:
    machine.succeed()
    machine.succeed(**other)
    assert machine.builds() == 2

    machine.succeed()

    assert machine.builds() == 2
    assert machine.plan.read_text() == "engine number 1\n"


def test_tensorrt_11_is_not_told_what_it_does_anyway(machine: Machine) -> None:
    machine.succeed(FAKE_TENSORRT="110100")

    assert "--stronglyTyped" not in machine.arguments()


def test_older_tensorrt_is_refused(machine: Machine) -> None:
    assert "TensorRT v8601 is too old, the graph needs 10 or newer" in machine.refuse(FAKE_TENSORRT="8601")


def test_missing_programs_and_gpus_are_named(machine: Machine) -> None:
    assert "nvidia-smi finds no GPU" in machine.refuse(FAKE_GPU="")
    for program in ("nvidia-smi", "trtexec"):
        (machine.tools / program).unlink()
        assert f"{program} is" in machine.refuse()
        assert not machine.plan.exists()


@pytest.mark.parametrize("status", ["1", "137"])
def test_failed_build_leaves_the_old_engine_and_no_rest(machine: Machine, status: str) -> None:
    machine.succeed()
    (machine.model / "1" / "model.onnx").write_bytes(b"another")

    assert "trtexec made no engine" in machine.refuse(FAKE_FAILURE=status)

    assert machine.plan.read_text() == "engine number 1\n"
    assert len(list(machine.cache.glob("*.plan*"))) == 1


def test_incomplete_export_is_named(machine: Machine) -> None:
    (weights,) = (machine.model / "1").glob("*.onnx.data")
    weights.unlink()

    assert ".onnx.data: not there or not readable; export the model again" in machine.refuse()


def test_cache_folder_defaults_to_the_user_s(machine: Machine, tmp_path: Path) -> None:
    environment = {"PATH": os.fspath(machine.tools), "FAKE_RECORD": os.fspath(machine.record)}
    script = machine.model / "build_engine.sh"

    subprocess.run(
        [script], env={**environment, "HOME": os.fspath(tmp_path)}, check=True, capture_output=True
    )
    result = subprocess.run([script], env=environment, check=False, capture_output=True, text=True)

    kept = tmp_path / ".cache" / "bertriton"
    assert list((kept / "engines").glob("*.plan"))
    assert (kept / "repository" / "tiny_bert" / "1" / "model.plan").exists()
    assert result.returncode != 0
    assert "HOME" in result.stderr


def test_shellcheck_finds_nothing(exported: Path) -> None:
    shellcheck = Path(sys.executable).with_name("shellcheck")

    result = subprocess.run(
        [shellcheck, exported / "tiny_bert" / "build_engine.sh"], capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stdout

"""What linters and schemas say of docker/, and that its files agree with each other and with the code."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from dockerfile_parse import DockerfileParser

from bertriton_export.command import export_command
from bertriton_server.command import GRPC_PORT, HTTP_PORT, METRICS_PORT, serve_command
from bertriton_server.runtime.interpreter import SUPPORTED_MINORS
from bertriton_server.runtime.pip_runtime import TOKENIZERS_PIN
from bertriton_server.security import Security

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
DOCKERFILES = (DOCKER / "Dockerfile", DOCKER / "cpu.Dockerfile")
ENTRY_POINT = (DOCKER / "entrypoint.sh").read_text()
BIN = Path(sys.executable).parent


def steps(file: Path) -> list[tuple[str, str]]:
    parser = DockerfileParser(path=str(file))
    return [
        (step["instruction"], step["value"]) for step in parser.structure if step["instruction"] != "COMMENT"
    ]


def environment_of(option_names: set[str], command: Any) -> set[str]:
    return {str(option.envvar) for option in command.params if option.name in option_names}


def settings_of_entry_point(name: str) -> set[str]:
    (found,) = re.findall(rf"readonly {name}=\((.*?)\)", ENTRY_POINT, re.DOTALL)
    return set(found.split())


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.name)
def test_hadolint_finds_nothing_and_nothing_is_ignored(file: Path) -> None:
    subprocess.run([BIN / "hadolint", "--failure-threshold", "style", file], check=True)
    assert "hadolint" not in file.read_text()


def test_shellcheck_finds_nothing() -> None:
    subprocess.run([BIN / "shellcheck", DOCKER / "entrypoint.sh"], check=True)


def test_compose_file_follows_the_specification() -> None:
    command = [BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", DOCKER / "compose.yaml"]
    subprocess.run(command, check=True)


def test_every_service_is_in_a_profile_and_as_locked_up_as_the_others(compose: dict[str, Any]) -> None:
    services = compose["services"]

    assert {profile for service in services.values() for profile in service["profiles"]} == {
        "cpu",
        "gpu",
        "monitoring",
    }
    for service in services.values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert not service.get("privileged")
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_every_file_that_compose_mounts_or_builds_is_there(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for mount in service["volumes"]:
            source = mount.rpartition(":/")[0] if mount.startswith("./") else ""
            assert (DOCKER / source).exists(), mount
        if build := service.get("build"):
            assert (DOCKER / build["context"] / build["dockerfile"]).is_file()


def test_everything_that_is_pulled_has_its_version(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert "build" in service or re.search(r":v?\d+\.\d+\.\d+$", service["image"])
    for file, pattern in zip(
        DOCKERFILES, (r"TRITON_VERSION=\d\d\.\d\d", r"PYTHON_VERSION=\d+\.\d+\.\d+"), strict=True
    ):
        (argument,) = (value for instruction, value in steps(file) if instruction == "ARG")
        assert re.fullmatch(pattern, argument)


def test_pins_are_those_of_the_rest() -> None:
    pinned = re.findall(r"[\w-]+==[\w.]+", DOCKERFILES[0].read_text())
    (version,) = (value for instruction, value in steps(DOCKERFILES[1]) if instruction == "ARG")

    assert pinned == [TOKENIZERS_PIN]
    assert TOKENIZERS_PIN in (ROOT / "constraints.txt").read_text().splitlines()
    assert version.partition("=")[2].rpartition(".")[0] in SUPPORTED_MINORS


def test_both_images_are_used_the_same_way() -> None:
    shared = {"USER", "WORKDIR", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK"}
    nvidia, cpu = ({step for step in steps(file) if step[0] in shared} for file in DOCKERFILES)
    servers = [dict(steps(file))["ENV"] for file in DOCKERFILES]

    assert {step for step in cpu if step not in nvidia} <= {("WORKDIR", "/src")}
    assert set(servers[0].split()) == {pair for pair in servers[1].split() if "RUNTIME_DIR" not in pair}
    assert ("EXPOSE", f"{HTTP_PORT} {GRPC_PORT} {METRICS_PORT}") in cpu
    assert ("USER", "10001:10001") in cpu


def test_entry_point_knows_every_setting_of_export_and_of_security() -> None:
    exporting = {str(option.envvar) for option in export_command.params if option.envvar}
    security = environment_of({field.name for field in fields(Security)}, serve_command)

    not_of_the_model = {"BERTRITON_MODEL_REPOSITORY", "BERTRITON_JSON"}
    assert settings_of_entry_point("export_settings") == exporting - not_of_the_model
    assert settings_of_entry_point("security_settings") == security


def test_compose_passes_every_setting_of_the_export_on(compose: dict[str, Any]) -> None:
    for name in ("cpu", "gpu"):
        passed = set(compose["services"][name]["environment"])
        assert passed == settings_of_entry_point("export_settings") | {"BERTRITON_CHECKPOINT", "HF_TOKEN"}


def test_readme_lists_every_variable_and_port_of_the_images() -> None:
    table = set(re.findall(r"^\| `(\w+)` \|", (DOCKER / "README.md").read_text(), re.MULTILINE))
    used = set(re.findall(r"\bBERTRITON_\w+", ENTRY_POINT))

    assert used <= table
    for port in (HTTP_PORT, GRPC_PORT, METRICS_PORT, 9090, 3000):
        assert f"127.0.0.1:{port}" in (DOCKER / "README.md").read_text()


def test_commands_of_the_readmes_name_files_and_profiles_that_are_there(compose: dict[str, Any]) -> None:
    text = (DOCKER / "README.md").read_text() + (ROOT / "README.md").read_text()
    profiles = {profile for service in compose["services"].values() for profile in service["profiles"]}

    files = re.findall(r"--file (\S+)", text)
    assert {"docker/Dockerfile", "docker/cpu.Dockerfile", "docker/compose.yaml"} <= set(files)
    assert all((ROOT / file).is_file() for file in files)
    assert set(re.findall(r"--profile (\w+)", text)) == profiles

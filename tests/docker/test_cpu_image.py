"""The CPU image: its containers answer, as an ordinary user, without a network, and stop when told to."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from container import Container
    from image_build import Image

TINY_CHECKPOINTS = Path(__file__).parents[1] / "data" / "checkpoints"
TINY = {"BERTRITON_CHECKPOINT": "/checkpoints/one-layer", "BERTRITON_PRECISION": "fp32"}
EXPORT_TINY = ("export", "/checkpoints/one-layer", "--precision", "fp32", "--repository")
STOP_TIMEOUT_S = 60.0
# Not the address that clients in the container use by default: only a server on all interfaces listens there.
OTHER_ADDRESS = "127.0.0.2"


def exported(store: Path) -> list[Path]:
    return sorted((store / "models").iterdir())


def test_fresh_container_classifies_with_nothing_set_and_no_network(served: Container) -> None:
    asked = served.execute(
        "bertriton",
        "classify",
        "--url",
        f"{OTHER_ADDRESS}:8001",
        "--json",
        "What a lovely film.",
        "Two hours, gone.",
    )

    assert asked.returncode == 0, asked.stderr
    answers = [json.loads(line) for line in asked.stdout.splitlines()]
    assert [answer["label"] for answer in answers] == ["pos", "neg"]


def test_http_and_metrics_listen_beyond_the_containers_loopback(served: Container) -> None:
    for port, path in ((8000, "/v2/models/imdb/ready"), (8002, "/metrics")):
        script = f"from urllib.request import urlopen; print(urlopen('http://{OTHER_ADDRESS}:{port}{path}').status)"
        assert served.execute("python3", "-c", script).stdout.strip() == "200"


def test_every_process_is_an_ordinary_user_without_capabilities(served: Container, image: Image) -> None:
    listing = served.run(["/bin/sh", "-c", "cat /proc/[0-9]*/status"]).stdout
    statuses = listing.split("Name:\t")[1:]
    own = [status for status in statuses if not status.startswith(("sh\n", "cat\n"))]

    assert any(status.startswith("tritonserver\n") for status in own)
    for status in own:
        fields = dict(line.split(":\t", 1) for line in status.splitlines()[1:] if ":\t" in line)
        assert set(fields["Uid"].split()) == {image.user.partition(":")[0]}, status
        assert int(fields["CapBnd"], 16) == int(fields["CapEff"], 16) == 0, status
        assert fields["NoNewPrivs"] == "1"


def test_nothing_in_it_phones_home(served: Container) -> None:
    # ONNX Runtime says so in its log when telemetry is on and finds no place for its identifier.
    assert "telemetry" not in served.output.lower()


def test_build_tools_stay_behind(served: Container) -> None:
    found = served.execute(
        "/bin/sh", "-c", "ls -d /opt/*/lib/*/site-packages/pip /opt/*/*/lib/*/site-packages/pip /src /wheels"
    )

    assert found.stdout == ""


def test_health_check_names_the_models_and_fails_where_nothing_listens(served: Container) -> None:
    healthy = served.check_health()
    elsewhere = served.execute(
        "env", "BERTRITON_HTTP_PORT=1", "python3", "/usr/local/lib/bertriton/healthcheck.py"
    )

    assert healthy.stdout == "ready: imdb, imdb_bert, imdb_tokenizer\n"
    assert elsewhere.returncode == 1
    assert elsewhere.stderr.startswith("not ready: ")


def test_ordinary_commands_and_those_of_bertriton_run_in_place_of_the_server(
    start: Callable[..., Container], tmp_path: Path
) -> None:
    mounts = {"/checkpoints": TINY_CHECKPOINTS}
    repository = "/var/cache/bertriton/by-hand"
    assert start(*EXPORT_TINY, repository, mounts=mounts).wait() == 0
    program = start("sh", "-c", "id -u", store=tmp_path / "other")
    unknown = start("no-such-command", store=tmp_path / "third")

    assert (tmp_path / "store" / "by-hand" / "one-layer" / "config.pbtxt").exists()
    assert (program.wait(), program.output) == (0, "10001\n")
    assert unknown.wait() != 0
    assert "no-such-command" in unknown.output


def test_what_was_exported_is_served_again_until_a_setting_or_the_checkpoint_changes(
    start: Callable[..., Container], tmp_path: Path
) -> None:
    checkpoint = tmp_path / "checkpoints" / "one-layer"
    checkpoint.mkdir(parents=True)
    for file in (TINY_CHECKPOINTS / "one-layer").iterdir():
        (checkpoint / file.name).write_bytes(file.read_bytes())

    def stores_after_a_start(**settings: str) -> list[Path]:
        mounts = {"/checkpoints": checkpoint.parent}
        container = start(environment={**TINY, **settings}, mounts=mounts)
        container.wait_until_healthy()
        assert container.stop(STOP_TIMEOUT_S) == 0, container.output
        return exported(tmp_path / "store")

    (first,) = stores_after_a_start()
    written = (first / "one-layer" / "config.pbtxt").stat().st_mtime_ns
    assert stores_after_a_start() == [first]
    assert (first / "one-layer" / "config.pbtxt").stat().st_mtime_ns == written

    renamed = stores_after_a_start(BERTRITON_NAME="reviews")
    assert len(renamed) == 2
    assert sum((folder / "reviews").is_dir() for folder in renamed) == 1

    config = checkpoint / "config.json"
    config.write_text(config.read_text() + "\n")
    assert len(stores_after_a_start()) == 3
    assert not list((tmp_path / "store").glob("export-*"))


def test_flags_go_to_tritonserver_and_wrong_ones_end_the_container(start: Callable[..., Container]) -> None:
    container = start("--no-such-flag", environment=TINY, mounts={"/checkpoints": TINY_CHECKPOINTS})

    assert container.wait() != 0
    assert "no-such-flag" in container.output


def test_container_that_is_still_exporting_stops_at_once_and_leaves_nothing(
    start: Callable[..., Container], tmp_path: Path
) -> None:
    container = start()
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while not list((tmp_path / "store").glob("export-*")):
        assert time.monotonic() < deadline, container.output
        time.sleep(0.1)

    status = container.stop(STOP_TIMEOUT_S)

    assert status == 143, container.output
    assert not list((tmp_path / "store").glob("export-*"))
    assert not exported(tmp_path / "store")


def test_checkpoint_that_is_not_there_is_named(start: Callable[..., Container]) -> None:
    container = start(environment={"BERTRITON_CHECKPOINT": "/checkpoints/none"})

    assert container.wait() == 1
    assert "/checkpoints/none" in container.output


@pytest.mark.parametrize("exit_status", [0, 3])
def test_engines_are_built_before_the_server_starts(
    start: Callable[..., Container], tmp_path: Path, exit_status: int
) -> None:
    mounts = {"/checkpoints": TINY_CHECKPOINTS}
    repository = "/var/cache/bertriton/repository"
    assert start(*EXPORT_TINY, repository, mounts=mounts).wait() == 0
    script = tmp_path / "store" / "repository" / "one-layer_bert" / "build_engine.sh"
    lay_out = 'ln -s "$(dirname "$(dirname "$0")")"/* "$2"'
    script.write_text(f'#!/bin/sh\necho "building into $1"\n{lay_out}\nexit {exit_status}\n')
    script.chmod(0o755)

    container = start(environment={"BERTRITON_MODEL_REPOSITORY": repository})

    if exit_status:
        assert container.wait() == exit_status
        assert "loading the models" not in container.output
    else:
        container.wait_until_healthy()
        assert container.stop(STOP_TIMEOUT_S) == 0
    assert "building into /var/cache/bertriton/engines\n" in container.output

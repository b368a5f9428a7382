"""docs/deploy.md and the pages behind it: code runs, the arithmetic is right, figures have sources."""

from __future__ import annotations

import math
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from concurrent import futures
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from bertriton import (
    Classification,
    Client,
    ModelNotFoundError,
    OverloadedError,
    RetryPolicy,
    UnavailableError,
)
from bertriton_server import LocalServer, ServerConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
PAGES = ("deploy.md", "how-to/monitoring.md", "how-to/rollouts.md")
GUIDE = "\n".join((ROOT / "docs" / page).read_text(encoding="utf-8") for page in PAGES)
BENCHMARKS = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
BERTRITON = Path(sys.executable).parent / "bertriton"
GRPC_ADDRESS = "bertriton-grpc.reviews.svc.cluster.local:8001"
PUBLISHED = re.compile(r"published, not measured here: ([\d,]+) texts/s x (\d+) tokens")
CALLS_AT_ONCE = 100
PATIENCE_S = 120.0


def block(language: str, containing: str) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)
    (found,) = (text for text in blocks if containing in text)
    return str(found)


def table(first_column: str, last_column: str) -> list[list[str]]:
    """The cells of the rows below a header."""
    head = rf"^\| {first_column} \|[^\n]* {last_column} \|\n\|[-|]+\|\n((?:\|[^\n]*\n)+)"
    (rows,) = re.findall(head, GUIDE, re.MULTILINE)
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows.splitlines()]


def number(cell: str) -> float:
    return float(cell.replace(",", ""))


def commands(text: str) -> list[list[str]]:
    lines = text.replace("\\\n", " ").splitlines()
    return [shlex.split(line.removeprefix("$ ")) for line in lines if line.startswith("$ ")]


@pytest.fixture
def laptop(tmp_path: Path) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """The server of the guide's first block: its addresses, and an environment for its clients."""
    export, serve = commands(block("console", "bertriton serve"))
    assert (export[0], serve) == ("bertriton", ["bertriton", "serve"])
    (tmp_path / "checkpoints").symlink_to(ROOT / "checkpoints")
    subprocess.run([BERTRITON, *export[1:]], cwd=tmp_path, check=True, capture_output=True)
    free = {f"BERTRITON_{service}_PORT": "0" for service in ("HTTP", "GRPC", "METRICS")}
    with subprocess.Popen(
        [BERTRITON, *serve[1:]], cwd=tmp_path, env=os.environ | free, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        found: dict[str, str] = {}
        for line in process.stdout:
            name, _, value = line.strip().partition(" ")
            found[name] = value.strip()
            if name == "models":
                break
        yield found, os.environ | {"BERTRITON_URL": found["gRPC"]}
        process.terminate()


def test_commands_for_a_laptop_run(
    laptop: tuple[dict[str, str], dict[str, str]], http_text: Callable[[str], str]
) -> None:
    addresses, environment = laptop
    health, classify, curl = commands(block("console", "bertriton classify"))

    for command in (health, classify):
        assert command[0] == "bertriton"
        done = subprocess.run(
            [BERTRITON, *command[1:]], env=environment, capture_output=True, text=True, check=True
        )
        assert ("imdb" if command == health else "pos") in done.stdout
    assert curl == ["curl", "--silent", "localhost:8002/metrics"]
    assert "nv_inference_request_success" in http_text(addresses["metrics"])


def test_commands_that_replace_a_model_and_go_back_run(tmp_path: Path) -> None:
    inline = re.search(r"`bertriton serve -- ([^`]+)`", GUIDE)
    assert inline is not None
    other, models = commands(block("console", "--labels "))
    back = other[:-2]
    assert f"$ {shlex.join(back)}\n```" in GUIDE
    (tmp_path / "checkpoints").symlink_to(ROOT / "checkpoints")
    environment = os.environ | {"BERTRITON_PRECISION": "fp32"}

    def run(command: list[str]) -> str:
        assert command[0] == "bertriton"
        words = [str(BERTRITON), *command[1:]]
        return subprocess.run(
            words, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
        ).stdout

    run(back)
    flags = tuple(shlex.split(inline[1]))
    config = ServerConfig(tmp_path / "model_repository", stop_grace_s=0, arguments=flags)
    with LocalServer(config) as server:
        environment["BERTRITON_URL"] = server.grpc_url
        client = Client(server.grpc_url, "imdb")
        first = answer_of_another(client, "")
        run(other)
        second = answer_of_another(client, first.fingerprint)
        assert (first.label, second.label) == ("pos", "positive")
        assert second.fingerprint in run(models)
        run(back)
        assert answer_of_another(client, second.fingerprint) == first
        client.close()


def answer_of_another(client: Client, fingerprint: str) -> Classification:
    """An answer to one text, of the first model that is not of that fingerprint."""
    given_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < given_up:
        with suppress(UnavailableError, ModelNotFoundError):
            answer = client.classify("What a lovely film.")
            if answer.fingerprint != fingerprint:
                return answer
        time.sleep(0.1)
    raise TimeoutError(f"still {fingerprint}")


def test_the_folder_for_a_model_of_ones_own_builds(
    manifests: Path, built: Callable[[Path], list[dict[str, Any]]], tmp_path: Path
) -> None:
    content = block("yaml", "kustomize.config.k8s.io")
    path = re.match(r"# docker/k8s/(\w+)/kustomization.yaml\n", content)
    assert path is not None
    folder = tmp_path / "k8s" / path[1]
    shutil.copytree(manifests, folder.parent)
    folder.mkdir()
    (folder / "kustomization.yaml").write_text(content)

    documents = built(folder)

    by_kind = {document["kind"]: document for document in documents}
    pod = by_kind["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == "registry.example.com/bertriton:cpu-1.0"
    assert by_kind["ConfigMap"]["data"] == {
        "BERTRITON_CHECKPOINT": "example/reviews-bert@0123abc",
        "BERTRITON_NAME": "reviews",
        "BERTRITON_PRECISION": "int8",
        "BERTRITON_TARGET": "cpu",
    }
    assert container["envFrom"] == [{"configMapRef": {"name": by_kind["ConfigMap"]["metadata"]["name"]}}]
    assert sum(document["kind"] == "NetworkPolicy" for document in documents) == 2
    for document in documents:
        assert document["metadata"]["namespace"] == "reviews"
        if document["kind"] != "ServiceMonitor":
            kubernetes_validate.validate(document, "1.30", strict=True)


def test_folders_and_settings_that_are_named_exist() -> None:
    for folder in re.findall(r"--kustomize (\S+?)[`\n]", GUIDE):
        assert (ROOT / folder / "kustomization.yaml").is_file(), folder
    for file in re.findall(r"`(docker/k8s/\S+\.yaml)`", GUIDE):
        assert (ROOT / file).is_file(), file
    help_text = subprocess.run(
        [BERTRITON, "export", "--help"], capture_output=True, text=True, check=True
    ).stdout
    for setting in set(re.findall(r"BERTRITON_\w+", GUIDE)) - {"BERTRITON_CHECKPOINT"}:
        assert f"env var: {setting}" in " ".join(help_text.split()), setting


def test_the_clients_settings_work_and_its_address_is_the_services(
    manifests: Path, built: Callable[[Path], list[dict[str, Any]]], imdb_server: LocalServer
) -> None:
    code = block("python", "Client(")
    assert f'"dns:///{GRPC_ADDRESS}"' in code
    names = {
        f"{document['metadata']['name']}.reviews.svc.cluster.local:{port['port']}"
        for document in built(manifests / "cpu")
        if document["kind"] == "Service" and document["spec"].get("clusterIP") == "None"
        for port in document["spec"]["ports"]
    }
    assert names == {GRPC_ADDRESS}

    scope: dict[str, Any] = {}
    code = code.replace(GRPC_ADDRESS, imdb_server.grpc_url).replace('"reviews"', '"imdb"')
    exec(compile(code, "deploy.md", "exec"), scope)  # noqa: S102 (the guide is ours)

    with scope["client"] as client:
        assert client.classify("A lovely film.").label == "pos"


@pytest.fixture(scope="module")
def sizing() -> dict[str, Any]:
    """The functions of the guide."""
    scope: dict[str, Any] = {}
    exec(compile(block("python", "def replicas"), "deploy.md", "exec"), scope)  # noqa: S102
    return scope


def test_examples_follow_from_the_figures(sizing: dict[str, Any]) -> None:
    plan = {row[0]: number(row[4]) for row in table("figure", "where it comes from")}
    rows = table("figure", "replicas")

    assert len(rows) >= 5
    for figure, tokens, target, p99, *answers in rows:
        speed = plan[figure] / number(tokens)
        share = sizing["utilisation"](speed, number(p99))
        count = sizing["replicas"](number(target), speed, number(p99))
        assert answers == [f"{speed:,.1f}", f"{share:.2f}", f"{count}"], (
            f"figure {figure} at {target} texts/s"
        )


def test_the_rule_keeps_what_it_promises(sizing: dict[str, Any]) -> None:
    for speed in (5.0, 50.0, 5000.0):
        for p99_s in (1.0, 2.0, 10.0):
            share = sizing["utilisation"](speed, p99_s)
            # One case in a hundred of an exponential distribution with the mean 1 / (speed - load).
            assert math.exp(-(speed - share * speed) * p99_s) <= 0.01 + 1e-12
            assert share <= sizing["MAX_UTILISATION"]
    with pytest.raises(ValueError, match="one text alone takes too long"):
        sizing["replicas"](1, 10.0, 0.1)


def test_measured_figures_are_in_the_benchmarks_and_published_ones_add_up() -> None:
    rows = table("figure", "where it comes from")

    assert len({row[0] for row in rows}) == len(rows)
    for _, _, _, tokens, plan, source in rows:
        if source.startswith("measured here"):
            assert tokens in BENCHMARKS, f"{tokens} tokens/s: docs/benchmarks.md no longer says so"
            assert plan == tokens
        else:
            published = PUBLISHED.match(source)
            assert published is not None, source
            assert number(tokens) == number(published[1]) * number(published[2])
            assert number(plan) == number(tokens) / 2
            assert re.search(r"\[\d\]$", source), source


def test_metrics_that_are_named_are_published(
    http_text: Callable[[str], str], imdb_server: LocalServer
) -> None:
    published = http_text(imdb_server.metrics_url)

    named = set(re.findall(r"nv_\w+", GUIDE))
    assert len(named) >= 5
    for name in named:
        assert f'{name}{{model="imdb_bert"' in published, name


def test_refused_requests_are_counted_under_the_ensembles_name(
    imdb_repository: Path, tmp_path: Path, http_text: Callable[[str], str]
) -> None:
    repository = shutil.copytree(imdb_repository, tmp_path / "repository")
    path = repository / "imdb_tokenizer" / "config.pbtxt"
    config = text_format.Parse(path.read_text(), model_config_pb2.ModelConfig())
    config.dynamic_batching.default_queue_policy.max_queue_size = 1
    path.write_text(text_format.MessageToString(config))

    with (
        LocalServer(ServerConfig(repository, stop_grace_s=0)) as server,
        Client(server.grpc_url, retry=RetryPolicy(max_attempts=1)) as client,
        futures.ThreadPoolExecutor(CALLS_AT_ONCE) as pool,
    ):
        answers = pool.map(
            lambda text: client.classify(text, return_exceptions=True), ["good " * 400] * CALLS_AT_ONCE
        )
        refused = sum(isinstance(answer, OverloadedError) for answer in answers)
        counted = re.findall(
            r'nv_inference_request_failure{model="imdb",reason="(?:OTHER|REJECTED)",version="1"} (\d+)',
            http_text(server.metrics_url),
        )

    assert refused > 0
    assert sum(map(int, counted)) >= refused

"""Every query of the dashboard has an answer from a real Triton under load, by way of a real Prometheus."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

    from container import Container

MONITORING = Path(__file__).parents[2] / "docker" / "monitoring"
DASHBOARD = json.loads((MONITORING / "grafana" / "dashboards" / "bertriton.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
# No GPU, no such metrics. Their names are those of Triton's documentation, and no test has seen them.
GPU_PANELS = {"GPU use", "GPU memory", "GPU power"}
GPU_METRICS = {"nv_gpu_utilization", "nv_gpu_memory_used_bytes", "nv_gpu_power_usage"}
PROMETHEUS_PORT = 9090  # in the container's own network
TIMEOUT_S = 120.0
# One client that asks all the time, short and long, and one that is refused.
LOAD = """
from contextlib import suppress
from bertriton import BertritonError, Client
with Client("127.0.0.1:8001") as client:
    while True:
        client.classify(["What a lovely film.", "Two hours of my life. " * 20] * 4)
        with suppress(BertritonError):
            client.classify("word " * 1000, truncation="error")
"""


def queries(panel: dict[str, Any]) -> list[str]:
    """What Grafana would send to Prometheus."""
    interval = yaml.safe_load((MONITORING / "prometheus.yml").read_text())["global"]["scrape_interval"]
    seconds = int(interval.removesuffix("s"))
    values = {"${classifier:regex}": "imdb", "$__rate_interval": f"{4 * seconds}s"}
    found = []
    for target in panel["targets"]:
        query = target["expr"]
        for name, value in values.items():
            query = query.replace(name, value)
        assert "$" not in query
        found.append(query)
    return found


@pytest.fixture(scope="module")
def prometheus(
    served: Container, prometheus_programs: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The command line that asks a Prometheus which has watched a loaded server for a while."""
    folder = tmp_path_factory.mktemp("prometheus")
    config = (MONITORING / "prometheus.yml").read_text()
    assert config.count("triton:8002") == 1
    (folder / "prometheus.yml").write_text(config.replace("triton:8002", "127.0.0.1:8002"))
    watch = [
        str(prometheus_programs / "prometheus"),
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{PROMETHEUS_PORT}",
    ]
    with ExitStack() as running:
        log = running.enter_context((folder / "log").open("wb"))
        for command in (watch, [sys.executable, "-c", LOAD]):
            process = subprocess.Popen(served.beside(command), stdout=log, stderr=log)
            running.callback(process.wait)
            running.callback(process.kill)
        yield str(prometheus_programs / "promtool")


def ask(served: Container, promtool: str, query: str) -> list[float]:
    """The values of a query's series; none when there is no series, or Prometheus is not up yet."""
    address = f"http://127.0.0.1:{PROMETHEUS_PORT}"
    command = served.beside([promtool, "query", "instant", "--format=json", address, query])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "parse error" not in done.stderr, done.stderr
    return [float(series["value"][1]) for series in json.loads(done.stdout)] if done.returncode == 0 else []


def wait_for_a_number(served: Container, promtool: str, query: str) -> list[float]:
    deadline = time.monotonic() + TIMEOUT_S
    while not (numbers := [value for value in ask(served, promtool, query) if not math.isnan(value)]):
        assert time.monotonic() < deadline, f"no number from {query}"
        time.sleep(1)
    return numbers


def test_configuration_is_valid(prometheus_programs: Path) -> None:
    subprocess.run(
        [prometheus_programs / "promtool", "check", "config", MONITORING / "prometheus.yml"], check=True
    )


@pytest.mark.parametrize(
    "panel", [panel for panel in PANELS if panel["title"] not in GPU_PANELS], ids=lambda p: p["title"]
)
def test_every_query_returns_numbers(served: Container, prometheus: str, panel: dict[str, Any]) -> None:
    for query in queries(panel):
        assert all(number >= 0 for number in wait_for_a_number(served, prometheus, query))


def test_refusals_latencies_and_batches_are_those_of_the_load(served: Container, prometheus: str) -> None:
    by_title = {panel["title"]: queries(panel) for panel in PANELS}

    p50, _, p99 = (wait_for_a_number(served, prometheus, query) for query in by_title["Latency of a request"])
    assert 0 < p50[0] <= p99[0] < TIMEOUT_S
    (batch_query,) = by_title["Batch size"]
    assert any(number > 1 for number in wait_for_a_number(served, prometheus, batch_query))
    (failure_query,) = by_title["Failures"]
    assert any(number > 0 for number in wait_for_a_number(served, prometheus, failure_query))


def test_variable_of_the_dashboard_finds_the_classifier_alone(served: Container, prometheus: str) -> None:
    (variable,) = (entry for entry in DASHBOARD["templating"]["list"] if entry["name"] == "classifier")
    selector, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"]).groups()

    assert wait_for_a_number(served, prometheus, f"count(group by ({label}) ({selector}))") == [1]


def test_panels_of_the_gpu_ask_for_the_gpus_metrics_alone() -> None:
    panels = [panel for panel in PANELS if panel["title"] in GPU_PANELS]
    asked = {name for panel in panels for query in queries(panel) for name in re.findall(r"nv_\w+", query)}

    assert len(panels) == len(GPU_PANELS)
    assert asked == GPU_METRICS


def test_datasource_and_provider_fit_prometheus_and_compose(compose: dict[str, Any]) -> None:
    (source,) = yaml.safe_load((MONITORING / "grafana/datasources/prometheus.yaml").read_text())[
        "datasources"
    ]
    (provider,) = yaml.safe_load((MONITORING / "grafana/providers/bertriton.yaml").read_text())["providers"]
    interval = yaml.safe_load((MONITORING / "prometheus.yml").read_text())["global"]["scrape_interval"]
    targets = [mount.split(":")[1] for mount in compose["services"]["grafana"]["volumes"]]

    assert source["jsonData"]["timeInterval"] == interval
    assert source["url"] == "http://prometheus:9090"
    assert provider["options"]["path"] in targets

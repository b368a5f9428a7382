"""The manifests under docker/k8s are valid, and what they say of each other is true."""

from __future__ import annotations

import importlib
import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from bertriton_export.command import export_command
from bertriton_server.process import STOP_GRACE_S
from bertriton_server.process.warden import _KILL_GRACE_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from bertriton_server import LocalServer

Manifest = dict[str, Any]

ENGINE_TIMEOUT = "BERTRITON_ENGINE_TIMEOUT_S"
OLDEST_KUBERNETES = "1.30"  # the first with preStop.sleep switched on
OVERLAYS = ("cpu", "gpu", "kserve")
SCHEMAS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in (Path(__file__).parent / "schemas").glob("*.json")
}
PREDICTOR_FIELDS = set(
    SCHEMAS["InferenceService"]["properties"]["spec"]["properties"]["predictor"]["properties"]
)
ROOT = Path(__file__).parents[2]
HEALTH_CHECK_FOLDER = "/usr/local/lib/bertriton"  # in the images
HEALTH_CHECK_FILES = ("docker/healthcheck.py", "server/bertriton_server/process/http_probe.py")
MEMORY_UNITS = {"Mi": 2**20, "Gi": 2**30}


@pytest.fixture(params=OVERLAYS)
def overlay(
    request: pytest.FixtureRequest, manifests: Path, built: Callable[[Path], list[Manifest]]
) -> list[Manifest]:
    """Everything that one folder deploys."""
    return built(manifests / request.param)


@pytest.fixture(params=["cpu", "gpu"])
def deployed(
    request: pytest.FixtureRequest, manifests: Path, built: Callable[[Path], list[Manifest]]
) -> list[Manifest]:
    """Likewise, of a folder with a Deployment."""
    return built(manifests / request.param)


def of_kind(documents: list[Manifest], kind: str) -> list[Manifest]:
    return [document for document in documents if document["kind"] == kind]


def only(documents: list[Manifest], kind: str) -> Manifest:
    (found,) = of_kind(documents, kind)
    return found


def pod_of(documents: list[Manifest]) -> Manifest:
    """Metadata and spec of the pods, whoever makes them."""
    if of_kind(documents, "Deployment"):
        template: Manifest = only(documents, "Deployment")["spec"]["template"]
        return template
    service = only(documents, "InferenceService")
    predictor = service["spec"]["predictor"]
    spec = {key: value for key, value in predictor.items() if key not in PREDICTOR_FIELDS}
    labels = {"serving.kserve.io/inferenceservice": service["metadata"]["name"], "component": "predictor"}
    return {"metadata": {"name": "predictor", "labels": labels}, "spec": spec}


def container_of(documents: list[Manifest]) -> Manifest:
    (container,) = pod_of(documents)["spec"]["containers"]
    return dict(container)


def settings_of(documents: list[Manifest]) -> dict[str, str]:
    """The container's environment, config maps included."""
    container = container_of(documents)
    maps = {document["metadata"]["name"]: document["data"] for document in of_kind(documents, "ConfigMap")}
    settings = {}
    for source in container.get("envFrom", []):
        settings |= maps[source["configMapRef"]["name"]]
    return settings | {entry["name"]: entry["value"] for entry in container["env"]}


def selects(selector: dict[str, str], labels: dict[str, str]) -> bool:
    return bool(selector) and selector.items() <= labels.items()


def validate(document: Manifest, version: str) -> None:
    """Raise where a manifest is not what its schema says, unknown fields included."""
    if document["kind"] in SCHEMAS:
        jsonschema.validate(document, SCHEMAS[document["kind"]])
    else:
        kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("version", [OLDEST_KUBERNETES, kubernetes_validate.latest_version()])
def test_every_manifest_follows_its_schema(overlay: list[Manifest], version: str) -> None:
    for document in overlay:
        validate(document, version)
    # What KServe puts into its predictor's pods has no schema above.
    kubernetes_validate.validate({"apiVersion": "v1", "kind": "Pod", **pod_of(overlay)}, version, strict=True)


def test_the_component_for_the_hub_follows_its_schema(manifests: Path) -> None:
    kubernetes_validate.validate(
        yaml.safe_load((manifests / "hub" / "network-policy.yaml").read_text()),
        OLDEST_KUBERNETES,
        strict=True,
    )


@pytest.mark.parametrize(
    ("folder", "kind", "spoil"),
    [
        ("cpu", "Deployment", lambda spec: spec["template"]["spec"].update(enableServiceLink=False)),
        ("cpu", "HorizontalPodAutoscaler", lambda spec: spec.pop("maxReplicas")),
        ("cpu", "ServiceMonitor", lambda spec: spec["endpoints"][0].update(intervall="15s")),
        ("cpu", "ServiceMonitor", lambda spec: spec["endpoints"][0].update(interval="often")),
        ("kserve", "InferenceService", lambda spec: spec["predictor"].update(scaleMetric="queue")),
        ("kserve", "InferenceService", lambda spec: spec.pop("predictor")),
    ],
)
def test_a_spoilt_manifest_is_refused(
    manifests: Path,
    built: Callable[[Path], list[Manifest]],
    folder: str,
    kind: str,
    spoil: Callable[[Manifest], object],
) -> None:
    document = only(built(manifests / folder), kind)
    spoil(document["spec"])

    with pytest.raises((kubernetes_validate.ValidationError, jsonschema.ValidationError)):
        validate(document, OLDEST_KUBERNETES)


def test_every_file_is_part_of_its_kustomization(manifests: Path) -> None:
    for file in manifests.glob("*/kustomization.yaml"):
        content = yaml.safe_load(file.read_text())
        listed = {entry for entry in content["resources"] if entry.endswith(".yaml")}
        listed |= {patch["path"] for patch in content.get("patches", [])}
        assert {path.name for path in file.parent.iterdir()} == listed | {file.name}, file


def test_services_reach_the_pods_by_ports_that_exist(overlay: list[Manifest]) -> None:
    labels = pod_of(overlay)["metadata"]["labels"]
    ports = {port["name"]: port["containerPort"] for port in container_of(overlay)["ports"]}

    for service in of_kind(overlay, "Service"):
        assert selects(service["spec"]["selector"], labels)
        for port in service["spec"]["ports"]:
            target = port["targetPort"]
            assert port["port"] == ports.get(target, target)
            assert port["port"] in ports.values()


def test_grpc_is_resolved_to_the_pods_themselves(overlay: list[Manifest]) -> None:
    (service,) = (
        service
        for service in of_kind(overlay, "Service")
        if any(port["name"] == "grpc" for port in service["spec"]["ports"])
    )

    assert service["spec"]["clusterIP"] == "None"
    assert [port["port"] for port in service["spec"]["ports"]] == [8001]


def test_selectors_match_the_pods(deployed: list[Manifest]) -> None:
    labels = pod_of(deployed)["metadata"]["labels"]
    selectors = [
        only(deployed, "Deployment")["spec"]["selector"],
        only(deployed, "PodDisruptionBudget")["spec"]["selector"],
        only(deployed, "NetworkPolicy")["spec"]["podSelector"],
        *(
            constraint["labelSelector"]
            for constraint in pod_of(deployed)["spec"]["topologySpreadConstraints"]
        ),
    ]

    assert len(selectors) == 5
    assert all(selects(selector["matchLabels"], labels) for selector in selectors)


def test_the_monitor_finds_one_service_and_its_port(deployed: list[Manifest]) -> None:
    monitor = only(deployed, "ServiceMonitor")["spec"]
    (service,) = (
        service
        for service in of_kind(deployed, "Service")
        if selects(monitor["selector"]["matchLabels"], service["metadata"]["labels"])
    )

    ports = {port["name"]: port["port"] for port in service["spec"]["ports"]}
    assert [ports[endpoint["port"]] for endpoint in monitor["endpoints"]] == [8002]


def test_the_autoscaler_scales_the_deployment_that_is_there(deployed: list[Manifest]) -> None:
    target = only(deployed, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    deployment = only(deployed, "Deployment")

    assert target == {
        "apiVersion": deployment["apiVersion"],
        "kind": deployment["kind"],
        "name": deployment["metadata"]["name"],
    }
    assert "replicas" not in deployment["spec"]


def test_the_autoscalers_metric_is_made_of_what_triton_publishes(
    manifests: Path, deployed: list[Manifest], http_text: Callable[[str], str], imdb_server: LocalServer
) -> None:
    (rule,) = yaml.safe_load((manifests / "prometheus-adapter.yaml").read_text())["rules"]["custom"]
    (metric,) = only(deployed, "HorizontalPodAutoscaler")["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] == rule["name"]["as"]

    published = http_text(imdb_server.metrics_url)
    selected = {
        name: {model for model in _models_of(name, published) if re.fullmatch(pattern, model)}
        for name, pattern in re.findall(r'(nv_\w+){[^}]*model=~"([^"]+)"', rule["metricsQuery"])
    }
    assert selected == {
        "nv_inference_queue_duration_us": {"imdb_tokenizer", "imdb_bert"},
        "nv_inference_request_success": {"imdb_bert"},
    }
    assert rule["seriesQuery"].startswith("nv_inference_queue_duration_us{")


def _models_of(metric: str, published: str) -> list[str]:
    return re.findall(rf'^{metric}{{[^}}]*model="(\w+)"', published, re.MULTILINE)


def test_only_grpc_and_metrics_are_let_in_and_only_dns_out(deployed: list[Manifest]) -> None:
    policy = only(deployed, "NetworkPolicy")["spec"]
    ports = {port["name"]: port["containerPort"] for port in container_of(deployed)["ports"]}

    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    assert all(rule["from"] for rule in policy["ingress"])
    assert [ports[port["port"]] for rule in policy["ingress"] for port in rule["ports"]] == [8001, 8002]
    assert [port["port"] for rule in policy["egress"] for port in rule["ports"]] == [53, 53]
    assert all(rule["to"] for rule in policy["egress"])


def probes_of(documents: list[Manifest]) -> list[Manifest]:
    container = container_of(documents)
    return [container[f"{name}Probe"] for name in ("startup", "readiness", "liveness")]


def test_every_probe_runs_the_health_check_that_both_images_hold(overlay: list[Manifest]) -> None:
    commands = [probe["exec"]["command"] for probe in probes_of(overlay)]

    assert commands == [["python3", f"{HEALTH_CHECK_FOLDER}/healthcheck.py"]] * 3
    for file in ("Dockerfile", "cpu.Dockerfile"):
        content = (ROOT / "docker" / file).read_text()
        for source in HEALTH_CHECK_FILES:
            assert f"COPY {source} {HEALTH_CHECK_FOLDER}/{Path(source).name}\n" in content


def test_every_probe_has_time_for_a_busy_server(overlay: list[Manifest], health_check: ModuleType) -> None:
    questions = 3  # the list of models, what was answered before, and either an answer or what was by then
    for probe in probes_of(overlay):
        assert probe["timeoutSeconds"] > questions * health_check.DEADLINE_S


@pytest.fixture
def health_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The health check as a module, among the files that lie beside it in an image."""
    for source in HEALTH_CHECK_FILES:
        shutil.copy(ROOT / source, tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return importlib.import_module("healthcheck")


def test_volumes_exist_and_every_one_is_mounted(overlay: list[Manifest]) -> None:
    volumes = {volume["name"]: volume for volume in pod_of(overlay)["spec"]["volumes"]}
    claims = {claim["metadata"]["name"] for claim in of_kind(overlay, "PersistentVolumeClaim")}

    assert {mount["name"] for mount in container_of(overlay)["volumeMounts"]} == set(volumes)
    used = {
        volume["persistentVolumeClaim"]["claimName"]
        for volume in volumes.values()
        if "persistentVolumeClaim" in volume
    }
    assert used == claims
    assert all(len(volume) == 2 for volume in volumes.values())  # a name and one kind of volume


def test_pods_meet_the_restricted_profile(overlay: list[Manifest]) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted."""
    pod = pod_of(overlay)["spec"]
    container = container_of(overlay)["securityContext"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["allowPrivilegeEscalation"] is False
    assert container["capabilities"] == {"drop": ["ALL"]}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert not any("hostPath" in volume for volume in pod["volumes"])
    # Beyond the profile.
    assert container["readOnlyRootFilesystem"] is True
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False


def test_there_is_time_to_end_requests_in_flight(overlay: list[Manifest]) -> None:
    pause_s = container_of(overlay)["lifecycle"]["preStop"]["sleep"]["seconds"]

    assert pod_of(overlay)["spec"]["terminationGracePeriodSeconds"] > pause_s + STOP_GRACE_S + _KILL_GRACE_S


def test_a_slow_start_is_no_failed_rollout(deployed: list[Manifest]) -> None:
    probe = container_of(deployed)["startupProbe"]

    start_s = probe["periodSeconds"] * probe["failureThreshold"]
    assert only(deployed, "Deployment")["spec"]["progressDeadlineSeconds"] > start_s


def test_memory_is_bounded_and_has_room_for_shared_memory(overlay: list[Manifest]) -> None:
    resources = container_of(overlay)["resources"]
    (shared,) = (
        volume["emptyDir"]
        for volume in pod_of(overlay)["spec"]["volumes"]
        if volume.get("emptyDir", {}).get("medium") == "Memory"
    )

    assert resources["requests"]["memory"] == resources["limits"]["memory"]
    assert "cpu" in resources["requests"]
    assert "cpu" not in resources["limits"]
    assert _bytes(shared["sizeLimit"]) <= _bytes(resources["limits"]["memory"]) / 2


def _bytes(quantity: str) -> int:
    return int(quantity[:-2]) * MEMORY_UNITS[quantity[-2:]]


def _settings_by_target(
    manifests: Path, built: Callable[[Path], list[Manifest]]
) -> Iterator[tuple[str, dict[str, str], str]]:
    for folder in OVERLAYS:
        documents = built(manifests / folder)
        yield folder, settings_of(documents), container_of(documents)["image"]


def test_every_folder_names_its_image_and_its_target(
    manifests: Path, built: Callable[[Path], list[Manifest]]
) -> None:
    found = {
        folder: (settings["BERTRITON_TARGET"], settings["BERTRITON_PRECISION"], image)
        for folder, settings, image in _settings_by_target(manifests, built)
    }

    assert found == {
        "cpu": ("cpu", "int8", "bertriton:cpu"),
        "gpu": ("cuda", "fp16", "bertriton:gpu"),
        "kserve": ("cpu", "int8", "bertriton:cpu"),
    }


def test_settings_are_options_of_the_export(manifests: Path, built: Callable[[Path], list[Manifest]]) -> None:
    """The images' entry point hands its environment on to `bertriton export`; one is for itself."""
    options = {option.envvar for option in export_command.params}

    for folder, settings, _ in _settings_by_target(manifests, built):
        ours = {name for name in settings if name.startswith("BERTRITON_")}
        assert len(ours) >= 3, folder
        assert ours - {ENGINE_TIMEOUT} <= options, folder


def test_gpu_pods_get_one_gpu_and_a_node_that_has_it(
    manifests: Path, built: Callable[[Path], list[Manifest]]
) -> None:
    documents = built(manifests / "gpu")
    pod, resources = pod_of(documents)["spec"], container_of(documents)["resources"]

    assert resources["requests"]["nvidia.com/gpu"] == resources["limits"]["nvidia.com/gpu"] == "1"
    assert pod["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    # Pods on several nodes write to it.
    assert only(documents, "PersistentVolumeClaim")["spec"]["accessModes"] == ["ReadWriteMany"]

"""Padded networks on a real Triton: text, padding and graph together answer as without any padding.

TensorRT needs a GPU, so the very file that is made for it is served by ONNX Runtime on the CPU here: of the
config only the backend and what belongs to it are changed.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from google.protobuf import text_format
from hypothesis import given, settings
from hypothesis import strategies as st
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelInstanceGroup
from tritonclient.utils import InferenceServerException

from bertriton import Client, contract
from bertriton_export import export
from bertriton_export.targets.tensorrt.profiles import engine_profiles, padded_lengths
from bertriton_server import LocalServer, ServerConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.any_server
TESTS = Path(__file__).parent.parent
CHECKPOINTS = {
    "embedded": TESTS.parent / "checkpoints" / "imdb-minilm",
    "bert": TESTS / "data" / "checkpoints" / "three-labels",
    "roberta": TESTS / "data" / "architectures" / "roberta-single",
    "distilbert": TESTS / "data" / "architectures" / "distilbert-multi",
}
MAX_LENGTH = 64  # of the checkpoint `bert`
TOLERANCE = 1e-4  # of logits, as for each of the two graphs
LONG = " ".join(f"word{index}" if index % 3 else "film" for index in range(90))
TEXTS: list[Any] = ["", "a wonderful film", LONG, ("one", LONG), (LONG, ""), "😀 très bien", "word " * 14]


def serve_on_cpu(config_file: Path) -> None:
    config = text_format.Parse(config_file.read_text(encoding="utf-8"), ModelConfig())
    config.backend = "onnxruntime"
    config.default_model_filename = ""
    del config.instance_group[:]
    config.instance_group.add(count=1, kind=ModelInstanceGroup.KIND_CPU)
    config.parameters.clear()
    config_file.write_text(text_format.MessageToString(config), encoding="utf-8")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """Every checkpoint twice: by its name, and padded as for TensorRT."""
    repository = tmp_path_factory.mktemp("repository")
    for name, checkpoint in CHECKPOINTS.items():
        export(checkpoint, name=name, repository=repository, precision="fp32")
        padded = f"{name}-padded"
        export(checkpoint, name=padded, repository=repository, target="tensorrt", precision="fp32")
        serve_on_cpu(repository / f"{padded}_bert" / "config.pbtxt")
    with LocalServer(ServerConfig(repository, stop_grace_s=0)) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: LocalServer) -> Iterator[Client]:
    with Client(server.grpc_url, timeout=600) as client:
        yield client


@pytest.fixture(scope="module")
def triton(server: LocalServer) -> Iterator[InferenceServerClient]:
    with InferenceServerClient(server.grpc_url) as triton:
        yield triton


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_padded_answers_are_those_without_padding(client: Client, name: str) -> None:
    expected = client.classify(TEXTS, model=name)

    together = client.classify(TEXTS, model=f"{name}-padded")
    alone = [client.classify(text, model=f"{name}-padded") for text in TEXTS]

    for found in (together, alone):
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one.logits, other.logits, rtol=0, atol=TOLERANCE)
            assert (one.label, one.labels) == (other.label, other.labels)
            assert (one.token_count, one.truncated) == (other.token_count, other.truncated)


@pytest.mark.parametrize("options", [{"truncation": "tail"}, {"truncation": "head_tail", "max_length": 20}])
def test_options_of_requests_mean_the_same(client: Client, options: dict[str, Any]) -> None:
    expected, found = (client.classify(TEXTS, model=name, **options) for name in ("bert", "bert-padded"))

    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.logits, other.logits, rtol=0, atol=TOLERANCE)


def tokens(triton: InferenceServerClient, rows: list[Any], **parameters: Any) -> list[Any]:
    """What the tokenizer gives the padded network: ids, types and positions."""
    texts = np.array([[text.encode() for text in row] for row in rows], dtype=np.object_)
    tensor = InferInput(contract.TEXT, list(texts.shape), "BYTES")
    tensor.set_data_from_numpy(texts)
    answer = triton.infer("bert-padded_tokenizer", [tensor], parameters=parameters, client_timeout=60)
    names = (contract.INPUT_IDS, contract.TOKEN_TYPE_IDS, contract.POSITION_IDS)
    return [answer.as_numpy(name) for name in names]


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from([LONG, "film " * 13])
rows = st.integers(1, 2).flatmap(lambda width: st.lists(st.tuples(*[texts] * width), min_size=1, max_size=9))
options = st.fixed_dictionaries(
    {},
    optional={
        "truncation": st.sampled_from(["head", "tail", "head_tail"]),
        "max_length": st.integers(5, MAX_LENGTH),
    },
)


@given(rows=rows, parameters=options)
@settings(max_examples=100, deadline=None)
def test_whatever_the_tokenizer_gives_has_a_profile(
    triton: InferenceServerClient, rows: list[Any], parameters: dict[str, Any]
) -> None:
    lengths = padded_lengths(MAX_LENGTH)

    ids, types, positions = tokens(triton, rows, **parameters)

    assert ids.shape == types.shape == positions.shape
    assert ids.shape[1] in lengths
    shapes = [(np.array(profile.smallest), np.array(profile.largest)) for profile in engine_profiles(lengths)]
    assert any((low <= ids.shape).all() and (ids.shape <= high).all() for low, high in shapes)
    is_token = positions != contract.PADDING_POSITION
    longest = is_token.sum(axis=1).max()
    assert ids.shape[1] == next(length for length in lengths if length >= longest)
    for row, real in zip(positions, is_token, strict=True):
        assert list(range(real.sum())) == row[real].tolist()
    assert not ids[~is_token].any()
    assert not types[~is_token].any()


def test_windows_are_refused_with_what_is_possible(client: Client, triton: InferenceServerClient) -> None:
    message = r"this network joins no windows, expected one of \['head', 'tail', 'head_tail', 'error'\]"
    with pytest.raises(InferenceServerException, match=message):
        tokens(triton, [(LONG,)], truncation="windows")

    assert client.classify(LONG, model="bert", truncation="windows").windows > 1


def test_requests_of_unequal_texts_share_batches(server: LocalServer, client: Client) -> None:
    texts = [("film " * (1 + index % 12)).strip() for index in range(200)]
    expected = [client.classify(text, model="embedded-padded") for text in texts[:12]]
    before = executions(server)

    with ThreadPoolExecutor(32) as pool:
        found = list(pool.map(lambda text: client.classify(text, model="embedded-padded"), texts))

    assert executions(server) - before < len(texts)
    for index, one in enumerate(found):
        np.testing.assert_allclose(one.logits, expected[index % 12].logits, rtol=0, atol=TOLERANCE)


def executions(server: LocalServer) -> int:
    with InferenceServerClient(server.grpc_url) as triton:
        statistics = triton.get_inference_statistics("embedded-padded_bert", as_json=True)
    return int(statistics["model_stats"][0]["execution_count"])


@pytest.mark.parametrize("name", ["embedded", "bert"])
def test_padded_answers_are_those_of_transformers(client: Client, name: str) -> None:
    golden = TESTS / "golden" / f"{CHECKPOINTS[name].name}.json"
    answers = json.loads(golden.read_text(encoding="utf-8"))
    texts = [text if isinstance(text, str) else tuple(text) for text in (one["text"] for one in answers)]

    found = [client.classify(text, model=f"{name}-padded", truncation="head") for text in texts]

    for one, answer in zip(found, answers, strict=True):
        np.testing.assert_allclose(one.logits, answer["logits"], rtol=0, atol=TOLERANCE)

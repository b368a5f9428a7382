"""Long texts on a real Triton: each request says what is kept of them, and a bad wish refuses it alone."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner
from tokenizers import Tokenizer
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

from bertriton import Client, cli, contract
from bertriton_export.reading import read_checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bertriton_server import LocalServer

pytestmark = pytest.mark.any_server
CHECKPOINT = Path(__file__).parent.parent / "data" / "checkpoints" / "three-labels"
MAX_LENGTH = 64
LONG = " ".join(f"word{index}" if index % 3 else "film" for index in range(40))
OTHER = " ".join(f"{index} reasons" for index in range(30))
SHORT = "one of the best films"


@pytest.fixture(scope="module")
def triton(golden_server: LocalServer) -> Iterator[InferenceServerClient]:
    with InferenceServerClient(golden_server.grpc_url) as client:
        yield client


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_str(read_checkpoint(CHECKPOINT).tokenizer_json)


def ask(triton: InferenceServerClient, row: tuple[str, ...], model: str, **parameters: Any) -> Any:
    texts = np.array([[text.encode() for text in row]], dtype=np.object_)
    tensor = InferInput(contract.TEXT, list(texts.shape), "BYTES")
    tensor.set_data_from_numpy(texts)
    return triton.infer(model, [tensor], parameters=parameters, client_timeout=60)


def served_ids(triton: InferenceServerClient, row: tuple[str, ...], **parameters: Any) -> list[int]:
    """What the tokenizer gives the network for one text or pair."""
    answer = ask(triton, row, "three-labels_tokenizer", **parameters)
    return [int(token) for token in answer.as_numpy(contract.INPUT_IDS)[0]]


@pytest.mark.parametrize("max_length", [3, 10, 11, MAX_LENGTH])
def test_every_way_keeps_its_part(
    triton: InferenceServerClient, tokenizer: Tokenizer, max_length: int
) -> None:
    cls, *whole, sep = tokenizer.encode(LONG).ids
    budget = max_length - 2
    tail = budget // 2
    way_to_kept = {
        "head": whole[:budget],
        "tail": whole[-budget:],
        "head_tail": whole[: budget - tail] + whole[len(whole) - tail :],
    }

    for way, kept in way_to_kept.items():
        assert [cls, *kept, sep] == served_ids(triton, (LONG,), truncation=way, max_length=max_length)


@pytest.mark.parametrize(("way", "side"), [("head", "right"), ("tail", "left")])
@pytest.mark.parametrize("pair", [(LONG, OTHER), (OTHER, LONG), (LONG, SHORT), (SHORT, LONG), ("", LONG)])
@pytest.mark.parametrize("max_length", [5, 33, MAX_LENGTH])
def test_pairs_lose_from_the_longer_text_as_in_hugging_face(
    triton: InferenceServerClient, pair: tuple[str, str], way: str, side: str, max_length: int
) -> None:
    tokenizer = Tokenizer.from_str(read_checkpoint(CHECKPOINT).tokenizer_json)
    tokenizer.enable_truncation(max_length, strategy="longest_first", direction=side)

    assert tokenizer.encode(*pair).ids == served_ids(triton, pair, truncation=way, max_length=max_length)


@pytest.mark.parametrize("way", ["head", "tail", "head_tail", "error"])
def test_short_texts_are_whole_whatever_is_asked(
    triton: InferenceServerClient, tokenizer: Tokenizer, way: str
) -> None:
    expected = tokenizer.encode(SHORT).ids

    assert expected == served_ids(triton, (SHORT,), truncation=way)
    assert expected == served_ids(triton, (SHORT,), truncation=way, max_length=len(expected))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"truncation": "middle"},
            r"expected \['head', 'tail', 'head_tail', 'error', 'windows'\], found 'middle'",
        ),
        ({"truncation": 3}, r"truncation: expected \['head'"),
        ({"max_length": 2}, "max_length: expected 3 to 64, found 2"),
        ({"max_length": 65}, "max_length: expected 3 to 64, found 65"),
        ({"max_length": 20.0}, "found 20.0"),
        ({"stride": -1}, "stride: expected 0 to 63, found -1"),
        ({"stride": "wide"}, "stride: expected 0 to 63, found 'wide'"),
        ({"aggregation": "median"}, r"aggregation: expected \['mean', 'max'\], found 'median'"),
        ({"max_length": "many"}, "found 'many'"),
        ({"max_length": True}, "found True"),
        ({"truncation": "error"}, r"row has \d+ tokens, at most 64 are read"),
        ({"truncation": "error", "max_length": 12}, "at most 12 are read"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_reason(
    triton: InferenceServerClient, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(InferenceServerException, match=message) as caught:
        ask(triton, (LONG,), "three-labels", **parameters)

    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"


def test_a_pair_needs_room_for_its_special_tokens(triton: InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match="expected 4 to 64, found 3"):
        ask(triton, (SHORT, LONG), "three-labels", max_length=3)


def test_refused_requests_do_not_disturb_their_neighbours(triton: InferenceServerClient) -> None:
    """Sent at once, requests of every kind share batches; each gets what it gets alone."""
    wishes: list[dict[str, Any]] = [
        {},
        {"truncation": "error"},
        {"truncation": "tail", "max_length": 20},
        {"truncation": "sideways"},
        {"truncation": "head_tail"},
    ]

    def outcome(index: int) -> Any:
        try:
            answer = ask(triton, (LONG,), "three-labels", **wishes[index % len(wishes)])
        except InferenceServerException as exc:
            return exc.message()
        return answer.as_numpy(contract.LOGITS).tolist()

    expected = [outcome(index) for index in range(len(wishes))]
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(outcome, range(100)))

    assert expected * 20 == found
    assert [isinstance(one, str) for one in expected] == [False, True, False, True, False]


def test_the_client_sends_its_options(golden_server: LocalServer) -> None:
    with Client(golden_server.grpc_url, "three-labels") as client:
        head, tail = (client.classify(LONG, truncation=way) for way in ("head", "tail"))
        short = client.classify(LONG, max_length=16)

    assert len({head.logits, tail.logits, short.logits}) == 3
    assert head.truncated
    assert head.token_count == tail.token_count == short.token_count > MAX_LENGTH


def logits(triton: InferenceServerClient, model: str, text: str, **parameters: Any) -> Any:
    return ask(triton, (text,), model, **parameters).as_numpy(contract.LOGITS)[0].tolist()


def test_a_request_that_does_not_say_follows_the_model(triton: InferenceServerClient) -> None:
    long = f"{'A lovely film. ' * 200}{'It is dull and I hated every minute. ' * 100}"
    head, both = (logits(triton, "imdb-minilm", long, truncation=way) for way in ("head", "head_tail"))

    assert logits(triton, "imdb-minilm", long) == both != head
    assert logits(triton, "imdb-minilm", long, max_length=32) == logits(
        triton, "imdb-minilm", long, max_length=32, truncation="head_tail"
    )


def test_every_default_is_followed_until_a_request_says_otherwise(triton: InferenceServerClient) -> None:
    own = {"truncation": "windows", "stride": 9, "aggregation": "max"}

    def with_defaults(**parameters: Any) -> Any:
        return logits(triton, "in-windows", LONG, **parameters)

    def without(**parameters: Any) -> Any:
        return logits(triton, "three-labels", LONG, **parameters)

    assert with_defaults() == without(**own) != without()
    for asked in ({"truncation": "head"}, {"stride": 0}, {"aggregation": "mean"}):
        assert with_defaults(**asked) == without(**{**own, **asked}) != with_defaults()


def test_client_and_command_follow_the_model(golden_server: LocalServer) -> None:
    with Client(golden_server.grpc_url, "in-windows") as client:
        default, head = client.classify(LONG), client.classify(LONG, truncation="head")
        info = client.info

    assert (info.truncation, info.stride, info.aggregation) == ("windows", 9, "max")
    assert default.windows > head.windows == 1
    connection = ["--url", golden_server.grpc_url, "--model", "in-windows", "--json"]
    for options, expected in (([], default), (["--truncation", "head"], head)):
        done = CliRunner().invoke(cli.bertriton, ["classify", LONG, *connection, *options])
        assert json.loads(done.output)["logits"] == list(expected.logits)

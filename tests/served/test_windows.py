"""Long texts in windows on a real Triton: scored one by one in one batch, joined to one answer a text."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.special import softmax
from tokenizers import Tokenizer

from bertriton import BertritonError, Client, InvalidOptionError
from bertriton_export import export
from bertriton_export.reading import read_checkpoint
from bertriton_export.verification import GraphSession

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bertriton_server import LocalServer

pytestmark = pytest.mark.any_server
CHECKPOINT = Path(__file__).parent.parent / "data" / "checkpoints" / "three-labels"
MAX_LENGTH = 64
TOLERANCE = 1e-5  # between one batch of windows and another
SHORT = "one of the best films"
LONG = " ".join(f"word{index}" if index % 3 else "film" for index in range(80))
OTHER = " ".join(f"{index} reasons to go" for index in range(90))


@pytest.fixture(scope="module")
def client(golden_server: LocalServer) -> Iterator[Client]:
    with Client(golden_server.grpc_url, "three-labels", timeout=120) as client:
        yield client


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> GraphSession:
    repository = tmp_path_factory.mktemp("repository")
    export(CHECKPOINT, name="tiny", repository=repository, precision="fp32")
    return GraphSession(repository / "tiny_bert" / "1" / "model.onnx")


def window_encodings(*text: str, stride: int, max_length: int = MAX_LENGTH) -> list[Any]:
    """The windows that Hugging Face's library cuts a text, or the second text of a pair, into."""
    tokenizer = Tokenizer.from_str(read_checkpoint(CHECKPOINT).tokenizer_json)
    strategy = "only_second" if len(text) > 1 else "longest_first"
    tokenizer.enable_truncation(max_length, stride=stride, strategy=strategy)
    encoding = tokenizer.encode(*text)
    return [encoding, *encoding.overflowing]


@pytest.mark.parametrize(("stride", "max_length"), [(0, MAX_LENGTH), (20, MAX_LENGTH), (5, 16), (13, 16)])
def test_scores_are_the_mean_over_the_windows_of_hugging_face(
    client: Client, graph: GraphSession, stride: int, max_length: int
) -> None:
    windows = window_encodings(LONG, stride=stride, max_length=max_length)
    logits = graph.logits(windows)

    answer = client.classify(LONG, truncation="windows", stride=stride, max_length=max_length)

    assert answer.windows == len(windows) > 1
    assert not answer.truncated
    np.testing.assert_allclose(answer.logits, logits.mean(axis=0), rtol=0, atol=TOLERANCE)
    probabilities = softmax(logits, axis=-1).mean(axis=0)
    np.testing.assert_allclose(list(answer.scores.values()), probabilities, rtol=0, atol=TOLERANCE)


def test_the_largest_score_of_each_label_counts_where_asked(client: Client, graph: GraphSession) -> None:
    logits = graph.logits(window_encodings(LONG, stride=0))

    answer = client.classify(LONG, truncation="windows", aggregation="max")

    np.testing.assert_allclose(answer.logits, logits.max(axis=0), rtol=0, atol=TOLERANCE)
    scores = softmax(logits, axis=-1).max(axis=0)
    np.testing.assert_allclose(list(answer.scores.values()), scores, rtol=0, atol=TOLERANCE)


def test_the_shorter_text_of_a_pair_is_in_every_window(client: Client, graph: GraphSession) -> None:
    windows = window_encodings(SHORT, LONG, stride=7)

    answer = client.classify((SHORT, LONG), truncation="windows", stride=7)

    assert answer.windows == len(windows) > 1
    assert not answer.truncated
    np.testing.assert_allclose(answer.logits, graph.logits(windows).mean(axis=0), rtol=0, atol=TOLERANCE)


def test_a_pair_of_two_long_texts_loses_from_the_shorter(client: Client) -> None:
    answer = client.classify((LONG, OTHER), truncation="windows")

    assert answer.windows > 1
    assert answer.truncated


def test_answers_are_bitwise_the_same_in_any_company(client: Client) -> None:
    texts = [SHORT, LONG, "", OTHER, "dull", f"{LONG} {OTHER}", SHORT * 3]
    ways = [{"truncation": "windows"}, {"truncation": "windows", "aggregation": "max"}, {}]

    alone = [[client.classify(text, **way) for text in texts] for way in ways]  # type: ignore[arg-type]

    together = [client.classify(texts, **way) for way in ways]  # type: ignore[arg-type]
    assert alone == together
    assert [answer.windows > 1 for answer in alone[0]] == [len(text) > len(SHORT) * 3 for text in texts]
    for with_windows, without in zip(alone[0], alone[2], strict=True):
        assert with_windows.windows > 1 or with_windows == without


def test_requests_of_every_way_share_batches(client: Client) -> None:
    wishes: list[dict[str, Any]] = [
        {},
        {"truncation": "windows", "stride": 9},
        {"truncation": "windows", "aggregation": "max"},
        {"truncation": "tail"},
    ]
    work = list(itertools.product([SHORT, LONG, OTHER], wishes)) * 8
    expected = [client.classify(text, **wish) for text, wish in work[:12]] * 8

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda one: client.classify(one[0], **one[1]), work))

    assert expected == found


@pytest.mark.pieces
def test_a_hundred_thousand_words_get_one_answer(client: Client) -> None:
    words = ["the", "film", "is", "good", "and", "its", "end", "is", "not"]
    text = " ".join(itertools.islice(itertools.cycle(words), 100_000))

    answer = client.classify(text, truncation="windows")

    assert answer.token_count > 100_000
    assert answer.windows == -(-(answer.token_count - 2) // (MAX_LENGTH - 2))
    assert sum(answer.scores.values()) == pytest.approx(1, abs=1e-5)


@pytest.mark.pieces
def test_windows_over_the_limit_are_refused_with_their_number(client: Client) -> None:
    with pytest.raises(BertritonError, match="300000 windows a row are over 262144 tokens"):
        client.classify("a " * 300_000, truncation="windows", max_length=3)


@pytest.mark.parametrize("options", [{"stride": -1}, {"stride": 1.5}, {"aggregation": "median"}])
def test_the_client_refuses_what_no_server_takes(client: Client, options: Any) -> None:
    with pytest.raises(InvalidOptionError):
        client.classify(LONG, truncation="windows", **options)

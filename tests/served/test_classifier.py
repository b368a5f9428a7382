"""The classifier on a real Triton, asked by plain Triton clients: any text is answered or refused."""

from __future__ import annotations

import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from bertriton import contract

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bertriton_server import LocalServer

pytestmark = pytest.mark.any_server
GOLDEN = Path(__file__).parent.parent / "golden"
TOLERANCE = 1e-4
MAX_LENGTH = 512

ODD_TEXTS = {
    "empty": "",
    "spaces": "  \t \n ",
    "emoji": "great 😀👍🏽",
    "NUL bytes": "a\x00b\x00",
    "CJK": "素晴らしい映画でした 很好看",
    "right to left": "فيلم رائع جدا \u202e abc",
    "combining marks": "e\u0301" * 50,
    "one long word": "x" * 10_000,
    "a megabyte": "good " * 200_000,
}
REFUSED_TEXTS = {
    "invalid UTF-8": (b"good \xff film", "not UTF-8 at byte 5"),
    "lone surrogate": (b"\xed\xa0\x80", "not UTF-8 at byte 0"),
    "cut-off character": ("é".encode()[:1], "not UTF-8 at byte 0"),
    "too long": (b"x" * (3 * 2**20), "has 3145728 bytes, at most"),
}


@pytest.fixture(scope="module")
def triton(imdb_server: LocalServer) -> Iterator[InferenceServerClient]:
    with InferenceServerClient(imdb_server.grpc_url) as client:
        yield client


def ask(
    triton: InferenceServerClient, rows: list[tuple[bytes, ...]], model: str = "imdb", **options: Any
) -> Any:
    texts = np.array(rows, dtype=np.object_)
    tensor = InferInput(contract.TEXT, list(texts.shape), "BYTES")
    tensor.set_data_from_numpy(texts)
    return triton.infer(model, [tensor], client_timeout=60, **options)


def logits(triton: InferenceServerClient, rows: list[tuple[bytes, ...]]) -> Any:
    return ask(triton, rows).as_numpy(contract.LOGITS)


@pytest.mark.parametrize("name", [file.stem for file in sorted(GOLDEN.glob("*.json"))])
def test_fp32_answers_are_those_of_transformers(golden_server: LocalServer, name: str) -> None:
    answers = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))

    with InferenceServerClient(golden_server.grpc_url) as triton:
        for answer in answers:
            text = answer["text"]
            row = tuple(part.encode() for part in ([text] if isinstance(text, str) else text))
            cut = {"truncation": "head"}  # as Transformers does, whatever the model's own way
            found = ask(triton, [row], model=name, parameters=cut).as_numpy(contract.LOGITS)[0]
            np.testing.assert_allclose(found, answer["logits"], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS)
def test_odd_text_is_answered(triton: InferenceServerClient, text: str) -> None:
    answer = ask(triton, [(text.encode(),)])

    probabilities = answer.as_numpy(contract.PROBABILITIES)
    assert probabilities.shape == (1, 2)
    assert probabilities.sum() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(("text", "message"), REFUSED_TEXTS.values(), ids=REFUSED_TEXTS)
def test_unreadable_text_is_refused_with_its_reason(
    triton: InferenceServerClient, text: bytes, message: str
) -> None:
    with pytest.raises(InferenceServerException, match=message) as caught:
        ask(triton, [(b"fine",), (text,)])

    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert "row 1" in str(caught.value.message())


def test_three_texts_a_row_are_refused(triton: InferenceServerClient) -> None:
    with pytest.raises(
        InferenceServerException, match=r"expected shape \[rows, 1\] or, for pairs, \[rows, 2\]"
    ):
        ask(triton, [(b"a", b"b", b"c")])


def test_bad_requests_do_not_fail_their_neighbours(triton: InferenceServerClient) -> None:
    """Sent at once, good and bad requests share batches in the tokenizer."""
    good = b"a wonderful film"
    expected = logits(triton, [(good,)])

    def outcome(index: int) -> Any:
        if index % 3:
            return logits(triton, [(good,)])
        with pytest.raises(InferenceServerException, match="not UTF-8"):
            ask(triton, [(b"\xff",)])
        return None

    with ThreadPoolExecutor(30) as pool:
        outcomes = list(pool.map(outcome, range(120)))

    answered = [found for found in outcomes if found is not None]
    assert len(answered) == 80
    for found in answered:
        np.testing.assert_array_equal(found, expected)


def test_concurrent_requests_share_batches_and_get_their_own_answers(triton: InferenceServerClient) -> None:
    texts = [(f"film number {index} was " + "very " * (index % 50) + "good").encode() for index in range(200)]
    expected = np.concatenate([logits(triton, [(text,)]) for text in texts])
    before = _executions(triton)

    with ThreadPoolExecutor(32) as pool:
        found = np.concatenate(list(pool.map(lambda text: logits(triton, [(text,)]), texts)))

    np.testing.assert_array_equal(found, expected)
    assert _executions(triton) - before < len(texts)


def _executions(triton: InferenceServerClient) -> int:
    statistics = triton.get_inference_statistics("imdb_bert", as_json=True)
    return int(statistics["model_stats"][0]["execution_count"])


def test_many_rows_of_unequal_length_answer_as_alone(triton: InferenceServerClient) -> None:
    rows = [(("good " * length).encode(),) for length in (1, 40, 7, 600, 0, 3)]

    together = ask(triton, rows)

    alone = np.concatenate([logits(triton, [row]) for row in rows])
    np.testing.assert_array_equal(together.as_numpy(contract.LOGITS), alone)
    assert [3, 42, 9, 602, 2, 5] == together.as_numpy(contract.TOKEN_COUNT)[:, 0].tolist()
    assert [False, False, False, True, False, False] == together.as_numpy(contract.TRUNCATED)[:, 0].tolist()


def test_longest_text_without_truncation_fits_exactly(triton: InferenceServerClient) -> None:
    words = MAX_LENGTH - 2

    for extra, truncated in ((0, False), (1, True)):
        answer = ask(triton, [(("good " * (words + extra)).encode(),)])
        assert truncated == bool(answer.as_numpy(contract.TRUNCATED)[0, 0])
        assert MAX_LENGTH + extra == int(answer.as_numpy(contract.TOKEN_COUNT)[0, 0])


def test_classification_extension_gives_label_names_over_grpc(triton: InferenceServerClient) -> None:
    outputs = [InferRequestedOutput(contract.PROBABILITIES, class_count=2)]

    answer = ask(triton, [(b"a wonderful film",)], outputs=outputs).as_numpy(contract.PROBABILITIES)

    scores, _, labels = zip(*(entry.decode().split(":") for entry in answer[0]), strict=True)
    assert ("pos", "neg") == labels
    assert float(scores[0]) > 0.9


def test_classification_extension_gives_label_names_over_http(imdb_server: LocalServer) -> None:
    request = {
        "inputs": [{"name": "text", "shape": [1, 1], "datatype": "BYTES", "data": ["a wonderful film"]}],
        "outputs": [{"name": "probabilities", "parameters": {"classification": 2}}],
    }

    url = f"{imdb_server.http_url}/v2/models/imdb/infer"
    with urllib.request.urlopen(url, json.dumps(request).encode()) as response:
        answer = json.load(response)

    entries = answer["outputs"][0]["data"]
    assert ["pos", "neg"] == [entry.split(":")[2] for entry in entries]


def test_accuracy_on_unseen_reviews_holds(triton: InferenceServerClient, reviews: list[Any]) -> None:
    """Short snippets of another kind than the training's: the floor is a little under what was measured."""
    unseen = [review for review in reviews if not review.seen_in_training]

    rows = [(review.text.encode(),) for review in unseen]
    scores = np.concatenate([logits(triton, rows[start : start + 50]) for start in range(0, len(rows), 50)])

    right = [("neg", "pos")[row.argmax()] == review.label for row, review in zip(scores, unseen, strict=True)]
    assert len(unseen) == 200
    assert np.mean(right) > 0.75


@pytest.mark.pieces
def test_short_requests_overtake_one_of_many_long_texts(triton: InferenceServerClient) -> None:
    long_rows = [(f"{index} " + "good " * MAX_LENGTH).encode() for index in range(64)]
    expected = logits(triton, [(b"a wonderful film",)])

    with ThreadPoolExecutor(1) as pool:
        large = pool.submit(logits, triton, [(row,) for row in long_rows])
        answers = []
        while not large.done():
            answers.append(logits(triton, [(b"a wonderful film",)]))

    assert len(answers) > 1  # without turns the first would have come after the large one
    for answer in answers:
        np.testing.assert_array_equal(answer, expected)
    alone = np.concatenate([logits(triton, [(row,)]) for row in long_rows[::21]])
    np.testing.assert_array_equal(large.result()[::21], alone)

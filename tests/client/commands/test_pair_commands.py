"""`classify --candidate-label` and `rerank` print what the client says."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from bertriton import ClassifierInfo, Client, cli
from bertriton._files import FileJob, description
from bertriton.contract import SINGLE_LABEL

if TYPE_CHECKING:
    from pathlib import Path

    from bertriton_server import LocalServer

CANDIDATES = ("war, and peace", "sport")
TEXTS = ("a pleasant enough movie", "dull from its first minute")


def run(server: LocalServer, *words: str, model: str = "nli", **settings: Any) -> Any:
    arguments = [*words, "--url", server.grpc_url, "--model", model]
    return CliRunner().invoke(cli.bertriton, arguments, **settings)


def candidates() -> list[str]:
    return [word for candidate in CANDIDATES for word in ("--candidate-label", candidate)]


def test_zero_shot_prints_the_best_candidate(golden_server: LocalServer) -> None:
    with Client(golden_server.grpc_url, "nli") as client:
        expected = client.classify(list(TEXTS), candidate_labels=CANDIDATES)

    found = run(golden_server, "classify", *TEXTS, *candidates())

    assert found.exit_code == 0, found.output
    for line, answer, text in zip(found.output.splitlines(), expected, TEXTS, strict=True):
        assert line == f"{answer.label.ljust(len(CANDIDATES[0]))}  {answer.score:.4f}  {text}"


def test_zero_shot_in_json_is_the_whole_answer(golden_server: LocalServer) -> None:
    options: dict[str, Any] = {"hypothesis_template": "It is {}.", "multi_label": True}
    with Client(golden_server.grpc_url, "nli") as client:
        expected = client.classify(TEXTS[0], candidate_labels=CANDIDATES, **options)

    found = run(
        golden_server,
        *("classify", TEXTS[0], "--json", "--multi-label", "--hypothesis-template", "It is {}."),
        *candidates(),
    )

    assert json.loads(found.output) == {"text": TEXTS[0], **expected.to_dict()}


def test_candidates_stand_between_commas_in_the_variable(golden_server: LocalServer) -> None:
    environment = {"BERTRITON_CANDIDATE_LABEL": "war and peace,sport", "BERTRITON_JSON": "true"}

    found = run(golden_server, "classify", TEXTS[0], env=environment)

    assert set(json.loads(found.output)["scores"]) == {"war and peace", "sport"}


def test_a_file_gets_the_candidates_as_columns(golden_server: LocalServer, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    files = ("--input", str(tmp_path / "texts.txt"), "--output", str(tmp_path / "answers.csv"))

    found = run(golden_server, "classify", *files, "--all-scores", *candidates())

    assert found.exit_code == 0, found.output
    with (tmp_path / "answers.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["text"] for row in rows] == list(TEXTS)
    for row in rows:
        scores = {name: float(row[f"predicted_score_{name}"]) for name in CANDIDATES}
        assert row["predicted_label"] == max(scores, key=lambda name: scores[name])
        assert sum(scores.values()) == pytest.approx(1)


def test_a_later_run_knows_the_candidates_of_an_earlier_one(tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("a text\n", encoding="utf-8")
    job = FileJob(tmp_path / "texts.txt", tmp_path / "answers.csv")
    info = ClassifierInfo("nli", ("ENTAILMENT", "OTHER"), SINGLE_LABEL, 64, 8, "5e0c", "0" * 16)

    found = description(job, info, {"candidate_labels": CANDIDATES})

    assert json.loads(json.dumps(found)) == found
    assert found != description(job, info, {"candidate_labels": CANDIDATES[:1]})


def test_rerank_prints_the_best_document_first(golden_server: LocalServer) -> None:
    documents = ("a dull film", "war", "one of the best\nfilms")
    with Client(golden_server.grpc_url, "reranker") as client:
        expected = client.rerank("a film", documents)

    found = run(golden_server, "rerank", "a film", *documents, model="reranker")

    assert found.output.splitlines() == [
        f"{one.score:.4f}  {' '.join(one.document.split())}" for one in expected
    ]
    found = run(golden_server, "rerank", "a film", *documents, "--json", "--top-k", "1", model="reranker")
    assert json.loads(found.output) == expected[0].to_dict()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("classify", "a text", "--candidate-label", " "), "candidate_labels: expected at least one text"),
        (("classify", "a text", "--multi-label"), "multi_label: expected candidate_labels with it"),
        (
            ("classify", "a text", "--candidate-label", "war", "--hypothesis-template", "It is."),
            "hypothesis_template: expected {} where the label goes",
        ),
        (("rerank", "a query", "a document"), "rerank: model 'nli' has 3 logits"),
    ],
)
def test_what_cannot_be_asked_is_one_line(
    golden_server: LocalServer, words: tuple[str, ...], message: str
) -> None:
    found = run(golden_server, *words)

    assert found.exit_code == 1
    (line,) = found.output.splitlines()
    assert message in line

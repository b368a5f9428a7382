"""`bertriton evaluate` as a shell sees it, against a real server."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from sklearn.metrics import classification_report, confusion_matrix

from bertriton import Client
from bertriton.cli import bertriton
from bertriton_export import export
from bertriton_server import LocalServer, ServerConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from click.testing import Result
    from conftest import Review

ROOT = Path(__file__).parent.parent.parent
EMBEDDED_CHECKPOINT = ROOT / "checkpoints" / "imdb-minilm"
REVIEWS = ROOT / "tests" / "data" / "reviews.csv"
ARCHITECTURES = ROOT / "tests" / "data" / "architectures"


@pytest.fixture(scope="session")
def other_heads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """A server of models that give no single label."""
    repository = tmp_path_factory.mktemp("heads")
    for name in ("bert-multi", "bert-regression"):
        export(ARCHITECTURES / name, repository=repository, precision="fp32")
    with LocalServer(ServerConfig(repository, stop_grace_s=0)) as server:
        yield server


def _failure(result: Result) -> str:
    """The one line of a command that failed."""
    assert result.exit_code == 1, result.output
    (line,) = result.stderr.splitlines()
    return str(line)


def test_figures_are_those_of_the_clients_own_answers(
    evaluate: Callable[..., Result], imdb_server: LocalServer, reviews: list[Review], tmp_path: Path
) -> None:
    result = evaluate("--data", REVIEWS, "--json")

    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    with Client(imdb_server.grpc_url) as client:
        answers = client.classify([review.text for review in reviews])
    expected, said = [review.label for review in reviews], [answer.label for answer in answers]
    assert found["metrics"]["table"] == classification_report(expected, said, digits=4).rstrip()
    assert found["metrics"]["confusion"] == confusion_matrix(expected, said).tolist()
    assert found["metrics"]["truncated_share"] == sum(answer.truncated for answer in answers) / len(answers)
    read = sum(min(answer.token_count, 512) for answer in answers)
    assert (found["speed"]["texts"], found["speed"]["tokens"]) == (len(reviews), read)
    assert found["speed"]["tokens_per_s"] == pytest.approx(read / found["speed"]["seconds"])
    assert (found["model"], found["failed"], found["comparison"]) == ("imdb", 0, None)
    assert found["options"] == {"truncation": "head_tail"}  # the model's own, since none was asked for
    # Nothing is left in the cache once the figures are there.
    assert list((tmp_path / "cache").rglob("*.*")) == []


def test_a_wrong_label_is_the_first_thing_to_read(
    evaluate: Callable[..., Result], reviews: list[Review], tmp_path: Path
) -> None:
    file, page = tmp_path / "texts.csv", tmp_path / "page.html"
    known = [review for review in reviews if review.seen_in_training]
    rows = [(review.label, review.text) for review in known]
    rows[0] = ("neg" if known[0].label == "pos" else "pos", known[0].text)
    with file.open("w", newline="") as opened:
        csv.writer(opened).writerows([("label", "text"), *rows])

    found = json.loads(evaluate("--data", file, "--json", "--html", page).stdout)["weak_spots"]

    first = found["most_confident_mistakes"][0]
    assert (first["row"], first["label"], first["text"]) == (1, *rows[0])
    assert (first["said"], first["truncated"]) == (known[0].label, True)
    assert "row 1 · is" in page.read_text(encoding="utf-8")
    assert found["truncated"] == len(known)


def test_people_get_the_table_of_a_card(evaluate: Callable[..., Result]) -> None:
    result = evaluate("--data", REVIEWS)

    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert ["precision", "recall", "f1-score", "support"] in [line.split() for line in lines]
    for begin in ("neg ", "pos ", "accuracy ", "macro avg ", "weighted avg "):
        assert any(line.lstrip().startswith(begin) for line in lines), begin
    for words in (
        "expected calibration error",
        "texts were truncated",
        "texts/s",
        "accuracy by length",
        "mistakes, ",
    ):
        assert words in result.stdout


def test_the_command_of_the_guide_writes_a_page(
    evaluate: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guide = (ROOT / "docs" / "how-to" / "export.md").read_text(encoding="utf-8")
    (words,) = re.findall(r"^\$ bertriton evaluate (.*)$", guide, re.MULTILINE)
    shutil.copy(REVIEWS, tmp_path)
    monkeypatch.chdir(tmp_path)

    assert evaluate(*words.split()).exit_code == 0
    assert (tmp_path / "report.html").read_text().startswith("<!DOCTYPE html>")


def test_how_texts_are_read_is_a_matter_of_options(evaluate: Callable[..., Result]) -> None:
    words = ("--data", REVIEWS, "--json", "--max-length", "16")
    cut = json.loads(evaluate(*words, "--truncation", "tail").stdout)
    whole = json.loads(evaluate(*words, "--truncation", "windows").stdout)

    assert cut["options"] == {"truncation": "tail", "max_length": 16}
    assert cut["metrics"]["truncated_share"] > 0.5
    assert whole["metrics"]["truncated_share"] == 0
    assert whole["speed"]["tokens"] > cut["speed"]["tokens"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_kept_predictions_can_be_compared_with(
    evaluate: Callable[..., Result], tmp_path: Path, suffix: str
) -> None:
    output = tmp_path / f"short{suffix}"
    short = evaluate("--data", REVIEWS, "--json", "--max-length", "8", "--output", output)

    result = evaluate("--data", REVIEWS, "--json", "--compare", output)

    assert result.exit_code == 0, result.output
    evaluation = json.loads(result.stdout)
    comparison = evaluation["comparison"]
    assert comparison["other_accuracy"] == json.loads(short.stdout)["metrics"]["accuracy"]
    assert comparison["accuracy"] == evaluation["metrics"]["accuracy"]
    assert comparison["other"] == output.name
    assert 0 < comparison["agreement"] < 1
    gain = comparison["right_alone"] - comparison["other_right_alone"]
    assert gain / comparison["texts"] == pytest.approx(comparison["accuracy"] - comparison["other_accuracy"])
    assert comparison["most_different"][0]["difference"] == comparison["max_difference"]


def test_another_server_can_be_compared_with(
    evaluate: Callable[..., Result], golden_server: LocalServer
) -> None:
    words = ("--data", REVIEWS, "--compare", golden_server.grpc_url, "--compare-model", "imdb-minilm")
    result = evaluate(*words, "--json")

    assert result.exit_code == 0, result.output
    comparison = json.loads(result.stdout)["comparison"]
    assert comparison["texts"] == 220
    assert comparison["agreement"] > 0.95  # int8 against fp32 of one checkpoint
    assert 0 < comparison["mean_difference"] < 0.02
    told = evaluate(*words).stdout
    assert "exact McNemar test" in told
    lines = told[told.index("the most different texts") :].splitlines()
    assert ["row", "differ", "by", "label", "said", "other", "text"] == lines[1].split()
    row = comparison["most_different"][0]
    assert [str(row["row"]), f"{row['difference']:.4f}", row["label"]] == lines[2].split()[:3]


def test_models_of_other_labels_are_not_compared(
    evaluate: Callable[..., Result], golden_server: LocalServer
) -> None:
    result = evaluate(
        "--data", REVIEWS, "--compare", golden_server.grpc_url, "--compare-model", "three-labels"
    )

    assert "three-labels at" in _failure(result)
    assert "expected the labels neg, pos, found" in _failure(result)


def test_a_checkpoint_is_served_for_as_long_as_it_takes(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    words = ["--checkpoint", str(EMBEDDED_CHECKPOINT), "--precision", "fp32", "--output", str(output)]

    result = CliRunner().invoke(bertriton, ["evaluate", "--data", str(REVIEWS), "--json", *words])

    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["model"] == "imdb-minilm"
    assert output.read_text().count("\n") == 220


def test_an_accuracy_that_is_too_low_fails_with_one_line(evaluate: Callable[..., Result]) -> None:
    words = ("--data", REVIEWS, "--json", "--min-accuracy")

    passed, failed = evaluate(*words, "0.5"), evaluate(*words, "1")

    assert passed.exit_code == 0
    assert _failure(failed).startswith("Error: accuracy 0.")
    assert _failure(failed).endswith(" is under --min-accuracy 1.0")
    assert json.loads(failed.stdout)["metrics"] == json.loads(passed.stdout)["metrics"]


def test_a_gate_does_not_pass_by_what_could_not_be_classified(
    evaluate: Callable[..., Result], tmp_path: Path
) -> None:
    rows: list[dict[str, str | None]] = [{"text": "A warm, wonderful film.", "label": "pos"}] * 3
    rows += [{"text": None, "label": "neg"}]
    file = tmp_path / "in.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))

    passed, failed = (
        evaluate("--data", file, "--json", "--min-accuracy", least) for least in ("0.75", "0.8")
    )

    assert passed.exit_code == 0, passed.output
    assert json.loads(failed.stdout)["metrics"]["accuracy"] == 1
    assert _failure(failed) == (
        "Error: 1 of 4 texts could not be classified: accuracy 1.0000 without them, and 0.7500 with each "
        "counted as wrong, which is under --min-accuracy 0.8"
    )


def test_a_text_that_cannot_be_classified_is_told_and_in_no_figure(
    evaluate: Callable[..., Result], tmp_path: Path
) -> None:
    rows = [{"text": "A warm, wonderful film.", "label": "pos"}, {"text": None, "label": "neg"}]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    result = evaluate("--data", tmp_path / "in.jsonl")

    assert result.exit_code == 0, result.output
    assert "1 texts could not be classified and are in no figure; row 2: expected a str" in result.stdout
    (tmp_path / "in.jsonl").write_text(json.dumps(rows[1]) + "\n")
    assert "no text could be classified: row 1: " in _failure(evaluate("--data", tmp_path / "in.jsonl"))


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--data", "nowhere.csv"), "cannot read nowhere.csv: No such file or directory"),
        (("--data", REVIEWS, "--label-column", "sentiment"), "found source, seen_in_training, label, text"),
        (("--data", REVIEWS, "--text-column", "review"), "has no column 'review': found source"),
        (("--data", REVIEWS, "--label-column", "source"), "row 1: source is 'rotten_tomatoes'"),
        (("--data", REVIEWS, "--compare", "nothing.csv"), "cannot read nothing.csv"),
        (("--data", REVIEWS, "--compare", REVIEWS), "is not a file of predictions"),
        (("--data", REVIEWS, "--html", "nowhere/report.html"), "there is no folder nowhere"),
        (("--data", REVIEWS, "--update-card", "nowhere.md"), "no model card nowhere.md"),
        (("--data", REVIEWS, "--output", "out.txt"), "out.txt: expected one of .csv"),
        (("--data", REVIEWS, "--model", "other"), "other"),
    ],
    ids=str,
)
def test_what_is_wrong_is_one_line(
    evaluate: Callable[..., Result], arguments: tuple[str | Path, ...], problem: str
) -> None:
    assert problem in _failure(evaluate(*arguments))


def test_predictions_are_no_texts_to_evaluate(evaluate: Callable[..., Result], tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    evaluate("--data", REVIEWS, "--output", output)

    problem = _failure(evaluate("--data", output))

    assert "holds predictions already (column 'predicted_label')" in problem


@pytest.mark.parametrize(
    ("model", "problem_type"),
    [("bert-multi", "multi_label_classification"), ("bert-regression", "regression")],
)
def test_models_without_a_single_label_are_refused(
    evaluate: Callable[..., Result], other_heads: LocalServer, model: str, problem_type: str
) -> None:
    result = evaluate("--data", REVIEWS, "--model", model, url=other_heads.grpc_url)

    assert f"{model} is a model for {problem_type}: only single_label_classification" in _failure(result)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--precision", "fp32"),
        ("--label-map", "good"),
        ("--label-map", "good=pos", "--label-map", "good=neg"),
        ("--checkpoint", "somewhere", "--url", "localhost:1"),
        ("--checkpoint", "somewhere", "--model", "imdb"),
    ],
    ids=str,
)
def test_options_that_contradict_each_other_are_a_usage_error(arguments: tuple[str, ...]) -> None:
    result = CliRunner().invoke(bertriton, ["evaluate", "--data", str(REVIEWS), *arguments])

    assert result.exit_code == 2, result.output


def test_a_report_that_nobody_would_see_is_refused(imdb_server: LocalServer, tmp_path: Path) -> None:
    command = f"{sys.executable} -m bertriton evaluate --data {REVIEWS} --url {imdb_server.grpc_url}"

    unseen = subprocess.run(["bash", "-c", f"{command} >&-"], capture_output=True, check=False)
    kept = subprocess.run(["bash", "-c", f"{command} --output {tmp_path / 'out.csv'} >&-"], check=False)

    assert unseen.returncode == 2
    assert b"standard output is closed: give --html, --update-card or --output" in unseen.stderr
    assert kept.returncode == 0
    assert (tmp_path / "out.csv").exists()


def test_a_checkpoint_that_cannot_be_exported_is_one_line() -> None:
    result = CliRunner().invoke(bertriton, ["evaluate", "--data", str(REVIEWS), "--checkpoint", "nowhere"])

    assert _failure(result).startswith("Error: nowhere: no such file or folder")


def test_a_card_gets_its_section_once_and_only_of_its_own_model(
    evaluate: Callable[..., Result], exported_imdb: Path, tmp_path: Path
) -> None:
    (tmp_path / "imdb").mkdir()
    card = tmp_path / "imdb" / "MODEL_CARD.md"
    shutil.copy(exported_imdb / "imdb" / "MODEL_CARD.md", card)
    before = card.read_text(encoding="utf-8")

    assert evaluate("--data", REVIEWS, "--update-card", tmp_path).exit_code == 0  # the repository
    once = card.read_text(encoding="utf-8")
    with card.open("a", encoding="utf-8") as file:
        file.write("\nA note of ours.\n")
    result = evaluate("--data", REVIEWS, "--update-card", card, "--json")

    assert once.startswith(before)
    assert card.read_text(encoding="utf-8") == once + "\nA note of ours.\n"
    assert json.loads(result.stdout)["metrics"]["table"] in once
    card.write_text("# another model\n")
    assert "is not the card of imdb" in _failure(evaluate("--data", REVIEWS, "--update-card", card))
    assert card.read_text() == "# another model\n"


def test_pairs_are_sent_as_pairs(evaluate: Callable[..., Result], tmp_path: Path) -> None:
    file = tmp_path / "pairs.csv"
    with file.open("w", newline="") as opened:
        csv.writer(opened).writerows([("a", "b", "label"), ("good", "film", "pos"), ("awful", "film", "neg")])

    result = evaluate("--data", file, "--text-column", "a", "--pair-column", "b", "--json")

    assert json.loads(result.stdout)["speed"]["tokens"] == 2 * 5


def test_a_user_without_a_home_is_told_what_to_set(
    imdb_server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1_000_660_000)  # of no account, as OpenShift gives them
    words = ["evaluate", "--url", imdb_server.grpc_url, "--data", str(REVIEWS)]

    result = CliRunner().invoke(bertriton, words, env={"HOME": None, "XDG_CACHE_HOME": None})

    assert "XDG_CACHE_HOME" in _failure(result)

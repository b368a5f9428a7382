"""What perf_analyzer leaves behind is read as it is; tests/bench/data was recorded from a real run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bertriton_bench.errors import MeasurementError
from bertriton_bench.profile_export import percentile, read_requests, read_steps

DATA = Path(__file__).parent / "data"


def test_requests_come_in_the_order_of_their_answers_with_the_servers_token_counts() -> None:
    found = read_requests(DATA / "profile.json")

    assert len(found) == 12
    assert [each.answered_s for each in found] == sorted(each.answered_s for each in found)
    assert {9, 10, 13, 4} >= {each.token_count for each in found}
    assert all(each.answered_s > each.sent_s for each in found)
    assert all(sum(each.probabilities) == pytest.approx(1) for each in found)


def test_steps_have_queue_and_all_compute_columns_in_milliseconds() -> None:
    tokenizer, network = read_steps(DATA / "report.csv", "imdb")

    assert (tokenizer.model, network.model) == ("imdb_tokenizer", "imdb_bert")
    assert tokenizer.queue_ms == pytest.approx(0.161)
    assert tokenizer.compute_ms == pytest.approx(0.047 + 5.215 + 0.350)


@pytest.mark.parametrize(
    "content", ["", "[]", '{"experiments": []}', '{"experiments": [{"requests": [{"timestamp": 1}]}]}']
)
def test_file_of_another_kind_is_refused(content: str, tmp_path: Path) -> None:
    file = tmp_path / "profile.json"
    file.write_text(content)

    with pytest.raises(MeasurementError, match=r"profile\.json is not a profile export of a classifier"):
        read_requests(file)


def test_step_without_a_file_is_named(tmp_path: Path) -> None:
    shutil.copy(DATA / "imdb_tokenizer_v1.report.csv", tmp_path)

    with pytest.raises(MeasurementError, match="no CSV file for the step imdb_bert"):
        read_steps(tmp_path / "report.csv", "imdb")


def test_model_that_is_no_classifier_is_refused(tmp_path: Path) -> None:
    document = json.loads((DATA / "profile.json").read_text())
    for entry in document["experiments"][0]["requests"]:
        entry["response_outputs"] = [{"y": 1.0}]
    file = tmp_path / "profile.json"
    file.write_text(json.dumps(document))

    with pytest.raises(MeasurementError, match="token_count"):
        read_requests(file)


def test_percentile_is_a_value_that_was_seen() -> None:
    assert percentile([3.0, 1.0, 2.0, 4.0], 50) == 2.0
    assert percentile([3.0, 1.0, 2.0, 4.0], 99) == 4.0
    assert percentile([7.0], 50) == 7.0

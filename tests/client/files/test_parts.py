"""The columns that an answer becomes, by what its model gives."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from bertriton import ClassifierInfo, Client, contract
from bertriton._files import FileFormatError, FileJob, run
from bertriton._files.parts import AddedColumns

if TYPE_CHECKING:
    from pathlib import Path

    from bertriton_server import LocalServer


def _info(problem_type: str, labels: tuple[str, ...]) -> ClassifierInfo:
    return ClassifierInfo("m", labels, problem_type, 512, 8, "5e0c", "0" * 16)


def test_labels_and_value_are_columns_where_the_model_has_them() -> None:
    def names(info: ClassifierInfo) -> set[str]:
        return set(AddedColumns("", info, all_scores=False).names)

    common = {"label", "score", "token_count", "truncated", "windows", "error"}
    assert names(_info(contract.SINGLE_LABEL, ("a", "b"))) == common
    assert names(_info(contract.MULTI_LABEL, ("a", "b"))) == common | {"labels"}
    assert names(_info(contract.REGRESSION, ("a",))) == common | {"value"}
    assert names(_info(contract.REGRESSION, ("a", "b"))) == common


@pytest.mark.parametrize("late", [False, True])
def test_a_column_that_would_be_added_is_refused_wherever_it_appears(
    imdb_server: LocalServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    late: bool,  # noqa: FBT001
) -> None:
    client = Client(imdb_server.grpc_url)
    monkeypatch.setattr(client, "classify_iter", lambda *_, **__: pytest.fail("a text was sent"))
    rows = [{"text": "a"}, {"text": "b", "predicted_windows": 1}]
    content = "".join(json.dumps(row) + "\n" for row in (rows if late else rows[1:]))
    (tmp_path / "in.jsonl").write_text(content)

    with client, pytest.raises(FileFormatError, match="'predicted_windows' already: choose another --prefix"):
        run(FileJob(tmp_path / "in.jsonl", tmp_path / "out.jsonl", text_column="text"), client, {})

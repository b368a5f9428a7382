"""The card beside a model says what was exported, and is no matter to the server."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bertriton_export import export

if TYPE_CHECKING:
    from bertriton_server import LocalServer

DATA = Path(__file__).parent.parent.parent / "data"


def test_the_card_tells_what_the_manifest_tells(exported_imdb: Path) -> None:
    card = (exported_imdb / "imdb" / "MODEL_CARD.md").read_text(encoding="utf-8")
    manifest = json.loads((exported_imdb / "imdb" / "1" / "manifest.json").read_text(encoding="utf-8"))

    assert card.startswith("# imdb\n")
    assert f"| sha256 of its weights | `{manifest['classifier']['checkpoint_sha256']}` |" in card
    assert "| source's architecture | `BertForSequenceClassification` |" in card
    assert "| labels (2) | `neg`, `pos` |" in card
    assert "| precision | int8 |" in card
    assert "6 layers of 384, 12 heads, 22.7 million parameters" in card
    assert "It reads 512 tokens" in card
    assert f"differ by {manifest['verification']['max_difference']:.1e} at most" in card
    judged = manifest["int8"]["texts"]
    assert f"{manifest['int8']['label_agreement']:.2%} of the answers to {judged} texts are kept" in card


@pytest.mark.parametrize(
    ("checkpoint", "facts"),
    [
        ("architectures/bert-regression", ("`regression`: numbers", "precision | fp32")),
        ("architectures/roberta-multi", ("`multi_label_classification`: any", "`RobertaFor")),
    ],
)
def test_every_kind_of_model_gets_its_card(checkpoint: str, facts: tuple[str, ...], tmp_path: Path) -> None:
    export(DATA / checkpoint, name="m", repository=tmp_path, precision="fp32")

    card = (tmp_path / "m" / "MODEL_CARD.md").read_text(encoding="utf-8")
    for fact in facts:
        assert fact in card
    assert "int8 graph" not in card


def test_a_label_of_any_characters_stays_in_its_cell(tmp_path: Path) -> None:
    checkpoint = DATA / "architectures" / "bert-single"
    count = len(json.loads((checkpoint / "config.json").read_text())["id2label"])
    labels = ["a|b", *(f"label {number}" for number in range(1, count))]

    export(checkpoint, name="m", repository=tmp_path, precision="fp32", labels=labels)

    card = (tmp_path / "m" / "MODEL_CARD.md").read_text(encoding="utf-8")
    (row,) = re.findall(r"^\| labels .*$", card, re.MULTILINE)
    assert len(re.findall(r"(?<!\\)\|", row)) == 3


def test_the_cards_code_runs(
    imdb_server: LocalServer, imdb_repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = (imdb_repository / "imdb" / "MODEL_CARD.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)

    exec(code.replace("localhost:8001", imdb_server.grpc_url), {})  # noqa: S102 (the card is ours)

    assert "Classification(" in capsys.readouterr().out

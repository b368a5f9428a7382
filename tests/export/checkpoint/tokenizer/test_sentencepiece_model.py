"""SentencePiece models are parsed without their package; every damage ends in an ExportError or success."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bertriton_export import CheckpointError, ExportError, UnsupportedModelError
from bertriton_export.checkpoint import Sources, TokenizerReader
from bertriton_export.checkpoint.tokenizer.sentencepiece_model import read_sentencepiece

if TYPE_CHECKING:
    from collections.abc import Callable

    from bertriton_export.checkpoint import BertConfig

DATA = Path(__file__).parents[3] / "data" / "tokenizers"
UNKNOWN = b"\x0a\x0e\x0a\x05<unk>\x15\x00\x00\x00\x00\x18\x02"  # pieces { piece score type }
MODEL_TO_TARGET = {
    "fairseq": ("xlm-roberta", "sentencepiece.bpe.model"),
    "fairseq-bpe": ("camembert", "sentencepiece.bpe.model"),
    "google": ("albert", "spiece.model"),
    "deberta": ("deberta-v2", "spm.model"),
}
TEXTS = ("", "a film", "  Two  spaces, ﬁlm ①…\u3000x \ufeff\U0001f600 素晴らしい ")


def test_fields_are_those_that_were_trained() -> None:
    model = read_sentencepiece(DATA / "google.model")

    assert [piece for piece, _ in model.pieces[:5]] == ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]
    assert (model.is_bpe, model.unk_id, model.unk_piece) == (False, 1, "<unk>")
    assert model.named == (("<pad>", True), ("[CLS]", True), ("[SEP]", True), ("[MASK]", True))
    assert model.charsmap
    assert read_sentencepiece(DATA / "fairseq-bpe.model").is_bpe
    assert ("<film>", False) in read_sentencepiece(DATA / "fairseq.model").named


def test_fields_that_are_not_written_have_their_defaults(tmp_path: Path) -> None:
    (tmp_path / "spm.model").write_bytes(UNKNOWN)

    model = read_sentencepiece(tmp_path / "spm.model")

    assert (model.is_bpe, model.unk_id, model.unk_piece, model.charsmap) == (False, 0, "<unk>", b"")


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b"", CheckpointError, "expected pieces with finite scores"),
        (b"\xff\xff", CheckpointError, "not a ModelProto of SentencePiece"),
        (UNKNOWN[:8] + b"\x00\x00\xc0\x7f" + UNKNOWN[13:], CheckpointError, "SentencePiece|finite"),
        (UNKNOWN + b"\x12\x02\x18\x03", UnsupportedModelError, "of type 3, expected unigram"),
        (UNKNOWN + b"\x12\x03\xc0\x02\x07", CheckpointError, "unk_id 7 is not the id of one of 1 pieces"),
    ],
)
def test_what_is_no_model_is_refused(
    tmp_path: Path, content: bytes, error: type[ExportError], message: str
) -> None:
    (tmp_path / "spm.model").write_bytes(content)

    with pytest.raises(error, match=message) as caught:
        read_sentencepiece(tmp_path / "spm.model")

    assert str(tmp_path / "spm.model") in str(caught.value)


@pytest.mark.parametrize(
    ("start", "content"),
    [
        (4, b"\x00\x00\x00\x7f"),  # the first unit leads out of the array
        (0, b"\xff\xff\xff\x7f"),  # the array is larger than all of it
        (0, b"\x00\x00\x00\x00"),
    ],
)
def test_a_character_map_that_leads_out_of_itself_is_refused(
    tmp_path: Path, start: int, content: bytes
) -> None:
    charsmap = read_sentencepiece(DATA / "google.model").charsmap
    whole = (DATA / "google.model").read_bytes()
    place = whole.index(charsmap) + start
    (tmp_path / "spm.model").write_bytes(whole[:place] + content + whole[place + len(content) :])

    with pytest.raises(CheckpointError, match="the character map of its normaliser is damaged"):
        read_sentencepiece(tmp_path / "spm.model")


@pytest.fixture(params=sorted(MODEL_TO_TARGET))
def damaged(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[bytes], TokenizerReader]:
    """Gives the reader of a folder whose model file holds other bytes."""
    model_type, name = MODEL_TO_TARGET[request.param]
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    shutil.copyfile(DATA / f"{request.param}.model", tmp_path / name)

    def reader(content: bytes) -> TokenizerReader:
        (tmp_path / name).write_bytes(content)
        return TokenizerReader(Sources(tmp_path), model_type)

    reader.whole = (tmp_path / name).read_bytes()  # type: ignore[attr-defined]
    return reader


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damage_makes_the_sentencepiece_reader_fail_otherwise(
    damaged: Callable[[bytes], TokenizerReader],
    config_of: Callable[[int], BertConfig],
    data: st.DataObject,
) -> None:
    whole: bytes = damaged.whole  # type: ignore[attr-defined]
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 40)))
    content = whole[:start] + data.draw(st.binary(max_size=40)) + whole[end:]
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content)))]

    try:
        tokenizer = damaged(content).read(config_of(10_000))
    except ExportError:
        return
    for text in TEXTS:
        assert all(token_id < 10_000 for token_id in tokenizer.encode(text).ids)

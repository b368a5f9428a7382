"""What the real Spark NLP saved (tests/golden/record_sparknlp.py) has the weights that it was given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from bertriton_export.reading import read_checkpoint

DATA = Path(__file__).parent.parent.parent / "data"
SAVED = DATA / "sparknlp" / "saved"
TINY = DATA / "checkpoints"
FORMATS = DATA / "formats"


@pytest.mark.parametrize(
    ("saved", "source", "labels"),
    [
        ("5.5.3-tensorflow", TINY / "three-labels", ("bad", "so so", "très bien")),
        ("3.4.4-tensorflow", TINY / "three-labels", ("bad", "so so", "très bien")),
        ("5.5.3-onnx", FORMATS / "gelu", ("neg", "pos")),
    ],
)
def test_what_the_real_spark_nlp_saved_has_the_weights_that_it_was_given(
    saved: str, source: Path, labels: tuple[str, ...]
) -> None:
    expected = read_checkpoint(source)

    found = read_checkpoint(SAVED / f"{saved}.zip")

    assert (expected.config, labels) == (found.config, found.labels)
    assert found.max_length == found.config.max_position_embeddings
    assert list(expected.weights) == list(found.weights)
    for name in expected.weights:
        np.testing.assert_array_equal(expected.weights[name], found.weights[name], name)
    vocabularies = [Tokenizer.from_str(one.tokenizer_json).get_vocab() for one in (expected, found)]
    assert vocabularies[0] == vocabularies[1]

"""Whatever is wrong with an adapter, reading it ends in an adapter or in an error of the exporter."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bertriton_export import ExportError
from bertriton_export.reading import read_checkpoint
from bertriton_export.reading.adapter.settings import read_adapter_settings

if TYPE_CHECKING:
    import pytest

DATA = Path(__file__).parent.parent.parent / "data"
ADAPTERS = DATA / "adapters"
BASE = DATA / "architectures" / "bert-single"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=4,
)
KEYS = sorted(json.loads((ADAPTERS / "roberta-patterns" / "adapter_config.json").read_text("utf-8")))


@settings(max_examples=100, deadline=None)
@given(changes=st.dictionaries(st.sampled_from(KEYS), JSON, min_size=1, max_size=3))
def test_damaged_configurations_never_fail_otherwise(
    changes: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / "adapter_config.json"
    shutil.copy(ADAPTERS / "roberta-patterns" / "adapter_config.json", file)
    document = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps(document | changes))
    with suppress(ExportError):
        read_adapter_settings(file).scaling_of("roberta.encoder.layer.0.attention.self.query")


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_damaged_tensors_never_fail_otherwise(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "damaged"
    shutil.copytree(ADAPTERS / "bert-plain", folder, dirs_exist_ok=True)
    file = folder / "adapter_model.safetensors"
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with suppress(ExportError):
        weights = read_checkpoint(folder, base=str(BASE)).weights
        for name in weights:
            assert np.isfinite(weights[name]).all()

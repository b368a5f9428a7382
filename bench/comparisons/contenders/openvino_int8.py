"""OpenVINO with int8 by NNCF's post-training quantisation: token ids in, sorted by length, no server.

    .venv-torch/bin/python bench/comparisons/contenders/openvino_int8.py CHECKPOINT TEXTS.json CACHE

Quantised as NNCF does it for transformers, on real reviews that are apart from the texts which are timed.
The model is kept in CACHE and read from there the next time.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nncf
import numpy as np
import openvino
import torch
import transformers
from line_protocol import MAX_LENGTH, answer_lines, batches, by_length

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

CALIBRATION_SET = "calibration"  # of TEXTS.json
HINTS = {"bf16": openvino.Type.bf16, "f32": openvino.Type.f32}
BATCHES = (1, 8)
STREAMS = len(os.sched_getaffinity(0))  # one a core


class OpenVino:
    """The quantised model, compiled for each setting when it is first asked for."""

    def __init__(self, checkpoint: str, texts_file: str, cache: str) -> None:
        self.versions = f"openvino {version('openvino')}, nncf {version('nncf')}"
        self.settings = [f"{hint}, batch {batch}" for hint, batch in itertools.product(HINTS, BATCHES)]
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
        self._label_of = transformers.AutoConfig.from_pretrained(checkpoint).id2label
        model_file = Path(cache) / "openvino-int8.xml"
        if not model_file.exists():
            texts = json.loads(Path(texts_file).read_text(encoding="utf-8"))[CALIBRATION_SET]
            quantise(checkpoint, [self._inputs(ids) for ids in self._ids(texts)], model_file)
        self._core = openvino.Core()
        self._model = self._core.read_model(model_file)
        self._hint_to_compiled: dict[str, Any] = {}

    def prepare(self, texts: Sequence[str], setting: str) -> Callable[[], list[str]]:
        """See `line_protocol.Contender`."""
        hint, batch = setting.split(", batch ")
        ids = self._ids(texts)
        runs = batches(by_length(ids), int(batch))
        queue = openvino.AsyncInferQueue(self._compiled(hint), STREAMS)
        winners = np.zeros(len(texts), np.int64)

        def keep(request: Any, run: Sequence[int]) -> None:  # noqa: ANN401 (OpenVINO's own)
            winners[list(run)] = request.get_output_tensor(0).data.argmax(axis=1)

        queue.set_callback(keep)

        def classify() -> list[str]:
            for run in runs:
                queue.start_async(self._inputs(*(ids[index] for index in run)), run)
            queue.wait_all()
            return [self._label_of[winner] for winner in winners.tolist()]

        return classify

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        found = self._tokenizer(list(texts), truncation=True, max_length=MAX_LENGTH)["input_ids"]
        return [list(ids) for ids in found]

    def _compiled(self, hint: str) -> Any:  # noqa: ANN401 (OpenVINO's own)
        if hint not in self._hint_to_compiled:
            settings = {"NUM_STREAMS": STREAMS, "INFERENCE_NUM_THREADS": STREAMS}
            self._hint_to_compiled[hint] = self._core.compile_model(
                self._model, "CPU", settings | {"INFERENCE_PRECISION_HINT": HINTS[hint]}
            )
        return self._hint_to_compiled[hint]

    @staticmethod
    def _inputs(*sequences: Sequence[int]) -> dict[str, Any]:
        """A batch, padded to its longest."""
        longest = max(map(len, sequences))
        ids = np.zeros((len(sequences), longest), np.int64)
        mask = np.zeros_like(ids)
        for row, sequence in enumerate(sequences):
            ids[row, : len(sequence)] = sequence
            mask[row, : len(sequence)] = 1
        return {"input_ids": ids, "attention_mask": mask}


def quantise(checkpoint: str, calibration: Sequence[Mapping[str, Any]], model_file: Path) -> None:
    """Write the checkpoint's model in int8."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(checkpoint, dtype=torch.float32)
    example = {name: torch.from_numpy(value) for name, value in calibration[0].items()}
    converted = openvino.convert_model(model.eval(), example_input=example)
    for tensor in converted.inputs:
        tensor.get_node().set_partial_shape(openvino.PartialShape([-1, -1]))
    converted.validate_nodes_and_infer_types()
    quantised = nncf.quantize(
        converted,
        nncf.Dataset(calibration),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(calibration),
    )
    model_file.parent.mkdir(parents=True, exist_ok=True)
    openvino.save_model(quantised, model_file)


if __name__ == "__main__":
    answer_lines(sys.argv[2], lambda: OpenVino(*sys.argv[1:]))

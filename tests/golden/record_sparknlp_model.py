"""Save a tiny classifier as people did for Spark NLP, for `record_sparknlp.py` to load.

Run by hand, in the environment of record_tensorflow.py, from the project's folder:

    .venv-tensorflow/bin/python tests/golden/record_sparknlp_model.py FOLDER [CHECKPOINT]

The weights are those of CHECKPOINT, tests/data/checkpoints/three-labels unless it is given. FOLDER becomes a
SavedModel of one signature, with `vocab.txt` and `labels.txt` in `assets`, which is what Spark NLP's own
notebooks make.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from transformers import TFBertForSequenceClassification

THREE_LABELS = Path(__file__).parent.parent / "data" / "checkpoints" / "three-labels"
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def main(folder: Path, checkpoint: Path = THREE_LABELS) -> None:
    """Write the SavedModel and its assets."""
    model = TFBertForSequenceClassification.from_pretrained(checkpoint)
    signature = {name: tf.TensorSpec((None, None), tf.int32, name=name) for name in INPUTS}
    serving = tf.function(model, input_signature=[signature])
    with tempfile.TemporaryDirectory() as saved:
        model.save_pretrained(saved, saved_model=True, signatures={"serving_default": serving})
        shutil.copytree(Path(saved) / "saved_model" / "1", folder)
    make_older(folder / "saved_model.pb")
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    vocabulary = json.loads((checkpoint / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    (folder / "assets").mkdir(exist_ok=True)
    write_lines(folder / "assets" / "vocab.txt", sorted(vocabulary, key=vocabulary.__getitem__))
    write_lines(folder / "assets" / "labels.txt", list(config["id2label"].values()))


def make_older(file: Path) -> None:
    """Leave out what Spark NLP's TensorFlow, 2.7 and older, does not know: it only concerns saving."""
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for meta_graph in saved.meta_graphs:
        graph = meta_graph.graph_def
        for node in (
            *graph.node,
            *(node for function in graph.library.function for node in function.node_def),
        ):
            node.attr.pop("debug_name", None)
            if node.op == "DisableCopyOnRead":
                node.op = "NoOp"
                node.attr.clear()
                node.input[:] = [name for name in node.input if name.startswith("^")]
    file.write_bytes(saved.SerializeToString())


def write_lines(file: Path, lines: list[str]) -> None:
    """A line each."""
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

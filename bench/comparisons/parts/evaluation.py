"""How long the table of a model card takes: `bertriton evaluate` against the Hugging Face pipeline.

    python bench/comparisons/evaluate_speed.py --torch-python PYTHON --labelled FILE [--texts N]

Both get the same reviews of the file. The pipeline has them as a list, in the best of its dtypes and batch
sizes; its time is that of the predictions alone. Ours includes reading the file and writing the predictions.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from pathlib import Path

from accuracy import write_labelled
from comparison import HUGGING_FACE_BATCHES, HUGGING_FACE_DTYPES, HuggingFace
from make_checkpoint import EMBEDDED

from bertriton import Client
from bertriton_bench.texts import read_texts
from bertriton_evaluate import Plan, evaluate, served_checkpoint

DEFAULT_TEXTS = 500


def main() -> None:
    """Measure one after the other, and print both."""
    options = _options()
    texts = read_texts(options.labelled, "text")[: options.texts]
    labels = read_texts(options.labelled, "label")[: options.texts]
    with tempfile.TemporaryDirectory(prefix="bertriton-bench-") as name:
        folder = Path(name)
        with served_checkpoint(str(EMBEDDED)) as server, Client(server.grpc_url) as client:
            plan = Plan(write_labelled(texts, labels, folder / "labelled.jsonl"), folder / "out.jsonl")
            speed = evaluate(client, plan)[0].speed
        (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
        with HuggingFace(options.torch_python, EMBEDDED, folder / "texts.json") as pipeline:
            settings = itertools.product(HUGGING_FACE_DTYPES, HUGGING_FACE_BATCHES)
            setting_to_seconds = {setting: pipeline.seconds(*setting) for setting in settings}
    if speed is None:
        raise SystemExit("no text was answered")
    seconds, (dtype, batch) = min((seconds, setting) for setting, seconds in setting_to_seconds.items())
    print(f"bertriton evaluate, int8: {speed.seconds:.1f} s for {speed.texts:,} texts")
    print(f"Hugging Face pipeline ({pipeline.versions}), {dtype}, batch {batch}: {seconds:.1f} s")
    print(f"{seconds / speed.seconds:.2f} times as fast")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--torch-python", type=Path, required=True, help="a Python with torch and transformers"
    )
    parser.add_argument("--labelled", type=Path, required=True, help="reviews with columns text and label")
    parser.add_argument("--texts", type=int, default=DEFAULT_TEXTS, help="use so many of them")
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""How much the int8 gate depends on the sample of texts: one checkpoint, many samples, each with a verdict.

    python tests/export/int8/seeds.py --texts texts.csv --seeds 10

Each seed draws other texts to calibrate by and others to judge by. Without a file they are those that come
with the exporter, so that samples overlap much. Ends with 1 when a seed fails.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

import click

from bertriton_export.int8 import default_texts, judged, write_ungated_int8
from bertriton_export.int8.texts import CALIBRATING_TEXTS
from bertriton_export.network import GraphOptions, write_bert_graph
from bertriton_export.reading import read_checkpoint
from bertriton_export.validation_file import read_validation_texts
from bertriton_export.verification import GraphSession, encode, sample_texts

ROOT = Path(__file__).parents[3]
JUDGING_TEXTS = 1000


def main() -> int:
    """Print a line a seed, and the spread."""
    arguments = parse_arguments()
    checkpoint = read_checkpoint(arguments.checkpoint)
    pool = pool_of(arguments.texts)
    encodings = encode(checkpoint, pool)
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fp32_file = write_bert_graph(checkpoint, folder, GraphOptions())
        fp32 = GraphSession(fp32_file).probabilities(encodings)
        for seed in range(arguments.seeds):
            chosen = random.Random(seed).sample(range(len(pool)), CALIBRATING_TEXTS + arguments.judging)  # noqa: S311
            calibrating, judging = chosen[:CALIBRATING_TEXTS], chosen[CALIBRATING_TEXTS:]
            with tempfile.TemporaryDirectory() as int8_folder:
                texts = [encodings[place] for place in calibrating]
                file = write_ungated_int8(checkpoint, fp32_file, texts, Path(int8_folder))
                int8 = GraphSession(file, for_int8=True).probabilities(
                    [encodings[place] for place in judging]
                )
            found.append(judged(checkpoint, int8, fp32[judging]))
            click.echo(f"seed {seed}: {'passes' if found[-1].is_close else 'FAILS'}: {found[-1]}")
    for field in ("label_agreement", "mean_difference"):
        values = [getattr(comparison, field) for comparison in found]
        click.echo(f"{field}: {min(values):.4f} to {max(values):.4f}, mean {sum(values) / len(values):.4f}")
    return int(not all(comparison.is_close for comparison in found))


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--checkpoint", type=Path, default=ROOT / "checkpoints" / "imdb-minilm")
    parser.add_argument(
        "--texts", type=Path, help=".txt, .csv, .tsv, .jsonl or .parquet, with a column `text`"
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--judging", type=int, default=JUDGING_TEXTS, help="texts that judge, for each seed")
    return parser.parse_args()


def pool_of(file: Path | None) -> list[str]:
    """All different texts to draw from."""
    default = default_texts()
    texts = read_validation_texts(file) if file else [*sum((default.calibrating, default.judging), ())]
    return list(dict.fromkeys(texts if file else [*texts, *sample_texts()]))


if __name__ == "__main__":
    sys.exit(main())

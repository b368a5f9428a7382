"""How much the int8 gate depends on the sample of calibration texts: many samples, each with a verdict.

    python tests/export/int8/seeds.py --sentences sentences.csv --reviews reviews.csv

All samples are judged by the texts that judge an export on defaults, and have none of those. Without files
they are drawn from those that come with the exporter, so that they overlap much. Ends with 1 when one fails.
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
LONG_TEXTS = 12  # of a sample, where there is a file of them


def main() -> int:
    """Print a line a seed, and the spread."""
    arguments = parse_arguments()
    checkpoint, judging = read_checkpoint(arguments.checkpoint), default_texts().judging
    encodings = encode(checkpoint, judging)
    found = []
    with tempfile.TemporaryDirectory() as name:
        fp32_file = write_bert_graph(checkpoint, Path(name), GraphOptions())
        fp32 = GraphSession(fp32_file).probabilities(encodings)
        for seed in range(arguments.first, arguments.first + arguments.seeds):
            sample = encode(checkpoint, sample_of(seed, arguments.sentences, arguments.reviews))
            with tempfile.TemporaryDirectory() as folder:
                file = write_ungated_int8(checkpoint, fp32_file, sample, Path(folder))
                int8 = GraphSession(file, for_int8=True).probabilities(encodings)
            found.append(judged(checkpoint, int8, fp32))
            click.echo(f"seed {seed}: {'passes' if found[-1].is_close else 'FAILS'}: {found[-1]}")
    for field in ("label_agreement", "mean_difference"):
        values = [getattr(comparison, field) for comparison in found]
        click.echo(f"{field}: {min(values):.4f} to {max(values):.4f}, mean {sum(values) / len(values):.4f}")
    return int(not all(comparison.is_close for comparison in found))


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--checkpoint", type=Path, default=ROOT / "checkpoints" / "imdb-minilm")
    files = ".txt, .csv, .tsv, .jsonl or .parquet, with a column `text`"
    parser.add_argument("--sentences", type=Path, help=f"texts to draw from: {files}")
    parser.add_argument("--reviews", type=Path, help=f"long texts, {LONG_TEXTS} of each sample: {files}")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=10)
    return parser.parse_args()


def sample_of(seed: int, sentences: Path | None, reviews: Path | None) -> list[str]:
    """Texts to calibrate by, none of which judges."""
    drawn = random.Random(seed)  # noqa: S311 - no secret
    short = read_validation_texts(sentences) if sentences else [*default_texts().calibrating, *sample_texts()]
    if not reviews:
        return drawn.sample(apart(short), CALIBRATING_TEXTS)
    long = drawn.sample(apart(read_validation_texts(reviews)), LONG_TEXTS)
    return [*drawn.sample(apart(short), CALIBRATING_TEXTS - LONG_TEXTS), *long]


def apart(texts: list[str]) -> list[str]:
    """Different texts, without those that judge."""
    judging = set(default_texts().judging)
    return [text for text in dict.fromkeys(texts) if text not in judging]


if __name__ == "__main__":
    sys.exit(main())

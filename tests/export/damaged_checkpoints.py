"""Damage checkpoints of every format and see how they are read: `make fuzz-checkpoints`.

    python tests/export/damaged_checkpoints.py [--count 10000] [--seed 1]

Each damaged checkpoint is read, all its weights included, by a process of its own with a limit of memory and
time. It must end in success or in an `ExportError`. Of each that does not, the seed is told.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from rich.progress import track

from bertriton_export import ExportError
from bertriton_export.reading import read_checkpoint
from bertriton_export.reading.sparknlp.model import MODEL_CLASS

if TYPE_CHECKING:
    from collections.abc import Callable

DATA: Final = Path(__file__).parent.parent / "data"
MAX_SECONDS: Final = 20
MAX_BYTES: Final = 2 * 2**30  # of address space beyond what the parent process has
DEFAULT_COUNT: Final = 10_000
_PAGE_BYTES: Final = resource.getpagesize()

# What may be wrong with a value of a JSON file.
ABSURD: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, -1, 1, 2, 1.5, 1e308, 1e-300, float("nan"), float("inf"), -float("inf")),
    *(2**31, 2**63, 10**400, "", "x", "x" * 10_000, "\ud800", "\0", "../..", [], {}, [[]], {"": None}),
)
JSON_SHARE: Final = 0.8  # of the damage to JSON files that leaves them JSON
READ, REFUSED = "read", "refused"


def formats(folder: Path) -> list[Path]:
    """One whole checkpoint of every format, made below a folder of the files of tests/data."""
    made = [
        shutil.copytree(found, folder / found.name) for found in (DATA / "architectures").glob("*-single")
    ]
    made += [shutil.copytree(found, folder / found.name) for found in (DATA / "checkpoints").iterdir()]

    def with_weights(base: str, weights: Path, name: str, kind: str) -> None:
        target = shutil.copytree(DATA / "checkpoints" / base, folder / kind)
        (target / "model.safetensors").unlink()
        shutil.copyfile(weights, target / name)
        made.append(target)

    with_weights("one-layer", DATA / "formats" / "one-layer.bin", "pytorch_model.bin", "pytorch")
    with_weights("one-layer", DATA / "formats" / "one-layer-legacy.bin", "pytorch_model.bin", "legacy")
    with_weights("three-labels", DATA / "formats" / "three-labels.h5", "tf_model.h5", "keras")
    onnx = shutil.copytree(DATA / "formats" / "gelu", folder / "onnx")
    (onnx / "model.safetensors").unlink(missing_ok=True)
    shutil.copyfile(DATA / "formats" / "gelu-exported-18.onnx", onnx / "model.onnx")
    saved = folder / "saved-model"
    with zipfile.ZipFile(DATA / "formats" / "three-labels-saved-model.zip") as archive:
        archive.extractall(saved)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(DATA / "checkpoints" / "three-labels" / name, saved / name)
    pieces = shutil.copytree(DATA / "architectures" / "xlm-roberta-single", folder / "sentencepiece")
    (pieces / "tokenizer.json").unlink()
    shutil.copyfile(DATA / "tokenizers" / "fairseq.model", pieces / "sentencepiece.bpe.model")
    made.append(pieces)
    spark = shutil.copytree(DATA / "sparknlp", folder / "sparknlp")
    (spark / "reference_weights.npz").unlink()
    settings = {"class": MODEL_CLASS, "paramMap": {"caseSensitive": True, "maxSentenceLength": 32}}
    (spark / "metadata" / "part-00000").write_text(json.dumps(settings), encoding="utf-8")
    (folder / "sparknlp-zip").mkdir()
    packed = shutil.make_archive(str(folder / "sparknlp-zip" / "model"), "zip", spark)
    return [*made, onnx, saved, spark, Path(packed)]


def flip_bits(content: bytearray, chance: random.Random) -> bytearray:
    """Change one to eight bits."""
    for _ in range(chance.randint(1, 8)):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    return content


def overwrite(content: bytearray, chance: random.Random) -> bytearray:
    """Zeros, ones or noise in place of a run of bytes."""
    start = chance.randrange(len(content))
    size = min(chance.choice((1, 4, 8, 100, 5000)), len(content) - start)
    content[start : start + size] = chance.choice((bytes(size), b"\xff" * size, chance.randbytes(size)))
    return content


def cut(content: bytearray, chance: random.Random) -> bytearray:
    """Less at the end."""
    return content[: chance.randrange(len(content))]


def move(content: bytearray, chance: random.Random) -> bytearray:
    """A run of bytes left out, doubled, or swapped with another."""
    first, second = sorted(chance.randrange(len(content)) for _ in range(2))
    part = content[first:second][:4096]
    return chance.choice(
        (
            content[:first] + content[second:],
            content[:second] + part + content[second:],
            content[:first] + content[second:] + part,
        )
    )


def change_json(content: bytearray, chance: random.Random) -> bytearray:
    """Another value, another key, or a key less, somewhere in a JSON document."""
    document = json.loads(content)
    where = document
    while True:
        keys = list(where) if isinstance(where, dict) else list(range(len(where)))
        if not keys:
            break
        # Few of the thousands of entries of a vocabulary.
        key = chance.choice(keys[:50])
        if isinstance(where[key], dict | list) and where[key] and chance.random() < 0.7:
            where = where[key]
            continue
        if chance.random() < 0.2:
            del where[key]
        else:
            where[key] = chance.choice(ABSURD)
        break
    return bytearray(json.dumps(document).encode())


DAMAGES: Final = (flip_bits, overwrite, cut, move)


def damage(checkpoint: Path, chance: random.Random) -> str:
    """Damage one file of a checkpoint, and say what was done."""
    files = (
        [checkpoint] if checkpoint.is_file() else [file for file in checkpoint.rglob("*") if file.is_file()]
    )
    file = chance.choice(sorted(found for found in files if found.stat().st_size))
    content = bytearray(file.read_bytes())
    ways: tuple[Callable[[bytearray, random.Random], bytearray], ...] = DAMAGES
    if (file.suffix == ".json" or file.parent.name == "metadata") and chance.random() < JSON_SHARE:
        ways = (change_json,)
    way = chance.choice(ways)
    file.write_bytes(way(content, chance))
    return f"{way.__name__} of {file.name}"


@dataclass(frozen=True)
class Outcome:
    """How reading ended."""

    kind: str  # READ or REFUSED, or else what went wrong
    seconds: float

    @property
    def is_right(self) -> bool:
        """Whether it ended as it must."""
        return self.kind in {READ, REFUSED}


def _read_whole(checkpoint: Path) -> str:
    try:
        weights = read_checkpoint(checkpoint).weights
        for name in weights:
            assert weights[name].size
    except ExportError as exc:
        str(exc).encode()  # what the command line prints
        return REFUSED
    return READ


def _child(checkpoint: Path, report: int) -> None:
    """Read under limits, and write how it ended; ends the process."""
    used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * _PAGE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (used + MAX_BYTES, used + MAX_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(MAX_SECONDS)
    try:
        ended = _read_whole(checkpoint)
    except BaseException:  # noqa: BLE001 (every one of them is what is looked for)
        ended = traceback.format_exc()
    os.write(report, ended[-4000:].encode(errors="replace"))
    os._exit(0)


def outcome_of(checkpoint: Path) -> Outcome:
    """Read a checkpoint in a process of its own."""
    started = time.monotonic()
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        _child(checkpoint, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as report:
        told = report.read().decode()
    _, status = os.waitpid(process, 0)
    ended = told or f"ended by signal {os.WTERMSIG(status)}"
    return Outcome(ended, time.monotonic() - started)


@click.command()
@click.option("--count", type=click.IntRange(min=1), default=DEFAULT_COUNT, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the first; each has the next.")
def main(count: int, seed: int) -> None:
    """Read COUNT damaged checkpoints, each in a process of its own."""
    kinds: Counter[str] = Counter()
    slowest = 0.0
    with tempfile.TemporaryDirectory() as workspace:
        whole = formats(Path(workspace) / "whole")
        for checkpoint in whole:
            if (outcome := outcome_of(checkpoint)).kind != READ:
                raise click.ClickException(f"{checkpoint} is not a whole checkpoint: {outcome.kind}")
        for number in track(range(seed, seed + count), "reading", disable=not sys.stderr.isatty()):
            chance = random.Random(number)  # noqa: S311 (to be repeated)
            source = chance.choice(whole)
            place = Path(workspace) / "damaged"
            (shutil.copytree if source.is_dir() else shutil.copyfile)(source, place)
            done = damage(place, chance)
            outcome = outcome_of(place)
            kinds[outcome.kind if outcome.is_right else "wrong"] += 1
            slowest = max(slowest, outcome.seconds)
            if not outcome.is_right:
                click.echo(f"--seed {number}: {done} in {source.name}:\n{outcome.kind}", err=True)
            shutil.rmtree(place) if place.is_dir() else place.unlink()
    click.echo(f"{count} damaged checkpoints: {dict(kinds)}; the slowest took {slowest:.1f} s")
    sys.exit(1 if kinds["wrong"] else 0)


if __name__ == "__main__":
    main()

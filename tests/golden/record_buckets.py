"""Record which distances share a bucket in Transformers' DeBERTa; see record.py for the environment.

    .venv-golden/bin/python tests/golden/record_buckets.py

It writes tests/data/deberta-buckets.json: for some numbers of buckets and of distances, the distances at
which another bucket begins, and which.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position

FURTHEST = 2047
# Buckets on each side, and distances that they are for; the first are those of v2 and v3.
SIZES = ((256, 512), (256, 1680), (32, 128), (20, 512), (5, 40), (2, 64))


def begins(buckets: int, distances: int) -> list[list[int]]:
    """[distance, bucket] wherever a bucket begins."""
    found = (
        make_log_bucket_position(torch.arange(-FURTHEST, FURTHEST + 1), buckets, distances).long().tolist()
    )
    return [
        [index - FURTHEST, bucket]
        for index, bucket in enumerate(found)
        if index == 0 or bucket != found[index - 1]
    ]


def main() -> None:
    """Record all sizes, one a line."""
    lines = [
        json.dumps({"buckets": buckets, "distances": distances, "begins": begins(buckets, distances)})
        for buckets, distances in SIZES
    ]
    file = Path(__file__).parent.parent / "data" / "deberta-buckets.json"
    file.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Classify a stream of lines without ever holding them all: `python asyncio_script.py < reviews.txt`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter

from bertriton import AsyncClient

TRITON_URL = os.environ.get("BERTRITON_URL", "localhost:8001")


async def count_labels() -> Counter[str]:
    """How often each label is the answer for a line of standard input."""
    lines = (line.rstrip("\n") for line in sys.stdin)
    async with AsyncClient(TRITON_URL) as client:
        return Counter([answer.label async for answer in client.classify_iter(lines)])


if __name__ == "__main__":
    for label, count in asyncio.run(count_labels()).most_common():
        print(f"{label}: {count}")  # a script's output

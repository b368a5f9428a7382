"""What a contender's process says to peer.py, which started it: JSON, a line each.

First {"versions", "settings"}. Then for each line of standard input, {"texts", "setting", "count",
"in_flight"}, one of {"seconds", "labels"}: how long the first `count` texts of that set took, and what each
of them is.

The scripts beside this file import it by its bare name: they run in environments without this package.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MAX_LENGTH = 512


class Contender(Protocol):
    """What a script has to say."""

    versions: str
    settings: Sequence[str]

    def prepare(self, texts: Sequence[str], setting: str) -> Callable[[], list[str]]:
        """Do what does not count, and return what does: to classify all texts, which gives their labels."""


class Server(Contender, Protocol):
    """One that takes single texts, many at a time."""

    def prepare_singles(self, texts: Sequence[str], setting: str, in_flight: int) -> Callable[[], list[str]]:
        """Likewise, of a request a text, with so many of them in flight."""


def answer_lines(texts_file: str, make: Callable[[], Contender]) -> None:
    """Answer until standard input ends."""
    # Libraries print what they like; it goes where errors go.
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        sets = json.loads(Path(texts_file).read_text(encoding="utf-8"))
        contender = make()

        def say(answer: Mapping[str, object]) -> None:
            print(json.dumps(answer), file=answers, flush=True)

        say({"versions": contender.versions, "settings": list(contender.settings)})
        for line in sys.stdin:
            say(_answer(contender, sets, json.loads(line)))


def _answer(contender: Any, sets: Mapping[str, list[str]], question: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    texts, setting = sets[question["texts"]][: question["count"]], question["setting"]
    if question["in_flight"]:
        classify = contender.prepare_singles(texts, setting, question["in_flight"])
    else:
        classify = contender.prepare(texts, setting)
    started = time.perf_counter()
    labels = classify()
    return {"seconds": time.perf_counter() - started, "labels": labels}


def by_length(sequences: Sequence[Sequence[int]]) -> list[int]:
    """Their indices, the longest first."""
    return sorted(range(len(sequences)), key=lambda index: -len(sequences[index]))


def batches(indices: Sequence[int], size: int) -> list[Sequence[int]]:
    """Runs of so many."""
    return [indices[start : start + size] for start in range(0, len(indices), size)]

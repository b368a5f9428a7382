"""A soak: a server under mixed traffic for minutes, and innocent clients whose answers have to stay.

    python tests/soak/soak.py [--minutes 15] [--json FILE]

Short texts, long ones, windows, hostile requests and cancelled calls go to one server side by side. The
logits of the innocent clients have to be the baseline's, bit for bit; they may fail by overload or deadline
alone; and the network's memory has to be flat after the first minute. Exits with 1 where one of these does
not hold.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

import click
import numpy as np
from rich.console import Console
from rich.progress import Progress
from traffic import DISTURBERS, Outcome, Soak, baseline_of, innocent, wait_until

from bertriton_export import export
from bertriton_export.verification import sample_texts
from bertriton_server import LocalServer, ServerConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
EMBEDDED = ROOT / "checkpoints" / "imdb-minilm"
MODEL = "imdb"
INNOCENTS = 4
TEXTS = 200
SETTLED_AFTER_S = 60.0  # of any soak; of a short one a half
SAMPLE_EVERY_S = 1.0
MAX_GROWTH = 1.10  # of the largest memory after it has settled, over the largest before
BYTES_PER_MB = 10**6
MS_PER_S = 1000
PAGE_BYTES = 4096


@dataclass(frozen=True)
class Verdict:
    """What a soak came to."""

    seconds: float
    counts: dict[str, int]
    wrong: list[str]
    failed: list[str]
    settled_mb: float  # largest resident memory of the network's process until it has settled
    peak_mb: float  # and after
    p50_ms: float  # of an innocent's call for one text; not judged, for it depends on the machine
    p99_ms: float

    @property
    def holds(self) -> bool:
        """Whether nothing happened that must not."""
        is_flat = self.peak_mb <= self.settled_mb * MAX_GROWTH
        return not self.wrong and not self.failed and is_flat and self.counts.get("answered", 0) > 0


def soak(seconds: float, repository: Path) -> Verdict:
    """Serve the repository's classifier under traffic for so long."""
    with LocalServer(ServerConfig(repository)) as server:
        texts = sample_texts()[:TEXTS]
        outcome, ended = Outcome(), Event()
        baseline = baseline_of(server.grpc_url, MODEL, texts)
        shared = Soak(server.grpc_url, MODEL, texts, baseline, outcome, ended)
        work = [*[innocent] * INNOCENTS, *DISTURBERS]
        threads = [Thread(target=task, args=(shared, seed)) for seed, task in enumerate(work)]
        for thread in threads:
            thread.start()
        samples = list(memory_of_the_network(repository, seconds))
        ended.set()
        for thread in threads:
            thread.join()
    settled = min(SETTLED_AFTER_S, seconds / 2)
    return Verdict(
        seconds,
        dict(outcome.counts),
        outcome.wrong,
        outcome.failed,
        max(size for at_s, size in samples if at_s <= settled),
        max(size for at_s, size in samples if at_s > settled),
        *(np.percentile(outcome.latencies_s, (50, 99)) * MS_PER_S),
    )


def memory_of_the_network(repository: Path, seconds: float) -> Iterator[tuple[float, float]]:
    """Resident megabytes of its process, every second, with a bar on the terminal."""
    process = network_process(repository)
    started = time.monotonic()
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("soaking", total=seconds)
        while (at_s := time.monotonic() - started) < seconds:
            pages = int((process / "statm").read_text().split()[1])
            yield at_s, pages * PAGE_BYTES / BYTES_PER_MB
            progress.update(task, completed=at_s)
            wait_until(started + at_s + SAMPLE_EVERY_S)


def network_process(repository: Path) -> Path:
    """The process that runs the network of this very repository."""
    mark = f"{repository}/{MODEL}_bert/"
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # others come and go
            if mark in (process / "cmdline").read_text(errors="replace"):
                return process
    raise SystemExit(f"no process runs a model of {mark}")


def main() -> None:
    """Export, soak, and say what came of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--json", type=Path, help="write the verdict into this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bertriton-soak-") as folder:
        repository = Path(folder) / "repository"
        export(EMBEDDED, name=MODEL, repository=repository)
        verdict = soak(options.minutes * 60, repository)
    document = json.dumps({**asdict(verdict), "holds": verdict.holds}, indent=2)
    if options.json:
        options.json.write_text(document + "\n", encoding="utf-8")
    click.echo(document)
    sys.exit(0 if verdict.holds else 1)


if __name__ == "__main__":
    main()

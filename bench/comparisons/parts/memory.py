"""Resident memory of the network's process while requests of random length come in."""

from __future__ import annotations

import asyncio
import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bertriton import AsyncClient, contract
from bertriton_server import LocalServer, ServerConfig
from comparisons.checkpoints import NAME
from comparisons.figures import Figure

if TYPE_CHECKING:
    from collections.abc import Sequence

IN_FLIGHT = 32
SETTLED_AFTER = 500  # requests; from then on memory must not grow
SAMPLE_EVERY = 50
MAX_WORDS = 500  # about as many tokens as the network reads
ALLOWED_GROWTH_PERCENT = 3.0
REQUEST_TIMEOUT_S = 120.0

_SEED = 0


@dataclass(frozen=True)
class MemoryCurve:
    """Resident megabytes, sampled as requests were answered."""

    requests: tuple[int, ...]
    megabytes: tuple[float, ...]

    @property
    def settled_megabytes(self) -> float:
        """What it was after the first requests."""
        return next(
            size for count, size in zip(self.requests, self.megabytes, strict=True) if count >= SETTLED_AFTER
        )

    @property
    def figure(self) -> Figure:
        """The peak after the first requests, above what it was then."""
        settled, peak = self.settled_megabytes, self._peak_megabytes
        return Figure(
            f"MiniLM: growth of the network's resident memory over {self.requests[-1]:,} requests of random "
            f"length, after the first {SETTLED_AFTER}",
            (peak / settled - 1) * 100,
            "%",
            ALLOWED_GROWTH_PERCENT,
            is_upper_limit=True,
            detail=f"{settled:,.0f} MB; peak {peak:,.0f} MB; {IN_FLIGHT} in flight",
        )

    @property
    def _peak_megabytes(self) -> float:
        pairs = zip(self.requests, self.megabytes, strict=True)
        return max(size for count, size in pairs if count >= SETTLED_AFTER)


def memory_curve(repository: Path, texts: Sequence[str], requests: int) -> MemoryCurve:
    """Serve a repository's classifier, send so many texts of random length and watch its memory."""
    with LocalServer(ServerConfig(repository, stop_grace_s=0)) as server:
        network = _process_of(NAME + contract.BERT_SUFFIX, server.pid)
        return asyncio.run(_watch(server.grpc_url, network, _pieces(texts, requests)))


async def _watch(url: str, network: int, texts: list[str]) -> MemoryCurve:
    samples: list[tuple[int, float]] = []
    async with AsyncClient(url, NAME, timeout=REQUEST_TIMEOUT_S) as client:
        left = iter(enumerate(texts, start=1))

        async def worker() -> None:
            for count, text in left:
                await client.classify(text)
                if count % SAMPLE_EVERY == 0:
                    samples.append((count, _resident_megabytes(network)))

        await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    counts, sizes = zip(*sorted(samples), strict=True)
    return MemoryCurve(counts, sizes)


def _pieces(texts: Sequence[str], count: int) -> list[str]:
    """Runs of real words; every length is as likely as its double."""
    chance = random.Random(_SEED)  # noqa: S311 - repeatable on purpose
    words = " ".join(texts).split()
    pieces = []
    for _ in range(count):
        length = round(MAX_WORDS ** chance.random())
        start = chance.randrange(max(len(words) - length, 1))
        pieces.append(" ".join(words[start : start + length]))
    return pieces


def _process_of(model: str, group: int) -> int:
    """The process of the server's group that runs one model."""
    for folder in Path("/proc").glob("[0-9]*"):
        if _group_of(folder) == group and model in (folder / "cmdline").read_text(errors="replace"):
            return int(folder.name)
    raise SystemExit(f"no process of group {group} runs {model}")


def _group_of(process: Path) -> int | None:
    try:
        return os.getpgid(int(process.name))
    except OSError:
        return None  # it has ended since


def _resident_megabytes(process: int) -> float:
    for line in Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1e3
    raise SystemExit(f"process {process} has ended")

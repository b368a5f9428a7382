"""What contenders reached in rounds in which each had its turn, and what follows from that."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass
class Rounds:
    """Rates in tokens per second, times in milliseconds and products in GOP/s, of every round."""

    part: str  # of the benchmark
    title: str  # of the classifier
    texts: str  # name of the set
    number: int  # of texts
    mean_tokens: float
    operations_per_token: int | None = None  # of the encoder's linear layers; None: not counted
    versions: dict[str, str] = field(default_factory=dict)  # of what contenders run on
    rounds: dict[str, list[float]] = field(default_factory=dict)
    best: dict[str, str] = field(default_factory=dict)  # the setting in which a contender was best
    agreement: dict[str, float] = field(default_factory=dict)  # texts given the label that int8 gives, 0 to 1

    def add(self, name: str, value: float) -> None:
        """What one contender reached in this round."""
        self.rounds.setdefault(name, []).append(value)

    def add_best(self, name: str, settings: Sequence[str], value: Callable[[str], float]) -> None:
        """Likewise in its best setting: the first round tries all, the others the one that was best in it."""
        tried = [self.best[name]] if name in self.best else settings
        setting_to_value = {setting: value(setting) for setting in tried}
        self.best[name] = max(setting_to_value, key=setting_to_value.__getitem__)
        self.add(name, setting_to_value[self.best[name]])

    def median(self, name: str) -> float:
        """Of one contender over the rounds."""
        return statistics.median(self.rounds[name])

    def ratio(self, name: str, other: str) -> float:
        """Median over the rounds of what one has by what the other has in the same round.

        What has a turn in the first rounds alone is compared in those.
        """
        pairs = zip(self.rounds[name], self.rounds[other], strict=False)
        return statistics.median(mine / theirs for mine, theirs in pairs)

    def difference(self, name: str, other: str) -> float:
        """Likewise, by how much one is above the other."""
        pairs = zip(self.rounds[name], self.rounds[other], strict=False)
        return statistics.median(mine - theirs for mine, theirs in pairs)

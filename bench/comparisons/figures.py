"""One line of the comparison: what was measured, and what it has to be at least."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A measured value beside the one required."""

    what: str
    value: float
    unit: str  # behind the value
    required: float | None = None  # None: told, not judged
    is_upper_limit: bool = False  # whether smaller is better
    detail: str = ""  # the figures that it was made of
    part: str = ""  # of the benchmark

    @property
    def is_met(self) -> bool:
        """Whether the value is as required."""
        if self.required is None:
            return True
        return self.value <= self.required if self.is_upper_limit else self.value >= self.required

    @property
    def row(self) -> tuple[str, str, str, str, str]:
        """What, value, requirement, whether it is met, details."""
        if self.required is None:
            return self.what, f"{self.value:,.2f} {self.unit}", "", "", self.detail
        relation = "at most" if self.is_upper_limit else "at least"
        return (
            self.what,
            f"{self.value:,.2f} {self.unit}",
            f"{relation} {self.required:g} {self.unit}",
            "yes" if self.is_met else "**no**",
            self.detail,
        )

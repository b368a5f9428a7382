"""What is wrong with a running server, if anything is."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bertriton_server.process import (
    is_classifier,
    loaded_models,
    members_of,
    problem_of_classifier,
    problems_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from bertriton_server.process import HttpEndpoint, Member
    from bertriton_server.supervision.rules import Rules

_SERVER = "tritonserver"


@dataclass
class _Silence:
    """A classifier, or the server itself, that answers nobody."""

    since_s: float
    computed_s: float  # by the server's processes until then
    probes: int = 0


class _Round(threading.Thread):
    """A tiny inference for each classifier, beside the looks at the processes: a stopped server may delay it.

    Args:
        ask: what gives the problems of those that do not answer, by name.
        computed_s: by the server's processes until now.
    """

    def __init__(self, ask: Callable[[], dict[str, str]], computed_s: float) -> None:
        super().__init__(daemon=True)
        self._ask = ask
        self.began_s = time.monotonic()
        self.computed_s = computed_s
        self.problems: dict[str, str] = {}

    def run(self) -> None:
        """Ask."""
        self.problems = self._ask()


class Doctor:
    """Examines one started server.

    Args:
        group: process id of tritonserver, and of its process group.
        endpoint: where it answers HTTP requests.
        rules: when it counts as ill.
    """

    def __init__(self, group: int, endpoint: HttpEndpoint, rules: Rules) -> None:
        self._group = group
        self._endpoint = endpoint
        self._rules = rules
        self._names: dict[int, str] = {}  # of processes, which have none any more once they have ended
        self._broken_since_s: dict[int, float] = {}
        self._silences: dict[str, _Silence] = {}
        self._is_classifier: dict[str, bool] = {}
        self._next_probe_s = 0.0
        self._round: _Round | None = None

    def illness(self) -> str:
        """What is wrong, on one line; empty while the server is well, or it is not certain yet.

        Is to be asked again and again; does not wait for the answers to its probes.
        """
        members = members_of(self._group)
        return self._broken_process(members) or self._silent_classifier(members)

    def is_broken(self) -> bool:
        """Whether a process of the server has ended or was stopped, even if only just now."""
        return any(map(self._is_broken, members_of(self._group)))

    def is_broken_for_long(self) -> bool:
        """Whether one was when asked before, and so for long enough that it is not just ending in order."""
        return bool(self._broken_process(members_of(self._group)))

    def _is_broken(self, member: Member) -> bool:
        # What a stub starts itself is its own business.
        is_ours = member.is_child or member.pid == self._group
        return is_ours and (member.has_ended or member.is_stopped)

    def _broken_process(self, members: list[Member]) -> str:
        now_s = time.monotonic()
        self._names |= {member.pid: member.name for member in members if member.name}
        broken = {member.pid: member for member in members if self._is_broken(member)}
        self._broken_since_s = {pid: self._broken_since_s.get(pid, now_s) for pid in broken}
        for pid, since_s in self._broken_since_s.items():
            if now_s - since_s >= self._rules.broken_for_s:
                what = "was stopped" if broken[pid].is_stopped else "has ended"
                return f"the process of {self._names.get(pid, 'a model')} ({pid}) {what}"
        return ""

    def _silent_classifier(self, members: list[Member]) -> str:
        if self._round is None:
            if time.monotonic() >= self._next_probe_s:
                self._round = _Round(self._problems, _computed_s(members))
                self._round.start()
            return ""
        if self._round.is_alive():
            return ""
        finished, self._round = self._round, None
        self._next_probe_s = time.monotonic() + self._rules.probe_interval_s
        return self._judged(finished)

    def _judged(self, finished: _Round) -> str:
        """The classifier that has answered nobody for too long, by what a round of probes found."""
        self._silences = {
            name: self._silences.get(name) or _Silence(finished.began_s, finished.computed_s)
            for name in finished.problems
        }
        for name, silence in self._silences.items():
            silence.probes += 1
            if silence.probes >= self._rules.unanswered_probes and not self._has_patience(silence):
                return f"{name} answers nobody: {finished.problems[name]}"
        return ""

    def _has_patience(self, silence: _Silence) -> bool:
        silent_s = time.monotonic() - silence.since_s
        cores = (_computed_s(members_of(self._group)) - silence.computed_s) / max(silent_s, 0.001)
        return cores >= self._rules.busy_cores and silent_s < self._rules.busy_patience_s

    def _problems(self) -> dict[str, str]:
        """Who does not answer, and why."""
        deadline_s = self._rules.probe_deadline_s
        try:
            models = loaded_models(self._endpoint, deadline_s)
            classifiers = list(filter(self._asked_whether_classifier, models))
            return problems_of(self._endpoint, classifiers, deadline_s, problem_of_classifier)
        except (OSError, ValueError, LookupError) as exc:  # nothing came, or not what Triton says
            return {_SERVER: str(exc)}

    def _asked_whether_classifier(self, model: str) -> bool:
        # Only a yes is kept: what is not loaded now may be one later.
        if not self._is_classifier.get(model):
            self._is_classifier[model] = is_classifier(self._endpoint, model, self._rules.probe_deadline_s)
        return self._is_classifier[model]


def _computed_s(members: list[Member]) -> float:
    """By the stubs, which do the work; where there are none, by tritonserver."""
    stubs = [member.cpu_s for member in members if member.is_child]
    return sum(stubs or [member.cpu_s for member in members])

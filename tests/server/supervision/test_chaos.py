"""kill -9 and SIGSTOP of every process under load: served again soon, with retryable errors only.

Once each here; `make chaos` does it ten times, with the embedded classifier, and prints the times.
"""

from __future__ import annotations

import os
import signal
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "1"))
# Besides loading, by `make chaos`, which has the machine alone; with all other tests beside it, at all.
SERVED_AGAIN_WITHIN_S = 10.0 if ROUNDS > 1 else 120.0
STOP_GRACE_S = 30.0
CALL_TIMEOUT_S = 60.0
PATIENCE_S = 120.0  # with this machine, which may be busy with other things
SIGNALS = (signal.SIGKILL, signal.SIGSTOP)


@pytest.fixture
def repository(request: pytest.FixtureRequest) -> tuple[Path, str]:
    """The classifier to serve, and its name: the large one where time is no matter."""
    if ROUNDS > 1:
        return request.getfixturevalue("imdb_repository"), "imdb"
    return request.getfixturevalue("classifier_repository"), "one-layer"


@pytest.mark.parametrize("part", ["tritonserver", "tokenizer", "bert"])
def test_a_killed_or_stopped_process_is_replaced_and_clients_see_retryable_errors_only(
    serve: Callable[..., Any],
    load: Callable[..., Any],
    repository: tuple[Path, str],
    part: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, classifier = repository
    serving = serve(folder)
    victim = part if part == "tritonserver" else f"{classifier}_{part}"
    times_s: dict[str, list[float]] = {number.name: [] for number in SIGNALS}
    loading_s = []

    with load(serving.where["gRPC"], timeout_s=CALL_TIMEOUT_S) as clients:
        for number in SIGNALS * ROUNDS:
            steady_s = time.monotonic()
            serving.wait_until(lambda since=steady_s: clients.answered_after(since) is not None, PATIENCE_S)
            done = len(serving.recoveries())
            harmed_s = serving.harm(victim, number)
            serving.wait_until(lambda done=done: len(serving.recoveries()) > done, PATIENCE_S)
            ready_s, loading = serving.recoveries()[-1]
            serving.wait_until(lambda since=ready_s: clients.answered_after(since) is not None, PATIENCE_S)
            times_s[number.name].append(clients.answered_after(ready_s) - harmed_s - loading)
            loading_s.append(loading)

    status, ending_s = serving.end(signal.SIGTERM)
    with capsys.disabled():
        for name, found_s in times_s.items() if ROUNDS > 1 else ():
            median_s, longest_s = statistics.median(found_s), max(found_s)
            sys.stdout.write(
                f"\n{victim} {name}: {len(found_s)} times, served again after {median_s:.1f} s (median), "
                f"{longest_s:.1f} s at most, besides loading: {statistics.median(loading_s):.1f} s (median); "
                f"{len(clients.answered_s)} answers, {len(clients.errors)} retryable errors\n"
            )
    assert [error for error in clients.errors if not error.retryable] == []
    assert clients.wrong == 0
    assert max(max(found_s) for found_s in times_s.values()) < SERVED_AGAIN_WITHIN_S
    assert clients.longest_s < clients.timeout_s * 1.5
    assert status == 0
    assert ending_s < STOP_GRACE_S

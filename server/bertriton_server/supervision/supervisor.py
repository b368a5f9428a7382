"""Looking after a server until somebody interrupts, or nothing helps any more."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NoReturn

from bertriton_server.errors import NotHealedError, ServerError, ServerExitedError
from bertriton_server.supervision.doctor import Doctor
from bertriton_server.supervision.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Callable

    from bertriton_server.local_server import LocalServer


class Supervisor:
    """Looks after a server that has been started.

    Args:
        server: which one; this object starts and stops it from now on.
        rules: when it counts as ill; None: the usual ones.
        report: called with a line for each illness and each recovery.
    """

    def __init__(
        self, server: LocalServer, rules: Rules | None = None, report: Callable[[str], object] = print
    ) -> None:
        self._server = server
        self._rules = rules or Rules()
        self._report = report
        self._restarts = 0  # in a row
        self._well_since_s = time.monotonic()
        self._doctor = self._new_doctor()

    def watch(self) -> NoReturn:
        """Look after the server; returns only by an exception, such as KeyboardInterrupt.

        Raises:
            NotHealedError: the server was ill and could not be started anew.
        """
        while True:
            if illness := self._illness():
                self._heal(illness)
            elif time.monotonic() - self._well_since_s >= self._rules.well_after_s:
                self._restarts = 0
            time.sleep(self._rules.look_interval_s)

    def stop(self) -> None:
        """Stop the server after the requests in flight; at once where nothing would answer them."""
        # Broken later than this moment is possible too: a signal takes time to stop or end a process.
        grace_s = 0 if self._is_broken() else None
        self._server.stop(grace_s, is_in_vain=self._doctor.is_broken_for_long)

    def _is_broken(self) -> bool:
        try:
            self._server.check()
        except ServerError:
            return True
        return self._doctor.is_broken()

    def _illness(self) -> str:
        try:
            self._server.check()
        except ServerExitedError as exc:
            return exc.summary
        return self._doctor.illness()

    def _heal(self, illness: str) -> None:
        began_s = time.monotonic()
        if not self._rules.max_failed_restarts:
            raise NotHealedError(illness, 0, "")
        self._report(f"{illness}: starting the server anew")
        failure = ""
        for failed in range(self._rules.max_failed_restarts):
            self._server.stop(grace_s=0)
            time.sleep(self._next_backoff_s())
            loading_since_s = time.monotonic()
            try:
                self._server.restart()
            except ServerError as exc:
                failure = exc.summary
                self._report(f"restart {failed + 1} failed: {failure}")
            else:
                ready_s = time.monotonic()
                took_s, loading_s = ready_s - began_s, ready_s - loading_since_s
                self._report(f"ready again after {took_s:.1f} s, loading was {loading_s:.1f} s of it")
                self._well_since_s, self._doctor = ready_s, self._new_doctor()
                return
        raise NotHealedError(illness, self._rules.max_failed_restarts, failure)

    def _next_backoff_s(self) -> float:
        backoff_s = self._rules.backoff_s
        self._restarts += 1
        return backoff_s[min(self._restarts, len(backoff_s)) - 1]

    def _new_doctor(self) -> Doctor:
        return Doctor(self._server.pid, self._server.http_endpoint, self._rules)

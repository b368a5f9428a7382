"""One tritonserver process with all that belongs to it: workspace, log, stubs and warden."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from bertriton_server.errors import ServerExitedError, StartError
from bertriton_server.process import secrets_hiding
from bertriton_server.process import warden as _warden
from bertriton_server.process.members import members_of
from bertriton_server.process.open_files import allow_open_files
from bertriton_server.process.server_log import ServerLog

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TextIO

    from bertriton_server.runtime import Runtime

BACKENDS: Final = Path(__file__).parents[1] / "backends"

_UNIQUE_DIGITS: Final = 12


class ServerProcess:
    """A started tritonserver in a process group of its own.

    Args:
        runtime: which tritonserver.
        arguments: its command line, without backend directory and shared memory prefix.
        log_stream: where its log is to appear as well.
        secrets: values of arguments that nobody is to see once they are read.

    Raises:
        StartError: the process could not be started.
    """

    def __init__(
        self,
        runtime: Runtime,
        arguments: Sequence[str],
        log_stream: TextIO | None = None,
        *,
        secrets: Sequence[str] = (),
    ) -> None:
        self._secrets = tuple(secrets)
        self._hides_secrets = False
        self.shows_secrets = bool(secrets)  # on its command line, to every user of the machine
        self._shared_memory_prefix = f"bertriton_{os.getpid()}_{uuid4().hex[:_UNIQUE_DIGITS]}_"
        self._workspace = _make_workspace()
        self.log = ServerLog(self._workspace / "tritonserver.log")
        self._last_log_tail: tuple[str, ...] | None = None
        self._warden: subprocess.Popen[str] | None = None
        try:
            self._warden = self._start_warden()
            self._process = self._start(runtime, arguments)
            allow_open_files(self._process.pid)
        except BaseException as exc:
            self._leave_to_warden()
            if isinstance(exc, OSError):
                raise StartError(f"cannot start {runtime.executable}: {exc}") from exc
            raise
        if log_stream:
            self.log.follow(log_stream)

    @property
    def pid(self) -> int:
        """Of tritonserver; also the id of its process group."""
        return self._process.pid

    def require_running(self) -> None:
        """See that the server has not ended by itself.

        Raises:
            ServerExitedError: it has.
        """
        # Not reaped before `stop`: until then no other process gets its id, to be stopped in its place.
        ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended:
            by_itself = ended.si_code == os.CLD_EXITED
            raise ServerExitedError(ended.si_status if by_itself else -ended.si_status, self.log_tail())

    def require_unstopped(self) -> None:
        """See that nobody has stopped a process of the server, which then would never get ready.

        Raises:
            StartError: somebody has.
        """
        stopped = [member for member in members_of(self.pid) if member.is_stopped]
        if stopped:
            raise StartError(f"the process of {stopped[0].name} was stopped while it started")

    def hide_secrets(self, *, answers: bool = False) -> None:
        """Take the secrets off the command line as soon as tritonserver has read it; else does nothing.

        Args:
            answers: whether the server answers already, and so has read it.
        """
        # It says nothing in its own log before that.
        if not self._hides_secrets and (answers or self.log.has_begun()):
            self.shows_secrets = not secrets_hiding.hide(self.pid, self._secrets)
            self._hides_secrets = True

    def log_tail(self) -> tuple[str, ...]:
        """Last lines of the log; still there after `stop`."""
        return self.log.tail() if self._last_log_tail is None else self._last_log_tail

    def stop(self, grace_s: float, is_in_vain: Callable[[], bool] = lambda: False) -> None:
        """End the server and its stubs and remove what they left behind; does nothing the second time.

        Args:
            grace_s: how long requests in flight may take.
            is_in_vain: asked again and again meanwhile; True ends the wait.
        """
        if self._last_log_tail is not None:
            return
        try:
            _warden.stop_group(self.pid, grace_s, is_in_vain)
        finally:
            # Also when a second Ctrl-C cut the grace short.
            self._process.wait()
            _warden.reap_orphans(self.pid)
            self.log.close()
            self._last_log_tail = self.log.tail()
            self._clean_up()

    def _start_warden(self) -> subprocess.Popen[str]:
        script = [sys.executable, "-I", "-S", _warden.__file__]
        arguments = [str(os.getpid()), str(self._workspace), self._shared_memory_prefix]
        # A session of its own: Ctrl-C on the terminal must not end it before its time.
        return subprocess.Popen(  # noqa: S603 - our own script
            [*script, *arguments], stdin=subprocess.PIPE, start_new_session=True, text=True
        )

    def _start(self, runtime: Runtime, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        with self.log.path.open("wb") as log:
            return subprocess.Popen(  # noqa: S603 - the tritonserver that was found
                [runtime.executable, *self._own_arguments(runtime), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=runtime.environment(os.environ),
                start_new_session=True,
            )

    def _own_arguments(self, runtime: Runtime) -> list[str]:
        arguments = [f"--backend-config=python,shm-region-prefix-name={self._shared_memory_prefix}"]
        if runtime.is_pip_made:
            arguments.append(f"--backend-directory={self._lay_out_backends(runtime)}")
        return arguments

    def _lay_out_backends(self, runtime: Runtime) -> Path:
        backends = self._workspace / "backends"
        (backends / "python").mkdir(parents=True)
        # Copies: Triton takes a link that leads out of the backend directory for an attack.
        for file in runtime.python_backend_files:
            shutil.copy(file, backends / "python")
        shutil.copytree(BACKENDS, backends, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        return backends

    def _clean_up(self) -> None:
        _warden.remove_files(self._workspace, self._shared_memory_prefix)
        if self._warden:
            # Somebody may have ended it; nothing depends on it while this process lives.
            with suppress(BrokenPipeError):
                self._warden.communicate(_warden.DISMISSED)

    def _leave_to_warden(self) -> None:
        # Ctrl-C may have come between the server's start and the moment when its process id was known here.
        if self._warden:
            self._warden.communicate()
        else:
            _warden.remove_files(self._workspace, self._shared_memory_prefix)


def _make_workspace() -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix="bertriton-"))
    except OSError as exc:
        raise StartError(f"tritonserver needs a temporary directory: {exc}") from exc

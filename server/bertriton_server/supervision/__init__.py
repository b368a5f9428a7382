"""Watching over a running server: what is broken in it is found, ended, and started anew.

In: a started `LocalServer` and the rules. Out: nothing, for as long as it can be healed; then an error.
"""

from bertriton_server.supervision.rules import MAX_FAILED_RESTARTS, Rules
from bertriton_server.supervision.supervisor import Supervisor

__all__ = ["MAX_FAILED_RESTARTS", "Rules", "Supervisor"]

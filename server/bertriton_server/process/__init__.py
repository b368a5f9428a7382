"""One tritonserver process: its ports, its start, its log, its end and what it leaves behind.

In: a `Runtime` and arguments. Out: a process that is ready, or an error with the reason from its log.
"""

from bertriton_server.process.http_probe import (
    HttpEndpoint,
    is_classifier,
    loaded_models,
    problem_of_classifier,
    problems_of,
)
from bertriton_server.process.members import Member, members_of
from bertriton_server.process.open_files import MIN_OPEN_FILES, require_open_files
from bertriton_server.process.ports import choose_ports, ipv4_address, is_free
from bertriton_server.process.readiness import ready_models, wait_until_ready
from bertriton_server.process.server_process import ServerProcess
from bertriton_server.process.warden import STOP_GRACE_S

__all__ = [
    "MIN_OPEN_FILES",
    "STOP_GRACE_S",
    "HttpEndpoint",
    "Member",
    "ServerProcess",
    "choose_ports",
    "ipv4_address",
    "is_classifier",
    "is_free",
    "loaded_models",
    "members_of",
    "problem_of_classifier",
    "problems_of",
    "ready_models",
    "require_open_files",
    "wait_until_ready",
]

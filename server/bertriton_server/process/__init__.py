"""One tritonserver process: its ports, its start, its log, its end and what it leaves behind.

In: a `Runtime` and arguments. Out: a process that is ready, or an error with the reason from its log.
"""

from bertriton_server.process.ports import choose_ports, ipv4_address, is_free
from bertriton_server.process.readiness import HttpEndpoint, ready_models, wait_until_ready
from bertriton_server.process.server_process import ServerProcess
from bertriton_server.process.warden import STOP_GRACE_S

__all__ = [
    "STOP_GRACE_S",
    "HttpEndpoint",
    "ServerProcess",
    "choose_ports",
    "ipv4_address",
    "is_free",
    "ready_models",
    "wait_until_ready",
]

"""Where tritonserver comes from: an installed one, or an environment that pip fills.

In: the machine as it is. Out: a `Runtime`, the command and the environment to start.
"""

from bertriton_server.runtime.find import Runtime, find_made_runtime, find_runtime
from bertriton_server.runtime.interpreter import SUPPORTED_MINORS, find_interpreter
from bertriton_server.runtime.pip_runtime import runtime_directory
from bertriton_server.runtime.program import last_lines, run_program
from bertriton_server.runtime.spinner import progress

__all__ = [
    "SUPPORTED_MINORS",
    "Runtime",
    "find_interpreter",
    "find_made_runtime",
    "find_runtime",
    "last_lines",
    "progress",
    "run_program",
    "runtime_directory",
]

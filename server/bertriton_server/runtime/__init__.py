"""Where tritonserver comes from: an installed one, or an environment that pip fills.

In: the machine as it is. Out: a `Runtime`, the command and the environment to start.
"""

from bertriton_server.runtime.find import Runtime, find_runtime
from bertriton_server.runtime.pip_runtime import runtime_directory
from bertriton_server.runtime.program import last_lines, run_program

__all__ = ["Runtime", "find_runtime", "last_lines", "run_program", "runtime_directory"]

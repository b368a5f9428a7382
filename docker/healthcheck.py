"""Exit with 0 when every loaded model of the container's Triton answers, and there is one.

For Docker and for the probes of Kubernetes. Each classifier has to classify a tiny text within a deadline, or
to answer others meanwhile: what Triton says of its models is not asked, since 2.51 calls one ready whose
process is dead. Over HTTP on the container's loopback, with the key of BERTRITON_API_KEY; standard library
only.
"""

from __future__ import annotations

import os
import sys
from typing import Final

from http_probe import HttpEndpoint, loaded_models, problems_of

DEADLINE_S: Final = 3.0  # for each of three questions; less than what Docker and Kubernetes allow for all
_HTTP_PORT: Final = 8000


def main() -> None:
    """Ask for the models, then each of them; say on stderr what does not answer."""
    key = os.environ.get("BERTRITON_API_KEY")
    headers = {"api-key": key} if key else {}
    endpoint = HttpEndpoint("127.0.0.1", int(os.environ.get("BERTRITON_HTTP_PORT") or _HTTP_PORT), headers)
    try:
        names = loaded_models(endpoint, DEADLINE_S)
    except OSError as exc:
        sys.exit(f"not ready: {exc}")
    if not names:
        sys.exit("no model is loaded")
    problems = problems_of(endpoint, names, DEADLINE_S)
    if problems:
        sys.exit("not ready: " + "; ".join(f"{name}: {problem}" for name, problem in problems.items()))
    print(f"ready: {', '.join(names)}")


if __name__ == "__main__":
    main()

"""Exit with 0 when every loaded model of the container's Triton is ready, and there is one.

Model by model, since a server calls itself ready while one of them has died (until NVIDIA's 26.04).
Over HTTP, whose health is free of TLS and key inside a container; standard library only.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Final
from urllib.request import Request, urlopen

_TIMEOUT_S: Final = 2
_SERVER: Final = f"http://127.0.0.1:{os.environ.get('BERTRITON_HTTP_PORT') or 8000}/v2"


def main() -> None:
    """Ask for the models, then each of them; say on stderr what is not ready."""
    try:
        names = _loaded_models()
        if not names:
            sys.exit("no model is loaded")
        for name in names:
            _answer(f"/models/{name}/ready")
    except OSError as exc:
        sys.exit(f"not ready: {exc}")
    print(f"ready: {', '.join(names)}")


def _loaded_models() -> list[str]:
    index = json.loads(_answer("/repository/index", body=b"{}"))
    # One that was never asked for, under --model-control-mode=explicit, has no state.
    return sorted({entry["name"] for entry in index if entry.get("state")})


def _answer(path: str, body: bytes | None = None) -> bytes:
    with urlopen(Request(_SERVER + path, data=body), timeout=_TIMEOUT_S) as response:
        answer: bytes = response.read()
    return answer


if __name__ == "__main__":
    main()

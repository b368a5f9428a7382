"""The `bertriton` command, before it is known whether its dependencies are there."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec

from bertriton._interruption import ends_at_once, exit_code_of


def main() -> None:
    """Run the command line, or say what to install for it."""
    with ends_at_once():
        if find_spec("click") is None or find_spec("rich") is None:
            sys.exit("bertriton: the command line needs an extra: pip install 'bertriton[cli]'")
        # gRPC's own log would stand between the lines of the command; it reads this when it is imported.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        # ONNX Runtime, in which exports are verified, reports its use to its maker since 1.32.
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        # Matplotlib's log would, too, of a cache that it has no room for.
        import logging  # noqa: PLC0415  # not before Ctrl-C is seen to

        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        from bertriton.cli import run  # noqa: PLC0415  # must not be imported without its dependencies
    try:
        run()
    except KeyboardInterrupt as exc:  # before the command was there to take it, or when it had ended
        sys.exit(exit_code_of(exc))


if __name__ == "__main__":
    main()

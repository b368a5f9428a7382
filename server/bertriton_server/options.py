"""Options that the commands of a server share, and the numbers behind them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

CommandT = TypeVar("CommandT", bound="Callable[..., Any]")

MODEL_REPOSITORY: Final = "model_repository"
# The same as tritonserver's own.
HTTP_PORT: Final = 8000
GRPC_PORT: Final = 8001
METRICS_PORT: Final = 8002


def server_option(name: str, *more: str, **settings: Any) -> Callable[[CommandT], CommandT]:  # noqa: ANN401 - click's own
    """A click option with its environment variable, named as those of the other commands are.

    The rule stands here once more because this package has nothing of the client's.
    """
    variable = "BERTRITON_" + name.removeprefix("--").replace("-", "_").upper()
    return click.option(
        name, *more, **{"show_default": True, "envvar": variable, "show_envvar": True, **settings}
    )


port_option = partial(server_option, type=click.IntRange(0, 65535))

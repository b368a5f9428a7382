"""Options that every command with a server behind it shares."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, get_args

import click

from bertriton import BertritonError, Client, InvalidOptionError, Tls
from bertriton._access import headers_from, split_headers
from bertriton._clients import SERVER_PARAMETERS, ZERO_SHOT_OPTIONS
from bertriton._config import DEFAULT_TIMEOUT_S, DEFAULT_URL
from bertriton._types import Aggregation, Truncation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bertriton._clients import CallOptions, RequestOptions

CommandT = TypeVar("CommandT", bound="Callable[..., Any]")

_ENVIRONMENT_PREFIX: Final = "BERTRITON_"
_PEM_FILE: Final = click.Path(exists=True, dir_okay=False)


def option(name: str, *more: str, **settings: Any) -> Callable[[CommandT], CommandT]:  # noqa: ANN401  # click's own
    """A click option with its environment variable: --text-column is BERTRITON_TEXT_COLUMN.

    Args:
        name: the option itself; of a flag with two sides, `--gate/--no-gate`, the first side counts.
        more: what else click takes by place.
        settings: what it takes by name; an `envvar` among them is used instead.
    """
    variable = _ENVIRONMENT_PREFIX + name.partition("/")[0].removeprefix("--").replace("-", "_").upper()
    return click.option(name, *more, **{"envvar": variable, "show_envvar": True, **settings})


class TextList(click.types.StringParamType):
    """Texts of an option that may be repeated, which may hold spaces: a variable has commas between them."""

    envvar_list_splitter = ","

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        """Without the spaces around a comma, which belong to no text."""
        return [text.strip() for text in super().split_envvar_value(rv) if text.strip()]


class HeaderList(click.types.StringParamType):
    """Headers of an option that may be repeated; a variable has commas or spaces between them."""

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        """As `bertriton.spark` and `bertriton.nlu` do."""
        return split_headers(rv)


_ADDRESS_OPTIONS: Final = (
    option(
        "--url",
        default=DEFAULT_URL,
        show_default=True,
        help="Triton's gRPC endpoint: host:port, or a gRPC target such as dns:///host:port.",
    ),
    option("--model", help="Name of the classifier [default: the server's only one]."),
    option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        default=DEFAULT_TIMEOUT_S,
        show_default=True,
        help="Seconds that each request may take, retries included.",
    ),
)
_ACCESS_OPTIONS: Final = (
    option("--tls", is_flag=True, help="Encrypt the connection."),
    option(
        "--tls-ca",
        type=_PEM_FILE,
        help="Certificate authorities to trust (PEM) [default: the well-known ones].",
    ),
    # Without CLIENT these are the server's own, of `bertriton serve`.
    option(
        "--tls-cert",
        envvar="BERTRITON_CLIENT_TLS_CERT",
        type=_PEM_FILE,
        help="The client's certificate (PEM), for mutual TLS.",
    ),
    option(
        "--tls-key",
        envvar="BERTRITON_CLIENT_TLS_KEY",
        type=_PEM_FILE,
        help="The client's private key (PEM).",
    ),
    option("--token", help="Bearer token for a proxy in front of Triton."),
    option("--api-key", help="The key of `bertriton serve --api-key`."),
    option(
        "--header",
        "headers",
        type=HeaderList(),
        multiple=True,
        metavar="NAME=VALUE",
        help="gRPC metadata to send along; may be repeated; in the variable, after commas or spaces.",
    ),
)


_READING_OPTIONS: Final = (
    option(
        "--truncation",
        type=click.Choice(get_args(Truncation)),
        help="Which part of a long text is read [default: the model's own, mostly head].",
    ),
    option(
        "--max-length",
        type=click.IntRange(min=3),
        help="Tokens read of a text, or of a window [default: the model's limit].",
    ),
    option(
        "--stride",
        type=click.IntRange(min=0),
        help="Tokens that a window shares with the one before [default: the model's own, mostly 0].",
    ),
    option(
        "--aggregation",
        type=click.Choice(get_args(Aggregation)),
        help="How the scores of windows are joined [default: the model's own, mostly mean].",
    ),
)


def reading_options(command: CommandT) -> CommandT:
    """Add the options of how texts are read, which `call_options` takes."""
    for add in reversed(_READING_OPTIONS):
        command = add(command)
    return command


def call_options(settings: dict[str, Any]) -> CallOptions:
    """Take out of a command's settings what belongs to each call, without what was not given."""
    return cast("CallOptions", request_options(settings))


def request_options(settings: dict[str, Any]) -> RequestOptions:
    """The same for a call that classifies nothing."""
    values = {name: settings.pop(name) for name in SERVER_PARAMETERS}
    return cast("RequestOptions", {name: value for name, value in values.items() if value is not None})


def zero_shot_options(settings: dict[str, Any]) -> CallOptions:
    """Take out of a command's settings what makes classification zero-shot, without what was not given."""
    values = {name: settings.pop(name) for name in ZERO_SHOT_OPTIONS}
    return cast(
        "CallOptions", {name: value for name, value in values.items() if value not in (None, (), False)}
    )


def connection_options(command: CommandT) -> CommandT:
    """Add the options that `connected` takes."""
    for add in reversed(_ADDRESS_OPTIONS + _ACCESS_OPTIONS):
        command = add(command)
    return command


def access_options(command: CommandT) -> CommandT:
    """Add the options of what a server asks for, which `access_settings` takes."""
    for add in reversed(_ACCESS_OPTIONS):
        command = add(command)
    return command


def access_settings(
    *,
    tls: bool,
    tls_ca: str | None,
    tls_cert: str | None,
    tls_key: str | None,
    headers: Sequence[str],
    **others: Any,  # noqa: ANN401  # those that are the client's own
) -> dict[str, Any]:
    """The client's settings that the options given stand for.

    Raises:
        InvalidOptionError: they contradict each other.
    """
    encrypted = tls or tls_ca or tls_cert or tls_key
    encryption = Tls(tls_ca, tls_cert, tls_key) if encrypted else None
    return {"tls": encryption, "headers": _headers(headers), **others}


@contextmanager
def connected(**options: Any) -> Iterator[Client]:  # noqa: ANN401  # as click collects them
    """A client with the options given; its errors end the command with one line."""
    with errors_in_one_line(), Client(**access_settings(**options)) as client:
        yield client


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Errors of the client become those of the command line."""
    try:
        yield
    except BertritonError as exc:
        raise click.ClickException(" ".join(str(exc).split())) from exc


def _headers(words: Sequence[str]) -> dict[str, str]:
    try:
        return dict(headers_from(words, "--header"))
    except InvalidOptionError as exc:
        raise click.UsageError(exc.message) from exc

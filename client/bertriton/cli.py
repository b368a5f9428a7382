"""The command line: a table of commands, each imported when it is called."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass
from importlib import import_module
from typing import Final, NoReturn

import click

from bertriton import __version__
from bertriton._access import is_yes
from bertriton._interruption import ends_at_once, exit_code_of, on_sigterm

PROGRAM: Final = "bertriton"
DEBUG_VARIABLE: Final = "BERTRITON_DEBUG"
_FAILURE_EXIT: Final = 1


@dataclass(frozen=True)
class _Entry:
    """Where a command lives and what it needs."""

    module: str
    attribute: str
    extra: str  # of pip install 'bertriton[...]'
    summary: str  # known without an import, so that --help never fails


_COMMANDS: Final = {
    "bench": _Entry("bertriton_bench.command", "bench_command", "bench", "Measure a server under load."),
    "classify": _Entry("bertriton._commands.classify", "classify_command", "cli", "Classify texts or files."),
    "completion": _Entry(
        "bertriton._commands.completion", "completion_command", "cli", "Print a shell completion script."
    ),
    "demo": _Entry("bertriton_demo.command", "demo_command", "demo", "See it work, on film reviews."),
    "doctor": _Entry(
        "bertriton_server.doctor_command", "doctor_command", "cli", "Collect what a bug report needs."
    ),
    "evaluate": _Entry(
        "bertriton_evaluate.command", "evaluate_command", "evaluate", "Measure how accurate a model is."
    ),
    "export": _Entry(
        "bertriton_export.command",
        "export_command",
        "export",
        "Turn a checkpoint into a Triton model repository.",
    ),
    "health": _Entry(
        "bertriton._commands.server", "health_command", "cli", "Check whether a server is ready."
    ),
    "models": _Entry("bertriton._commands.server", "models_command", "cli", "List a server's classifiers."),
    "rerank": _Entry(
        "bertriton._commands.rerank",
        "rerank_command",
        "cli",
        "Sort documents by how well they answer a query.",
    ),
    "serve": _Entry(
        "bertriton_server.command", "serve_command", "serve", "Serve a model repository with Triton."
    ),
    "ui": _Entry("bertriton_ui.command", "ui_command", "ui", "Try a server's classifiers in the browser."),
}


class _LazyGroup(click.Group):
    """A group that imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        entry = _COMMANDS.get(cmd_name)
        return None if entry is None else _imported(entry)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in sorted(_COMMANDS.items())])


def _imported(entry: _Entry) -> click.Command:
    """The command itself, or one in its place that says what to install."""
    try:
        with ends_at_once():
            command: click.Command = getattr(import_module(entry.module), entry.attribute)
    except ModuleNotFoundError as exc:
        return _command_without_its_extra(entry, exc.name or entry.module)
    return command


def _command_without_its_extra(entry: _Entry, missing: str) -> click.Command:
    def say_what_to_install(arguments: tuple[str, ...]) -> None:  # noqa: ARG001
        raise click.ClickException(f"{missing} is not installed: pip install 'bertriton[{entry.extra}]'")

    return click.Command(
        None,
        callback=say_what_to_install,
        params=[click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)],
        context_settings={"ignore_unknown_options": True},
        add_help_option=False,
        help=entry.summary,
    )


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=PROGRAM)
def bertriton() -> None:
    """Export BERT text classifiers, serve them on NVIDIA Triton, and classify texts."""


def run() -> NoReturn:
    """Run the command line; a failure is one line on stderr, an interruption none.

    SIGTERM ends it as Ctrl-C does: what a command made for a while is removed, what was answered is kept.
    With BERTRITON_DEBUG=1 what nobody expected shows its traceback.
    """
    signal.signal(signal.SIGTERM, on_sigterm)
    try:
        # https://no-color.org; that standard output is no terminal click sees by itself.
        color = False if os.environ.get("NO_COLOR") else None
        exit_code = bertriton.main(prog_name=PROGRAM, standalone_mode=False, color=color)
        _flush()
    except click.Abort as exc:
        exit_code = exit_code_of(exc.__cause__)
    except click.ClickException as exc:
        exc.show()
        exit_code = exc.exit_code
    except BrokenPipeError:  # whoever read our output has enough
        exit_code = _FAILURE_EXIT
    except Exception as exc:  # whatever it is, a user gets one line
        if is_yes(os.environ.get(DEBUG_VARIABLE, "")):
            raise
        click.echo(f"Error: {_in_one_line(exc)}", err=True)
        exit_code = _FAILURE_EXIT
    _leave_no_output()
    sys.exit(exit_code if isinstance(exit_code, int) else 0)


def _in_one_line(exc: Exception) -> str:
    if isinstance(exc, OSError) and exc.strerror:
        where = f"{exc.filename}: " if exc.filename else ""
        return f"{where}{exc.strerror}"
    if isinstance(exc, UnicodeEncodeError) and sys.stdout is not None and exc.encoding == _output_encoding():
        return (
            f"standard output is in {sys.stdout.encoding}, which has no {exc.object[exc.start]!a}: "
            "set PYTHONIOENCODING=utf-8"
        )
    words = " ".join(str(exc).split())
    return f"unexpected {type(exc).__name__}: {words} (set {DEBUG_VARIABLE}=1 to see where it comes from)"


def _output_encoding() -> str:
    """As Python calls it in errors."""
    try:
        "\U0010ffff".encode(sys.stdout.encoding)
    except UnicodeEncodeError as exc:
        return exc.encoding
    return ""


def _flush() -> None:
    if sys.stdout is not None:  # as Python says of one that is closed
        sys.stdout.flush()


def _leave_no_output() -> None:
    """Drop what cannot be written, or Python complains of it in its own words at the end."""
    try:
        _flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

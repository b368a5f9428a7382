"""The command line and its environment variables, written into their pages from click's own commands."""

from __future__ import annotations

import inspect
import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from bertriton.cli import bertriton

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

# What stands in a page where the commands, or the variables, are to be.
COMMANDS_MARK: Final = "<!-- every command -->"
VARIABLES_MARK: Final = "<!-- every variable -->"
_SHOWN: Final = (str, int, float, Path)  # defaults that mean something in print
_DEFAULT_IN_HELP: Final = re.compile(r" \[default: (.*)\]")


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001  # MkDocs' signature
    """Put the commands and the variables where a page has their mark."""
    for mark, lines in ((COMMANDS_MARK, _commands), (VARIABLES_MARK, _variables)):
        if mark in markdown:
            markdown = markdown.replace(mark, "\n".join(lines()))
    return markdown


def commands() -> dict[str, click.Command]:
    """Every command by its name."""
    context = click.Context(bertriton, info_name="bertriton")
    found = {name: bertriton.get_command(context, name) for name in bertriton.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}


def _commands() -> Iterator[str]:
    for name, command in commands().items():
        context = click.Context(command, info_name=f"bertriton {name}")
        usage = " ".join([f"bertriton {name}", *command.collect_usage_pieces(context)])
        yield from (f"## bertriton {name} {{ #{name} }}", "", "```text", usage, "```", "")
        yield from (_escaped(inspect.cleandoc(command.help or "").replace("\f", "")), "")
        yield from ("| option | meaning | default | variable |", "|---|---|---|---|")
        for option in _options(command):
            meaning, default = _meaning_and_default(option)
            yield f"| {_names(option)} | {meaning} | {default} | {_code(option.envvar)} |"
        yield ""


def _variables() -> Iterator[str]:
    readers: dict[str, list[str]] = defaultdict(list)
    options: dict[str, click.Option] = {}
    for name, command in commands().items():
        for option in _options(command):
            readers[str(option.envvar)].append(name)
            options.setdefault(str(option.envvar), option)
    yield from ("| variable | meaning | default | read by |", "|---|---|---|---|")
    for variable, option in sorted(options.items()):
        meaning, default = _meaning_and_default(option)
        links = ", ".join(f"[`{name}`](command-line.md#{name})" for name in readers[variable])
        yield f"| `{variable}` | {meaning} | {default} | {links} |"


def _options(command: click.Command) -> list[click.Option]:
    return [option for option in command.params if isinstance(option, click.Option)]


def _names(option: click.Option) -> str:
    values = ""
    if isinstance(option.type, click.Choice):
        values = " " + " \\| ".join(str(choice) for choice in option.type.choices)
    elif not option.is_flag:
        values = " " + _escaped(option.metavar or option.type.name.partition(" ")[0].upper())
    return ", ".join(f"`{name}`{{ .whole }}" for name in (*option.opts, *option.secondary_opts)) + values


def _meaning_and_default(option: click.Option) -> tuple[str, str]:
    text = option.help or ""
    in_help = _DEFAULT_IN_HELP.search(text)
    if in_help:
        return _escaped(text.replace(in_help[0], "")), _escaped(in_help[1])
    values = option.default if isinstance(option.default, (tuple, list)) else [option.default]
    # click marks options without a default by an object of its own.
    if option.is_flag or not option.show_default or not all(isinstance(value, _SHOWN) for value in values):
        return _escaped(text), ""
    return _escaped(text), _code(", ".join(str(value) for value in values))


def _code(value: object) -> str:
    return f"`{value}`" if value else ""


def _escaped(text: str) -> str:
    """Words of a help text as Markdown, what looks like code as code."""
    words = text.replace("|", "\\|").split("`")
    words[::2] = [_with_code(part) for part in words[::2]]
    return "`".join(words)


def _with_code(text: str) -> str:
    text = text.replace("<", "&lt;").replace("*", "\\*")
    return re.sub(r"(?<![\w-])(--[a-z][a-z-]*|BERTRITON_[A-Z_]+)", r"`\1`", text)

"""One environment variable means one thing, whichever command reads it."""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import permutations
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from bertriton import cli

ROOT = Path(__file__).parent.parent.parent.parent
CONTEXT = click.Context(cli.bertriton)
COMMANDS: dict[str, Any] = {
    name: cli.bertriton.get_command(CONTEXT, name) for name in cli.bertriton.list_commands(CONTEXT)
}
CLIENTS = {"bench", "classify", "evaluate", "health", "models", "rerank", "ui"}
FILES = {"classify", "evaluate"}
SERVERS = {"doctor", "serve"}
READERS = {*FILES, "rerank"}
# What several commands may read, since it means the same to each; all others are of one command.
SHARED = {
    **dict.fromkeys(
        ("URL", "MODEL", "TLS", "TLS_CA", "CLIENT_TLS_CERT", "CLIENT_TLS_KEY", "TOKEN", "HEADER"), CLIENTS
    ),
    **dict.fromkeys(("TRUNCATION", "MAX_LENGTH", "STRIDE", "AGGREGATION", "ROWS"), READERS),
    **dict.fromkeys(("PAIR_COLUMN", "OVERWRITE"), FILES),
    "TEXT_COLUMN": FILES | {"bench"},
    "TIMEOUT": CLIENTS - {"bench"},  # it measures as long as a request takes
    "API_KEY": CLIENTS | {"serve"},  # one key, asked for and shown
    "JSON": CLIENTS - {"bench", "ui"} | {"doctor", "export"},  # print JSON
    "MODEL_REPOSITORY": {"doctor", "export", "serve"},  # written, looked at and served
    **dict.fromkeys(("HOST", "HTTP_PORT", "GRPC_PORT", "METRICS_PORT"), SERVERS),
}
# Read by nothing but the images' entry point, or by no command's option.
OTHERS = {
    "CHECKPOINT",
    "STORE",
    "CHECKPOINTS",
    "RUNTIME_DIR",
    "TRITONSERVER",
    "PERF_ANALYZER",
    "DEBUG",
    "ENGINE_TIMEOUT_S",
    "SPARK_MODELS",
}
LIKE = {
    "evaluate": ["--data", "data.csv"],
    "export": ["checkpoint"],
    "completion": ["bash"],
    "rerank": ["query"],
}


def options(command: str) -> list[click.Option]:
    return [option for option in COMMANDS[command].params if isinstance(option, click.Option)]


def kind(option: click.Option) -> tuple[object, ...]:
    """What values it takes, and whether one or many."""
    choices = tuple(option.type.choices) if isinstance(option.type, click.Choice) else ()
    return type(option.type), choices, option.is_flag, option.multiple


def sample(option: click.Option, folder: Path) -> str:
    """A value that the option takes."""
    if isinstance(option.type, click.Choice):
        return str(option.type.choices[-1])
    if isinstance(option.type, click.Path):
        if "repository" in str(option.name):
            return str(folder)
        file = folder / f"{option.name}.csv"
        file.touch()
        return str(file)
    if option.is_flag:
        return "true"
    if isinstance(option.type, click.FloatRange):
        return "0.5"
    return "7" if isinstance(option.type, click.IntRange) else "of its own"


def test_every_option_of_every_command_has_a_variable() -> None:
    for command in COMMANDS:
        for option in options(command):
            assert isinstance(option.envvar, str), (command, option.name)
            assert re.fullmatch(r"BERTRITON_[A-Z0-9_]+", option.envvar)
            assert option.show_envvar, (command, option.name)


def test_a_variable_of_several_commands_takes_the_same_values_in_each() -> None:
    commands, kinds = defaultdict(set), defaultdict(set)
    for command in COMMANDS:
        for option in options(command):
            name = str(option.envvar).removeprefix("BERTRITON_")
            assert name not in OTHERS, (command, name)
            assert command not in commands[name], f"{command} reads {name} twice"
            commands[name].add(command)
            kinds[name].add(kind(option))

    assert SHARED == {name: readers for name, readers in commands.items() if len(readers) > 1}
    assert [] == [name for name, found in kinds.items() if len(found) > 1]


@pytest.mark.parametrize(("whose", "command"), list(permutations(COMMANDS, 2)))
def test_settings_of_one_command_do_not_disturb_another(
    whose: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the images set BERTRITON_CHECKPOINT, and a shell's profile what one likes."""
    expected = COMMANDS[command].make_context(command, list(LIKE.get(command, []))).params
    monkeypatch.setenv("BERTRITON_CHECKPOINT", "/opt/checkpoints/imdb")
    shared = {f"BERTRITON_{name}" for name, readers in SHARED.items() if {whose, command} <= readers}
    for option in options(whose):
        monkeypatch.setenv(str(option.envvar), sample(option, tmp_path))

    found = COMMANDS[command].make_context(command, list(LIKE.get(command, []))).params

    reads = {option.name for option in options(command) if option.envvar in shared}
    assert {name: value for name, value in expected.items() if name not in reads} == {
        name: value for name, value in found.items() if name not in reads
    }


def test_variables_that_the_documentation_and_the_images_name_exist() -> None:
    known = {str(option.envvar) for command in COMMANDS for option in options(command)}
    known |= {f"BERTRITON_{name}" for name in OTHERS}
    files = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("docker/**/*")]

    for file in files:
        # The changelog names what was renamed, too.
        if file.is_file() and file.name != "CHANGELOG.md":
            named = set(re.findall(r"\bBERTRITON_[A-Z0-9_]*[A-Z0-9]\b", file.read_text(encoding="utf-8")))
            assert named <= known, file


@pytest.mark.parametrize(
    ("command", "variable", "value", "found"),
    [
        ("classify", "HEADER", "authorization=Bearer abc, b=c=d", ("authorization=Bearer abc", "b=c=d")),
        (
            "classify",
            "HEADER",
            "a=b authorization=Basic dXNlcg== c=d",
            ("a=b", "authorization=Basic dXNlcg==", "c=d"),
        ),
        ("classify", "CANDIDATE_LABEL", "film review, sport,", ("film review", "sport")),
        ("evaluate", "LABEL_MAP", "very good=pos, bad=neg", ("very good=pos", "bad=neg")),
    ],
)
def test_several_texts_in_a_variable_stand_between_commas(
    command: str, variable: str, value: str, found: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"BERTRITON_{variable}", value)

    params = COMMANDS[command].make_context(command, list(LIKE.get(command, []))).params

    assert found in params.values()


def test_a_header_is_not_replaced_by_another_of_its_name() -> None:
    words = ["--header", "a=b", "--header", "A=c"]

    result = CliRunner().invoke(cli.bertriton, ["models", "--timeout", "1", *words])

    assert result.exit_code == 2
    assert "--header: expected each name once, found 'A' twice" in result.output

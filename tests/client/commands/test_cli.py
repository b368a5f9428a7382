"""The command line as a shell sees it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

import bertriton
from bertriton import Client, cli
from bertriton_server import LocalServer, ServerConfig
from bertriton_server.process import members_of

if TYPE_CHECKING:
    from collections.abc import Callable

CLIENT_ROOT = Path(bertriton.__file__).parent.parent
COMMAND = [sys.executable, "-m", "bertriton"]

# A stand-in for an environment in which a package is not installed.
WITHOUT = """
import sys
from importlib.machinery import PathFinder
missing = sys.argv[1].split(",")
find_spec = PathFinder.find_spec
PathFinder.find_spec = lambda name, *where: None if name.split(".")[0] in missing else find_spec(name, *where)
sys.path.insert(0, sys.argv[2])
sys.argv = ["bertriton", *sys.argv[3:]]
from bertriton.__main__ import main
main()
"""


def _run(*arguments: str, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, *arguments], input=stdin, capture_output=True, check=False, env=os.environ | environment
    )


def _run_without(missing: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT, missing, str(CLIENT_ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def classify(imdb_server: LocalServer) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    def run(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return _run("classify", *arguments, stdin=stdin, BERTRITON_URL=imdb_server.grpc_url)

    return run


def test_texts_are_printed_with_label_and_score(
    classify: Callable[..., subprocess.CompletedProcess[bytes]],
) -> None:
    done = classify("A lovely film.", "Dreadful,\nall of it.")

    lines = [line.split("  ") for line in done.stdout.decode().splitlines()]
    assert [(label, text) for label, _, text in lines] == [
        ("pos", "A lovely film."),
        ("neg", "Dreadful, all of it."),
    ]
    assert all(0.5 < float(score) <= 1 for _, score, _ in lines)


def test_lines_of_standard_input_become_json_lines(
    classify: Callable[..., subprocess.CompletedProcess[bytes]],
) -> None:
    done = classify("--json", stdin="gut gemacht 🎬\r\n\nawful\n".encode())

    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["text"] for answer in answers] == ["gut gemacht 🎬", "", "awful"]
    assert answers[2]["label"] == "neg"
    assert answers[2]["scores"]["neg"] == answers[2]["score"]


def test_a_line_that_is_not_utf8_is_one_line_of_error(
    classify: Callable[..., subprocess.CompletedProcess[bytes]],
) -> None:
    done = classify(stdin=b"fine\n\xff\n")

    assert done.returncode == 1
    assert done.stdout.count(b"\n") == 1
    assert done.stderr.startswith(b"Error: text 1: ")
    assert done.stderr.count(b"\n") == 1


def test_an_unreachable_server_is_one_line_of_error() -> None:
    done = _run("classify", "--url", "localhost:1", "text")

    assert done.returncode == 1
    assert done.stdout == b""
    assert done.stderr.startswith(b"Error: cannot reach Triton at localhost:1: ")
    assert done.stderr.count(b"\n") == 1


def test_a_wrong_option_is_a_usage_error() -> None:
    assert _run("classify", "--bogus").returncode == 2


def test_a_closed_pipe_is_no_traceback(imdb_server: LocalServer) -> None:
    endless = f"yes good | {' '.join(COMMAND)} classify --url {imdb_server.grpc_url} | head -1"

    done = subprocess.run(endless, shell=True, capture_output=True, check=False)  # noqa: S602

    assert done.stdout.startswith(b"pos")
    assert done.stderr == b""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_is_quiet(imdb_server: LocalServer, sent: signal.Signals) -> None:
    command = [*COMMAND, "classify", "--url", imdb_server.grpc_url]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        # More than are under way at once, so that answers come while it still waits for texts.
        process.stdin.write(b"good\n" * 2000)
        process.stdin.flush()
        assert process.stdout.readline().startswith(b"pos")
        process.send_signal(sent)
        _, stderr = process.communicate(timeout=60)

    assert process.returncode == 128 + sent
    assert stderr.strip() == b""


@pytest.mark.parametrize(
    ("module", "words"), [("click", ["--version"]), ("tritonclient", ["models"]), ("numpy", ["health"])]
)
def test_an_interruption_while_modules_are_imported_is_quiet(
    tmp_path: Path, module: str, words: list[str]
) -> None:
    interrupting = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(1)\n"
    (tmp_path / f"{module}.py").write_text(interrupting)
    paths = os.pathsep.join([str(tmp_path), str(CLIENT_ROOT)])

    done = _run(*words, PYTHONPATH=paths)

    assert done.returncode == -signal.SIGINT  # of which a shell makes 130
    assert (done.stdout, done.stderr) == (b"", b"")


def test_an_ignored_interruption_stays_ignored() -> None:
    script = (
        "import signal\nfrom bertriton._interruption import ends_at_once as ends\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "with ends(): signal.raise_signal(signal.SIGINT)\n"
    )

    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize("environment", [{}, {"http_proxy": "garbage"}])
@pytest.mark.parametrize("url", ["xds:///a", "triton.invalid:1"])
def test_grpc_says_nothing_of_its_own(url: str, environment: dict[str, str]) -> None:
    done = _run("models", "--url", url, "--timeout", "5", **environment)

    (line,) = done.stderr.decode().splitlines()
    assert done.returncode == 1
    assert line.startswith("Error: ")


def test_the_classifiers_of_a_server_are_listed(imdb_server: LocalServer) -> None:
    done = _run("models", "--json", BERTRITON_URL=imdb_server.grpc_url)

    (served,) = map(json.loads, done.stdout.splitlines())
    assert (served["name"], served["versions"], served["ready"]) == ("imdb", ["1"], True)
    assert served["info"]["labels"] == ["neg", "pos"]
    assert "neg, pos" in _run("models", BERTRITON_URL=imdb_server.grpc_url).stdout.decode()


def test_a_healthy_server_exits_with_0(imdb_server: LocalServer) -> None:
    done = _run("health", BERTRITON_URL=imdb_server.grpc_url)

    assert (done.returncode, done.stdout) == (0, b"imdb  ready\n")


def test_a_server_that_is_not_healthy_exits_with_1(imdb_server: LocalServer) -> None:
    away = _run("health", "--url", "localhost:1")
    another = _run("health", "--url", imdb_server.grpc_url, "--model", "nowhere")

    assert [away.returncode, another.returncode] == [1, 1]
    assert another.stderr == f"Error: no classifier 'nowhere' at {imdb_server.grpc_url}\n".encode()


@pytest.mark.parametrize(
    ("part", "number"), [("imdb_tokenizer", signal.SIGKILL), ("imdb_bert", signal.SIGSTOP)]
)
def test_a_server_whose_process_is_dead_or_stopped_is_not_healthy(
    imdb_repository: Path, part: str, number: signal.Signals
) -> None:
    with LocalServer(ServerConfig(imdb_repository, stop_grace_s=0)) as server:
        (pid,) = [member.pid for member in members_of(server.pid) if member.name == part]
        os.kill(pid, number)
        done = _run("health", BERTRITON_URL=server.grpc_url)
        as_json = _run("health", "--json", "--timeout", "2", BERTRITON_URL=server.grpc_url)
        with Client(server.grpc_url, timeout=2) as client:
            assert client.is_ready() is False

    assert (done.returncode, as_json.returncode) == (1, 1)
    assert done.stdout.decode().startswith("imdb  not ready: ")
    assert f"Stub process '{part}_0_0' is not healthy" in done.stdout.decode()
    assert json.loads(as_json.stdout)["ready"] is False


@pytest.mark.parametrize(("shell", "sign"), [("bash", "complete"), ("zsh", "compdef"), ("fish", "complete")])
def test_a_shell_gets_its_completion(shell: str, sign: str) -> None:
    done = _run("completion", shell)

    assert done.returncode == 0
    assert sign in done.stdout.decode()
    assert "_BERTRITON_COMPLETE" in done.stdout.decode()


def test_commands_and_options_are_completed() -> None:
    def completed(words: str, place: int) -> list[str]:
        environment = {"_BERTRITON_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(place)}
        return [line.split(",")[1] for line in _run(**environment).stdout.decode().splitlines()]

    assert completed("bertriton he", 1) == ["health"]
    assert completed("bertriton classify --trun", 2) == ["--truncation"]


# What is called otherwise: one variable for the repository that is written and the one that is served, and
# names of their own for options that mean something else in another command, or to the images.
COMMANDS = {
    *("bench", "classify", "completion", "doctor", "evaluate", "export", "health", "models", "rerank"),
    *("serve", "ui"),
}
OTHER_VARIABLES = {
    ("export", "--repository"): "BERTRITON_MODEL_REPOSITORY",
    ("bench", "--json"): "BERTRITON_BENCH_JSON",
    ("evaluate", "--output"): "BERTRITON_EVALUATE_OUTPUT",
    ("evaluate", "--checkpoint"): "BERTRITON_EVALUATE_CHECKPOINT",
    ("evaluate", "--precision"): "BERTRITON_EVALUATE_PRECISION",
    ("export", "--truncation"): "BERTRITON_EXPORT_TRUNCATION",
    ("export", "--stride"): "BERTRITON_EXPORT_STRIDE",
    ("export", "--aggregation"): "BERTRITON_EXPORT_AGGREGATION",
} | {
    (command, f"--tls-{file}"): f"BERTRITON_CLIENT_TLS_{file.upper()}"
    for command in ("bench", "classify", "evaluate", "health", "models", "rerank", "ui")
    for file in ("cert", "key")
}


@pytest.mark.parametrize(
    "name",
    ["bench", "classify", "doctor", "evaluate", "export", "health", "models", "rerank", "serve", "ui"],
)
def test_every_option_has_an_environment_variable(name: str) -> None:
    context = click.Context(cli.bertriton)
    command = cli.bertriton.get_command(context, name)
    assert command is not None
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    assert len(options) > 3

    for option in options:
        longest = max(option.opts, key=len)
        usual = "BERTRITON_" + longest.removeprefix("--").replace("-", "_").upper()
        assert option.envvar == OTHER_VARIABLES.get((name, longest), usual)
        record = option.get_help_record(context)
        assert record is not None
        assert f"env var: {option.envvar}" in " ".join(record[1].split())


def test_a_file_is_classified_and_not_twice(imdb_server: LocalServer, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("good film\nawful film\n")
    words = ["classify", "--input", str(tmp_path / "in.txt"), "--output", str(tmp_path / "out.jsonl")]

    first = _run(*words, BERTRITON_URL=imdb_server.grpc_url)
    second = _run(*words, BERTRITON_URL=imdb_server.grpc_url)

    assert (first.returncode, second.returncode) == (0, 1)
    assert first.stderr == f"2 rows classified into {tmp_path / 'out.jsonl'}\n".encode()
    assert b"exists already" in second.stderr
    answers = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert ["pos", "neg"] == [answer["predicted_label"] for answer in answers]


@pytest.mark.parametrize(
    "words", [["--input", "a.csv"], ["--output", "a.csv"], ["--input", "a.csv", "--output", "b.csv", "text"]]
)
def test_options_that_contradict_each_other_are_a_usage_error(words: list[str]) -> None:
    assert _run("classify", *words).returncode == 2


@pytest.mark.parametrize(
    "words",
    [["--text-column", "a"], ["--pair-column", "b"], ["--prefix", "p"], ["--all-scores"], ["--overwrite"]],
)
def test_options_of_files_are_not_ignored_without_one(words: list[str]) -> None:
    done = _run("classify", "text", *words)

    assert done.returncode == 2
    assert f"Error: {words[0]} is of files: give --input and --output with it".encode() in done.stderr


def test_a_parquet_file_without_its_extra_says_what_to_install(
    imdb_server: LocalServer, tmp_path: Path
) -> None:
    (tmp_path / "in.parquet").touch()
    words = ["--input", str(tmp_path / "in.parquet"), "--output", str(tmp_path / "out.csv")]

    done = _run_without("pyarrow", "classify", "--url", imdb_server.grpc_url, *words)

    assert done.returncode == 1
    assert done.stderr == "Error: pyarrow is not installed: pip install 'bertriton[files]'\n"


@pytest.mark.parametrize("header", ["no-value", "=value"])
def test_a_header_without_name_and_value_is_a_usage_error(header: str) -> None:
    assert _run("models", "--header", header).returncode == 2


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_is_where_the_table_says(command: str) -> None:
    done = _run(command, "--help")

    assert done.returncode == 0
    assert done.stdout.startswith(f"Usage: bertriton {command}".encode())


@pytest.mark.parametrize("command", ["bench", "evaluate"])
def test_a_machine_without_a_home_is_not_commented_on(tmp_path: Path, command: str) -> None:
    """Matplotlib tells of it where it finds no folder for its cache."""
    (tmp_path / "file").touch()
    nowhere = str(tmp_path / "file" / "folder")

    done = _run(command, "--help", HOME=nowhere, XDG_CACHE_HOME=nowhere, XDG_CONFIG_HOME=nowhere)

    assert (done.returncode, done.stderr) == (0, b"")


def test_plots_that_cannot_be_drawn_are_told_before_anything_is_measured() -> None:
    done = _run_without("matplotlib", "bench", "--url", "localhost:1", "--markdown", "report.md")

    assert done.returncode == 1
    assert done.stderr == "Error: matplotlib is not installed: pip install 'bertriton[bench]'\n"


def test_the_help_lists_every_command_without_their_extras() -> None:
    done = _run_without("onnx,onnxruntime,tokenizers,bertriton_export,bertriton_server", "--help")

    assert done.returncode == 0
    assert {line.split()[0] for line in done.stdout.splitlines() if line} >= COMMANDS


@pytest.mark.parametrize(
    ("command", "package"),
    [("export", "onnx"), ("evaluate", "sklearn"), ("serve", "bertriton_server"), ("ui", "starlette")],
)
def test_a_command_without_its_extra_says_what_to_install(command: str, package: str) -> None:
    done = _run_without(package, command, "--flag", "argument")

    assert done.returncode == 1
    assert f"pip install 'bertriton[{command}]'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_click_the_command_says_what_to_install() -> None:
    done = _run_without("click", "classify", "text")

    assert done.returncode == 1
    assert done.stderr == "bertriton: the command line needs an extra: pip install 'bertriton[cli]'\n"


def test_the_version_is_the_packages() -> None:
    assert _run("--version").stdout.decode().split()[-1] == bertriton.__version__

"""Another model in the place of one: parts of both give no answer, and what is kept of the first ends."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from bertriton import Client, ModelNotReadyError, RetryPolicy, UnexpectedAnswerError, contract
from bertriton._files import FileJob, Progress, parts_folder, run
from bertriton._files.errors import JobError
from bertriton._files.job import CHUNK_ROWS
from bertriton_server import LocalServer, ModelsNotReadyError, ServerConfig

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.any_server
HOSTS = ("127.0.0.1", "127.0.0.2")
ROWS = 20_000


@pytest.mark.parametrize("part", [contract.BERT_SUFFIX, contract.TOKENIZER_SUFFIX])
def test_parts_of_two_exports_give_no_answer_together(
    exports: Any, explicit_server: Callable[[Path], Any], tmp_path: Path, part: str
) -> None:
    """As who copies a repository by hand may leave it for a while."""
    repository = exports.copy("before", tmp_path / "repository")
    with explicit_server(repository) as server, Client(server.grpc_url, exports.name) as client:
        text = next(iter(exports.truth))
        assert exports.hold(text, client.classify(text)) == exports.before
        shutil.rmtree(repository / f"{exports.name}{part}")
        shutil.copytree(
            exports.folder / "after" / f"{exports.name}{part}", repository / f"{exports.name}{part}"
        )
        server.load_again(part)

        with pytest.raises(ModelNotReadyError, match="is being replaced") as caught:
            client.with_options(retry=RetryPolicy(max_attempts=3)).classify(text)

        assert caught.value.attempts == 3
        assert {exports.before, exports.after} <= set(re.findall("[0-9a-f]{16}", str(caught.value)))
        exports.replace("after", repository)
        server.load_again(contract.BERT_SUFFIX, contract.TOKENIZER_SUFFIX, "")
        assert exports.hold(text, client.classify(text)) == exports.after


def test_files_of_two_exports_in_one_folder_are_not_loaded(exports: Any, tmp_path: Path) -> None:
    """As a server finds them that reads a folder while another takes its place."""
    for part, pattern in (
        (contract.TOKENIZER_SUFFIX, "tokenizer.json"),
        (contract.BERT_SUFFIX, "*.onnx.data"),
    ):
        folder = f"{exports.name}{part}"
        repository = exports.copy("before", tmp_path / part)
        (file,) = (repository / folder / "1").glob(pattern)
        file.unlink()
        (other,) = (exports.folder / "cased" / folder / "1").glob(pattern)
        shutil.copy(other, file.parent)

        with pytest.raises(ModelsNotReadyError, match=folder), LocalServer(repository):
            pass


def test_nothing_of_an_old_model_is_kept_once_the_new_one_has_answered(
    exports: Any, explicit_server: Callable[[Path], Any], tmp_path: Path
) -> None:
    repository = exports.copy("before", tmp_path / "repository")
    with (
        explicit_server(repository) as server,
        Client(server.grpc_url, exports.name, cache_size=99) as client,
    ):
        kept, other = list(exports.truth)[:2]
        assert client.classify(kept).fingerprint == exports.before
        exports.replace("after", repository)
        server.load_again("")
        assert client.classify(kept).fingerprint == exports.before  # nothing was sent that could tell

        assert client.classify(other).fingerprint == exports.after

        assert exports.hold(kept, client.classify(kept)) == exports.after
        assert client.info.fingerprint == exports.after
        assert client.labels == ("pos", "neg")


def _texts_file(exports: Any, tmp_path: Path, rows: int) -> Path:
    texts = list(exports.truth)
    found = (texts[row % len(texts)] for row in range(rows))
    lines = ({"text": text, "label": exports.truth[text][0]} for text in found)
    file = tmp_path / "in.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def _lines(*files: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def test_a_file_job_stops_where_another_model_begins(exports: Any, replicas: Any, tmp_path: Path) -> None:
    job = FileJob(_texts_file(exports, tmp_path, ROWS), tmp_path / "out.jsonl")
    replicas.serve(HOSTS[0], exports.folder / "before")

    def replace(progress: Progress) -> None:
        if progress.done_rows == CHUNK_ROWS:
            replicas.serve(HOSTS[0], exports.folder / "after")

    with Client(replicas.url, exports.name) as client, pytest.raises(JobError) as caught:
        run(job, client, {}, replace)

    (row,) = re.findall(r"row ([\d,]+) of", str(caught.value))
    kept = _lines(*sorted(parts_folder(job.output).glob("*.part")))
    assert CHUNK_ROWS <= len(kept) == int(row.replace(",", "")) - 1 < ROWS
    assert all(line["predicted_label"] == line["label"] for line in kept)
    assert f"{exports.name} {exports.after}, not {exports.name} {exports.before}" in str(caught.value)
    assert not job.output.exists()

    with (
        Client(replicas.url, exports.name) as client,
        pytest.raises(JobError, match="another model answered"),
    ):
        run(job, client, {})
    replicas.serve(HOSTS[0], exports.folder / "before")
    with Client(replicas.url, exports.name) as client:
        assert run(job, client, {}).earlier_rows == len(kept)

    done = _lines(job.output)
    assert len(done) == ROWS
    assert all(line["predicted_label"] == line["label"] for line in done)


def test_an_evaluation_of_two_models_ends_with_the_reason(
    exports: Any, replicas: Any, tmp_path: Path
) -> None:
    texts = _texts_file(exports, tmp_path, 300)
    for host, which in zip(HOSTS, ("before", "after"), strict=True):
        replicas.serve(host, exports.folder / which)
    words = ["evaluate", "--data", str(texts), "--url", replicas.url, "--output", str(tmp_path / "out.jsonl")]

    done = subprocess.run(
        [sys.executable, "-m", "bertriton", *words], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert done.stdout == ""
    assert "was answered by another model than the job began with" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_the_command_shows_which_model_answers(exports: Any, replicas: Any) -> None:
    replicas.serve(HOSTS[0], exports.folder / "before")

    def told(*words: str) -> Any:
        command = [sys.executable, "-m", "bertriton", *words, "--url", replicas.url, "--json"]
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert told("models")["info"]["fingerprint"] == exports.before
    assert told("classify", "a text")["fingerprint"] == exports.before


@pytest.mark.parametrize(
    ("version", "message"),
    [("1", "follows contract 1"), (contract.CONTRACT_VERSION, "unexpected inference output")],
    ids=["config of the contract before", "only the outputs are missing"],
)
def test_a_repository_of_another_contract_says_to_export_again(
    exports: Any, tmp_path: Path, version: str, message: str
) -> None:
    repository = exports.copy("before", tmp_path / "repository")
    config_file = repository / exports.name / "config.pbtxt"
    config = text_format.Parse(config_file.read_text(), ModelConfig())
    outputs = [output for output in config.output if "fingerprint" not in output.name]
    del config.output[:]
    config.output.extend(outputs)
    for step in config.ensemble_scheduling.step:
        for output in [name for name in step.output_map if "fingerprint" in name]:
            del step.output_map[output]
    config.parameters["bertriton.contract"].string_value = version
    config_file.write_text(text_format.MessageToString(config))

    with (
        LocalServer(ServerConfig(repository, stop_grace_s=0)) as server,
        Client(server.grpc_url, exports.name) as client,
        pytest.raises(UnexpectedAnswerError, match=message) as caught,
    ):
        client.classify(["a text", "another"])

    assert re.search("export (it|the model) again", str(caught.value))

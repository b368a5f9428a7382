"""The model card's pipeline in Scala, run by Spark's own shell against a real Triton."""

from __future__ import annotations

import asyncio
import json
import os
import re
import ssl
import subprocess
import threading
from contextlib import contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import trustme

from bertriton import Client
from bertriton_server import LocalServer, Security, ServerConfig
from bertriton_spark.stages.token_rules import TokenRules

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.conftest import Review

    from bertriton import Classification

pytestmark = pytest.mark.needs("java")
ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "spark" / "scala" / "Bertriton.scala"
CARD = Path(__file__).parent / "card.scala"
API_KEY = "key1"
UNUSED = "http://127.0.0.1:1"
SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"  # for a JVM that runs for a minute
SHELL_TIMEOUT_S = 900.0
ODD_TEXTS = [
    "",
    " \n",
    "Emoji \U0001f3ac film",
    "Zo\u00eb\u2019s \u201cgreat\u201d film",
    "so \t good",
    "x" * 3000,
    "hallways\u0085) killer\u0085?<br a\u2187b .\u2028!",
]


@contextmanager
def tls_before(server: LocalServer, authority: trustme.CA) -> Iterator[str]:
    """The address of a proxy that decrypts for the server's HTTP endpoint."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    serve = partial(_serve, port=server.http_port)
    loop = asyncio.new_event_loop()
    proxy = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0, ssl=context))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"https://localhost:{proxy.sockets[0].getsockname()[1]}"
    finally:
        asyncio.run_coroutine_threadsafe(_end(proxy), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    triton_reader, triton_writer = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.gather(_pass_on(reader, triton_writer), _pass_on(triton_reader, writer))


async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    target.close()


async def _end(proxy: asyncio.Server) -> None:
    """Close the proxy, and end what is left of its connections."""
    proxy.close()
    connections = asyncio.all_tasks() - {asyncio.current_task()}
    for connection in connections:
        connection.cancel()
    await asyncio.gather(*connections, return_exceptions=True)


def trust_store(folder: Path, authority: trustme.CA) -> Path:
    """Java's trust store with one authority, which is a file in PKCS 12."""
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    store = folder / "trust.p12"
    command = "keytool -importcert -noprompt -alias ca -storetype PKCS12 -storepass changeit"
    subprocess.run([*command.split(), "-file", folder / "ca.pem", "-keystore", store], check=True)
    return store


class Run:
    """What one run of the shell left."""

    def __init__(self, folder: Path, texts: list[str], answers: list[Classification], short: Any) -> None:
        self.folder = folder
        self.texts = texts
        self.answers = answers  # of the client
        self.short = short  # its answer to "One. "

    def text(self, name: str) -> str:
        return (self.folder / name).read_text(encoding="utf-8")

    def rows(self, name: str) -> list[dict[str, Any]]:
        (file,) = (self.folder / name).glob("*.json")
        # Not `splitlines`, as texts hold other ends of lines.
        return [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]

    def by_id(self, name: str) -> dict[int, list[dict[str, Any]]]:
        return {row["id"]: row["class"] for row in self.rows(name)}


@pytest.fixture(scope="module")
def run(imdb_repository: Path, reviews: list[Review], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The one run, as a shell takes its time: one server is away, one has a key, behind a proxy with TLS."""
    folder = tmp_path_factory.mktemp("scala")
    texts = [*(review.text for review in reviews), *ODD_TEXTS]
    rows = (json.dumps({"id": index, "text": text}) for index, text in enumerate(texts))
    (folder / "texts.json").write_text("\n".join(rows), encoding="utf-8")
    authority = trustme.CA()
    with (
        LocalServer(
            ServerConfig(imdb_repository, stop_grace_s=0, security=Security(api_key=API_KEY))
        ) as server,
        tls_before(server, authority) as address,
    ):
        run_shell(folder, f"{UNUSED},{address}", trust_store(folder, authority))
        with Client(server.grpc_url, "imdb", api_key=API_KEY) as client:
            return Run(folder, texts, client.classify(texts), client.classify("One. "))


def run_shell(folder: Path, addresses: str, store: Path) -> None:
    """Run the card's pipeline in the shell of the installed Spark."""
    spec = find_spec("pyspark")
    assert spec is not None
    assert spec.origin is not None
    home = Path(spec.origin).parent
    table = folder / "table.json"
    table.write_text(json.dumps({"reviews/en": {"model": "imdb"}}))
    trust = "-Djavax.net.ssl.trustStore"
    options = {
        "spark.driver.extraJavaOptions": f"{trust}={store} {trust}Password=changeit {SHORT_LIVED}",
        "spark.driver.memory": "1g",
        "spark.sql.shuffle.partitions": "2",
        "spark.ui.enabled": "false",
    }
    environment = {
        "BERTRITON_API_KEY": API_KEY,
        "BERTRITON_HTTP_URL": addresses,
        "BERTRITON_SPARK_MODELS": str(table),
        "FOLDER": str(folder),
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    flags = (flag for name, value in options.items() for flag in ("--conf", f"{name}={value}"))
    done = subprocess.run(
        [home / "bin" / "spark-shell", "--master", "local[2]", *flags],
        input=f":paste -raw {SOURCE}\n:paste {CARD}\n",
        env=os.environ | environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=SHELL_TIMEOUT_S,
    )
    assert (folder / "done").exists(), done.stdout + done.stderr


def category(text: str, answer: Classification) -> list[dict[str, Any]]:
    """What Spark NLP's column says where the client gives this answer; scores are compared by themselves."""
    if not text.strip():
        return []
    end = len(text.encode("utf-16-le")) // 2 - 1
    return [{"annotatorType": "category", "begin": 0, "end": end, "result": answer.label, "embeddings": []}]


def scores_of(annotation: dict[str, Any]) -> dict[str, float]:
    return {name: float(score) for name, score in annotation["metadata"].items() if name != "sentence"}


def in_fp32(scores: Mapping[str, float]) -> dict[str, np.float32]:
    """Java writes no more digits than tell one number of FP32 from the next."""
    return {name: np.float32(score) for name, score in scores.items()}


def without_scores(annotations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in one.items() if name != "metadata"} for one in annotations]


def test_the_card_gives_its_result(run: Run) -> None:
    (row,) = run.rows("card")

    (found,) = row["class"]
    assert row["text"] == "I really liked that movie!"
    assert (found["annotatorType"], found["begin"], found["end"], found["result"]) == (
        "category",
        0,
        25,
        "pos",
    )
    assert list(found["metadata"]) == ["sentence", "neg", "pos"]
    assert [token["result"] for token in row["token"]] == ["I", "really", "liked", "that", "movie", "!"]
    assert run.text("classes") == "neg,pos"


def test_the_schema_is_that_of_spark_nlp(run: Run) -> None:
    fields = {field["name"]: field for field in json.loads(run.text("schema"))["fields"]}

    assert list(fields) == ["text", "document", "token", "class"]
    for name, kind in (("document", "document"), ("token", "token"), ("class", "category")):
        assert fields[name]["metadata"] == {"annotatorType": kind}
        element = fields[name]["type"]["elementType"]
        assert [(each["name"], each["nullable"]) for each in element["fields"]] == [
            ("annotatorType", True),
            ("begin", False),
            ("end", False),
            ("result", True),
            ("metadata", True),
            ("embeddings", True),
        ]
        kinds = [each["type"] for each in element["fields"]]
        assert kinds[:4] == ["string", "integer", "integer", "string"]
        assert (kinds[4]["keyType"], kinds[4]["valueType"]) == ("string", "string")
        assert (kinds[5]["elementType"], kinds[5]["containsNull"]) == ("float", False)


def test_tokens_are_those_of_the_python_stage(run: Run) -> None:
    found = {row["id"]: row["result"] for row in run.rows("tokens")}

    assert found == {
        place: [token.text for token in TokenRules().tokens(text)] for place, text in enumerate(run.texts)
    }


def test_every_row_of_a_saved_and_loaded_pipeline_is_what_the_client_says(run: Run) -> None:
    found = run.by_id("reviews")

    assert sorted(found) == [*range(len(run.texts))]
    for index, (text, answer) in enumerate(zip(run.texts, run.answers, strict=True)):
        assert without_scores(found[index]) == category(text, answer)
        for annotation in found[index]:
            assert in_fp32(scores_of(annotation)) == in_fp32(answer.scores)


def test_each_sentence_has_its_answer_in_its_place(run: Run) -> None:
    for index, found in run.by_id("sentences").items():
        assert [each["metadata"]["sentence"] for each in found] == ["0", "2"]
        assert [each["begin"] for each in found] == [0, 20]
        assert found[0]["end"] == 4
        assert scores_of(found[0]) == pytest.approx(dict(run.short.scores), rel=1e-6)
        assert scores_of(found[1]) == pytest.approx(dict(run.answers[index].scores), rel=1e-6)


def test_sentences_are_averaged_where_asked_for(run: Run) -> None:
    for index, (found,) in run.by_id("coalesced").items():
        mean = {
            label: (score + run.short.scores[label]) / 2 for label, score in run.answers[index].scores.items()
        }
        assert scores_of(found) == pytest.approx(mean, abs=1e-6)
        assert found["result"] == max(mean, key=mean.__getitem__)
        assert (found["begin"], found["end"], found["metadata"]["sentence"]) == (0, 4, "0")


def test_sigmoid_gives_every_label_over_the_threshold(run: Run) -> None:
    for found in run.by_id("sigmoid").values():
        for each in found:
            scores = scores_of(each)
            assert list(scores) == ["Some(neg)", "Some(pos)"]
            assert scores[f"Some({each['result']})"] > 0.3
    with_both = [len({each["result"] for each in found}) for found in run.by_id("sigmoid").values()]
    assert set(with_both) <= {1, 2}


def test_no_secret_is_saved(run: Run) -> None:
    files = [path for path in (run.folder / "saved").rglob("*") if path.is_file()]

    assert any(
        b"pretrained" in path.read_bytes() or b"maxSentenceLength" in path.read_bytes() for path in files
    )
    assert all(API_KEY.encode() not in path.read_bytes() for path in files)


def test_failures_say_what_to_do(run: Run) -> None:
    expected = [
        "AccessDeniedException false .*HTTP 403.*BERTRITON_API_KEY",
        "ModelNotFoundException false .*unknown model: 'absent'.*setModel",
        "ConnectionFailedException true cannot reach Triton at http://127.0.0.1:1:",
        "InvalidOptionException false url: expected http://host:port.*found 'localhost:8001'",
        r"InvalidOptionException false inputCols: .*'text' \(no annotations\), 'token' \(token\)",
        "InvalidOptionException false .*there is no column 'sentence'; there are text, document, token",
        "InvalidOptionException false outputCol: there is a column 'text' already",
        "InvalidOptionException false maxSentenceLength: .*at least 3, found 2",
        "InvalidOptionException false activation: expected softmax or sigmoid, found 'tanh'",
    ]
    found = run.text("failures").splitlines()

    assert len(found) == len(expected)
    for pattern, line in zip(expected, found, strict=True):
        assert re.match(pattern, line), line

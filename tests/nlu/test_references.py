"""What a reference of NLU stands for, and the server that starts where none is configured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.conftest import EMBEDDED_CHECKPOINT

from bertriton import InvalidOptionError, Tls, nlu
from bertriton._access import Access
from bertriton_nlu.references import LocalModel, Server, target_of

if TYPE_CHECKING:
    from pathlib import Path

REFERENCE = "en.classify.bert_sequence.imdb"
ONE_LINE = """
import bertriton.nlu as nlu
pipeline = nlu.load("en.classify.bert_sequence.imdb")
found = [pipeline.predict(text).classified_sequence.item() for text in ("Great film!", "Dull.")]
from bertriton_nlu.local import _servers
print(*found, *(server.url for server in _servers.values()))
"""


def table(folder: Path, **entries: object) -> dict[str, str]:
    file = folder / "table.json"
    file.write_text(json.dumps({name.replace("_", "."): fields for name, fields in entries.items()}))
    return {"BERTRITON_SPARK_MODELS": str(file)}


def test_the_last_part_of_a_reference_names_the_classifier() -> None:
    environment = {"BERTRITON_URL": "triton:8001"}

    assert target_of(REFERENCE, None, None, environment) == Server("triton:8001", "imdb")
    assert target_of("emotion", None, None, environment) == Server("triton:8001", "emotion")
    assert target_of(REFERENCE, None, None, environment | {"BERTRITON_MODEL": "x"}) == Server(
        "triton:8001", "x"
    )


def test_a_table_says_more_and_the_environment_has_the_last_word(tmp_path: Path) -> None:
    names = table(tmp_path, en_toxic={"model": "toxic", "url": "a:1"}, en_local={"local": "/models/local"})

    assert target_of("en.toxic", None, None, names) == Server("a:1", "toxic")
    assert target_of("en.toxic", None, None, names | {"BERTRITON_URL": "b:2"}) == Server("b:2", "toxic")
    assert target_of("en.local", None, None, names) == LocalModel("/models/local", "local")
    assert target_of("en.toxic", "/here", None, names) == LocalModel("/here", "toxic")


def test_several_servers_are_refused_here_and_the_calls_own_comes_first() -> None:
    several = {"BERTRITON_URL": "a:1,b:2"}

    with pytest.raises(nlu.SettingError, match="expected one address, found a:1, b:2"):
        target_of(REFERENCE, None, None, several)
    assert target_of(REFERENCE, None, "c:3", several) == Server("c:3", "imdb")


def test_without_a_server_a_model_is_served_here() -> None:
    both = {"BERTRITON_CHECKPOINT": "/checkpoint", "BERTRITON_MODEL_REPOSITORY": "/models"}

    assert target_of(REFERENCE, None, None, {}) == LocalModel(str(EMBEDDED_CHECKPOINT), "imdb")
    assert target_of("x", None, None, both) == LocalModel("/models", "x")
    with pytest.raises(nlu.UnknownModelError, match="BERTRITON_URL=host:port"):
        target_of("en.emotion", None, None, {})


def test_variables_say_how_to_get_in_and_secrets_are_not_shown() -> None:
    environment = {
        "BERTRITON_URL": "triton:8001",
        "BERTRITON_API_KEY": "key1",
        "BERTRITON_TOKEN": "token1",
        "BERTRITON_HEADER": "a=b c=d=e, authorization=Basic dXNlcg==",
        "BERTRITON_TLS_CA": "ca.pem",
    }

    target = target_of("x", None, None, environment)

    headers = (("a", "b"), ("c", "d=e"), ("authorization", "Basic dXNlcg=="))
    access = Access("token1", "key1", headers, Tls(authority="ca.pem"))
    assert target == Server("triton:8001", "x", access)
    assert "key1" not in repr(target)
    assert "token1" not in repr(target)


def test_variables_that_are_empty_say_nothing() -> None:
    """As Compose sets those that its own environment lacks."""
    names = ("API_KEY", "TOKEN", "HEADER", "TLS", "TLS_CA", "CLIENT_TLS_CERT", "CLIENT_TLS_KEY", "MODEL")
    empty = {f"BERTRITON_{name}": "" for name in names}

    assert target_of("x", None, None, empty | {"BERTRITON_URL": "a:1"}) == Server("a:1", "x", Access())


@pytest.mark.parametrize(("word", "tls"), [("true", Tls()), ("On ", Tls()), ("off", None), ("0", None)])
def test_encryption_is_on_or_off(word: str, tls: Tls | None) -> None:
    environment = {"BERTRITON_URL": "a:1", "BERTRITON_TLS": word}

    assert target_of("x", None, None, environment) == Server("a:1", "x", Access(tls=tls))


def test_a_word_that_may_mean_encryption_is_not_taken_for_a_plain_connection() -> None:
    with pytest.raises(InvalidOptionError, match="BERTRITON_TLS: expected true or false, found 'enabled'"):
        target_of("x", None, None, {"BERTRITON_URL": "a:1", "BERTRITON_TLS": "enabled"})


@pytest.mark.parametrize(("headers", "told"), [("a=b,c", "NAME=VALUE, found 'c'"), ("a=b, A=c", "'A' twice")])
def test_a_header_that_would_be_lost_is_refused(headers: str, told: str) -> None:
    with pytest.raises(InvalidOptionError, match=rf"BERTRITON_HEADER: expected .*{told}"):
        target_of("x", None, None, {"BERTRITON_URL": "a:1", "BERTRITON_HEADER": headers})


@pytest.mark.parametrize("content", ["no JSON", "[]", '{"x": 1}', '{"x": {"address": "a:1"}}'])
def test_a_table_that_cannot_be_read_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "table.json").write_text(content)

    with pytest.raises(nlu.SettingError, match=r"table\.json: expected"):
        target_of("x", None, None, {"BERTRITON_SPARK_MODELS": str(tmp_path / "table.json")})


def test_a_server_starts_once_and_ends_with_the_process(imdb_repository: Path) -> None:
    environment = os.environ | {"BERTRITON_MODEL_REPOSITORY": str(imdb_repository)}

    done = subprocess.run(
        [sys.executable, "-c", ONE_LINE], env=environment, capture_output=True, text=True, check=True
    )

    *labels, url = done.stdout.split()
    assert labels == ["pos", "neg"]
    with pytest.raises(nlu.NluError.__bases__[0], match="cannot reach Triton"):
        nlu.load("imdb", url=url).predict("Anything")


def test_what_cannot_be_served_is_told(tmp_path: Path) -> None:
    with pytest.raises(nlu.LocalServerError, match="cannot serve"):
        nlu.load("imdb", str(tmp_path)).predict("Anything")


def test_the_door_says_what_to_install() -> None:
    script = """
import sys
sys.modules["pandas"] = None
import bertriton.nlu
try:
    bertriton.nlu.load
except ModuleNotFoundError as error:
    print(error)
"""

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert "pip install 'bertriton[nlu]'" in done.stdout

"""Models that are replaced, or differ from replica to replica, while clients call: never a wrong label."""

from __future__ import annotations

import random
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from bertriton import Client, contract
from bertriton.cli import bertriton
from bertriton_export import export

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

pytestmark = pytest.mark.any_server
THREE_LABELS = Path(__file__).parent.parent / "data" / "checkpoints" / "three-labels"
RERANKER = THREE_LABELS.parent.parent / "architectures" / "bert-regression"
HOSTS = ("127.0.0.1", "127.0.0.2")
ANSWERS_OF_A_ROLL_OUT = 10_000
ANSWERS_OF_A_RELOAD = 2_000
LONGER_THAN_A_POLL_S = 1.2
ONE_LABEL = r"(neg|pos)  0\.\d{4}"
SEVERAL_LABELS = r"(, |(bad|so so|très bien) 0\.\d{4})+|\(none\)"


def test_a_roll_out_over_two_replicas_has_no_wrong_label(
    exports: Any, replicas: Any, load: Callable[..., Any]
) -> None:
    for host in HOSTS:
        replicas.serve(host, exports.folder / "before")

    with load(replicas.url) as callers:
        callers.wait_until(lambda: callers.answers > ANSWERS_OF_A_ROLL_OUT / 4)
        for host in HOSTS:
            made = callers.answers_of(exports.after)
            replicas.serve(host, exports.folder / "after")
            callers.wait_until(lambda made=made: callers.answers_of(exports.after) > made + 1000)
            with Client(replicas.url, exports.name) as newcomer:
                for text in exports.truth:
                    exports.hold(text, newcomer.classify(text))
        callers.wait_for(exports.after)
        callers.wait_until(lambda: callers.answers > ANSWERS_OF_A_ROLL_OUT)

    assert callers.answers_of(exports.before) > 0


def test_two_models_that_answer_in_turn_are_told_apart(
    exports: Any, replicas: Any, load: Callable[..., Any]
) -> None:
    for host, which in zip(HOSTS, ("before", "after"), strict=True):
        replicas.serve(host, exports.folder / which)

    with load(replicas.url) as callers:
        callers.wait_until(lambda: min(map(callers.answers_of, (exports.before, exports.after))) > 1000)
    texts, chance = list(exports.truth), random.Random(0)  # noqa: S311  # no secret
    with Client(replicas.url, exports.name, cache_size=len(texts) // 2) as client:
        made_by = {exports.hold(text, client.classify(text)) for text in chance.choices(texts, k=500)}

    assert made_by == {exports.before, exports.after}


def test_models_of_unequal_labels_that_answer_in_turn_are_told_apart(
    exports: Any, replicas: Any, tmp_path: Path
) -> None:
    """Not only are labels others: there are three, and several may count."""
    threshold = 0.3
    other = export(
        THREE_LABELS,
        name=exports.name,
        repository=tmp_path,
        precision="fp32",
        problem_type=contract.MULTI_LABEL,
        threshold=threshold,
    ).classifier
    replicas.serve(HOSTS[0], exports.folder / "before")
    replicas.serve(HOSTS[1], tmp_path)

    with Client(replicas.url, exports.name) as client:
        answers = [client.classify(text) for text in (*exports.truth, *exports.truth)]
    words = ("classify", "--url", replicas.url, "--model", exports.name, "--rows", "1", *exports.truth)
    lines = CliRunner().invoke(bertriton, words).stdout.splitlines()

    assert {_kind_of(line, exports.truth) for line in lines} == {ONE_LABEL, SEVERAL_LABELS}
    for answer in answers:
        is_before = answer.fingerprint == exports.before
        assert answer.problem_type == (contract.SINGLE_LABEL if is_before else contract.MULTI_LABEL)
    by_model = {answer.fingerprint: tuple(answer.scores) for answer in answers}
    assert by_model == {exports.before: ("neg", "pos"), other.fingerprint: other.labels}
    for answer in answers:
        counting = {label for label, score in answer.scores.items() if score >= threshold}
        assert set(answer.labels) == ({answer.label} if answer.fingerprint == exports.before else counting)


def test_rankings_of_replicas_that_differ_are_of_one_model_each(replicas: Any, tmp_path: Path) -> None:
    documents = [f"a film about the number {number}" for number in range(200)]
    for host, label in zip(HOSTS, ("relevance", "score"), strict=True):
        export(RERANKER, name="reranker", repository=tmp_path / host, precision="fp32", labels=(label,))
        replicas.serve(host, tmp_path / host)

    with Client(replicas.url, "reranker") as client:
        rankings = [client.rerank("a film", documents) for _ in range(10)]

    for ranking in rankings:
        assert sorted(found.index for found in ranking) == list(range(len(documents)))
        assert len({found.fingerprint for found in ranking}) == 1


def _kind_of(line: str, texts: Iterable[str]) -> str:
    """How the answer in front of a text looks."""
    said = next(line.removesuffix(f"  {text}") for text in texts if line.endswith(f"  {text}"))
    return next(kind for kind in (ONE_LABEL, SEVERAL_LABELS) if re.fullmatch(kind, said))


def test_an_explicit_reload_has_no_wrong_label(
    exports: Any, explicit_server: Callable[[Path], Any], load: Callable[..., Any], tmp_path: Path
) -> None:
    repository = exports.copy("before", tmp_path / "repository")
    with explicit_server(repository) as server, load(server.grpc_url) as callers:
        callers.wait_until(lambda: callers.answers > ANSWERS_OF_A_RELOAD / 2)
        for which, fingerprint, parts in (
            ("after", exports.after, [""]),
            ("before", exports.before, [contract.BERT_SUFFIX, contract.TOKENIZER_SUFFIX, ""]),
        ):
            exports.replace(which, repository)
            server.load_again(*parts)
            callers.wait_for(fingerprint)

    assert callers.answers > ANSWERS_OF_A_RELOAD


def test_exports_into_a_polled_repository_have_no_wrong_label_and_no_error(
    exports: Any, polling_server: Callable[[Path], Any], load: Callable[..., Any], tmp_path: Path
) -> None:
    repository = exports.copy("before", tmp_path / "repository")
    with polling_server(repository) as server:
        with load(server.grpc_url) as callers:
            callers.wait_until(lambda: callers.answers > ANSWERS_OF_A_RELOAD / 2)
            for which, fingerprint in (("after", exports.after), ("before", exports.before)):
                exports.replace(which, repository, on_stage=lambda _: time.sleep(LONGER_THAN_A_POLL_S))
                callers.wait_for(fingerprint)

        assert callers.answers > ANSWERS_OF_A_RELOAD
        assert server.errors() == []

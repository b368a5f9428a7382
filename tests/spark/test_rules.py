"""Tokens and sentences by Spark NLP's rules, and the numbers of Java."""

from __future__ import annotations

import json
import re
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession  # a fixture's type
from pyspark.sql import functions as F  # noqa: N812

from bertriton import Classification, ModelNotReadyError
from bertriton.contract import MULTI_LABEL
from bertriton.spark import Annotation, DocumentAssembler, PipelineModel, SettingError, Tokenizer
from bertriton_spark.annotations import java_float
from bertriton_spark.execution.scoring import Scoring, annotated
from bertriton_spark.stages.sentence_rules import SentenceRules
from bertriton_spark.stages.token_rules import TokenRules

GOLDEN = Path(__file__).parents[1] / "golden"
FLOATS = 2_000
# JDK 17 writes some floats with a digit that is not needed; later ones do not (JDK-4511638).
MOST_OTHERWISE = 0.02


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("I really liked that movie!", ["I", "really", "liked", "that", "movie", "!"]),
        ("didn't (really) well-made...", ["didn't", "(", "really", ")", "well-made", "..."]),
        ('"8/10" !!! U.S.A. a\u00a0b', ['"', "8/10", '"', "!!!", "U.S.A", ".", "a\u00a0b"]),
        ("x<br />y", ["x<br", "/>y"]),
        (" \n\t", []),
    ],
)
def test_tokens_are_those_of_the_rules(text: str, tokens: list[str]) -> None:
    found = TokenRules().tokens(text)

    assert [token.text for token in found] == tokens
    assert [text[token.begin : token.end + 1] for token in found] == tokens


def test_tokens_are_counted_as_java_counts() -> None:
    found = TokenRules().tokens("😀 a😀!")

    assert [(token.begin, token.end, token.text) for token in found] == [
        (0, 1, "😀"),
        (3, 5, "a😀"),
        (6, 6, "!"),
    ]


def test_tokens_can_be_split_kept_whole_and_left_out() -> None:
    split = TokenRules(split_pattern="-|#").tokens("well-made#it, ok")
    whole = TokenRules(exceptions=("New York",), exceptions_have_case=False).tokens("in new york.")
    long = TokenRules(min_length=2, max_length=4).tokens("a bc defgh ijkl")

    assert [(token.begin, token.text) for token in split] == [
        (0, "well"),
        (5, "made"),
        (10, "it"),
        (12, ","),
        (14, "ok"),
    ]
    assert [token.text for token in whole] == ["in", "new york."]  # as there, with what stands at it
    assert [token.text for token in long] == ["bc", "ijkl"]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        (
            "This is my first sentence. This my second.",
            ["This is my first sentence.", "This my second."],
        ),
        ("Mr. Smith came at 5 p.m. today; he left.", ["Mr. Smith came at 5 p.m. today;", "he left."]),
        ("It costs 1.5 in the U.S. of course. Yes!", ["It costs 1.5 in the U.S. of course.", "Yes!"]),
        ("Wow!! Really? Yes...  And so on", ["Wow!!", "Really?", "Yes...", "And so on"]),
        ("see example.com vs. no. 5 there", ["see example.com vs. no. 5 there"]),
        ("Well.... So! (a) an ice. and 2. more", ["Well.", "...", "So!", "(a) an ice. and", "2. more"]),
        ('"Go. now" and "Go! now" he said.', ['"Go. now" and "Go!', 'now" he said.']),
        ("he said (so. it. is) twice.", ["he said (so. it. is) twice."]),
        ("  \n ", []),
    ],
)
def test_sentences_end_where_the_rules_say(text: str, sentences: list[str]) -> None:
    found = SentenceRules().sentences(text)

    assert [one.text for one in found] == sentences
    assert [text[one.begin : one.end + 1] for one in found] == sentences


def test_sentences_are_those_of_spark_nlp() -> None:
    asked = runpy.run_path(str(GOLDEN / "sparknlp_texts.py"))
    random = runpy.run_path(str(GOLDEN / "random_texts.py"))
    golden = json.loads((GOLDEN.parent / "data" / "sparknlp" / "sentences-5.5.3.json").read_text("utf-8"))
    edges = [*asked["EDGES"], *asked["SENTENCE_EDGES"]]
    others = [*asked["reviews"](), *random["random_texts"](asked["RANDOM_COUNT"], asked["SENTENCE_SEED"])]

    def places(text: str) -> list[int]:
        return [place for one in SentenceRules().sentences(text) for place in (one.begin, one.end)]

    found = dict(zip(edges, map(places, edges), strict=True))
    assert found == dict(zip(edges, golden["edges"], strict=True))
    assert random["digests"](map(places, others)) == golden["digests"]


# Those of SparkNlpTokens.java.
_TOKEN_SETTINGS = (
    TokenRules(),
    TokenRules(split_pattern="-|#"),
    TokenRules(split_pattern="[-#'/]+", splits_at_ends=False),
    TokenRules(exceptions=("New York", "isn't", "e-mail")),
    TokenRules(exceptions=("new york", "the film", "I [.]"), exceptions_have_case=False),
    TokenRules(context_chars=".[]^-\\/<", min_length=2, max_length=6),
)


def test_tokens_are_those_of_spark_nlp() -> None:
    asked = runpy.run_path(str(GOLDEN / "sparknlp_texts.py"))
    random = runpy.run_path(str(GOLDEN / "random_texts.py"))
    golden = json.loads((GOLDEN.parent / "data" / "sparknlp" / "tokens-5.5.3.json").read_text("utf-8"))
    edges = [*asked["EDGES"], *asked["TOKEN_EDGES"]]
    others = [*asked["reviews"](), *random["random_texts"](asked["RANDOM_COUNT"], asked["TOKEN_SEED"])]

    def places(text: str) -> list[int]:
        return [
            place
            for rules in _TOKEN_SETTINGS
            for place in (*(end for one in rules.tokens(text) for end in (one.begin, one.end)), -1)
        ]

    found = dict(zip(edges, map(places, edges), strict=True))
    assert found == dict(zip(edges, golden["edges"], strict=True))
    assert random["digests"](map(places, others)) == golden["digests"]


def test_custom_bounds_part_sentences_alone_or_too() -> None:
    text = "One. Two.\n\nThree"

    assert [one.text for one in SentenceRules(custom_bounds=("\n\n",)).sentences(text)] == [
        "One.",
        "Two.",
        "Three",
    ]
    alone = SentenceRules(custom_bounds=("\n\n",), custom_only=True).sentences(text)
    assert [(one.begin, one.text) for one in alone] == [(0, "One. Two."), (11, "Three")]


@pytest.mark.parametrize("coalesce", [False, True])
def test_the_best_score_is_found_in_32_bits_as_in_java(coalesce: bool) -> None:  # noqa: FBT001
    # In 64 bits the second label is the best by 4e-9, in Java's floats the first of two that are alike.
    logits = (0.0, 4e-9)
    answers = [Classification("pos", 0.5, {"neg": 0.5, "pos": 0.5}, logits, 3, truncated=False)] * 3

    found = annotated(answers, Scoring("softmax", coalesce=coalesce))

    assert {one.result for one in found} == {"neg"}
    assert annotated(answers[:1], Scoring("sigmoid", threshold=0.5)) == []


def test_each_sentence_is_read_by_its_own_model_and_two_models_have_no_average() -> None:
    one = Classification(
        "pos", 0.7, {"neg": 0.6, "pos": 0.7}, (0.4, 0.8), 3, truncated=False, fingerprint="a"
    )
    several = replace(one, problem_type=MULTI_LABEL, fingerprint="b")

    found = annotated([one, several], Scoring())

    assert [(said.sentence, said.result) for said in found] == [(0, "pos"), (1, "neg"), (1, "pos")]
    with pytest.raises(ModelNotReadyError, match="sentences of a row were answered by the exports a and b"):
        annotated([one, several], Scoring(coalesce=True))


def test_a_context_char_is_one_character() -> None:
    with pytest.raises(SettingError, match=re.escape("['ab']")):
        Tokenizer().setContextChars(["a", "ab"])


def test_documents_are_cleaned_as_asked_with_spark_and_without(spark: SparkSession) -> None:
    text = "  two\t lines\\n and\n\nmore "
    frame = spark.createDataFrame([(text,)], "text string")
    modes = ("disabled", "inplace", "inplace_full", "shrink", "shrink_full", "each", "delete_full")
    stages = [
        DocumentAssembler().setInputCol("text").setOutputCol(mode).setCleanupMode(mode) for mode in modes
    ]

    (row,) = PipelineModel(stages).transform(frame).collect()
    lights: list[Annotation] = [
        stage.annotated_rows([text], [{}])[0][mode][0] for mode, stage in zip(modes, stages, strict=True)
    ]

    assert [vars(light) for light in lights] == [row[mode][0].asDict() for mode in modes]
    assert lights[-1].result == "two\t lines and\n\nmore"
    with pytest.raises(SettingError, match="expected disabled, inplace"):
        DocumentAssembler().setCleanupMode("all")


def test_floats_are_written_as_java_writes_them(spark: SparkSession) -> None:
    generator = np.random.default_rng(0)
    floats = np.concatenate([generator.random(FLOATS), 10.0 ** generator.uniform(-8, 8, FLOATS)])
    floats = floats.astype(np.float32).astype(float)
    frame = spark.createDataFrame([(float(one),) for one in floats], "x float")

    written = [row[0] for row in frame.select(F.col("x").cast("string")).collect()]

    assert all(
        np.float32(java) == np.float32(java_float(one)) for java, one in zip(written, floats, strict=True)
    )
    otherwise = [java for java, one in zip(written, floats, strict=True) if java != java_float(one)]
    assert len(otherwise) <= MOST_OTHERWISE * len(written)
    assert [java_float(one) for one in (1.0, 0.0, 1e7, 1e-3, 9.99e-4, float("nan"), float("-inf"))] == [
        "1.0",
        "0.0",
        "1.0E7",
        "0.001",
        "9.99E-4",
        "NaN",
        "-Infinity",
    ]

"""Record where the real Spark NLP ends sentences.

Run by hand on Java 17, in the project's environment, from the project's folder:

    .venv/bin/python tests/golden/record_sparknlp_sentences.py JARS SPARK_JARS

JARS has `com.johnsnowlabs.nlp:spark-nlp_2.12` 5.5.3, SPARK_JARS is the folder `jars` of PySpark 3.5.3. No
session is started: the rules are asked by the method that SentenceDetector calls.

Writes tests/data/sparknlp/sentences-5.5.3.json: of `EDGES` where sentences begin and end, of others digests
of that.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

from random_texts import digests, random_texts
from sparknlp_texts import EDGES, RANDOM_COUNT, SENTENCE_EDGES, SENTENCE_SEED, reviews

GOLDEN = Path(__file__).parent
VERSION = "5.5.3"
ANSWERS = GOLDEN.parent / "data" / "sparknlp" / f"sentences-{VERSION}.json"
LIBRARIES = ("scala-library", "slf4j-api", "spark-core", "log4j")


def ask_for_sentences(texts: list[str], jars: Path, spark_jars: Path) -> list[list[int]]:
    """Of each text begin and end of each sentence, in UTF-16 units, one after the other."""
    path = [jars / f"spark-nlp_2.12-{VERSION}.jar"]
    path += [jar for name in LIBRARIES for jar in sorted(spark_jars.glob(f"{name}*.jar"))]
    return answers_of("SparkNlpSentences.java", path, texts)


def answers_of(program: str, path: list[Path], texts: list[str], *options: str) -> list[list[int]]:
    """What a program of this folder says of each text: numbers."""
    command = ["java", *options, "-cp", os.pathsep.join(map(str, path)), str(GOLDEN / program)]
    lines = "".join(base64.b64encode(text.encode()).decode() + "\n" for text in texts)
    answer = subprocess.run(command, input=lines, capture_output=True, text=True, check=True).stdout
    found = [[int(number) for number in line.split()] for line in answer.splitlines()]
    assert len(found) == len(texts)
    return found


def main(jars: Path, spark_jars: Path) -> None:
    """Record them."""
    edges = [*EDGES, *SENTENCE_EDGES]
    others = [*reviews(), *random_texts(RANDOM_COUNT, SENTENCE_SEED)]
    found = ask_for_sentences([*edges, *others], jars, spark_jars)
    document = {"edges": found[: len(edges)], "digests": digests(found[len(edges) :])}
    ANSWERS.write_text(json.dumps(document) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

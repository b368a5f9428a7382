"""Record where the real Spark NLP cuts texts into tokens, by its default and by settings of its Tokenizer.

Run by hand on Java 17, in the project's environment, from the project's folder:

    .venv/bin/python tests/golden/record_sparknlp_tokens.py JARS SPARK_JARS

JARS is that of record_sparknlp.py, SPARK_JARS the folder `jars` of PySpark 3.5.3. The settings are those in
SparkNlpTokens.java.

Writes tests/data/sparknlp/tokens-5.5.3.json: of `EDGES` and `TOKEN_EDGES` where tokens begin and end, setting
by setting with -1 between them, and of others digests of that.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from random_texts import digests, random_texts
from record_sparknlp_sentences import GOLDEN, VERSION, answers_of
from sparknlp_texts import EDGES, RANDOM_COUNT, TOKEN_EDGES, TOKEN_SEED, reviews

ANSWERS = GOLDEN.parent / "data" / "sparknlp" / f"tokens-{VERSION}.json"
# What Spark opens for itself when it starts Java: Tokenizer starts a session.
OPENED = (
    *("java.lang", "java.lang.invoke", "java.lang.reflect", "java.io", "java.net", "java.nio", "java.util"),
    *("java.util.concurrent", "java.util.concurrent.atomic", "sun.nio.ch", "sun.nio.cs"),
    *("sun.security.action", "sun.util.calendar"),
)


def ask_for_tokens(texts: list[str], jars: Path, spark_jars: Path) -> list[list[int]]:
    """Of each text begin and end of each token, in UTF-16 units, and -1 behind those of a setting."""
    options = [f"--add-opens=java.base/{one}=ALL-UNNAMED" for one in OPENED]
    return answers_of("SparkNlpTokens.java", [jars / "*", spark_jars / "*"], texts, *options)


def main(jars: Path, spark_jars: Path) -> None:
    """Record them."""
    edges = [*EDGES, *TOKEN_EDGES]
    found = ask_for_tokens([*edges, *reviews(), *random_texts(RANDOM_COUNT, TOKEN_SEED)], jars, spark_jars)
    document = {"edges": found[: len(edges)], "digests": digests(found[len(edges) :])}
    ANSWERS.write_text(json.dumps(document) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

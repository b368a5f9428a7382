"""Add answers to a data frame: `python pandas_column.py reviews.csv classified.csv`."""

from __future__ import annotations

import os
import sys

import pandas as pd

from bertriton import Client

TRITON_URL = os.environ.get("BERTRITON_URL", "localhost:8001")


def with_answers(reviews: pd.DataFrame, text_column: str = "text") -> pd.DataFrame:
    """The reviews with the columns `predicted` and `score` added."""
    with Client(TRITON_URL) as client:
        answers = client.classify(reviews[text_column].tolist())
    return reviews.assign(
        predicted=[answer.label for answer in answers], score=[answer.score for answer in answers]
    )


if __name__ == "__main__":
    source, target = sys.argv[1:]
    with_answers(pd.read_csv(source)).to_csv(target, index=False)

"""Where sentences are taken to end."""

from __future__ import annotations

import pytest

from bertriton_nlu.sentences import sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Great! See it.", ["Great!", "See it."]),
        ("No end", ["No end"]),
        ("", []),
        (" \n ", []),
        ('He said "no." Then he left.', ['He said "no."', "Then he left."]),
        ("\u201cNo.\u201d  Well...  Yes?", ["\u201cNo.\u201d", "Well...", "Yes?"]),
        ("It cost 3.50, i.e. nothing.", ["It cost 3.50, i.e. nothing."]),
        ("A title\n\nAnd a text.", ["A title", "And a text."]),
        ("Bad ... very bad. (Really.) 2 stars.", ["Bad ... very bad.", "(Really.)", "2 stars."]),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text: str, expected: list[str]) -> None:
    assert [text[begin:end] for begin, end in sentences(text)] == expected

"""The page stands alone, says what the figures are, and takes its colours from the reader."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING

from bertriton_evaluate import Evaluation, LabelledTexts, to_html, weak_spots
from bertriton_evaluate.figures import metrics

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from bertriton_evaluate import Predictions

VOID_ELEMENTS = {"meta", "br"}
LOADING_ATTRIBUTES = {"src", "href", "xlink:href", "data", "action", "poster", "srcset"}


class _Page(HTMLParser):
    """Elements, their nesting, and all that would be loaded."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.loaded: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loaded += [value or "" for name, value in attrs if name in LOADING_ATTRIBUTES]
        if tag not in VOID_ELEMENTS:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID_ELEMENTS:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_whole_and_loads_nothing(html: str) -> None:
    page = _Page(html)

    assert page.open == []
    assert all(value.startswith("#") for value in page.loaded)
    assert not {"script", "link", "img", "iframe", "object", "image"} & set(page.tags)
    assert not re.search(r"url\((?!#)|@import", html)
    assert page.tags.count("svg") == 3


def test_what_comes_from_the_file_is_text(html: str) -> None:
    page = _Page(html)

    assert "<texts>.csv" in page.text
    assert "other & old" in page.text
    assert re.search(r"<script>\d+</script> \$a\$", page.text)


def test_ink_is_the_readers(html: str) -> None:
    assert "color-scheme: light dark" in html
    assert "currentColor" in html
    # No black ink of the plots' own, which a dark page would swallow.
    assert not re.search(r"(fill|stroke): ?(#000000|black|#010203)", html)


def test_labels_of_any_characters_can_be_drawn(
    random_answers: tuple[Predictions, NDArray[np.intp]], tmp_path: Path
) -> None:
    predictions, expected = random_answers
    odd = replace(predictions, labels=("$100$ & $", "<b>", "日本語"))
    (tmp_path / "texts.jsonl").write_text('{"text": "a"}\n' * len(expected))
    spots = weak_spots(odd, LabelledTexts(tmp_path / "texts.jsonl"), expected)

    text = to_html(Evaluation("m", "0", "f", "1", {}, metrics(odd, expected), spots, 0, None, None))

    assert "$100$ & $" in _Page(text).text
    assert "日本語" in _Page(text).text

"""The texts of the page: escaped, folded where they are long, readable at any width and in both colours."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bertriton_evaluate.figures import Example, WeakSpots
from bertriton_evaluate.pages.next_steps import next_steps
from bertriton_evaluate.pages.reading_list import reading_list

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

BLACK, WHITE = "rgb(0, 0, 0)", "rgb(255, 255, 255)"
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=alert(1)>&amp;"
EXAMPLE = Example(7, HOSTILE, None, "neg", "pos", 0.97, 0.02, 0.95, 40, truncated=False)
LONG = replace(EXAMPLE, row=8, text="word " * 6000, truncated=True)
NOTHING = WeakSpots(0, 0, 0, 0, 0, (), (), (), ())
SPOTS = replace(NOTHING, mistakes=2, confident_mistakes=2, most_confident_mistakes=(EXAMPLE, LONG))


def test_texts_are_text_and_long_ones_are_folded() -> None:
    page = "\n".join(reading_list(SPOTS))

    assert "&lt;script&gt;document.title=&#x27;owned&#x27;&lt;/script&gt;" in page
    assert "<script" not in page
    assert "<img" not in page
    (folded,) = re.findall(
        r'<details class="long"><summary>(.*?)</summary><p[^>]*>(.*?)</p>(.*?)</details>', page
    )
    assert len(folded[1]) == 20_000
    assert "the whole text, 30,000 characters" in folded[0]
    assert "10,000 more characters are left out" in folded[2]
    assert "row 8 · is <b>neg</b> (0.020) · said" in page


def test_a_pair_is_two_texts() -> None:
    page = "\n".join(reading_list(replace(SPOTS, most_doubtful=(replace(EXAMPLE, text="a", pair="b"),))))

    assert re.search(r'<p class="text" dir="auto">a</p>\s*<p class="text" dir="auto">b</p>', page)


def test_no_mistakes_are_said() -> None:
    assert "\n".join(reading_list(NOTHING)).count("No mistakes.") == 3


@pytest.mark.parametrize(
    ("spots", "words"),
    [
        (NOTHING, ["No text of 100 was taken for what it is not."]),
        (SPOTS, ["Read the confident mistakes first: 2 of 2 mistakes"]),
        (
            replace(NOTHING, mistakes=10, truncated=20, truncated_mistakes=6),
            ["30.0% of 20 truncated texts are mistakes, and 5.0% of 80 whole ones: see whether"],
        ),
        (replace(NOTHING, mistakes=10, truncated=20, truncated_mistakes=2), []),
        (
            replace(NOTHING, mistakes=1, doubtful=3),
            ["For 3 texts the two most probable labels are less than 0.1"],
        ),
    ],
)
def test_steps_rest_on_figures(spots: WeakSpots, words: list[str]) -> None:
    found = list(next_steps(spots, 100))

    assert len(found) == len(words)
    for step, start in zip(found, words, strict=True):
        assert step.startswith(start)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_of_any_width_shows_it_and_loads_nothing(
    chromium: Browser, html: str, tmp_path: Path, scheme: str
) -> None:
    file = tmp_path / "report.html"
    file.write_text(html.replace("</body>", "\n".join(reading_list(SPOTS)) + "</body>"), encoding="utf-8")
    page = chromium.new_page(color_scheme=scheme)
    requests, complaints = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))

    for width in (360, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(file.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width

    assert set(requests) == {file.as_uri()}
    assert complaints == []
    assert page.title() != "owned"
    style = "getComputedStyle(document.body)"
    ink, ground = page.evaluate(f"[{style}.color, {style}.backgroundColor]")
    assert (ink, ground) == (BLACK, WHITE) or (scheme == "dark" and BLACK != ink and WHITE != ground)
    summary = page.locator("details.long > summary").last
    summary.focus()
    page.keyboard.press("Enter")
    assert page.locator("details.long[open] > p.text").is_visible()
    assert not summary.locator(".text").is_visible()
    page.close()

"""The page in a real browser: what is seen, what a keyboard reaches, and what a screen reader is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

DEADLINE_MS = 60_000
CUT_OFF = "Failed to load resource: net::ERR_FAILED"  # by a test
WIDE = {"width": 1200, "height": 860}
NARROW = {"width": 360, "height": 740}


IN_BOTH_WIDTHS = pytest.mark.parametrize("page", [WIDE, NARROW], ids=["wide", "narrow"], indirect=True)


@pytest.fixture
def page(request: pytest.FixtureRequest, chromium: Browser, page_url: str) -> Iterator[Page]:
    """The page, loaded; what the browser complains of fails the test."""
    context = chromium.new_context(viewport=getattr(request, "param", WIDE))
    context.set_default_timeout(DEADLINE_MS)
    expect.set_options(timeout=DEADLINE_MS)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))  # of a file that does not come, too
    page.on("pageerror", lambda error: complaints.append(str(error)))
    asked: list[str] = []
    page.on("request", lambda sent: asked.append(sent.url))
    page.goto(page_url)
    expect(page.get_by_label("Classifier")).to_have_value("imdb-minilm")
    yield page
    context.close()
    assert [words for words in complaints if words != CUT_OFF] == []
    assert {url for url in asked if not url.startswith(page_url)} == set()


@IN_BOTH_WIDTHS
def test_a_text_is_classified_with_bars(page: Page) -> None:
    page.get_by_label("Text", exact=True).fill("What a lovely film.")
    page.get_by_role("button", name="Classify").click()

    card = page.get_by_role("article")
    expect(card.locator(".said")).to_have_text("pos")
    expect(card.get_by_text("7 of at most 512")).to_be_visible()
    expect(card.get_by_text(" ms")).to_be_visible()
    first, second = card.get_by_role("list", name="Probability of each label").get_by_role("listitem").all()
    assert first.inner_text().split()[0] == "pos"
    widths = [line.locator(".bar").bounding_box() for line in (first, second)]
    assert widths[0] is not None
    assert widths[1] is not None
    assert widths[0]["width"] > 5 * widths[1]["width"]


def test_all_of_it_works_from_the_keyboard(page: Page) -> None:
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the answer")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Classifier")).to_be_focused()
    while not page.get_by_label("Text", exact=True).evaluate("field => field === document.activeElement"):
        page.keyboard.press("Tab")
    page.keyboard.type("Dull and lifeless.")
    page.keyboard.press("Control+Enter")

    expect(page.get_by_role("article").locator(".said")).to_have_text("neg")


@IN_BOTH_WIDTHS
def test_what_was_not_read_is_struck_out(page: Page) -> None:
    page.get_by_label("Of a text that is too long, read").select_option("head")
    page.get_by_role("button", name="A long text").click()

    text = page.get_by_role("region", name="Text as it was read")
    expect(text.locator("s")).to_contain_text("In the end I left angry")
    expect(text).to_contain_text("[not read:")  # for who hears it
    page.get_by_label("Of a text that is too long, read").select_option("tail")
    page.get_by_role("button", name="Classify").click()
    expect(text.locator("s")).to_contain_text("I wanted to like this.")


def test_a_pair_goes_to_several_classifiers(page: Page) -> None:
    page.get_by_label("Classifier").select_option("all, one beside the other")
    page.get_by_role("button", name="A pair").click()

    expect(page.get_by_label("Second text", exact=True)).to_have_value("Somebody is making music.")
    cards = page.get_by_role("article")
    expect(cards.filter(has_text="reranker").get_by_text("relevance")).to_be_visible()
    expect(cards.filter(has_text="nli-binary")).to_be_visible()
    assert cards.count() == page.get_by_label("Classifier").locator("option").count() - 1


def test_labels_of_ones_own_are_asked_of_models_that_infer(page: Page) -> None:
    expect(page.get_by_label("Your own labels")).to_be_hidden()
    page.get_by_label("Classifier").select_option("nli")
    page.get_by_label("Your own labels").fill("politics, sport")
    page.get_by_label("Text", exact=True).fill("The match was drawn.")
    page.get_by_role("button", name="Classify").click()

    lines = page.get_by_role("list", name="Probability of each label").get_by_role("listitem")
    expect(lines).to_have_count(2)
    expect(lines.filter(has_text="sport")).to_be_visible()


def test_what_goes_wrong_is_said_aloud(page: Page) -> None:
    page.route("**/api/classify", lambda route: route.abort())
    page.get_by_role("button", name="Praise").click()

    expect(page.get_by_role("alert")).to_contain_text("is `bertriton ui` still running?")
    expect(page.get_by_role("button", name="Classify")).to_be_enabled()


def test_a_text_is_never_taken_for_html(page: Page) -> None:
    markup = "<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script> " * 60
    page.get_by_label("Of a text that is too long, read").select_option("head")
    page.get_by_label("Text", exact=True).fill(markup)
    page.get_by_role("button", name="Classify").click()

    expect(page.get_by_role("region", name="Text as it was read")).to_contain_text("<script>")
    assert page.title() == "bertriton"
    assert page.locator("#answers img, #answers script").count() == 0


@IN_BOTH_WIDTHS
def test_every_field_has_a_name_and_nothing_is_wider_than_the_page(page: Page) -> None:
    page.get_by_role("button", name="A long text").click()
    expect(page.get_by_role("article")).to_be_visible()

    unnamed = page.evaluate(
        "[...document.querySelectorAll('input, select, textarea, button')]"
        ".filter(one => !one.labels?.length && !one.textContent.trim()).map(one => one.outerHTML)"
    )
    assert unnamed == []
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    expect(page.locator("#answers")).to_have_attribute("aria-live", "polite")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_their_ground(chromium: Browser, page_url: str, scheme: str) -> None:
    """By WCAG 2.1's contrast of 4.5, https://www.w3.org/TR/WCAG21/#contrast-minimum."""
    context = chromium.new_context(viewport=WIDE, color_scheme="dark" if scheme == "dark" else "light")
    page = context.new_page()
    page.goto(page_url)
    ratio = """names => { const styles = getComputedStyle(document.documentElement);
      const light = name => { const hex = styles.getPropertyValue(name).trim().slice(1);
        const full = hex.length === 3 ? [...hex].map(digit => digit + digit).join("") : hex;
        const [r, g, b] = [0, 2, 4].map(at => parseInt(full.slice(at, at + 2), 16) / 255)
          .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05; };
      const [one, other] = names.map(light);
      return Math.max(one, other) / Math.min(one, other); }"""
    pairs = [("--ink", "--card"), ("--soft", "--card"), ("--soft", "--ground"), ("--accent", "--card")]
    pairs += [("--on-accent", "--accent"), ("--unread", "--unread-ground"), ("--problem", "--unread-ground")]
    found = {pair: page.evaluate(ratio, list(pair)) for pair in pairs}
    context.close()

    assert {pair: value for pair, value in found.items() if value < 4.5} == {}

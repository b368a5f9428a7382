"""The part of the page with texts: what to read to find wrong labels and weak spots."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from bertriton_evaluate.figures import CONFIDENT, bucket_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bertriton_evaluate.figures import Confusion, Example, MistakesOfLength, WeakSpots

MAX_SHOWN_CHARACTERS: Final = 320  # of a text, before the rest is folded away
MAX_FOLDED_CHARACTERS: Final = 20_000  # more would make a page that no mailbox takes

SECTION_TO_TITLE: Final = {
    "confident": "The most confident mistakes",
    "doubtful": "The most doubtful texts",
    "by-label": "Mistakes by label",
    "by-length": "Mistakes by length",
}


def reading_list(spots: WeakSpots) -> Iterator[str]:
    """The sections as HTML, with the names of SECTION_TO_TITLE for their anchors."""
    rows = "Rows of the file are counted from 1, without its header."
    yield from _section("confident", f"Said with the highest probability, and not what the file says. {rows}")
    yield from _examples(spots.most_confident_mistakes, "No mistakes.")
    yield from _section("doubtful", "The two most probable labels are closest here; right or wrong.")
    yield from _examples(spots.most_doubtful, "No texts.")
    yield from _section("by-label", "What the texts of a label were taken for, the most frequent first.")
    yield from _groups([_of_labels(each) for each in spots.by_label])
    yield from _section("by-length", "Tokens of the whole text, before truncation.")
    yield from _groups([_of_length(each) for each in spots.by_length])


def _section(name: str, words: str) -> Iterator[str]:
    yield f'<h2 id="{name}">{SECTION_TO_TITLE[name]}</h2><p class="soft">{escape(words)}</p>'


_Group = tuple[str, str, "Sequence[Example]"]  # name, count, texts


def _of_labels(each: Confusion) -> _Group:
    count = f"{each.mistakes:,} texts, {each.share:.1%} of {each.label}"
    return f"{each.label} taken for {each.said}", count, each.examples


def _of_length(each: MistakesOfLength) -> _Group:
    share = each.mistakes / each.texts
    count = f"{each.mistakes:,} of {each.texts:,} texts wrong, {share:.1%}"
    return f"{bucket_name(each.shortest, each.longest)} tokens", count, each.examples


def _groups(groups: Sequence[_Group]) -> Iterator[str]:
    if not groups:
        yield "<p>No mistakes.</p>"
    for name, count, examples in groups:
        head = f'<b>{escape(name)}</b> <span class="soft">{escape(count)}</span>'
        if not examples:
            yield f'<p class="group">{head}</p>'
            continue
        yield f'<details class="group"><summary>{head}</summary>'
        yield from _examples(examples, "")
        yield "</details>"


def _examples(examples: Sequence[Example], none: str) -> Iterator[str]:
    if not examples:
        yield f"<p>{none}</p>"
        return
    yield '<ol class="examples">'
    for each in examples:
        yield f"<li>{_facts(each)}{_text(each.text)}"
        if each.pair is not None:
            yield _text(each.pair)
        yield "</li>"
    yield "</ol>"


def _facts(each: Example) -> str:
    is_wrong = each.said != each.label
    said = "wrong" if is_wrong else "right"
    sure = " sure" if is_wrong and each.confidence >= CONFIDENT else ""
    words = [
        f"row {each.row:,}",
        f"is <b>{escape(each.label)}</b>" + (f" ({each.label_probability:.3f})" if is_wrong else ""),
        f'said <b class="{said}{sure}">{escape(each.said)}</b> ({each.confidence:.3f})',
        f"{each.token_count:,} tokens{', truncated' if each.truncated else ''}",
    ]
    return f'<p class="facts">{" · ".join(words)}</p>'


def _text(text: str) -> str:
    """A text as it is; the end of a long one is folded away, and of a very long one left out."""
    if len(text) <= MAX_SHOWN_CHARACTERS:
        return f'<p class="text" dir="auto">{escape(text)}</p>'
    left_out = len(text) - MAX_FOLDED_CHARACTERS
    note = f'<p class="soft">{left_out:,} more characters are left out.</p>' if left_out > 0 else ""
    start = escape(text[:MAX_SHOWN_CHARACTERS])
    return (
        f'<details class="long"><summary><span class="text" dir="auto">{start}…</span> '
        f'<span class="more">the whole text, {len(text):,} characters</span></summary>'
        f'<p class="text" dir="auto">{escape(text[:MAX_FOLDED_CHARACTERS])}</p>{note}</details>'
    )

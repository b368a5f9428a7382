"""What a contest comes to: a figure a claim, beside what it has to be at least."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comparisons.contenders import CTRANSLATE2, HUGGING_FACE, INFINITY, OPENVINO, PEERS
from comparisons.figures import Figure
from comparisons.parts.contest import (
    CEILING,
    FP32,
    FURTHER_IN_FLIGHT,
    IN_FLIGHT,
    IN_PROCESS,
    LISTS,
    REVIEWS,
    SHORT_GRPC,
    SHORT_IN_PROCESS,
    SHORT_TOKENS,
    SIDE_BY_SIDE,
    SNIPPETS,
    UNIFORM_SINGLES,
    singles,
)

if TYPE_CHECKING:
    from comparisons.parts.rounds import Rounds

# (texts, contender) -> times as many tokens a second as it has, lists of BERT's shapes. Other pairs are told.
REQUIRED_SPEEDUP = {
    (REVIEWS, OPENVINO): 1.05,
    (REVIEWS, HUGGING_FACE): 2.5,
    (REVIEWS, INFINITY): 5.0,
    (SNIPPETS, OPENVINO): 1.0,
}
REQUIRED_OF_LISTS = {(SNIPPETS, IN_FLIGHT): 0.75}  # (texts, in flight) -> single texts by lists
REQUIRED_OF_IN_PROCESS = 0.9
REQUIRED_OF_UNIFORM = 0.95
TITLE_TO_REQUIRED_INT8_SPEEDUP = {"BERT-base shape": 2.3}
REQUIRED_SHARE_PERCENT = {("BERT-base shape", REVIEWS): 65.0}
ALLOWED_OVERHEAD_MS = 1.0


def contest_figures(found: Rounds) -> list[Figure]:
    """What the rounds come to."""
    return [
        *_against_others(found),
        *_shares(found),
        *_single_texts(found),
        *(_about_requests(found) if SHORT_GRPC in found.rounds else ()),
    ]


def _against_others(found: Rounds) -> list[Figure]:
    is_bert = found.operations_per_token is not None
    return [
        _times(
            found,
            f"lists through gRPC against the best of {name}",
            (LISTS, name),
            REQUIRED_SPEEDUP.get((found.texts, name)) if is_bert else None,
        )
        for name in PEERS
        if name in found.rounds
    ]


def _shares(found: Rounds) -> list[Figure]:
    """Of what large products reach, in the linear layers alone; the time of all else counts."""
    if CEILING not in found.rounds or found.operations_per_token is None:
        return []
    # tokens/s by GOP/s, times operations a token
    percent = found.operations_per_token / 1e9 * 100
    required = REQUIRED_SHARE_PERCENT.get((found.title, found.texts))
    return [
        Figure(
            f"{_subject(found)}: share of the machine's int8 ceiling, {name}",
            found.ratio(name, CEILING) * percent,
            "%",
            required if name == LISTS else None,
            detail=f"{_rate(found, name)}; {found.operations_per_token / 1e6:,.1f} MOP a token; "
            f"{found.median(CEILING):,.0f} GOP/s ({CEILING} of {found.best[CEILING]})",
        )
        for name in (LISTS, OPENVINO, CTRANSLATE2, HUGGING_FACE, INFINITY)
        if name in found.rounds
    ]


def _single_texts(found: Rounds) -> list[Figure]:
    figures = []
    for count in sorted((IN_FLIGHT, *FURTHER_IN_FLIGHT)):
        ours, theirs = singles(count), singles(count, INFINITY)
        what = f"single texts, {count} in flight,"
        if ours in found.rounds:
            required = REQUIRED_OF_LISTS.get((found.texts, count))
            figures.append(_times(found, f"{what} against lists", (ours, LISTS), required))
        if theirs in found.rounds:
            figures.append(_times(found, f"{what} against {INFINITY}", (ours, theirs)))
    return figures


def _about_requests(found: Rounds) -> list[Figure]:
    int8_speedup = TITLE_TO_REQUIRED_INT8_SPEEDUP.get(found.title)
    return [
        _times(
            found,
            "lists through gRPC against in process, same int8 graph",
            (LISTS, IN_PROCESS),
            REQUIRED_OF_IN_PROCESS,
        ),
        _times(found, "lists through gRPC against in process, a batch on every core", (LISTS, SIDE_BY_SIDE)),
        _times(
            found,
            f"mixed lengths against one length of the same mean, {IN_FLIGHT} in flight",
            (singles(IN_FLIGHT), UNIFORM_SINGLES),
            REQUIRED_OF_UNIFORM,
        ),
        _times(found, "int8 against fp32, both through gRPC", (LISTS, FP32), int8_speedup),
        Figure(
            f"{found.title}: p50 of one text of {SHORT_TOKENS} tokens, gRPC above in process",
            found.difference(SHORT_GRPC, SHORT_IN_PROCESS),
            "ms",
            ALLOWED_OVERHEAD_MS,
            is_upper_limit=True,
            detail=f"{found.median(SHORT_GRPC):.2f} ms; {found.median(SHORT_IN_PROCESS):.2f} ms",
        ),
    ]


def _times(found: Rounds, what: str, names: tuple[str, str], required: float | None = None) -> Figure:
    mine, theirs = names
    detail = f"{_rate(found, mine)}; {_rate(found, theirs)}"
    if theirs in found.agreement:
        detail += f"; same label {found.agreement[theirs]:.1%}"
    return Figure(f"{_subject(found)}: {what}", found.ratio(mine, theirs), "x", required, detail=detail)


def _rate(found: Rounds, name: str) -> str:
    best = f", {found.best[name]}" if name in found.best else ""
    return f"{found.median(name):,.0f} tokens/s ({name}{best})"


def _subject(found: Rounds) -> str:
    return f"{found.title}, {found.texts}"

"""How answers look in a shell: lines for programs, and a table for people, who have a terminal."""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING, Final

import click
from rich.cells import cell_len, set_cell_size

from bertriton.contract import MULTI_LABEL, SINGLE_LABEL

if TYPE_CHECKING:
    from collections.abc import Callable

    from bertriton import Classification, ClassifierInfo

_NO_LABEL: Final = "(none)"  # of a multi-label answer without a label at or over the threshold
_LABEL_HEADING: Final = "label"
_SCORE_HEADING: Final = "score "
_ANSWER_HEADING: Final = "answer "  # of what has no single label
_TOKENS_HEADING: Final = "tokens"
_CUT: Final = " cut"  # beside the tokens of a text of which a part was not read
_MAX_LABEL_CELLS: Final = 32
_MIN_TEXT_CELLS: Final = 20  # on a terminal so narrow, lines are broken rather than texts cut to nothing


def answer_format(info: ClassifierInfo, *, as_json: bool) -> Callable[[str, Classification], str]:
    """What turns a text and its answer into a line, as standard output wants it."""
    if as_json:
        return _as_json
    if sys.stdout.isatty():
        return AnswerTable(info, shutil.get_terminal_size().columns)
    return AnswerLine(info)


def _as_json(text: str, answer: Classification) -> str:
    return json.dumps({"text": text, **answer.to_dict()}, ensure_ascii=False)


class AnswerLine:
    """An answer on one line, what the model says in front of the text."""

    def __init__(self, info: ClassifierInfo) -> None:
        self._problem_type = info.problem_type
        self._label_width = max(map(len, info.labels))

    def __call__(self, text: str, answer: Classification) -> str:
        return f"{self._said(answer)}  {' '.join(text.split())}"

    def _said(self, answer: Classification) -> str:
        if answer.value is not None:
            return _bold(f"{answer.value:.4f}")
        if self._problem_type == SINGLE_LABEL:
            return f"{_bold(answer.label.ljust(self._label_width))}  {answer.score:.4f}"
        # Of a regression model with several outputs all of them count.
        names = answer.labels if self._problem_type == MULTI_LABEL else tuple(answer.scores)
        if not names:
            return _bold(_NO_LABEL)
        return ", ".join(f"{_bold(name)} {answer.scores[name]:.4f}" for name in names)


class AnswerTable:
    """An answer as a row of a table that grows; the first has the headings above it.

    Args:
        info: of the model.
        width: of the terminal, in cells.
    """

    def __init__(self, info: ClassifierInfo, width: int) -> None:
        self._is_single = info.problem_type == SINGLE_LABEL
        labels = [_LABEL_HEADING, *info.labels] if self._is_single else [_LABEL_HEADING]
        self._label_cells = min(_MAX_LABEL_CELLS, max(map(cell_len, labels)))
        self._width = width
        self._has_begun = False

    def __call__(self, text: str, answer: Classification) -> str:
        tokens = str(answer.token_count).rjust(len(_TOKENS_HEADING))
        cut = click.style(_CUT, fg="yellow") if answer.truncated else " " * len(_CUT)
        front_cells = self._front_cells(answer) + len(_TOKENS_HEADING) + len(_CUT) + 2
        row = f"{self._front(answer)}{tokens}{cut}  {_fitted(text, self._width - front_cells)}"
        if self._has_begun:
            return row
        self._has_begun = True
        return f"{self._headings()}\n{row}"

    def _headings(self) -> str:
        front = f"{_LABEL_HEADING.ljust(self._label_cells)}  {_SCORE_HEADING}  " if self._is_single else ""
        said = "" if self._is_single else f"{_ANSWER_HEADING}  "
        return click.style(f"{front}{said}{_TOKENS_HEADING}{' ' * len(_CUT)}  text", dim=True)

    def _front(self, answer: Classification) -> str:
        if self._is_single:
            label = set_cell_size(_printable(answer.label), self._label_cells)
            return f"{_bold(label)}  {answer.score:.4f}  "
        return f"{_bold(self._said(answer))}  "

    def _front_cells(self, answer: Classification) -> int:
        if self._is_single:
            return self._label_cells + len(_SCORE_HEADING) + 4
        return cell_len(self._said(answer)) + 2

    def _said(self, answer: Classification) -> str:
        if answer.value is not None:
            return f"{answer.value:.4f}".ljust(len(_ANSWER_HEADING))
        names = answer.labels or (_NO_LABEL,)
        return _printable(
            ", ".join(
                f"{name} {answer.scores[name]:.4f}" if name in answer.scores else name for name in names
            )
        )


def _fitted(text: str, cells: int) -> str:
    """A text on one line, cut where the terminal ends."""
    words = _printable(" ".join(text.split()))
    if cells < _MIN_TEXT_CELLS or cell_len(words) <= cells:
        return words
    return set_cell_size(words, cells - 1) + "…"


def _printable(text: str) -> str:
    """A text that cannot steer a terminal."""
    return "".join(character if character.isprintable() else "�" for character in text)


def _bold(text: str) -> str:
    return click.style(text, bold=True)

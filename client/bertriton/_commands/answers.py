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

    from bertriton import Classification

_NO_LABEL: Final = "(none)"  # of a multi-label answer without a label at or over the threshold
_LABEL_HEADING: Final = "label"
_SCORE_HEADING: Final = "score "
_ANSWER_HEADING: Final = "answer "  # of what has no single label
_TOKENS_HEADING: Final = "tokens"
_CUT: Final = " cut"  # beside the tokens of a text of which a part was not read
_MAX_LABEL_CELLS: Final = 32
_MIN_TEXT_CELLS: Final = 20  # on a terminal so narrow, lines are broken rather than texts cut to nothing


def answer_format(*, as_json: bool) -> Callable[[str, Classification], str]:
    """What turns a text and its answer into a line, as standard output wants it.

    An answer alone says how it is to be read, for the model may be replaced while lines are written.
    """
    if as_json:
        return _as_json
    if sys.stdout.isatty():
        return AnswerTable(shutil.get_terminal_size().columns)
    return answer_line


def _as_json(text: str, answer: Classification) -> str:
    return json.dumps({"text": text, **answer.to_dict()}, ensure_ascii=False)


def answer_line(text: str, answer: Classification) -> str:
    """An answer on one line, what the model says in front of the text."""
    return f"{_in_front(answer)}  {' '.join(text.split())}"


def _in_front(answer: Classification) -> str:
    if answer.value is not None:
        return _bold(f"{answer.value:.4f}")
    if answer.problem_type == SINGLE_LABEL:
        return f"{_bold(answer.label.ljust(max(map(len, answer.scores))))}  {answer.score:.4f}"
    names = _counting(answer)
    return ", ".join(f"{_bold(name)} {answer.scores[name]:.4f}" for name in names) or _bold(_NO_LABEL)


def _counting(answer: Classification) -> tuple[str, ...]:
    """The labels that are told; of a regression model with several outputs all of them count."""
    return answer.labels if answer.problem_type == MULTI_LABEL else tuple(answer.scores)


class AnswerTable:
    """An answer as a row of a table that grows; the first of a model has the headings above it.

    Args:
        width: of the terminal, in cells.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._headings = ""  # of the last row
        self._label_cells = 0

    def __call__(self, text: str, answer: Classification) -> str:
        self._label_cells = min(_MAX_LABEL_CELLS, max(map(cell_len, (_LABEL_HEADING, *answer.scores))))
        tokens = str(answer.token_count).rjust(len(_TOKENS_HEADING))
        cut = click.style(_CUT, fg="yellow") if answer.truncated else " " * len(_CUT)
        front_cells = self._front_cells(answer) + len(_TOKENS_HEADING) + len(_CUT) + 2
        row = f"{self._front(answer)}{tokens}{cut}  {_fitted(text, self._width - front_cells)}"
        headings, self._headings = self._headings, self._headings_of(answer)
        return row if headings == self._headings else f"{self._headings}\n{row}"

    def _headings_of(self, answer: Classification) -> str:
        said = f"{_ANSWER_HEADING}  "
        if answer.problem_type == SINGLE_LABEL:
            said = f"{_LABEL_HEADING.ljust(self._label_cells)}  {_SCORE_HEADING}  "
        return click.style(f"{said}{_TOKENS_HEADING}{' ' * len(_CUT)}  text", dim=True)

    def _front(self, answer: Classification) -> str:
        if answer.problem_type == SINGLE_LABEL:
            label = set_cell_size(_printable(answer.label), self._label_cells)
            return f"{_bold(label)}  {answer.score:.4f}  "
        return f"{_bold(self._said(answer))}  "

    def _front_cells(self, answer: Classification) -> int:
        if answer.problem_type == SINGLE_LABEL:
            return self._label_cells + len(_SCORE_HEADING) + 4
        return cell_len(self._said(answer)) + 2

    def _said(self, answer: Classification) -> str:
        if answer.value is not None:
            return f"{answer.value:.4f}".ljust(len(_ANSWER_HEADING))
        names = _counting(answer) or (_NO_LABEL,)
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

"""Griffe: how our docstrings and fields are read.

A field says what it means in a comment on its line, which is its documentation here. And `Example:` over a
doctest is what griffe calls `Examples:`; under its own name it would be a quotation.
"""

from __future__ import annotations

import io
import tokenize
from typing import TYPE_CHECKING, Any, Final

from griffe import Attribute, Class, Docstring, Extension

if TYPE_CHECKING:
    from griffe import Module, Object

_OURS: Final = "Example:\n"
_GRIFFES: Final = "Examples:\n"


class OurDocstrings(Extension):
    """Goes through a package once all of it is read."""

    def on_package(self, *, pkg: Module, **_: Any) -> None:  # noqa: ANN401  # griffe's signature
        """Document its fields, and let its examples be seen."""
        _read(pkg)


def _read(holder: Object) -> None:
    if holder.docstring:
        holder.docstring.value = holder.docstring.value.replace(_OURS, _GRIFFES)
    for member in holder.members.values():
        if member.is_alias:
            continue
        if isinstance(member, Attribute) and isinstance(holder, Class) and member.docstring is None:
            comment = _comment(member.source)
            member.docstring = Docstring(comment, parent=member) if comment else None
        _read(member)  # type: ignore[arg-type]  # no alias


def _comment(source: str) -> str:
    """The comments of a field's lines, as one sentence."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (tokenize.TokenError, IndentationError):  # lines that are nothing by themselves
        return ""
    text = " ".join(token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT)
    text = text.partition("noqa:")[0].strip()
    return text[:1].upper() + text[1:] + ("" if not text or text.endswith(".") else ".")

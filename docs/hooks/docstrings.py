"""Griffe: how our docstrings and fields are read.

A field says what it means in a comment on its line, which is its documentation here. `Example:` over a
doctest is what griffe calls `Examples:`; under its own name it would be a quotation. And a default that is a
constant is shown by its value, which is what a reader wants to know.
"""

from __future__ import annotations

import io
import tokenize
from typing import TYPE_CHECKING, Any, Final

from griffe import Alias, AliasResolutionError, Attribute, Class, Docstring, Extension, Function

if TYPE_CHECKING:
    from griffe import Expr, Module, Object

_OURS: Final = "Example:\n"
_GRIFFES: Final = "Examples:\n"


class OurDocstrings(Extension):
    """Goes through a package once all of it is read."""

    def on_package(self, *, pkg: Module, **_: Any) -> None:  # noqa: ANN401  # griffe's signature
        """Document its fields, and show its examples and defaults."""
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
        if isinstance(member, Attribute) and isinstance(holder, Class):
            member.value = _value(member.value, member.module)
        if isinstance(member, Function):
            for parameter in member.parameters:
                parameter.default = _value(parameter.default, member.module)
        _read(member)  # type: ignore[arg-type]  # no alias


def _value(default: str | Expr | None, module: Module) -> str | Expr | None:
    """The value of a default that is the name of a module's constant; any other stays as it is."""
    name = str(default)
    if not name.isupper() or name not in module.members:
        return default
    constant = module.members[name]
    try:
        constant = constant.final_target if isinstance(constant, Alias) else constant
    except AliasResolutionError:  # of a package that is not read
        return default
    return constant.value if isinstance(constant, Attribute) else default


def _comment(source: str) -> str:
    """The comments of a field's lines, as one sentence."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (tokenize.TokenError, IndentationError):  # lines that are nothing by themselves
        return ""
    text = " ".join(token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT)
    text = text.partition("noqa:")[0].strip()
    return text[:1].upper() + text[1:] + ("" if not text or text.endswith(".") else ".")

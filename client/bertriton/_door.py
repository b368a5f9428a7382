"""Modules that stand for packages above this one: their names are passed on when one is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def names_of(package: str, *, extra: str) -> Callable[[str], Any]:
    """The `__getattr__` of a module that passes on a package's names.

    Args:
        package: known by its name alone, since it is above this one and needs more.
        extra: of bertriton, that brings what the package needs.
    """

    def attribute(name: str) -> Any:  # noqa: ANN401  # the module's .pyi has the types
        if name.startswith("__") and name != "__all__":  # of Python's, which asks whether this is a package
            raise AttributeError(name)
        try:
            found = import_module(package)
        except ModuleNotFoundError as exc:
            raise ModuleNotFoundError(
                f"{exc.name} is not installed: pip install 'bertriton[{extra}]'", name=exc.name
            ) from exc
        return getattr(found, name)

    return attribute

"""NLU's one-liner on Triton: the names of `bertriton_nlu`.

`pip install 'bertriton[nlu]'` brings what it needs.

Example:
    >>> import bertriton.nlu as nlu
    >>> nlu.load("en.classify.bert_sequence.imdb").predict("I really liked that movie!")
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

_PACKAGE: Final = "bertriton_nlu"  # known by its name alone: it is above this package, and needs pandas


def __getattr__(name: str) -> Any:  # noqa: ANN401  # nlu.pyi has the types
    if name.startswith("__") and name != "__all__":  # of Python's, which asks whether this is a package
        raise AttributeError(name)
    try:
        package = import_module(_PACKAGE)
    except ModuleNotFoundError as exc:
        raise ModuleNotFoundError(
            f"{exc.name} is not installed: pip install 'bertriton[nlu]'", name=exc.name
        ) from exc
    return getattr(package, name)

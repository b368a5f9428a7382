"""Spark NLP's classifiers on Triton, for Spark pipelines: the names of `bertriton_spark`.

`pip install 'bertriton[spark]'` brings what it needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

_PACKAGE: Final = "bertriton_spark"  # known by its name alone: it is above this package, and needs Spark


def __getattr__(name: str) -> Any:  # noqa: ANN401  # spark.pyi has the types
    if name.startswith("__") and name != "__all__":  # of Python's, which asks whether this is a package
        raise AttributeError(name)
    try:
        package = import_module(_PACKAGE)
    except ModuleNotFoundError as exc:
        raise ModuleNotFoundError(
            f"{exc.name} is not installed: pip install 'bertriton[spark]'", name=exc.name
        ) from exc
    return getattr(package, name)

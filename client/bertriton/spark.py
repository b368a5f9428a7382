"""Spark NLP's classifiers on Triton, for Spark pipelines: the names of `bertriton_spark`.

`pip install 'bertriton[spark]'` brings what it needs.
"""

from __future__ import annotations

from typing import Final

from bertriton._door import names_of

__getattr__: Final = names_of("bertriton_spark", extra="spark")

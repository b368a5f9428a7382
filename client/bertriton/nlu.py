"""NLU's one-liner on Triton: the names of `bertriton_nlu`.

`pip install 'bertriton[nlu]'` brings what it needs.

Example:
    >>> import bertriton.nlu as nlu
    >>> nlu.load("en.classify.bert_sequence.imdb").predict("I really liked that movie!")
"""

from __future__ import annotations

from typing import Final

from bertriton._door import names_of

__getattr__: Final = names_of("bertriton_nlu", extra="nlu")

"""The film-review classifier that `bertriton demo` serves, and reviews to try it on.

`CHECKPOINT` is a folder in Hugging Face's layout; its README.md says what it was made from and how accurate
it is.
`REVIEWS` is a CSV file with the columns `source`, `seen_in_training`, `label` and `text`.

Example:
    >>> from bertriton_export import export
    >>> from bertriton_imdb import CHECKPOINT
    >>> export(CHECKPOINT, name="imdb").name
    'imdb'
"""

from pathlib import Path
from typing import Final

# In a checkout both are links to where they lie there; in a wheel they are the files.
CHECKPOINT: Final = Path(__file__).parent / "checkpoint"
REVIEWS: Final = Path(__file__).parent / "reviews.csv"

__all__ = ["CHECKPOINT", "REVIEWS"]

"""A classifier that Spark NLP saved, read without a JVM.

In: its folder, or the zip as it was downloaded. Out: a `Checkpoint`.
"""

from bertriton_export.reading.sparknlp.model import is_sparknlp, read_sparknlp

__all__ = ["is_sparknlp", "read_sparknlp"]

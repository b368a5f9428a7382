"""The real Spark NLP, run beside `bertriton.spark` on the same rows.

In: a model that Spark NLP loads, and texts. Out: its session and pipelines, and how two columns of
annotations differ. It needs Spark NLP's jars and an environment of its own, see `beside_spark_nlp`.
"""

from comparisons.spark_nlp.differences import Difference, differing
from comparisons.spark_nlp.pipelines import Shape, load_theirs, pipeline_of_ours, pipeline_of_theirs
from comparisons.spark_nlp.session import start_with_jars

__all__ = [
    "Difference",
    "Shape",
    "differing",
    "load_theirs",
    "pipeline_of_ours",
    "pipeline_of_theirs",
    "start_with_jars",
]

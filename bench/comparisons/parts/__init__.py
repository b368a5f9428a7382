"""What is measured, a module a part.

In: classifiers and texts. Out: figures, and what a table or a plot is made of.
"""

from comparisons.parts.accuracy import accuracy_figure
from comparisons.parts.client import ClientPlan, client_figures
from comparisons.parts.contest import Contest, Rounds, contest_figures
from comparisons.parts.evaluation import evaluation_figure
from comparisons.parts.formats import FORMATS_HEADER, FormatCosts, format_costs
from comparisons.parts.memory import MemoryCurve, memory_curve

__all__ = [
    "FORMATS_HEADER",
    "ClientPlan",
    "Contest",
    "FormatCosts",
    "MemoryCurve",
    "Rounds",
    "accuracy_figure",
    "client_figures",
    "contest_figures",
    "evaluation_figure",
    "format_costs",
    "memory_curve",
]

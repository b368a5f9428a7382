"""What is measured, a module a part.

In: classifiers and texts. Out: figures, and what a table or a plot is made of.
"""

from comparisons.parts.accuracy import accuracy_figure
from comparisons.parts.claims import contest_figures
from comparisons.parts.client import ClientPlan, client_figures
from comparisons.parts.contest import LONG_TEXTS, REVIEWS, SNIPPETS, Contest, ContestPlan
from comparisons.parts.evaluation import evaluation_figure
from comparisons.parts.formats import FORMATS_HEADER, FormatCost, FormatCosts, format_costs
from comparisons.parts.memory import MemoryCurve, memory_curve
from comparisons.parts.rounds import Rounds

__all__ = [
    "FORMATS_HEADER",
    "LONG_TEXTS",
    "REVIEWS",
    "SNIPPETS",
    "ClientPlan",
    "Contest",
    "ContestPlan",
    "FormatCost",
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

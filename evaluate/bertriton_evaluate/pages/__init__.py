"""An evaluation as people see it: in the terminal, as a page with plots, in the model's card.

In: an `Evaluation`. Out: text, HTML and Markdown.
"""

from bertriton_evaluate.pages.card import find_card, update_card
from bertriton_evaluate.pages.html import to_html
from bertriton_evaluate.pages.terminal import print_report

__all__ = ["find_card", "print_report", "to_html", "update_card"]

"""A page in the browser for the classifiers of a running server.

In: a client's settings. Out: a page on this machine alone, which asks the server and shows the answers.
"""

from bertriton_ui.app import page_app
from bertriton_ui.errors import AddressTakenError, PageError

__all__ = ["AddressTakenError", "PageError", "page_app"]

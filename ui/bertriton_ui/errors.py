"""What can be wrong with the page, beside what can be wrong with the server that it asks.

BertritonError               of the client
└── PageError                root of this package's own
    ├── BadRequestError      what the page was sent is no question
    └── AddressTakenError    the page cannot listen where it was asked to (.port)
"""

from __future__ import annotations

from bertriton import BertritonError


class PageError(BertritonError):
    """Root of every error of this package's own."""


class BadRequestError(PageError):
    """What the page was sent is no question."""


class AddressTakenError(PageError):
    """The page cannot listen where it was asked to.

    Attributes:
        port: that was to be bound.
    """

    def __init__(self, message: str, port: int) -> None:
        super().__init__(message)
        self.port = port

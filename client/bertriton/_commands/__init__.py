"""The commands that talk to a server, and the options that they share with others.

In: what a shell hands over. Out: answers on stdout, and an error as one line.
"""

from bertriton._commands.options import (
    call_options,
    connected,
    connection_options,
    errors_in_one_line,
    option,
    reading_options,
)

__all__ = [
    "call_options",
    "connected",
    "connection_options",
    "errors_in_one_line",
    "option",
    "reading_options",
]

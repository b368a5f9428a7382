"""The commands that talk to a server, and the options that they share with others.

In: what a shell hands over. Out: answers on stdout, and an error as one line.
"""

from bertriton._commands.options import (
    TextList,
    access_options,
    access_settings,
    call_options,
    connected,
    connection_options,
    errors_in_one_line,
    option,
    reading_options,
)
from bertriton._commands.standard_output import print_table, require_standard_output
from bertriton._commands.waiting import patience

__all__ = [
    "TextList",
    "access_options",
    "access_settings",
    "call_options",
    "connected",
    "connection_options",
    "errors_in_one_line",
    "option",
    "patience",
    "print_table",
    "reading_options",
    "require_standard_output",
]

"""What can be said of this machine without starting anything: what is here, and what would go badly.

In: where a server would listen, and what it would serve. Out: an `Examination`, for people or programs.
"""

from bertriton_server.examination.concerns import SLOW, UNSAFE, WRONG, Concern
from bertriton_server.examination.gathering import Examination, Place, examine

__all__ = ["SLOW", "UNSAFE", "WRONG", "Concern", "Examination", "Place", "examine"]

"""The wire: channels to Triton, the messages that pass, and when one is sent again.

In: what a client wants sent, as steps that say what is asked of the outside world. Out: Triton's responses
as classifications, or an error of `bertriton._errors`.
"""

from bertriton._wire.connection import AsyncConnection, SyncConnection
from bertriton._wire.endpoint import Endpoint
from bertriton._wire.headers import all_headers
from bertriton._wire.protocol import (
    EncodedText,
    answered_fingerprint,
    best_labels,
    candidate_names,
    classifications,
    classifier_info,
    encoded_text,
    infer_request,
    part_names,
)
from bertriton._wire.retry import Attempts, Sender
from bertriton._wire.steps import END, AskPort, Await, Call, Emit, Failed, Flow, Run, Sleep, Start, Step, Wait

__all__ = [
    "END",
    "AskPort",
    "AsyncConnection",
    "Attempts",
    "Await",
    "Call",
    "Emit",
    "EncodedText",
    "Endpoint",
    "Failed",
    "Flow",
    "Run",
    "Sender",
    "Sleep",
    "Start",
    "Step",
    "SyncConnection",
    "Wait",
    "all_headers",
    "answered_fingerprint",
    "best_labels",
    "candidate_names",
    "classifications",
    "classifier_info",
    "encoded_text",
    "infer_request",
    "part_names",
]

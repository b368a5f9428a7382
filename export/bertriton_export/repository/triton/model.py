"""Triton Python backend model, copied into the repository: texts to token ids, a whole batch in one call."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from answers import Answer, answer_of, result_or_refusal  # type: ignore[import-not-found]
from flow_control import MIN_WINDOW_TOKENS, FlowControl  # type: ignore[import-not-found]
from metrics import Metrics  # type: ignore[import-not-found]
from request import Waiting  # type: ignore[import-not-found]
from rows import AGGREGATION_TO_POSITION, TRUNCATIONS, Frame, Options  # type: ignore[import-not-found]
from sending import SendingWindow  # type: ignore[import-not-found]
from texts import (  # type: ignore[import-not-found]
    MAX_REQUEST_BYTES,
    TRIMMED_CHARACTERS,
    give_back_memory,
    read_strings,
    read_text,
    shares,
    token_ids,
)
from tokenizers import Tokenizer
from waiting import WaitingRoom  # type: ignore[import-not-found]

# Set by the pip-only server, whose network runs a request of any size in pieces.
CUTS_REQUESTS_VARIABLE = "BERTRITON_CUTS_REQUESTS"
MAX_CUT_TOKENS = 2**18  # of a request there, padding included
LARGE_REQUEST_BYTES = 2**16  # takes long enough for others to notice

# What Triton calls for the texts of a request before this model sees it.
pb_utils.deserialize_bytes_tensor = read_strings


def read_tokenizer(file: Path, sha256: str) -> Tokenizer:
    """The tokenizer that the config was written with, refused where a reload meets files of two exports."""
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise pb_utils.TritonModelException(
            f"{file.name} is not the one that config.pbtxt was written with: the model is being replaced, "
            "or its files come from two exports; load it again, or export it again"
        )
    return Tokenizer.from_buffer(content)


class TritonPythonModel:
    """Loaded once per instance by Triton's Python backend."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the tokenizer that lies beside this file."""
        parameters = json.loads(args["model_config"])["parameters"]
        self.max_length = int(parameters["max_length"]["string_value"])
        # What holds where a request says nothing of its own.
        own = {name: parameters[name]["string_value"] for name in Options._fields if name in parameters}
        self.defaults = {name: int(own[name]) if own[name].isdigit() else own[name] for name in own}
        # Where the network computes padding: few lengths, so that requests of equal ones share its batches.
        sizes = parameters.get("padded_lengths", {}).get("string_value", "")
        self.padded_lengths = [int(size) for size in sizes.split(",") if size]
        # Two numbers, high half first, as the network gives them: of which export an answer is.
        halves = np.frombuffer(bytes.fromhex(parameters["fingerprint"]["string_value"]), ">i4")
        self.fingerprint = halves.astype(np.int32)[None]  # [1, 2]
        limit = int(parameters["max_request_tokens"]["string_value"])
        is_cut = bool(os.environ.get(CUTS_REQUESTS_VARIABLE))
        self.max_request_tokens = MAX_CUT_TOKENS if is_cut else limit
        file = Path(__file__).with_name("tokenizer.json")
        self.tokenizer = read_tokenizer(file, parameters["tokenizer_sha256"]["string_value"])
        self.frames = {texts: Frame(self.tokenizer, texts, self.max_request_tokens) for texts in (1, 2)}
        self.own_options = cache(partial(self.options, {}))  # of most requests, which ask for nothing
        network = parameters["network"]["string_value"]
        least = MIN_WINDOW_TOKENS if is_cut else min(MIN_WINDOW_TOKENS, limit // 2)
        self.flow = FlowControl(Metrics(network), least, runs_whole=not is_cut)
        self.window = SendingWindow()
        self.room, self.large_room = (WaitingRoom(self.answer_all, self.flow, self.window) for _ in (1, 2))

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer requests, or have them wait; large ones are answered by a thread of their own."""
        waiting = [Waiting.of(request, self.window) for request in requests]
        with self.window.opened(waiting[0].sender if len(waiting) == 1 else None) as returned:
            if not self.room.is_warm:
                self.room.warm_up(waiting)
                return [None] * len(requests)
            for one in waiting:
                self.take(one)
        return returned or [None] * len(requests)

    def take(self, one: Waiting) -> None:
        """Answer a request, or have it wait: a large one where small ones do not wait for it."""
        if one.size_bytes > MAX_REQUEST_BYTES:
            one.refuse(
                f"{one.size_bytes} bytes are over {MAX_REQUEST_BYTES}, send fewer texts", "INVALID_ARG"
            )
        elif one.size_bytes > LARGE_REQUEST_BYTES:
            self.large_room.take(one)
        else:
            self.room.answer_now(one)

    def finalize(self) -> None:
        """Answer what waits."""
        self.flow.stop()
        self.room.stop()
        self.large_room.stop()

    def answer_all(self, waiting: list[Waiting], look_around: Callable[[], None]) -> list[Answer]:
        """Answer every request of a batch, or say why not; a bad one does not fail its neighbours."""
        batch = [result_or_refusal(self.read, one) for one in waiting]
        texts = [[] if isinstance(work, Answer) else [*chain(*work[0])] for work in batch]
        ids = token_ids(self.tokenizer, [*chain(*texts)], look_around)
        # Not strict: what the last one leaves, when it is refused, is not read at all.
        own = zip(batch, shares(ids, map(len, texts)), strict=False)
        answers = [result_or_refusal(self.answer, work, share) for work, share in own]
        ids.close()  # which lets go of what was read
        if sum(map(len, chain(*texts))) > TRIMMED_CHARACTERS:
            give_back_memory()
        return answers

    def read(self, one: Waiting) -> tuple[list[list[str]], Options]:
        """The rows of one request, each a list of one text or two, and what is to be done with them."""
        rows = one.rows
        # The config adds a dimension of 1, by which a request without rows is told from others.
        shape = [len(rows), *rows.shape[2:]] if rows.ndim == 3 else [0, *rows.shape[1:]]
        if 0 in shape or shape[1:] not in ([1], [2]):
            raise ValueError(f"text: expected shape [rows, 1] or, for pairs, [rows, 2], found {shape}")
        texts = [[read_text(value, index) for value in row] for index, row in enumerate(rows[:, 0])]
        parameters = json.loads(one.parameters or "{}")
        return texts, self.options(parameters, shape[1]) if parameters else self.own_options(shape[1])

    def options(self, parameters: dict[str, Any], texts: int) -> Options:
        """What is to be done with rows of so many texts, refused by name where it cannot be."""
        asked = {name: value for name, value in parameters.items() if name in Options._fields}
        options = Options(**{**self.defaults, **asked})
        lengths = range(self.frames[texts].size + 1, self.max_length + 1)
        choices: tuple[Any, ...] = (lengths, TRUNCATIONS, range(self.max_length), [*AGGREGATION_TO_POSITION])
        for name, value, allowed in zip(Options._fields, options, choices, strict=True):
            if type(value) not in (int, str) or value not in allowed:
                expected = f"{allowed[0]} to {allowed[-1]}" if name in ("max_length", "stride") else allowed
                raise ValueError(f"{name}: expected {expected}, found {value!r:.80}")
        if self.padded_lengths and options.truncation == "windows":
            raise ValueError(f"truncation: this network joins no windows, expected one of {TRUNCATIONS[:-1]}")
        return options

    def answer(self, work: Any, ids: Iterator[list[int]]) -> Answer:
        """The answer to one request, from the ids of its texts; refusals stay."""
        if isinstance(work, Answer):
            return work
        frame = self.frames[len(work[0][0])]
        # Each row is cut before the next one's ids are read: of long texts most are lost.
        rows = [frame.around([*islice(ids, len(row))], work[1], len(work[0])) for row in work[0]]
        tokens = len(rows) * max(len(row[0]) for row in rows)
        if tokens > self.max_request_tokens:
            limit = self.max_request_tokens
            raise ValueError(f"text: {tokens} tokens in a request are over {limit}, send fewer texts at once")
        return answer_of(rows, self.padded_lengths, self.fingerprint)

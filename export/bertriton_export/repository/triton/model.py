"""Triton Python backend model, copied into the repository: texts to token ids, a whole batch in one call."""

import hashlib
import json
import os
from functools import cache, partial
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
from tokenizers import Tokenizer
from waiting import WaitingRoom  # type: ignore[import-not-found]

# Set by the pip-only server, whose network runs a request of any size in pieces.
CUTS_REQUESTS_VARIABLE = "BERTRITON_CUTS_REQUESTS"
MAX_CUT_TOKENS = 2**18  # of a request there, padding included
LARGE_REQUEST_BYTES = 2**18  # takes long enough for others to notice
MAX_TEXT_BYTES = 2 * 2**20  # longer ones would hold up everybody else in the batch for seconds


def read_text(value: bytes, row: int) -> str:
    """One string, refused if it is not UTF-8 or too long."""
    if len(value) > MAX_TEXT_BYTES:
        raise ValueError(f"text: row {row} has {len(value)} bytes, at most {MAX_TEXT_BYTES} are read")
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise ValueError(f"text: row {row} is not UTF-8 at byte {exc.start}: {exc.reason}") from None


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
                is_large = one.size_bytes > LARGE_REQUEST_BYTES
                (self.large_room.take if is_large else self.room.answer_now)(one)
        return returned or [None] * len(requests)

    def finalize(self) -> None:
        """Answer what waits."""
        self.flow.stop()
        self.room.stop()
        self.large_room.stop()

    def answer_all(self, waiting: list[Waiting]) -> list[Answer]:
        """Answer every request of a batch, or say why not; a bad one does not fail its neighbours."""
        batch = [result_or_refusal(self.read, one) for one in waiting]
        texts = [text for work in batch if not isinstance(work, Answer) for row in work[0] for text in row]
        encodings = iter(self.tokenizer.encode_batch_fast(texts, add_special_tokens=False))
        return [result_or_refusal(self.answer, work, encodings) for work in batch]

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

    def answer(self, work: Any, encodings: Any) -> Answer:
        """The answer to one request, which takes its share of the batch's encodings; refusals stay."""
        if isinstance(work, Answer):
            return work
        texts = [[next(encodings).ids for _ in row] for row in work[0]]
        rows = [self.frames[len(row)].around(row, work[1], len(texts)) for row in texts]
        tokens = len(rows) * max(len(row[0]) for row in rows)
        if tokens > self.max_request_tokens:
            limit = self.max_request_tokens
            raise ValueError(f"text: {tokens} tokens in a request are over {limit}, send fewer texts at once")
        return answer_of(rows, self.padded_lengths, self.fingerprint)

"""What a served classifier looks like from outside: the one module that exporter and client share.

A classifier NAME is three Triton models:

    NAME             ensemble: text -> probabilities, logits, token_count, truncated, windows,
                     fingerprint, tokenizer_fingerprint
    NAME_tokenizer   Python backend: text -> input_ids, token_type_ids, position_ids,
                     token_count, truncated, windows, tokenizer_fingerprint
    NAME_bert        the network: those three -> logits, probabilities, fingerprint

A fingerprint says which export something is of: 8 bytes, the first of a hash over all that changes what an
answer means. The network has it as a constant of its graph, the tokenizer and the ensemble in their config.
Names and versions cannot say it: both stay as they are when a model is replaced, and replicas differ for as
long as a roll-out lasts. So logits are read by the labels of exactly the fingerprint that came with them, and
an answer whose two fingerprints differ was made by parts of two exports and is none.

Standard library only, so that either side can import it for nothing.
"""

from __future__ import annotations

import json
import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONTRACT_VERSION: Final = "2"

TOKENIZER_SUFFIX: Final = "_tokenizer"
BERT_SUFFIX: Final = "_bert"

# What a client sends: per row one string, or two for a text pair.
TEXT: Final = "text"  # BYTES [rows, 1 or 2], UTF-8

# What a client gets, one row per text.
PROBABILITIES: Final = "probabilities"  # FP32 [rows, labels]
LOGITS: Final = "logits"  # FP32 [rows, labels]
TOKEN_COUNT: Final = "token_count"  # INT32 [rows, 1], special tokens included, before truncation
TRUNCATED: Final = "truncated"  # BOOL [rows, 1]
WINDOWS: Final = "windows"  # INT32 [rows, 1], parts that a text was scored in
# INT32 [rows, 2], by `fingerprint_words`: the exports that network and tokenizer are of.
FINGERPRINT: Final = "fingerprint"
TOKENIZER_FINGERPRINT: Final = "tokenizer_fingerprint"

# What passes between tokenizer and network: all tokens of all texts of a batch, one after the other.
INPUT_IDS: Final = "input_ids"  # INT32 [tokens]
TOKEN_TYPE_IDS: Final = "token_type_ids"  # INT32 [tokens], 0 for the first text and 1 for the second
POSITION_IDS: Final = "position_ids"  # INT32 [tokens], 0 starts a text; below 0 are these:
PADDING_POSITION: Final = -1  # no token
NEXT_WINDOW_OF_MEAN: Final = -2  # position 0 of one more window of the same text; its windows are averaged
NEXT_WINDOW_OF_MAXIMUM: Final = -3  # likewise; of its windows each label's largest score counts

# Beside each of the three, made by Triton: the shape of every row, so that no content moves a row's border.
SHAPES_SUFFIX: Final = "_shapes"  # INT32 [2 * rows], 1 and the row's tokens, again and again

SINGLE_LABEL: Final = "single_label_classification"
MULTI_LABEL: Final = "multi_label_classification"
REGRESSION: Final = "regression"

DEFAULT_THRESHOLD: Final = 0.5  # probability from which a label counts, for MULTI_LABEL

# The request parameters that say what is read of a text over the limit, and what holds where neither request
# nor model says otherwise.
IN_WINDOWS: Final = "windows"
TRUNCATIONS: Final = ("head", "tail", "head_tail", "error", IN_WINDOWS)
DEFAULT_TRUNCATION: Final = "head"
DEFAULT_STRIDE: Final = 0  # tokens
AGGREGATIONS: Final = ("mean", "max")
DEFAULT_AGGREGATION: Final = "mean"

# How texts are cut into tokens: as Transformers does, or as Spark NLP does.
SPARKNLP: Final = "sparknlp"
DEFAULT_TOKENIZATION: Final = "huggingface"
TOKENIZATIONS: Final = (DEFAULT_TOKENIZATION, SPARKNLP)

FINGERPRINT_BYTES: Final = 8
FINGERPRINT_WORDS: Final = 2  # TensorRT is at home with INT32 alone
NO_FINGERPRINT: Final = "00" * FINGERPRINT_BYTES  # of a graph that is part of no export

_PARAMETER_PREFIX: Final = "bertriton."
PART_OF: Final = _PARAMETER_PREFIX + "part_of"  # in the parts' config parameters: the ensemble's name

_FINGERPRINT: Final = re.compile(f"[0-9a-f]{{{2 * FINGERPRINT_BYTES}}}")
_WORDS: Final = struct.Struct(f">{FINGERPRINT_WORDS}i")


class ContractError(ValueError):
    """A model's parameters are not those of a classifier this version can talk to."""


@dataclass(frozen=True)
class ClassifierInfo:
    """What the server says about one classifier, from the `parameters` of the ensemble's config.

    Example:
        >>> info = ClassifierInfo("imdb", ("neg", "pos"), SINGLE_LABEL, 512, 64, "5e0c", "00f1a2b3c4d5e6f7")
        >>> ClassifierInfo.from_parameters("imdb", 64, info.to_parameters()) == info
        True
    """

    name: str  # the ensemble's name, what requests are sent to
    labels: tuple[str, ...]  # in the order of the logits
    problem_type: str  # SINGLE_LABEL, MULTI_LABEL or REGRESSION
    max_length: int  # tokens read of one text, special tokens included
    max_batch_size: int  # rows that the server takes in one request
    checkpoint_sha256: str  # of the weights the network was made from
    fingerprint: str  # of the export, 16 hexadecimal digits; answers carry it
    threshold: float = DEFAULT_THRESHOLD  # probability from which a label counts, for MULTI_LABEL
    truncation: str = DEFAULT_TRUNCATION  # which part of a long text is read if a request does not say
    stride: int = DEFAULT_STRIDE  # tokens that a window shares with the one before if a request does not say
    aggregation: str = DEFAULT_AGGREGATION  # how the scores of windows are joined if a request does not say
    tokenization: str = DEFAULT_TOKENIZATION  # how texts are cut into tokens, one of TOKENIZATIONS

    def to_parameters(self) -> dict[str, str]:
        """The ensemble's config `parameters`; the name and the batch limit have fields of their own there."""
        fields = {
            "contract": CONTRACT_VERSION,
            "labels": json.dumps(list(self.labels), ensure_ascii=False),
            "problem_type": self.problem_type,
            "max_length": str(self.max_length),
            "checkpoint_sha256": self.checkpoint_sha256,
            "fingerprint": self.fingerprint,
            "truncation": self.truncation,
            "stride": str(self.stride),
            "aggregation": self.aggregation,
            "tokenization": self.tokenization,
        }
        if self.problem_type == MULTI_LABEL:
            fields["threshold"] = repr(self.threshold)
        return {_PARAMETER_PREFIX + key: value for key, value in fields.items()}

    @classmethod
    def from_parameters(cls, name: str, max_batch_size: int, parameters: Mapping[str, str]) -> ClassifierInfo:
        """Read what `to_parameters` wrote.

        Raises:
            ContractError: a parameter is missing or malformed, or written by another contract version.
        """
        if not is_classifier(parameters):
            raise ContractError(
                f"model {name!r} is not a classifier: it has no {_PARAMETER_PREFIX}contract parameter"
            )
        found = parameters[_PARAMETER_PREFIX + "contract"]
        if found != CONTRACT_VERSION:
            raise ContractError(
                f"model {name!r} follows contract {found}, this client {CONTRACT_VERSION}: "
                "export the model again with the client's version of bertriton, or install the client of its"
            )
        try:
            return cls(
                name=name,
                labels=tuple(str(label) for label in json.loads(parameters[_PARAMETER_PREFIX + "labels"])),
                problem_type=parameters[_PARAMETER_PREFIX + "problem_type"],
                max_length=int(parameters[_PARAMETER_PREFIX + "max_length"]),
                max_batch_size=max_batch_size,
                checkpoint_sha256=parameters[_PARAMETER_PREFIX + "checkpoint_sha256"],
                fingerprint=_checked_fingerprint(parameters[_PARAMETER_PREFIX + "fingerprint"]),
                threshold=float(parameters.get(_PARAMETER_PREFIX + "threshold", DEFAULT_THRESHOLD)),
                truncation=parameters.get(_PARAMETER_PREFIX + "truncation", DEFAULT_TRUNCATION),
                stride=int(parameters.get(_PARAMETER_PREFIX + "stride", DEFAULT_STRIDE)),
                aggregation=parameters.get(_PARAMETER_PREFIX + "aggregation", DEFAULT_AGGREGATION),
                tokenization=parameters.get(_PARAMETER_PREFIX + "tokenization", DEFAULT_TOKENIZATION),
            )
        except (KeyError, ValueError, TypeError) as exc:
            raise ContractError(f"model {name!r} has unreadable parameters: {exc!r}") from exc


def is_classifier(parameters: Mapping[str, str]) -> bool:
    """Whether config parameters belong to a classifier's ensemble, of any contract version."""
    return _PARAMETER_PREFIX + "contract" in parameters


def fingerprint_words(fingerprint: str) -> tuple[int, ...]:
    """A fingerprint as the numbers of a tensor's row, high half first.

    Example:
        >>> fingerprint_words("00000001ffffffff")
        (1, -1)
    """
    words: tuple[int, ...] = _WORDS.unpack(bytes.fromhex(fingerprint))
    return words


def fingerprint_of(words: Sequence[int]) -> str:
    """The fingerprint that a tensor's row holds.

    Example:
        >>> fingerprint_of((1, -1))
        '00000001ffffffff'
    """
    return _WORDS.pack(*words).hex()


def _checked_fingerprint(value: str) -> str:
    if not _FINGERPRINT.fullmatch(value):
        raise ValueError(f"fingerprint {value!r} is not {2 * FINGERPRINT_BYTES} hexadecimal digits")
    return value
